/* op_conv_depthwise.c: Conv with one channel a group, blocked - register tiles that read the image where it lies
 *
 * A block of channels is a vector, so each tap is one multiply-add of two vectors and what costs time is the memory. Nothing
 * is copied into a frame: taps above and below the image are left out row by row, those beside it pixel by pixel, and only
 * in the tiles at an edge. `pack` and `bias` as in op_conv_blocked.c.
 */
#include "ops/ops_conv.h"
#include "ops/ops_tile.h"

#define B (&c->b)
#define MAX_TAPS 64  /* written out: pixels of a tile x taps of a row */
#define MAX_PIXELS 8 /* as fast as more, and less to compile */

struct depthwise {
	struct op_conv v;
	int lanes;
	int64_t blocks;
	int64_t rows, cols; /* pixels of a tile */
	struct lower_temp *weights, *bias;
	/* of the tile at hand: */
	struct lir_buffer *x, *w, *b, *sum, *tap;
	struct lir_expr *n, *block, *row, *col;
	bool guarded; /* it has taps beside the image */
};

static void pack(struct op_lower *c, struct depthwise *p)
{
	int64_t dim[] = {p->blocks, p->v.w.kernel[0], p->v.w.kernel[1], p->lanes};
	struct lir_expr *o, *x;
	struct lir_buffer *w;
	struct lir_nest nest;

	p->weights = op_temp(c, "weights", DT_F32, 4, dim);
	op_begin(c, "pack");
	w = op_in(c, 1);
	nest = lir_nest_over(B, 4, dim);
	o = op_let(c, "o", lir_add(B, lir_mul(B, nest.index[0], lir_int(B, p->lanes)), nest.index[3]));
	x = lir_load(B, w, (struct lir_expr *[]){o, lir_int(B, 0), nest.index[1], nest.index[2]});
	if (p->v.groups % p->lanes)
		x = lir_select(B, lir_lt(B, o, lir_int(B, p->v.groups)), x, lir_imm(B, DT_F32, 0));
	lir_store(B, op_temp_out(c, p->weights), nest.index, x);
	lir_nest_end(B, &nest);
	op_end(c);
}

/* The taps of a row of the window, for one pixel after the other: few of the image's vectors are alive at a time. */
static void add_row(struct op_lower *c, struct depthwise *p, int64_t cols, struct lir_expr *i, struct lir_expr *y)
{
	int64_t taps = p->v.w.kernel[1];
	enum lir_loop_kind kind = cols * taps <= MAX_TAPS ? LIR_UNROLLED : LIR_SERIAL;
	struct lir_expr *zero = lir_int(B, 0), *j = op_loop(c, "j", cols, LIR_UNROLLED), *k = op_loop(c, "kw", taps, kind), *x;
	struct lir_expr *guard = op_conv_inside(c, &p->v, 1, lir_add(B, p->col, j), k, p->guarded, &x), *at[] = {i, j, zero}, *sum, *tap;

	if (guard)
		lir_if(B, guard);
	sum = lir_load_lanes(B, p->sum, at, p->lanes);
	tap = lir_load_lanes(B, p->tap, (struct lir_expr *[]){k, zero}, p->lanes);
	x = lir_load_lanes(B, p->x, (struct lir_expr *[]){p->n, p->block, y, x, zero}, p->lanes);
	lir_store(B, p->sum, at, lir_fma(B, x, tap, sum));
	if (guard)
		lir_end(B);
	op_loop_end(c, k);
	op_loop_end(c, j);
}

static void add_window(struct op_lower *c, struct depthwise *p, int64_t rows, int64_t cols)
{
	int64_t taps = p->v.w.kernel[1];
	struct lir_expr *zero = lir_int(B, 0), *kh = op_loop(c, "kh", p->v.w.kernel[0], LIR_SERIAL), *k, *i, *y, *guard, *from[4];

	p->tap = lir_alloc(B, "tap", DT_F32, 2, (const int64_t[]){taps, p->lanes});
	k = op_loop(c, "kw", taps, cols * taps <= MAX_TAPS ? LIR_UNROLLED : LIR_SERIAL);
	from[0] = p->block;
	from[1] = kh;
	from[2] = k;
	from[3] = zero;
	lir_store(B, p->tap, (struct lir_expr *[]){k, zero}, lir_load_lanes(B, p->w, from, p->lanes));
	op_loop_end(c, k);
	i = op_loop(c, "i", rows, LIR_UNROLLED);
	guard = op_conv_inside(c, &p->v, 0, lir_add(B, p->row, i), kh, true, &y);
	if (guard)
		lir_if(B, guard);
	add_row(c, p, cols, i, y);
	if (guard)
		lir_end(B);
	op_loop_end(c, i);
	op_loop_end(c, kh);
}

