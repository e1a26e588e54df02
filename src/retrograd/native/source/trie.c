/* A trie and what has been grafted onto it, walked as one.

   A node's children stand in the order of their tokens. Most nodes have those of the base only, or are
   grafted themselves: their children have consecutive numbers. Those of the others are merged. */

/* Consecutive from `first`, or as `nodes` says where that is not NULL. */
typedef struct {
    int64_t first;
    int count;
    const int32_t *nodes;
} Children;

INLINE int64_t child_at(const Children *children, int at)
{
    return children->nodes ? children->nodes[at] : children->first + at;
}

/* From a node's number in the grafts to its number in the whole. */
INLINE int64_t graft_offset(const Trie *trie)
{
    return trie->base_nodes - 1 - trie->num_grafted;
}

INLINE int32_t token_of(const Trie *trie, int64_t node)
{
    if (node >= trie->base_nodes)
        return trie->graft_token[node - graft_offset(trie)];
    return trie->token_bytes == 1 ? ((const uint8_t *)trie->token)[node] : ((const int32_t *)trie->token)[node];
}

INLINE int32_t key_of(const Trie *trie, int64_t node)
{
    return node < trie->base_nodes ? trie->key_of_node[node] : trie->graft_key[node - graft_offset(trie)];
}

INLINE int is_live(const Trie *trie, int64_t node)
{
    if (node < trie->base_nodes)
        return !trie->live || trie->live[node];
    return !trie->graft_live || trie->graft_live[node - graft_offset(trie)];
}

/* The node of the grafts that stands for a node of the whole; 0 where there is none. */
static int64_t graft_of(const Trie *trie, int64_t node)
{
    if (node >= trie->base_nodes)
        return node - graft_offset(trie);
    const int32_t *grafted = trie->graft_token + 1;
    int low = 0, high = trie->num_grafted;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (grafted[middle] < node)
            low = middle + 1;
        else
            high = middle;
    }
    return low < trie->num_grafted && grafted[low] == node ? low + 1 : 0;
}

/* `merged` has room for the children of both kinds that one node can have. */
static Children children_of(const Trie *trie, int64_t node, int32_t *merged)
{
    Children own = {0}, grafted = {0};
    if (node < trie->base_nodes) {
        own.first = trie->first_edge[node] + 1;
        own.count = trie->first_edge[node + 1] + 1 - own.first;
    }
    const int64_t at = trie->num_grafted ? graft_of(trie, node) : 0;
    if (!at)
        return own;
    grafted.first = trie->graft_edge[at] + 1 + graft_offset(trie);
    grafted.count = trie->graft_edge[at + 1] - trie->graft_edge[at];
    if (!own.count || !grafted.count)
        return own.count ? own : grafted;
    for (int one = 0, other = 0; one + other < own.count + grafted.count;) {
        const int from_own = other == grafted.count
                             || (one < own.count
                                 && token_of(trie, own.first + one) < token_of(trie, grafted.first + other));
        merged[one + other] = from_own ? own.first + one : grafted.first + other;
        one += from_own, other += !from_own;
    }
    return (Children){0, own.count + grafted.count, merged};
}
