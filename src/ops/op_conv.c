/* op_conv.c: Conv - one output element per iteration, sum over input channels and kernel taps */
#include <string.h>

#include "ops/ops_conv.h"
#include "ops/ops_product.h"

#define B (&c->b)

bool op_conv_read(const struct gir_node *n, const struct gir_value *x, const struct gir_value *w, struct op_conv *v, struct err *e)
{
	if (x->nd < 3 || w->nd != x->nd)
		return err_set(e, ERR_PARSE,
			       "a convolution needs a tensor of 3 or more dimensions and a weight of as many, not %d and %d", x->nd,
			       w->nd);
	*v = (struct op_conv){.groups = gir_attr_int(n, "group", 1)};
	if (v->groups < 1 || x->dim[1] % v->groups || w->dim[0] % v->groups || x->dim[1] / v->groups != w->dim[1])
		return err_set(e, ERR_PARSE, "%lld channels in %lld groups do not fit a weight of %lld x %lld channels",
			       (long long)x->dim[1], (long long)v->groups, (long long)w->dim[0], (long long)w->dim[1]);
	v->in_channels = w->dim[1];
	v->out_channels = w->dim[0] / v->groups;
	return op_window_read(n, x->nd - 2, x->dim + 2, w->dim + 2, &v->w, e) && op_window_size(n, false, &v->w, e);
}

bool op_conv_set_out(struct op_infer *c, const struct op_conv *v, enum dtype t, struct err *e)
{
	int64_t dim[MAX_DIMS] = {c->node->in[0]->dim[0], v->groups * v->out_channels};

	memcpy(dim + 2, v->w.out, (size_t)v->w.nd * sizeof *dim);
	return op_set_out(c, 0, t, v->w.nd + 2, dim, e);
}

void op_conv_sum(struct op_lower *c, const struct op_conv *v, struct lir_buffer *x, struct lir_expr *x_zero, struct lir_buffer *w,
		 struct lir_expr *w_zero, struct lir_expr *const *o, struct lir_buffer *acc)
{
	struct lir_expr *first = lir_int(B, 0), *ci, *xv, *wv, *at[MAX_DIMS] = {o[0]}, *tap[MAX_DIMS] = {o[1]};
	enum dtype t = acc->dtype;
	struct op_taps taps;

	if (v->groups > 1) {
		first = lir_mul(B, lir_div(B, o[1], lir_int(B, v->out_channels)), lir_int(B, v->in_channels));
		first = first->kind == LIR_VAR ? first : op_let(c, "first", first);
	}
	ci = v->in_channels == 1 ? lir_int(B, 0) : lir_for(B, "ci", v->in_channels, LIR_SERIAL);
	at[1] = op_conv_channel(c, v, lir_add(B, first, ci));
	tap[1] = ci;
	taps = op_taps_begin(c, &v->w, o + 2);
	memcpy(at + 2, taps.pos, sizeof taps.pos);
	memcpy(tap + 2, taps.k, sizeof taps.k);
	xv = op_load_as(c, x, at, t);
	wv = op_load_as(c, w, tap, t);
	xv = x_zero ? lir_sub(B, xv, x_zero) : xv;
	wv = w_zero ? lir_sub(B, wv, w_zero) : wv;
	op_acc_add(c, acc, lir_mul(B, xv, wv));
	op_taps_end(c, &v->w, &taps);
	if (v->in_channels != 1)
		lir_end(B);
}

static bool infer(struct op_infer *c, struct err *e)
{
	struct gir_value *const *in = c->node->in;
	struct op_conv v;

	return op_check_type(c, 0, TYPES_FLOAT, e) && op_check_same_type(c, 1, e) && op_check_same_type(c, 2, e) &&
	       op_conv_read(c->node, in[0], in[1], &v, e) && op_check_dims(c, 2, 1, &in[1]->dim[0], e) &&
	       op_conv_set_out(c, &v, in[0]->dtype, e);
}

/* The bias of the channel that output element `at` (by groups) belongs to. */
static struct lir_expr *add_bias(struct op_lower *c, void *user, struct lir_expr *const *at, struct lir_expr *sum)
{
	const struct op_conv *v = user;
	struct lir_expr *channel = lir_add(B, lir_mul(B, at[1], lir_int(B, v->out_channels)), at[2]);

	return op_arg(c->node, 2) ? lir_add(B, sum, lir_load(B, op_in(c, 2), &channel)) : sum;
}

/* One tap, stride 1, plain images: a matrix product for each group. */
static bool lower_products(struct op_lower *c, struct op_conv *v)
{
	const struct gir_value *x = c->node->in[0];
	struct op_product p = {.m = v->out_channels, .k = v->in_channels, .finish = add_bias, .user = v, .groups = v->groups};

	if (x->nd != 4 || x->block)
		return false;
	for (int d = 0; d < 2; d++)
		if (v->w.kernel[d] != 1 || v->w.stride[d] != 1 || v->w.in[d] != v->w.out[d])
			return false;
	p.n = v->w.out[0] * v->w.out[1];
	p.a = (struct op_matrix){1, 3, {v->groups, p.m, p.k}};
	p.b = (struct op_matrix){0, 4, {x->dim[0], v->groups, p.k, p.n}};
	return op_product_fits(c, &p) && op_product_lower(c, &p);
}

/* One output element at a time. */
static void lower_plain(struct op_lower *c, const struct op_conv *v)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *x, *w, *bias, *acc;
	struct op_space s;

	op_begin(c, "");
	x = op_in(c, 0);
	w = op_in(c, 1);
	bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	acc = op_acc(c, "acc", bias ? op_load_as(c, bias, s.index + 1, wide) : lir_imm(B, wide, 0));
	op_conv_sum(c, v, x, NULL, w, NULL, s.index, acc);
	op_store(c, s.index, lir_cast(B, t, op_acc_get(c, acc)));
	op_outer_end(c, &s);
	op_end(c);
}

