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
    int inner, columns;
    float *panels;
} Matrix;

static size_t packed_size(int inner, int columns)
{
    return (size_t)(columns + PANEL - 1) / PANEL * PANEL * inner;
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
static Matrix pack(
    float *panels, const float *values, int inner, int columns, ptrdiff_t row_step, ptrdiff_t column_step,
    const float *factor)
{
    float *to = panels;
    for (int first = 0; first < columns; first += PANEL) {
        const int count = columns - first < PANEL ? columns - first : PANEL;
        for (int row = 0; row < inner; row++, to += PANEL) {
            const float *from = values + row * row_step + first * column_step;
            const float times = factor ? factor[row] : 1.0f;
            for (int column = 0; column < count; column++)
                to[column] = from[column * column_step] * times;
            memset(to + count, 0, (PANEL - count) * sizeof *to);
        }
    }
    return (Matrix){inner, columns, panels};
}

INLINE void tile(
    const int rows, const float *left, ptrdiff_t left_step, int inner, const float *panel, float *to,
    ptrdiff_t to_step, int columns, const float *scale, Finish finish)
{
    Vector sum[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int row = 0; row < rows; row++)
        sum[row][0] = sum[row][1] = (Vector){0};
    for (int at = 0; at < inner; at++, panel += PANEL) {
        const Vector one = load(panel), other = load(panel + LANES);
#pragma GCC unroll 12
        for (int row = 0; row < rows; row++) {
            const Vector value = spread(left[row * left_step + at]);
            sum[row][0] += value * one;
            sum[row][1] += value * other;
        }
    }
#pragma GCC unroll 12
    for (int row = 0; row < rows; row++, to += to_step)
        put_panel(to, sum[row][0], sum[row][1], scale ? scale[row] : 1.0f, columns, finish);
}

#define TILE(n)                                                                                        \
    case n:                                                                                            \
        tile(n, left, left_step, inner, panel, to, to_step, columns, scale, finish);                   \
        break;

static void any_tile(
    int rows, const float *left, ptrdiff_t left_step, int inner, const float *panel, float *to,
    ptrdiff_t to_step, int columns, const float *scale, Finish finish)
{
    switch (rows) {
        TILE(1) TILE(2) TILE(3) TILE(4)
#if TILE_ROWS > 4
        TILE(5) TILE(6)
#endif
#if TILE_ROWS > 6
        TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif
    }
}

/* to (rows, columns) = scale (rows) * left (rows, inner) @ matrix, finished; `scale` may be NULL. */
static void multiply(
    const Buffer *split, int rows, const float *left, ptrdiff_t left_step, const Matrix *matrix, float *to, ptrdiff_t to_step,
    const float *scale, Finish finish)
{
    const int tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const float *panel = matrix->panels;
    (void)split;
    for (int first = 0; first < matrix->columns; first += PANEL) {
        const int left_over = matrix->columns - first, columns = left_over < PANEL ? left_over : PANEL;
        for (int number = 0, row = 0; number < tiles; number++) {
            const int count = (rows - row + tiles - number - 1) / (tiles - number); /* tiles of like height */
            any_tile(count, left + row * left_step, left_step, matrix->inner, panel,
                     to + row * to_step + first, to_step, columns, scale ? scale + row : NULL, finish);
            row += count;
        }
        panel += (size_t)PANEL * matrix->inner;
    }
}
