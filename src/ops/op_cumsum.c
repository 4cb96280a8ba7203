/* op_cumsum.c: CumSum - running sums along one axis */
#include "ops/ops_calc.h"

#define B (&c->b)

static bool infer(struct op_infer *c, struct err *e)
{
	const int64_t *list;
	int n, axis;

	if (!op_check_type(c, 0, TYPES_FLOAT | TYPES_WIDE_INT, e) || !op_ints(c, 1, &list, &n, e))
		return false;
	if (n != 1)
		return err_set(e, ERR_PARSE, "input 1 must be one number, the axis");
	return op_axis(list[0], c->node->in[0]->nd, &axis, e) && op_out_like(c, 0, 0, e);
}

static bool lower(struct op_lower *c, struct err *e)
{
	bool exclusive = OP_INT(c->node, "exclusive", 0) != 0, reverse = OP_INT(c->node, "reverse", 0) != 0;
	enum dtype t = c->node->in[0]->dtype;
	const struct tensor *which = op_known(c->node->in[1]);
	struct lir_buffer *in, *acc;
	struct lir_expr *i;
	struct op_space s;
	int axis;

	if (!which)
		return err_set(e, ERR_UNSUPPORTED, "the axis is not constant");
	if (!op_axis(tensor_get_i64(which, 0), c->node->in[0]->nd, &axis, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	op_out(c, 0);
	s = op_space_of(c, in);
	s.inner[axis] = true;
	op_outer_begin(c, &s);
	acc = op_acc(c, "acc", lir_imm(B, op_acc_type(t), 0));
	op_inner_begin(c, &s);
	i = s.index[axis];
	if (reverse)
		s.index[axis] = i = op_let(c, "i", lir_sub(B, lir_int(B, s.dim[axis] - 1), i));
	if (exclusive)
		op_store(c, s.index, lir_cast(B, t, op_acc_get(c, acc)));
	op_acc_add(c, acc, op_load_as(c, in, s.index, op_acc_type(t)));
	if (!exclusive)
		op_store(c, s.index, lir_cast(B, t, op_acc_get(c, acc)));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_CUMSUM = {.infer = infer, .lower = lower};
