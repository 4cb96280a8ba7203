/* mut_control.c: changes that must not change anything - what a device makes of them is its noise, not a fault
 *
 * They are no mutation operators of a campaign: a glob reaches them only when it begins with "control".
 */
#include "mutate/mutate_internal.h"

static const char *const one_variant[] = {"once", NULL};

/* ---- x + y becomes y + x ---- */

static uint64_t commute_sites(const struct mut_place *p)
{
	const struct lir_expr *x = p->expr ? *p->expr : NULL;

	return x && x->kind == LIR_BINARY && dtype_is_float(x->type.dtype) && (x->op == LIR_ADD || x->op == LIR_MUL);
}

static bool commute_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_expr *x = arena_memdup(a, *p->expr, sizeof *x);

	x->arg = arena_memdup(a, x->arg, 2 * sizeof *x->arg);
	x->arg[0] = (*p->expr)->arg[1];
	x->arg[1] = (*p->expr)->arg[0];
	*p->expr = x;
	return true;
}

const struct mut_op mut_control_commute = {.name = "control.commute",
                                           .kind = MUT_LOOP,
                                           .category = MUT_CAT_CONTROL,
                                           .summary = "the operands of a floating-point + or * change places",
                                           .imitates = "nothing: the result must be the same",
                                           .variant = one_variant,
                                           .loop_variants = commute_sites,
                                           .loop_apply = commute_apply};

/* ---- x becomes x + -0.0, which is x for every x ---- */

static uint64_t zero_sites(const struct mut_place *p)
{
	const struct lir_stmt *s = p->stmt ? *p->stmt : NULL;

	return s && s->kind == LIR_STORE && s->value->type.dtype == DT_F32;
}

static bool zero_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};
	struct lir_stmt *s = *p->stmt;

	s->value = lir_add(&b, s->value, lir_imm(&b, DT_F32, -0.0));
	return true;
}

const struct mut_op mut_control_add_zero = {.name = "control.add-zero",
                                            .kind = MUT_LOOP,
                                            .category = MUT_CAT_CONTROL,
                                            .summary = "-0.0 is added to what is stored",
                                            .imitates = "nothing: the result must be the same",
                                            .variant = one_variant,
                                            .loop_variants = zero_sites,
                                            .loop_apply = zero_apply};

/* ---- two statements that do not touch each other's memory change places ---- */

static bool reads(const struct lir_expr *x, const struct lir_buffer *buf)
{
	if (x->kind == LIR_LOAD && x->buffer == buf)
		return true;
	for (uint32_t i = 0; i < x->nargs; i++)
		if (reads(x->arg[i], buf))
			return true;
	return false;
}

static bool touches(const struct lir_stmt *s, const struct lir_buffer *buf)
{
	if (s->buffer == buf || (s->min && reads(s->min, buf)) || (s->extent && reads(s->extent, buf)) || (s->value && reads(s->value, buf)))
		return true;
	for (uint32_t i = 0; i < s->nindex; i++)
		if (reads(s->index[i], buf))
			return true;
	for (uint32_t i = 0; i < s->nbody; i++)
		if (touches(s->body[i], buf))
			return true;
	return false;
}

/* No buffer that s stores to is touched by t. */
static bool leaves_alone(const struct lir_stmt *s, const struct lir_stmt *t)
{
	if (s->kind == LIR_STORE && touches(t, s->buffer))
		return false;
	for (uint32_t i = 0; i < s->nbody; i++)
		if (!leaves_alone(s->body[i], t))
			return false;
	return true;
}

/* The first pair of neighbours that may change places; nbody: none. */
static uint32_t pair(const struct lir_stmt *s)
{
	for (uint32_t i = 0; i + 1 < s->nbody; i++)
		if (leaves_alone(s->body[i], s->body[i + 1]) && leaves_alone(s->body[i + 1], s->body[i]))
			return i;
	return s->nbody;
}

static uint64_t reorder_sites(const struct mut_place *p)
{
	const struct lir_stmt *s = p->stmt ? *p->stmt : NULL;

	return s && s->kind == LIR_SEQ && pair(s) < s->nbody;
}

static bool reorder_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_stmt *s = *p->stmt, *first;
	uint32_t i = pair(s);

	first = s->body[i];
	s->body[i] = s->body[i + 1];
	s->body[i + 1] = first;
	return true;
}

const struct mut_op mut_control_reorder = {.name = "control.reorder",
                                           .kind = MUT_LOOP,
                                           .category = MUT_CAT_CONTROL,
                                           .summary = "two statements that touch nothing of each other change places",
                                           .imitates = "nothing: the result must be the same",
                                           .variant = one_variant,
                                           .loop_variants = reorder_sites,
                                           .loop_apply = reorder_apply};
