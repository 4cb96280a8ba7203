/* op_conv_blocked.c: Conv into blocks of channels - register tiles over packed weights
 *
 * Up to three kernels: `pack` brings the weights into the order in which they are read ([channel tiles][input blocks][taps][channels
 * of an input block][channels of a tile]), `bias` fills up the last block's, and the sum itself. Weights and bias are constants
 * in practice: a device runs `pack` and `bias` once.
 *
 * The image is read where it lies. Taps above and below it are left out by rows; taps beside it by pixels, in the tiles at an
 * edge only, where the taps of a row are written out so that most of these conditions are constants.
 */
#include <string.h>

#include "ops/ops_conv.h"
#include "ops/ops_tile.h"

#define B (&c->b)
#define MAX_TAPS 256 /* written out at an edge: sums of a tile x taps of a row */

struct blocked {
	struct op_conv v;
	int lanes;
	bool flat;                                 /* one tap, stride 1: pixels are one long row */
	int64_t batch, out_blocks;                 /* of all groups */
	int64_t in_block;                          /* channels of an input block */
	int64_t in_blocks;                         /* of one group, of all images whose channels it sums over */
	int vectors;                               /* of a tile */
	int64_t rows, cols;                        /* pixels of a tile */
	struct lower_temp *weights, *bias;         /* NULL: used as it is */
	/* of the tile at hand: */
	struct lir_buffer *in, *w, *b;
	struct lir_expr *n, *group, *channels, *row, *col; /* image, group, number of the channel tile, first pixel */
	int64_t first;                                     /* input block of all, where this image's begin */
	struct lir_expr *ib, *k[2], *ci;                   /* input block, tap, channel in its block */
	struct lir_expr *y, *x;                            /* where the tap lies on the image */
	bool guarded;                                      /* the tile has taps beside the image */
};

static void measure(struct op_lower *c, struct blocked *p)
{
	const struct gir_value *x = c->node->in[0];
	const struct op_window *w = &p->v.w;
	int64_t channels = p->v.groups * p->v.out_channels, pixels;

	p->lanes = c->node->out[0]->block;
	p->batch = x->dim[0];
	p->out_blocks = (channels + p->lanes - 1) / p->lanes;
	p->in_block = x->block ? p->lanes : p->v.in_channels;
	p->in_blocks = (p->v.in_channels + p->in_block - 1) / p->in_block;
	p->flat = x->block;
	for (int d = 0; d < 2; d++)
		p->flat = p->flat && w->kernel[d] == 1 && w->stride[d] == 1 && w->in[d] == w->out[d] && !w->begin[d];
	op_tile_size(p->lanes, p->v.groups > 1 ? p->v.out_channels / p->lanes : p->out_blocks, &p->vectors, &pixels);
	p->cols = p->flat ? 1 : op_tile_step(w->out[1], pixels);
	p->rows = p->flat ? op_tile_step(w->out[0] * w->out[1], pixels)
			  : op_tile_step(w->out[0], p->cols < w->out[1] ? 1 : pixels / p->cols);
}

/* ---- weights and bias ---- */

static void pack_weights(struct op_lower *c, struct blocked *p)
{
	int64_t out = p->v.groups * p->v.out_channels, in = p->v.in_channels;
	int64_t dim[] = {
	    p->out_blocks / p->vectors,    p->in_blocks, p->v.w.kernel[0], p->v.w.kernel[1], p->in_block,
	    (int64_t)p->vectors * p->lanes};
	struct lir_expr *o, *i, *x, *guard = NULL;
	struct lir_buffer *w;
	struct lir_nest nest;

	p->weights = op_temp(c, "weights", DT_F32, 6, dim);
	op_begin(c, "pack");
	w = op_in(c, 1);
	nest = lir_nest_over(B, 6, dim);
	o = op_let(c, "o", lir_add(B, lir_mul(B, nest.index[0], lir_int(B, dim[5])), nest.index[5]));
	i = lir_add(B, lir_mul(B, nest.index[1], lir_int(B, dim[4])), nest.index[4]);
	x = lir_load(B, w, (struct lir_expr *[]){o, i, nest.index[2], nest.index[3]});
	if (out % p->lanes)
		guard = lir_lt(B, o, lir_int(B, out));
	if (in % dim[4])
		guard = guard ? lir_and(B, guard, lir_lt(B, i, lir_int(B, in))) : lir_lt(B, i, lir_int(B, in));
	lir_store(B, op_temp_out(c, p->weights), nest.index, guard ? lir_select(B, guard, x, lir_imm(B, DT_F32, 0)) : x);
	lir_nest_end(B, &nest);
	op_end(c);
}

