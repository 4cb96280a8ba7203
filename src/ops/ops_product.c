/* ops_product.c: matrix products by register tiles */
#include <string.h>

#include "ops/ops_product.h"

#define B (&c->b)
#define MIN_WORK 4096 /* products of numbers: below, packing costs more than it gives */
#define MAX_BATCH 4   /* dims of a stack */
#define MAX_CONSTANT 8 /* nodes between a constant and what is made of it */

struct product {
	const struct op_product *p;
	int lanes, vectors, nbatch, nd; /* of the output: nbatch + 2 dims */
	int64_t dim[MAX_BATCH + 2];
	int64_t rows, vectors_all;          /* pixels of a tile; vectors that cover n */
	int64_t strips;                     /* of columns, side by side */
	struct lower_temp *left;            /* A by tiles in the order they are read; NULL: it is read where it lies */
	struct lower_temp *packed, *padded; /* packed: B, NULL when it is read where it lies; padded: the sums, with n rounded up, NULL when n needs none */
	struct lir_buffer *a, *b, *out;     /* of the open kernel */
	/* of the tile at hand: in the stack, first row, strip, position in the sum; of B that is not packed the first column and that of
	 * the last vector */
	struct lir_expr *at[MAX_BATCH], *tile, *row, *strip, *i, *first, *last;
};

struct op_matrix op_matrix_of(const struct op_lower *c, uint32_t input)
{
	const struct gir_value *v = c->node->in[input];
	struct op_matrix m = {.input = input, .nd = v->nd};

	memcpy(m.dim, v->dim, sizeof m.dim);
	return m;
}

bool op_fused_by_groups(const struct gir_node *n)
{
	const struct gir_value *out = n->out[0];

	for (uint32_t k = 0; k < n->nfused; k++)
		for (uint32_t i = 0; i < n->fused[k].node->nin; i++) {
			const struct gir_value *v = n->fused[k].node->in[i];
			int64_t elements;

			if (!v || i == n->fused[k].slot || (dims_elements(v->dim, v->nd, &elements) && elements == 1))
				continue;
			if (v->nd != 4 || (v->dim[1] != 1 && v->dim[1] != out->dim[1]) ||
			    ((v->dim[2] != out->dim[2] || v->dim[3] != out->dim[3]) && v->dim[2] * v->dim[3] != 1))
				return false;
		}
	return true;
}

bool op_product_fits(const struct op_lower *c, const struct op_product *p)
{
	return c->target->lanes > 1 && op_all_f32(c->node) && p->a.nd >= 2 && p->b.nd >= 2 && p->a.nd <= 2 + MAX_BATCH &&
	       p->b.nd <= 2 + MAX_BATCH && p->n >= c->target->lanes && p->m > 0 && p->k > 0 && p->m * p->n >= MIN_WORK / p->k &&
	       (!p->groups || op_fused_by_groups(c->node));
}

/* The matrix that belongs to the place in the output's stack: its own stack's dims, of which those of 1 stay. */
static int stack_index(struct op_lower *c, const struct product *q, const struct op_matrix *m, struct lir_expr **at)
{
	int own = m->nd - 2;

	for (int d = 0; d < own; d++)
		at[d] = m->dim[d] == 1 ? lir_int(B, 0) : q->at[q->nbatch - own + d];
	return own;
}

static struct lir_buffer *matrix(struct op_lower *c, const struct op_matrix *m)
{
	return op_view(c, c->node->in[m->input], m->nd, m->dim);
}

/* Known when the network is built, or made of such: packed once. */
static bool constant(const struct gir_value *v, int depth)
{
	if (v->data || v->known)
		return true;
	if (!v->producer || depth == 0)
		return false;
	for (uint32_t i = 0; i < v->producer->nin; i++)
		if (v->producer->in[i] && !constant(v->producer->in[i], depth - 1))
			return false;
	return v->producer->nin > 0 && !v->producer->nfused;
}

