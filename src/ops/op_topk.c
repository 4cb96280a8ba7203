/* op_topk.c: TopK - every element counts the elements that come before it; that is its place in the result
 *
 * The order is total (NaN after every number, equal elements by index), so that the places are a permutation whatever the
 * data, and every place of the result is written once. The result is always sorted.
 */
#include "ops/ops_calc.h"

#define B (&c->b)

static bool wanted(struct op_infer *c, int64_t *k, struct err *e)
{
	const int64_t *list;
	int n;

	if (!op_arg(c->node, 1)) {
		*k = OP_INT(c->node, "k", -1);
		return *k >= 0 || err_set(e, ERR_PARSE, "attribute 'k' is missing or negative");
	}
	if (!op_ints(c, 1, &list, &n, e))
		return false;
	if (n != 1 || list[0] < 0)
		return err_set(e, ERR_PARSE, "input 1 must be one number, not negative");
	*k = list[0];
	return true;
}

static bool infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS], k = 0;
	int axis;

	if (!op_check_type(c, 0, TYPES_NUMBER, e) || !op_axis(OP_INT(c->node, "axis", -1), x->nd, &axis, e) || !wanted(c, &k, e))
		return false;
	if (k > x->dim[axis])
		return err_set(e, ERR_PARSE, "k is %lld, but dimension %d has %lld elements", (long long)k, axis,
			       (long long)x->dim[axis]);
	for (int d = 0; d < x->nd; d++)
		dim[d] = d == axis ? k : x->dim[d];
	return op_set_out(c, 0, x->dtype, x->nd, dim, e) && op_set_out(c, 1, DT_I64, x->nd, dim, e);
}

/* x comes before y for its value alone */
static struct lir_expr *precedes(struct op_lower *c, struct lir_expr *x, struct lir_expr *y, bool largest)
{
	struct lir_expr *r = lir_binary(B, largest ? LIR_GT : LIR_LT, x, y);

	if (!dtype_is_float(x->type.dtype))
		return r;
	return lir_or(B, r, lir_and(B, lir_binary(B, LIR_NE, y, y), lir_eq(B, x, x)));
}

static bool lower(struct op_lower *c, struct err *e)
{
	bool largest = OP_INT(c->node, "largest", 1) != 0;
	struct lir_expr *x, *y, *i, *j, *tie, *place, *at[MAX_DIMS];
	struct lir_buffer *in, *count;
	struct op_space s;
	enum dtype wide;
	int axis;

	if (!op_axis(OP_INT(c->node, "axis", -1), c->node->in[0]->nd, &axis, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	wide = op_acc_type(in->dtype);
	s = op_space_of(c, in);
	op_outer_begin(c, &s);
	i = s.index[axis];
	x = op_let(c, "x", op_load_as(c, in, s.index, wide));
	count = op_acc(c, "count", lir_int(B, 0));
	for (int d = 0; d < s.nd; d++)
		at[d] = s.index[d];
	at[axis] = j = lir_for(B, "j", s.dim[axis], LIR_SERIAL);
	y = op_let(c, "y", op_load_as(c, in, at, wide));
	tie = lir_and(B, lir_not(B, precedes(c, x, y, largest)), lir_lt(B, j, i));
	lir_if(B, lir_or(B, precedes(c, y, x, largest), tie));
	op_acc_add(c, count, lir_int(B, 1));
	lir_end(B);
	lir_end(B);
	at[axis] = place = op_let(c, "place", op_acc_get(c, count));
	lir_if(B, lir_lt(B, place, lir_int(B, c->node->out[0]->dim[axis])));
	op_store(c, at, lir_load(B, in, s.index));
	if (c->node->nout > 1 && c->node->out[1])
		lir_store(B, op_out(c, 1), at, i);
	lir_end(B);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_TOPK = {.infer = infer, .lower = lower};
