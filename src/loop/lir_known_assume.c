/* lir_known_assume.c: what a condition says when it holds, or does not */
#include "loop/lir_known_internal.h"

#include <math.h>

#define EXACT ((int64_t)1 << 21) /* halves below this are exact in f32, and so are their sums */

/* Twice the value of a float that is an integer and so many halves. */
static bool halves(struct known *k, const struct lir_expr *x, struct form *out)
{
	struct form y;
	struct lir_range r;

	*out = form_constant(0);
	if (x->type.lanes > 1 || (x->type.dtype != DT_F32 && x->type.dtype != DT_F64))
		return false;
	switch (x->kind) {
	case LIR_FLOAT:
		if (!(x->f >= -(double)EXACT && x->f <= (double)EXACT) || (double)(int64_t)(2 * x->f) != 2 * x->f)
			return false;
		*out = form_constant((int64_t)(2 * x->f));
		return true;
	case LIR_CAST:
		if (!known_is_integer(x->arg[0]->type))
			return false;
		y = known_form(k, x->arg[0]);
		if (!form_add(out, &y, 2))
			return false;
		break;
	case LIR_BINARY:
		if ((x->op != LIR_ADD && x->op != LIR_SUB) || !halves(k, x->arg[0], out) || !halves(k, x->arg[1], &y) ||
		    !form_add(out, &y, x->op == LIR_ADD ? 1 : -1))
			return false;
		break;
	default: return false;
	}
	r = known_range(k, out);
	return r.low >= -EXACT && r.high <= EXACT;
}

static bool float_constant(const struct lir_expr *x, double *out)
{
	double a, b;

	*out = x->f;
	if (x->kind == LIR_FLOAT)
		return true;
	return x->kind == LIR_BINARY && float_constant(x->arg[0], &a) && float_constant(x->arg[1], &b) &&
	       lir_fold_float(x->op, x->type.dtype, a, b, out);
}

static enum lir_op mirrored(enum lir_op op)
{
	switch (op) {
	case LIR_LT: return LIR_GT;
	case LIR_LE: return LIR_GE;
	case LIR_GT: return LIR_LT;
	case LIR_GE: return LIR_LE;
	default: return op;
	}
}

/* An integer and halves against any number: both sides doubled, the number rounded down to a whole one. */
static bool against_constant(struct known *k, enum lir_op *op, const struct lir_expr *x, const struct lir_expr *y, struct form *a,
			     struct form *b)
{
	double c, whole;

	if (!float_constant(y, &c) || !(fabs(c) < (double)EXACT) || !halves(k, x, a))
		return false;
	whole = floor(2 * c);
	*b = form_constant((int64_t)whole);
	if (whole == 2 * c)
		return true;
	k->dead = k->dead || *op == LIR_EQ;
	*op = *op == LIR_LT ? LIR_LE : *op == LIR_GE ? LIR_GT : *op;
	return *op != LIR_EQ && *op != LIR_NE;
}

static void compare(struct known *k, enum lir_op op, const struct lir_expr *x, const struct lir_expr *y)
{
	struct form a, b, diff = form_constant(0);
	struct lir_range d;

	if (dtype_is_float(x->type.dtype)) {
		enum lir_op back = mirrored(op);

		if (against_constant(k, &op, x, y, &a, &b)) {
			;
		} else if (against_constant(k, &back, y, x, &b, &a)) {
			op = mirrored(back);
		} else if (!halves(k, x, &a) || !halves(k, y, &b)) {
			return;
		}
	} else if (known_is_integer(x->type) && x->type.dtype != DT_U64) {
		a = known_form(k, x);
		b = known_form(k, y);
	} else {
		return;
	}
	switch (op) {
	case LIR_LT: known_learn_sum(k, -1, &a, 1, &b, -1); return;
	case LIR_LE: known_learn_sum(k, -1, &a, 1, &b, 0); return;
	case LIR_GT: known_learn_sum(k, 1, &a, -1, &b, -1); return;
	case LIR_GE: known_learn_sum(k, 1, &a, -1, &b, 0); return;
	case LIR_EQ:
		known_learn_sum(k, 1, &a, -1, &b, 0);
		known_learn_sum(k, -1, &a, 1, &b, 0);
		return;
	default: break;
	}
	if (!form_add(&diff, &a, 1) || !form_add(&diff, &b, -1)) /* not equal: an end of the interval goes */
		return;
	d = known_range(k, &diff);
	if (d.low == 0 && d.high == 0)
		k->dead = true;
	else if (d.low == 0)
		known_learn_sum(k, 1, &a, -1, &b, -1);
	else if (d.high == 0)
		known_learn_sum(k, -1, &a, 1, &b, -1);
}

static enum lir_op opposite(enum lir_op op)
{
	switch (op) {
	case LIR_LT: return LIR_GE;
	case LIR_LE: return LIR_GT;
	case LIR_GT: return LIR_LE;
	case LIR_GE: return LIR_LT;
	case LIR_EQ: return LIR_NE;
	default: return LIR_EQ;
	}
}

/* One of the two operands is not known to be otherwise: then it must hold. */
static void assume_one(struct known *k, const struct lir_expr *x, bool holds)
{
	for (int i = 0; i < 2; i++) {
		struct known_mark m = known_mark(k);
		bool impossible;

		known_assume(k, x->arg[i], holds);
		impossible = k->dead;
		known_back(k, m);
		if (impossible) {
			known_assume(k, x->arg[!i], holds);
			return;
		}
	}
}

void known_assume(struct known *k, const struct lir_expr *x, bool holds)
{
	if (k->dead || x->type.lanes > 1 || !known_spend(k))
		return;
	switch (x->kind) {
	case LIR_INT: k->dead = k->dead || (x->i != 0) != holds; return;
	case LIR_NOT: known_assume(k, x->arg[0], !holds); return;
	case LIR_VAR:
		if (k->var[x->var->id].value)
			known_assume(k, k->var[x->var->id].value, holds);
		return;
	case LIR_BINARY: break;
	default: return;
	}
	if (lir_op_is_compare(x->op) && x->arg[0]->type.dtype != DT_BOOL) {
		compare(k, holds ? x->op : opposite(x->op), x->arg[0], x->arg[1]);
	} else if ((x->op == LIR_AND && holds) || (x->op == LIR_OR && !holds)) {
		known_assume(k, x->arg[0], holds);
		known_assume(k, x->arg[1], holds);
	} else if (x->op == LIR_AND || x->op == LIR_OR) {
		assume_one(k, x, holds);
	}
}
