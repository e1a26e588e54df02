/* What one thread computes in: kept between searches, so that a search seldom allocates. */

#define KEPT_BYTES ((size_t)256 << 20)
#define NUM_BUFFERS (sizeof(((Workspace *)0)->all) / sizeof(Buffer))

struct Workspace {
    Workspace *next;
    union {
        struct {
            Buffer states, query, mixed, inner, scale, logits, split; /* of decoder rows */
            Buffer cross, cross_at, memory, both; /* of memory slots */
            Buffer score, node, row, count, parent, token, step; /* of beams */
            Buffer ancestor, other_ancestor, row_token, row_query; /* of rows */
            Buffer heap, kept, child_logit, past_of, parent_row, ranked, past_at, past_rows, unpacked, merged;
        };
        Buffer all[32];
    };
    Buffer *past; /* (L) keys and values of each level's rows */
    int depth;
};

static void free_workspace(Workspace *space)
{
    for (size_t at = 0; at < NUM_BUFFERS; at++)
        discard(space->all + at);
    for (int level = 0; level < space->depth; level++)
        discard(space->past + level);
    free(space->past);
    free(space);
}

static Workspace *borrow(Model *model)
{
    pthread_mutex_lock(&model->lock);
    Workspace *space = model->idle;
    if (space)
        model->idle = space->next;
    pthread_mutex_unlock(&model->lock);
    if (space || !(space = calloc(1, sizeof *space)))
        return space;
    space->depth = model->depth;
    space->past = calloc(model->depth + 1, sizeof *space->past); /* an encoder has none */
    if (!space->past) {
        free(space);
        return NULL;
    }
    return space;
}

static void give_back(Model *model, Workspace *space)
{
    size_t bytes = 0;
    for (size_t at = 0; at < NUM_BUFFERS; at++)
        bytes += space->all[at].bytes;
    for (int level = 0; level < space->depth; level++)
        bytes += space->past[level].bytes;
    if (bytes > KEPT_BYTES) {
        free_workspace(space);
        return;
    }
    pthread_mutex_lock(&model->lock);
    space->next = model->idle;
    model->idle = space;
    pthread_mutex_unlock(&model->lock);
}

static void release_idle(Model *model)
{
    while (model->idle) {
        Workspace *space = model->idle;
        model->idle = space->next;
        free_workspace(space);
    }
}
