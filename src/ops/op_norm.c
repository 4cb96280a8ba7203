/* op_norm.c: normalisations by the statistics of part of the tensor - Instance, Layer, Group, MeanVariance, Lp
 *
 * Each is: loops over groups (parallel), and for each group passes over its elements: mean, variance, result.
 */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

static struct lir_expr *imm(struct op_lower *c, enum dtype t, double v)
{
	return lir_imm(B, t, v);
}

static struct lir_expr *mean_of(struct op_lower *c, struct lir_buffer *in, struct op_space *s, struct lir_expr *const *index,
				enum dtype t)
{
	struct lir_buffer *acc = op_acc(c, "sum", imm(c, t, 0));

	op_inner_begin(c, s);
	op_acc_add(c, acc, op_load_as(c, in, index, t));
	op_inner_end(c, s);
	return op_let(c, "mean", lir_div(B, op_acc_get(c, acc), imm(c, t, (double)op_space_inner(s))));
}

static struct lir_expr *variance_of(struct op_lower *c, struct lir_buffer *in, struct op_space *s, struct lir_expr *const *index,
				    struct lir_expr *mean)
{
	enum dtype t = mean->type.dtype;
	struct lir_buffer *acc = op_acc(c, "spread", imm(c, t, 0));
	struct lir_expr *d;

	op_inner_begin(c, s);
	d = op_let(c, "d", lir_sub(B, op_load_as(c, in, index, t), mean));
	op_acc_add(c, acc, lir_mul(B, d, d));
	op_inner_end(c, s);
	return op_let(c, "var", lir_div(B, op_acc_get(c, acc), imm(c, t, (double)op_space_inner(s))));
}

static struct lir_expr *one_over_deviation(struct op_lower *c, struct lir_expr *variance, double epsilon)
{
	enum dtype t = variance->type.dtype;

	return op_let(c, "inv", lir_div(B, imm(c, t, 1), lir_call1(B, LIR_CALL_SQRT, lir_add(B, variance, imm(c, t, epsilon)))));
}

/* ---- InstanceNormalization ---- */

static bool instance_infer(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPES_FLOAT, e) && op_check_rank(c, 0, 3, MAX_DIMS - 1, e) &&
	       op_check_type(c, 1, TYPES_FLOAT, e) && op_check_type(c, 2, TYPES_FLOAT, e) &&
	       op_check_dims(c, 1, 1, c->node->in[0]->dim + 1, e) && op_check_dims(c, 2, 1, c->node->in[0]->dim + 1, e) &&
	       op_out_like(c, 0, 0, e);
}

static bool instance_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_expr *mean, *inv, *scale, *bias, *x;
	struct lir_buffer *in;
	struct op_space s;

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	op_in(c, 1);
	op_in(c, 2);
	op_out(c, 0);
	s = op_space_of(c, in);
	for (int d = 2; d < s.nd; d++)
		s.inner[d] = true;
	op_outer_begin(c, &s);
	mean = mean_of(c, in, &s, s.index, wide);
	inv = one_over_deviation(c, variance_of(c, in, &s, s.index, mean), OP_FLOAT(c->node, "epsilon", 1e-5f));
	scale = op_let(c, "scale", lir_mul(B, op_load_as(c, op_in(c, 1), s.index + 1, wide), inv));
	bias = op_let(c, "bias", op_load_as(c, op_in(c, 2), s.index + 1, wide));
	op_inner_begin(c, &s);
	x = lir_sub(B, op_load_as(c, in, s.index, wide), mean);
	op_store(c, s.index, lir_cast(B, t, lir_add(B, lir_mul(B, x, scale), bias)));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_INSTANCENORMALIZATION = {.infer = instance_infer, .lower = instance_lower};

/* ---- LayerNormalization ---- */

static bool broadcasts_to_input(struct op_infer *c, uint32_t i, struct err *e)
{
	const struct gir_value *v = op_arg(c->node, i), *x = c->node->in[0];
	int64_t dim[MAX_DIMS];
	int nd;

	if (!v)
		return true;
	if (!op_broadcast(v->dim, v->nd, x->dim, x->nd, dim, &nd, e))
		return false;
	if (nd == x->nd && !memcmp(dim, x->dim, (size_t)nd * sizeof *dim))
		return true;
	return err_set(e, ERR_PARSE, "input %u of shape %s does not broadcast to input 0", i, dims_text(c->a, v->dim, v->nd));
}

