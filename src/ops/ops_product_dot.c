/* ops_product_dot.c: a product of few rows by a transposed matrix: dot products along its rows, which are read where they lie
 *
 * What a classifier ends with: few images times a large matrix of weights. Packing it would have a second copy of it in memory, which is read
 * no faster as long as a tile has more rows of weights than of images (docs/performance.md).
 */
#include "ops/ops_product.h"

#define B (&c->b)
#define MOST_LINES 8 /* rows of B side by side in a tile */
#define MOST_ROWS 4  /* of A */

struct dot {
	const struct op_product *p;
	int lanes;
	int64_t lines;                  /* of B in a tile */
	struct lir_buffer *a, *b;       /* of the open kernel */
	struct lir_expr *line, *k;      /* the tile's first line of B; the place in the sums */
};

/* Registers hold all sums of a tile, its lines' vectors and one of A. */
static int64_t lines_of_tile(int lanes, int64_t m)
{
	int64_t lines = ((lanes >= 16 ? 32 : 16) - 1) / (m + 1);

	return lines < MOST_LINES ? lines : MOST_LINES;
}

static struct lir_expr *start(struct op_lower *c, void *user, struct lir_expr *v)
{
	(void)user, (void)v;
	return lir_imm(B, DT_F32, 0);
}

static struct lir_expr *weight(struct op_lower *c, void *user, struct lir_expr *v)
{
	struct dot *d = user;

	return lir_load_lanes(B, d->b, (struct lir_expr *[]){lir_add(B, d->line, v), d->k}, d->lanes);
}

static struct lir_expr *pixel(struct op_lower *c, void *user, struct lir_expr *i, struct lir_expr *j)
{
	struct dot *d = user;

	(void)j;
	return lir_load_lanes(B, d->a, (struct lir_expr *[]){i, d->k}, d->lanes);
}

/* The lanes of a sum make one number; what is left of the rows follows. */
static void store(struct op_lower *c, void *user, struct lir_expr *v, struct lir_expr *i, struct lir_expr *j, struct lir_expr *sum)
{
	struct dot *d = user;
	int64_t whole = d->p->k / d->lanes * d->lanes;
	struct lir_expr *at[2] = {i, lir_add(B, d->line, v)}, *x = op_fold_lanes(c, LIR_ADD, op_let(c, "all", sum), 0, d->lanes), *k;

	(void)j;
	if (whole < d->p->k) {
		struct lir_buffer *one = op_acc(c, "dot", x);

		k = lir_add(B, lir_for(B, "t", d->p->k - whole, LIR_SERIAL), lir_int(B, whole));
		op_acc_add(c, one, lir_mul(B, lir_load(B, d->a, (struct lir_expr *[]){i, k}), lir_load(B, d->b, (struct lir_expr *[]){at[1], k})));
		lir_end(B);
		x = op_acc_get(c, one);
	}
	op_store(c, at, d->p->finish ? d->p->finish(c, d->p->user, at, x) : x);
}

static void sum_tile(struct op_lower *c, struct dot *d, int64_t lines)
{
	struct op_tile t = {.lanes = d->lanes,
			    .vectors = (int)lines,
			    .rows = d->p->m,
			    .cols = 1,
			    .user = d,
			    .start = start,
			    .weight = weight,
			    .pixel = pixel,
			    .store = store};
	struct lir_expr *v;

	lir_scope(B);
	op_tile_begin(c, &t);
	v = op_loop(c, "k", d->p->k / d->lanes, LIR_SERIAL);
	d->k = lir_mul(B, v, lir_int(B, d->lanes));
	op_tile_fma(c, &t);
	op_loop_end(c, v);
	op_tile_end(c, &t);
	lir_end(B);
}

bool op_product_lower_dot(struct op_lower *c, const struct op_product *p)
{
	struct dot d = {.p = p, .lanes = c->target->lanes, .lines = lines_of_tile(c->target->lanes, p->m)};
	int64_t tiles;

	if (!p->trans_b || p->trans_a || p->groups || p->a.nd != 2 || p->b.nd != 2 || p->m > MOST_ROWS || p->k < d.lanes)
		return false;
	d.lines = op_tile_step(p->n, d.lines);
	tiles = (p->n + d.lines - 1) / d.lines;
	op_begin(c, "");
	d.a = op_in(c, p->a.input);
	d.b = op_in(c, p->b.input);
	op_out(c, 0);
	d.line = op_let(c, "line", lir_mul(B, lir_for(B, "part", tiles, LIR_PARALLEL), lir_int(B, d.lines)));
	if (p->n % d.lines)
		lir_if(B, lir_binary(B, LIR_LE, lir_add(B, d.line, lir_int(B, d.lines)), lir_int(B, p->n)));
	sum_tile(c, &d, d.lines);
	if (p->n % d.lines) {
		lir_else(B);
		sum_tile(c, &d, p->n % d.lines);
		lir_end(B);
	}
	lir_end(B);
	op_end(c);
	return true;
}
