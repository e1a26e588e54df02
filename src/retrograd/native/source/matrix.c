/* Products of a few hundred rows with a matrix that is packed once.

   A packed matrix stands as panels of PANEL columns, each panel row after row, zero behind the last
   column. A tile of up to TILE_ROWS rows times one panel is summed in registers; every sum runs over
   the inner dimension in order, so a row's result does not depend on the rows beside it. */

#if defined(__AVX512F__)
#define TILE_ROWS 12
#elif defined(__AVX__)
#define TILE_ROWS 6
#else
#define TILE_ROWS 4 /* without a fused multiply-add each product needs a register too */
#endif

typedef struct {
    int inner, columns, precision;
    void *panels;
    const float *step; /* (columns, rounded up to PANEL) of bytes, else NULL */
} Matrix;

static size_t packed_size(int inner, int columns)
{
    return (size_t)(columns + PANEL - 1) / PANEL * PANEL * inner;
}

/* Bytes of a packed matrix of weights. */
static size_t packed_bytes(int precision, int inner, int columns)
{
    return packed_size(inner, columns) * item_bytes(precision);
}

typedef struct {
    char none;
} TileShape;

/* These products need no preparation and no room of their own. */
static void begin_products(TileShape *before)
{
    (void)before;
}

static void end_products(const TileShape *before)
{
    (void)before;
}

static int reserve_left(Buffer *left, int rows, int inner)
{
    (void)left, (void)rows, (void)inner;
    return 1;
}

/* Packs (inner, columns) values that stand `row_step` and `column_step` apart, row `r` times `factor[r]`. */
INLINE Matrix pack_as(
    const int precision, void *panels, const float *values, int inner, int columns, ptrdiff_t row_step,
    ptrdiff_t column_step, const float *factor, const float *step)
{
    size_t to = 0;
    for (int first = 0; first < columns; first += PANEL) {
        const int count = columns - first < PANEL ? columns - first : PANEL;
        for (int row = 0; row < inner; row++, to += PANEL) {
            const float *from = values + row * row_step + first * column_step;
            const float times = factor ? factor[row] : 1.0f;
            for (int column = 0; column < count; column++)
                put_item(precision, panels, to + column, from[column * column_step] * times,
                         step ? step[first + column] : 1.0f);
            for (int column = count; column < PANEL; column++)
                put_item(precision, panels, to + column, 0.0f, 1.0f);
        }
    }
    return (Matrix){inner, columns, precision, panels, step};
}

static Matrix pack(
    float *panels, const float *values, int inner, int columns, ptrdiff_t row_step, ptrdiff_t column_step,
    const float *factor)
{
    return pack_as(PRECISION_FLOAT, panels, values, inner, columns, row_step, column_step, factor, NULL);
}

/* The same at any precision; `step` (columns) of bytes, else NULL. */
static Matrix pack_weights(
    int precision, void *panels, const float *values, int inner, int columns, ptrdiff_t row_step,
    ptrdiff_t column_step, const float *factor, const float *step)
{
    return pack_as(precision, panels, values, inner, columns, row_step, column_step, factor, step);
}

INLINE void tile(
    const int precision, const int rows, const float *left, ptrdiff_t left_step, int inner, const void *panel,
    const float *step, float *to, ptrdiff_t to_step, int columns, const float *scale, Finish finish)
{
    Vector sum[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int row = 0; row < rows; row++)
        sum[row][0] = sum[row][1] = (Vector){0};
    for (int at = 0; at < inner; at++) {
        const Vector one = load_items(precision, panel, (size_t)at * PANEL);
        const Vector other = load_items(precision, panel, (size_t)at * PANEL + LANES);
#pragma GCC unroll 12
        for (int row = 0; row < rows; row++) {
            const Vector value = spread(left[row * left_step + at]);
            sum[row][0] += value * one;
            sum[row][1] += value * other;
        }
    }
    if (precision == PRECISION_INT8) {
        const Vector one = load(step), other = load(step + LANES);
#pragma GCC unroll 12
        for (int row = 0; row < rows; row++) {
            sum[row][0] *= one;
            sum[row][1] *= other;
        }
    }
#pragma GCC unroll 12
    for (int row = 0; row < rows; row++, to += to_step)
        put_panel(to, sum[row][0], sum[row][1], scale ? scale[row] : 1.0f, columns, finish);
}

#define TILE(precision, n)                                                                             \
    case n:                                                                                            \
        tile(precision, n, left, left_step, inner, panel, step, to, to_step, columns, scale, finish);  \
        break;
#if TILE_ROWS > 4
#define TILES_TO_6(precision) TILE(precision, 5) TILE(precision, 6)
#else
#define TILES_TO_6(precision)
#endif
#if TILE_ROWS > 6
#define TILES_TO_12(precision)                                                                         \
    TILE(precision, 7) TILE(precision, 8) TILE(precision, 9) TILE(precision, 10) TILE(precision, 11)   \
        TILE(precision, 12)
#else
#define TILES_TO_12(precision)
#endif

/* Tiles of every height, for weights of one precision. */
#define ANY_TILE(name, precision)                                                                      \
    static void name(                                                                                  \
        int rows, const float *left, ptrdiff_t left_step, int inner, const void *panel,                \
        const float *step, float *to, ptrdiff_t to_step, int columns, const float *scale,              \
        Finish finish)                                                                                 \
    {                                                                                                  \
        switch (rows) {                                                                                \
            TILE(precision, 1) TILE(precision, 2) TILE(precision, 3) TILE(precision, 4)                \
            TILES_TO_6(precision) TILES_TO_12(precision)                                               \
        }                                                                                              \
    }

ANY_TILE(tile_of_floats, PRECISION_FLOAT)
ANY_TILE(tile_of_halves, PRECISION_BFLOAT16)
ANY_TILE(tile_of_bytes, PRECISION_INT8)

/* to (rows, columns) = scale (rows) * left (rows, inner) @ matrix, finished; `scale` may be NULL. */
static void multiply(
    const Buffer *split, int rows, const float *left, ptrdiff_t left_step, const Matrix *matrix, float *to, ptrdiff_t to_step,
    const float *scale, Finish finish)
{
    const int tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const char *panel = matrix->panels;
    const size_t panel_bytes = item_bytes(matrix->precision) * PANEL * matrix->inner;
    (void)split;
    void (*const any_tile)(int, const float *, ptrdiff_t, int, const void *, const float *, float *, ptrdiff_t, int,
                           const float *, Finish) =
        matrix->precision == PRECISION_INT8       ? tile_of_bytes
        : matrix->precision == PRECISION_BFLOAT16 ? tile_of_halves
                                                  : tile_of_floats;
    for (int first = 0; first < matrix->columns; first += PANEL) {
        const int left_over = matrix->columns - first, columns = left_over < PANEL ? left_over : PANEL;
        const float *step = matrix->step ? matrix->step + first : NULL;
        for (int number = 0, row = 0; number < tiles; number++) {
            const int count = (rows - row + tiles - number - 1) / (tiles - number); /* tiles of like height */
            any_tile(count, left + row * left_step, left_step, matrix->inner, panel, step,
                     to + row * to_step + first, to_step, columns, scale ? scale + row : NULL, finish);
            row += count;
        }
        panel += panel_bytes;
    }
}
