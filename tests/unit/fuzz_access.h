/* fuzz_access.h: random functions whose indices are sums, quotients, minima and choices of loop variables and data
 *
 * Parameters: x f32[4, 6], n i64[8], v (a view), and the outputs y f32[8] and, with any of the bits below, z i32[16].
 */
#pragma once
#include <stdint.h>

#include "loop/loop.h"

struct arena;

#define FUZZ_ACCESS_DATA 4 /* sets of data for the parameters */
#define FUZZ_STORES 1u     /* stores at random places, local arrays, outputs that are read, narrow stores */
#define FUZZ_VECTORS 2u    /* and vectors */
#define FUZZ_VIEWS 4u      /* and views that leave their memory */
#define FUZZ_PARALLEL 8u   /* inside a parallel loop */

struct lir_func *fuzz_access_func(struct arena *a, uint64_t seed, unsigned with);
void **fuzz_access_data(struct arena *a, const struct lir_func *f, int which);
