/* op_shape.c: the same elements under another shape - Reshape, Flatten, Squeeze, Unsqueeze; Shape and Size; constants and copies */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

/* ---- inference ---- */

static bool reshape_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const struct gir_attr *attr = gir_attr(c->node, "shape");
	int64_t dim[MAX_DIMS], have = 1, known = 1;
	const int64_t *want;
	int n, free_dim = -1;

	if (op_arg(c->node, 1)) {
		if (!op_ints(c, 1, &want, &n, e))
			return false;
	} else if (attr && attr->kind == GIR_ATTR_INTS) { /* opset 1 */
		want = attr->ints;
		n = (int)attr->n;
	} else {
		return err_set(e, ERR_PARSE, "no shape is given");
	}
	if (n > MAX_DIMS - 1)
		return err_set(e, ERR_UNSUPPORTED, "%d dimensions, at most %d are supported", n, MAX_DIMS - 1);
	dims_elements(x->dim, x->nd, &have);
	for (int i = 0; i < n; i++) {
		dim[i] = want[i];
		if (dim[i] == 0 && !gir_attr_int(c->node, "allowzero", 0)) {
			if (i >= x->nd)
				return err_set(e, ERR_PARSE, "dimension %d is 0 (keep), but the input has only %d", i, x->nd);
			dim[i] = x->dim[i];
		}
		if (dim[i] == -1) {
			if (free_dim >= 0)
				return err_set(e, ERR_PARSE, "two dimensions are -1");
			free_dim = i;
		} else if (dim[i] < 0 || (dim[i] && known > MAX_ELEMENTS / dim[i])) {
			return err_set(e, ERR_PARSE, "dimension %d is %lld", i, (long long)dim[i]);
		} else {
			known *= dim[i];
		}
	}
	if (free_dim >= 0) {
		if (!known || have % known)
			return err_set(e, ERR_PARSE, "%lld elements do not divide by %lld", (long long)have, (long long)known);
		dim[free_dim] = have / known;
		known = have;
	}
	if (known != have)
		return err_set(e, ERR_PARSE, "%lld elements become %lld (%s)", (long long)have, (long long)known, dims_text(c->a, dim, n));
	return op_set_out(c, 0, x->dtype, n, dim, e);
}

static bool flatten_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t axis = OP_INT(c->node, "axis", 1), dim[2] = {1, 1};

	if (axis < -x->nd || axis > x->nd)
		return err_set(e, ERR_PARSE, "axis %lld is outside a tensor of %d dimensions", (long long)axis, x->nd);
	if (axis < 0)
		axis += x->nd;
	for (int i = 0; i < x->nd; i++)
		dim[i >= axis] *= x->dim[i];
	return op_set_out(c, 0, x->dtype, 2, dim, e);
}

/* The axes of Squeeze and Unsqueeze: an attribute until opset 12, then input 1. *n is -1 when none are given. */
static bool axes_of(struct op_infer *c, const int64_t **axes, int *n, struct err *e)
{
	const struct gir_attr *attr = gir_attr(c->node, "axes");

	*n = -1;
	if (op_arg(c->node, 1))
		return op_ints(c, 1, axes, n, e);
	if (attr && attr->kind == GIR_ATTR_INTS) {
		*axes = attr->ints;
		*n = (int)attr->n;
	}
	return true;
}

static bool mark_axes(const int64_t *axes, int n, int rank, bool *marked, struct err *e)
{
	memset(marked, 0, MAX_DIMS * 2 * sizeof *marked);
	for (int i = 0; i < n; i++) {
		int axis;

		if (!op_axis(axes[i], rank, &axis, e))
			return false;
		if (marked[axis])
			return err_set(e, ERR_PARSE, "axis %d is given twice", axis);
		marked[axis] = true;
	}
	return true;
}

static bool squeeze_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	bool marked[MAX_DIMS * 2];
	int64_t dim[MAX_DIMS];
	const int64_t *axes = NULL;
	int n, nd = 0;

	if (!axes_of(c, &axes, &n, e) || !mark_axes(axes, n, x->nd, marked, e))
		return false;
	for (int i = 0; i < x->nd; i++) {
		bool drop = n < 0 ? x->dim[i] == 1 : marked[i];

		if (drop && x->dim[i] != 1)
			return err_set(e, ERR_PARSE, "dimension %d is %lld, not 1", i, (long long)x->dim[i]);
		if (!drop)
			dim[nd++] = x->dim[i];
	}
	return op_set_out(c, 0, x->dtype, nd, dim, e);
}