static void pack(struct op_lower *c, struct product *q)
{
	const struct op_matrix *m = &q->p->b;
	int own = m->nd - 2, width = q->vectors * q->lanes;
	int64_t dim[MAX_BATCH + 3];
	struct lir_expr *at[MAX_DIMS], *col, *x, *k;
	struct lir_buffer *in;
	struct lir_nest nest;

	memcpy(dim, m->dim, sizeof *dim * (size_t)own);
	dim[own] = q->vectors_all / q->vectors;
	dim[own + 1] = q->p->k;
	dim[own + 2] = width;
	q->packed = op_temp(c, "packed", DT_F32, own + 3, dim);
	op_begin(c, "pack");
	in = matrix(c, m);
	nest = lir_nest_over(B, own + 3, dim);
	memcpy(at, nest.index, sizeof *at * (size_t)own);
	k = nest.index[own + 1];
	col = op_let(c, "col", lir_add(B, lir_mul(B, nest.index[own], lir_int(B, width)), nest.index[own + 2]));
	at[own] = q->p->trans_b ? col : k;
	at[own + 1] = q->p->trans_b ? k : col;
	x = lir_load(B, in, at);
	if (q->vectors_all * q->lanes != q->p->n)
		x = lir_select(B, lir_lt(B, col, lir_int(B, q->p->n)), x, lir_imm(B, DT_F32, 0));
	lir_store(B, op_temp_out(c, q->packed), nest.index, x);
	lir_nest_end(B, &nest);
	op_end(c);
}

/* Rows of A side by side, tile by tile: weights that no cache has are fetched in one stream. */
static void pack_left(struct op_lower *c, struct product *q)
{
	const struct op_product *p = q->p;
	int64_t dim[] = {p->groups, (p->m + q->rows - 1) / q->rows, p->k, q->rows};
	struct lir_expr *row, *x;
	struct lir_buffer *in;
	struct lir_nest nest;

	q->left = op_temp(c, "weights", DT_F32, 4, dim);
	op_begin(c, "weights");
	in = matrix(c, &p->a);
	nest = lir_nest_over(B, 4, dim);
	row = lir_add(B, lir_mul(B, nest.index[1], lir_int(B, q->rows)), nest.index[3]);
	if (p->m % q->rows)
		row = lir_min(B, row, lir_int(B, p->m - 1));
	x = lir_load(B, in, (struct lir_expr *[]){nest.index[0], row, nest.index[2]});
	lir_store(B, op_temp_out(c, q->left), nest.index, x);
	lir_nest_end(B, &nest);
	op_end(c);
}

static struct lir_expr *start(struct op_lower *c, void *user, struct lir_expr *v)
{
	(void)user, (void)v;
	return lir_imm(B, DT_F32, 0);
}

/* First column of the tile's vector v. Where B is not packed a strip may be narrower than its vectors: the last ends with it. */
static struct lir_expr *column(struct op_lower *c, const struct product *q, struct lir_expr *v)
{
	struct lir_expr *lanes = lir_int(B, q->lanes);

	if (q->packed)
		return lir_mul(B, lir_add(B, lir_mul(B, q->strip, lir_int(B, q->vectors)), v), lanes);
	v = lir_add(B, q->first, lir_mul(B, v, lanes));
	return q->last ? lir_min(B, v, q->last) : v;
}

static struct lir_expr *weight(struct op_lower *c, void *user, struct lir_expr *v)
{
	struct product *q = user;
	struct lir_expr *at[MAX_DIMS];
	int own = stack_index(c, q, &q->p->b, at);

	if (!q->packed) {
		at[own] = q->i;
		at[own + 1] = column(c, q, v);
		return lir_load_lanes(B, q->b, at, q->lanes);
	}
	at[own] = q->strip;
	at[own + 1] = q->i;
	at[own + 2] = lir_mul(B, v, lir_int(B, q->lanes));
	return lir_load_lanes(B, q->b, at, q->lanes);
}

static struct lir_expr *pixel(struct op_lower *c, void *user, struct lir_expr *i, struct lir_expr *j)
{
	struct product *q = user;
	struct lir_expr *at[MAX_DIMS], *row = lir_add(B, q->row, i);
	int own = stack_index(c, q, &q->p->a, at);

