/* op_conv_winograd.c: Conv of 3 x 3 taps by Winograd's F(4x4, 3x3), in blocks of channels
 *
 * A tile of 4 x 4 pixels needs 6 x 6 of the image. Both it and the weights are transformed into 36 points; at each point a tile's
 * channels are multiplied with a matrix, and the 36 sums are transformed back: 36 multiplications for each pair of channels, not 144.
 *
 * `transform` makes the weights' points, once where they are constant ([channel tiles][points][input blocks][channels of a
 * block][channels of a tile]). Then strips of tiles are worked on one by one, so that a strip's points stay in the cache: transform
 * (into `points`), multiply (into `sums`), transform back. Where a map has too few strips for all threads, the points are a tensor that
 * the kernel `tiles` makes, and threads share the output channels. Bias and fused chain are applied to what is transformed back.
 */
#include <math.h>

#include "ops/ops_conv.h"
#include "ops/ops_tile.h"

#define B (&c->b)
#define OUT 4                        /* pixels of a tile, each way */
#define IN 6                         /* of the image */
#define POINTS (IN * IN)
#define POINTS_BYTES (768 << 10)     /* of a strip: with its sums and the weights at hand they are to stay in the second cache */
#define SUMS_BYTES (512 << 10)
#define WEIGHTS_BYTES (3 << 19)      /* what is read again from the second cache */
#define LATENCY 4                    /* cycles of a multiply-add */
#define PARTS 8                      /* of work at least, for the threads */
#define FEW_TILES 12                 /* a strip of fewer fills no register tile */

struct winograd {
	struct op_conv v;
	int lanes, vectors;            /* of a register tile; with at most so many pixels */
	int64_t pixels;
	int64_t batch, in_blocks, out_blocks;
	int64_t height, width;         /* of a map, in tiles */
	int64_t rows, cols, tiles;     /* of a strip, in tiles */
	int64_t across, strips;        /* strips of a map side by side; of all images */
	int64_t chunk;                 /* output blocks at a time, of a strip */
	struct lower_temp *weights, *points, *bias; /* points: NULL where each thread has its own */
	/* of the kernel at hand: */
	struct lir_buffer *x, *w, *b, *p, *sum;
	/* of the strip at hand: its number, image, first row and column of tiles, number of the chunk */
	struct lir_expr *strip, *n, *row, *col, *at_chunk;
	/* of the register tile at hand: point, number of the channel tile in its chunk, input block, channel in it, first tile */
	struct lir_expr *k, *group, *ib, *ci, *first;
};

/* ---- sizes ---- */

static int64_t point_bytes(const struct winograd *p, int64_t tiles, int64_t blocks)
{
	return POINTS * tiles * blocks * p->lanes * (int64_t)sizeof(float);
}

static void set_strip(struct winograd *p, int64_t rows, int64_t cols)
{
	p->rows = rows;
	p->cols = cols;
	p->tiles = rows * cols;
	p->across = p->width / cols;
	p->strips = p->batch * (p->height / rows) * p->across;
}

/* The largest strip that cuts the map evenly, whose points are in a thread's cache and which leaves work for all; false: none. */
static bool strips_for_each(struct winograd *p)
{
	int64_t best_rows = 0, best_cols = 0;

	for (int64_t rows = 1; rows <= p->height; rows++)
		for (int64_t cols = 1; cols <= p->width; cols++) {
			if (p->height % rows || p->width % cols)
				continue;
			set_strip(p, rows, cols);
			if (p->tiles < FEW_TILES || p->tiles <= best_rows * best_cols || p->strips < PARTS ||
			    point_bytes(p, p->tiles, p->in_blocks) > POINTS_BYTES || point_bytes(p, p->tiles, p->vectors) > SUMS_BYTES)
				continue;
			best_rows = rows;
			best_cols = cols;
		}
	set_strip(p, best_rows ? best_rows : 1, best_rows ? best_cols : 1);
	return best_rows;
}

