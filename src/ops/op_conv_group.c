/* op_conv_group.c: Conv for accelerators as a product of matrices - weights times the image's elements under the taps
 *
 * Rows are the output channels of a group of channels, columns the pixels of all images, the depth taps times input channels. The right
 * factor is nowhere in memory: each of its elements is read from the image where it lies, or is 0 beside it. `pack` brings the weights
 * into the order in which they are read, once where they are constant, and fills whole tiles up with zeros.
 */
#include "ops/ops_conv.h"
#include "ops/ops_group.h"
#include "ops/ops_product.h"

#define B (&c->b)
#define OWN 8       /* channels of which slices of one tap consist */
#define LEAST_OWN 4 /* taps of which slices consist */
#define MOST_OWN 12

enum order {
	TAPS_FIRST, /* taps outside, channels inside, a slice of one tap */
	ROWS,       /* channels outside: a slice is a row of a channel's taps */
	KERNELS,    /* ... or all taps of a channel */
	ANY,        /* taps outside, found by division for each element */
};

struct implicit {
	const struct op_conv *v;
	struct op_group g;
	int64_t total; /* pixels of all images */
	enum order order;
	struct lower_temp *packed;
	struct lir_buffer *x, *w, *bias;
	struct lir_expr *stack, *first_out;            /* the group of channels; its first one */
	struct lir_expr *tap[2], *channel;             /* of the slice at hand, its first ones */
	struct lir_expr *n, *place, *at[2];            /* of the pixel at hand: image, number in its map, row and column */
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

static struct lir_expr *part(struct op_lower *c, struct lir_expr *x, int64_t n, struct lir_expr **rest)
{
	*rest = n == 1 ? constant(c, 0) : lir_mod(B, x, constant(c, n));
	return n == 1 ? x : lir_div(B, x, constant(c, n));
}

/* Tap and channel of a place in the depth. */
static void split(struct op_lower *c, const struct implicit *q, struct lir_expr *k, struct lir_expr **tap, struct lir_expr **channel)
{
	const struct op_conv *v = q->v;

	if (q->order == ROWS || q->order == KERNELS) {
		k = part(c, k, v->w.kernel[1], &tap[1]);
		*channel = part(c, k, v->w.kernel[0], &tap[0]);
		return;
	}
	k = part(c, k, v->in_channels, channel);
	k = part(c, k, v->w.kernel[1], &tap[1]);
	tap[0] = v->w.kernel[0] == 1 ? constant(c, 0) : k;
}

/* Weights by slices, each with what fills it up. */
static void pack(struct op_lower *c, struct implicit *q)
{
	const struct op_conv *v = q->v;
	const struct op_group *g = &q->g;
	int64_t dim[] = {v->groups, g->slices * g->left_depth, up(g->rows, g->tile_rows)};
	struct lir_expr *k = NULL, *deep, *oc, *tap[2], *channel, *x, *there = NULL;
	bool wide = dim[2] != g->rows;
	struct lir_buffer *w;
	struct lir_nest nest;

	q->packed = op_temp(c, "weights", DT_F32, 3, dim);
	op_begin(c, "pack");
	w = op_in(c, 1);
	nest = lir_nest_over(B, 3, dim);
	k = nest.index[1];
	if (g->left_depth != g->slice_depth) { /* own slices: the depth has no other tail */
		deep = op_let(c, "deep", lir_mod(B, k, constant(c, g->left_depth)));
		there = lir_lt(B, deep, constant(c, g->slice_depth));
		k = lir_mul(B, lir_div(B, k, constant(c, g->left_depth)), constant(c, g->slice_depth));
		k = lir_add(B, k, lir_min(B, deep, constant(c, g->slice_depth - 1)));
	} else if (dim[1] != g->depth) {
		there = lir_lt(B, k, constant(c, g->depth));
		k = lir_min(B, k, constant(c, g->depth - 1));
	}
	k = op_let(c, "k", k);
	oc = least(c, nest.index[2], g->rows - 1, wide);
	oc = lir_add(B, lir_mul(B, nest.index[0], constant(c, v->out_channels)), oc);
	split(c, q, k, tap, &channel);
	x = lir_load(B, w, (struct lir_expr *[]){oc, channel, tap[0], tap[1]});
	if (there)
		x = lir_select(B, there, x, lir_imm(B, DT_F32, 0));
	lir_store(B, op_temp_out(c, q->packed), nest.index, x);
	lir_nest_end(B, &nest);
	op_end(c);
}

static void begin(struct op_lower *c, void *user, struct lir_expr *stack, struct lir_expr *row, struct lir_expr *col)
{
	struct implicit *q = user;

	(void)row, (void)col;
	q->stack = stack;
	q->first_out = lir_mul(B, stack, constant(c, q->v->out_channels));
}

static struct lir_expr *name(struct op_lower *c, const char *text, struct lir_expr *x)
{
	return x->kind == LIR_INT ? x : op_let(c, text, x);
}

static void slice(struct op_lower *c, void *user, struct lir_expr *number)
{
	struct implicit *q = user;
	const struct op_conv *v = q->v;
	struct lir_expr *rest, *zero = constant(c, 0);

	switch (q->order) {
	case TAPS_FIRST:
		rest = part(c, number, v->in_channels / q->g.slice_depth, &q->channel);
		q->channel = name(c, "first_in", lir_mul(B, q->channel, constant(c, q->g.slice_depth)));
		rest = part(c, rest, v->w.kernel[1], &q->tap[1]);
		q->tap[0] = name(c, "ky", v->w.kernel[0] == 1 ? zero : rest);
		q->tap[1] = name(c, "kx", q->tap[1]);
		return;
	case ROWS:
		q->channel = name(c, "ci", part(c, number, v->w.kernel[0], &q->tap[0]));
		q->tap[0] = name(c, "ky", q->tap[0]);
		return;
	default: q->channel = number;
	}
}

static struct lir_expr *left(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *next, struct lir_expr *k, struct lir_expr *deep)
{
	struct implicit *q = user;

