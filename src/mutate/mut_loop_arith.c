/* mut_loop_arith.c: the arithmetic inside kernels - another operator, another constant */
#include "mutate/mutate_internal.h"

static const enum lir_op becomes[] = {LIR_ADD, LIR_SUB, LIR_MUL, LIR_DIV, LIR_MIN, LIR_MAX};
static const char *const op_variants[] = {"to-add", "to-sub", "to-mul", "to-div", "to-min", "to-max", NULL};

static uint64_t op_sites(const struct mut_place *p)
{
	const struct lir_expr *x = p->expr ? *p->expr : NULL;
	uint64_t bits = 0x3f;

	if (!x || x->kind != LIR_BINARY || !dtype_is_float(x->type.dtype))
		return 0;
	for (unsigned v = 0; v < 6; v++)
		if (becomes[v] == x->op)
			return bits & ~(1u << v);
	return 0;
}

static bool op_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_expr *x = arena_memdup(a, *p->expr, sizeof *x);

	x->op = becomes[variant];
	*p->expr = x;
	return true;
}

const struct mut_op mut_loop_arith = {.name = "loop.arith.operator",
                                      .kind = MUT_LOOP,
                                      .category = MUT_CAT_STORES,
                                      .summary = "a floating-point + - * / min or max becomes another of them",
                                      .imitates = "a wrong instruction selected, operands of a clamp exchanged",
                                      .variant = op_variants,
                                      .loop_variants = op_sites,
                                      .loop_apply = op_apply};

/* ---- fused multiply-add ---- */

static const char *const fma_variants[] = {"split", "no-product", "no-sum", "subtract", NULL};

static uint64_t fma_sites(const struct mut_place *p)
{
	return p->expr && (*p->expr)->kind == LIR_CALL && (*p->expr)->call == LIR_CALL_FMA ? 15 : 0;
}

static bool fma_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};
	struct lir_expr **arg = (*p->expr)->arg;

	switch (variant) {
	case 0: *p->expr = lir_add(&b, lir_mul(&b, arg[0], arg[1]), arg[2]); break;
	case 1: *p->expr = arg[2]; break;
	case 2: *p->expr = lir_mul(&b, arg[0], arg[1]); break;
	default: *p->expr = lir_sub(&b, arg[2], lir_mul(&b, arg[0], arg[1])); break;
	}
	return true;
}

const struct mut_op mut_loop_fma = {.name = "loop.arith.fma",
                                    .kind = MUT_LOOP,
                                    .category = MUT_CAT_STORES,
                                    .summary = "a multiply-add rounds twice, loses a part or changes a sign",
                                    .imitates = "contraction switched off, an accumulator not carried, the wrong fused instruction",
                                    .variant = fma_variants,
                                    .loop_variants = fma_sites,
                                    .loop_apply = fma_apply};

/* ---- constants ---- */

static const char *const const_variants[] = {"zero", "negate", "next", "double", NULL};

static uint64_t const_sites(const struct mut_place *p)
{
	const struct lir_expr *x = p->expr ? *p->expr : NULL;

	if (!x || x->kind != LIR_FLOAT)
		return 0;
	return x->f == 0 ? 4 : 15;
}

static bool const_apply(struct arena *a, struct lir_func *f, const struct mut_place *p, unsigned variant, struct err *e)
{
	struct lir_builder b = {.a = a, .f = f};
	const struct lir_expr *x = *p->expr;
	double by[] = {0, -x->f, x->f + 1, x->f * 2};
	struct lir_expr *scalar = lir_imm(&b, x->type.dtype, by[variant]);

	*p->expr = x->type.lanes > 1 ? lir_broadcast(&b, scalar, x->type.lanes) : scalar;
	return true;
}

const struct mut_op mut_loop_constant = {.name = "loop.arith.constant",
                                         .kind = MUT_LOOP,
                                         .category = MUT_CAT_STORES,
                                         .summary = "a floating-point constant becomes 0, its negative, one more, or twice as much",
                                         .imitates = "a wrong pad value, clamp limit, initial value or epsilon",
                                         .variant = const_variants,
                                         .loop_variants = const_sites,
                                         .loop_apply = const_apply};