/* How much longer so many parts take than evenly shared ones. */
static double uneven(int64_t parts, int64_t threads)
{
	return (double)((parts + threads - 1) / threads * threads) / (double)parts;
}

/* What the products of the strips at hand take with one, two and four threads, in cycles for each input channel: multiply-adds, or the
 * loads that feed them, or their latency; and the weights, which every strip reads from the second cache or beyond. */
static double products_cost(const struct winograd *p)
{
	int64_t step = op_tile_step(p->tiles, p->pixels), chunks = p->out_blocks / p->vectors, parts = p->strips * chunks;
	bool near = point_bytes(p, p->v.in_channels, p->out_blocks) <= WEIGHTS_BYTES;
	double cycles = p->vectors * p->lanes * (double)sizeof(float) / (near ? 32 : 8);

	for (int64_t left = p->tiles; left > 0; left -= step) {
		double pixels = (double)(left < step ? left : step), adds = pixels * p->vectors / 2, loads = (pixels + p->vectors) / 2;

		cycles += adds > loads ? (adds > LATENCY ? adds : LATENCY) : loads > LATENCY ? loads : LATENCY;
	}
	return cycles * (double)parts * (1 + uneven(parts, 2) + uneven(parts, 4));
}

static void set_vectors(struct winograd *p, int64_t vectors)
{
	int unused;

	op_tile_size(p->lanes, vectors, &unused, &p->pixels); /* 1, 2 and 3 are themselves */
	p->vectors = (int)vectors;
}

/* Strips and channel tiles that cost least. */
static void strips_for_all(struct winograd *p)
{
	int64_t best_rows = 1, best_cols = 1, best_vectors = 1;
	double least = INFINITY;

	for (int64_t i = 0; i < p->height * p->width * 3; i++) {
		int64_t rows = i / 3 / p->width + 1, cols = i / 3 % p->width + 1, vectors = 3 - i % 3;

		if (p->height % rows || p->width % cols || p->out_blocks % vectors)
			continue;
		set_strip(p, rows, cols);
		set_vectors(p, vectors);
		if (point_bytes(p, p->tiles, vectors) > SUMS_BYTES || products_cost(p) > least)
			continue;
		least = products_cost(p);
		best_rows = rows;
		best_cols = cols;
		best_vectors = vectors;
	}
	set_strip(p, best_rows, best_cols);
	set_vectors(p, best_vectors);
}

static void measure(struct op_lower *c, struct winograd *p)
{
	bool own;

	p->lanes = c->node->out[0]->block;
	p->batch = c->node->in[0]->dim[0];
	p->in_blocks = (p->v.in_channels + p->lanes - 1) / p->lanes;
	p->out_blocks = (p->v.out_channels + p->lanes - 1) / p->lanes;
	p->height = (p->v.w.out[0] + OUT - 1) / OUT;
	p->width = (p->v.w.out[1] + OUT - 1) / OUT;
	op_tile_size(p->lanes, p->out_blocks, &p->vectors, &p->pixels);
	own = strips_for_each(p);
	if (!own)
		strips_for_all(p);
	p->chunk = p->vectors;
	for (int64_t more = p->vectors; more <= p->out_blocks; more += p->vectors)
		if (p->out_blocks % more == 0 && point_bytes(p, p->tiles, more) <= SUMS_BYTES &&
		    (own || p->strips * (p->out_blocks / more) % PARTS == 0))
			p->chunk = more;
	if (!own)
		p->points = op_temp(c, "points", DT_F32, 5,
				    (const int64_t[]){p->strips, POINTS, p->in_blocks, p->tiles, p->lanes});
}

/* ---- weights ---- */

