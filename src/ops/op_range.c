/* op_range.c: what follows from positions - Range, OneHot, EyeLike, Trilu, ReverseSequence */
#include <math.h>
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

/* ---- Range: three constants; element i is start + i * delta ---- */

#define TYPES_RANGE (TYPE_BIT(F32) | TYPE_BIT(F64) | TYPE_BIT(I16) | TYPE_BIT(I32) | TYPE_BIT(I64))

/* max(0, ceil((limit - start) / delta)) without overflow: unsigned, where the difference always fits */
static uint64_t count_ints(int64_t start, int64_t limit, int64_t delta)
{
	uint64_t distance = delta > 0 ? (uint64_t)limit - (uint64_t)start : (uint64_t)start - (uint64_t)limit;
	uint64_t step = delta > 0 ? (uint64_t)delta : -(uint64_t)delta;

	return (delta > 0 ? limit <= start : limit >= start) ? 0 : (distance - 1) / step + 1;
}

static bool range_infer(struct op_infer *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype;
	const struct tensor *v[3];
	int64_t n;

	if (!op_check_type(c, 0, TYPES_RANGE, e))
		return false;
	for (uint32_t i = 0; i < 3; i++) {
		if (!op_check_same_type(c, i, e) || !op_check_scalar_or(c, i, 0, e))
			return false;
		v[i] = c->value(c->user, c->node->in[i]);
		if (!v[i])
			return err_set(e, ERR_UNSUPPORTED, "input %u ('%s') decides a shape but is not a constant", i,
				       c->node->in[i]->name);
	}
	if (tensor_get_f64(v[2], 0) == 0)
		return err_set(e, ERR_PARSE, "the step is 0");
	if (dtype_is_float(t)) {
		double count = ceil((tensor_get_f64(v[1], 0) - tensor_get_f64(v[0], 0)) / tensor_get_f64(v[2], 0));

		if (!(count <= (double)MAX_ELEMENTS))
			return err_set(e, ERR_PARSE, "a range of %g elements", count);
		n = count > 0 ? (int64_t)count : 0;
	} else {
		uint64_t count = count_ints(tensor_get_i64(v[0], 0), tensor_get_i64(v[1], 0), tensor_get_i64(v[2], 0));

		if (count > (uint64_t)MAX_ELEMENTS)
			return err_set(e, ERR_PARSE, "a range of %llu elements", (unsigned long long)count);
		n = (int64_t)count;
	}
	return op_set_out(c, 0, t, 1, &n, e);
}

static bool range_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *start, *delta, *i;
	struct lir_buffer *out;
	struct lir_nest nest;

	(void)e;
	op_begin(c, "");
	start = op_load_scalar_or(c, op_in(c, 0), NULL, c->node->in[0]->dtype);
	delta = op_load_scalar_or(c, op_in(c, 2), NULL, c->node->in[0]->dtype);
	out = op_out(c, 0);
	nest = lir_nest_over(B, 1, out->dim);
	i = lir_cast(B, out->dtype, nest.index[0]);
	lir_store(B, out, nest.index, lir_add(B, start, lir_mul(B, i, delta)));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_RANGE = {.infer = range_infer, .lower = range_lower};

/* ---- OneHot: a new dim with one value where the index points, another elsewhere ---- */

static bool depth_of(struct op_infer *c, int64_t *depth, struct err *e)
{
	const struct tensor *t = c->value(c->user, c->node->in[1]);
	double v;

	if (!t)
		return err_set(e, ERR_UNSUPPORTED, "input 1 ('%s') decides a shape but is not a constant", c->node->in[1]->name);
	v = tensor_get_f64(t, 0);
	if (!(v >= 1 && v <= (double)MAX_ELEMENTS))
		return err_set(e, ERR_PARSE, "the depth is %g", v);
	*depth = (int64_t)v;
	return true;
}

static bool one_hot_axis(const struct gir_node *n, int *axis, struct err *e)
{
	return op_axis(OP_INT(n, "axis", -1), n->in[0]->nd + 1, axis, e);
}

static bool one_hot_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *indices = c->node->in[0], *values = c->node->in[2];
	int64_t dim[MAX_DIMS + 1];
	int axis;

	if (!op_check_type(c, 0, TYPES_NUMBER, e) || !op_check_type(c, 1, TYPES_NUMBER, e) || !op_check_scalar_or(c, 1, 0, e) ||
	    !op_check_dims(c, 2, 1, (const int64_t[]){2}, e) || !one_hot_axis(c->node, &axis, e))
		return false;
	for (int d = 0; d < indices->nd; d++)
		dim[d < axis ? d : d + 1] = indices->dim[d];
	return depth_of(c, &dim[axis], e) && op_set_out(c, 0, values->dtype, indices->nd + 1, dim, e);
}

/* The index as an integer, wrapped; `depth`, which is no position, for a real number that is outside. */
static struct lir_expr *hot_position(struct op_lower *c, struct lir_buffer *indices, struct lir_expr *const *at, int64_t depth)
{
	enum dtype wide = op_real_type(indices->dtype);
	struct lir_expr *x, *fits;

	if (!dtype_is_float(indices->dtype))
		return op_wrap_index(c, lir_load(B, indices, at), depth);
	x = op_let(c, "x", lir_call1(B, LIR_CALL_TRUNC, op_load_as(c, indices, at, wide)));
	fits = lir_and(B, lir_ge(B, x, lir_imm(B, wide, (double)-depth)), lir_lt(B, x, lir_imm(B, wide, (double)depth)));
	return op_wrap_index(c, lir_select(B, fits, lir_cast(B, DT_I64, x), lir_int(B, depth)), depth);
}

