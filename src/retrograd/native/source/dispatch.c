/* The library's doors: the engine for this processor, chosen while the program runs.

   A target is there when the build was asked for it (HAVE_...); the plain one always is. */

#include <stddef.h>

#include "native.h"

#define EXPORT __attribute__((visibility("default")))
#define LAYOUT_VERSION 3

extern const Engine engine_plain;
#ifdef HAVE_AVX2
extern const Engine engine_avx2;
#endif
#ifdef HAVE_AVX512
extern const Engine engine_avx512;
#endif
#ifdef HAVE_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

extern const Engine engine_amx;

/* Whether there is a bfloat16 matrix unit and the kernel lends this process its registers. */
static int has_matrix_unit(void)
{
    enum { LEAF = 7, BFLOAT16 = 1 << 22, TILES = 1 << 24, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(LEAF, 0, &a, &b, &c, &d) || (d & (BFLOAT16 | TILES)) != (BFLOAT16 | TILES))
        return 0;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}
#endif

/* Best first; those that the processor cannot run are left out. */
static int engines(const Engine **found)
{
    int count = 0;
#ifdef HAVE_AVX512
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
#ifdef HAVE_AMX
        if (has_matrix_unit())
            found[count++] = &engine_amx;
#endif
        found[count++] = &engine_avx512;
    }
#endif
#ifdef HAVE_AVX2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        found[count++] = &engine_avx2;
#endif
    found[count++] = &engine_plain;
    return count;
}

/* What the binding must have been written for. */
EXPORT int retrograd_layout(void)
{
    return LAYOUT_VERSION;
}

/* The engine at a place of the list, best first; NULL behind the last. */
EXPORT const Engine *retrograd_engine(int place)
{
    const Engine *found[4];
    const int count = engines(found);
    return place >= 0 && place < count ? found[place] : NULL;
}

EXPORT const char *retrograd_name(const Engine *engine)
{
    return engine->name;
}

EXPORT Model *retrograd_create(const Engine *engine, const ModelWeights *weights)
{
    return engine->create(weights);
}

EXPORT void retrograd_destroy(const Engine *engine, Model *model)
{
    engine->destroy(model);
}

EXPORT int retrograd_search(
    const Engine *engine, Model *model, const Trie *trie, const Request *request, const Answers *answers)
{
    return engine->search(model, trie, request, answers);
}

EXPORT int64_t retrograd_bytes(const Engine *engine, const Model *model)
{
    return engine->bytes(model);
}

EXPORT int retrograd_encode(const Engine *engine, Model *model, const Texts *texts)
{
    return engine->encode(model, texts);
}

EXPORT int retrograd_nearest(const Engine *engine, const Points *points)
{
    return engine->nearest(points);
}