static bool unsqueeze_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	bool marked[MAX_DIMS * 2];
	int64_t dim[MAX_DIMS];
	const int64_t *axes = NULL;
	int n, from = 0;

	if (!axes_of(c, &axes, &n, e))
		return false;
	if (n < 0)
		return err_set(e, ERR_PARSE, "no axes are given");
	if (x->nd + n > MAX_DIMS - 1)
		return err_set(e, ERR_UNSUPPORTED, "%d dimensions, at most %d are supported", x->nd + n, MAX_DIMS - 1);
	if (!mark_axes(axes, n, x->nd + n, marked, e))
		return false;
	for (int i = 0; i < x->nd + n; i++)
		dim[i] = marked[i] ? 1 : x->dim[from++];
	return op_set_out(c, 0, x->dtype, x->nd + n, dim, e);
}

/* ---- lowering: element number i of the output is element number i of the input ---- */

/* Index of the element with row-major number `linear`. */
void op_unravel(struct op_lower *c, struct lir_expr *linear, int nd, const int64_t *dim, struct lir_expr **index)
{
	int64_t stride = 1;

	for (int i = nd; i-- > 0;) {
		struct lir_expr *q = lir_div(B, linear, lir_int(B, stride));

		index[i] = dim[i] == 1 ? lir_int(B, 0) : i == 0 ? q : lir_mod(B, q, lir_int(B, dim[i]));
		stride *= dim[i] ? dim[i] : 1;
	}
}

struct lir_expr *op_ravel(struct op_lower *c, int nd, const int64_t *dim, struct lir_expr *const *index)
{
	struct lir_expr *linear = lir_int(B, 0);

	for (int i = 0; i < nd; i++)
		linear = lir_add(B, lir_mul(B, linear, lir_int(B, dim[i])), index[i]);
	return linear;
}

