/* The best continuations of each query, among the children that exist and no others.

   Candidates come in the order of their prefixes; a heap holds the values of the best so far, its
   worst on top. Of equals the first stays: a later one must be better to push it out. */

#define LOGIT_ROWS 48

typedef struct {
    float value;
    int32_t order;
} Place;

typedef struct {
    Place place;
    int32_t parent, token, node;
    float score, step;
} Candidate;

typedef struct {
    Place *heap;
    Candidate *kept; /* in order; holds what was good enough when it came */
    int size, width, num_kept, room, order;
} Choice;

static int is_worse(Place one, Place other)
{
    return one.value < other.value || (one.value == other.value && one.order > other.order);
}

static void sift_down(Place *heap, int size)
{
    const Place moved = heap[0];
    int at = 0;
    for (int child = 1; child < size; child = 2 * at + 1) {
        if (child + 1 < size && is_worse(heap[child + 1], heap[child]))
            child++;
        if (!is_worse(heap[child], moved))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

static void sift_up(Place *heap, int at)
{
    const Place moved = heap[at];
    for (int above; at > 0 && is_worse(moved, heap[above = (at - 1) / 2]); at = above)
        heap[at] = heap[above];
    heap[at] = moved;
}

/* Drops what has been pushed out of the heap since it was kept. */
static void forget_losers(Choice *choice)
{
    int left = 0;
    for (int at = 0; at < choice->num_kept; at++)
        if (!is_worse(choice->kept[at].place, choice->heap[0]))
            choice->kept[left++] = choice->kept[at];
    choice->num_kept = left;
}

INLINE int is_wanted(const Choice *choice, float value)
{
    return value > (choice->size < choice->width ? -INFINITY : choice->heap[0].value);
}

static void keep(Choice *choice, Candidate candidate)
{
    const Place place = {candidate.place.value, choice->order++};
    if (choice->size < choice->width) {
        choice->heap[choice->size] = place;
        sift_up(choice->heap, choice->size++);
    } else {
        choice->heap[0] = place;
        sift_down(choice->heap, choice->size);
    }
    if (choice->num_kept == choice->room)
        forget_losers(choice);
    candidate.place = place;
    choice->kept[choice->num_kept++] = candidate;
}

static float prior_of(const Block *block, int query, int64_t node)
{
    const float *prior = block->request->prior;
    return prior ? prior[(block->first + query) * block->trie->num_nodes + node] : 0.0f;
}

/* A complete key continues as itself, at no cost. */
static void offer_done(const Block *block, Choice *choice, int query, int beam)
{
    const int64_t slot = (int64_t)query * block->width + beam;
    const float score = block->score[slot], value = score + prior_of(block, query, block->node[slot]);
    if (is_wanted(choice, value))
        keep(choice, (Candidate){{value, 0}, beam, -1, block->node[slot], score, 0.0f});
}

/* Steps of children from their logits, which stand in child order. */
static void offer_children(
    const Block *block, Choice *choice, int query, int beam, const Children *children, const float *logit,
    float mass)
{
    const Trie *trie = block->trie;
    const float before = block->score[(int64_t)query * block->width + beam];
    const float *prior = block->request->prior;
    if (prior)
        prior += (block->first + query) * trie->num_nodes;
    for (int at = 0; at < children->count; at++) {
        const int64_t child = child_at(children, at);
        const float step = logit[at] - mass, score = before + step;
        const float value = prior ? score + prior[child] : score;
        if (is_wanted(choice, value) && is_live(trie, child))
            keep(choice, (Candidate){{value, 0}, beam, token_of(trie, child), (int32_t)child, score, step});
    }
}

/* The log-mass that a step is measured against, over the children that may be taken. */
static float children_mass(const Block *block, const Children *children, const float *logit, float *own)
{
    const Trie *trie = block->trie;
    int real = 0;
    if (!trie->live && !trie->graft_live)
        return log_sum(logit, children->count);
    for (int at = 0; at < children->count; at++)
        if (is_live(trie, child_at(children, at)))
            own[real++] = logit[at];
    return real ? log_sum(own, real) : 0.0f;
}

/* Logits of rows [first, first + count): (count, level size). */
static void level_logits(const Block *block, int first, int count, float *to)
{
    const Model *model = block->model;
    float scale[LOGIT_ROWS];
    norm_factors(block, first, count, scale);
    multiply(split_of(block), count, block->states + (size_t)first * model->width, model->width,
             model->output_of + block->level, to, model->level_sizes[block->level], scale, STORE);
}

/* Logits of a row's children without those of the rest of the level. */
static void few_logits(const Block *block, int row, const Children *children, float *to)
{
    const Model *model = block->model;
    const float *state = block->states + (size_t)row * model->width;
    float scale, *own = block->space->unpacked.data;
    norm_factors(block, row, 1, &scale);
    for (int at = 0; at < children->count; at++) {
        const int64_t token = model->level_rows[block->level] + token_of(block->trie, child_at(children, at));
        const float *output = own;
        if (model->precision == PRECISION_FLOAT)
            output = (const float *)model->output.items + token * model->width;
        else
            copy_row(model->precision, &model->output, token, own);
        to[at] = scale * dot(state, output, model->width);
    }
}

static void gather(const Trie *trie, const Children *children, const float *logits, float *to)
{
    const int count = children->count;
    if (!children->nodes && children->first + count <= trie->base_nodes && trie->token_bytes == 1) {
        const uint8_t *token = (const uint8_t *)trie->token + children->first;
        for (int at = 0; at < count; at++)
            to[at] = logits[token[at]];
        return;
    }
    for (int at = 0; at < count; at++)
        to[at] = logits[token_of(trie, child_at(children, at))];
}

/* Offers what follows one open beam. `chunk` holds the logits of some rows and is refilled here. */
static void expand_row(const Block *block, Choice *choice, int query, int beam, int row, int chunk[2])
{
    const Trie *trie = block->trie;
    const int64_t node = block->node[(int64_t)query * block->width + beam];
    const Children children = children_of(trie, node, block->space->merged.data);
    const int count = children.count, size = block->model->level_sizes[block->level];
    const int normalise = block->request->normalise, room = LOGIT_ROWS;
    float *logits = block->space->logits.data, *own = block->space->child_logit.data;
    float mass = 0.0f;
    if (normalise != NORMALISE_LEVEL && 8 * (int64_t)count < size) {
        few_logits(block, row, &children, own);
    } else {
        if (row >= chunk[1]) {
            chunk[0] = row;
            chunk[1] = row + room < block->rows ? row + room : block->rows;
            level_logits(block, row, chunk[1] - row, logits);
        }
        logits += (size_t)(row - chunk[0]) * size;
        gather(trie, &children, logits, own);
        if (normalise == NORMALISE_LEVEL)
            mass = log_sum(logits, size);
    }
    if (normalise == NORMALISE_CHILDREN && count)
        mass = children_mass(block, &children, own, own + count);
    offer_children(block, choice, query, beam, &children, own, mass);
}

/* What was chosen becomes the query's beams of the next level. */
static void take_chosen(Block *block, Choice *choice, int query)
{
    const int64_t first = (int64_t)query * block->width;
    const int64_t history = (int64_t)block->level * block->count * block->width + first;
    if (choice->size)
        forget_losers(choice);
    block->beams[query] = choice->num_kept;
    for (int at = 0; at < choice->num_kept; at++) {
        const Candidate *one = choice->kept + at;
        block->score[first + at] = one->score;
        block->node[first + at] = one->node;
        block->parent[history + at] = one->parent;
        block->token[history + at] = one->token;
        block->step[history + at] = one->step;
    }
}

static int reserve_choice(Block *block, Choice *choice)
{
    const int size = block->model->level_sizes[block->level];
    const int rows = block->rows < LOGIT_ROWS ? block->rows : LOGIT_ROWS;
    choice->width = block->width;
    choice->room = 4 * block->width + 64;
    choice->heap = reserve(&block->space->heap, block->width, sizeof *choice->heap);
    choice->kept = reserve(&block->space->kept, choice->room, sizeof *choice->kept);
    const int ready = choice->heap && choice->kept
                      && reserve_left(&block->space->split, LOGIT_ROWS, block->model->width)
                      && reserve(&block->space->logits, (size_t)rows * size, sizeof(float))
                      && reserve(&block->space->child_logit, 2 * (size_t)size, sizeof(float))
                      && reserve(&block->space->unpacked, block->model->width, sizeof(float))
                      && reserve(&block->space->merged, size, sizeof(int32_t));
    return ready ? STATUS_DONE : STATUS_NO_MEMORY;
}

/* One level: offer every continuation of every beam, keep the best of each query. */
static int expand(Block *block)
{
    Choice choice;
    int chunk[2] = {0, 0};
    if (reserve_choice(block, &choice))
        return STATUS_NO_MEMORY;
    for (int query = 0; query < block->count; query++) {
        choice.size = choice.num_kept = choice.order = 0;
        for (int beam = 0; beam < block->beams[query]; beam++) {
            const int row = block->row[(int64_t)query * block->width + beam];
            if (row < 0)
                offer_done(block, &choice, query, beam);
            else
                expand_row(block, &choice, query, beam, row, chunk);
        }
        take_chosen(block, &choice, query);
    }
    return STATUS_DONE;
}
