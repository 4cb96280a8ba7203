/* op_conv_planes.c: Conv with one channel a group, plain - plane by plane (ops_planes.h)
 *
 * Between operators that work on plain tensors blocks of channels would be made for one convolution only, and undone behind it.
 */
#include "ops/ops_conv.h"
#include "ops/ops_planes.h"

#define B (&c->b)

struct depthwise {
	const struct op_conv *v;
	struct lir_expr *tap[PLANE_TAPS];
};

static struct lir_expr *channel(struct op_lower *c, void *user, struct lir_expr *channel)
{
	const struct depthwise *d = user;

	return op_conv_channel(c, d->v, channel);
}

static struct lir_expr *start(struct op_lower *c, void *user, struct lir_expr *const *out)
{
	struct depthwise *d = user;
	const struct op_window *w = &d->v->w;
	struct lir_buffer *weight = op_in(c, 1), *bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	struct lir_expr *at[4] = {out[1], lir_int(B, 0)}, *x;
	int lanes = c->target->lanes;

	x = op_let(c, "start", lir_broadcast(B, bias ? lir_load(B, bias, &out[1]) : lir_imm(B, DT_F32, 0), lanes));
	for (int64_t k = 0; k < w->kernel[0] * w->kernel[1]; k++) {
		at[2] = lir_int(B, k / w->kernel[1]);
		at[3] = lir_int(B, k % w->kernel[1]);
		d->tap[k] = op_let(c, "w", lir_broadcast(B, lir_load(B, weight, at), lanes));
	}
	return x;
}

static struct lir_expr *add(struct op_lower *c, void *user, int64_t k, struct lir_expr *x, struct lir_expr *sum)
{
	const struct depthwise *d = user;

	return lir_fma(B, x, d->tap[k], sum);
}

bool op_conv_lower_planes(struct op_lower *c, const struct op_conv *v)
{
	struct depthwise d = {.v = v};
	struct op_planes p = {.w = v->w, .user = &d, .channel = v->shuffle > 1 ? channel : NULL, .start = start, .add = add};

	if (v->groups < 2 || v->in_channels != 1 || v->out_channels != 1 || !op_planes_fit(c, &v->w))
		return false;
	op_begin(c, "");
	op_in(c, 0);
	op_in(c, 1);
	if (op_arg(c->node, 2))
		op_in(c, 2);
	op_out(c, 0);
	op_planes_loops(c, &p);
	op_end(c);
	return true;
}
