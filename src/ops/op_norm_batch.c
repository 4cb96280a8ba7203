/* op_norm_batch.c: BatchNormalization - per-channel statistics given, or (in training form) taken from the batch
 *
 * The training form also gives running averages of the statistics; it is a first kernel that fills two temporaries.
 */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

/* From opset 14 on an attribute says so; before, the wish for more outputs. */
static bool is_training(const struct gir_node *n, int opset)
{
	bool more = false;

	for (uint32_t i = 1; i < n->nout; i++)
		more |= n->out[i] != NULL;
	return opset >= 14 ? OP_INT(n, "training_mode", 0) != 0 : more;
}

/* Before opset 9, spatial = 0 keeps statistics for every element of a sample. */
static bool per_element(const struct gir_node *n, int opset)
{
	return opset < 9 && !OP_INT(n, "spatial", 1);
}

static bool infer(struct op_infer *c, struct err *e)
{
	const struct gir_node *n = c->node;
	const struct gir_value *x = n->in[0];
	bool training = is_training(n, c->opset);
	int64_t one = 1, dim[MAX_DIMS];
	int nd = 1;

	if (!op_check_type(c, 0, TYPES_FLOAT, e) || !op_check_rank(c, 0, 1, MAX_DIMS - 1, e))
		return false;
	dim[0] = x->nd > 1 ? x->dim[1] : one;
	if (per_element(n, c->opset)) {
		if (training)
			return err_set(e, ERR_UNSUPPORTED, "training with statistics per element is not supported");
		nd = x->nd - 1;
		memcpy(dim, x->dim + 1, (size_t)nd * sizeof *dim);
	}
	for (uint32_t i = 1; i < 5; i++)
		if (!op_check_type(c, i, TYPES_FLOAT, e) || !op_check_dims(c, i, nd, dim, e))
			return false;
	if (!op_out_like(c, 0, 0, e))
		return false;
	for (uint32_t i = 1; training && i < n->nout && i < (c->opset >= 14 ? 3 : 5); i++)
		if (!op_set_out(c, i, n->in[i % 2 ? 3 : 4]->dtype, 1, dim, e))
			return false;
	return true;
}

static void store_running(struct op_lower *c, uint32_t out, uint32_t in, struct lir_expr *channel, struct lir_expr *now,
			  double momentum)
{
	struct lir_expr *old;

	if (out >= c->node->nout || !c->node->out[out])
		return;
	if (in) {
		old = op_load_as(c, op_in(c, in), &channel, now->type.dtype);
		now = lir_add(B, lir_mul(B, old, lir_imm(B, now->type.dtype, momentum)),
			      lir_mul(B, now, lir_imm(B, now->type.dtype, 1 - momentum)));
	}
	lir_store(B, op_out(c, out), &channel, lir_cast(B, c->node->out[out]->dtype, now));
}

/* Mean and variance of each channel of the batch into the temporaries, and whatever other outputs are wanted. */
static void statistics(struct op_lower *c, struct lower_temp *mean, struct lower_temp *variance)
{
	double momentum = OP_FLOAT(c->node, "momentum", 0.9f);
	struct lir_buffer *in, *acc, *spread;
	struct lir_expr *m, *v, *x, *channel;
	struct op_space s;
	int64_t n;

	op_begin(c, "stats");
	in = op_in(c, 0);
	s = op_space_of(c, in);
	for (int d = 0; d < s.nd; d++)
		s.inner[d] = d != 1;
	n = op_space_inner(&s);
	op_outer_begin(c, &s);
	channel = s.nd > 1 ? s.index[1] : lir_int(B, 0);
	acc = op_acc(c, "sum", lir_imm(B, mean->dtype, 0));
	op_inner_begin(c, &s);
	op_acc_add(c, acc, op_load_as(c, in, s.index, mean->dtype));
	op_inner_end(c, &s);
	m = op_let(c, "mean", lir_div(B, op_acc_get(c, acc), lir_imm(B, mean->dtype, (double)n)));
	spread = op_acc(c, "spread", lir_imm(B, mean->dtype, 0));
	op_inner_begin(c, &s);
	x = op_let(c, "d", lir_sub(B, op_load_as(c, in, s.index, mean->dtype), m));
	op_acc_add(c, spread, lir_mul(B, x, x));
	op_inner_end(c, &s);
	v = op_let(c, "var", lir_div(B, op_acc_get(c, spread), lir_imm(B, mean->dtype, (double)n)));
	lir_store(B, op_temp_out(c, mean), &channel, m);
	lir_store(B, op_temp_out(c, variance), &channel, v);
	store_running(c, 1, 3, channel, m, momentum);
	store_running(c, 2, 4, channel, v, momentum);
	store_running(c, 3, 0, channel, m, momentum);
	store_running(c, 4, 0, channel, v, momentum);
	op_outer_end(c, &s);
	op_end(c);
}

/* (x - mean) * scale / sqrt(var + epsilon) + bias */
static void normalise(struct op_lower *c, struct lower_temp *mean, struct lower_temp *variance)
{
	bool elements = per_element(c->node, c->opset);
	struct lir_expr *zero, *first, *const *channel, *m, *v, *factor, *bias, *x;
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *in, *mean_buf, *var_buf;
	struct op_space s;

	c->lanes = c->node->out[0]->block;
	op_begin(c, mean ? "apply" : "");
	in = op_in(c, 0);
	op_in(c, 1);
	op_in(c, 2);
	mean_buf = mean ? op_temp_in(c, mean) : op_in(c, 3);
	var_buf = variance ? op_temp_in(c, variance) : op_in(c, 4);
	op_out(c, 0);
	s = op_space_of(c, in);
	zero = lir_int(B, 0);
	for (int d = 2; d < s.nd; d++)
		s.inner[d] = !elements;
	op_outer_begin(c, &s);
	channel = s.nd > 1 ? s.index + 1 : &zero;
	if (c->lanes > 1) {
		first = lir_mul(B, s.index[1], lir_int(B, c->lanes));
		channel = &first;
	}
	m = op_let(c, "mean", op_load_as(c, mean_buf, channel, wide));
	v = lir_add(B, op_load_as(c, var_buf, channel, wide), lir_imm(B, wide, OP_FLOAT(c->node, "epsilon", 1e-5f)));
	factor = op_let(c, "factor", lir_div(B, op_load_as(c, op_in(c, 1), channel, wide), lir_call1(B, LIR_CALL_SQRT, v)));
	bias = op_let(c, "bias", op_load_as(c, op_in(c, 2), channel, wide));
	op_inner_begin(c, &s);
	x = lir_sub(B, op_load_as(c, in, s.index, wide), m);
	op_store(c, s.index, lir_cast(B, t, lir_add(B, lir_mul(B, x, factor), bias)));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
}

static bool lower(struct op_lower *c, struct err *e)
{
	struct lower_temp *mean = NULL, *variance = NULL;

	(void)e;
	if (is_training(c->node, c->opset)) {
		enum dtype wide = op_acc_type(c->node->in[0]->dtype);
		const int64_t *channels = c->node->in[1]->dim;

		mean = op_temp(c, "mean", wide, 1, channels);
		variance = op_temp(c, "var", wide, 1, channels);
		statistics(c, mean, variance);
	}
	normalise(c, mean, variance);
	return true;
}

const struct op_impl op_BATCHNORMALIZATION = {.infer = infer, .lower = lower};
