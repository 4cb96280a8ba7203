/* op_softmax.c: Softmax, LogSoftmax, Hardmax
 *
 * From opset 13 on they work along one axis; before, on the tensor seen as a matrix whose rows end at the axis. Both are rows
 * of inner dims here.
 */
#include "ops/ops_math.h"

#define B (&c->b)

static bool row_dims(const struct gir_node *n, int opset, bool *inner, struct err *e)
{
	int nd = n->in[0]->nd, axis;

	if (opset < 13 && OP_INT(n, "axis", 1) == nd) { /* rows of one element */
		for (int d = 0; d < nd; d++)
			inner[d] = false;
		return true;
	}
	if (!op_axis(OP_INT(n, "axis", opset < 13 ? 1 : -1), nd, &axis, e))
		return false;
	for (int d = 0; d < nd; d++)
		inner[d] = opset < 13 ? d >= axis : d == axis;
	return true;
}

static bool infer(struct op_infer *c, struct err *e)
{
	bool inner[MAX_DIMS];

	return op_check_type(c, 0, TYPES_FLOAT, e) && row_dims(c->node, c->opset, inner, e) && op_out_like(c, 0, 0, e);
}

/* Opens the kernel and the loop over rows. */
static bool open_rows(struct op_lower *c, struct op_space *s, struct err *e)
{
	bool inner[MAX_DIMS];

	if (!row_dims(c->node, c->opset, inner, e))
		return false;
	op_begin(c, "");
	*s = op_space_of(c, op_in(c, 0));
	op_out(c, 0);
	for (int d = 0; d < s->nd; d++)
		s->inner[d] = inner[d];
	op_outer_begin(c, s);
	return true;
}

static struct lir_expr *element(struct op_lower *c, struct op_space *s)
{
	return op_load_as(c, op_in(c, 0), s->index, op_acc_type(c->node->in[0]->dtype));
}

static struct lir_expr *row_max(struct op_lower *c, struct op_space *s)
{
	struct lir_buffer *best = op_acc(c, "best", op_lowest(c, op_acc_type(c->node->in[0]->dtype)));

	op_inner_begin(c, s);
	op_acc_set(c, best, lir_max(B, op_acc_get(c, best), element(c, s)));
	op_inner_end(c, s);
	return op_let(c, "most", op_acc_get(c, best));
}

/* Sum of exp(x - most); with keep, each term is left in the output. */
static struct lir_expr *row_sum(struct op_lower *c, struct op_space *s, struct lir_expr *most, bool keep)
{
	struct lir_buffer *sum = op_acc(c, "sum", lir_imm(B, most->type.dtype, 0));
	struct lir_expr *x;

	op_inner_begin(c, s);
	x = op_let(c, "x", lir_call1(B, LIR_CALL_EXP, lir_sub(B, element(c, s), most)));
	op_acc_add(c, sum, x);
	if (keep)
		lir_store(B, op_out(c, 0), s->index, x);
	op_inner_end(c, s);
	return op_let(c, "total", op_acc_get(c, sum));
}

/* ---- a vector at a time ---- */

struct row {
	struct lir_expr *most, *scale; /* 1 / the sum of all terms */
};

static struct lir_expr *term_of_max(struct op_lower *c, struct op_space *s, void *user)
{
	(void)user;
	return element(c, s);
}

/* exp(x - most), left in the output. */
static struct lir_expr *vector_of_sum(struct op_lower *c, struct op_space *s, const struct row *r)
{
	struct lir_expr *x = op_let(c, "x", op_exp(c, lir_sub(B, element(c, s), r->most)));

	lir_store(B, op_out(c, 0), s->index, x);
	return x;
}

/* Those behind the last whole vector are there already. */
static struct lir_expr *term_of_sum(struct op_lower *c, struct op_space *s, void *user)
{
	return c->lanes ? vector_of_sum(c, s, user) : lir_load(B, op_out(c, 0), s->index);
}

