/* op_gather.c: elements chosen by indices that are data - Gather, GatherElements, GatherND
 *
 * A negative index counts from the end. An index that is outside in data that break ONNX's rules reads the nearest element: the
 * clamp stands in the loops, so that no data make a kernel read outside its tensor.
 */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

struct lir_expr *op_wrap_index(struct op_lower *c, struct lir_expr *i, int64_t size)
{
	i = op_let(c, "i", lir_cast(B, DT_I64, i));
	return lir_select(B, lir_lt(B, i, lir_int(B, 0)), lir_add(B, i, lir_int(B, size)), i);
}

/* The index at `at` of a dimension of this size, made one that exists. */
static struct lir_expr *chosen(struct op_lower *c, struct lir_buffer *indices, struct lir_expr *const *at, int64_t size)
{
	struct lir_expr *i = op_wrap_index(c, lir_load(B, indices, at), size);

	return op_let(c, "from", lir_max(B, lir_min(B, i, lir_int(B, size - 1)), lir_int(B, 0)));
}

/* Is there an index at all? Then a dimension that it chooses from must have elements. */
static bool check_choice(const struct gir_value *indices, const struct gir_value *x, int axis, struct err *e)
{
	int64_t count = 0;

	dims_elements(indices->dim, indices->nd, &count);
	if (count && !x->dim[axis])
		return err_set(e, ERR_PARSE, "dimension %d is empty: there is nothing to choose from", axis);
	return true;
}

/* ---- Gather: whole slices ---- */

static bool gather_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0], *indices = c->node->in[1];
	int64_t dim[2 * MAX_DIMS];
	int axis, nd = 0;

	if (!op_check_type(c, 1, TYPES_INDEX, e) || !op_axis(OP_INT(c->node, "axis", 0), x->nd, &axis, e) ||
	    !check_choice(indices, x, axis, e))
		return false;
	for (int d = 0; d < axis; d++)
		dim[nd++] = x->dim[d];
	for (int d = 0; d < indices->nd; d++)
		dim[nd++] = indices->dim[d];
	for (int d = axis + 1; d < x->nd; d++)
		dim[nd++] = x->dim[d];
	return op_set_out(c, 0, x->dtype, nd, dim, e);
}

static bool gather_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS], *from;
	struct lir_buffer *in, *indices, *out;
	int64_t slices = 1;
	struct op_space s;
	int axis, behind;

	if (!op_axis(OP_INT(c->node, "axis", 0), c->node->in[0]->nd, &axis, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	indices = op_in(c, 1);
	out = op_out(c, 0);
	s = op_space_of(c, out);
	behind = axis + indices->nd; /* the dims from here on lie inside a slice */
	dims_elements(out->dim, behind, &slices);
	for (int d = behind; d < s.nd; d++)
		s.inner[d] = slices > 1; /* one slice: its elements are what is shared among threads */
	op_outer_begin(c, &s);
	from = chosen(c, indices, s.index + axis, in->dim[axis]);
	op_inner_begin(c, &s);
	memcpy(at, s.index, (size_t)axis * sizeof *at);
	at[axis] = from;
	memcpy(at + axis + 1, s.index + behind, (size_t)(in->nd - axis - 1) * sizeof *at);
	lir_store(B, out, s.index, lir_load(B, in, at));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_GATHER = {.infer = gather_infer, .lower = gather_lower};

/* ---- GatherElements: one index for each element ---- */

bool op_check_element_indices(struct op_infer *c, int axis, struct err *e)
{
	const struct gir_value *x = c->node->in[0], *indices = c->node->in[1];

	if (!op_check_type(c, 1, TYPES_INDEX, e) || !op_check_rank(c, 1, x->nd, x->nd, e))
		return false;
	for (int d = 0; d < x->nd; d++)
		if (d != axis && indices->dim[d] > x->dim[d])
			return err_set(e, ERR_PARSE, "the indices have size %lld in dimension %d, the data %lld",
				       (long long)indices->dim[d], d, (long long)x->dim[d]);
	return true;
}

static bool elements_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0], *indices = c->node->in[1];
	int axis;

	return op_axis(OP_INT(c->node, "axis", 0), x->nd, &axis, e) && op_check_element_indices(c, axis, e) &&
	       check_choice(indices, x, axis, e) && op_set_out(c, 0, x->dtype, indices->nd, indices->dim, e);
}

