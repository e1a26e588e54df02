/* Weights in fewer bits: how a number is rounded when a model is packed, and how it is read again.

   bfloat16 is the upper half of a float. A byte counts steps, whose length is 1/127 of the largest number
   of its row or column. Sums are floats whatever the weights are, and rounding is the same on every target. */

#define MOST_STEPS 127.0f

typedef uint16_t Half;
typedef Half HalfLanes __attribute__((vector_size(LANES * 2)));
typedef int8_t ByteLanes __attribute__((vector_size(LANES)));
typedef uint32_t WordLanes __attribute__((vector_size(LANES * 4)));

/* Numbers that stand in rows, as they came. */
typedef struct {
    const void *items; /* (rows, columns) of the model's precision */
    const float *row_step, *column_step; /* of bytes: one of the two, the other NULL */
    int columns;
} Table;

static size_t item_bytes(int precision)
{
    return precision == PRECISION_INT8 ? sizeof(int8_t)
                                       : precision == PRECISION_BFLOAT16 ? sizeof(Half) : sizeof(float);
}

INLINE Half nearest_half(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

INLINE float float_of_half(Half half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE int8_t nearest_byte(float value, float step)
{
    const float steps = step > 0.0f ? nearbyintf(value / step) : 0.0f;
    return steps >= MOST_STEPS ? (int8_t)MOST_STEPS : steps > -MOST_STEPS ? (int8_t)steps : (int8_t)-MOST_STEPS;
}

/* Writes a number at a place of an array of the precision. */
INLINE void put_item(int precision, void *items, size_t at, float value, float step)
{
    if (precision == PRECISION_INT8)
        ((int8_t *)items)[at] = nearest_byte(value, step);
    else if (precision == PRECISION_BFLOAT16)
        ((Half *)items)[at] = nearest_half(value);
    else
        ((float *)items)[at] = value;
}

/* What a number reads as once it has been rounded. */
INLINE float rounded(int precision, float value, float step)
{
    return precision == PRECISION_INT8       ? nearest_byte(value, step) * step
           : precision == PRECISION_BFLOAT16 ? float_of_half(nearest_half(value))
                                             : value;
}

/* The step of each of `count` lines of `length` numbers, each number times `factor` of its place on the line. */
static void find_steps(
    float *step, const float *values, int64_t count, int length, ptrdiff_t line_step, ptrdiff_t item_step,
    const float *factor)
{
    for (int64_t line = 0; line < count; line++) {
        float most = 0.0f;
        for (int at = 0; at < length; at++) {
            const float size = fabsf(values[line * line_step + at * item_step] * (factor ? factor[at] : 1.0f));
            most = size > most ? size : most;
        }
        step[line] = most / MOST_STEPS;
    }
}

/* Integers of a vector's lanes from narrower ones; a compiler left to itself goes the long way round. */
INLINE Lanes widened_bytes(const int8_t *from)
{
#if LANES == 16
    return (Lanes)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)from));
#elif defined(__AVX2__)
    return (Lanes)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)from));
#else
    ByteLanes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, Lanes);
#endif
}

INLINE WordLanes widened_halves(const Half *from)
{
#if LANES == 16
    return (WordLanes)_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
#elif defined(__AVX2__)
    return (WordLanes)_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from));
#else
    HalfLanes halves;
    memcpy(&halves, from, sizeof halves);
    return __builtin_convertvector(halves, WordLanes);
#endif
}

/* LANES numbers of an array, without their steps. */
INLINE Vector load_items(const int precision, const void *items, size_t at)
{
    if (precision == PRECISION_INT8)
        return __builtin_convertvector(widened_bytes((const int8_t *)items + at), Vector);
    if (precision == PRECISION_BFLOAT16)
        return (Vector)(widened_halves((const Half *)items + at) << 16);
    return load((const float *)items + at);
}

/* One row as floats. */
static void copy_row(int precision, const Table *table, int64_t row, float *to)
{
    const size_t first = (size_t)row * table->columns;
    if (precision == PRECISION_FLOAT)
        memcpy(to, (const float *)table->items + first, table->columns * sizeof *to);
    else if (precision == PRECISION_BFLOAT16)
        for (int at = 0; at < table->columns; at++)
            to[at] = float_of_half(((const Half *)table->items)[first + at]);
    else
        for (int at = 0; at < table->columns; at++)
            to[at] = ((const int8_t *)table->items)[first + at]
                     * (table->row_step ? table->row_step[row] : table->column_step[at]);
}
