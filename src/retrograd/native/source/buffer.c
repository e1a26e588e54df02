/* Aligned memory that grows and is used again: a search allocates only when it is the largest yet. */

typedef struct {
    void *data;
    size_t bytes;
} Buffer;

/* At least `count` items of `size` bytes and a spare vector; old contents are lost. NULL without memory. */
static void *reserve(Buffer *buffer, size_t count, size_t size)
{
    const size_t wanted = (count * size + 2 * sizeof(Vector) + 63) / 64 * 64;
    if (size && count > (SIZE_MAX - 4096) / size)
        return NULL;
    if (wanted > buffer->bytes) {
        free(buffer->data);
        buffer->data = aligned_alloc(64, wanted);
        buffer->bytes = buffer->data ? wanted : 0;
        if (buffer->data)
            memset(buffer->data, 0, wanted);
    }
    return buffer->data;
}

static void discard(Buffer *buffer)
{
    free(buffer->data);
    *buffer = (Buffer){0};
}