static bool lower(struct op_lower *c, struct err *e)
{
	struct gir_value *const *in = c->node->in;
	struct op_conv v;

	if (!op_conv_read(c->node, in[0], in[1], &v, e))
		return false;
	if (c->node->out[0]->block)
		return op_conv_lower_blocked(c, &v, e);
	if (op_conv_lower_planes(c, &v))
		return true;
	if (op_conv_fits_tiles(c, &v) && op_conv_lower_group(c, &v))
		return true;
	if (op_conv_fits_tiles(c, &v))
		return op_conv_lower_tiles(c, &v, e);
	if (!lower_products(c, &v))
		lower_plain(c, &v);
	return true;
}
const struct op_impl op_CONV = {.infer = infer, .lower = lower};

/* ---- one channel each, of images whose channels are to be shuffled: the pass `shuffle` makes it ---- */

static bool shuffled_read(const struct gir_node *n, struct op_conv *v, struct err *e)
{
	if (!op_conv_read(n, n->in[0], n->in[1], v, e))
		return false;
	v->shuffle = gir_attr_int(n, "shuffle", 0);
	if (v->in_channels != 1 || v->shuffle < 1 || v->groups % v->shuffle)
		return err_set(e, ERR_PARSE, "%lld channels in groups of %lld cannot be shuffled in %lld groups", (long long)(v->groups * v->in_channels),
			       (long long)v->in_channels, (long long)v->shuffle);
	return true;
}

static bool shuffled_infer(struct op_infer *c, struct err *e)
{
	struct op_conv v;

	return infer(c, e) && shuffled_read(c->node, &v, e);
}

static bool shuffled_lower(struct op_lower *c, struct err *e)
{
	struct op_conv v;

	if (!shuffled_read(c->node, &v, e))
		return false;
	if (!op_conv_lower_planes(c, &v))
		lower_plain(c, &v);
	return true;
}

const struct op_impl op_SHUFFLEDCONV = {.infer = shuffled_infer, .lower = shuffled_lower};

/* ---- the same by Winograd's transforms: the pass `winograd` chooses it ---- */

static bool winograd_lower(struct op_lower *c, struct err *e)
{
	struct gir_value *const *in = c->node->in;
	struct op_conv v;

	if (!op_conv_read(c->node, in[0], in[1], &v, e))
		return false;
	if (!op_conv_fits_winograd(c, &v))
		return err_set(e, ERR_UNSUPPORTED, "needs 3 x 3 taps, stride and dilation 1, one group, and images stored by blocks of channels");
	op_conv_lower_winograd(c, &v);
	return true;
}

const struct op_impl op_WINOGRADCONV = {.infer = infer, .lower = winograd_lower};

/* ---- a convolution of one tap over several images' channels, one image after the other: inputs x, w, b, x, x ... ---- */

/* The first image with the channels of all. */
static bool parts_image(const struct gir_node *n, struct gir_value *x, struct err *e)
{
	*x = *n->in[0];
	if (x->nd != 4 || n->in[1]->nd != 4)
		return err_set(e, ERR_PARSE, "needs images and a weight of 4 dimensions");
	for (uint32_t i = 3; i < n->nin; i++) {
		const struct gir_value *y = n->in[i];

		if (!y || y->dtype != x->dtype || y->nd != 4 || y->dim[0] != x->dim[0] || y->dim[2] != x->dim[2] ||
		    y->dim[3] != x->dim[3] || y->block != x->block)
			return err_set(e, ERR_PARSE, "part %u is no image like the first", i - 2);
		x->dim[1] += y->dim[1];
	}
	return true;
}

static bool parts_read(const struct gir_node *n, struct op_conv *v, struct err *e)
{
	struct gir_value x;

	if (!parts_image(n, &x, e) || !op_conv_read(n, &x, n->in[1], v, e))
		return false;
	for (int d = 0; d < 2; d++)
		if (v->groups != 1 || v->w.kernel[d] != 1 || v->w.stride[d] != 1 || v->w.in[d] != v->w.out[d] || v->w.begin[d])
			return err_set(e, ERR_PARSE, "parts are for one group, one tap, stride 1 and no padding");
	return true;
}

static bool parts_infer(struct op_infer *c, struct err *e)
{
	struct gir_value *const *in = c->node->in;
	struct op_conv v;

	return op_check_type(c, 0, TYPE_BIT(F32), e) && op_check_same_type(c, 1, e) && op_check_same_type(c, 2, e) &&
	       parts_read(c->node, &v, e) && op_check_dims(c, 2, 1, &in[1]->dim[0], e) && op_conv_set_out(c, &v, in[0]->dtype, e);
}

static bool parts_lower(struct op_lower *c, struct err *e)
{
	const struct gir_node *n = c->node;
	struct op_conv v;

	for (uint32_t i = 0; i < n->nin; i++)
		if (i != 1 && i != 2 && (!n->out[0]->block || n->in[i]->block != n->out[0]->block || n->in[i]->dim[1] % n->out[0]->block))
			return err_set(e, ERR_UNSUPPORTED, "'%s' is not stored by whole blocks of channels", n->in[i]->name);
	return parts_read(n, &v, e) && op_conv_lower_blocked(c, &v, e);
}

const struct op_impl op_PARTSCONV = {.infer = parts_infer, .lower = parts_lower};