/* From three taps of a row or column to six points: the factor G. */
static void weight_points(struct op_lower *c, struct lir_expr *const *g, struct lir_expr **out)
{
	struct lir_expr *even = op_let(c, "even", lir_add(B, g[0], g[2]));
	struct lir_expr *far = op_let(c, "far", lir_add(B, g[0], lir_mul(B, g[2], lir_imm(B, DT_F32, 4))));
	struct lir_expr *twice = op_let(c, "twice", lir_mul(B, g[1], lir_imm(B, DT_F32, 2)));
	struct lir_expr *sixth = lir_imm(B, DT_F32, -1.0 / 6), *part = lir_imm(B, DT_F32, 1.0 / 24);

	out[0] = lir_mul(B, g[0], lir_imm(B, DT_F32, 0.25));
	out[1] = lir_mul(B, lir_add(B, even, g[1]), sixth);
	out[2] = lir_mul(B, lir_sub(B, even, g[1]), sixth);
	out[3] = lir_mul(B, lir_add(B, far, twice), part);
	out[4] = lir_mul(B, lir_sub(B, far, twice), part);
	out[5] = g[2];
}

/* What a tap is multiplied with: 0 behind the last channels. */
static struct lir_expr *tap(struct op_lower *c, const struct winograd *p, struct lir_buffer *w, struct lir_expr *o, struct lir_expr *i, int64_t y,
			    struct lir_expr *x)
{
	struct lir_expr *v = lir_load(B, w, (struct lir_expr *[]){o, i, lir_int(B, y), x}), *guard = NULL;

	if (p->v.out_channels % p->lanes)
		guard = lir_lt(B, o, lir_int(B, p->v.out_channels));
	if (p->v.in_channels % p->lanes) {
		struct lir_expr *below = lir_lt(B, i, lir_int(B, p->v.in_channels));

		guard = guard ? lir_and(B, guard, below) : below;
	}
	return op_let(c, "g", guard ? lir_select(B, guard, v, lir_imm(B, DT_F32, 0)) : v);
}

static void transform_weights(struct op_lower *c, struct winograd *p)
{
	int64_t dim[] = {p->out_blocks / p->vectors, POINTS, p->in_blocks, p->lanes, (int64_t)p->vectors * p->lanes};
	struct lir_expr *o, *i, *g[3], *out[IN], *loop;
	struct lir_buffer *w, *half, *to;
	struct lir_nest nest;

	p->weights = op_temp(c, "weights", DT_F32, 5, dim);
	op_begin(c, "transform");
	w = op_in(c, 1);
	to = op_temp_out(c, p->weights);
	nest = lir_nest_over(B, 4, (const int64_t[]){dim[0], dim[2], dim[3], dim[4]});
	o = op_let(c, "o", lir_add(B, lir_mul(B, nest.index[0], lir_int(B, dim[4])), nest.index[3]));
	i = op_let(c, "i", lir_add(B, lir_mul(B, nest.index[1], lir_int(B, p->lanes)), nest.index[2]));
	half = lir_alloc(B, "half", DT_F32, 2, (const int64_t[]){IN, 3});
	loop = op_loop(c, "kw", 3, LIR_UNROLLED);
	for (int64_t y = 0; y < 3; y++)
		g[y] = tap(c, p, w, o, i, y, loop);
	weight_points(c, g, out);
	for (int64_t y = 0; y < IN; y++)
		lir_store(B, half, (struct lir_expr *[]){lir_int(B, y), loop}, out[y]);
	op_loop_end(c, loop);
	loop = op_loop(c, "y", IN, LIR_UNROLLED);
	for (int64_t x = 0; x < 3; x++)
		g[x] = op_let(c, "h", lir_load(B, half, (struct lir_expr *[]){loop, lir_int(B, x)}));
	weight_points(c, g, out);
	for (int64_t x = 0; x < IN; x++) {
		struct lir_expr *k = lir_add(B, lir_mul(B, loop, lir_int(B, IN)), lir_int(B, x));

		lir_store(B, to, (struct lir_expr *[]){nest.index[0], k, nest.index[1], nest.index[2], nest.index[3]}, out[x]);
	}
	op_loop_end(c, loop);
	lir_nest_end(B, &nest);
	op_end(c);
}