static bool layer_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS], stash = OP_INT(c->node, "stash_type", 1);
	enum dtype statistics = stash == 16 ? DT_BF16 : stash == 10 ? DT_F16 : stash == 11 ? DT_F64 : DT_F32;
	int axis;

	if (!op_check_type(c, 0, TYPES_FLOAT, e) || !op_check_type(c, 1, TYPES_FLOAT, e) || !op_check_type(c, 2, TYPES_FLOAT, e) ||
	    !broadcasts_to_input(c, 1, e) || !broadcasts_to_input(c, 2, e) ||
	    !op_axis(OP_INT(c->node, "axis", -1), x->nd, &axis, e))
		return false;
	for (int d = 0; d < x->nd; d++)
		dim[d] = d < axis ? x->dim[d] : 1;
	return op_out_like(c, 0, 0, e) && op_set_out(c, 1, statistics, x->nd, dim, e) &&
	       op_set_out(c, 2, statistics, x->nd, dim, e);
}

static void store_statistic(struct op_lower *c, uint32_t i, const struct op_space *s, struct lir_expr *v)
{
	struct lir_expr *at[MAX_DIMS];

	if (i >= c->node->nout || !c->node->out[i])
		return;
	for (int d = 0; d < s->nd; d++)
		at[d] = s->inner[d] ? lir_int(B, 0) : s->index[d];
	lir_store(B, op_out(c, i), at, lir_cast(B, c->node->out[i]->dtype, v));
}

/* ---- a row at a time, a vector at a time ---- */

struct layer {
	struct lir_buffer *in;
	struct lir_expr *mean, *inv;
};

static struct lir_expr *term_of_mean(struct op_lower *c, struct op_space *s, void *user)
{
	return op_load_as(c, ((struct layer *)user)->in, s->index, DT_F32);
}

static struct lir_expr *term_of_variance(struct op_lower *c, struct op_space *s, void *user)
{
	struct layer *l = user;
	struct lir_expr *d = op_let(c, "d", lir_sub(B, op_load_as(c, l->in, s->index, DT_F32), l->mean));

	return lir_mul(B, d, d);
}

static void normalise(struct op_lower *c, struct op_space *s, void *user)
{
	const struct layer *l = user;
	int lanes = c->lanes ? c->lanes : 1;
	struct lir_expr *x = lir_mul(B, lir_sub(B, op_load_as(c, l->in, s->index, DT_F32), l->mean), l->inv);

	x = lir_mul(B, x, op_load_broadcast(c, c->node->in[1], s->index, s->nd, lanes));
	if (op_arg(c->node, 2))
		x = lir_add(B, x, op_load_broadcast(c, c->node->in[2], s->index, s->nd, lanes));
	op_store(c, s->index, x);
}

static void layer_vectors(struct op_lower *c, struct op_space *s, struct lir_buffer *in)
{
	struct lir_expr *n = imm(c, DT_F32, (double)op_space_inner(s));
	struct layer l = {.in = in};

	l.mean = op_let(c, "mean", lir_div(B, op_row_fold(c, s, "sum", LIR_ADD, imm(c, DT_F32, 0), term_of_mean, &l), n));
	l.inv = op_row_fold(c, s, "spread", LIR_ADD, imm(c, DT_F32, 0), term_of_variance, &l);
	l.inv = one_over_deviation(c, op_let(c, "var", lir_div(B, l.inv, n)), OP_FLOAT(c->node, "epsilon", 1e-5f));
	store_statistic(c, 1, s, l.mean);
	store_statistic(c, 2, s, l.inv);
	op_row_each(c, s, normalise, &l);
}