static void scale(struct op_lower *c, struct op_space *s, void *user)
{
	struct row *r = user;

	op_store(c, s->index, lir_mul(B, op_load_as(c, op_out(c, 0), s->index, DT_F32), r->scale));
}

/* The row's last vector comes first where the row is not whole vectors: single calls of exp would take longer than all the rest, and what
 * overlaps comes out the same again. */
static void softmax_vectors(struct op_lower *c, struct op_space *s)
{
	int64_t n = s->dim[s->nd - 1];
	struct row r;

	r.most = op_row_fold(c, s, "most", LIR_MAX, op_lowest(c, DT_F32), term_of_max, NULL);
	if (n % c->target->lanes) {
		s->index[s->nd - 1] = lir_int(B, n - c->target->lanes);
		c->lanes = c->target->lanes;
		vector_of_sum(c, s, &r);
		c->lanes = 0;
	}
	r.scale = op_row_fold(c, s, "total", LIR_ADD, lir_imm(B, DT_F32, 0), term_of_sum, &r);
	r.scale = op_let(c, "scale", lir_div(B, lir_imm(B, DT_F32, 1), r.scale));
	op_row_each(c, s, scale, &r);
}

static bool softmax_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype;
	bool keep = op_acc_type(t) == t; /* else the output is too coarse to hold the terms */
	struct lir_expr *most, *total, *x;
	struct op_space s;

	if (!open_rows(c, &s, e))
		return false;
	if (op_row_vectors(c, &s)) {
		softmax_vectors(c, &s);
		op_outer_end(c, &s);
		op_end(c);
		return true;
	}
	most = row_max(c, &s);
	total = row_sum(c, &s, most, keep);
	op_inner_begin(c, &s);
	x = keep ? lir_load(B, op_out(c, 0), s.index) : lir_call1(B, LIR_CALL_EXP, lir_sub(B, element(c, &s), most));
	op_store(c, s.index, lir_cast(B, t, lir_div(B, x, total)));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

static bool log_softmax_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype;
	struct lir_expr *most, *total;
	struct op_space s;

	if (!open_rows(c, &s, e))
		return false;
	most = row_max(c, &s);
	total = op_let(c, "log_total", lir_call1(B, LIR_CALL_LOG, row_sum(c, &s, most, false)));
	op_inner_begin(c, &s);
	op_store(c, s.index, lir_cast(B, t, lir_sub(B, lir_sub(B, element(c, &s), most), total)));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

/* 1 at the first largest element of the row, 0 elsewhere */
static bool hardmax_lower(struct op_lower *c, struct err *e)
{
	enum dtype t = c->node->in[0]->dtype, wide = op_acc_type(t);
	struct lir_buffer *best, *place;
	struct lir_expr *x, *number;
	struct op_space s;

	if (!open_rows(c, &s, e))
		return false;
	best = op_acc(c, "best", op_lowest(c, wide));
	place = op_acc(c, "place", lir_int(B, -1));
	op_inner_begin(c, &s);
	x = op_let(c, "x", element(c, &s));
	number = op_inner_number(c, &s);
	lir_if(B, lir_or(B, lir_lt(B, op_acc_get(c, best), x), lir_lt(B, op_acc_get(c, place), lir_int(B, 0))));
	op_acc_set(c, best, x);
	op_acc_set(c, place, number);
	lir_end(B);
	op_inner_end(c, &s);
	op_inner_begin(c, &s);
	number = op_inner_number(c, &s);
	op_store(c, s.index, lir_select(B, lir_eq(B, number, op_acc_get(c, place)), lir_imm(B, t, 1), lir_imm(B, t, 0)));
	op_inner_end(c, &s);
	op_outer_end(c, &s);
	op_end(c);
	return true;
}

const struct op_impl op_SOFTMAX = {.infer = infer, .lower = softmax_lower};
const struct op_impl op_LOGSOFTMAX = {.infer = infer, .lower = log_softmax_lower};
const struct op_impl op_HARDMAX = {.infer = infer, .lower = hardmax_lower};
