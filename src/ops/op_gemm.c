/* op_gemm.c: Gemm - alpha * A' * B' + beta * C */
#include "ops/ops_product.h"

#define B (&c->b)

struct gemm {
	int64_t m, n, k;
	bool trans_a, trans_b;
	double alpha, beta;
};

static bool read_gemm(const struct gir_node *n, struct gemm *g, struct err *e)
{
	const struct gir_value *a = n->in[0], *b = n->in[1];

	*g = (struct gemm){.trans_a = OP_INT(n, "transA", 0) != 0, .trans_b = OP_INT(n, "transB", 0) != 0};
	g->alpha = OP_FLOAT(n, "alpha", 1);
	g->beta = OP_FLOAT(n, "beta", 1);
	if (a->nd != 2 || b->nd != 2)
		return err_set(e, ERR_PARSE, "needs two matrices, not %d and %d dimensions", a->nd, b->nd);
	g->m = a->dim[g->trans_a];
	g->k = a->dim[!g->trans_a];
	g->n = b->dim[!g->trans_b];
	if (b->dim[g->trans_b] != g->k)
		return err_set(e, ERR_PARSE, "inner dimensions differ: %lld and %lld", (long long)g->k,
			       (long long)b->dim[g->trans_b]);
	return true;
}

static bool infer(struct op_infer *c, struct err *e)
{
	const struct gir_value *bias = op_arg(c->node, 2);
	int64_t dim[2], both[MAX_DIMS];
	struct gemm g;
	int nd;

	if (!op_check_type(c, 0, TYPES_FLOAT | TYPES_WIDE_INT, e) || !op_check_same_type(c, 1, e) || !op_check_same_type(c, 2, e) ||
	    !read_gemm(c->node, &g, e))
		return false;
	dim[0] = g.m;
	dim[1] = g.n;
	if (bias) {
		if (!op_broadcast(bias->dim, bias->nd, dim, 2, both, &nd, e))
			return false;
		if (nd != 2 || both[0] != dim[0] || both[1] != dim[1])
			return err_set(e, ERR_PARSE, "C of shape %s does not broadcast to %s", dims_text(c->a, bias->dim, bias->nd),
				       dims_text(c->a, dim, 2));
	}
	return op_set_out(c, 0, c->node->in[0]->dtype, 2, dim, e);
}

/* x times the attribute; an integer product goes through real numbers, as the attributes are floats. */
static struct lir_expr *scale(struct op_lower *c, struct lir_expr *x, double by)
{
	enum dtype t = x->type.dtype, real = op_real_type(t);

	return by == 1 ? x : lir_cast(B, t, lir_mul(B, lir_cast(B, real, x), lir_imm(B, real, by)));
}

/* alpha * sum + beta * C, one element or a vector of them */
static struct lir_expr *finish(struct op_lower *c, void *user, struct lir_expr *const *at, struct lir_expr *sum)
{
	const struct gemm *g = user;
	enum dtype wide = sum->type.dtype;
	struct lir_expr *r = scale(c, sum, g->alpha), *bias;

	if (op_arg(c->node, 2) && g->beta != 0) {
		bias = lir_cast(B, wide, op_load_broadcast(c, c->node->in[2], at, 2, sum->type.lanes));
		r = lir_add(B, r, scale(c, bias, g->beta));
	}
	return r;
}

static bool lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *a, *b, *acc;
	struct op_product tiles;
	struct lir_expr *k, *m, *n;
	struct op_space s;
	struct gemm g;

	if (!read_gemm(c->node, &g, e))
		return false;
	tiles = (struct op_product){.a = op_matrix_of(c, 0), .b = op_matrix_of(c, 1), .m = g.m, .n = g.n, .k = g.k, .trans_a = g.trans_a,
				    .trans_b = g.trans_b, .finish = finish, .user = &g};
	if (op_product_fits(c, &tiles))
		return op_product_lower(c, &tiles);
	if (op_product_lower_group(c, &tiles))
		return true;
	op_begin(c, "");
	a = op_in(c, 0);
	b = op_in(c, 1);
	if (op_arg(c->node, 2))
		op_in(c, 2);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	m = s.index[0];
	n = s.index[1];
	acc = op_acc(c, "acc", lir_imm(B, wide, 0));
	k = lir_for(B, "k", g.k, LIR_SERIAL);
	op_acc_add(c, acc,
		   lir_mul(B, op_load_as(c, a, (struct lir_expr *[]){g.trans_a ? k : m, g.trans_a ? m : k}, wide),
			   op_load_as(c, b, (struct lir_expr *[]){g.trans_b ? n : k, g.trans_b ? k : n}, wide)));
	lir_end(B);
	op_store(c, s.index, lir_cast(B, t, finish(c, &g, s.index, op_acc_get(c, acc))));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_GEMM = {.infer = infer, .lower = lower};
