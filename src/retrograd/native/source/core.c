/* The whole engine as one translation unit, compiled once per processor target.

   TARGET names the target; what the compiler was allowed to use decides the width of the vectors. */

#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"
#include "vector.h"

#include "buffer.c"
#include "precision.c"
#include "finish.c"
#ifdef __AMX_BF16__
#include "matrix_amx.c"
#else
#include "matrix.c"
#endif
#include "model.c"
#include "workspace.c"
#include "share.c"
#include "trie.c"
#include "block.h"
#include "memory.c"
#include "decoder.c"
#include "select.c"
#include "search.c"
#include "encoder.c"
#include "nearest.c"

#define JOINED(one, other) one##other
#define NAMED(target) JOINED(engine_, target)
#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

const Engine NAMED(TARGET) = {TEXT(TARGET), create, destroy, search, encode, packed_bytes_of, nearest};
