/* One decoder step: the states of all rows of a level, from their last tokens.

   A state enters a product unnormed, and the product's rows are scaled by the norm. Queries, keys and
   values stay where the step that made them left them; a row finds its prefix through its ancestors. */

static float *past_of(const Block *block, int level, int layer)
{
    return block->past[level] + (size_t)layer * block->past_rows[level] * 3 * block->model->inner;
}

static void norm_factors(const Block *block, int first, int count, float *scale)
{
    const Model *model = block->model;
    for (int at = 0; at < count; at++)
        scale[at] = inverse_rms(
            block->states + (size_t)(first + at) * model->width, model->width, model->epsilon);
}

static void read_tokens(const Block *block, int first, int count)
{
    const Model *model = block->model;
    for (int row = first; row < first + count; row++) {
        float *to = block->states + (size_t)row * model->width;
        if (block->level == 0)
            memcpy(to, model->begin, model->width * sizeof *to);
        else
            copy_row(model->precision, &model->embedding,
                     model->level_rows[block->level - 1] + block->row_token[row], to);
    }
}

/* Layer 0's queries, keys and values, which depend on the token only. */
static void look_up(const Block *block, int first, int count, float *to)
{
    const Model *model = block->model;
    const size_t step = 3 * (size_t)model->inner;
    for (int at = 0; at < count; at++) {
        const int64_t row =
            block->level == 0 ? 0 : 1 + model->level_rows[block->level - 1] + block->row_token[first + at];
        memcpy(to + at * step, model->first + row * step, step * sizeof *to);
    }
}

/* Softmax over `length` rows of scores, one column per head; a few heads are one vector. */
static void softmax_of_heads(float *weight, int length, int step)
{
    for (int head = 0; head < step; head += LANES) {
        Vector most = load(weight + head), total = {0};
        for (int at = 1; at < length; at++)
            most = larger(most, load(weight + at * step + head));
        for (int at = 0; at < length; at++) {
            const Vector value = exponential(load(weight + at * step + head) - most);
            store(weight + at * step + head, value);
            total += value;
        }
        for (int at = 0; at < length; at++)
            store(weight + at * step + head, load(weight + at * step + head) / total);
    }
}

/* to = the sum of `length` rows of values, each times its weight. */
INLINE void mix(float *to, const float *const *values, const float *weight, int length, int step, int count)
{
    int at = 0;
    for (; at + LANES <= count; at += LANES) {
        Vector sum = {0};
        for (int row = 0; row < length; row++)
            sum += weight[row * step] * load(values[row] + at);
        store(to + at, sum);
    }
    for (; at < count; at++) {
        to[at] = 0.0f;
        for (int row = 0; row < length; row++)
            to[at] += weight[row * step] * values[row][at];
    }
}

/* One row's attention over its prefix: `rows` (t + 1) of queries, keys and values, its own last.
   `weight` holds (t + 1, head_step) scores. */
static void attend(const Block *block, const float **rows, float *weight, float *mixed)
{
    const Model *model = block->model;
    const int k = model->head_width, length = block->level + 1, step = model->head_step;
    const float *query = rows[block->level];
    const float *bias = model->position_bias + (size_t)block->level * model->depth * step;
    for (int at = 0; at < length; at++) {
        const float *key = rows[at] + model->inner;
        for (int head = 0; head < model->heads; head++)
            weight[at * step + head] = dot(query + head * k, key + head * k, k) + bias[at * step + head];
    }
    softmax_of_heads(weight, length, step);
    for (int at = 0; at < length; at++)
        rows[at] += 2 * model->inner;
    for (int head = 0; head < model->heads; head++) {
        mix(mixed + head * k, rows, weight + head, length, step, k);
        for (int at = 0; at < length; at++)
            rows[at] += k;
    }
}

static void own_attention(const Block *block, int layer, int first, int count, const float *scale)
{
    const Model *model = block->model;
    const Layer *weights = model->layers + layer;
    const int inner = model->inner, d = model->width, level = block->level;
    const int64_t stride = (int64_t)block->count * block->width;
    float *states = block->states + (size_t)first * d, *mixed = block->space->mixed.data;
    float *own = past_of(block, level, layer) + (size_t)first * 3 * inner;
    float *weight = block->space->logits.data;
    const float **rows = block->space->past_of.data;
    if (layer == 0 && model->first)
        look_up(block, first, count, own);
    else
        multiply(split_of(block), count, states, d, &weights->own, own, 3 * inner, scale, STORE);
    for (int at = 0; at < count; at++) {
        for (int before = 0; before < level; before++)
            rows[before] = past_of(block, before, layer)
                           + (size_t)block->ancestor[before * stride + first + at] * 3 * inner;
        rows[level] = own + (size_t)at * 3 * inner;
        attend(block, rows, weight, mixed + (size_t)at * inner);
    }
    multiply(split_of(block), count, mixed, inner, &weights->own_out, states, d, NULL, ADD);
}

/* Cross-attention of `count` rows of one query. */
static void attend_folded(const Block *block, const Matrix *cross, int slots, int count, float *states,
                          const float *scale)
{
    const Model *model = block->model;
    const int columns = model->heads * slots;
    float *scores = block->space->inner.data;
    multiply(split_of(block), count, states, model->width, cross, scores, columns, scale, STORE);
    for (int at = 0; at < count * model->heads; at++)
        softmax(scores + (size_t)at * slots, slots);
    multiply(split_of(block), count, scores, columns, cross + 1, states, model->width, NULL, ADD);
}