static void tile(struct op_lower *c, struct depthwise *p, int64_t rows, int64_t cols)
{
	struct lir_expr *zero = lir_int(B, 0), *channel = lir_mul(B, p->block, lir_int(B, p->lanes)), *start, *i, *j;

	lir_scope(B);
	p->sum = lir_alloc(B, "sum", DT_F32, 3, (const int64_t[]){rows, cols, p->lanes});
	start = p->b ? lir_load_lanes(B, p->b, &channel, p->lanes) : lir_broadcast(B, lir_imm(B, DT_F32, 0), p->lanes);
	start = op_let(c, "start", start);
	i = op_loop(c, "i", rows, LIR_UNROLLED);
	j = op_loop(c, "j", cols, LIR_UNROLLED);
	lir_store(B, p->sum, (struct lir_expr *[]){i, j, zero}, start);
	op_loop_end(c, j);
	op_loop_end(c, i);
	add_window(c, p, rows, cols);
	i = op_loop(c, "i", rows, LIR_UNROLLED);
	j = op_loop(c, "j", cols, LIR_UNROLLED);
	op_store(c, (struct lir_expr *[]){p->n, p->block, lir_add(B, p->row, i), lir_add(B, p->col, j), zero},
		 lir_load_lanes(B, p->sum, (struct lir_expr *[]){i, j, zero}, p->lanes));
	op_loop_end(c, j);
	op_loop_end(c, i);
	lir_end(B);
}

/* The tiles first..end of a row of tiles. */
static void tiles(struct op_lower *c, struct depthwise *p, int64_t rows, int64_t first, int64_t end, bool guarded)
{
	struct lir_expr *t;

	if (first >= end)
		return;
	t = op_loop(c, "t", end - first, LIR_SERIAL);
	p->col = lir_mul(B, lir_add(B, lir_int(B, first), t), lir_int(B, p->cols));
	p->guarded = guarded;
	tile(c, p, rows, p->cols);
	op_loop_end(c, t);
}

static void row_of_tiles(struct op_lower *c, struct depthwise *p, int64_t rows)
{
	int64_t whole = p->v.w.out[1] / p->cols, rest = p->v.w.out[1] % p->cols, left, right;

	op_conv_edges(&p->v, p->cols, &left, &right);
	tiles(c, p, rows, 0, left, true);
	tiles(c, p, rows, left, right, false);
	tiles(c, p, rows, right, whole, true);
	if (rest) {
		p->col = lir_int(B, whole * p->cols);
		p->guarded = true;
		tile(c, p, rows, rest);
	}
}

static void sum(struct op_lower *c, struct depthwise *p)
{
	int64_t height = p->v.w.out[0], tiles = (height + p->rows - 1) / p->rows, batch = c->node->in[0]->dim[0];
	struct lir_expr *part;

	op_begin(c, "");
	p->x = op_in(c, 0);
	p->w = op_temp_in(c, p->weights);
	p->b = p->bias ? op_temp_in(c, p->bias) : op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	op_out(c, 0);
	part = lir_for(B, "part", batch * p->blocks * tiles, LIR_PARALLEL);
	p->n = batch > 1 ? op_let(c, "n", lir_div(B, part, lir_int(B, p->blocks * tiles))) : lir_int(B, 0);
	p->block = lir_div(B, part, lir_int(B, tiles));
	p->block = op_let(c, "o", batch > 1 ? lir_mod(B, p->block, lir_int(B, p->blocks)) : p->block);
	p->row = op_let(c, "row", lir_mul(B, lir_mod(B, part, lir_int(B, tiles)), lir_int(B, p->rows)));
	if (height % p->rows)
		lir_if(B, lir_binary(B, LIR_LE, lir_add(B, p->row, lir_int(B, p->rows)), lir_int(B, height)));
	row_of_tiles(c, p, p->rows);
	if (height % p->rows) {
		lir_else(B);
		row_of_tiles(c, p, height % p->rows);
		lir_end(B);
	}
	lir_end(B);
	op_end(c);
}

void op_conv_lower_depthwise(struct op_lower *c, const struct op_conv *v)
{
	struct depthwise p = {.v = *v, .lanes = c->node->out[0]->block};

	p.blocks = (v->groups + p.lanes - 1) / p.lanes;
	p.cols = op_tile_step(v->w.out[1], MAX_PIXELS);
	p.rows = op_tile_step(v->w.out[0], p.cols < v->w.out[1] ? 1 : MAX_PIXELS / p.cols);
	pack(c, &p);
	p.bias = op_conv_bias(c, v->groups, p.blocks * p.lanes);
	sum(c, &p);
}
