/* lir_fold.c: what the builder and the simplify pass know about integer constants
 *
 * Every rule is exact in wrapping arithmetic. Comparisons fold only when both sides are constants, because a comparison is
 * a mutation site; floating point is never touched.
 */
#include <math.h>

#include "base/arena.h"
#include "loop/loop_internal.h"

static bool fold_compare(enum lir_op op, enum dtype t, int64_t x, int64_t y, int64_t *out)
{
	bool less = t == DT_U64 ? (uint64_t)x < (uint64_t)y : x < y;
	bool equal = x == y;

	switch (op) {
	case LIR_LT: *out = less; return true;
	case LIR_LE: *out = less || equal; return true;
	case LIR_GT: *out = !less && !equal; return true;
	case LIR_GE: *out = !less; return true;
	case LIR_EQ: *out = equal; return true;
	case LIR_NE: *out = !equal; return true;
	case LIR_MIN: *out = less ? x : y; return true;
	case LIR_MAX: *out = less || equal ? y : x; return true;
	default: return false;
	}
}

static bool fold_divide(enum lir_op op, enum dtype t, int64_t x, int64_t y, int64_t *out)
{
	if (!y)
		return false;
	if (t == DT_U64) {
		*out = (int64_t)(op == LIR_DIV ? (uint64_t)x / (uint64_t)y : (uint64_t)x % (uint64_t)y);
		return true;
	}
	if (y == -1 && lir_wrap(t, (int64_t)(0 - (uint64_t)x)) == x && x) /* the smallest value / -1 */
		return false;
	*out = op == LIR_DIV ? x / y : x % y;
	return true;
}

static bool fold_shift(enum lir_op op, enum dtype t, int64_t x, int64_t y, int64_t *out)
{
	if ((uint64_t)y >= 8 * dtype_size(t))
		return false;
	if (op == LIR_SHL)
		*out = (int64_t)((uint64_t)x << y);
	else
		*out = t == DT_U64 ? (int64_t)((uint64_t)x >> y) : x >> y;
	return true;
}

bool lir_fold_float(enum lir_op op, enum dtype t, double x, double y, double *out)
{
	if (t != DT_F32 && t != DT_F64)
		return false;
	switch (op) {
	case LIR_ADD: *out = lir_round(t, x + y); return true;
	case LIR_SUB: *out = lir_round(t, x - y); return true;
	case LIR_MUL: *out = lir_round(t, x * y); return true;
	case LIR_DIV: *out = lir_round(t, x / y); return true;
	case LIR_MIN: *out = x < y ? x : y; return true;
	case LIR_MAX: *out = x > y ? x : y; return true;
	default: return false;
	}
}

bool lir_fold_int(enum lir_op op, enum dtype t, int64_t x, int64_t y, int64_t *out)
{
	int64_t r;
	bool known = true;

	if (dtype_is_float(t))
		return false;
	switch (op) {
	case LIR_ADD: r = (int64_t)((uint64_t)x + (uint64_t)y); break;
	case LIR_SUB: r = (int64_t)((uint64_t)x - (uint64_t)y); break;
	case LIR_MUL: r = (int64_t)((uint64_t)x * (uint64_t)y); break;
	case LIR_BAND: r = x & y; break;
	case LIR_BOR: r = x | y; break;
	case LIR_BXOR: r = x ^ y; break;
	case LIR_AND: r = x && y; break;
	case LIR_OR: r = x || y; break;
	case LIR_DIV:
	case LIR_MOD: known = fold_divide(op, t, x, y, &r); break;
	case LIR_SHL:
	case LIR_SHR: known = fold_shift(op, t, x, y, &r); break;
	default: known = fold_compare(op, t, x, y, &r); break;
	}
	if (known)
		*out = lir_op_is_compare(op) ? r : lir_wrap(t, r);
	return known;
}

/* x + c, folding into a constant that x already ends with; written as a subtraction when c is negative. */
static struct lir_expr *add_constant(struct arena *a, struct lir_expr *x, int64_t c)
{
	enum dtype t = x->type.dtype;

	while (x->kind == LIR_BINARY && (x->op == LIR_ADD || x->op == LIR_SUB) && x->arg[1]->kind == LIR_INT) {
		uint64_t inner = (uint64_t)x->arg[1]->i;

		c = lir_wrap(t, (int64_t)((uint64_t)c + (x->op == LIR_ADD ? inner : 0 - inner)));
		x = x->arg[0];
	}
	if (!c)
		return x;
	if (dtype_is_signed(t) && c < 0 && lir_wrap(t, (int64_t)(0 - (uint64_t)c)) > 0)
		return lir_node_binary(a, LIR_SUB, x, lir_node_int(a, t, -c));
	return lir_node_binary(a, LIR_ADD, x, lir_node_int(a, t, c));
}

static struct lir_expr *fold_right_constant(struct arena *a, enum lir_op op, struct lir_expr *x, struct lir_expr *y)
{
	enum dtype t = x->type.dtype;
	int64_t c = y->i;

	switch (op) {
	case LIR_ADD: return add_constant(a, x, c);
	case LIR_SUB:
		if (!dtype_is_signed(t)) /* x - 1 is not better as x + 255 */
			return c ? NULL : x;
		return add_constant(a, x, lir_wrap(t, (int64_t)(0 - (uint64_t)c)));
	case LIR_MUL:
		if (c == 1)
			return x;
		if (!c)
			return y;
		if (x->kind == LIR_BINARY && x->op == LIR_MUL && x->arg[1]->kind == LIR_INT)
			return lir_node_binary(a, op, x->arg[0],
					       lir_node_int(a, t, (int64_t)((uint64_t)x->arg[1]->i * (uint64_t)c)));
		return NULL;
	case LIR_DIV: return c == 1 ? x : NULL;
	case LIR_MOD: return c == 1 ? lir_node_int(a, t, 0) : NULL;
	case LIR_SHL:
	case LIR_SHR: return c ? NULL : x;
	default: return NULL;
	}
}

static struct lir_expr *fold_logic(enum lir_op op, struct lir_expr *x, struct lir_expr *y)
{
	bool absorbing = op == LIR_OR; /* the constant that decides the result alone */

	if (x->kind == LIR_INT)
		return x->i == absorbing ? x : y;
	if (y->kind == LIR_INT)
		return y->i == absorbing ? y : x;
	return NULL;
}

struct lir_expr *lir_fold_binary(struct arena *a, enum lir_op op, struct lir_expr *x, struct lir_expr *y)
{
	enum dtype t = x->type.dtype;
	int64_t r;

	if (x->type.lanes > 1 || dtype_is_float(t))
		return NULL;
	if (op == LIR_AND || op == LIR_OR)
		return fold_logic(op, x, y);
	if (x->kind == LIR_INT && y->kind == LIR_INT && lir_fold_int(op, t, x->i, y->i, &r))
		return lir_node_int(a, lir_op_is_compare(op) ? DT_BOOL : t, r);
	if (y->kind == LIR_INT)
		return fold_right_constant(a, op, x, y);
	if (x->kind != LIR_INT || (op != LIR_ADD && op != LIR_MUL))
		return NULL;
	/* constants stand on the right */
	struct lir_expr *e = fold_right_constant(a, op, y, x);

	return e ? e : lir_node_binary(a, op, y, x);
}

struct lir_expr *lir_fold_cast(struct arena *a, enum dtype t, struct lir_expr *x)
{
	if (x->kind != LIR_INT)
		return NULL;
	if (dtype_is_float(t))
		return lir_node_float(a, t, lir_round_i64(t, x->i, x->type.dtype == DT_U64));
	return lir_node_int(a, t, x->i);
}