/* ---- from the image to points ---- */

/* Six pixels of a row or column to six points: the factor B. */
static void image_points(struct op_lower *c, struct lir_expr *const *x, struct lir_expr **out)
{
	struct lir_expr *four = lir_imm(B, DT_F32, 4), *two = lir_imm(B, DT_F32, 2), *less4 = lir_imm(B, DT_F32, -4);
	struct lir_expr *less5 = lir_imm(B, DT_F32, -5), *less2 = lir_imm(B, DT_F32, -2);
	struct lir_expr *even1 = op_let(c, "even", lir_fma(B, less4, x[2], x[4])), *odd1 = op_let(c, "odd", lir_fma(B, less4, x[1], x[3]));
	struct lir_expr *even2 = op_let(c, "even", lir_sub(B, x[4], x[2])), *odd2 = op_let(c, "odd", lir_sub(B, x[3], x[1]));

	out[0] = lir_fma(B, four, x[0], lir_fma(B, less5, x[2], x[4]));
	out[1] = lir_add(B, even1, odd1);
	out[2] = lir_sub(B, even1, odd1);
	out[3] = lir_fma(B, two, odd2, even2);
	out[4] = lir_fma(B, less2, odd2, even2);
	out[5] = lir_fma(B, four, x[1], lir_fma(B, less5, x[3], x[5]));
}

/* Index of a strip's points. */
static struct lir_expr *const *point_at(struct op_lower *c, const struct winograd *p, struct lir_expr *k, struct lir_expr *ib, struct lir_expr *t,
					struct lir_expr *ci, struct lir_expr **at)
{
	int n = 0;

	(void)c;
	if (p->points)
		at[n++] = p->strip;
	at[n++] = k;
	at[n++] = ib;
	at[n++] = t;
	at[n] = ci;
	return at;
}

/* Whether first .. first + n - 1 lie on the image along dim d; NULL: all tiles do. */
static struct lir_expr *inside(struct op_lower *c, const struct winograd *p, int d, struct lir_expr *first, int64_t n)
{
	const struct op_window *w = &p->v.w;
	int64_t tiles = d ? p->width : p->height;
	struct lir_expr *low = NULL, *high = NULL;

	if (w->begin[d])
		low = lir_ge(B, first, lir_int(B, 0));
	if (tiles * OUT + IN - OUT - w->begin[d] > w->in[d])
		high = lir_binary(B, LIR_LE, first, lir_int(B, w->in[d] - n));
	return low && high ? lir_and(B, low, high) : low ? low : high;
}

/* Transforms the rows of a tile into `half`; guarded: parts of it lie beside the image and count as 0. */
static void transform_rows(struct op_lower *c, struct winograd *p, struct lir_buffer *half, struct lir_expr *y0, struct lir_expr *x0, bool guarded)
{
	struct lir_expr *i = op_loop(c, "i", IN, LIR_UNROLLED), *y = op_let(c, "y", lir_add(B, y0, i)), *zero = lir_int(B, 0);
	struct lir_expr *guard = guarded ? inside(c, p, 0, y, 1) : NULL, *in[IN], *out[IN];
	struct lir_expr *nothing = lir_broadcast(B, lir_imm(B, DT_F32, 0), p->lanes);

	if (guard)
		lir_if(B, guard);
	for (int64_t j = 0; j < IN; j++) {
		struct lir_expr *x = lir_add(B, x0, lir_int(B, j)), *on;

		in[j] = lir_load_lanes(B, p->x, (struct lir_expr *[]){p->n, p->ib, y, x, zero}, p->lanes);
		on = guarded ? inside(c, p, 1, x, 1) : NULL;
		in[j] = op_let(c, "d", on ? lir_select(B, on, in[j], nothing) : in[j]);
	}
	image_points(c, in, out);
	for (int64_t j = 0; j < IN; j++)
		lir_store(B, half, (struct lir_expr *[]){i, lir_int(B, j), zero}, out[j]);
	if (guard) {
		lir_else(B);
		for (int64_t j = 0; j < IN; j++)
			lir_store(B, half, (struct lir_expr *[]){i, lir_int(B, j), zero}, nothing);
		lir_end(B);
	}
	op_loop_end(c, i);
}