/* ---- the sum ---- */

/* First channel of vector v, as a block and as a channel. */
static struct lir_expr *block_of(struct op_lower *c, const struct blocked *p, struct lir_expr *v)
{
	return lir_add(B, lir_mul(B, p->channels, lir_int(B, p->vectors)), v);
}

static struct lir_expr *start(struct op_lower *c, void *user, struct lir_expr *v)
{
	const struct blocked *p = user;
	struct lir_expr *at = lir_mul(B, block_of(c, p, v), lir_int(B, p->lanes));

	return p->b ? lir_load_lanes(B, p->b, &at, p->lanes) : lir_imm(B, DT_F32, 0);
}

static struct lir_expr *weight(struct op_lower *c, void *user, struct lir_expr *v)
{
	const struct blocked *p = user;
	struct lir_expr *at[] = {p->channels, lir_add(B, p->ib, lir_int(B, p->first)), p->k[0], p->k[1], p->ci, lir_mul(B, v, lir_int(B, p->lanes))};

	return lir_load_lanes(B, p->w, at, p->lanes);
}

static struct lir_expr *in_row(struct op_lower *c, void *user, struct lir_expr *i)
{
	struct blocked *p = user;

	return op_conv_inside(c, &p->v, 0, lir_add(B, p->row, i), p->k[0], true, &p->y);
}

static struct lir_expr *in_col(struct op_lower *c, void *user, struct lir_expr *j)
{
	struct blocked *p = user;

	return op_conv_inside(c, &p->v, 1, lir_add(B, p->col, j), p->k[1], p->guarded, &p->x);
}

static struct lir_expr *pixel(struct op_lower *c, void *user, struct lir_expr *i, struct lir_expr *j)
{
	const struct blocked *p = user;
	struct lir_expr *block = p->ib;

	if (p->group)
		block = lir_add(B, lir_mul(B, p->group, lir_int(B, p->in_blocks)), p->ib);
	if (p->flat)
		return lir_load(B, p->in, (struct lir_expr *[]){p->n, block, lir_add(B, p->row, i), p->ci});
	if (!c->node->in[0]->block)
		return lir_load(B, p->in, (struct lir_expr *[]){p->n, p->ci, p->y, p->x});
	return lir_load(B, p->in, (struct lir_expr *[]){p->n, block, p->y, p->x, p->ci});
}

static void store(struct op_lower *c, void *user, struct lir_expr *v, struct lir_expr *i, struct lir_expr *j, struct lir_expr *sum)
{
	const struct blocked *p = user;
	struct lir_expr *at[5] = {p->n, block_of(c, p, v), lir_add(B, p->row, i)};

	if (p->flat) {
		at[3] = lir_int(B, 0);
	} else {
		at[3] = lir_add(B, p->col, j);
		at[4] = lir_int(B, 0);
	}
	op_store(c, at, sum);
}

/* The channels of the input block at hand. */
static struct lir_expr *channels_of_block(struct op_lower *c, struct blocked *p)
{
	int64_t last = p->v.in_channels - (p->in_blocks - 1) * p->in_block;
	struct lir_expr *extent;

	if (p->in_blocks == 1 || last == p->in_block)
		return op_loop(c, "ci", p->in_blocks == 1 ? last : p->in_block, LIR_SERIAL);
	extent = lir_sub(B, lir_int(B, p->v.in_channels), lir_mul(B, p->ib, lir_int(B, p->in_block)));
	return lir_for_expr(B, "ci", lir_int(B, 0), lir_min(B, extent, lir_int(B, p->in_block)), LIR_SERIAL);
}

/* Adds the channels of one image. */
static void sum_image(struct op_lower *c, struct blocked *p, struct op_tile *t, struct gir_value *x, int64_t blocks)
{
	int64_t taps = p->v.w.kernel[1];
	bool written_out = p->guarded && p->vectors * t->rows * t->cols * taps <= MAX_TAPS;
	struct lir_expr *guard = NULL;

	p->in = op_value(c, x);
	p->ib = op_loop(c, "ib", blocks, LIR_SERIAL);
	p->k[0] = op_loop(c, "kh", p->v.w.kernel[0], LIR_SERIAL);
	if (!p->flat && t->rows == 1 && (guard = in_row(c, p, lir_int(B, 0))))
		lir_if(B, guard);
	p->k[1] = op_loop(c, "kw", taps, written_out ? LIR_UNROLLED : LIR_SERIAL);
	p->ci = channels_of_block(c, p);
	op_tile_fma(c, t);
	op_loop_end(c, p->ci);
	op_loop_end(c, p->k[1]);
	if (guard)
		lir_end(B);
	op_loop_end(c, p->k[0]);
	op_loop_end(c, p->ib);
	p->first += blocks;
}

