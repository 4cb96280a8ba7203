/* op_arg.c: ArgMax and ArgMin - where along one axis the extreme element lies */
#include "ops/ops_calc.h"

#define B (&c->b)

static bool infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	bool keep = OP_INT(c->node, "keepdims", 1) != 0;
	int64_t dim[MAX_DIMS];
	int axis, nd = 0;

	if (!op_check_type(c, 0, TYPES_NUMBER, e) || !op_axis(OP_INT(c->node, "axis", 0), x->nd, &axis, e))
		return false;
	if (!x->dim[axis])
		return err_set(e, ERR_PARSE, "dimension %d is empty: it has no extreme element", axis);
	for (int d = 0; d < x->nd; d++)
		if (d != axis || keep)
			dim[nd++] = d == axis ? 1 : x->dim[d];
	return op_set_out(c, 0, DT_I64, nd, dim, e);
}

static bool lower(struct op_lower *c, bool largest, struct err *e)
{
	bool keep = OP_INT(c->node, "keepdims", 1) != 0, last = OP_INT(c->node, "select_last_index", 0) != 0;
	enum lir_op better = largest ? (last ? LIR_GE : LIR_GT) : (last ? LIR_LE : LIR_LT);
	struct lir_expr *at[MAX_DIMS], *x;
	struct lir_buffer *in, *best, *place;
	struct op_space s;
	enum dtype wide;
	int axis, nd = 0;

	if (!op_axis(OP_INT(c->node, "axis", 0), c->node->in[0]->nd, &axis, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	op_out(c, 0);
	wide = op_acc_type(in->dtype);
	s = op_space_of(c, in);
	s.inner[axis] = true;
	op_outer_begin(c, &s);
	for (int d = 0; d < s.nd; d++)
		if (d != axis || keep)
			at[nd++] = d == axis ? lir_int(B, 0) : s.index[d];
	s.index[axis] = lir_int(B, 0);
	best = op_acc(c, "best", op_load_as(c, in, s.index, wide));
	place = op_acc(c, "place", lir_int(B, 0));
	s.index[axis] = lir_for_expr(B, "i", lir_int(B, 1), lir_int(B, s.dim[axis] - 1), LIR_SERIAL);
	x = op_let(c, "x", op_load_as(c, in, s.index, wide));
	lir_if(B, lir_binary(B, better, x, op_acc_get(c, best)));
	op_acc_set(c, best, x);
	op_acc_set(c, place, s.index[axis]);
	lir_end(B);
	lir_end(B);
	op_store(c, at, op_acc_get(c, place));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

static bool max_lower(struct op_lower *c, struct err *e)
{
	return lower(c, true, e);
}

static bool min_lower(struct op_lower *c, struct err *e)
{
	return lower(c, false, e);
}

const struct op_impl op_ARGMAX = {.infer = infer, .lower = max_lower};
const struct op_impl op_ARGMIN = {.infer = infer, .lower = min_lower};