/* Tile `t` of the strip, in row r and column q of its tiles. */
static void transform_tile(struct op_lower *c, struct winograd *p, struct lir_expr *r, struct lir_expr *q, struct lir_expr *t)
{
	const struct op_window *w = &p->v.w;
	struct lir_expr *y, *x, *j, *in[IN], *out[IN], *zero = lir_int(B, 0), *rows, *cols, *at[5];
	struct lir_buffer *half;

	y = op_let(c, "y", lir_sub(B, lir_mul(B, lir_add(B, p->row, r), lir_int(B, OUT)), lir_int(B, w->begin[0])));
	x = op_let(c, "x", lir_sub(B, lir_mul(B, lir_add(B, p->col, q), lir_int(B, OUT)), lir_int(B, w->begin[1])));
	half = lir_alloc(B, "half", DT_F32, 3, (const int64_t[]){IN, IN, p->lanes});
	rows = inside(c, p, 0, y, IN);
	cols = inside(c, p, 1, x, IN);
	if (rows || cols) {
		lir_if(B, rows && cols ? lir_and(B, rows, cols) : rows ? rows : cols);
		transform_rows(c, p, half, y, x, false);
		lir_else(B);
		transform_rows(c, p, half, y, x, true);
		lir_end(B);
	} else {
		transform_rows(c, p, half, y, x, false);
	}
	j = op_loop(c, "j", IN, LIR_UNROLLED);
	for (int64_t i = 0; i < IN; i++)
		in[i] = op_let(c, "h", lir_load_lanes(B, half, (struct lir_expr *[]){lir_int(B, i), j, zero}, p->lanes));
	image_points(c, in, out);
	for (int64_t i = 0; i < IN; i++)
		lir_store(B, p->p, point_at(c, p, lir_add(B, lir_int(B, i * IN), j), p->ib, t, zero, at), out[i]);
	op_loop_end(c, j);
}

/* All tiles of the strip at hand, of input block ib. */
static void transform_strip(struct op_lower *c, struct winograd *p)
{
	struct lir_expr *r = op_loop(c, "r", p->rows, LIR_SERIAL), *q = op_loop(c, "q", p->cols, LIR_SERIAL);

	transform_tile(c, p, r, q, lir_add(B, lir_mul(B, r, lir_int(B, p->cols)), q));
	op_loop_end(c, q);
	op_loop_end(c, r);
}

/* Where strip number `strip` lies. */
static void find_strip(struct op_lower *c, struct winograd *p, struct lir_expr *strip)
{
	int64_t of_map = p->strips / p->batch;
	struct lir_expr *rest = strip;

	p->strip = strip;
	p->n = lir_int(B, 0);
	if (p->batch > 1) {
		p->n = op_let(c, "n", lir_div(B, strip, lir_int(B, of_map)));
		rest = op_let(c, "rest", lir_mod(B, strip, lir_int(B, of_map)));
	}
	p->row = of_map == p->across ? lir_int(B, 0) : p->across == 1 ? rest : lir_div(B, rest, lir_int(B, p->across));
	p->row = op_let(c, "row", lir_mul(B, p->row, lir_int(B, p->rows)));
	p->col = p->across == 1 ? lir_int(B, 0) : op_let(c, "col", lir_mul(B, lir_mod(B, rest, lir_int(B, p->across)), lir_int(B, p->cols)));
}