static bool layer_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct gir_value *const *in = c->node->in, *bias = op_arg(c->node, 2);
	struct lir_expr *mean, *inv, *x;
	struct lir_buffer *buf;
	struct op_space s;
	int axis;

	if (!op_axis(OP_INT(c->node, "axis", -1), in[0]->nd, &axis, e))
		return false;
	op_begin(c, "");
	buf = op_in(c, 0);
	op_in(c, 1);
	if (bias)
		op_in(c, 2);
	op_out(c, 0);
	s = op_space_of(c, buf);
	for (int d = axis; d < s.nd; d++)
		s.inner[d] = true;
	op_outer_begin(c, &s);
	if (op_row_vectors(c, &s)) {
		layer_vectors(c, &s, buf);
		op_outer_end(c, &s);
		op_end(c);
		return true;
	}
	mean = mean_of(c, buf, &s, s.index, wide);
	inv = one_over_deviation(c, variance_of(c, buf, &s, s.index, mean), OP_FLOAT(c->node, "epsilon", 1e-5f));
	store_statistic(c, 1, &s, mean);
	store_statistic(c, 2, &s, inv);
	op_inner_begin(c, &s);
	x = lir_mul(B, lir_sub(B, op_load_as(c, buf, s.index, wide), mean), inv);
	x = lir_mul(B, x, lir_cast(B, wide, op_load_broadcast(c, in[1], s.index, s.nd, 1)));
	if (bias)
		x = lir_add(B, x, lir_cast(B, wide, op_load_broadcast(c, bias, s.index, s.nd, 1)));
	op_store(c, s.index, lir_cast(B, t, x));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_LAYERNORMALIZATION = {.infer = layer_infer, .lower = layer_lower};

/* ---- GroupNormalization ---- */

static bool group_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t groups = OP_INT(c->node, "num_groups", 0), own;

	if (!op_check_type(c, 0, TYPES_FLOAT, e) || !op_check_rank(c, 0, 2, MAX_DIMS - 1, e) ||
	    !op_check_type(c, 1, TYPES_FLOAT, e) || !op_check_type(c, 2, TYPES_FLOAT, e))
		return false;
	if (groups < 1 || x->dim[1] % groups)
		return err_set(e, ERR_PARSE, "%lld channels do not divide into %lld groups", (long long)x->dim[1],
			       (long long)groups);
	own = c->opset < 21 ? groups : x->dim[1]; /* one scale per group, later one per channel */
	return op_check_dims(c, 1, 1, &own, e) && op_check_dims(c, 2, 1, &own, e) && op_out_like(c, 0, 0, e);
}

static bool group_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	int64_t groups = OP_INT(c->node, "num_groups", 1), channels = c->node->in[0]->dim[1] / groups;
	struct lir_expr *at[MAX_DIMS], *mean = NULL, *inv = NULL, *x, *own;
	struct lir_buffer *in;
	struct op_space s = {0};

	(void)e;
	op_begin(c, "");
	in = op_in(c, 0);
	op_in(c, 1);
	op_in(c, 2);
	op_out(c, 0);
	/* batch, group, then inner: channel of the group and the plane */
	s = (struct op_space){.nd = 2 + 1, .dim = {in->dim[0], groups, channels}, .inner = {false, false, true}};
	for (int d = 2; d < in->nd; d++) {
		s.dim[s.nd] = in->dim[d];
		s.inner[s.nd++] = true;
	}
	op_outer_begin(c, &s);
	for (int pass = 0; pass < 3; pass++) {
		struct lir_buffer *acc = pass < 2 ? op_acc(c, pass ? "spread" : "sum", imm(c, wide, 0)) : NULL;

		op_inner_begin(c, &s);
		at[0] = s.index[0];
		at[1] = op_let(c, "ch", lir_add(B, lir_mul(B, s.index[1], lir_int(B, channels)), s.index[2]));
		for (int d = 2; d < in->nd; d++)
			at[d] = s.index[d + 1];
		x = op_load_as(c, in, at, wide);
		if (pass)
			x = lir_sub(B, x, mean);
		if (pass == 1)
			x = op_let(c, "d", x), x = lir_mul(B, x, x);
		if (pass < 2) {
			op_acc_add(c, acc, x);
		} else {
			own = c->opset < 21 ? s.index[1] : at[1];
			x = lir_mul(B, lir_mul(B, x, inv), op_load_as(c, op_in(c, 1), &own, wide));
			op_store(c, at, lir_cast(B, t, lir_add(B, x, op_load_as(c, op_in(c, 2), &own, wide))));
		}
		op_inner_end(c, &s);
		if (pass < 2)
			x = lir_div(B, op_acc_get(c, acc), imm(c, wide, (double)op_space_inner(&s)));
		if (pass == 0)
			mean = op_let(c, "mean", x);
		else if (pass == 1)
			inv = one_over_deviation(c, op_let(c, "var", x), OP_FLOAT(c->node, "epsilon", 1e-5f));
	}
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_GROUPNORMALIZATION = {.infer = group_infer, .lower = group_lower};

