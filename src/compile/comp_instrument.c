/* comp_instrument.c: checks in the kernels that a mutant does not share with the original */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "compile/compile_internal.h"

static bool instrument(struct comp_program *p, uint32_t k, const struct lir_func *original, unsigned checks, struct err *e)
{
	struct comp_kernel *kernel = &p->kernel[k];
	struct lir_instrumented *r = ARENA_NEW(p->arena, struct lir_instrumented);

	kernel->checks = NULL;
	kernel->checked = NULL;
	if (!lir_instrument(p->arena, kernel->func, original, checks, r, e))
		return false;
	if (r->func)
		kernel->checks = r;
	return true;
}

/* A mutant of the loop IR has the original's kernels but for some; one of the graph is lowered anew, and has many of the same text.
 */
bool comp_instrument(struct comp_program *p, const struct comp_program *original, unsigned checks, struct err *e)
{
	bool mutated_loops = p->graph == original->graph, ok = true;
	struct arena *scratch = arena_new(NULL);
	struct map *same = map_new(scratch);

	if (!mutated_loops)
		checks &= ~LIR_CHECK_TRIPS; /* lowerings have bounds that are known */
	for (uint32_t k = 0; checks && !mutated_loops && k < original->nkernels; k++)
		map_put_hash(same, lir_hash(original->kernel[k].func), p);
	for (uint32_t k = 0; ok && checks && k < p->nkernels; k++) {
		if (mutated_loops && p->kernel[k].func != original->kernel[k].func)
			ok = instrument(p, k, original->kernel[k].func, checks, e);
		else if (!mutated_loops && !map_get_hash(same, lir_hash(p->kernel[k].func)))
			ok = instrument(p, k, NULL, checks, e);
	}
	arena_free(scratch);
	return ok;
}