/* The points as a tensor. */
static void transform_tiles(struct op_lower *c, struct winograd *p)
{
	struct lir_expr *part;

	op_begin(c, "tiles");
	p->x = op_in(c, 0);
	p->p = op_temp_out(c, p->points);
	part = lir_for(B, "part", p->strips * p->in_blocks, LIR_PARALLEL);
	find_strip(c, p, op_let(c, "strip", lir_div(B, part, lir_int(B, p->in_blocks))));
	p->ib = op_let(c, "ib", lir_mod(B, part, lir_int(B, p->in_blocks)));
	transform_strip(c, p);
	lir_end(B);
	op_end(c);
}

/* ---- products ---- */

static struct lir_expr *start(struct op_lower *c, void *user, struct lir_expr *v)
{
	(void)user;
	(void)v;
	return lir_imm(B, DT_F32, 0);
}

static struct lir_expr *weight(struct op_lower *c, void *user, struct lir_expr *v)
{
	const struct winograd *p = user;
	struct lir_expr *tile = lir_add(B, lir_mul(B, p->at_chunk, lir_int(B, p->chunk / p->vectors)), p->group);
	struct lir_expr *at[] = {tile, p->k, p->ib, p->ci, lir_mul(B, v, lir_int(B, p->lanes))};

	return lir_load_lanes(B, p->w, at, p->lanes);
}

static struct lir_expr *point(struct op_lower *c, void *user, struct lir_expr *i, struct lir_expr *j)
{
	const struct winograd *p = user;
	struct lir_expr *at[5];

	(void)i;
	return lir_load(B, p->p, point_at(c, p, p->k, p->ib, lir_add(B, p->first, j), p->ci, at));
}

static void keep(struct op_lower *c, void *user, struct lir_expr *v, struct lir_expr *i, struct lir_expr *j, struct lir_expr *sum)
{
	const struct winograd *p = user;
	struct lir_expr *block = lir_add(B, lir_mul(B, p->group, lir_int(B, p->vectors)), v);

	(void)i;
	lir_store(B, p->sum, (struct lir_expr *[]){p->k, block, lir_add(B, p->first, j), lir_int(B, 0)}, sum);
}

/* The channels of the input block at hand. */
static struct lir_expr *channels_of_block(struct op_lower *c, struct winograd *p)
{
	struct lir_expr *left;

	if (p->v.in_channels % p->lanes == 0)
		return lir_for(B, "ci", p->lanes, LIR_SERIAL);
	left = lir_sub(B, lir_int(B, p->v.in_channels), lir_mul(B, p->ib, lir_int(B, p->lanes)));
	return lir_for_expr(B, "ci", lir_int(B, 0), lir_min(B, left, lir_int(B, p->lanes)), LIR_SERIAL);
}

static void multiply_tile(struct op_lower *c, struct winograd *p, int64_t tiles)
{
	struct op_tile t = {.lanes = p->lanes, .vectors = p->vectors, .rows = 1, .cols = tiles, .user = p,
			    .start = start,    .weight = weight,       .pixel = point, .store = keep};

	lir_scope(B);
	op_tile_begin(c, &t);
	p->ib = op_loop(c, "ib", p->in_blocks, LIR_SERIAL);
	p->ci = channels_of_block(c, p);
	op_tile_fma(c, &t);
	lir_end(B);
	op_loop_end(c, p->ib);
	op_tile_end(c, &t);
	lir_end(B);
}

/* Point by point, so that the points of all tiles meet a channel tile's weights while both are in the first cache. */
static void multiply(struct op_lower *c, struct winograd *p)
{
	int64_t step = op_tile_step(p->tiles, p->pixels), whole = p->tiles / step;
	struct lir_expr *s;

	p->k = lir_for(B, "k", POINTS, LIR_SERIAL);
	p->group = op_loop(c, "g", p->chunk / p->vectors, LIR_SERIAL);
	s = op_loop(c, "s", whole, LIR_SERIAL);
	p->first = lir_mul(B, s, lir_int(B, step));
	multiply_tile(c, p, step);
	op_loop_end(c, s);
	if (p->tiles % step) {
		p->first = lir_int(B, whole * step);
		multiply_tile(c, p, p->tiles % step);
	}
	op_loop_end(c, p->group);
	lir_end(B);
}