	(void)j;
	if (q->left)
		return lir_load(B, q->a, (struct lir_expr *[]){at[0], q->tile, q->i, i});
	at[own] = q->p->trans_a ? q->i : row;
	at[own + 1] = q->p->trans_a ? row : q->i;
	return lir_load(B, q->a, at);
}

static void store(struct op_lower *c, void *user, struct lir_expr *v, struct lir_expr *i, struct lir_expr *j, struct lir_expr *sum)
{
	struct product *q = user;
	struct lir_expr *at[MAX_DIMS];

	(void)j;
	memcpy(at, q->at, sizeof *at * (size_t)q->nbatch);
	at[q->nbatch] = lir_add(B, q->row, i);
	at[q->nbatch + 1] = column(c, q, v);
	if (q->padded)
		lir_store(B, q->out, at, sum);
	else
		op_store(c, at, q->p->finish ? q->p->finish(c, q->p->user, at, sum) : sum);
}

static void sum_tile(struct op_lower *c, struct product *q, int64_t rows)
{
	struct op_tile t = {.lanes = q->lanes,
			    .vectors = q->vectors,
			    .rows = rows,
			    .cols = 1,
			    .user = q,
			    .start = start,
			    .weight = weight,
			    .pixel = pixel,
			    .store = store};

	lir_scope(B);
	op_tile_begin(c, &t);
	q->i = op_loop(c, "k", q->p->k, LIR_SERIAL);
	op_tile_fma(c, &t);
	op_loop_end(c, q->i);
	op_tile_end(c, &t);
	lir_end(B);
}

/* Strips of nearly the same width, as many as whole tiles would need, so that each column belongs to one. */
static void open_strip(struct op_lower *c, struct product *q)
{
	int64_t n = q->p->n, width = (int64_t)q->vectors * q->lanes;
	struct lir_expr *all = lir_int(B, q->strips), *end;

	q->last = NULL;
	if (n % q->strips == 0) {
		q->first = op_let(c, "first", lir_mul(B, q->strip, lir_int(B, n / q->strips)));
		if (n / q->strips != width)
			q->last = op_let(c, "last", lir_add(B, q->first, lir_int(B, n / q->strips - q->lanes)));
		return;
	}
	q->first = op_let(c, "first", lir_div(B, lir_mul(B, q->strip, lir_int(B, n)), all));
	end = lir_div(B, lir_mul(B, lir_add(B, q->strip, lir_int(B, 1)), lir_int(B, n)), all);
	q->last = op_let(c, "last", lir_sub(B, end, lir_int(B, q->lanes)));
}

static void sum(struct op_lower *c, struct product *q)
{
	int64_t tiles = (q->p->m + q->rows - 1) / q->rows, stack = 1;
	bool strips_first = q->left && q->strips < tiles; /* few strips share a tile of A while a cache has it */
	int64_t inner = strips_first ? q->strips : tiles, outer = strips_first ? tiles : q->strips;
	struct lir_expr *part, *rest, *low, *high;

	for (int d = 0; d < q->nbatch; d++)
		stack *= q->dim[d];
	c->groups = q->p->groups;
	op_begin(c, q->padded ? "sum" : "");
	q->a = q->left ? op_temp_in(c, q->left) : matrix(c, &q->p->a);
	q->b = q->packed ? op_temp_in(c, q->packed) : matrix(c, &q->p->b);
	q->out = q->padded ? op_temp_out(c, q->padded) : op_out(c, 0);
	part = lir_for(B, "part", stack * q->strips * tiles, LIR_PARALLEL);
	low = lir_mod(B, part, lir_int(B, inner));
	rest = lir_div(B, part, lir_int(B, inner));
	high = lir_mod(B, rest, lir_int(B, outer));
	q->tile = strips_first ? high : low;
	q->tile = q->left ? op_let(c, "tile", q->tile) : q->tile;
	q->row = op_let(c, "row", lir_mul(B, q->tile, lir_int(B, q->rows)));
	q->strip = op_let(c, "strip", strips_first ? low : high);
	if (!q->packed)
		open_strip(c, q);
	rest = op_let(c, "stack", lir_div(B, rest, lir_int(B, outer)));
	for (int d = q->nbatch - 1; d >= 0; d--) {
		q->at[d] = q->dim[d] == 1 ? lir_int(B, 0) : op_let(c, "at", lir_mod(B, rest, lir_int(B, q->dim[d])));
		rest = lir_div(B, rest, lir_int(B, q->dim[d]));
	}
	if (q->p->m % q->rows)
		lir_if(B, lir_binary(B, LIR_LE, lir_add(B, q->row, lir_int(B, q->rows)), lir_int(B, q->p->m)));
	sum_tile(c, q, q->rows);
	if (q->p->m % q->rows) {
		lir_else(B);
		sum_tile(c, q, q->p->m % q->rows);
		lir_end(B);
	}
	lir_end(B);
	op_end(c);
}

