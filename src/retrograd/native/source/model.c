/* A network's weights, copied and packed once for this processor.

   Weights are kept at the precision that was asked for; norms, biases and what is computed are floats.
   Each norm weight is folded into the matrix behind it, so that a norm is one factor per row. Where
   it stays small, the first layer's queries, keys and values are a table by token: they depend on
   nothing else. */

#define MOST_TABLE_FLOATS ((size_t)4 << 20)

typedef struct {
    Matrix own, own_out, query, key_value, cross_out, wide, narrow;
    Matrix *head_out; /* (heads) the rows of cross_out of each head */
    Table raw_query; /* (d, I) with its norm */
} Layer;

typedef struct Workspace Workspace;

struct Model {
    int width, num_layers, heads, head_width, inner, feed_forward, gated, depth, precision;
    float epsilon;
    int *level_sizes;
    int64_t *level_rows;
    float *begin, *final_norm;
    Table embedding, output;
    float *position_bias; /* (L, L, head_step) by query, key and head */
    int head_step; /* heads, rounded up to whole vectors */
    float *first; /* (1 + table_rows, 3 I): what layer 0 makes of `begin` and of each token; or NULL */
    Layer *layers;
    Matrix *output_of; /* (L) packed rows of each level; shared levels share */
    char *arena;
    size_t arena_bytes, arena_used;
    pthread_mutex_t lock;
    Workspace *idle;
    Buffer split;
};

/* Without an arena yet only counts. */
static void *take(Model *model, size_t count, size_t size)
{
    const size_t at = model->arena_used;
    model->arena_used += (count * size + 63) / 64 * 64;
    return model->arena ? model->arena + at : NULL;
}

static float *take_copy(Model *model, const float *from, size_t count)
{
    float *to = take(model, count + LANES, sizeof *to);
    if (to)
        memcpy(to, from, count * sizeof *to);
    return to;
}

/* Steps of bytes, one for each line of numbers; NULL at another precision. Spare ones behind the last are 0. */
static float *take_steps(
    Model *model, const float *values, int64_t count, int length, ptrdiff_t line_step, ptrdiff_t item_step,
    const float *factor)
{
    if (model->precision != PRECISION_INT8)
        return NULL;
    float *step = take(model, count + PANEL, sizeof *step);
    if (step)
        find_steps(step, values, count, length, line_step, item_step, factor);
    return step;
}

static Matrix take_packed(
    Model *model, const float *values, int inner, int columns, ptrdiff_t row_step, ptrdiff_t column_step,
    const float *factor, const float *step)
{
    void *panels = take(model, packed_bytes(model->precision, inner, columns), 1);
    if (!panels)
        return (Matrix){inner, columns, model->precision, NULL, NULL};
    return pack_weights(model->precision, panels, values, inner, columns, row_step, column_step, factor, step);
}

/* Packs a row-major matrix, its rows times `norm` where there is one. */
static Matrix take_matrix(Model *model, const float *values, int inner, int columns, const float *norm)
{
    const float *step = take_steps(model, values, columns, inner, 1, columns, norm);
    return take_packed(model, values, inner, columns, columns, 1, norm, step);
}

/* A row-major table, each number times what its row or its column is multiplied by. */
static Table take_table(
    Model *model, const float *values, int64_t rows, int columns, const float *row_factor,
    const float *column_factor, const float *row_step, const float *column_step)
{
    void *items = take(model, rows * columns + LANES, item_bytes(model->precision));
    for (int64_t row = 0; items && row < rows; row++)
        for (int at = 0; at < columns; at++) {
            const float times = row_factor ? row_factor[row] : column_factor ? column_factor[at] : 1.0f;
            const float step = row_step ? row_step[row] : column_step ? column_step[at] : 1.0f;
            put_item(model->precision, items, row * columns + at, values[row * columns + at] * times, step);
        }
    return (Table){items, row_step, column_step, columns};
}

/* The query matrix as rows and the output matrix by heads are rounded as their packed twins are. */
static void take_cross(Model *model, Layer *layer, const LayerWeights *from)
{
    const int d = model->width, inner = model->inner, k = model->head_width;
    const float *norm = from->cross_norm;
    const float *query_step = take_steps(model, from->query, inner, d, 1, inner, norm);
    const float *out_step = take_steps(model, from->cross_out, d, inner, 1, d, NULL);
    layer->query = take_packed(model, from->query, d, inner, inner, 1, norm, query_step);
    layer->raw_query = take_table(model, from->query, d, inner, norm, NULL, NULL, query_step);
    layer->key_value = take_matrix(model, from->key_value, d, 2 * inner, NULL);
    layer->cross_out = take_packed(model, from->cross_out, inner, d, d, 1, NULL, out_step);
    layer->head_out = take(model, model->heads, sizeof(Matrix));
    for (int head = 0; head < model->heads; head++) {
        const Matrix own =
            take_packed(model, from->cross_out + (size_t)head * k * d, k, d, d, 1, NULL, out_step);
        if (layer->head_out)
            layer->head_out[head] = own;
    }
}

static void take_layer(Model *model, Layer *layer, const LayerWeights *from)
{
    const int d = model->width, inner = model->inner, wide = model->feed_forward * (1 + model->gated);
    Layer made = {
        .own = take_matrix(model, from->qkv, d, 3 * inner, from->own_norm),
        .own_out = take_matrix(model, from->own_out, inner, d, NULL),
        .wide = take_matrix(model, from->wide, d, wide, from->feed_norm),
        .narrow = take_matrix(model, from->narrow, model->feed_forward, d, NULL),
    };
    if (from->query)
        take_cross(model, &made, from);
    if (layer)
        *layer = made;
}

