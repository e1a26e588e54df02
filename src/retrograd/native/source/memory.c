/* The encoded query as each layer's cross-attention reads it: keys and values, projected once.

   Where the beam is wide enough to pay for it, the query and output matrices are folded into them:
   a row's scores of all heads and slots are then one product with a (d, heads * slots) matrix, and
   what it adds to its state is one product with a (heads * slots, d) matrix. */

/* Multiplications that take as long as packing one number. */
#define PACKING 64

/* Multiplications of one query's rows with and without folding, the folding itself included. */
static int folding_pays(const Model *model, int64_t slots, int64_t rows)
{
    const int64_t d = model->width, inner = model->inner, columns = model->heads * slots;
    return 2 * columns * d * (model->head_width + PACKING) + rows * 2 * d * columns < rows * 2 * inner * (d + slots);
}

static Buffer *split_of(const Block *block)
{
    return &block->space->split;
}

static int cross_matrices(const Block *block)
{
    return block->folded ? 2 : 2 * block->model->heads;
}

static Matrix *cross_of(const Block *block, int layer, int query)
{
    return block->cross + ((size_t)layer * block->count + query) * cross_matrices(block);
}

static size_t cross_floats(const Block *block, int slots)
{
    const Model *model = block->model;
    if (block->folded)
        return packed_size(model->width, model->heads * slots) + packed_size(model->heads * slots, model->width);
    return model->heads * (packed_size(model->head_width, slots) + packed_size(slots, model->head_width));
}

/* A layer's query matrix as floats: (d, I). */
static const float *query_rows(const Block *block, const Layer *layer)
{
    const Model *model = block->model;
    float *to = block->space->unpacked.data;
    if (model->precision == PRECISION_FLOAT)
        return layer->raw_query.items;
    for (int row = 0; row < model->width; row++)
        copy_row(model->precision, &layer->raw_query, row, to + (size_t)row * model->inner);
    return to;
}

/* `both` (slots, 2 I) keys and values -> two packed matrices, both norms and projections included. */
static float *fold(Block *block, const Layer *layer, const float *both, int slots, Matrix *into, float *to)
{
    const Model *model = block->model;
    const int d = model->width, k = model->head_width, inner = model->inner, columns = model->heads * slots;
    float *product = block->space->inner.data, *keys = block->space->mixed.data;
    const float *query = query_rows(block, layer);
    for (int head = 0; head < model->heads; head++) {
        const Matrix key = pack(keys, both + head * k, k, slots, 1, 2 * inner, NULL);
        multiply(split_of(block), d, query + head * k, inner, &key, product + head * slots, columns, NULL, STORE);
    }
    into[0] = pack(to, product, d, columns, columns, 1, NULL);
    to += packed_size(d, columns);
    for (int head = 0; head < model->heads; head++)
        multiply(split_of(block), slots, both + inner + head * k, 2 * inner, layer->head_out + head,
                 product + (size_t)head * slots * d, d, NULL, STORE);
    into[1] = pack(to, product, columns, d, d, 1, NULL);
    return to + packed_size(columns, d);
}

static float *split(Block *block, const float *both, int slots, Matrix *into, float *to)
{
    const Model *model = block->model;
    const int k = model->head_width, step = 2 * model->inner;
    for (int head = 0; head < model->heads; head++) {
        into[2 * head] = pack(to, both + head * k, k, slots, 1, step, NULL);
        to += packed_size(k, slots);
        into[2 * head + 1] = pack(to, both + model->inner + head * k, slots, k, step, 1, NULL);
        to += packed_size(slots, k);
    }
    return to;
}

/* The slots of a query that are no padding, close together: (slots, d). */
static const float *real_slots(const Block *block, int query, float *to)
{
    const Request *request = block->request;
    const int64_t row = block->first + query, width = block->model->width;
    const uint8_t *where = request->where + row * request->slots;
    const float *from = request->memory + row * request->slots * width;
    if (block->slots[query] == request->slots)
        return from;
    for (int64_t slot = 0, real = 0; slot < request->slots; slot++)
        if (where[slot])
            memcpy(to + real++ * width, from + slot * width, width * sizeof *to);
    return to;
}

static int count_slots(Block *block)
{
    const Request *request = block->request;
    int most = 0;
    for (int query = 0; query < block->count; query++) {
        const uint8_t *where = request->where + (block->first + query) * request->slots;
        block->slots[query] = 0;
        for (int64_t slot = 0; slot < request->slots; slot++)
            block->slots[query] += where[slot] != 0;
        most = block->slots[query] > most ? block->slots[query] : most;
    }
    return most;
}

static int project_memory(Block *block)
{
    const Model *model = block->model;
    Workspace *space = block->space;
    const int most = count_slots(block), columns = model->heads * most;
    const int64_t rows = 1 + (int64_t)(model->depth - 1) * block->width;
    block->folded = folding_pays(model, block->request->slots, rows);
    size_t floats = 0;
    for (int query = 0; query < block->count; query++)
        floats += cross_floats(block, block->slots[query]);
    const size_t matrices = (size_t)model->num_layers * block->count * cross_matrices(block);
    block->cross = reserve(&space->cross_at, matrices, sizeof *block->cross);
    float *to = reserve(&space->cross, floats * model->num_layers, sizeof *to);
    float *real = reserve(&space->memory, (size_t)most * model->width, sizeof *real);
    float *both = reserve(&space->both, (size_t)most * 2 * model->inner, sizeof *both);
    if (!block->cross || !to || !real || !both
        || !reserve(&space->inner, (size_t)columns * model->width, sizeof(float))
        || !reserve(&space->mixed, packed_size(model->head_width, most), sizeof(float))
        || !reserve(&space->unpacked, block->folded ? (size_t)model->width * model->inner : 0, sizeof(float))
        || !reserve_left(&space->split, largest_int(model->width, most), model->width))
        return STATUS_NO_MEMORY;
    for (int query = 0; query < block->count; query++) {
        const int slots = block->slots[query];
        const float *states = real_slots(block, query, real);
        for (int at = 0; at < model->num_layers; at++) {
            const Layer *layer = model->layers + at;
            Matrix *into = cross_of(block, at, query);
            multiply(split_of(block), slots, states, model->width, &layer->key_value, both, 2 * model->inner, NULL, STORE);
            to = block->folded ? fold(block, layer, both, slots, into, to)
                               : split(block, both, slots, into, to);
        }
    }
    return STATUS_DONE;
}
