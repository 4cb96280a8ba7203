/* ops_tile.c: register tiles */
#include "ops/ops_tile.h"

#define B (&c->b)

/* 32 registers of 16 lanes hold 2 x 14 or 3 x 9 sums, the vectors and a broadcast; 16 registers hold 2 x 6 or 3 x 4. */
void op_tile_size(int lanes, int64_t n, int *vectors, int64_t *pixels)
{
	*vectors = n % 2 == 0 ? 2 : n % 3 == 0 ? 3 : 1;
	if (lanes >= 16)
		*pixels = *vectors == 3 ? 8 : 14;
	else
		*pixels = *vectors == 3 ? 4 : *vectors == 2 ? 6 : 12;
}

int64_t op_tile_step(int64_t n, int64_t most)
{
	int64_t parts = (n + most - 1) / most;

	return parts ? (n + parts - 1) / parts : 1;
}

struct lir_expr *op_loop(struct op_lower *c, const char *name, int64_t extent, enum lir_loop_kind kind)
{
	return extent == 1 ? lir_int(B, 0) : lir_for(B, name, extent, kind);
}

void op_loop_end(struct op_lower *c, const struct lir_expr *index)
{
	if (index->kind == LIR_VAR)
		lir_end(B);
}

void op_tile_begin(struct op_lower *c, struct op_tile *t)
{
	struct lir_expr *v, *i, *j, *x;

	t->sum = lir_alloc(B, "sum", DT_F32, 4, (const int64_t[]){t->vectors, t->rows, t->cols, t->lanes});
	v = op_loop(c, "v", t->vectors, LIR_UNROLLED);
	x = op_let(c, "start", lir_broadcast(B, t->start(c, t->user, v), t->lanes));
	i = op_loop(c, "i", t->rows, LIR_UNROLLED);
	j = op_loop(c, "j", t->cols, LIR_UNROLLED);
	lir_store(B, t->sum, (struct lir_expr *[]){v, i, j, lir_int(B, 0)}, x);
	op_loop_end(c, j);
	op_loop_end(c, i);
	op_loop_end(c, v);
}

/* Weights first, then each pixel into every vector: the other order keeps all pixels' broadcasts alive and spills. */
void op_tile_fma(struct op_lower *c, const struct op_tile *t)
{
	struct lir_buffer *w = lir_alloc(B, "weight", DT_F32, 2, (const int64_t[]){t->vectors, t->lanes});
	struct lir_expr *v = op_loop(c, "v", t->vectors, LIR_UNROLLED), *i, *j, *x, *at[4], *row, *col, *zero = lir_int(B, 0);

	lir_store(B, w, (struct lir_expr *[]){v, zero}, t->weight(c, t->user, v));
	op_loop_end(c, v);
	i = op_loop(c, "i", t->rows, LIR_UNROLLED);
	if ((row = t->row ? t->row(c, t->user, i) : NULL))
		lir_if(B, row);
	j = op_loop(c, "j", t->cols, LIR_UNROLLED);
	if ((col = t->col ? t->col(c, t->user, j) : NULL))
		lir_if(B, col);
	x = op_let(c, "x", lir_broadcast(B, t->pixel(c, t->user, i, j), t->lanes));
	v = op_loop(c, "v", t->vectors, LIR_UNROLLED);
	at[0] = v;
	at[1] = i;
	at[2] = j;
	at[3] = zero;
	lir_store(
	    B, t->sum, at,
	    lir_fma(B, x, lir_load_lanes(B, w, (struct lir_expr *[]){v, zero}, t->lanes), lir_load_lanes(B, t->sum, at, t->lanes)));
	op_loop_end(c, v);
	if (col)
		lir_end(B);
	op_loop_end(c, j);
	if (row)
		lir_end(B);
	op_loop_end(c, i);
}

void op_tile_end(struct op_lower *c, const struct op_tile *t)
{
	struct lir_expr *v = op_loop(c, "v", t->vectors, LIR_UNROLLED), *i, *j;

	i = op_loop(c, "i", t->rows, LIR_UNROLLED);
	j = op_loop(c, "j", t->cols, LIR_UNROLLED);
	t->store(c, t->user, v, i, j, lir_load_lanes(B, t->sum, (struct lir_expr *[]){v, i, j, lir_int(B, 0)}, t->lanes));
	op_loop_end(c, j);
	op_loop_end(c, i);
	op_loop_end(c, v);
}