static void sum_tile(struct op_lower *c, struct blocked *p, int64_t rows, int64_t cols)
{
	struct op_tile t = {.lanes = p->lanes,
			    .vectors = p->vectors,
			    .rows = rows,
			    .cols = cols,
			    .user = p,
			    .start = start,
			    .weight = weight,
			    .pixel = pixel,
			    .row = p->flat || rows == 1 ? NULL : in_row,
			    .col = p->flat ? NULL : in_col,
			    .store = store};

	lir_scope(B);
	op_tile_begin(c, &t);
	p->first = 0;
	sum_image(c, p, &t, c->node->in[0], c->node->nin > 3 ? c->node->in[0]->dim[1] / p->in_block : p->in_blocks);
	for (uint32_t i = 3; i < c->node->nin; i++) /* mutatenn.PartsConv: more of them, in whole blocks */
		sum_image(c, p, &t, c->node->in[i], c->node->in[i]->dim[1] / p->in_block);
	op_tile_end(c, &t);
	lir_end(B);
}

/* The tiles first..end of a row of tiles. */
static void tiles(struct op_lower *c, struct blocked *p, int64_t rows, int64_t first, int64_t end, bool guarded)
{
	struct lir_expr *t;

	if (first >= end)
		return;
	t = op_loop(c, "t", end - first, LIR_SERIAL);
	p->col = lir_mul(B, lir_add(B, lir_int(B, first), t), lir_int(B, p->cols));
	p->guarded = guarded;
	sum_tile(c, p, rows, p->cols);
	op_loop_end(c, t);
}

/* All tiles of one row of tiles. */
static void sum_row(struct op_lower *c, struct blocked *p, int64_t rows)
{
	int64_t width = p->v.w.out[1], whole = width / p->cols, left, right;

	if (p->flat) {
		sum_tile(c, p, rows, 1);
		return;
	}
	op_conv_edges(&p->v, p->cols, &left, &right);
	tiles(c, p, rows, 0, left, true);
	tiles(c, p, rows, left, right, false);
	tiles(c, p, rows, right, whole, true);
	if (width % p->cols) {
		p->col = lir_int(B, whole * p->cols);
		p->guarded = true;
		sum_tile(c, p, rows, width % p->cols);
	}
}

static void sum(struct op_lower *c, struct blocked *p)
{
	int64_t height = p->flat ? p->v.w.out[0] * p->v.w.out[1] : p->v.w.out[0], tiles = (height + p->rows - 1) / p->rows;
	int64_t channels = p->out_blocks / p->vectors;
	struct lir_expr *part;

	c->flat = p->flat;
	op_begin(c, "");
	op_in(c, 0);
	p->w = op_temp_in(c, p->weights);
	p->b = p->bias ? op_temp_in(c, p->bias) : op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	op_out(c, 0);
	part = lir_for(B, "part", p->batch * channels * tiles, LIR_PARALLEL);
	p->n = p->batch > 1 ? op_let(c, "n", lir_div(B, part, lir_int(B, channels * tiles))) : lir_int(B, 0);
	p->channels = lir_div(B, part, lir_int(B, tiles));
	if (p->batch > 1)
		p->channels = lir_mod(B, p->channels, lir_int(B, channels));
	p->channels = op_let(c, "o", p->channels);
	p->row = op_let(c, "row", lir_mul(B, lir_mod(B, part, lir_int(B, tiles)), lir_int(B, p->rows)));
	if (p->v.groups > 1)
		p->group = op_let(c, "group", lir_div(B, p->channels, lir_int(B, p->v.out_channels / p->lanes / p->vectors)));
	if (height % p->rows)
		lir_if(B, lir_binary(B, LIR_LE, lir_add(B, p->row, lir_int(B, p->rows)), lir_int(B, height)));
	sum_row(c, p, p->rows);
	if (height % p->rows) {
		lir_else(B);
		sum_row(c, p, height % p->rows);
		lir_end(B);
	}
	lir_end(B);
	op_end(c);
}

bool op_conv_lower_blocked(struct op_lower *c, const struct op_conv *v, struct err *e)
{
	struct blocked p = {.v = *v};

	(void)e;
	if (v->groups > 1 && v->in_channels == 1 && v->out_channels == 1) {
		op_conv_lower_depthwise(c, v);
		return true;
	}
	measure(c, &p);
	pack_weights(c, &p);
	p.bias = op_conv_bias(c, p.v.groups * p.v.out_channels, p.out_blocks * p.lanes);
	sum(c, &p);
	return true;
}