/* ---- from points to pixels ---- */

/* Six points to four pixels of a row or column: the factor A. */
static void pixels_of(struct op_lower *c, struct lir_expr *const *x, struct lir_expr **out)
{
	struct lir_expr *even1 = op_let(c, "even", lir_add(B, x[1], x[2])), *odd1 = op_let(c, "odd", lir_sub(B, x[1], x[2]));
	struct lir_expr *even2 = op_let(c, "even", lir_add(B, x[3], x[4])), *odd2 = op_let(c, "odd", lir_sub(B, x[3], x[4]));

	out[0] = lir_add(B, lir_add(B, x[0], even1), even2);
	out[1] = lir_fma(B, lir_imm(B, DT_F32, 2), odd2, odd1);
	out[2] = lir_fma(B, lir_imm(B, DT_F32, 4), even2, even1);
	out[3] = lir_add(B, lir_fma(B, lir_imm(B, DT_F32, 8), odd2, odd1), x[5]);
}

static void store_row(struct op_lower *c, struct winograd *p, struct lir_expr *block, struct lir_expr *bias, struct lir_expr *y, struct lir_expr *x0,
		      struct lir_expr *const *out)
{
	for (int64_t j = 0; j < OUT; j++) {
		struct lir_expr *x = lir_add(B, x0, lir_int(B, j)), *v = out[j];
		bool tail = p->v.w.out[1] % OUT && j >= p->v.w.out[1] % OUT;

		if (tail)
			lir_if(B, lir_lt(B, x, lir_int(B, p->v.w.out[1])));
		else
			lir_scope(B);
		v = bias ? lir_add(B, v, bias) : v;
		op_store(c, (struct lir_expr *[]){p->n, block, y, x, lir_int(B, 0)}, v);
		lir_end(B);
	}
}

/* Tile `t` of the strip, of block `own` of the chunk. */
static void transform_back(struct op_lower *c, struct winograd *p, struct lir_expr *own, struct lir_expr *block, struct lir_expr *bias,
			   struct lir_expr *r, struct lir_expr *q, struct lir_expr *t)
{
	struct lir_expr *zero = lir_int(B, 0), *i, *j, *y, *x, *in[IN], *out[OUT];
	struct lir_buffer *half = lir_alloc(B, "back", DT_F32, 3, (const int64_t[]){OUT, IN, p->lanes});
	bool tail = p->v.w.out[0] % OUT;

	j = op_loop(c, "j", IN, LIR_UNROLLED);
	for (int64_t k = 0; k < IN; k++) {
		struct lir_expr *at[] = {lir_add(B, lir_int(B, k * IN), j), own, t, zero};

		in[k] = op_let(c, "m", lir_load_lanes(B, p->sum, at, p->lanes));
	}
	pixels_of(c, in, out);
	for (int64_t k = 0; k < OUT; k++)
		lir_store(B, half, (struct lir_expr *[]){lir_int(B, k), j, zero}, out[k]);
	op_loop_end(c, j);
	x = op_let(c, "x", lir_mul(B, lir_add(B, p->col, q), lir_int(B, OUT)));
	i = op_loop(c, "i", OUT, LIR_UNROLLED);
	y = op_let(c, "y", lir_add(B, lir_mul(B, lir_add(B, p->row, r), lir_int(B, OUT)), i));
	if (tail)
		lir_if(B, lir_lt(B, y, lir_int(B, p->v.w.out[0])));
	for (int64_t k = 0; k < IN; k++)
		in[k] = op_let(c, "h", lir_load_lanes(B, half, (struct lir_expr *[]){i, lir_int(B, k), zero}, p->lanes));
	pixels_of(c, in, out);
	store_row(c, p, block, bias, y, x, out);
	if (tail)
		lir_end(B);
	op_loop_end(c, i);
}

