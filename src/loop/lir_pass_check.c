/* lir_pass_check.c: instrumentation as passes, for tests and for looking at: `sanitize` and `budget` */
#include "base/arena.h"
#include "loop/loop_internal.h"

static bool apply(struct lir_func *f, unsigned checks, bool *changed, struct err *e)
{
	struct lir_instrumented r;

	if (!lir_instrument(f->arena, f, NULL, checks, &r, e))
		return false;
	*changed = r.func != NULL;
	if (r.func)
		*f = *r.func;
	return true;
}

static bool sanitize(struct lir_func *f, bool *changed, struct err *e)
{
	return apply(f, LIR_CHECK_BOUNDS | LIR_CHECK_INIT, changed, e);
}

static bool budget(struct lir_func *f, bool *changed, struct err *e)
{
	return apply(f, LIR_CHECK_TRIPS, changed, e);
}

const struct lir_pass lir_pass_sanitize = {
    .name = "sanitize",
    .summary = "check bounds where they are not proved, and that what is read was written; report the first offence",
    .run = sanitize,
};

const struct lir_pass lir_pass_budget = {
    .name = "budget",
    .summary = "limit loops whose number of iterations is not known to be small, and report those that would run longer",
    .run = budget,
};
