/* op_conv_parts.c: what several kinds of convolution share */
#include "ops/ops_conv.h"

#define B (&c->b)

struct lir_expr *op_conv_channel(struct op_lower *c, const struct op_conv *v, struct lir_expr *channel)
{
	int64_t of_group = v->groups * v->in_channels / (v->shuffle ? v->shuffle : 1);

	if (v->shuffle <= 1)
		return channel;
	return lir_add(B, lir_mul(B, lir_mod(B, channel, lir_int(B, v->shuffle)), lir_int(B, of_group)), lir_div(B, channel, lir_int(B, v->shuffle)));
}

struct lower_temp *op_conv_bias(struct op_lower *c, int64_t channels, int64_t n)
{
	struct lower_temp *bias;
	struct lir_buffer *from;
	struct lir_nest nest;

	if (!op_arg(c->node, 2) || n == channels)
		return NULL;
	bias = op_temp(c, "bias", DT_F32, 1, &n);
	op_begin(c, "bias");
	from = op_in(c, 2);
	nest = lir_nest_over(B, 1, &n);
	lir_store(
	    B, op_temp_out(c, bias), nest.index,
	    lir_select(B, lir_lt(B, nest.index[0], lir_int(B, channels)), lir_load(B, from, nest.index), lir_imm(B, DT_F32, 0)));
	lir_nest_end(B, &nest);
	op_end(c);
	return bias;
}

struct lir_expr *op_conv_inside(struct op_lower *c, const struct op_conv *v, int d, struct lir_expr *o, struct lir_expr *k, bool ask,
				struct lir_expr **at)
{
	const struct op_window *w = &v->w;
	int64_t last = (w->out[d] - 1) * w->stride[d] + (w->kernel[d] - 1) * w->dilation[d] - w->begin[d];
	struct lir_expr *guard = NULL, *below;

	*at = lir_add(B, lir_mul(B, o, lir_int(B, w->stride[d])), lir_mul(B, k, lir_int(B, w->dilation[d])));
	*at = lir_sub(B, *at, lir_int(B, w->begin[d]));
	if (!ask || (!w->begin[d] && last < w->in[d]))
		return NULL;
	*at = op_let(c, d ? "x" : "y", *at);
	if (w->begin[d])
		guard = lir_ge(B, *at, lir_int(B, 0));
	if (last >= w->in[d]) {
		below = lir_lt(B, *at, lir_int(B, w->in[d]));
		guard = guard ? lir_and(B, guard, below) : below;
	}
	return guard;
}

void op_conv_edges(const struct op_conv *v, int64_t cols, int64_t *left, int64_t *right)
{
	const struct op_window *w = &v->w;
	int64_t whole = w->out[1] / cols, step = cols * w->stride[1], reach = (w->kernel[1] - 1) * w->dilation[1] - w->begin[1];

	*left = (w->begin[1] + step - 1) / step;
	*left = *left < whole ? *left : whole;
	*right = whole;
	while (*right > *left && (*right * cols - 1) * w->stride[1] + reach >= w->in[1])
		(*right)--;
}