/* ---- MeanVarianceNormalization ---- */

static bool mark_axes(const struct gir_node *n, bool *inner, struct err *e)
{
	static const int64_t usual[] = {0, 2, 3};
	const struct gir_attr *a = gir_attr(n, "axes");
	const int64_t *axis = a ? a->ints : usual;
	size_t count = a ? a->n : 3;
	int d;

	if (a && a->kind != GIR_ATTR_INTS)
		return err_set(e, ERR_PARSE, "attribute 'axes' must be a list of integers");
	memset(inner, 0, MAX_DIMS * sizeof *inner);
	for (size_t i = 0; i < count; i++) {
		if (!op_axis(axis[i], n->in[0]->nd, &d, e))
			return false;
		inner[d] = true;
	}
	return true;
}

static bool mean_variance_infer(struct op_infer *c, struct err *e)
{
	bool inner[MAX_DIMS];

	return op_check_type(c, 0, TYPES_FLOAT, e) && mark_axes(c->node, inner, e) && op_out_like(c, 0, 0, e);
}

static bool mean_variance_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_expr *mean, *deviation, *x;
	bool inner[MAX_DIMS];
	struct lir_buffer *in;
	struct op_space s;

	if (!mark_axes(c->node, inner, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	op_out(c, 0);
	s = op_space_of(c, in);
	memcpy(s.inner, inner, sizeof inner);
	op_outer_begin(c, &s);
	mean = mean_of(c, in, &s, s.index, wide);
	deviation = lir_call1(B, LIR_CALL_SQRT, variance_of(c, in, &s, s.index, mean));
	deviation = op_let(c, "deviation", lir_add(B, deviation, imm(c, wide, 1e-9)));
	op_inner_begin(c, &s);
	x = lir_div(B, lir_sub(B, op_load_as(c, in, s.index, wide), mean), deviation);
	op_store(c, s.index, lir_cast(B, t, x));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_MEANVARIANCENORMALIZATION = {.infer = mean_variance_infer, .lower = mean_variance_lower};

/* ---- LpNormalization ---- */

static bool lp_infer(struct op_infer *c, struct err *e)
{
	int64_t p = OP_INT(c->node, "p", 2);
	int axis;

	if (p != 1 && p != 2)
		return err_set(e, ERR_PARSE, "p is %lld, ONNX allows 1 and 2", (long long)p);
	return op_check_type(c, 0, TYPES_FLOAT, e) && op_axis(OP_INT(c->node, "axis", -1), c->node->in[0]->nd, &axis, e) &&
	       op_out_like(c, 0, 0, e);
}

/* A row of norm 0 stays 0. */
static bool lp_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	bool square = OP_INT(c->node, "p", 2) == 2;
	struct lir_buffer *in, *acc;
	struct lir_expr *x, *norm;
	struct op_space s;
	int axis;

	if (!op_axis(OP_INT(c->node, "axis", -1), c->node->in[0]->nd, &axis, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	op_out(c, 0);
	s = op_space_of(c, in);
	s.inner[axis] = true;
	op_outer_begin(c, &s);
	acc = op_acc(c, "sum", imm(c, wide, 0));
	op_inner_begin(c, &s);
	x = op_let(c, "x", op_load_as(c, in, s.index, wide));
	op_acc_add(c, acc, square ? lir_mul(B, x, x) : op_abs(c, x));
	op_inner_end(c, &s);
	norm = op_acc_get(c, acc);
	norm = op_let(c, "norm", square ? lir_call1(B, LIR_CALL_SQRT, norm) : norm);
	op_inner_begin(c, &s);
	x = lir_div(B, op_load_as(c, in, s.index, wide), norm);
	x = lir_select(B, lir_binary(B, LIR_NE, norm, imm(c, wide, 0)), x, imm(c, wide, 0));
	op_store(c, s.index, lir_cast(B, t, x));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_LPNORMALIZATION = {.infer = lp_infer, .lower = lp_lower};
