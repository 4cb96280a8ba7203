/* op_scatter.c: a copy of the data with elements replaced at indices that are data - Scatter, ScatterElements, ScatterND
 *
 * A negative index counts from the end. An update whose index is outside in data that break ONNX's rules is left out: the guard
 * stands in the loops. Updates of the same element are made in the order of the updates, so that the result has one value.
 */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

enum reduction { NONE, ADD, MUL, MAX, MIN };

static bool read_reduction(const struct gir_node *n, enum reduction *r, struct err *e)
{
	static const char *const names[] = {"none", "add", "mul", "max", "min"};
	const char *s = gir_attr_string(n, "reduction", "none");

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(s, names[i])) {
			*r = (enum reduction)i;
			return true;
		}
	return err_set(e, ERR_PARSE, "reduction '%s' does not exist", s);
}

/* What both operators ask of their inputs, and their output. */
static bool infer(struct op_infer *c, struct err *e)
{
	enum reduction r;

	return read_reduction(c->node, &r, e) && (r == NONE || op_check_type(c, 0, TYPES_NUMBER, e)) &&
	       op_check_type(c, 1, TYPES_INDEX, e) && op_check_same_type(c, 2, e) && op_out_like(c, 0, 0, e);
}

/* max or min; NaN from either side stays (the loop IR's take the second operand then) */
static struct lir_expr *extreme(struct op_lower *c, enum lir_op op, struct lir_expr *x, struct lir_expr *y)
{
	struct lir_expr *r = lir_binary(B, op, x, y);

	return dtype_is_float(x->type.dtype) ? lir_select(B, lir_binary(B, LIR_NE, x, x), x, r) : r;
}

/* The update goes to element `at`, which is written already. */
static void update(struct op_lower *c, enum reduction r, struct lir_expr *const *at, struct lir_expr *v)
{
	static const enum lir_op ops[] = {[ADD] = LIR_ADD, [MUL] = LIR_MUL, [MAX] = LIR_MAX, [MIN] = LIR_MIN};
	struct lir_buffer *out = op_out(c, 0);
	enum dtype wide = op_acc_type(out->dtype);
	struct lir_expr *old, *new;

	if (r == NONE) {
		lir_store(B, out, at, v);
		return;
	}
	old = op_let(c, "old", op_load_as(c, out, at, wide));
	new = op_let(c, "new", lir_cast(B, wide, v));
	new = r == MAX || r == MIN ? extreme(c, ops[r], old, new) : lir_binary(B, ops[r], old, new);
	lir_store(B, out, at, lir_cast(B, out->dtype, new));
}

static struct lir_expr *inside(struct op_lower *c, struct lir_expr *i, int64_t size)
{
	return lir_and(B, lir_ge(B, i, lir_int(B, 0)), lir_lt(B, i, lir_int(B, size)));
}

/* ---- ScatterElements, and Scatter, its old name: one index for each update ---- */

static bool elements_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *indices = c->node->in[1];
	int axis;

	return infer(c, e) && op_axis(OP_INT(c->node, "axis", 0), c->node->in[0]->nd, &axis, e) &&
	       op_check_element_indices(c, axis, e) && op_check_dims(c, 2, indices->nd, indices->dim, e);
}