static void finish_at(struct op_lower *c, struct product *q, struct lir_expr **at, int nd, struct lir_expr *col, int lanes)
{
	struct lir_expr *x;

	at[nd - 1] = col;
	x = lanes > 1 ? lir_load_lanes(B, q->a, at, lanes) : lir_load(B, q->a, at);
	op_store(c, at, q->p->finish ? q->p->finish(c, q->p->user, at, x) : x);
}

/* From the padded sums to the output. */
static void finish(struct op_lower *c, struct product *q)
{
	int64_t whole = q->p->n / q->lanes, rest = q->p->n % q->lanes;
	struct lir_expr *at[MAX_DIMS], *v;
	struct lir_buffer *out;
	struct lir_nest nest;

	c->groups = q->p->groups;
	op_begin(c, "");
	q->a = op_temp_in(c, q->padded);
	out = op_out(c, 0);
	nest = lir_nest_over(B, out->nd - 1, out->dim);
	memcpy(at, nest.index, sizeof at);
	v = op_loop(c, "v", whole, LIR_SERIAL);
	finish_at(c, q, at, out->nd, lir_mul(B, v, lir_int(B, q->lanes)), q->lanes);
	op_loop_end(c, v);
	v = op_loop(c, "t", rest, LIR_SERIAL);
	finish_at(c, q, at, out->nd, lir_add(B, v, lir_int(B, whole * q->lanes)), 1);
	op_loop_end(c, v);
	lir_nest_end(B, &nest);
	op_end(c);
}

bool op_product_lower(struct op_lower *c, const struct op_product *p)
{
	const struct gir_value *out = c->node->out[0];
	struct product q = {.p = p, .lanes = c->target->lanes, .nd = out->nd};
	int64_t pixels, dim[MAX_BATCH + 2];

	if (op_product_lower_dot(c, p))
		return true;
	memcpy(q.dim, out->dim, sizeof *q.dim * (size_t)q.nd);
	if (p->groups)
		memcpy(q.dim, (int64_t[]){out->dim[0], p->groups, p->m, p->n}, 4 * sizeof *q.dim);
	q.nbatch = q.nd - 2;
	q.vectors_all = (p->n + q.lanes - 1) / q.lanes;
	if (p->trans_b || constant(c->node->in[p->b.input], MAX_CONSTANT)) {
		op_tile_size(q.lanes, q.vectors_all, &q.vectors, &pixels);
		q.strips = q.vectors_all / q.vectors;
		q.rows = op_tile_step(p->m, pixels);
		pack(c, &q);
		if (p->n % q.lanes) {
			memcpy(dim, q.dim, sizeof dim);
			dim[q.nd - 1] = q.vectors_all * q.lanes;
			q.padded = op_temp(c, "sums", DT_F32, q.nd, dim);
		}
	} else {
		op_tile_size(q.lanes, q.vectors_all > 1 ? 2 : 1, &q.vectors, &pixels);
		q.strips = (q.vectors_all + q.vectors - 1) / q.vectors;
		q.rows = op_tile_step(p->m, pixels);
	}
	if (p->groups && !p->trans_a && constant(c->node->in[p->a.input], MAX_CONSTANT))
		pack_left(c, &q);
	sum(c, &q);
	if (q.padded)
		finish(c, &q);
	return true;
}
