/* op_convtranspose.c: ConvTranspose, gathered - each output element sums the inputs whose stamped kernel covers it */
#include <string.h>

#include "ops/ops_window.h"

#define B (&c->b)

struct geometry {
	struct op_window w;                        /* in and out as ONNX names them: out is the larger */
	int64_t groups, in_channels, out_channels; /* channels of one group */
};

/* Padding from a wanted output size; the odd element goes to the end for SAME_UPPER, else to the beginning. */
static void split_padding(struct op_window *w, int d, int64_t natural, bool upper)
{
	int64_t total = natural > w->out[d] ? natural - w->out[d] : 0;

	w->begin[d] = upper ? total / 2 : total - total / 2;
	w->end[d] = total - w->begin[d];
}

static bool sizes(const struct gir_node *n, struct op_window *w, struct err *e)
{
	const char *mode = op_auto_pad(n, e);
	int64_t extra[WINDOW_DIMS], wanted[WINDOW_DIMS];
	const struct gir_attr *shape = gir_attr(n, "output_shape");
	int64_t most = INT32_MAX;

	if (!mode || !op_attr_ints(n, "output_padding", w->nd, 0, most, 0, extra, e))
		return false;
	/* some exporters write the whole shape, with batch and channels */
	if (shape && shape->kind == GIR_ATTR_INTS && shape->n == (size_t)w->nd + 2)
		memcpy(wanted, shape->ints + 2, (size_t)w->nd * sizeof *wanted);
	else if (!op_attr_ints(n, "output_shape", w->nd, 1, most, 0, wanted, e))
		return false;
	for (int d = 0; d < w->nd; d++) {
		int64_t natural;

		if (w->in[d] < 1 || w->in[d] > most || (shape && (wanted[d] < 1 || wanted[d] > most)))
			return err_set(e, ERR_PARSE, "dimension %d is empty or absurd", d + 2);
		natural = (w->in[d] - 1) * w->stride[d] + extra[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
		if (shape || !strncmp(mode, "SAME", 4)) {
			w->out[d] = shape ? wanted[d] : w->in[d] * w->stride[d];
			split_padding(w, d, natural, !strcmp(mode, "SAME_UPPER"));
			continue;
		}
		w->out[d] = natural - w->begin[d] - w->end[d];
		if (w->out[d] < 1)
			return err_set(e, ERR_PARSE, "padding leaves nothing of dimension %d", d + 2);
	}
	return true;
}

static bool read_geometry(const struct gir_node *n, struct geometry *g, struct err *e)
{
	const struct gir_value *x = n->in[0], *w = n->in[1];

	if (x->nd < 3 || w->nd != x->nd)
		return err_set(e, ERR_PARSE, "needs a tensor of 3 or more dimensions and a weight of as many, not %d and %d", x->nd,
			       w->nd);
	*g = (struct geometry){.groups = gir_attr_int(n, "group", 1)};
	if (g->groups < 1 || x->dim[1] % g->groups || w->dim[0] != x->dim[1])
		return err_set(e, ERR_PARSE, "%lld channels in %lld groups do not fit a weight for %lld channels",
			       (long long)x->dim[1], (long long)g->groups, (long long)w->dim[0]);
	g->in_channels = x->dim[1] / g->groups;
	g->out_channels = w->dim[1];
	if (g->groups * g->out_channels > INT32_MAX)
		return err_set(e, ERR_PARSE, "%lld groups of %lld channels are absurd", (long long)g->groups,
			       (long long)g->out_channels);
	return op_window_read(n, x->nd - 2, x->dim + 2, w->dim + 2, &g->w, e) && sizes(n, &g->w, e);
}

static bool infer(struct op_infer *c, struct err *e)
{
	struct geometry g;
	int64_t dim[MAX_DIMS];

	if (!op_check_type(c, 0, TYPES_FLOAT, e) || !op_check_same_type(c, 1, e) || !op_check_same_type(c, 2, e) ||
	    !read_geometry(c->node, &g, e))
		return false;
	dim[0] = c->node->in[0]->dim[0];
	dim[1] = g.groups * g.out_channels;
	memcpy(dim + 2, g.w.out, (size_t)g.w.nd * sizeof *dim);
	return op_check_dims(c, 2, 1, &dim[1], e) && op_set_out(c, 0, c->node->in[0]->dtype, g.w.nd + 2, dim, e);
}

/* Opens the loops over the taps; at[d] becomes the input position whose stamp at o[d] comes from tap[d]. */
static void open_taps(struct op_lower *c, const struct op_window *w, struct lir_expr *const *o, struct lir_expr **tap,
		      struct lir_expr **at)
{
	for (int d = 0; d < w->nd; d++) {
		struct lir_expr *stride = lir_int(B, w->stride[d]), *p, *fits;

		tap[d] = lir_for(B, "k", w->kernel[d], LIR_SERIAL);
		p = lir_sub(B, lir_add(B, o[d], lir_int(B, w->begin[d])), lir_mul(B, tap[d], lir_int(B, w->dilation[d])));
		p = op_let(c, "p", p);
		fits = lir_and(B, lir_ge(B, p, lir_int(B, 0)), lir_eq(B, lir_mod(B, p, stride), lir_int(B, 0)));
		at[d] = lir_div(B, p, stride);
		lir_if(B, lir_and(B, fits, lir_lt(B, at[d], lir_int(B, w->in[d]))));
	}
}

static void sum(struct op_lower *c, const struct geometry *g, struct lir_buffer *x, struct lir_buffer *w, struct lir_expr *const *o,
		struct lir_buffer *acc)
{
	struct lir_expr *ci, *first = lir_int(B, 0), *at[MAX_DIMS] = {o[0]}, *tap[MAX_DIMS] = {NULL, o[1]};

	if (g->groups > 1) {
		struct lir_expr *per_group = lir_int(B, g->out_channels);

		first = op_let(c, "first", lir_mul(B, lir_div(B, o[1], per_group), lir_int(B, g->in_channels)));
		tap[1] = lir_mod(B, o[1], per_group);
	}
	ci = lir_for(B, "ci", g->in_channels, LIR_SERIAL);
	at[1] = tap[0] = lir_add(B, first, ci);
	open_taps(c, &g->w, o + 2, tap + 2, at + 2);
	op_acc_add(c, acc, lir_mul(B, op_load_as(c, x, at, acc->dtype), op_load_as(c, w, tap, acc->dtype)));
	for (int d = 0; d < g->w.nd; d++) {
		lir_end(B);
		lir_end(B);
	}
	lir_end(B);
}

static bool lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *x, *w, *bias, *acc;
	struct geometry g;
	struct op_space s;

	if (!read_geometry(c->node, &g, e))
		return false;
	op_begin(c, "");
	x = op_in(c, 0);
	w = op_in(c, 1);
	bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	acc = op_acc(c, "acc", bias ? op_load_as(c, bias, s.index + 1, wide) : lir_imm(B, wide, 0));
	sum(c, &g, x, w, s.index, acc);
	op_store(c, s.index, lir_cast(B, t, op_acc_get(c, acc)));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_CONVTRANSPOSE = {.infer = infer, .lower = lower};
