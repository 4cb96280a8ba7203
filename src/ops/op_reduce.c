/* op_reduce.c: the ten Reduce operators - one result per iteration, serial loops over the reduced dims */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

enum kind { L1, L2, LOG_SUM, LOG_SUM_EXP, MAXIMUM, MEAN, MINIMUM, PRODUCT, SUM, SUM_SQUARE };

/* Which dims are reduced, from the axes (an attribute in old opsets, an input in new ones; absent or empty: all, or none). */
static bool mark_axes(const struct gir_node *n, const int64_t *axis, int count, bool *reduced, struct err *e)
{
	int nd = n->in[0]->nd;
	bool all = !count && !gir_attr_int(n, "noop_with_empty_axes", 0);

	for (int d = 0; d < nd; d++)
		reduced[d] = all;
	for (int i = 0; i < count; i++) {
		int d;

		if (!op_axis(axis[i], nd, &d, e))
			return false;
		reduced[d] = true;
	}
	return true;
}

static bool attr_axes(const struct gir_node *n, const int64_t **axis, int *count, struct err *e)
{
	const struct gir_attr *a = gir_attr(n, "axes");

	*axis = NULL;
	*count = 0;
	if (!a)
		return true;
	if (a->kind != GIR_ATTR_INTS || a->n > MAX_DIMS)
		return err_set(e, ERR_PARSE, "attribute 'axes' must be a list of at most %d integers", MAX_DIMS);
	*axis = a->ints;
	*count = (int)a->n;
	return true;
}

static bool infer_types(struct op_infer *c, uint32_t types, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	bool reduced[MAX_DIMS], keep = gir_attr_int(c->node, "keepdims", 1) != 0;
	const int64_t *axis;
	int64_t dim[MAX_DIMS];
	int count, nd = 0;

	if (!op_check_type(c, 0, types, e))
		return false;
	if (op_arg(c->node, 1) ? !op_ints(c, 1, &axis, &count, e) : !attr_axes(c->node, &axis, &count, e))
		return false;
	if (!mark_axes(c->node, axis, count, reduced, e))
		return false;
	for (int d = 0; d < x->nd; d++)
		if (!reduced[d] || keep)
			dim[nd++] = reduced[d] ? 1 : x->dim[d];
	return op_set_out(c, 0, x->dtype, nd, dim, e);
}

static bool infer(struct op_infer *c, struct err *e)
{
	return infer_types(c, TYPES_FLOAT | TYPES_WIDE_INT, e);
}

static bool infer_order(struct op_infer *c, struct err *e)
{
	return infer_types(c, TYPES_NUMBER | TYPE_BIT(BOOL), e);
}

static bool reduced_dims(const struct gir_node *n, bool *reduced, struct err *e)
{
	const struct tensor *t = op_known(op_arg(n, 1));
	int64_t axis[MAX_DIMS];
	const int64_t *list = axis;
	int count = 0;

	if (!op_arg(n, 1)) {
		if (!attr_axes(n, &list, &count, e))
			return false;
		return mark_axes(n, list, count, reduced, e);
	}
	if (!t || tensor_elements(t) > MAX_DIMS)
		return err_set(e, ERR_UNSUPPORTED, "the axes are not constant");
	count = (int)tensor_elements(t);
	for (int i = 0; i < count; i++)
		axis[i] = tensor_get_i64(t, i);
	return mark_axes(n, list, count, reduced, e);
}

/* The type that the reduction is computed in. */
static enum dtype work_type(enum kind k, enum dtype t)
{
	return k == L2 || k == LOG_SUM || k == LOG_SUM_EXP ? op_real_type(t) : op_acc_type(t);
}

static struct lir_expr *start(struct op_lower *c, enum kind k, enum dtype t)
{
	switch (k) {
	case MAXIMUM: return op_lowest(c, t);
	case MINIMUM: return op_highest(c, t);
	case PRODUCT: return lir_imm(B, t, 1);
	default: return lir_imm(B, t, 0);
	}
}

/* What the accumulator becomes when it meets x; shift is the row's maximum for LOG_SUM_EXP. */
static struct lir_expr *step(struct op_lower *c, enum kind k, struct lir_expr *acc, struct lir_expr *x, struct lir_expr *shift)
{
	switch (k) {
	case MAXIMUM: return lir_max(B, acc, x);
	case MINIMUM: return lir_min(B, acc, x);
	case PRODUCT: return lir_mul(B, acc, x);
	case L1: return lir_add(B, acc, op_abs(c, x));
	case L2:
	case SUM_SQUARE: x = op_let(c, "x", x); return lir_add(B, acc, lir_mul(B, x, x));
	case LOG_SUM_EXP: return lir_add(B, acc, lir_call1(B, LIR_CALL_EXP, lir_sub(B, x, shift)));
	default: return lir_add(B, acc, x);
	}
}

static struct lir_expr *finish(struct op_lower *c, enum kind k, struct lir_expr *acc, struct lir_expr *shift, int64_t n)
{
	enum dtype t = acc->type.dtype;

