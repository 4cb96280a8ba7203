/* mut_loop_cond.c: one comparison becomes another - `<` to `<=` and the other 29 pairs; a guard that always or never holds */
#include "mutate/mutate_internal.h"

static bool is_compare(const struct mut_place *p, enum lir_op op)
{
	return p->expr && (*p->expr)->kind == LIR_BINARY && (*p->expr)->op == op;
}

static bool replace_op(struct arena *a, struct lir_expr **slot, enum lir_op op)
{
	struct lir_expr *x = arena_memdup(a, *slot, sizeof *x);

	x->op = op;
	*slot = x;
	return true;
}

static const char *const only[] = {"swap", NULL};

#define COND(from, to, lower_from, lower_to, sign_from, sign_to, fault)                                                \
	static uint64_t sites_##from##_##to(const struct mut_place *p) { return is_compare(p, LIR_##from); }           \
	static bool apply_##from##_##to(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned v, struct err *e) \
	{                                                                                                              \
		return replace_op(a, p->expr, LIR_##to);                                                               \
	}                                                                                                              \
	const struct mut_op mut_loop_cond_##from##_##to = {.name = "loop.cond." lower_from "-to-" lower_to,            \
	                                                   .kind = MUT_LOOP,                                           \
	                                                   .category = MUT_CAT_CONDITIONS,                             \
	                                                   .summary = "a comparison '" sign_from "' becomes '" sign_to "'", \
	                                                   .imitates = fault,                                          \
	                                                   .variant = only,                                            \
	                                                   .loop_variants = sites_##from##_##to,                       \
	                                                   .loop_apply = apply_##from##_##to};
#include "mutate/mut_loop_cond.def"
#undef COND

/* ---- guards ---- */

static uint64_t guard_sites(const struct mut_place *p)
{
	return p->stmt && (*p->stmt)->kind == LIR_IF ? 3 : 0;
}

static bool guard_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};

	(*p->stmt)->value = lir_imm_i64(&b, DT_BOOL, variant == 0);
	return true;
}

static const char *const guard_variants[] = {"always", "never", NULL};

const struct mut_op mut_loop_guard = {.name = "loop.guard",
                                      .kind = MUT_LOOP,
                                      .category = MUT_CAT_CONDITIONS,
                                      .summary = "the condition of an if always or never holds",
                                      .imitates = "a bounds guard left out, or a tail that is never computed",
                                      .variant = guard_variants,
                                      .loop_variants = guard_sites,
                                      .loop_apply = guard_apply};

/* ---- thresholds ---- */

enum { SIDES = 2 };
static const char *const threshold_variants[] = {"left+1",  "left-1",  "left+0.5",  "left-0.5",  "left+10%",  "left-10%",  "left*2",  "left/2",
                                                 "right+1", "right-1", "right+0.5", "right-0.5", "right+10%", "right-10%", "right*2", "right/2", NULL};

static bool is_zero(const struct lir_expr *x)
{
	return (x->kind == LIR_INT && !x->i) || (x->kind == LIR_FLOAT && !x->f);
}

/* Scaling a 0, or what is compared with 0, changes nothing; only halving an integer may. */
static uint64_t threshold_sites(const struct mut_place *p)
{
	const struct lir_expr *x = p->expr ? *p->expr : NULL;
	uint64_t bits = 0xffff;

	if (!x || x->kind != LIR_BINARY || !lir_op_is_compare(x->op) || x->arg[0]->type.dtype == DT_BOOL)
		return 0;
	for (int side = 0; side < SIDES; side++) {
		if (is_zero(x->arg[side]))
			bits &= ~(UINT64_C(0xf0) << 8 * side);
		if (is_zero(x->arg[!side]))
			bits &= ~((dtype_is_float(x->arg[0]->type.dtype) ? UINT64_C(0xf0) : UINT64_C(0x70)) << 8 * side);
	}
	return bits;
}

/* One side shifted or scaled. Fractions of integers need f32 on both sides, as the prior tool did it. */
static struct lir_expr *shifted(struct lir_builder *b, struct lir_expr *x, unsigned how)
{
	enum dtype t = x->type.dtype;

	switch (how) {
	case 0: return lir_add(b, x, lir_imm(b, t, 1));
	case 1: return lir_sub(b, x, lir_imm(b, t, 1));
	case 2: return lir_add(b, x, lir_imm(b, t, 0.5));
	case 3: return lir_sub(b, x, lir_imm(b, t, 0.5));
	case 4: return lir_add(b, x, lir_mul(b, x, lir_imm(b, t, 0.1)));
	case 5: return lir_sub(b, x, lir_mul(b, x, lir_imm(b, t, 0.1)));
	case 6: return lir_mul(b, x, lir_imm(b, t, 2));
	default: return lir_div(b, x, lir_imm(b, t, 2));
	}
}

static bool threshold_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_expr *x = arena_memdup(a, *p->expr, sizeof *x);
	struct lir_builder b = {.a = a, .f = f};
	unsigned side = variant / 8, how = variant % 8;
	bool fraction = how >= 2 && how <= 5;

	x->arg = arena_memdup(a, x->arg, 2 * sizeof *x->arg);
	if (fraction && !dtype_is_float(x->arg[0]->type.dtype))
		for (int i = 0; i < SIDES; i++)
			x->arg[i] = lir_cast(&b, DT_F32, x->arg[i]);
	x->arg[side] = shifted(&b, x->arg[side], how);
	*p->expr = x;
	return true;
}

const struct mut_op mut_loop_threshold = {.name = "loop.threshold",
                                          .kind = MUT_LOOP,
                                          .category = MUT_CAT_CONDITIONS,
                                          .summary = "one side of a comparison is shifted or scaled",
                                          .imitates = "a bound that is off by one, or computed from the wrong size",
                                          .variant = threshold_variants,
                                          .loop_variants = threshold_sites,
                                          .loop_apply = threshold_apply};
