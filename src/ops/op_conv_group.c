/* op_conv_group.c: Conv for accelerators as a product of matrices - weights times the image's elements under the taps
 *
 * Rows are the output channels of a group of channels, columns the pixels of all images, the depth taps times input channels. The right
 * factor is nowhere in memory: each of its elements is read from the image where it lies, or is 0 beside it. `pack` brings the weights
 * into the order in which they are read, once where they are constant, and fills whole tiles up with zeros.
 */
#include "ops/ops_conv.h"
#include "ops/ops_group.h"

#define B (&c->b)

struct implicit {
	const struct op_conv *v;
	struct op_group g;
	int64_t total; /* pixels of all images */
	bool by_taps;  /* a slice is of one tap: the loops over taps are loops */
	struct lower_temp *packed;
	struct lir_buffer *x, *w, *bias;
	struct lir_expr *stack, *first_in, *first_out; /* the group of channels; its first ones */
	struct lir_expr *tap[2], *channel;             /* by taps: of the slice at hand */
	struct lir_expr *n, *at[2];                    /* of the pixel at hand */
};

static struct lir_expr *constant(struct op_lower *c, int64_t v)
{
	return lir_int(B, v);
}

static bool padded(const struct op_window *w, int d)
{
	return w->begin[d] > 0 || (w->out[d] - 1) * w->stride[d] - w->begin[d] + (w->kernel[d] - 1) * w->dilation[d] >= w->in[d];
}

static int64_t up(int64_t x, int64_t to)
{
	return (x + to - 1) / to * to;
}

static struct lir_expr *least(struct op_lower *c, struct lir_expr *x, int64_t most, bool tail)
{
	return tail ? lir_min(B, x, constant(c, most)) : x;
}

/* Tap and channel of a place in the depth: taps outside, channels inside. */
static void split(struct op_lower *c, const struct op_conv *v, struct lir_expr *k, struct lir_expr **tap, struct lir_expr **channel)
{
	struct lir_expr *t = v->in_channels == 1 ? k : lir_div(B, k, constant(c, v->in_channels));

	*channel = v->in_channels == 1 ? constant(c, 0) : lir_mod(B, k, constant(c, v->in_channels));
	tap[0] = v->w.kernel[1] == 1 ? t : lir_div(B, t, constant(c, v->w.kernel[1]));
	tap[1] = v->w.kernel[1] == 1 ? constant(c, 0) : lir_mod(B, t, constant(c, v->w.kernel[1]));
	if (v->w.kernel[0] == 1)
		tap[0] = constant(c, 0);
}

static void pack(struct op_lower *c, struct implicit *q)
{
	const struct op_conv *v = q->v;
	const struct op_group *g = &q->g;
	int64_t dim[] = {v->groups, up(g->depth, g->slice_depth), up(g->rows, g->tile_rows)};
	struct lir_expr *k, *oc, *tap[2], *channel, *x;
	bool deep = dim[1] != g->depth, wide = dim[2] != g->rows;
	struct lir_buffer *w;
	struct lir_nest nest;

	q->packed = op_temp(c, "weights", DT_F32, 3, dim);
	op_begin(c, "pack");
	w = op_in(c, 1);
	nest = lir_nest_over(B, 3, dim);
	k = op_let(c, "k", least(c, nest.index[1], g->depth - 1, deep));
	oc = least(c, nest.index[2], g->rows - 1, wide);
	oc = lir_add(B, lir_mul(B, nest.index[0], constant(c, v->out_channels)), oc);
	split(c, v, k, tap, &channel);
	x = lir_load(B, w, (struct lir_expr *[]){oc, channel, tap[0], tap[1]});
	if (deep)
		x = lir_select(B, lir_lt(B, nest.index[1], constant(c, g->depth)), x, lir_imm(B, DT_F32, 0));
	lir_store(B, op_temp_out(c, q->packed), nest.index, x);
	lir_nest_end(B, &nest);
	op_end(c);
}

static void begin(struct op_lower *c, void *user, struct lir_expr *stack, struct lir_expr *row, struct lir_expr *col)
{
	struct implicit *q = user;

	(void)row, (void)col;
	q->stack = stack;
	q->first_in = lir_mul(B, stack, constant(c, q->v->in_channels));
	q->first_out = lir_mul(B, stack, constant(c, q->v->out_channels));
}

static struct lir_expr *loop(struct op_lower *c, const char *name, int64_t n)
{
	return n == 1 ? constant(c, 0) : lir_for(B, name, n, LIR_SERIAL);
}

static struct lir_expr *taps(struct op_lower *c, void *user)
{
	struct implicit *q = user;
	const struct op_conv *v = q->v;
	struct lir_expr *tap;

	q->tap[0] = loop(c, "ky", v->w.kernel[0]);
	q->tap[1] = loop(c, "kx", v->w.kernel[1]);
	q->channel = lir_mul(B, loop(c, "slice", v->in_channels / q->g.slice_depth), constant(c, q->g.slice_depth));
	tap = lir_add(B, lir_mul(B, q->tap[0], constant(c, v->w.kernel[1])), q->tap[1]);
	return op_let(c, "depth", lir_add(B, lir_mul(B, tap, constant(c, v->in_channels)), q->channel));
}

