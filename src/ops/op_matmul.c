/* op_matmul.c: MatMul, MatMulInteger, QLinearMatMul - NumPy's matmul with all its broadcasting */
#include <string.h>

#include "ops/ops_product.h"

#define B (&c->b)

struct product {
	int na, nb; /* dims of the operands */
	int64_t k;
	int nd; /* of the result */
	int64_t dim[MAX_DIMS];
	bool row, column; /* the result has a row dim (a is not 1-D), a column dim (b is not 1-D) */
};

static bool read_product(const struct gir_value *a, const struct gir_value *b, struct product *p, struct err *e)
{
	int64_t kb;

	if (!a->nd || !b->nd)
		return err_set(e, ERR_PARSE, "a scalar cannot be multiplied as a matrix");
	*p = (struct product){.na = a->nd, .nb = b->nd, .row = a->nd > 1, .column = b->nd > 1};
	p->k = a->dim[a->nd - 1];
	kb = p->column ? b->dim[b->nd - 2] : b->dim[0];
	if (p->k != kb)
		return err_set(e, ERR_PARSE, "inner dimensions differ: %lld and %lld", (long long)p->k, (long long)kb);
	if (!op_broadcast(a->dim, p->row ? a->nd - 2 : 0, b->dim, p->column ? b->nd - 2 : 0, p->dim, &p->nd, e))
		return false;
	if (p->row)
		p->dim[p->nd++] = a->dim[a->nd - 2];
	if (p->column)
		p->dim[p->nd++] = b->dim[b->nd - 1];
	return true;
}

/* Index of the operand: its own batch dims (broadcast), then row or column and k. */
static void operand_index(struct op_lower *c, const struct product *p, const struct gir_value *v, struct lir_expr *const *o,
			  struct lir_expr *k, bool left, struct lir_expr **at)
{
	int batch = p->nd - p->row - p->column, own = v->nd > 1 ? v->nd - 2 : 0;

	for (int d = 0; d < own; d++)
		at[d] = v->dim[d] == 1 ? lir_int(B, 0) : o[batch - own + d];
	if (v->nd == 1) {
		at[0] = k;
		return;
	}
	at[own] = left ? o[batch] : k;
	at[own + 1] = left ? k : o[batch + p->row];
}

/* acc += sum over k of (a - a_zero) * (b - b_zero) in acc's type */
static void sum(struct op_lower *c, const struct product *p, uint32_t ia, uint32_t ib, struct lir_expr *a_zero,
		struct lir_expr *b_zero, struct lir_expr *const *o, struct lir_buffer *acc)
{
	struct lir_expr *k = lir_for(B, "k", p->k, LIR_SERIAL), *at[MAX_DIMS], *a, *b;

	operand_index(c, p, c->node->in[ia], o, k, true, at);
	a = op_load_as(c, op_in(c, ia), at, acc->dtype);
	operand_index(c, p, c->node->in[ib], o, k, false, at);
	b = op_load_as(c, op_in(c, ib), at, acc->dtype);
	a = a_zero ? lir_sub(B, a, a_zero) : a;
	b = b_zero ? lir_sub(B, b, b_zero) : b;
	op_acc_add(c, acc, lir_mul(B, a, b));
	lir_end(B);
}

static bool infer(struct op_infer *c, struct err *e)
{
	struct product p;

	return op_check_type(c, 0, TYPES_FLOAT | TYPES_WIDE_INT, e) && op_check_same_type(c, 1, e) &&
	       read_product(c->node->in[0], c->node->in[1], &p, e) && op_set_out(c, 0, c->node->in[0]->dtype, p.nd, p.dim, e);
}

static bool lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype;
	struct lir_buffer *acc;
	struct op_product tiles;
	struct product p;
	struct op_space s;

	if (!read_product(c->node->in[0], c->node->in[1], &p, e))
		return false;
	tiles = (struct op_product){.a = op_matrix_of(c, 0), .b = op_matrix_of(c, 1), .k = p.k};
	if (p.row && p.column) {
		tiles.m = p.dim[p.nd - 2];
		tiles.n = p.dim[p.nd - 1];
		if (op_product_fits(c, &tiles))
			return op_product_lower(c, &tiles);
		if (op_product_lower_group(c, &tiles))
			return true;
	}
	op_begin(c, "");
	op_in(c, 0);
	op_in(c, 1);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	acc = op_acc(c, "acc", lir_imm(B, op_acc_type(t), 0));
	sum(c, &p, 0, 1, NULL, NULL, s.index, acc);
	op_store(c, s.index, lir_cast(B, t, op_acc_get(c, acc)));
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_MATMUL = {.infer = infer, .lower = lower};

/* ---- of bytes, summed in i32 ---- */

/* A scale or zero point is one number, one per row of a (column of b), or has the operand's own dims with k replaced by 1. */
static bool check_parameter(struct op_infer *c, uint32_t i, uint32_t operand, bool left, struct err *e)
{
	const struct gir_value *v = op_arg(c->node, i), *of = c->node->in[operand];
	int64_t n, dim[MAX_DIMS];
	int along;

	if (!v)
		return true;
	if (dims_elements(v->dim, v->nd, &n) && n == 1)
		return true;
	along = of->nd < 2 ? -1 : left ? of->nd - 2 : of->nd - 1;
	if (v->nd == 1 && along >= 0 && v->dim[0] == of->dim[along])
		return true;
	memcpy(dim, of->dim, sizeof dim);
	dim[along >= 0 && !left ? of->nd - 2 : of->nd - 1] = 1;
	if (v->nd == of->nd && !memcmp(v->dim, dim, (size_t)v->nd * sizeof *dim))
		return true;
	return err_set(e, ERR_PARSE, "input %u of shape %s does not fit its matrix", i, dims_text(c->a, v->dim, v->nd));
}