	switch (k) {
	case L2: return lir_call1(B, LIR_CALL_SQRT, acc);
	case LOG_SUM: return lir_call1(B, LIR_CALL_LOG, acc);
	case LOG_SUM_EXP: return lir_add(B, lir_call1(B, LIR_CALL_LOG, acc), shift);
	case MEAN: return n || dtype_is_float(t) ? lir_div(B, acc, lir_imm(B, t, (double)n)) : acc;
	default: return acc;
	}
}

/* The largest element of the row, as a shift that keeps exp in range; 0 when it is infinite or there is none. */
static struct lir_expr *row_shift(struct op_lower *c, struct lir_buffer *in, struct op_space *s, enum dtype t)
{
	struct lir_buffer *best = op_acc(c, "best", op_lowest(c, t));
	struct lir_expr *most;

	op_inner_begin(c, s);
	op_acc_set(c, best, lir_max(B, op_acc_get(c, best), op_load_as(c, in, s->index, t)));
	op_inner_end(c, s);
	most = op_let(c, "most", op_acc_get(c, best));
	return op_let(c, "shift", lir_select(B, lir_call1(B, LIR_CALL_ISINF, most), lir_imm(B, t, 0), most));
}

/* Sums and the like of rows, a vector at a time: no operator between the terms but one. */
static bool by_vectors(enum kind k, enum lir_op *op)
{
	switch (k) {
	case MAXIMUM: *op = LIR_MAX; return true;
	case MINIMUM: *op = LIR_MIN; return true;
	case PRODUCT: *op = LIR_MUL; return true;
	case LOG_SUM_EXP: return false;
	default: *op = LIR_ADD; return true;
	}
}

static struct lir_expr *row_term(struct op_lower *c, struct op_space *s, void *user)
{
	enum kind k = *(enum kind *)user;
	struct lir_expr *x = op_load_as(c, op_in(c, 0), s->index, DT_F32);

	if (k == L1)
		return op_abs(c, x);
	if (k != L2 && k != SUM_SQUARE)
		return x;
	x = op_let(c, "x", x);
	return lir_mul(B, x, x);
}

static bool lower(struct op_lower *c, enum kind k, struct err *e)
{
	enum lir_op op;
	enum dtype t = c->node->in[0]->dtype, work = work_type(k, t);
	struct lir_expr *shift = NULL, *r, *at[MAX_DIMS];
	struct lir_buffer *in, *acc;
	bool reduced[MAX_DIMS], keep = gir_attr_int(c->node, "keepdims", 1) != 0;
	struct op_space s;
	int nd = 0;

	if (!reduced_dims(c->node, reduced, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	op_out(c, 0);
	s = op_space_of(c, in);
	memcpy(s.inner, reduced, (size_t)s.nd * sizeof *reduced);
	op_outer_begin(c, &s);
	for (int d = 0; d < s.nd; d++)
		if (!reduced[d] || keep)
			at[nd++] = reduced[d] ? lir_int(B, 0) : s.index[d];
	if (op_row_vectors(c, &s) && by_vectors(k, &op)) {
		r = op_row_fold(c, &s, "acc", op, start(c, k, work), row_term, &k);
		op_store(c, at, finish(c, k, r, NULL, op_space_inner(&s)));
		op_outer_end(c, &s);
		op_end(c);
		return true;
	}
	if (k == LOG_SUM_EXP)
		shift = row_shift(c, in, &s, work);
	acc = op_acc(c, "acc", start(c, k, work));
	op_inner_begin(c, &s);
	op_acc_set(c, acc, step(c, k, op_acc_get(c, acc), op_load_as(c, in, s.index, work), shift));
	op_inner_end(c, &s);
	r = finish(c, k, op_acc_get(c, acc), shift, op_space_inner(&s));
	op_store(c, at, lir_cast(B, t, r));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

#define REDUCE(ID, KIND, infer_fn)                                                                                                 \
	static bool lower_##KIND(struct op_lower *c, struct err *e)                                                                \
	{                                                                                                                          \
		return lower(c, KIND, e);                                                                                          \
	}                                                                                                                          \
	const struct op_impl op_##ID = {.infer = infer_fn, .lower = lower_##KIND}

REDUCE(REDUCEL1, L1, infer);
REDUCE(REDUCEL2, L2, infer);
REDUCE(REDUCELOGSUM, LOG_SUM, infer);
REDUCE(REDUCELOGSUMEXP, LOG_SUM_EXP, infer);
REDUCE(REDUCEMAX, MAXIMUM, infer_order);
REDUCE(REDUCEMEAN, MEAN, infer);
REDUCE(REDUCEMIN, MINIMUM, infer_order);
REDUCE(REDUCEPROD, PRODUCT, infer);
REDUCE(REDUCESUM, SUM, infer);
REDUCE(REDUCESUMSQUARE, SUM_SQUARE, infer);