	(void)deep;
	return lir_load(B, q->w, (struct lir_expr *[]){q->stack, k, lir_add(B, row, next)});
}

/* Image and place in its map of a pixel; of the first of a run, by the run's number, so that all its pixels lie in one map. */
static void find(struct op_lower *c, struct implicit *q, struct lir_expr *pixel, int64_t run)
{
	int64_t map = q->v->w.out[0] * q->v->w.out[1];

	pixel = run == 1 ? pixel : lir_div(B, pixel, constant(c, run));
	q->n = q->total == map ? constant(c, 0) : op_let(c, "n", lir_div(B, pixel, constant(c, map / run)));
	if (q->total != map)
		pixel = lir_mod(B, pixel, constant(c, map / run));
	q->place = op_let(c, "place", lir_mul(B, pixel, constant(c, run)));
}

/* One tap on every pixel: input and output are maps of the same places. */
static bool pointwise(const struct op_window *w)
{
	for (int d = 0; d < 2; d++)
		if (w->kernel[d] != 1 || w->stride[d] != 1 || w->begin[d] || w->in[d] != w->out[d])
			return false;
	return true;
}

static void column(struct op_lower *c, void *user, struct lir_expr *col)
{
	struct implicit *q = user;
	const struct op_window *w = &q->v->w;

	find(c, q, op_let(c, "pixel", least(c, col, q->total - q->g.right_run, q->total % q->g.tile_cols)), q->g.right_run);
	if (pointwise(w))
		return;
	q->at[0] = op_let(c, "row", lir_div(B, q->place, constant(c, w->out[1])));
	q->at[1] = op_let(c, "col", lir_mod(B, q->place, constant(c, w->out[1])));
}

static struct lir_expr *right(struct op_lower *c, void *user, struct lir_expr *col, struct lir_expr *next, struct lir_expr *k, struct lir_expr *deep)
{
	struct implicit *q = user;
	const struct op_window *w = &q->v->w;
	struct lir_expr *tap[2] = {q->tap[0], q->tap[1]}, *at[4] = {q->n, q->stack}, *in[2], *inside = NULL, *x;
	bool tail = q->order == ANY && q->g.depth % q->g.slice_depth;

