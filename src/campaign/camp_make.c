/* camp_make.c: a mutant's programs, one for each variant of the original */
#include <string.h>

#include "campaign/campaign_internal.h"

/* The same mutant of another variant's functions; false: there is no such place. */
static bool counterpart(struct camp *c, const struct mutant *m, size_t v, struct arena *a, struct mutant *out, struct err *why)
{
	*out = *m;
	return !v || m->all || m->op->kind != MUT_LOOP || mut_parse(a, &c->variant[v].program.subject, m->id, out, why);
}

/* Some changed kernel's iterations may meet in one element. */
static bool may_race(const struct comp_program *p, const struct comp_program *original)
{
	for (uint32_t k = 0; k < p->nkernels; k++)
		if (p->kernel[k].func != original->kernel[k].func && !lir_iterations_disjoint(p->kernel[k].func))
			return true;
	return false;
}

/* Budgets, and the checks of --sanitize, in what is not the original's; the program stays what it is without them. */
static bool instrument(struct camp *c, struct camp_variant *variant, struct camp_made *made, struct camp_made_program *out, struct err *e)
{
	unsigned checks = LIR_CHECK_TRIPS | (c->config->sanitize ? LIR_CHECK_BOUNDS | LIR_CHECK_INIT : 0);
	double began = camp_now(), lowered;
	bool ok = comp_instrument(out->program, variant->program.program, checks, e);

	lowered = camp_now();
	variant->program.lower_s += lowered - began;
	ok = ok && comp_bundle(made->a, out->program, variant->target.dialect, &out->bundle, e);
	variant->program.emit_s += camp_now() - lowered;
	return ok;
}

/* Applies the mutation and compiles the result; what goes wrong here is the mutant's outcome, not the campaign's end. */
static void make_variant(struct camp *c, const struct mutant *m, struct camp_made *made, size_t v)
{
	struct camp_variant *variant = &c->variant[v];
	struct camp_made_program *out = &made->program[v], *functions = &made->program[variant->of];
	struct mutant own;
	struct err why = {0};
	bool same = false, ok;
	double began;

	if (variant->of != v) {
		*out = *functions;
		if (!out->bundle)
			return;
		ok = comp_bundle(made->a, out->program, variant->target.dialect, &out->bundle, &why);
	} else if (!counterpart(c, m, v, made->a, &own, &why)) {
		out->decided = OUTCOME_NO_SITE;
		out->message = arena_strdup(made->a, err_text(&why));
		err_free(&why);
		return;
	} else {
		ok = camp_mutate(made->a, c->model, &variant->program, &own, &out->bundle, &out->program, &same, &why);
		if (ok && !same)
			ok = instrument(c, variant, made, out, &why);
	}
	if (!ok) {
		out->bundle = NULL;
		out->decided = why.code == ERR_BAD_IR ? OUTCOME_TOOL_ERROR : OUTCOME_BUILD_FAILED;
		out->message = arena_strdup(made->a, err_text(&why));
	} else if (same) {
		out->bundle = NULL;
		out->decided = OUTCOME_NO_EFFECT;
	}
	began = camp_now();
	if (out->bundle)
		camp_looks(out, variant->program.bundle);
	out->looks = out->looks && !c->config->sanitize; /* what looks where it should not is found, and reads one and the same value */
	if (out->bundle && m->op->kind == MUT_LOOP && variant->of == v)
		out->races = may_race(out->program, variant->program.program);
	variant->program.lower_s += camp_now() - began;
	err_free(&why);
}

bool camp_make(struct camp *c, const struct mutant *m, struct camp_made *out, struct err *e)
{
	out->a = arena_new(c->a);
	out->program = ARENA_ARRAY(out->a, struct camp_made_program, c->nvariants);
	if (m->op->kind == MUT_INPUT && m->sites &&
	    !camp_inputs_edited(out->a, c->model, c->input, c->ninputs, mut_input_edit(m), &out->input, e))
		return false;
	for (size_t v = 0; v < c->nvariants; v++) {
		if (!m->sites)
			out->program[v].decided = OUTCOME_NO_SITE;
		else if (m->op->kind == MUT_INPUT)
			out->program[v].bundle = c->variant[v].program.bundle;
		else
			make_variant(c, m, out, v);
	}
	return true;
}