static bool one_hot_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS], *position, *off, *on, *zero, *one;
	struct lir_buffer *indices, *values, *out;
	struct op_space s;
	int axis, nd = 0;

	if (!one_hot_axis(c->node, &axis, e))
		return false;
	op_begin(c, "");
	indices = op_in(c, 0);
	values = op_in(c, 2);
	out = op_out(c, 0);
	s = op_space_of(c, out);
	s.inner[axis] = true;
	op_outer_begin(c, &s);
	for (int d = 0; d < s.nd; d++)
		if (d != axis)
			at[nd++] = s.index[d];
	position = op_let(c, "hot", hot_position(c, indices, at, out->dim[axis]));
	op_inner_begin(c, &s);
	zero = lir_int(B, 0);
	one = lir_int(B, 1);
	off = lir_load(B, values, &zero);
	on = lir_load(B, values, &one);
	lir_store(B, out, s.index, lir_select(B, lir_eq(B, s.index[axis], position), on, off));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_ONEHOT = {.infer = one_hot_infer, .lower = one_hot_lower};

/* ---- EyeLike: ones on a diagonal; only the shape and type of the input count, it is not read ---- */

static bool eye_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	enum dtype t = x->dtype;

	if (!op_check_rank(c, 0, 2, 2, e) || (gir_attr(c->node, "dtype") && !op_onnx_type(OP_INT(c->node, "dtype", 0), &t, e)))
		return false;
	return op_set_out(c, 0, t, 2, x->dim, e);
}

static bool eye_lower(struct op_lower *c, struct err *e)
{
	int64_t k = OP_INT(c->node, "k", 0);
	struct lir_buffer *out;
	struct lir_nest nest;
	struct lir_expr *diagonal;

	(void)e;
	op_begin(c, "");
	out = op_out(c, 0);
	nest = lir_nest_over(B, 2, out->dim);
	diagonal = lir_eq(B, lir_sub(B, nest.index[1], nest.index[0]), lir_int(B, k));
	lir_store(B, out, nest.index, lir_select(B, diagonal, lir_imm(B, out->dtype, 1), lir_imm(B, out->dtype, 0)));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_EYELIKE = {.infer = eye_infer, .lower = eye_lower};

/* ---- Trilu: one triangle of each matrix, zeros in the other ---- */

static bool trilu_infer(struct op_infer *c, struct err *e)
{
	return op_check_rank(c, 0, 2, MAX_DIMS, e) && op_check_type(c, 1, TYPE_BIT(I64), e) && op_check_scalar_or(c, 1, 0, e) &&
	       op_out_like(c, 0, 0, e);
}

static bool trilu_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *k, *kept, *distance;
	struct lir_buffer *in, *out;
	struct lir_nest nest;

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	k = op_arg(c->node, 1) ? op_load_scalar_or(c, op_in(c, 1), NULL, DT_I64) : lir_int(B, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	distance = lir_sub(B, nest.index[out->nd - 1], nest.index[out->nd - 2]);
	kept = lir_binary(B, OP_INT(c->node, "upper", 1) ? LIR_GE : LIR_LE, distance, k);
	lir_store(B, out, nest.index, lir_select(B, kept, lir_load(B, in, nest.index), lir_imm(B, out->dtype, 0)));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_TRILU = {.infer = trilu_infer, .lower = trilu_lower};

/* ---- ReverseSequence: the first elements of each sequence of a batch, as many as its length says, back to front ---- */

static bool sequence_axes(const struct gir_node *n, int64_t *batch, int64_t *time, struct err *e)
{
	*batch = OP_INT(n, "batch_axis", 1);
	*time = OP_INT(n, "time_axis", 0);
	if ((*batch == 0 && *time == 1) || (*batch == 1 && *time == 0))
		return true;
	return err_set(e, ERR_PARSE, "batch_axis %lld and time_axis %lld, but one must be 0, the other 1", (long long)*batch,
		       (long long)*time);
}

static bool reverse_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t batch, time;

	return op_check_rank(c, 0, 2, MAX_DIMS, e) && op_check_type(c, 1, TYPE_BIT(I64), e) &&
	       sequence_axes(c->node, &batch, &time, e) && op_check_dims(c, 1, 1, &x->dim[batch], e) && op_out_like(c, 0, 0, e);
}

/* A length that is longer than the sequences, in data that break ONNX's rules, counts as theirs. */
static bool reverse_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS], *length, *t;
	struct lir_buffer *in, *lengths, *out;
	int64_t batch, time;
	struct lir_nest nest;

	if (!sequence_axes(c->node, &batch, &time, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	lengths = op_in(c, 1);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	length = op_let(c, "length", lir_min(B, lir_load(B, lengths, &nest.index[batch]), lir_int(B, out->dim[time])));
	t = nest.index[time];
	memcpy(at, nest.index, sizeof at);
	at[time] = lir_select(B, lir_lt(B, t, length), lir_sub(B, lir_sub(B, length, lir_int(B, 1)), t), t);
	at[time] = op_let(c, "from", at[time]);
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_REVERSESEQUENCE = {.infer = reverse_infer, .lower = reverse_lower};
