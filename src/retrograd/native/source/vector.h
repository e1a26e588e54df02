/* Vectors of the widest register the target has, through the compiler's own vector type.

   Knows numbers only. Buffers that are read here end in LANES spare floats. */

#include <stddef.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX__)
#include <immintrin.h>
#define LANES 8
#else
#define LANES 4
#endif

#define INLINE static inline __attribute__((always_inline))

typedef float Vector __attribute__((vector_size(LANES * 4)));
typedef int32_t Lanes __attribute__((vector_size(LANES * 4)));

INLINE Vector load(const float *from)
{
    Vector value;
    memcpy(&value, from, sizeof value);
    return value;
}

INLINE void store(float *to, Vector value)
{
    memcpy(to, &value, sizeof value);
}

INLINE Vector spread(float value)
{
    return value - (Vector){0}; /* minus, not plus: a compiler may drop it, -0 included */
}

INLINE Vector choose(Lanes mask, Vector yes, Vector no)
{
    return (Vector)((mask & (Lanes)yes) | (~mask & (Lanes)no));
}

/* All ones in the first `count` lanes. */
INLINE Lanes first_lanes(ptrdiff_t count)
{
    Lanes place;
    for (int lane = 0; lane < LANES; lane++)
        place[lane] = lane;
    return place < (int32_t)(count < LANES ? count : LANES);
}

/* A vector's quarter-registers, which every target can add. */
typedef float Four __attribute__((vector_size(16)));

typedef union {
    Vector whole;
    Four part[LANES / 4];
} Parts;

INLINE float sum_of(Vector value)
{
#if LANES == 16
    return _mm512_reduce_add_ps((__m512)value);
#else
    const Parts parts = {value};
    Four sum = parts.part[0];
    for (int part = 1; part < LANES / 4; part++)
        sum += parts.part[part];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
#endif
}

INLINE float largest_of(Vector value)
{
#if LANES == 16
    return _mm512_reduce_max_ps((__m512)value);
#else
    float largest = value[0];
    for (int lane = 1; lane < LANES; lane++)
        largest = value[lane] > largest ? value[lane] : largest;
    return largest;
#endif
}

INLINE Vector larger(Vector one, Vector other)
{
    return choose(one > other, one, other);
}

/* exp, correct to about one unit in the last place; below -87 the smallest normal number.
   exp(x) = 2^n exp(r) with n = round(x / ln 2), so |r| <= ln 2 / 2 and seven terms suffice. */
INLINE Vector exponential(Vector x)
{
    const Vector shift = spread(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
    x = choose(x < -87.0f, spread(-87.0f), x);
    x = choose(x > 88.0f, spread(88.0f), x);
    Vector shifted = x * 1.44269504f + shift;
    Vector n = shifted - shift;
    Vector r = x - n * 0.693145752f - n * 1.42860677e-6f;
    Vector sum = r * (1.0f / 720) + 1.0f / 120;
    sum = sum * r + 1.0f / 24;
    sum = sum * r + 1.0f / 6;
    sum = sum * r + 0.5f;
    sum = sum * r + 1.0f;
    sum = sum * r + 1.0f;
    return (Vector)((Lanes)sum + (((Lanes)shifted - (Lanes)shift) << 23));
}

INLINE float dot(const float *one, const float *other, ptrdiff_t count)
{
    Vector sum = {0};
    ptrdiff_t at = 0;
    for (; at + LANES <= count; at += LANES)
        sum += load(one + at) * load(other + at);
    float total = sum_of(sum);
    for (; at < count; at++)
        total += one[at] * other[at];
    return total;
}

INLINE float largest(const float *values, ptrdiff_t count)
{
    Vector found = spread(values[0]);
    ptrdiff_t at = 0;
    for (; at + LANES <= count; at += LANES)
        found = larger(found, load(values + at));
    if (at < count)
        found = larger(found, choose(first_lanes(count - at), load(values + at), found));
    return largest_of(found);
}

/* Replaces values by exp(value - shift) and returns their sum. */
INLINE float exponentials(float *values, ptrdiff_t count, float shift)
{
    Vector sum = {0};
    ptrdiff_t at = 0;
    for (; at + LANES <= count; at += LANES) {
        Vector value = exponential(load(values + at) - shift);
        store(values + at, value);
        sum += value;
    }
    if (at < count) {
        Lanes inside = first_lanes(count - at);
        Vector before = load(values + at), value = exponential(before - shift);
        store(values + at, choose(inside, value, before));
        sum += choose(inside, value, (Vector){0});
    }
    return sum_of(sum);
}

/* log of the sum of exp; the values stay. */
INLINE float log_sum(const float *values, ptrdiff_t count)
{
    const float shift = largest(values, count);
    Vector sum = {0};
    ptrdiff_t at = 0;
    for (; at + LANES <= count; at += LANES)
        sum += exponential(load(values + at) - shift);
    if (at < count)
        sum += choose(first_lanes(count - at), exponential(load(values + at) - shift), (Vector){0});
    return shift + logf(sum_of(sum));
}

INLINE void softmax(float *values, ptrdiff_t count)
{
    const float total = 1.0f / exponentials(values, count, largest(values, count));
    for (ptrdiff_t at = 0; at < count; at++)
        values[at] *= total;
}