static void taps_end(struct op_lower *c, void *user)
{
	struct implicit *q = user;
	int64_t n[] = {q->v->w.kernel[0], q->v->w.kernel[1], q->v->in_channels / q->g.slice_depth};

	for (int i = 2; i >= 0; i--)
		if (n[i] != 1)
			lir_end(B);
}

static struct lir_expr *left(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *k, struct lir_expr *deep)
{
	struct implicit *q = user;

	return lir_load(B, q->w, (struct lir_expr *[]){q->stack, k, row});
}

/* Image, row and column of a pixel. */
static void find(struct op_lower *c, struct implicit *q, struct lir_expr *pixel)
{
	const struct op_window *w = &q->v->w;
	int64_t map = w->out[0] * w->out[1];

	q->n = q->total == map ? constant(c, 0) : op_let(c, "n", lir_div(B, pixel, constant(c, map)));
	if (q->total != map)
		pixel = op_let(c, "place", lir_mod(B, pixel, constant(c, map)));
	q->at[0] = op_let(c, "row", lir_div(B, pixel, constant(c, w->out[1])));
	q->at[1] = op_let(c, "col", lir_mod(B, pixel, constant(c, w->out[1])));
}

static void column(struct op_lower *c, void *user, struct lir_expr *col)
{
	struct implicit *q = user;

	find(c, q, op_let(c, "pixel", least(c, col, q->total - 1, q->total % q->g.tile_cols)));
}

static struct lir_expr *right(struct op_lower *c, void *user, struct lir_expr *col, struct lir_expr *k, struct lir_expr *deep)
{
	struct implicit *q = user;
	const struct op_window *w = &q->v->w;
	struct lir_expr *tap[2] = {q->tap[0], q->tap[1]}, *at[4] = {q->n}, *channel, *inside = NULL, *x;
	bool tail = q->g.depth % q->g.slice_depth;

	(void)col;
	if (q->by_taps) {
		channel = lir_add(B, q->channel, deep);
	} else {
		k = op_let(c, "k", k);
		inside = tail ? lir_lt(B, k, constant(c, q->g.depth)) : NULL;
		split(c, q->v, least(c, k, q->g.depth - 1, tail), tap, &channel);
	}
	at[1] = lir_add(B, q->first_in, channel);
	for (int d = 0; d < 2; d++) {
		struct lir_expr *y = lir_sub(B, lir_mul(B, q->at[d], constant(c, w->stride[d])), constant(c, w->begin[d])), *in;

		y = lir_add(B, y, lir_mul(B, tap[d], constant(c, w->dilation[d])));
		at[2 + d] = y->kind == LIR_VAR ? y : op_let(c, d ? "x" : "y", y);
		if (!padded(w, d))
			continue;
		in = lir_and(B, lir_ge(B, at[2 + d], constant(c, 0)), lir_lt(B, at[2 + d], constant(c, w->in[d])));
		inside = inside ? lir_and(B, inside, in) : in;
	}
	x = lir_load(B, q->x, at);
	return inside ? lir_select(B, inside, x, lir_imm(B, DT_F32, 0)) : x;
}

static struct lir_expr *start(struct op_lower *c, void *user, struct lir_expr *row)
{
	struct implicit *q = user;
	struct lir_expr *oc = least(c, row, q->g.rows - 1, q->g.rows % q->g.tile_rows);

	oc = lir_add(B, q->first_out, oc);
	return q->bias ? lir_load(B, q->bias, &oc) : lir_imm(B, DT_F32, 0);
}

static void store_column(struct op_lower *c, void *user, struct lir_expr *col)
{
	find(c, user, col);
}

static void store(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *sum)
{
	struct implicit *q = user;

	op_store(c, (struct lir_expr *[]){q->n, lir_add(B, q->first_out, row), q->at[0], q->at[1]}, sum);
}

bool op_conv_lower_group(struct op_lower *c, const struct op_conv *v)
{
	struct implicit q = {.v = v, .total = c->node->in[0]->dim[0] * v->w.out[0] * v->w.out[1]};

	q.g = (struct op_group){.rows = v->out_channels, .cols = q.total, .depth = v->in_channels * v->w.kernel[0] * v->w.kernel[1],
				.stack = v->groups, .user = &q, .begin = begin, .left = left, .column = column, .right = right, .start = start,
				.store = store, .store_column = store_column};
	if (!op_group_choose(c, &q.g))
		return false;
	q.by_taps = v->in_channels % q.g.slice_depth == 0;
	if (q.by_taps) {
		q.g.slices = taps;
		q.g.slices_end = taps_end;
	}
	pack(c, &q);
	op_begin(c, "");
	q.x = op_in(c, 0);
	q.w = op_temp_in(c, q.packed);
	q.bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	op_out(c, 0);
	op_group_loops(c, &q.g);
	op_end(c);
	return true;
}