static void finish(struct op_lower *c, struct winograd *p)
{
	struct lir_expr *v = op_loop(c, "v", p->chunk, LIR_SERIAL), *block, *channel, *bias = NULL, *r, *q;

	block = op_let(c, "o", lir_add(B, lir_mul(B, p->at_chunk, lir_int(B, p->chunk)), v));
	channel = lir_mul(B, block, lir_int(B, p->lanes));
	if (p->b)
		bias = op_let(c, "bias", lir_load_lanes(B, p->b, &channel, p->lanes));
	r = op_loop(c, "r", p->rows, LIR_SERIAL);
	q = op_loop(c, "q", p->cols, LIR_SERIAL);
	transform_back(c, p, v, block, bias, r, q, lir_add(B, lir_mul(B, r, lir_int(B, p->cols)), q));
	op_loop_end(c, q);
	op_loop_end(c, r);
	op_loop_end(c, v);
}

/* ---- the kernel ---- */

static struct lir_buffer *scratch(struct op_lower *c, const struct winograd *p, const char *name, int64_t blocks)
{
	return lir_alloc(B, name, DT_F32, 4, (const int64_t[]){POINTS, blocks, p->tiles, p->lanes});
}

static void open_kernel(struct op_lower *c, struct winograd *p)
{
	op_begin(c, "");
	if (p->points)
		p->p = op_temp_in(c, p->points);
	else
		p->x = op_in(c, 0);
	p->w = op_temp_in(c, p->weights);
	p->b = p->bias ? op_temp_in(c, p->bias) : op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	op_out(c, 0);
	if (!p->points)
		p->p = scratch(c, p, "points", p->in_blocks);
	p->sum = scratch(c, p, "sums", p->chunk); /* outside the loop: each thread has one, not each iteration */
}

/* Threads share the strips. */
static void by_strips(struct op_lower *c, struct winograd *p)
{
	struct lir_expr *ib;

	open_kernel(c, p);
	find_strip(c, p, lir_for(B, "part", p->strips, LIR_PARALLEL));
	ib = p->ib = op_loop(c, "ib", p->in_blocks, LIR_SERIAL);
	transform_strip(c, p);
	op_loop_end(c, ib);
	p->at_chunk = op_loop(c, "c", p->out_blocks / p->chunk, LIR_SERIAL);
	multiply(c, p);
	finish(c, p);
	op_loop_end(c, p->at_chunk);
	lir_end(B);
	op_end(c);
}

/* Threads share the output channels, and what strips there are. */
static void by_channels(struct op_lower *c, struct winograd *p)
{
	struct lir_expr *part;

	transform_tiles(c, p);
	open_kernel(c, p);
	part = lir_for(B, "part", p->strips * (p->out_blocks / p->chunk), LIR_PARALLEL);
	p->at_chunk = p->strips == 1 ? part : op_let(c, "c", lir_div(B, part, lir_int(B, p->strips)));
	find_strip(c, p, p->strips == 1 ? lir_int(B, 0) : op_let(c, "strip", lir_mod(B, part, lir_int(B, p->strips))));
	multiply(c, p);
	finish(c, p);
	lir_end(B);
	op_end(c);
}

bool op_conv_fits_winograd(const struct op_lower *c, const struct op_conv *v)
{
	const struct gir_value *x = c->node->in[0];

	for (int d = 0; d < 2; d++)
		if (v->w.nd != 2 || v->w.kernel[d] != 3 || v->w.stride[d] != 1 || v->w.dilation[d] != 1)
			return false;
	return v->groups == 1 && op_all_f32(c->node) && x->nd == 4 && x->block > 1 && c->node->out[0]->block == x->block;
}

void op_conv_lower_winograd(struct op_lower *c, const struct op_conv *v)
{
	struct winograd p = {.v = *v};

	measure(c, &p);
	transform_weights(c, &p);
	p.bias = op_conv_bias(c, v->out_channels, p.out_blocks * p.lanes);
	if (p.points)
		by_channels(c, &p);
	else
		by_strips(c, &p);
}
