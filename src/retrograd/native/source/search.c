/* The search of one block of queries: level by level, answers at the end. */

typedef struct {
    const Trie *trie;
    const Request *request;
    const Answers *answers;
} SearchTask;

typedef struct {
    float score;
    int32_t beam;
} Ranked;

static int reserve_block(Block *block)
{
    Workspace *space = block->space;
    const size_t depth = block->model->depth, beams = (size_t)block->count * block->width;
    block->past = reserve(&space->past_at, depth, sizeof *block->past);
    block->past_rows = reserve(&space->past_rows, depth, sizeof *block->past_rows);
    block->score = reserve(&space->score, beams, sizeof(float));
    block->node = reserve(&space->node, beams, sizeof(int32_t));
    block->row = reserve(&space->row, beams, sizeof(int32_t));
    block->beams = reserve(&space->count, 2 * (size_t)block->count, sizeof(int32_t));
    block->slots = block->beams + block->count;
    block->parent = reserve(&space->parent, depth * beams, sizeof(int32_t));
    block->token = reserve(&space->token, depth * beams, sizeof(int32_t));
    block->step = reserve(&space->step, depth * beams, sizeof(float));
    block->ancestor = reserve(&space->ancestor, depth * beams, sizeof(int32_t));
    block->other_ancestor = reserve(&space->other_ancestor, depth * beams, sizeof(int32_t));
    block->row_token = reserve(&space->row_token, beams, sizeof(int32_t));
    block->row_query = reserve(&space->row_query, beams, sizeof(int32_t));
    block->states = reserve(&space->states, beams * block->model->width, sizeof(float));
    const int ready = block->past && block->past_rows && block->score && block->node && block->row && block->beams && block->parent
                      && block->token && block->step && block->ancestor && block->other_ancestor
                      && block->row_token && block->row_query && block->states
                      && reserve(&space->past_of, depth, sizeof(float *))
                      && reserve(&space->parent_row, block->width, sizeof(int32_t))
                      && reserve(&space->ranked, block->width, sizeof(Ranked));
    return ready ? STATUS_DONE : STATUS_NO_MEMORY;
}

/* One beam per query, at the root. */
static void start_beams(Block *block)
{
    block->level = 0;
    block->rows = is_live(block->trie, 0) ? block->count : 0;
    for (int query = 0; query < block->count; query++) {
        const int64_t slot = (int64_t)query * block->width;
        block->beams[query] = block->rows ? 1 : 0;
        block->score[slot] = 0.0f;
        block->node[slot] = 0;
        block->row[slot] = query;
        block->row_query[query] = query;
    }
}

/* Open beams of the next level become its rows; each takes over the ancestors of its parent. */
static void grow_rows(Block *block)
{
    int32_t *parent_row = block->space->parent_row.data;
    const int64_t stride = (int64_t)block->count * block->width;
    const int64_t history = block->level * stride;
    int rows = 0;
    for (int64_t query = 0; query < block->count; query++) {
        const int64_t first = query * block->width;
        memcpy(parent_row, block->row + first, block->width * sizeof *parent_row);
        for (int beam = 0; beam < block->beams[query]; beam++) {
            const int64_t slot = first + beam;
            if (key_of(block->trie, block->node[slot]) >= 0) {
                block->row[slot] = -1;
                continue;
            }
            const int before = parent_row[block->parent[history + slot]];
            for (int level = 0; level < block->level; level++)
                block->other_ancestor[level * stride + rows] = block->ancestor[level * stride + before];
            block->other_ancestor[block->level * stride + rows] = before;
            block->row_token[rows] = block->token[history + slot];
            block->row_query[rows] = query;
            block->row[slot] = rows++;
        }
    }
    int32_t *swapped = block->ancestor;
    block->ancestor = block->other_ancestor;
    block->other_ancestor = swapped;
    block->rows = rows;
    block->level += rows > 0;
}

static int by_score(const void *one, const void *other)
{
    const Ranked *a = one, *b = other;
    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return a->beam < b->beam ? -1 : a->beam > b->beam;
}

/* The way that led to a beam of the last level, last token first. */
static void write_path(const Block *block, int query, int beam, int64_t *path, float *steps)
{
    for (int level = block->level; level >= 0; level--) {
        const int64_t at = ((int64_t)level * block->count + query) * block->width + beam;
        path[level] = block->token[at];
        steps[level] = block->step[at];
        beam = block->parent[at];
    }
}

static void write_answers(const Block *block, int query)
{
    Ranked *ranked = block->space->ranked.data;
    const int64_t out = (block->first + query) * (int64_t)block->request->width, depth = block->model->depth;
    const int64_t first = (int64_t)query * block->width;
    int found = 0;
    for (int beam = 0; beam < block->beams[query]; beam++)
        if (key_of(block->trie, block->node[first + beam]) >= 0)
            ranked[found++] = (Ranked){block->score[first + beam], beam};
    qsort(ranked, found, sizeof *ranked, by_score);
    for (int at = 0; at < found; at++) {
        block->answers->keys[out + at] = key_of(block->trie, block->node[first + ranked[at].beam]);
        block->answers->scores[out + at] = ranked[at].score;
        write_path(block, query, ranked[at].beam, block->answers->paths + (out + at) * depth,
                   block->answers->steps + (out + at) * depth);
    }
    block->answers->found[block->first + query] = found;
}

static int search_levels(Block *block)
{
    if (project_memory(block))
        return STATUS_NO_MEMORY;
    start_beams(block);
    while (block->rows) {
        if (decoder_step(block) || expand(block))
            return STATUS_NO_MEMORY;
        if (block->level + 1 == block->model->depth)
            break;
        grow_rows(block);
    }
    for (int query = 0; query < block->count; query++)
        write_answers(block, query);
    return STATUS_DONE;
}

static int search_block(const void *task, Model *model, Workspace *space, int64_t first, int count)
{
    const SearchTask *search = task;
    Block block = {
        .model = model,
        .trie = search->trie,
        .request = search->request,
        .answers = search->answers,
        .space = space,
        .first = first,
        .count = count,
        .width = search->request->width,
    };
    return reserve_block(&block) || search_levels(&block) ? STATUS_NO_MEMORY : STATUS_DONE;
}

static int search(Model *model, const Trie *trie, const Request *request, const Answers *answers)
{
    const SearchTask task = {trie, request, answers};
    return share_out(model, search_block, &task, request->batch, request->block_rows / request->width,
                     request->threads);
}
