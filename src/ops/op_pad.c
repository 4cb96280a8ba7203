/* op_pad.c: a tensor with more around it, or several times - Pad, Expand, Tile */
#include <string.h>

#include "ops/ops_calc.h"

#define B (&c->b)

/* ---- Pad: constant, reflect, edge, wrap ---- */

static bool pads_of(struct op_infer *c, int64_t *before, int64_t *after, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const struct gir_attr *attr = gir_attr(c->node, "pads");
	const int64_t *pads, *axes = NULL;
	int n, naxes = x->nd;

	attr = attr ? attr : gir_attr(c->node, "paddings");
	if (op_arg(c->node, 1)) {
		if (!op_ints(c, 1, &pads, &n, e))
			return false;
	} else if (attr && attr->kind == GIR_ATTR_INTS) {
		pads = attr->ints;
		n = (int)attr->n;
	} else {
		return err_set(e, ERR_PARSE, "no pads are given");
	}
	if (op_arg(c->node, 3) && !op_ints(c, 3, &axes, &naxes, e))
		return false;
	if (n != 2 * naxes)
		return err_set(e, ERR_PARSE, "%d pads for %d dimensions", n, naxes);
	for (int i = 0; i < x->nd; i++)
		before[i] = after[i] = 0;
	for (int i = 0; i < naxes; i++) {
		int axis;

		if (!op_axis(axes ? axes[i] : i, x->nd, &axis, e))
			return false;
		if (pads[i] < -MAX_ELEMENTS || pads[i] > MAX_ELEMENTS || pads[i + naxes] < -MAX_ELEMENTS || pads[i + naxes] > MAX_ELEMENTS)
			return err_set(e, ERR_PARSE, "absurd pads");
		before[axis] = pads[i];
		after[axis] = pads[i + naxes];
	}
	return true;
}

static bool pad_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const char *mode = gir_attr_string(c->node, "mode", "constant");
	int64_t before[MAX_DIMS], after[MAX_DIMS], dim[MAX_DIMS];

	if (!pads_of(c, before, after, e))
		return false;
	if (strcmp(mode, "constant") && strcmp(mode, "reflect") && strcmp(mode, "edge") && strcmp(mode, "wrap"))
		return err_set(e, ERR_PARSE, "mode '%s'", mode);
	for (int i = 0; i < x->nd; i++) {
		dim[i] = x->dim[i] + before[i] + after[i];
		if (!strcmp(mode, "reflect") && (before[i] >= x->dim[i] || after[i] >= x->dim[i]) && (before[i] > 0 || after[i] > 0))
			return err_set(e, ERR_UNSUPPORTED, "reflection by more than the size less one in dimension %d", i);
		if (!x->dim[i] && dim[i] && strcmp(mode, "constant"))
			return err_set(e, ERR_PARSE, "nothing to repeat in dimension %d", i);
	}
	return op_set_out(c, 0, x->dtype, x->nd, dim, e);
}

/* Where position i (from the first real element) reads; i is within the pads. */
static struct lir_expr *pad_source(struct op_lower *c, const char *mode, struct lir_expr *i, int64_t size)
{
	struct lir_expr *zero = lir_int(B, 0), *last = lir_int(B, size - 1);

	if (!strcmp(mode, "edge"))
		return lir_max(B, lir_min(B, i, last), zero);
	if (!strcmp(mode, "wrap"))
		return lir_mod(B, lir_add(B, lir_mod(B, i, lir_int(B, size)), lir_int(B, size)), lir_int(B, size));
	i = lir_select(B, lir_lt(B, i, zero), lir_sub(B, zero, i), i);
	return lir_select(B, lir_binary(B, LIR_GT, i, last), lir_sub(B, lir_int(B, 2 * (size - 1)), i), i);
}

static struct lir_expr *pad_value(struct op_lower *c, enum dtype t)
{
	if (op_arg(c->node, 2))
		return op_load_scalar_or(c, op_in(c, 2), lir_int(B, 0), t);
	return lir_imm(B, t, gir_attr_float(c->node, "value", 0));
}

static bool pad_lower(struct op_lower *c, struct err *e)
{
	struct op_infer again = {.a = c->a, .node = (struct gir_node *)c->node, .opset = c->opset, .value = op_infer_known};
	const char *mode = gir_attr_string(c->node, "mode", "constant");
	int64_t before[MAX_DIMS], after[MAX_DIMS];
	struct lir_expr *at[MAX_DIMS], *inside = NULL, *x;
	struct lir_buffer *in, *out;
	struct lir_nest nest;

	if (!pads_of(&again, before, after, e))
		return false;
	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	for (int i = 0; i < out->nd; i++) {
		at[i] = lir_sub(B, nest.index[i], lir_int(B, before[i]));
		if (before[i] <= 0 && after[i] <= 0)
			continue;
		at[i] = op_let(c, "p", at[i]);
		if (strcmp(mode, "constant")) {
			at[i] = op_let(c, "q", pad_source(c, mode, at[i], in->dim[i]));
			continue;
		}
		x = lir_and(B, lir_ge(B, at[i], lir_int(B, 0)), lir_lt(B, at[i], lir_int(B, in->dim[i])));
		inside = inside ? lir_and(B, inside, x) : x;
	}
	x = lir_load(B, in, at);
	lir_store(B, out, nest.index, inside ? lir_select(B, inside, x, pad_value(c, in->dtype)) : x);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_PAD = {.infer = pad_infer, .lower = pad_lower};

/* ---- Expand, Tile ---- */

static bool expand_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const int64_t *want;
	int64_t dim[MAX_DIMS];
	int n;

	if (!op_ints(c, 1, &want, &n, e))
		return false;
	if (n > MAX_DIMS - 1)
		return err_set(e, ERR_UNSUPPORTED, "%d dimensions", n);
	return op_broadcast(x->dim, x->nd, want, n, dim, &n, e) && op_set_out(c, 0, x->dtype, n, dim, e);
}

static bool tile_infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *x = c->node->in[0];
	const int64_t *repeat;
	int64_t dim[MAX_DIMS];
	int n;

	if (!op_ints(c, 1, &repeat, &n, e))
		return false;
	if (n != x->nd)
		return err_set(e, ERR_PARSE, "%d repeats for %d dimensions", n, x->nd);
	for (int i = 0; i < n; i++) {
		if (repeat[i] < 0 || (x->dim[i] && repeat[i] > MAX_ELEMENTS / x->dim[i]))
			return err_set(e, ERR_PARSE, "repeat %lld", (long long)repeat[i]);
		dim[i] = x->dim[i] * repeat[i];
	}
	return op_set_out(c, 0, x->dtype, n, dim, e);
}

/* Expand and Tile alike: each output index modulo the input's size, dims aligned at the end. */
static bool repeat_lower(struct op_lower *c, struct err *e)
{
	struct lir_expr *at[MAX_DIMS];
	struct lir_buffer *in, *out;
	struct lir_nest nest;

	op_begin(c, "");
	in = op_in(c, 0);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd, out->dim);
	for (int i = 0; i < in->nd; i++) {
		struct lir_expr *x = nest.index[out->nd - in->nd + i];

		at[i] = in->dim[i] == 1 ? lir_int(B, 0) : in->dim[i] == out->dim[out->nd - in->nd + i] ? x : lir_mod(B, x, lir_int(B, in->dim[i]));
	}
	lir_store(B, out, nest.index, lir_load(B, in, at));
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}

const struct op_impl op_EXPAND = {.infer = expand_infer, .lower = repeat_lower};
const struct op_impl op_TILE = {.infer = tile_infer, .lower = repeat_lower};