static struct lir_expr *parameter(struct op_lower *c, const struct product *p, uint32_t i, struct lir_expr *const *o, bool left,
				  enum dtype t)
{
	struct lir_buffer *buf;
	struct lir_expr *at[MAX_DIMS], *along;
	int batch = p->nd - p->row - p->column, own;

	if (!op_arg(c->node, i))
		return NULL;
	buf = op_in(c, i);
	along = left ? (p->row ? o[batch] : NULL) : (p->column ? o[batch + p->row] : NULL);
	if (buf->nd < 2)
		return op_load_scalar_or(c, buf, along, t);
	own = buf->nd - 2;
	for (int d = 0; d < buf->nd; d++)
		at[d] = buf->dim[d] == 1 || (d >= own && !along) ? lir_int(B, 0) : d < own ? o[batch - own + d] : along;
	return op_load_as(c, buf, at, t);
}

static struct lir_expr *let_parameter(struct op_lower *c, const struct product *p, uint32_t i, struct lir_expr *const *o, bool left,
				      const char *name)
{
	struct lir_expr *x = parameter(c, p, i, o, left, DT_I32);

	return x ? op_let(c, name, x) : NULL;
}

struct places {
	uint32_t a, b, a_zero, b_zero;
};
static const struct places integer_places = {0, 1, 2, 3}, linear_places = {0, 3, 2, 5};

static bool check_bytes(struct op_infer *c, const struct places *q, struct product *p, struct err *e)
{
	return op_check_type(c, q->a, TYPES_BYTE, e) && op_check_type(c, q->b, TYPES_BYTE, e) &&
	       op_check_type(c, q->a_zero, TYPES_BYTE, e) && op_check_type(c, q->b_zero, TYPES_BYTE, e) &&
	       read_product(c->node->in[q->a], c->node->in[q->b], p, e) && check_parameter(c, q->a_zero, q->a, true, e) &&
	       check_parameter(c, q->b_zero, q->b, false, e);
}

static bool integer_infer(struct op_infer *c, struct err *e)
{
	struct product p;

	return check_bytes(c, &integer_places, &p, e) && op_set_out(c, 0, DT_I32, p.nd, p.dim, e);
}

static bool linear_infer(struct op_infer *c, struct err *e)
{
	struct product p;

	return check_bytes(c, &linear_places, &p, e) && op_check_type(c, 1, TYPES_FLOAT, e) &&
	       op_check_type(c, 4, TYPES_FLOAT, e) && op_check_type(c, 6, TYPES_FLOAT, e) && op_check_type(c, 7, TYPES_BYTE, e) &&
	       check_parameter(c, 1, 0, true, e) && check_parameter(c, 4, 3, false, e) && op_check_scalar_or(c, 6, 0, e) &&
	       op_check_scalar_or(c, 7, 0, e) && op_set_out(c, 0, c->node->in[7]->dtype, p.nd, p.dim, e);
}

static bool lower_bytes(struct op_lower *c, const struct places *q, bool linear, struct err *e)
{
	struct lir_expr *a_zero, *b_zero, *v, *scale;
	struct lir_buffer *acc;
	struct product p;
	struct op_space s;

	if (!read_product(c->node->in[q->a], c->node->in[q->b], &p, e))
		return false;
	op_begin(c, "");
	for (uint32_t i = 0; i < c->node->nin; i++)
		if (c->node->in[i])
			op_in(c, i);
	s = op_space_of(c, op_out(c, 0));
	op_outer_begin(c, &s);
	a_zero = let_parameter(c, &p, q->a_zero, s.index, true, "a_zero");
	b_zero = let_parameter(c, &p, q->b_zero, s.index, false, "b_zero");
	acc = op_acc(c, "acc", lir_imm(B, DT_I32, 0));
	sum(c, &p, q->a, q->b, a_zero, b_zero, s.index, acc);
	v = op_acc_get(c, acc);
	if (linear) {
		scale = lir_mul(B, parameter(c, &p, 1, s.index, true, DT_F32), parameter(c, &p, 4, s.index, false, DT_F32));
		scale = lir_div(B, scale, op_load_scalar_or(c, op_in(c, 6), NULL, DT_F32));
		v = op_quantize(c, lir_mul(B, lir_cast(B, DT_F32, v), scale), op_load_scalar_or(c, op_in(c, 7), NULL, DT_F32),
				c->node->in[7]->dtype);
	}
	op_store(c, s.index, v);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

static bool integer_lower(struct op_lower *c, struct err *e)
{
	return lower_bytes(c, &integer_places, false, e);
}

static bool linear_lower(struct op_lower *c, struct err *e)
{
	return lower_bytes(c, &linear_places, true, e);
}

const struct op_impl op_MATMULINTEGER = {.infer = integer_infer, .lower = integer_lower};
const struct op_impl op_QLINEARMATMUL = {.infer = linear_infer, .lower = linear_lower};