static bool elements_lower(struct op_lower *c, struct err *e)
{
	struct lir_buffer *in, *indices, *out;
	struct lir_expr *at[MAX_DIMS];
	struct lir_nest nest;
	int axis;

	if (!op_axis(OP_INT(c->node, "axis", 0), c->node->in[0]->nd, &axis, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	indices = op_in(c, 1);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	memcpy(at, nest.index, sizeof at);
	at[axis] = chosen(c, indices, nest.index, in->dim[axis]);
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_GATHERELEMENTS = {.infer = elements_infer, .lower = elements_lower};

/* ---- GatherND: the last dim of the indices is one index for each of several dims ---- */

static bool nd_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0], *indices = c->node->in[1];
	int64_t batch = OP_INT(c->node, "batch_dims", 0), tuple, dim[2 * MAX_DIMS];
	int nd = 0;

	if (!op_check_type(c, 1, TYPES_INDEX, e) || !op_check_rank(c, 0, 1, MAX_DIMS, e) || !op_check_rank(c, 1, 1, MAX_DIMS, e))
		return false;
	if (batch < 0 || batch >= x->nd || batch >= indices->nd)
		return err_set(e, ERR_PARSE, "batch_dims %lld for data of %d and indices of %d dimensions", (long long)batch, x->nd,
			       indices->nd);
	for (int d = 0; d < batch; d++)
		if (x->dim[d] != indices->dim[d])
			return err_set(e, ERR_PARSE, "batch dimension %d is %lld in the data, %lld in the indices", d,
				       (long long)x->dim[d], (long long)indices->dim[d]);
	tuple = indices->dim[indices->nd - 1];
	if (tuple < 1 || tuple > x->nd - batch)
		return err_set(e, ERR_PARSE, "%lld indices for each element of data of %d dimensions", (long long)tuple, x->nd);
	for (int d = 0; d < tuple; d++)
		if (!check_choice(indices, x, (int)batch + d, e))
			return false;
	for (int d = 0; d < indices->nd - 1; d++)
		dim[nd++] = indices->dim[d];
	for (int d = (int)(batch + tuple); d < x->nd; d++)
		dim[nd++] = x->dim[d];
	return op_set_out(c, 0, x->dtype, nd, dim, e);
}

static bool nd_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS], *which[MAX_DIMS + 1];
	int batch = (int)OP_INT(c->node, "batch_dims", 0), tuples, length;
	struct lir_buffer *in, *indices, *out;
	int64_t slices = 1;
	struct op_space s;

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	indices = op_in(c, 1);
	out = op_out(c, 0);
	tuples = indices->nd - 1;
	length = (int)indices->dim[tuples];
	s = op_space_of(c, out);
	dims_elements(out->dim, tuples, &slices);
	for (int d = tuples; d < s.nd; d++)
		s.inner[d] = slices > 1;
	op_outer_begin(c, &s);
	memcpy(at, s.index, (size_t)batch * sizeof *at);
	memcpy(which, s.index, (size_t)tuples * sizeof *which);
	for (int d = 0; d < length; d++) {
		which[tuples] = lir_int(B, d);
		at[batch + d] = chosen(c, indices, which, in->dim[batch + d]);
	}
	op_inner_begin(c, &s);
	memcpy(at + batch + length, s.index + tuples, (size_t)(in->nd - batch - length) * sizeof *at);
	lir_store(B, out, s.index, lir_load(B, in, at));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_GATHERND = {.infer = nd_infer, .lower = nd_lower};
