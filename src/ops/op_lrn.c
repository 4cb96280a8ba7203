/* op_lrn.c: LRN - each element divided by a power of the energy of its neighbours across channels */
#include "ops/ops_calc.h"

#define B (&c->b)

static bool infer(struct op_infer *c, struct err *e)
{
	int64_t size = OP_INT(c->node, "size", 0);

	if (size < 1 || size > INT32_MAX)
		return err_set(e, ERR_PARSE, "attribute 'size' is missing or absurd");
	return op_check_type(c, 0, TYPES_FLOAT, e) && op_check_rank(c, 0, 2, MAX_DIMS - 1, e) && op_out_like(c, 0, 0, e);
}

static bool lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	int64_t size = OP_INT(c->node, "size", 1), before = (size - 1) / 2;
	double alpha = OP_FLOAT(c->node, "alpha", 1e-4f), beta = OP_FLOAT(c->node, "beta", 0.75f),
	       bias = OP_FLOAT(c->node, "bias", 1);
	struct lir_expr *at[MAX_DIMS], *x, *energy, *near;
	struct lir_buffer *in, *acc;
	struct op_space s;

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	s = op_space_of(c, in);
	op_out(c, 0);
	op_outer_begin(c, &s);
	for (int d = 0; d < s.nd; d++)
		at[d] = s.index[d];
	acc = op_acc(c, "sum", lir_imm(B, wide, 0));
	near = lir_for(B, "k", size, LIR_SERIAL);
	at[1] = op_let(c, "ch", lir_sub(B, lir_add(B, s.index[1], near), lir_int(B, before)));
	lir_if(B, lir_and(B, lir_ge(B, at[1], lir_int(B, 0)), lir_lt(B, at[1], lir_int(B, s.dim[1]))));
	x = op_let(c, "x", op_load_as(c, in, at, wide));
	op_acc_add(c, acc, lir_mul(B, x, x));
	lir_end(B);
	lir_end(B);
	energy = lir_mul(B, lir_imm(B, wide, alpha / (double)size), op_acc_get(c, acc));
	energy = lir_call2(B, LIR_CALL_POW, lir_add(B, lir_imm(B, wide, bias), energy), lir_imm(B, wide, beta));
	op_store(c, s.index, lir_cast(B, t, lir_div(B, op_load_as(c, in, s.index, wide), energy)));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_LRN = {.infer = infer, .lower = lower};
