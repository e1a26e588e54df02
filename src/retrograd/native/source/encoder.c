/* The encoder: tokens to states, layers of attention and feed-forward over what is no padding.

   Rows of all queries of a block pass through the products together; attention is per query. */

typedef struct {
    const Texts *texts;
    Block block;
    int32_t *start; /* (count + 1) first row of each query */
    int32_t *place; /* (rows) slot of each row */
} Encoding;

static int read_texts(Encoding *encoding)
{
    const Texts *texts = encoding->texts;
    Block *block = &encoding->block;
    const int d = block->model->width;
    const size_t most = (size_t)block->count * texts->slots;
    Workspace *space = block->space;
    encoding->start = reserve(&space->count, block->count + 1, sizeof(int32_t));
    encoding->place = reserve(&space->row, most, sizeof(int32_t));
    block->states = reserve(&space->states, most * d, sizeof(float));
    if (!encoding->start || !encoding->place || !block->states)
        return STATUS_NO_MEMORY;
    block->rows = 0;
    for (int query = 0; query < block->count; query++) {
        encoding->start[query] = block->rows;
        const int64_t from = (block->first + query) * texts->slots;
        for (int64_t slot = 0; slot < texts->slots; slot++) {
            if (!texts->where[from + slot])
                continue;
            copy_row(block->model->precision, &block->model->embedding, texts->tokens[from + slot],
                     block->states + (size_t)block->rows * d);
            encoding->place[block->rows++] = slot;
        }
    }
    encoding->start[block->count] = block->rows;
    return STATUS_DONE;
}

static int reserve_layers(Encoding *encoding)
{
    const Model *model = encoding->block.model;
    Workspace *space = encoding->block.space;
    const size_t rows = encoding->block.rows, slots = encoding->texts->slots;
    const int columns = model->feed_forward * (1 + model->gated);
    const int ready = reserve(&space->query, rows * 3 * model->inner, sizeof(float))
                      && reserve(&space->mixed, rows * model->inner, sizeof(float))
                      && reserve(&space->inner, rows * columns, sizeof(float))
                      && reserve(&space->scale, rows, sizeof(float))
                      && reserve(&space->both, slots * slots, sizeof(float))
                      && reserve(&space->cross, packed_size(model->head_width, slots), sizeof(float))
                      && reserve(&space->memory, packed_size(slots, model->head_width), sizeof(float))
                      && reserve_left(&space->split, largest_int(rows, slots),
                                      largest_int(largest_int(columns, slots),
                                                  largest_int(model->width, model->inner)));
    return ready ? STATUS_DONE : STATUS_NO_MEMORY;
}

/* One query and one head: `queries` (count, 3 I) with keys and values behind them. */
static void attend_texts(const Encoding *encoding, int head, int first, int count)
{
    const Model *model = encoding->block.model;
    Workspace *space = encoding->block.space;
    const int k = model->head_width, inner = model->inner, slots = encoding->texts->slots;
    const float *queries = (float *)space->query.data + (size_t)first * 3 * inner + head * k;
    const float *bias = encoding->texts->position_bias + (size_t)head * slots * slots;
    const int32_t *place = encoding->place + first;
    float *scores = space->both.data, *mixed = (float *)space->mixed.data + (size_t)first * inner + head * k;
    const Matrix keys = pack(space->cross.data, queries + inner, k, count, 1, 3 * inner, NULL);
    const Matrix values = pack(space->memory.data, queries + 2 * inner, count, k, 3 * inner, 1, NULL);
    multiply(&space->split, count, queries, 3 * inner, &keys, scores, count, NULL, STORE);
    for (int row = 0; row < count; row++) {
        for (int at = 0; at < count; at++)
            scores[row * count + at] += bias[place[row] * slots + place[at]];
        softmax(scores + row * count, count);
    }
    multiply(&space->split, count, scores, count, &values, mixed, inner, NULL, STORE);
}

static void encode_layer(Encoding *encoding, int layer)
{
    Block *block = &encoding->block;
    const Model *model = block->model;
    const Layer *weights = model->layers + layer;
    const int inner = model->inner, d = model->width, rows = block->rows;
    float *scale = block->space->scale.data, *query = block->space->query.data;
    norm_factors(block, 0, rows, scale);
    multiply(split_of(block), rows, block->states, d, &weights->own, query, 3 * inner, scale, STORE);
    for (int one = 0; one < block->count; one++) {
        const int first = encoding->start[one], count = encoding->start[one + 1] - first;
        for (int head = 0; count && head < model->heads; head++)
            attend_texts(encoding, head, first, count);
    }
    multiply(split_of(block), rows, block->space->mixed.data, inner, &weights->own_out, block->states, d, NULL,
             ADD);
    norm_factors(block, 0, rows, scale);
    feed_forward(block, layer, 0, rows, scale);
}

/* The normed states, each at its slot. */
static void write_states(const Encoding *encoding)
{
    const Block *block = &encoding->block;
    const int d = block->model->width;
    for (int query = 0; query < block->count; query++) {
        float *to = encoding->texts->states + (block->first + query) * encoding->texts->slots * d;
        memset(to, 0, (size_t)encoding->texts->slots * d * sizeof *to);
        for (int row = encoding->start[query]; row < encoding->start[query + 1]; row++) {
            const float *from = block->states + (size_t)row * d;
            const float scale = inverse_rms(from, d, block->model->epsilon);
            for (int at = 0; at < d; at++)
                to[(size_t)encoding->place[row] * d + at] = from[at] * scale * block->model->final_norm[at];
        }
    }
}

static int encode_block(const void *task, Model *model, Workspace *space, int64_t first, int count)
{
    Encoding encoding = {.texts = task};
    encoding.block = (Block){.model = model, .space = space, .first = first, .count = count};
    if (read_texts(&encoding) || reserve_layers(&encoding))
        return STATUS_NO_MEMORY;
    for (int layer = 0; layer < model->num_layers && encoding.block.rows; layer++)
        encode_layer(&encoding, layer);
    write_states(&encoding);
    return STATUS_DONE;
}

static int encode(Model *model, const Texts *texts)
{
    const int64_t slots = texts->slots < 1 ? 1 : texts->slots;
    return share_out(model, encode_block, texts, texts->batch, texts->block_rows / slots, texts->threads);
}
