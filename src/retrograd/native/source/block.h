/* The queries that one thread decodes together, level by level. */

typedef struct {
    const Model *model;
    const Trie *trie;
    const Request *request;
    const Answers *answers;
    Workspace *space;
    int64_t first; /* query of the request */
    int count; /* queries of the block */
    int width; /* beams of a query, at most */
    int level;
    int rows; /* decoder rows of this level, in the order of queries and beams */

    /* beams, (count, width): the beams of a query stand in the order of their prefixes */
    float *score;
    int32_t *node;
    int32_t *row; /* decoder row of an open beam, -1 where the key is complete */
    int32_t *beams; /* (count) beams alive */
    int32_t *parent, *token; /* (L, count, width) how each level's beams continue those before */
    float *step;

    /* rows */
    int32_t *ancestor; /* (L, count * width) row of each earlier level that a row continues */
    int32_t *other_ancestor;
    int32_t *row_token;
    int32_t *row_query;
    float *states; /* (rows, d) */
    float **past; /* (L) of (layers, rows of that level, 3 I) queries, keys and values */
    int *past_rows; /* (L) */

    /* memory */
    int folded;
    Matrix *cross; /* (layers, count, 2) folded; else (layers, count, heads, 2) */
    int32_t *slots; /* (count) memory slots that are no padding */
} Block;

static int largest_int(int one, int other)
{
    return one > other ? one : other;
}