/* The output table with the final norm and the output scale: as rows, and packed for each level. */
static void take_outputs(Model *model, const ModelWeights *from)
{
    const int d = model->width;
    Matrix last = {0};
    float *factor = take_copy(model, from->final_norm, d);
    for (int at = 0; factor && at < d; at++)
        factor[at] *= from->output_scale;
    const float *step = take_steps(model, from->output, from->table_rows, d, d, 1, factor);
    for (int level = 0; level < model->depth; level++) {
        const int64_t row = from->level_rows[level];
        const int same = level && row == from->level_rows[level - 1]
                         && from->level_sizes[level] == from->level_sizes[level - 1];
        if (!same)
            last = take_packed(model, from->output + row * d, d, from->level_sizes[level], 1, d, factor,
                               step ? step + row : NULL);
        if (model->output_of)
            model->output_of[level] = last;
    }
    model->output = take_table(model, from->output, from->table_rows, d, NULL, factor, step, NULL);
}

static float inverse_rms(const float *row, int width, float epsilon)
{
    return 1.0f / sqrtf(dot(row, row, width) / width + epsilon);
}

#define FIRST_ROWS 64

/* Layer 0's part of some rows of states. */
static void fill_first(Model *model, int64_t row, const float *states, int rows)
{
    const Layer *layer = model->layers;
    const int d = model->width, step = 3 * model->inner;
    float scale[FIRST_ROWS], *to = model->first + row * step;
    for (int at = 0; at < rows; at++)
        scale[at] = inverse_rms(states + (size_t)at * d, d, model->epsilon);
    multiply(&model->split, rows, states, d, &layer->own, to, step, scale, STORE);
}

/* `states` has room for FIRST_ROWS rows. */
static void fill_table(Model *model, int64_t rows, float *states)
{
    fill_first(model, 0, model->begin, 1);
    for (int64_t row = 0; row < rows; row += FIRST_ROWS) {
        const int count = rows - row < FIRST_ROWS ? rows - row : FIRST_ROWS;
        for (int at = 0; at < count; at++)
            copy_row(model->precision, &model->embedding, row + at, states + (size_t)at * model->width);
        fill_first(model, 1 + row, states, count);
    }
}

static void take_bias(Model *model, const float *from)
{
    const int pairs = model->depth * model->depth;
    float *to = model->position_bias = take(model, (size_t)pairs * model->head_step, sizeof *to);
    for (int head = 0; to && head < model->heads; head++)
        for (int pair = 0; pair < pairs; pair++)
            to[(size_t)pair * model->head_step + head] = from[(size_t)head * pairs + pair];
}

/* One pass counts the bytes, a second one with the same calls fills them. */
static void take_all(Model *model, const ModelWeights *from)
{
    const size_t first = (1 + from->table_rows) * 3 * (size_t)model->inner;
    model->arena_used = 0;
    model->level_sizes = take(model, model->depth, sizeof(int));
    model->level_rows = take(model, model->depth, sizeof(int64_t));
    model->final_norm = take_copy(model, from->final_norm, model->width);
    const float *step = take_steps(model, from->embedding, from->table_rows, model->width, model->width, 1, NULL);
    model->embedding = take_table(model, from->embedding, from->table_rows, model->width, NULL, NULL, step, NULL);
    model->layers = take(model, model->num_layers, sizeof(Layer));
    model->output_of = take(model, model->depth, sizeof(Matrix));
    for (int at = 0; at < model->num_layers; at++)
        take_layer(model, model->layers ? model->layers + at : NULL, from->layers + at);
    if (!model->depth)
        return;
    model->begin = take_copy(model, from->begin, model->width);
    take_bias(model, from->position_bias);
    take_outputs(model, from);
    model->first = first <= MOST_TABLE_FLOATS ? take(model, first + LANES, sizeof(float)) : NULL;
    if (!model->arena)
        return;
    for (int level = 0; level < model->depth; level++) {
        model->level_sizes[level] = from->level_sizes[level];
        model->level_rows[level] = from->level_rows[level];
    }
}

static void release_idle(Model *model);

static void destroy(Model *model)
{
    if (!model)
        return;
    release_idle(model);
    pthread_mutex_destroy(&model->lock);
    discard(&model->split);
    free(model->arena);
    free(model);
}

static int64_t packed_bytes_of(const Model *model)
{
    return model->arena_bytes;
}

static Model *create(const ModelWeights *from)
{
    Model *model = calloc(1, sizeof *model);
    if (!model)
        return NULL;
    model->width = from->width, model->num_layers = from->num_layers;
    model->heads = from->heads, model->head_width = from->head_width;
    model->inner = from->heads * from->head_width, model->feed_forward = from->feed_forward;
    model->gated = from->gated, model->depth = from->depth, model->epsilon = from->epsilon;
    model->precision = from->precision;
    model->head_step = (model->heads + LANES - 1) / LANES * LANES;
    pthread_mutex_init(&model->lock, NULL);
    take_all(model, from);
    model->arena_bytes = model->arena_used;
    model->arena = aligned_alloc(64, model->arena_bytes);
    Buffer states = {0};
    float *room = reserve(&states, (size_t)FIRST_ROWS * model->width, sizeof *room);
    if (!model->arena || !room || !reserve_left(&model->split, FIRST_ROWS, model->width)) {
        discard(&states);
        destroy(model);
        return NULL;
    }
    memset(model->arena, 0, model->arena_bytes);
    take_all(model, from);
    if (model->first) {
        TileShape before;
        begin_products(&before);
        fill_table(model, from->table_rows, room);
        end_products(&before);
    }
    discard(&states);
    return model;
}