/* An update stays in its line along the axis, so that lines are independent of each other: one is copied, then updated. */
static bool elements_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS], *from[MAX_DIMS], *has = NULL, *i;
	struct lir_buffer *in, *indices, *updates, *out;
	struct op_space s;
	enum reduction r;
	int axis;

	if (!op_axis(OP_INT(c->node, "axis", 0), c->node->in[0]->nd, &axis, e) || !read_reduction(c->node, &r, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	indices = op_in(c, 1);
	updates = op_in(c, 2);
	out = op_out(c, 0);
	s = op_space_of(c, out);
	s.inner[axis] = true;
	op_outer_begin(c, &s);
	op_inner_begin(c, &s);
	lir_store(B, out, s.index, lir_load(B, in, s.index));
	op_inner_end(c, &s);
	for (int d = 0; d < s.nd; d++)
		if (d != axis && indices->dim[d] < s.dim[d]) {
			struct lir_expr *x = lir_lt(B, s.index[d], lir_int(B, indices->dim[d]));

			has = has ? lir_and(B, has, x) : x;
		}
	if (has)
		lir_if(B, has);
	memcpy(from, s.index, (size_t)s.nd * sizeof *from);
	memcpy(at, s.index, (size_t)s.nd * sizeof *at);
	from[axis] = lir_for(B, "u", indices->dim[axis], LIR_SERIAL);
	at[axis] = i = op_let(c, "to", op_wrap_index(c, lir_load(B, indices, from), s.dim[axis]));
	lir_if(B, inside(c, i, s.dim[axis]));
	update(c, r, at, lir_load(B, updates, from));
	lir_end(B);
	lir_end(B);
	if (has)
		lir_end(B);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_SCATTERELEMENTS = {.infer = elements_infer, .lower = elements_lower};
const struct op_impl op_SCATTER = {.infer = elements_infer, .lower = elements_lower};

/* ---- ScatterND: the last dim of the indices is one index for each of the first dims; an update is a whole slice ---- */

static bool nd_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0], *indices = c->node->in[1];
	int64_t tuple, dim[2 * MAX_DIMS];
	int nd = 0;

	if (!infer(c, e) || !op_check_rank(c, 0, 1, MAX_DIMS, e) || !op_check_rank(c, 1, 1, MAX_DIMS, e))
		return false;
	tuple = indices->dim[indices->nd - 1];
	if (tuple < 1 || tuple > x->nd)
		return err_set(e, ERR_PARSE, "%lld indices for each update of data of %d dimensions", (long long)tuple, x->nd);
	for (int d = 0; d < indices->nd - 1; d++)
		dim[nd++] = indices->dim[d];
	for (int d = (int)tuple; d < x->nd; d++)
		dim[nd++] = x->dim[d];
	return op_check_dims(c, 2, nd, dim, e);
}

static void copy(struct op_lower *c, struct lir_buffer *in, struct lir_buffer *out)
{
	struct lir_nest nest = lir_nest_over(B, out->nd, out->dim);

	lir_store(B, out, nest.index, lir_load(B, in, nest.index));
	lir_nest_end(B, &nest);
}

static bool nd_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS], *which[MAX_DIMS + 1], *from[MAX_DIMS], *all = NULL;
	struct lir_buffer *in, *indices, *updates, *out;
	int tuples, length;
	enum reduction r;

	if (!read_reduction(c->node, &r, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	indices = op_in(c, 1);
	updates = op_in(c, 2);
	out = op_out(c, 0);
	tuples = indices->nd - 1;
	length = (int)indices->dim[tuples];
	copy(c, in, out);
	for (int d = 0; d < tuples; d++)
		which[d] = from[d] = lir_for(B, "u", indices->dim[d], LIR_SERIAL);
	for (int d = 0; d < length; d++) {
		which[tuples] = lir_int(B, d);
		at[d] = op_let(c, "to", op_wrap_index(c, lir_load(B, indices, which), in->dim[d]));
	}
	for (int d = 0; d < length; d++)
		all = all ? lir_and(B, all, inside(c, at[d], in->dim[d])) : inside(c, at[d], in->dim[d]);
	lir_if(B, all);
	for (int d = tuples; d < updates->nd; d++)
		at[length + d - tuples] = from[d] = lir_for(B, "s", updates->dim[d], LIR_SERIAL);
	update(c, r, at, lir_load(B, updates, from));
	for (int d = tuples; d < updates->nd; d++)
		lir_end(B);
	lir_end(B);
	for (int d = 0; d < tuples; d++)
		lir_end(B);
	op_end(c);
	return true;
}

const struct op_impl op_SCATTERND = {.infer = nd_infer, .lower = nd_lower};
