/* op_lrn.c: LRN - each element divided by a power of the energy of its neighbours across channels
 *
 * In blocks of channels the squares of a block and of its neighbours' ends lie in a row of scratch, so that a vector of sums
 * is a few vectors beside each other.
 */
#include "ops/ops_calc.h"
#include "ops/ops_tile.h"

#define B (&c->b)

static bool infer(struct op_infer *c, struct err *e)
{
	int64_t size = OP_INT(c->node, "size", 0);

	if (size < 1 || size > INT32_MAX)
		return err_set(e, ERR_PARSE, "attribute 'size' is missing or absurd");
	return op_check_type(c, 0, TYPES_FLOAT, e) && op_check_rank(c, 0, 2, MAX_DIMS - 1, e) && op_out_like(c, 0, 0, e);
}

/* x ^ beta, of positive numbers; by square roots where these do, which are much cheaper. */
static struct lir_expr *power(struct op_lower *c, struct lir_expr *x, double beta)
{
	struct lir_expr *r;

	if (beta == 1)
		return x;
	if (beta != 0.5 && beta != 0.75)
		return lir_call2(B, LIR_CALL_POW, x, lir_broadcast(B, lir_imm(B, x->type.dtype, beta), x->type.lanes));
	r = op_let(c, "root", lir_call1(B, LIR_CALL_SQRT, x));
	return beta == 0.5 ? r : lir_mul(B, r, lir_call1(B, LIR_CALL_SQRT, r));
}

/* Squares of n channels from number `from` of block s->index[1] + step into the scratch, zeros where there is no such block. */
static void ends(struct op_lower *c, struct op_space *s, struct lir_buffer *in, struct lir_buffer *near, int step, int64_t n,
		 int64_t from, int64_t first)
{
	struct lir_expr *block = lir_add(B, s->index[1], lir_int(B, step)), *zero = lir_imm(B, DT_F32, 0), *at[MAX_DIMS], *l, *x, *to;
	struct lir_expr *there = step < 0 ? lir_ge(B, block, lir_int(B, 0)) : lir_lt(B, block, lir_int(B, s->dim[1]));

	if (!n)
		return;
	for (int d = 0; d < s->nd; d++)
		at[d] = d == 1 ? block : s->index[d];
	l = op_loop(c, "l", n, LIR_UNROLLED);
	at[s->nd] = lir_add(B, l, lir_int(B, from));
	x = op_let(c, "e", lir_select(B, there, lir_load(B, in, at), zero));
	to = lir_add(B, l, lir_int(B, first));
	lir_store(B, near, &to, lir_mul(B, x, x));
	op_loop_end(c, l);
}

static bool lower_blocked(struct op_lower *c, int64_t size, double alpha, double beta, double bias)
{
	int64_t before = (size - 1) / 2, lanes = c->node->out[0]->block, width = lanes + size - 1;
	struct lir_expr *x, *k, *first, *energy;
	struct lir_buffer *in, *near, *acc;
	struct op_space s;

	c->lanes = (int)lanes;
	op_begin(c, "");
	in = op_in(c, 0);
	op_out(c, 0);
	s = op_space_of(c, in);
	for (int d = 3; d < s.nd; d++)
		s.inner[d] = true;
	op_outer_begin(c, &s);
	near = lir_alloc(B, "near", DT_F32, 1, &width); /* once a row */
	op_inner_begin(c, &s);
	x = op_let(c, "x", op_load_as(c, in, s.index, DT_F32));
	ends(c, &s, in, near, -1, before, lanes - before, 0);
	first = lir_int(B, before);
	lir_store(B, near, &first, lir_mul(B, x, x));
	ends(c, &s, in, near, 1, size - 1 - before, 0, before + lanes);
	acc = op_acc(c, "sum", lir_broadcast(B, lir_imm(B, DT_F32, 0), (int)lanes));
	k = op_loop(c, "k", size, LIR_UNROLLED);
	op_acc_add(c, acc, lir_load_lanes(B, near, &k, (int)lanes));
	op_loop_end(c, k);
	energy = lir_mul(B, lir_imm(B, DT_F32, alpha / (double)size), op_acc_get(c, acc));
	energy = op_let(c, "energy", lir_add(B, lir_imm(B, DT_F32, bias), energy));
	op_store(c, s.index, lir_div(B, x, power(c, energy, beta)));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

static bool lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	int64_t size = OP_INT(c->node, "size", 1), before = (size - 1) / 2;
	double alpha = OP_FLOAT(c->node, "alpha", 1e-4f), beta = OP_FLOAT(c->node, "beta", 0.75f),
	       bias = OP_FLOAT(c->node, "bias", 1);
	struct lir_expr *at[MAX_DIMS], *x, *energy, *near;
	struct lir_buffer *in, *acc;
	struct op_space s;

	(void)e;
	if (c->node->out[0]->block)
		return lower_blocked(c, size, alpha, beta, bias);
	op_begin(c, "");
	in = op_in(c, 0);
	s = op_space_of(c, in);
	op_out(c, 0);
	op_outer_begin(c, &s);
	for (int d = 0; d < s.nd; d++)
		at[d] = s.index[d];
	acc = op_acc(c, "sum", lir_imm(B, wide, 0));
	near = lir_for(B, "k", size, LIR_SERIAL);
	at[1] = op_let(c, "ch", lir_sub(B, lir_add(B, s.index[1], near), lir_int(B, before)));
	lir_if(B, lir_and(B, lir_ge(B, at[1], lir_int(B, 0)), lir_lt(B, at[1], lir_int(B, s.dim[1]))));
	x = op_let(c, "x", op_load_as(c, in, at, wide));
	op_acc_add(c, acc, lir_mul(B, x, x));
	lir_end(B);
	lir_end(B);
	energy = lir_mul(B, lir_imm(B, wide, alpha / (double)size), op_acc_get(c, acc));
	energy = lir_call2(B, LIR_CALL_POW, lir_add(B, lir_imm(B, wide, bias), energy), lir_imm(B, wide, beta));
	op_store(c, s.index, lir_cast(B, t, lir_div(B, op_load_as(c, in, s.index, wide), energy)));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_LRN = {.infer = infer, .lower = lower};
