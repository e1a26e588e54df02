/* The products of `matrix.c` on the matrix unit of newer Intel processors, at float precision.

   Every number is the sum of two bfloat16 (8 + 8 bits): a product is then three products of halves,
   high * high + high * low + low * high, summed in float; what is left out is below 2^-17 of it. A
   tile is 16 rows of 64 bytes. A packed matrix stands as panels of PANEL columns, each panel as blocks
   of BLOCK inner places, each block as four tiles: high and low halves of 16 and 16 columns, with
   two inner places side by side. The left side is split into tiles once per product. */

#define TILE_SIDE 16
#define BLOCK 32
#define TILE_ITEMS (TILE_SIDE * BLOCK)

typedef struct {
    int inner, columns, precision;
    void *panels;
    const float *step; /* unused: steps are in the numbers */
} Matrix;

typedef struct __attribute__((aligned(64))) {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileShape;

/* Every thread that multiplies shapes its tiles first and gives them back as they were. */
static void begin_products(TileShape *before)
{
    TileShape shape = {.palette = 1};
    for (int tile = 0; tile < 8; tile++) {
        shape.row_bytes[tile] = 64;
        shape.rows[tile] = TILE_SIDE;
    }
    _tile_storeconfig(before);
    _tile_loadconfig(&shape);
}

static void end_products(const TileShape *before)
{
    if (before->palette)
        _tile_loadconfig(before);
    else
        _tile_release();
}

static size_t padded_to(size_t count, size_t step)
{
    return (count + step - 1) / step * step;
}

static size_t packed_size(int inner, int columns)
{
    return padded_to(columns, PANEL) * padded_to(inner, BLOCK);
}

/* Bytes of a packed matrix of weights: rounded weights stand here at float precision, as all numbers do. */
static size_t packed_bytes(int precision, int inner, int columns)
{
    (void)precision;
    return packed_size(inner, columns) * sizeof(float);
}

/* Room for the split left side of a product. */
static int reserve_left(Buffer *left, int rows, int inner)
{
    return reserve(left, padded_to(rows, 2 * TILE_SIDE) * padded_to(inner, BLOCK), 2 * sizeof(Half)) != NULL;
}

/* The nearest bfloat16 of each lane, in its upper half; the lower half is 0. */
INLINE Lanes nearest(Vector value)
{
    const Lanes bits = (Lanes)value;
    return (bits + 0x7fff + ((bits >> 16) & 1)) & (int32_t)0xffff0000;
}

typedef struct {
    Lanes high, low;
} Halves;

INLINE Halves halves_of(Vector value)
{
    const Lanes high = nearest(value);
    return (Halves){high, nearest(value - (Vector)high)};
}

INLINE Lanes side_by_side(Lanes even, Lanes odd)
{
    return ((even >> 16) & 0xffff) | odd;
}

/* Two inner places of 32 columns, as one row of each of a block's four tiles. */
static void pack_pair(Half *tiles, const float *even, const float *odd)
{
    for (int side = 0; side < 2; side++) {
        const Halves first = halves_of(load(even + side * LANES)), second = halves_of(load(odd + side * LANES));
        const Lanes high = side_by_side(first.high, second.high), low = side_by_side(first.low, second.low);
        memcpy(tiles + side * TILE_ITEMS, &high, sizeof high);
        memcpy(tiles + (2 + side) * TILE_ITEMS, &low, sizeof low);
    }
}

INLINE void read_row(
    const int precision, float *to, const float *from, int count, ptrdiff_t column_step, float factor, const float *step)
{
    for (int column = 0; column < PANEL; column++)
        to[column] = column < count ? rounded(precision, from[column * column_step] * factor,
                                              step ? step[column] : 1.0f)
                                    : 0.0f;
}

/* Packs (inner, columns) values that stand `row_step` and `column_step` apart, row `r` times `factor[r]`. */
INLINE Matrix pack_as(
    const int precision, void *panels, const float *values, int inner, int columns, ptrdiff_t row_step,
    ptrdiff_t column_step, const float *factor, const float *step)
{
    const int places = padded_to(inner, BLOCK);
    float pair[2][PANEL];
    Half *to = (Half *)panels;
    for (int first = 0; first < columns; first += PANEL)
        for (int place = 0; place < places; place += 2) {
            for (int odd = 0; odd < 2; odd++) {
                const int row = place + odd, count = row < inner ? columns - first : 0;
                read_row(precision, pair[odd], values + row * row_step + first * column_step, count, column_step,
                         factor && row < inner ? factor[row] : 1.0f, step ? step + first : NULL);
            }
            pack_pair(to, pair[0], pair[1]);
            to += (place + 2) % BLOCK ? BLOCK : BLOCK + 3 * TILE_ITEMS;
        }
    return (Matrix){inner, columns, precision, panels, NULL};
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

/* 16 bfloat16 as float. */
INLINE __m512 widened(__m256i halves)
{
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
}

/* 32 places of one row -> a row of a high and of a low tile; the tiles stand behind one another. */
INLINE void split_places(Half *to, const float *from, int count)
{
    float part[BLOCK];
    if (count < BLOCK) {
        memset(part, 0, sizeof part);
        memcpy(part, from, count * sizeof *part);
        from = part;
    }
    const __m512 first = _mm512_loadu_ps(from), second = _mm512_loadu_ps(from + LANES);
    const __m512i high = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    const __m512 rest = first - widened(_mm512_castsi512_si256(high));
    const __m512 other_rest = second - widened(_mm512_extracti64x4_epi64(high, 1));
    _mm512_storeu_si512(to, high);
    _mm512_storeu_si512(to + TILE_ITEMS, (__m512i)_mm512_cvtne2ps_pbh(other_rest, rest));
}

/* Tiles in the order of row tiles, then inner blocks, then high and low. */
static void split_left(Half *to, int rows, const float *left, ptrdiff_t left_step, int inner)
{
    const int blocks = padded_to(inner, BLOCK) / BLOCK;
    for (int row = 0; row < rows; row++) {
        Half *own = to + (size_t)(row / TILE_SIDE) * blocks * 2 * TILE_ITEMS + row % TILE_SIDE * BLOCK;
        for (int block = 0; block < blocks; block++)
            split_places(own + block * 2 * TILE_ITEMS, left + row * left_step + block * BLOCK,
                         inner - block * BLOCK);
    }
}

/* The compiler does not see what a tile instruction reads and writes: no memory access may pass here. */
INLINE void settle_memory(void)
{
    __asm__ volatile("" ::: "memory");
}

/* 32 rows times one panel; `lower` is the second row tile. */
INLINE void four_tiles(const Half *upper, const Half *lower, const Half *panel, int blocks, float *to)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int block = 0; block < blocks; block++) {
        _tile_loadd(6, panel, 64);
        _tile_loadd(7, panel + TILE_ITEMS, 64);
        _tile_loadd(4, upper + TILE_ITEMS, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, lower + TILE_ITEMS, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        _tile_loadd(4, upper, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, lower, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        _tile_loadd(6, panel + 2 * TILE_ITEMS, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(2, 5, 6);
        _tile_loadd(7, panel + 3 * TILE_ITEMS, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(3, 5, 7);
        panel += 4 * TILE_ITEMS, upper += 2 * TILE_ITEMS, lower += 2 * TILE_ITEMS;
    }
    _tile_stored(0, to, 4 * PANEL);
    _tile_stored(1, to + TILE_SIDE, 4 * PANEL);
    to += TILE_SIDE * PANEL;
    _tile_stored(2, to, 4 * PANEL);
    _tile_stored(3, to + TILE_SIDE, 4 * PANEL);
}

/* The same sums for 16 rows. */
INLINE void two_tiles(const Half *upper, const Half *panel, int blocks, float *to)
{
    _tile_zero(0);
    _tile_zero(1);
    for (int block = 0; block < blocks; block++) {
        _tile_loadd(6, panel, 64);
        _tile_loadd(7, panel + TILE_ITEMS, 64);
        _tile_loadd(4, upper + TILE_ITEMS, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, upper, 64);
        _tile_dpbf16ps(0, 5, 6);
        _tile_dpbf16ps(1, 5, 7);
        _tile_loadd(2, panel + 2 * TILE_ITEMS, 64);
        _tile_loadd(3, panel + 3 * TILE_ITEMS, 64);
        _tile_dpbf16ps(0, 5, 2);
        _tile_dpbf16ps(1, 5, 3);
        panel += 4 * TILE_ITEMS, upper += 2 * TILE_ITEMS;
    }
    _tile_stored(0, to, 4 * PANEL);
    _tile_stored(1, to + TILE_SIDE, 4 * PANEL);
}

/* Sums of up to 32 rows and one panel that wait to be finished. */
typedef struct {
    const float *made;
    float *to;
    const float *scale;
    int rows, columns;
} Sums;

INLINE void finish_rows(const Sums *sums, ptrdiff_t to_step, int columns, Finish finish)
{
    float *to = sums->to;
    for (int row = 0; row < sums->rows; row++, to += to_step)
        put_panel(to, load(sums->made + row * PANEL), load(sums->made + row * PANEL + LANES),
                  sums->scale ? sums->scale[row] : 1.0f, columns, finish);
}

INLINE void finish_sums(const Sums *sums, ptrdiff_t to_step, Finish finish)
{
    if (sums->columns < PANEL)
        finish_rows(sums, to_step, sums->columns, finish);
    else if (finish == STORE)
        finish_rows(sums, to_step, PANEL, STORE);
    else if (finish == ADD)
        finish_rows(sums, to_step, PANEL, ADD);
    else
        finish_rows(sums, to_step, PANEL, RELU);
}

/* to (rows, columns) = scale (rows) * left (rows, inner) @ matrix, finished; `scale` may be NULL. */
static void multiply(
    const Buffer *split, int rows, const float *left, ptrdiff_t left_step, const Matrix *matrix, float *to,
    ptrdiff_t to_step, const float *scale, Finish finish)
{
    const int blocks = padded_to(matrix->inner, BLOCK) / BLOCK;
    const size_t row_tile = (size_t)blocks * 2 * TILE_ITEMS;
    const Half *panel = (const Half *)matrix->panels;
    Half *tiles = split->data;
    float made[2][2 * TILE_SIDE * PANEL] __attribute__((aligned(64)));
    Sums before = {0};
    int turn = 0;
    split_left(tiles, rows, left, left_step, matrix->inner);
    settle_memory();
    for (int first = 0; first < matrix->columns; first += PANEL, panel += (size_t)blocks * 4 * TILE_ITEMS) {
        const int left_over = matrix->columns - first, columns = left_over < PANEL ? left_over : PANEL;
        for (int row = 0; row < rows; row += 2 * TILE_SIDE, turn = !turn) {
            const Half *upper = tiles + row / TILE_SIDE * row_tile;
            const int count = rows - row < 2 * TILE_SIDE ? rows - row : 2 * TILE_SIDE;
            if (count > TILE_SIDE)
                four_tiles(upper, upper + row_tile, panel, blocks, made[turn]);
            else
                two_tiles(upper, panel, blocks, made[turn]);
            /* what came before is finished while the matrix unit is busy */
            finish_sums(&before, to_step, finish);
            settle_memory();
            before = (Sums){made[turn], to + row * to_step + first, scale ? scale + row : NULL, count, columns};
        }
    }
    finish_sums(&before, to_step, finish);
}