	(void)col;
	switch (q->order) {
	case TAPS_FIRST: at[2] = lir_add(B, q->channel, deep); break;
	case ROWS:
		at[2] = q->channel;
		tap[1] = deep;
		break;
	case KERNELS:
		at[2] = q->channel;
		tap[0] = part(c, deep, w->kernel[1], &tap[1]);
		break;
	default:
		k = op_let(c, "k", k);
		inside = tail ? lir_lt(B, k, constant(c, q->g.depth)) : NULL;
		split(c, q, least(c, k, q->g.depth - 1, tail), tap, &at[2]);
	}
	if (pointwise(w)) {
		at[3] = lir_add(B, q->place, next);
		x = lir_load(B, q->x, at);
		return inside ? lir_select(B, inside, x, lir_imm(B, DT_F32, 0)) : x;
	}
	for (int d = 0; d < 2; d++) {
		struct lir_expr *y = lir_sub(B, lir_mul(B, q->at[d], constant(c, w->stride[d])), constant(c, w->begin[d])), *there;

		y = lir_add(B, y, lir_mul(B, tap[d], constant(c, w->dilation[d])));
		in[d] = y->kind == LIR_VAR ? y : op_let(c, d ? "x" : "y", y);
		if (!padded(w, d))
			continue;
		there = lir_and(B, lir_ge(B, in[d], constant(c, 0)), lir_lt(B, in[d], constant(c, w->in[d])));
		inside = inside ? lir_and(B, inside, there) : there;
	}
	at[3] = lir_add(B, lir_mul(B, in[0], constant(c, w->in[1])), in[1]);
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
	struct implicit *q = user;

	find(c, q, col, q->g.store_run);
}

static void store(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *next, struct lir_expr *sum)
{
	struct implicit *q = user;

	op_store(c, (struct lir_expr *[]){q->n, q->stack, row, lir_add(B, q->place, next)}, sum);
}

/* The order of the depth that finds taps and channels with the fewest instructions, then the tile. */
static bool choose(struct op_lower *c, struct implicit *q)
{
	const struct op_window *w = &q->v->w;
	int64_t taps = w->kernel[0] * w->kernel[1];

	q->g.unit = q->v->in_channels;
	q->order = taps <= MOST_OWN ? KERNELS : ROWS;
	q->g.own_slice = taps <= MOST_OWN ? taps : w->kernel[1];
	if (q->v->in_channels % OWN && q->g.own_slice >= LEAST_OWN && q->g.own_slice <= MOST_OWN && op_group_choose(c, &q->g))
		return true;
	q->g.own_slice = 0;
	if (!op_group_choose(c, &q->g))
		return false;
	q->order = q->v->in_channels % q->g.slice_depth ? ANY : TAPS_FIRST;
	return true;
}

bool op_conv_lower_group(struct op_lower *c, const struct op_conv *v)
{
	int64_t map = v->w.out[0] * v->w.out[1];
	struct implicit q = {.v = v, .total = c->node->in[0]->dim[0] * map};

	q.g = (struct op_group){.rows = v->out_channels, .cols = q.total, .depth = v->in_channels * v->w.kernel[0] * v->w.kernel[1],
				.stack = v->groups, .left_run = 4, .right_run = pointwise(&v->w) && map % 4 == 0 ? 4 : 1, .store_run = map % 4 ? 1 : 4,
				.user = &q, .begin = begin, .slice = slice, .left = left, .column = column, .right = right, .start = start,
				.store = store, .store_column = store_column};
	if (!op_fused_by_groups(c->node) || !choose(c, &q))
		return false;
	pack(c, &q);
	c->groups = v->groups;
	op_begin(c, "");
	q.x = op_in(c, 0);
	q.w = op_temp_in(c, q.packed);
	q.bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	op_out(c, 0);
	op_group_loops(c, &q.g);
	op_end(c);
	return true;
}