static void attend_split(
    const Block *block, const Matrix *cross, int slots, int count, const float *query, float *mixed)
{
    const Model *model = block->model;
    float *scores = block->space->inner.data;
    for (int head = 0; head < model->heads; head++, cross += 2) {
        const int at = head * model->head_width;
        multiply(split_of(block), count, query + at, model->inner, cross, scores, slots, NULL, STORE);
        for (int row = 0; row < count; row++)
            softmax(scores + (size_t)row * slots, slots);
        multiply(split_of(block), count, scores, slots, cross + 1, mixed + at, model->inner, NULL, STORE);
    }
}

static void cross_attention(const Block *block, int layer, int first, int count, const float *scale)
{
    const Model *model = block->model;
    const Layer *weights = model->layers + layer;
    const int d = model->width, inner = model->inner;
    float *states = block->states + (size_t)first * d;
    float *query = block->space->query.data, *mixed = block->space->mixed.data;
    if (!block->folded)
        multiply(split_of(block), count, states, d, &weights->query, query, inner, scale, STORE);
    for (int row = 0, last; row < count; row = last) {
        const int of = block->row_query[first + row], slots = block->slots[of];
        for (last = row + 1; last < count && block->row_query[first + last] == of;)
            last++;
        const Matrix *cross = cross_of(block, layer, of);
        const size_t at = (size_t)row * inner;
        if (!slots)
            memset(mixed + at, 0, (size_t)(last - row) * inner * sizeof *mixed);
        else if (block->folded)
            attend_folded(block, cross, slots, last - row, states + (size_t)row * d, scale + row);
        else
            attend_split(block, cross, slots, last - row, query + at, mixed + at);
    }
    if (!block->folded)
        multiply(split_of(block), count, mixed, inner, &weights->cross_out, states, d, NULL, ADD);
}

/* GELU (its tanh form) of the first half of each row times the second half, in place. */
static void gate(float *wide, int rows, int half)
{
    for (int row = 0; row < rows; row++) {
        float *from = wide + (size_t)row * 2 * half, *to = wide + (size_t)row * half;
        for (int at = 0; at < half; at += LANES) {
            const Vector x = load(from + at), inner = 0.797884561f * (x + 0.044715f * x * x * x);
            const Vector tangent = 1.0f - 2.0f / (exponential(2.0f * inner) + 1.0f);
            const Vector made = 0.5f * x * (1.0f + tangent) * load(from + half + at);
            const Vector before = load(to + at);
            store(to + at, choose(first_lanes(half - at), made, before));
        }
    }
}

static void feed_forward(const Block *block, int layer, int first, int count, const float *scale)
{
    const Model *model = block->model;
    const Layer *weights = model->layers + layer;
    const int d = model->width, half = model->feed_forward, columns = half * (1 + model->gated);
    float *states = block->states + (size_t)first * d, *inner = block->space->inner.data;
    multiply(split_of(block), count, states, d, &weights->wide, inner, columns, scale, model->gated ? STORE : RELU);
    if (model->gated)
        gate(inner, count, half);
    multiply(split_of(block), count, inner, half, &weights->narrow, states, d, NULL, ADD);
}

static int reserve_step(Block *block, int chunk)
{
    const Model *model = block->model;
    Workspace *space = block->space;
    int slots = 1;
    for (int query = 0; query < block->count; query++)
        slots = largest_int(slots, block->slots[query]);
    const int columns = largest_int(model->heads * slots, model->feed_forward * (1 + model->gated));
    const int level = block->level;
    block->past_rows[level] = block->rows;
    block->past[level] = reserve(space->past + level,
                                 (size_t)model->num_layers * block->rows * 3 * model->inner, sizeof(float));
    const int ready = block->past[level] && reserve(&space->query, (size_t)chunk * model->inner, sizeof(float))
                      && reserve(&space->mixed, (size_t)chunk * model->inner, sizeof(float))
                      && reserve(&space->inner, (size_t)chunk * columns, sizeof(float))
                      && reserve_left(&space->split, chunk, largest_int(columns, largest_int(model->width, model->inner)))
                      && reserve(&space->scale, chunk, sizeof(float))
                      && reserve(&space->logits, (size_t)model->depth * model->head_step, sizeof(float));
    return ready ? STATUS_DONE : STATUS_NO_MEMORY;
}

/* The states of this level's rows, without the final norm. */
static int decoder_step(Block *block)
{
    const int chunk = block->rows < block->request->block_rows ? block->rows : block->request->block_rows;
    if (reserve_step(block, chunk))
        return STATUS_NO_MEMORY;
    float *scale = block->space->scale.data;
    for (int first = 0; first < block->rows; first += chunk) {
        const int count = block->rows - first < chunk ? block->rows - first : chunk;
        read_tokens(block, first, count);
        for (int layer = 0; layer < block->model->num_layers; layer++) {
            norm_factors(block, first, count, scale);
            own_attention(block, layer, first, count, scale);
            norm_factors(block, first, count, scale);
            cross_attention(block, layer, first, count, scale);
            norm_factors(block, first, count, scale);
            feed_forward(block, layer, first, count, scale);
        }
    }
    return STATUS_DONE;
}
