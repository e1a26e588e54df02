/* Blocks of queries over threads. Which thread takes a block changes no result. */

#define MOST_THREADS 256

typedef int (*Worker)(const void *task, Model *model, Workspace *space, int64_t first, int count);

typedef struct {
    Model *model;
    Worker worker;
    const void *task;
    int64_t batch, block; /* queries of all, and of one block */
    int64_t next;
    int status;
} Job;

static void *work(void *shared)
{
    Job *job = shared;
    Workspace *space = borrow(job->model);
    int status = space ? STATUS_DONE : STATUS_NO_MEMORY;
    TileShape before;
    begin_products(&before);
    while (!status) {
        const int64_t first = __atomic_fetch_add(&job->next, job->block, __ATOMIC_RELAXED);
        const int64_t left = job->batch - first;
        if (left <= 0)
            break;
        status = job->worker(job->task, job->model, space, first, left < job->block ? left : job->block);
    }
    end_products(&before);
    if (space)
        give_back(job->model, space);
    if (status)
        __atomic_store_n(&job->status, status, __ATOMIC_RELAXED);
    return NULL;
}

/* Blocks are of `by_rows` queries, about, and of fewer where that occupies more threads. */
static int share_out(
    Model *model, Worker worker, const void *task, int64_t batch, int64_t by_rows, int most_threads)
{
    pthread_t threads[MOST_THREADS];
    const int64_t by_thread = (batch + most_threads - 1) / most_threads;
    const int64_t chosen = by_rows < by_thread ? by_rows : by_thread, block = chosen < 1 ? 1 : chosen;
    const int64_t blocks = (batch + block - 1) / block;
    Job job = {model, worker, task, batch, block, 0, STATUS_DONE};
    int started = 0;
    while (started < MOST_THREADS && started + 1 < most_threads && started + 1 < blocks) {
        if (pthread_create(threads + started, NULL, work, &job))
            break; /* the threads there are do the work */
        started++;
    }
    work(&job);
    for (int at = 0; at < started; at++)
        pthread_join(threads[at], NULL);
    return job.status;
}