/* The same elements in the same order: a copy, seen as one long row. */
static bool same_elements(struct op_lower *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	struct lir_buffer *in, *out;
	struct lir_nest nest;
	struct lir_expr *at;
	int64_t n = 1, count;
	int lanes = 1;

	(void)e;
	dims_elements(x->dim, x->nd, &n);
	if (c->target->lanes > 1 && x->dtype == DT_F32 && n % c->target->lanes == 0)
		lanes = c->target->lanes;
	op_begin(c, "");
	in = op_view(c, c->node->in[0], 1, &n);
	out = op_view_out(c, 0, 1, &n);
	count = n / lanes;
	nest = lir_nest_over(B, 1, &count);
	at = lir_mul(B, nest.index[0], lir_int(B, lanes));
	lir_store(B, out, &at, lanes > 1 ? lir_load_lanes(B, in, &at, lanes) : lir_load(B, in, &at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

/* mutatenn.View, made by the views pass: `shape` are its dims. A program shares the memory instead (compile/); lowered, it is a copy. */
static bool view_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const struct gir_attr *shape = gir_attr(c->node, "shape");
	int64_t have = 1, want = 1;

	if (!shape || shape->kind != GIR_ATTR_INTS || shape->n > MAX_DIMS)
		return err_set(e, ERR_PARSE, "no shape is given");
	if (!dims_elements(x->dim, x->nd, &have) || !dims_elements(shape->ints, (int)shape->n, &want) || have != want)
		return err_set(e, ERR_PARSE, "a view of %lld elements cannot have the shape %s", (long long)have, dims_text(c->a, shape->ints, (int)shape->n));
	return op_set_out(c, 0, x->dtype, (int)shape->n, shape->ints, e);
}

const struct op_impl op_VIEW = {.infer = view_infer, .lower = same_elements};
const struct op_impl op_RESHAPE = {.infer = reshape_infer, .lower = same_elements};
const struct op_impl op_FLATTEN = {.infer = flatten_infer, .lower = same_elements};
const struct op_impl op_SQUEEZE = {.infer = squeeze_infer, .lower = same_elements};
const struct op_impl op_UNSQUEEZE = {.infer = unsqueeze_infer, .lower = same_elements};

/* ---- Shape, Size: known from the types ---- */

/* start and end of Shape, clamped (opset 15) */
static void shape_range(const struct gir_node *n, int *from, int *to)
{
	int64_t rank = n->in[0]->nd, start = OP_INT(n, "start", 0), end = OP_INT(n, "end", rank);

	start = start < 0 ? start + rank : start;
	end = end < 0 ? end + rank : end;
	*from = (int)(start < 0 ? 0 : start > rank ? rank : start);
	*to = (int)(end < 0 ? 0 : end > rank ? rank : end);
	if (*to < *from)
		*to = *from;
}

static bool shape_infer(struct op_infer *c, struct err *e)
{
	int from, to;

	shape_range(c->node, &from, &to);
	return op_set_out(c, 0, DT_I64, 1, (int64_t[]){to - from}, e);
}

static bool shape_lower(struct op_lower *c, struct err *e)
{
	struct lir_buffer *out;
	int from, to;

	shape_range(c->node, &from, &to);
	op_begin(c, "");
	out = op_out(c, 0);
	for (int i = from; i < to; i++)
		lir_store(B, out, (struct lir_expr *[]){lir_int(B, i - from)}, lir_int(B, c->node->in[0]->dim[i]));
	op_end(c);
	return true;
}

const struct op_impl op_SHAPE = {.infer = shape_infer, .lower = shape_lower};

static bool size_infer(struct op_infer *c, struct err *e)
{
	return op_set_out(c, 0, DT_I64, 0, NULL, e);
}

static bool size_lower(struct op_lower *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t n = 0;

	dims_elements(x->dim, x->nd, &n);
	op_begin(c, "");
	lir_store(B, op_out(c, 0), NULL, lir_int(B, n));
	op_end(c);
	return true;
}

const struct op_impl op_SIZE = {.infer = size_infer, .lower = size_lower};

/* ---- ConstantOfShape, Constant ---- */

static bool constant_of_shape_infer(struct op_infer *c, struct err *e)
{
	const struct gir_attr *value = gir_attr(c->node, "value");
	const int64_t *dim;
	int n;

	if (!op_ints(c, 0, &dim, &n, e))
		return false;
	if (value && (value->kind != GIR_ATTR_TENSOR || tensor_elements(value->tensor) != 1))
		return err_set(e, ERR_PARSE, "'value' must be a tensor of one element");
	if (n > MAX_DIMS - 1)
		return err_set(e, ERR_UNSUPPORTED, "%d dimensions, at most %d are supported", n, MAX_DIMS - 1);
	return op_set_out(c, 0, value ? value->tensor->dtype : DT_F32, n, dim, e);
}

static struct lir_expr *immediate(struct op_lower *c, const struct tensor *t, int64_t i)
{
	return dtype_is_float(t->dtype) ? lir_imm(B, t->dtype, tensor_get_f64(t, i)) : lir_imm_i64(B, t->dtype, tensor_get_i64(t, i));
}

static bool constant_of_shape_lower(struct op_lower *c, struct err *e)
{
	const struct gir_attr *value = gir_attr(c->node, "value");
	struct lir_buffer *out;
	struct lir_nest nest;

	op_begin(c, "");
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	lir_store(B, out, nest.index, value ? immediate(c, value->tensor, 0) : lir_imm(B, DT_F32, 0));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_CONSTANTOFSHAPE = {.infer = constant_of_shape_infer, .lower = constant_of_shape_lower};

static bool constant_infer(struct op_infer *c, struct err *e)
{
	const struct gir_attr *value = gir_attr(c->node, "value");

	if (!value || value->kind != GIR_ATTR_TENSOR)
		return err_set(e, ERR_UNSUPPORTED, "only tensors are supported as constants");
	return op_set_out(c, 0, value->tensor->dtype, value->tensor->nd, value->tensor->dim, e);
}

/* Import makes constants of these; a graph that still holds one has few elements. */
static bool constant_lower(struct op_lower *c, struct err *e)
{
	const struct tensor *t = gir_attr(c->node, "value")->tensor;
	struct lir_expr *at[MAX_DIMS];
	struct lir_buffer *out;

	if (tensor_elements(t) > 4096)
		return err_set(e, ERR_UNSUPPORTED, "a constant of %lld elements that is not an initializer", (long long)tensor_elements(t));
	op_begin(c, "");
	out = op_out(c, 0);
	for (int64_t i = 0; i < tensor_elements(t); i++) {
		op_unravel(c, lir_int(B, i), out->nd, out->dim, at);
		lir_store(B, out, at, immediate(c, t, i));
	}
	op_end(c);
	return true;
}

const struct op_impl op_CONSTANT = {.infer = constant_infer, .lower = constant_lower};
