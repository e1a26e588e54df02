/* What Python and the compiled core say to each other: flat arrays of known sizes, nothing else.

   Knows no documents and no files. The caller has checked every size and every index; the core
   trusts them. Shapes: B queries, S memory slots, d width, I inner width (heads * head_width),
   F feed-forward width, L levels, N trie nodes, w beams. All matrices are row-major float. */

#ifndef RETROGRAD_NATIVE_H
#define RETROGRAD_NATIVE_H

#include <stdint.h>

enum { NORMALISE_LEVEL = 0, NORMALISE_CHILDREN = 1, NORMALISE_NONE = 2 };
enum { PRECISION_FLOAT = 0, PRECISION_BFLOAT16 = 1, PRECISION_INT8 = 2 };
enum { STATUS_DONE = 0, STATUS_NO_MEMORY = 1 };

/* One layer: root-mean-square norm weights (d) and matrices (inputs, outputs). In an encoder those of
   cross-attention are NULL. */
typedef struct {
    const float *own_norm;
    const float *qkv; /* (d, 3 I) queries, keys, values */
    const float *own_out; /* (I, d) */
    const float *cross_norm;
    const float *query; /* (d, I) */
    const float *key_value; /* (d, 2 I) */
    const float *cross_out; /* (I, d) */
    const float *feed_norm;
    const float *wide; /* (d, F), or (d, 2 F) gate and value where gated */
    const float *narrow; /* (F, d) */
} LayerWeights;

/* Of a decoder; an encoder has no levels and no output (depth 0, NULL). */
typedef struct {
    int32_t width, num_layers, heads, head_width, feed_forward, gated, depth;
    float epsilon, output_scale;
    int32_t precision; /* that the weights are kept in */
    int64_t table_rows;
    const int32_t *level_sizes; /* (L) tokens of each level */
    const int64_t *level_rows; /* (L) row of a level's token 0 in the tables */
    const float *begin; /* (d) what the first step reads */
    const float *embedding; /* (table_rows, d) */
    const float *output; /* (table_rows, d) */
    const float *final_norm; /* (d) */
    const float *position_bias; /* (heads, L, L) by query and key */
    const LayerWeights *layers;
} ModelWeights;

/* A base of M nodes breadth first: edge e leads to node e + 1. What joined since is a small trie of its
   own, of D nodes: its first A nodes below the root stand for nodes of the base, whose numbers are their
   tokens, ascending; each node behind them is node M + (its number - 1 - A) of the whole. */
typedef struct {
    int64_t num_nodes, num_keys, base_nodes; /* N = M + D - 1 - A, or M where nothing joined */
    const int32_t *first_edge; /* (M + 1) */
    const void *token; /* (M) uint8 or int32: what leads to a node */
    int32_t token_bytes;
    int32_t num_grafted; /* A */
    const int32_t *key_of_node; /* (M) -1 at inner nodes */
    const uint8_t *live; /* (M) 0 where nobody may go; or NULL */
    const int32_t *graft_edge; /* (D + 1) */
    const int32_t *graft_token, *graft_key; /* (D) */
    const uint8_t *graft_live; /* (D) or NULL */
} Trie;

typedef struct {
    int64_t batch, slots;
    const float *memory; /* (B, S, d) */
    const uint8_t *where; /* (B, S) 0 at padding */
    const float *prior; /* (B, N) or NULL */
    int32_t width, normalise, threads, block_rows;
} Request;

/* Tokens to encode, and where the states go. */
typedef struct {
    int64_t batch, slots;
    const int64_t *tokens; /* (B, S) */
    const uint8_t *where; /* (B, S) 0 at padding */
    const float *position_bias; /* (heads, S, S) by query and key */
    float *states; /* (B, S, d); zeros at padding */
    int32_t threads, block_rows;
} Texts;

/* Written by the search; the caller has filled them with what stands behind the last answer. */
typedef struct {
    int64_t *keys; /* (B, w) */
    float *scores; /* (B, w) */
    int64_t *paths; /* (B, w, L) */
    float *steps; /* (B, w, L) */
    int32_t *found; /* (B) answers of each query */
} Answers;

/* Points and the centres they are compared with. */
typedef struct {
    int64_t count;
    int32_t width, num_centres;
    const float *points; /* (count, width) */
    const float *centres; /* (num_centres, width) */
    const float *offset; /* (num_centres) squared lengths */
    int64_t *nearest; /* (count) written */
    float *gap; /* (count) written: squared distances less the squared length of the point */
} Points;

typedef struct Model Model;

/* What one processor target offers. */
typedef struct {
    const char *name;
    Model *(*create)(const ModelWeights *weights); /* NULL without memory */
    void (*destroy)(Model *model);
    int (*search)(Model *model, const Trie *trie, const Request *request, const Answers *answers);
    int (*encode)(Model *model, const Texts *texts);
    int64_t (*bytes)(const Model *model); /* of the packed weights */
    int (*nearest)(const Points *points);
} Engine;

#endif
