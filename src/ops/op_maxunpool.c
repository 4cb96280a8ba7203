/* op_maxunpool.c: MaxUnpool - zeros, then every pooled element back at the place MaxPool found it
 *
 * The indices number the elements of the tensor that the window parameters imply; output_shape may make the output larger.
 */
#include <string.h>

#include "ops/ops_window.h"

#define B (&c->b)

/* The dims that the indices refer to. */
static bool implied_dims(const struct gir_node *n, int64_t *dim, struct err *e)
{
	const struct gir_value *x = n->in[0];
	struct op_window w;

	if (x->nd < 3)
		return err_set(e, ERR_PARSE, "needs a tensor of 3 or more dimensions, not %d", x->nd);
	if (!op_window_read(n, x->nd - 2, x->dim + 2, NULL, &w, e))
		return false;
	dim[0] = x->dim[0];
	dim[1] = x->dim[1];
	for (int d = 0; d < w.nd; d++) {
		if (w.in[d] < 1 || w.in[d] > INT32_MAX)
			return err_set(e, ERR_PARSE, "dimension %d is empty or absurd", d + 2);
		dim[d + 2] = (w.in[d] - 1) * w.stride[d] + w.kernel[d] - w.begin[d] - w.end[d];
		if (dim[d + 2] < 1)
			return err_set(e, ERR_PARSE, "padding leaves nothing of dimension %d", d + 2);
	}
	return true;
}

static bool infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS];
	const int64_t *want;
	int nd;

	if (!op_check_type(c, 0, TYPES_FLOAT, e) || !op_check_type(c, 1, TYPE_BIT(I64), e) ||
	    !op_check_dims(c, 1, x->nd, x->dim, e) || !implied_dims(c->node, dim, e))
		return false;
	if (!op_arg(c->node, 2))
		return op_set_out(c, 0, x->dtype, x->nd, dim, e);
	if (!op_ints(c, 2, &want, &nd, e))
		return false;
	if (nd != x->nd)
		return err_set(e, ERR_PARSE, "output_shape has %d dimensions, the input %d", nd, x->nd);
	for (int d = 0; d < nd; d++)
		if (want[d] < dim[d])
			return err_set(e, ERR_PARSE, "output_shape is smaller than the windows imply in dimension %d", d);
	return op_set_out(c, 0, x->dtype, nd, want, e);
}

static bool lower(struct op_lower *c, struct err *e)
{
	struct lir_buffer *x, *index, *out;
	struct lir_expr *place, *at[MAX_DIMS], *rest;
	int64_t dim[MAX_DIMS], total = 1;
	struct op_space zero, from;

	if (!implied_dims(c->node, dim, e))
		return false;
	op_begin(c, "");
	x = op_in(c, 0);
	index = op_in(c, 1);
	out = op_out(c, 0);
	zero = op_space_of(c, out);
	op_outer_begin(c, &zero);
	op_store(c, zero.index, lir_imm(B, out->dtype, 0));
	op_outer_end(c, &zero);
	from = op_space_of(c, x);
	for (int d = 0; d < from.nd; d++) {
		from.inner[d] = true; /* places may coincide: no order but this one is right */
		total *= dim[d];
	}
	op_outer_begin(c, &from);
	op_inner_begin(c, &from);
	place = op_let(c, "place", lir_load(B, index, from.index));
	lir_if(B, lir_and(B, lir_ge(B, place, lir_int(B, 0)), lir_lt(B, place, lir_int(B, total))));
	rest = place;
	for (int d = from.nd - 1; d > 0; d--) {
		at[d] = lir_mod(B, rest, lir_int(B, dim[d]));
		rest = lir_div(B, rest, lir_int(B, dim[d]));
	}
	at[0] = rest;
	op_store(c, at, lir_load(B, x, from.index));
	lir_end(B);
	op_inner_end(c, &from);
	op_outer_end(c, &from);
	op_end(c);
	return true;
}

const struct op_impl op_MAXUNPOOL = {.infer = infer, .lower = lower};
