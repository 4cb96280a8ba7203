/* camp_predict.c: what the bounds check says about a mutant before it runs */
#include <string.h>

#include "campaign/campaign_internal.h"

static void predict(const struct comp_program *p, const struct comp_program *original, struct camp_prediction *out)
{
	*out = (struct camp_prediction){.known = true};
	for (uint32_t k = 0; k < p->nkernels; k++) {
		struct lir_bounds b;

		if (k < original->nkernels && p->kernel[k].func == original->kernel[k].func)
			continue;
		lir_bounds(p->kernel[k].func, &b);
		if (b.kind <= out->bounds.kind)
			continue;
		out->bounds = b;
		out->kernel = p->kernel[k].func->name;
	}
}

bool camp_predict(struct arena *a, struct camp_program *p, const struct mutant *m, struct camp_prediction *out, struct err *e)
{
	struct lir_func **func;

	*out = (struct camp_prediction){0};
	if (m->op->kind != MUT_LOOP || !m->sites)
		return true;
	if (!mut_apply_loop(a, &p->subject, m, &func, e))
		return false;
	predict(comp_replace(a, p->program, func), p->program, out);
	return true;
}

const char *camp_prediction_text(struct arena *a, const struct camp_prediction *p)
{
	if (!p->known || p->bounds.kind == LIR_BOUNDS_IN_RANGE)
		return NULL;
	return arena_printf(a, "'%s': %s", p->kernel, p->bounds.text);
}
