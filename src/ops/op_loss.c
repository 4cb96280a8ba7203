/* op_loss.c: NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss
 *
 * A target that is ignored, or (in data that break ONNX's rules) outside the classes, counts as no element at all.
 */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

enum reduction { NONE, MEAN, SUM };

static bool read_reduction(const struct gir_node *n, enum reduction *r, struct err *e)
{
	const char *s = gir_attr_string(n, "reduction", "mean");

	*r = !strcmp(s, "none") ? NONE : !strcmp(s, "sum") ? SUM : MEAN;
	return *r != MEAN || !strcmp(s, "mean") || err_set(e, ERR_PARSE, "reduction '%s' does not exist", s);
}

static bool infer_loss(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	int64_t dim[MAX_DIMS] = {0};
	enum reduction r;

	if (!op_check_type(c, 0, TYPES_FLOAT, e) || !op_check_type(c, 1, TYPES_INDEX, e) || !op_check_same_type(c, 2, e) ||
	    !op_check_rank(c, 0, 2, MAX_DIMS - 1, e) || !read_reduction(c->node, &r, e))
		return false;
	dim[0] = x->dim[0];
	memcpy(dim + 1, x->dim + 2, (size_t)(x->nd - 2) * sizeof *dim);
	return op_check_dims(c, 1, x->nd - 1, dim, e) && op_check_dims(c, 2, 1, &x->dim[1], e) &&
	       op_set_out(c, 0, x->dtype, r == NONE ? x->nd - 1 : 0, dim, e);
}

/* The loss of the target at the open loops' element goes to `loss`, its weight to `weight`; both stay 0 when it is ignored. */
static void one_loss(struct op_lower *c, struct lir_buffer *log_prob, const struct op_space *s, struct lir_buffer *loss,
		     struct lir_buffer *weight)
{
	const struct gir_attr *ignore = gir_attr(c->node, "ignore_index");
	struct lir_expr *at[MAX_DIMS], *class, *counts, *w;
	enum dtype t = loss->dtype;

	class = op_let(c, "target", op_load_as(c, op_in(c, 1), s->index, DT_I64));
	counts = lir_and(B, lir_ge(B, class, lir_int(B, 0)), lir_lt(B, class, lir_int(B, log_prob->dim[1])));
	if (ignore)
		counts = lir_and(B, lir_binary(B, LIR_NE, class, lir_int(B, ignore->i)), counts);
	lir_if(B, counts);
	at[0] = s->index[0];
	at[1] = class;
	for (int d = 1; d < s->nd; d++)
		at[d + 1] = s->index[d];
	w = op_arg(c->node, 2) ? op_load_as(c, op_in(c, 2), &class, t) : lir_imm(B, t, 1);
	w = op_let(c, "w", w);
	op_acc_set(c, loss, lir_sub(B, op_acc_get(c, loss), lir_mul(B, op_load_as(c, log_prob, at, t), w)));
	if (weight)
		op_acc_add(c, weight, w);
	lir_end(B);
}

/* log_prob holds the logarithms of probabilities; classes are dim 1. */
static void losses(struct op_lower *c, struct lir_buffer *log_prob, enum reduction r)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *loss, *weight = NULL;
	struct lir_expr *v;
	struct op_space s;

	s = op_space_of(c, op_in(c, 1));
	if (op_arg(c->node, 2))
		op_in(c, 2);
	op_out(c, 0);
	if (r == NONE) {
		op_outer_begin(c, &s);
		loss = op_acc(c, "loss", lir_imm(B, wide, 0));
		one_loss(c, log_prob, &s, loss, NULL);
		op_store(c, s.index, lir_cast(B, t, op_acc_get(c, loss)));
		op_outer_end(c, &s);
		return;
	}
	for (int d = 0; d < s.nd; d++)
		s.inner[d] = true;
	op_outer_begin(c, &s);
	loss = op_acc(c, "loss", lir_imm(B, wide, 0));
	if (r == MEAN)
		weight = op_acc(c, "weight", lir_imm(B, wide, 0));
	op_inner_begin(c, &s);
	one_loss(c, log_prob, &s, loss, weight);
	op_inner_end(c, &s);
	v = op_acc_get(c, loss);
	op_store(c, NULL, lir_cast(B, t, r == MEAN ? lir_div(B, v, op_acc_get(c, weight)) : v));
	op_outer_end(c, &s);
}

static bool likelihood_lower(struct op_lower *c, struct err *e)
{
	enum reduction r;

	if (!read_reduction(c->node, &r, e))
		return false;
	op_begin(c, "");
	losses(c, op_in(c, 0), r);
	op_end(c);
	return true;
}

const struct op_impl op_NEGATIVELOGLIKELIHOODLOSS = {.infer = infer_loss, .lower = likelihood_lower};

/* ---- SoftmaxCrossEntropyLoss: log-softmax over the classes, then the same ---- */

static bool entropy_infer(struct op_infer *c, struct err *e)
{
	return infer_loss(c, e) && op_out_like(c, 1, 0, e);
}

static void log_softmax(struct op_lower *c, struct lower_temp *temp)
{
	struct lir_expr *most, *total, *x;
	struct lir_buffer *in, *out, *acc;
	struct op_space s;
	enum dtype wide;

	op_begin(c, "logprob");
	in = op_in(c, 0);
	out = temp ? op_temp_out(c, temp) : op_out(c, 1);
	wide = op_acc_type(in->dtype);
	s = op_space_of(c, in);
	s.inner[1] = true;
	op_outer_begin(c, &s);
	acc = op_acc(c, "best", op_lowest(c, wide));
	op_inner_begin(c, &s);
	op_acc_set(c, acc, lir_max(B, op_acc_get(c, acc), op_load_as(c, in, s.index, wide)));
	op_inner_end(c, &s);
	most = op_let(c, "most", op_acc_get(c, acc));
	acc = op_acc(c, "sum", lir_imm(B, wide, 0));
	op_inner_begin(c, &s);
	op_acc_add(c, acc, lir_call1(B, LIR_CALL_EXP, lir_sub(B, op_load_as(c, in, s.index, wide), most)));
	op_inner_end(c, &s);
	total = op_let(c, "log_total", lir_call1(B, LIR_CALL_LOG, op_acc_get(c, acc)));
	op_inner_begin(c, &s);
	x = lir_sub(B, lir_sub(B, op_load_as(c, in, s.index, wide), most), total);
	lir_store(B, out, s.index, lir_cast(B, out->dtype, x));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
}

static bool entropy_lower(struct op_lower *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	struct lower_temp *temp = NULL;
	enum reduction r;

	if (!read_reduction(c->node, &r, e))
		return false;
	if (c->node->nout < 2 || !c->node->out[1])
		temp = op_temp(c, "logprob", op_acc_type(x->dtype), x->nd, x->dim);
	log_softmax(c, temp);
	op_begin(c, "loss");
	losses(c, temp ? op_temp_in(c, temp) : op_value(c, c->node->out[1]), r);
	op_end(c);
	return true;
}

const struct op_impl op_SOFTMAXCROSSENTROPYLOSS = {.infer = entropy_infer, .lower = entropy_lower};
