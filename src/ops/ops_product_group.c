/* ops_product_group.c: Gemm and MatMul by groups of work-items; both factors are read where they lie, whichever way they lie */
#include <string.h>

#include "ops/ops_group.h"
#include "ops/ops_product.h"

#define B (&c->b)
#define MAX_BATCH 4

struct product {
	const struct op_product *p;
	struct op_group g;
	int nbatch;
	int64_t dim[MAX_DIMS]; /* of the output */
	struct lir_buffer *a, *b;
	struct lir_expr *at[MAX_DIMS]; /* in the stack, then row and column */
	struct lir_expr *col;          /* first of the run at hand */
};

/* Where the matrix of the place in the output's stack lies: its own stack's dims, of which those of 1 stay. */
static int own_stack(struct op_lower *c, const struct product *q, const struct op_matrix *m, struct lir_expr **at)
{
	int own = m->nd - 2;

	for (int d = 0; d < own; d++)
		at[d] = m->dim[d] == 1 ? lir_int(B, 0) : q->at[q->nbatch - own + d];
	return own;
}

static void begin(struct op_lower *c, void *user, struct lir_expr *stack, struct lir_expr *row, struct lir_expr *col)
{
	struct product *q = user;

	(void)row, (void)col;
	for (int d = q->nbatch - 1; d >= 0; d--) {
		q->at[d] = q->dim[d] == 1 ? lir_int(B, 0) : op_let(c, "at", lir_mod(B, stack, lir_int(B, q->dim[d])));
		stack = lir_div(B, stack, lir_int(B, q->dim[d]));
	}
}

/* An element of a factor, 0 behind the last. Runs of neighbours are all there or none: so their number says. */
static struct lir_expr *element(struct op_lower *c, struct product *q, const struct op_matrix *m, struct lir_buffer *in, bool turned,
				struct lir_expr *line, struct lir_expr *next, int64_t lines, bool line_tail, struct lir_expr *k, int64_t run)
{
	struct lir_expr *at[MAX_DIMS], *guard = NULL, *x;
	int own = own_stack(c, q, m, at);

	run = turned ? run : 1;
	line = op_let(c, "line", run > 1 ? lir_div(B, line, lir_int(B, run)) : line);
	k = op_let(c, "k", k);
	if (line_tail)
		guard = lir_lt(B, line, lir_int(B, lines / run));
	if (q->g.depth % q->g.slice_depth) {
		x = lir_lt(B, k, lir_int(B, q->g.depth));
		guard = guard ? lir_and(B, guard, x) : x;
	}
	line = lir_add(B, lir_mul(B, line, lir_int(B, run)), next);
	at[own] = turned ? k : line;
	at[own + 1] = turned ? line : k;
	x = lir_load(B, in, at);
	return guard ? lir_select(B, guard, x, lir_imm(B, DT_F32, 0)) : x;
}

static struct lir_expr *left(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *next, struct lir_expr *k, struct lir_expr *deep)
{
	struct product *q = user;

	(void)deep;
	return element(c, q, &q->p->a, q->a, q->p->trans_a, row, next, q->g.rows, q->g.rows % q->g.tile_rows, k, q->g.left_run);
}

static struct lir_expr *right(struct op_lower *c, void *user, struct lir_expr *col, struct lir_expr *next, struct lir_expr *k, struct lir_expr *deep)
{
	struct product *q = user;

	(void)deep;
	return element(c, q, &q->p->b, q->b, !q->p->trans_b, col, next, q->g.cols, q->g.cols % q->g.tile_cols, k, q->g.right_run);
}

static void store_column(struct op_lower *c, void *user, struct lir_expr *col)
{
	struct product *q = user;

	(void)c;
	q->col = col;
}

static void store(struct op_lower *c, void *user, struct lir_expr *row, struct lir_expr *next, struct lir_expr *sum)
{
	struct product *q = user;

	q->at[q->nbatch] = row;
	q->at[q->nbatch + 1] = lir_add(B, q->col, next);
	op_store(c, q->at, q->p->finish ? q->p->finish(c, q->p->user, q->at, sum) : sum);
}

/* Neighbours of a matrix whose lines have whole runs. */
static int run_of(const struct op_matrix *m)
{
	return m->dim[m->nd - 1] % 4 ? 1 : 4;
}

bool op_product_lower_group(struct op_lower *c, const struct op_product *p)
{
	const struct gir_value *out = c->node->out[0];
	struct product q = {.p = p, .nbatch = out->nd - 2};
	int64_t stack = 1;

	if (p->groups || !op_all_f32(c->node) || p->a.nd < 2 || p->b.nd < 2 || p->a.nd > 2 + MAX_BATCH || p->b.nd > 2 + MAX_BATCH)
		return false;
	memcpy(q.dim, out->dim, sizeof *q.dim * (size_t)out->nd);
	for (int d = 0; d < q.nbatch; d++)
		stack *= q.dim[d];
	q.g = (struct op_group){.rows = p->m, .cols = p->n, .depth = p->k, .stack = stack, .user = &q, .left_along_depth = !p->trans_a,
				.right_along_depth = p->trans_b, .left_run = run_of(&p->a), .right_run = run_of(&p->b),
				.store_run = p->n % 4 ? 1 : 4, .unit = p->k, .begin = begin, .left = left, .right = right, .store = store,
				.store_column = store_column};
	if (!op_group_choose(c, &q.g))
		return false;
	op_begin(c, "");
	q.a = op_in(c, p->a.input);
	q.b = op_in(c, p->b.input);
	op_out(c, 0);
	op_group_loops(c, &q.g);
	op_end(c);
	return true;
}
