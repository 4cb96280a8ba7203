/* op_unary.c: element-wise operators of one input, most of them activations; formulas are ONNX's */
#include <math.h>

#include "ops/ops_math.h"

#define B (&c->b)
#define UNARY(id, infer_fn, fn) const struct op_impl op_##id = {.infer = infer_fn, .lower = op_lower_elementwise, .scalar = fn}
#define STEPS(id, infer_fn, fn)                                                                                                    \
	const struct op_impl op_##id = {.infer = infer_fn, .lower = op_lower_elementwise, .scalar = fn, .steps = true}
#define SCALAR(fn) static struct lir_expr *fn(struct op_lower *c, const struct gir_node *n, struct lir_expr *const *in)
#define K(v) op_imm_like(B, x, (v))

static bool same(struct op_infer *c, struct err *e)
{
	return op_out_like(c, 0, 0, e);
}

static bool floats(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPES_FLOAT, e) && same(c, e);
}

static bool numbers(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPES_NUMBER, e) && same(c, e);
}

static bool integers(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPES_INT, e) && same(c, e);
}

static bool booleans(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPE_BIT(BOOL), e) && same(c, e);
}

static bool to_bool(struct op_infer *c, struct err *e)
{
	const struct gir_value *v = c->node->in[0];

	return op_check_type(c, 0, TYPES_FLOAT, e) && op_set_out(c, 0, DT_BOOL, v->nd, v->dim, e);
}

/* A math function on a float type; integers (Abs, Sign ... of them) are handled by their own operators. */
static struct lir_expr *call(struct op_lower *c, enum lir_call f, struct lir_expr *x)
{
	switch (f) {
	case LIR_CALL_EXP: return op_exp(c, x);
	case LIR_CALL_TANH: return op_tanh(c, x);
	case LIR_CALL_ERF: return op_erf(c, x);
	default: return lir_call1(B, f, x);
	}
}

#define CALL_OP(ID, fn, CALLID)                                                                                                    \
	SCALAR(fn)                                                                                                                 \
	{                                                                                                                          \
		(void)n;                                                                                                           \
		return call(c, LIR_CALL_##CALLID, in[0]);                                                                          \
	}                                                                                                                          \
	UNARY(ID, floats, fn)

CALL_OP(ACOS, acos_, ACOS);
CALL_OP(ACOSH, acosh_, ACOSH);
CALL_OP(ASIN, asin_, ASIN);
CALL_OP(ASINH, asinh_, ASINH);
CALL_OP(ATAN, atan_, ATAN);
CALL_OP(ATANH, atanh_, ATANH);
CALL_OP(CEIL, ceil_, CEIL);
CALL_OP(COS, cos_, COS);
CALL_OP(COSH, cosh_, COSH);
CALL_OP(ERF, erf_, ERF);
CALL_OP(EXP, exp_, EXP);
CALL_OP(FLOOR, floor_, FLOOR);
CALL_OP(LOG, log_, LOG);
CALL_OP(ROUND, round_, RINT);
CALL_OP(SIN, sin_, SIN);
CALL_OP(SINH, sinh_, SINH);
CALL_OP(SQRT, sqrt_, SQRT);
CALL_OP(TAN, tan_, TAN);
CALL_OP(TANH, tanh_, TANH);

SCALAR(abs_)
{
	struct lir_expr *x = in[0];

	(void)n;
	if (dtype_is_float(x->type.dtype))
		return call(c, LIR_CALL_ABS, x);
	if (!dtype_is_signed(x->type.dtype))
		return x;
	return lir_select(B, lir_lt(B, x, K(0)), lir_sub(B, K(0), x), x);
}
UNARY(ABS, numbers, abs_);

SCALAR(neg)
{
	struct lir_expr *x = in[0];

	(void)n; /* -0 must come out of 0 */
	return dtype_is_float(x->type.dtype) ? lir_mul(B, x, K(-1)) : lir_sub(B, K(0), x);
}
UNARY(NEG, numbers, neg);

SCALAR(not_)
{
	(void)n;
	return lir_not(B, in[0]);
}
UNARY(NOT, booleans, not_);

SCALAR(bitwise_not)
{
	struct lir_expr *x = in[0];

	(void)n;
	return lir_binary(B, LIR_BXOR, x, lir_imm_i64(B, x->type.dtype, -1));
}
UNARY(BITWISENOT, integers, bitwise_not);

SCALAR(reciprocal)
{
	struct lir_expr *x = in[0];

	(void)n;
	return lir_div(B, K(1), x);
}
UNARY(RECIPROCAL, floats, reciprocal);

SCALAR(relu)
{
	struct lir_expr *x = in[0];

	(void)n;
	return lir_max(B, K(0), x); /* in this order a NaN stays one; so below */
}
UNARY(RELU, numbers, relu);

SCALAR(leaky_relu)
{
	struct lir_expr *x = in[0];

	return lir_select(B, lir_lt(B, x, K(0)), lir_mul(B, x, K(OP_FLOAT(n, "alpha", 0.01f))), x);
}
STEPS(LEAKYRELU, floats, leaky_relu);

SCALAR(thresholded_relu)
{
	struct lir_expr *x = in[0];

	return lir_select(B, lir_binary(B, LIR_GT, x, K(OP_FLOAT(n, "alpha", 1))), x, K(0));
}
STEPS(THRESHOLDEDRELU, floats, thresholded_relu);

static struct lir_expr *sigmoid_of(struct op_lower *c, struct lir_expr *x)
{
	return lir_div(B, K(1), lir_add(B, K(1), call(c, LIR_CALL_EXP, lir_sub(B, K(0), x))));
}

SCALAR(sigmoid)
{
	(void)n;
	return sigmoid_of(c, in[0]);
}
STEPS(SIGMOID, floats, sigmoid);

SCALAR(hard_sigmoid)
{
	struct lir_expr *x = in[0];
	struct lir_expr *line = lir_add(B, lir_mul(B, x, K(OP_FLOAT(n, "alpha", 0.2f))), K(OP_FLOAT(n, "beta", 0.5f)));

	return lir_max(B, K(0), lir_min(B, K(1), line));
}
STEPS(HARDSIGMOID, floats, hard_sigmoid);

SCALAR(hard_swish)
{
	struct lir_expr *x = in[0];
	struct lir_expr *line = lir_add(B, lir_mul(B, x, K(1.0f / 6)), K(0.5));

	(void)n;
	return lir_mul(B, x, lir_max(B, K(0), lir_min(B, K(1), line)));
}
STEPS(HARDSWISH, floats, hard_swish);

SCALAR(elu)
{
	struct lir_expr *x = in[0];
	struct lir_expr *below = lir_mul(B, K(OP_FLOAT(n, "alpha", 1)), lir_sub(B, call(c, LIR_CALL_EXP, x), K(1)));

	return lir_select(B, lir_lt(B, x, K(0)), below, x);
}
STEPS(ELU, floats, elu);

SCALAR(celu)
{
	struct lir_expr *x = in[0];
	float alpha = OP_FLOAT(n, "alpha", 1);
	struct lir_expr *below = lir_mul(B, K(alpha), lir_sub(B, call(c, LIR_CALL_EXP, lir_div(B, x, K(alpha))), K(1)));

	return lir_add(B, lir_max(B, K(0), x), lir_min(B, K(0), below));
}
STEPS(CELU, floats, celu);

SCALAR(selu)
{
	struct lir_expr *x = in[0];
	float alpha = OP_FLOAT(n, "alpha", 1.67326319217681884765625f), gamma = OP_FLOAT(n, "gamma", 1.05070102214813232421875f);
	struct lir_expr *below = lir_mul(B, K(alpha), lir_sub(B, call(c, LIR_CALL_EXP, x), K(1)));

	return lir_mul(B, K(gamma), lir_select(B, lir_binary(B, LIR_LE, x, K(0)), below, x));
}
STEPS(SELU, floats, selu);

SCALAR(shrink)
{
	struct lir_expr *x = in[0];
	double bias = OP_FLOAT(n, "bias", 0), lambd = OP_FLOAT(n, "lambd", 0.5f);
	struct lir_expr *inner = lir_select(B, lir_binary(B, LIR_GT, x, K(lambd)), lir_sub(B, x, K(bias)), K(0));

	return lir_select(B, lir_lt(B, x, K(-lambd)), lir_add(B, x, K(bias)), inner);
}
STEPS(SHRINK, numbers, shrink);

SCALAR(sign)
{
	struct lir_expr *x = in[0];
	struct lir_expr *inner = lir_select(B, lir_binary(B, LIR_GT, x, K(0)), K(1), K(0));

	(void)n;
	return dtype_is_signed(x->type.dtype) ? lir_select(B, lir_lt(B, x, K(0)), K(-1), inner) : inner;
}
UNARY(SIGN, numbers, sign);

/* log(1 + exp(x)) without overflow: max(x,0) + log(1 + exp(-|x|)) */
static struct lir_expr *softplus_of(struct op_lower *c, struct lir_expr *x)
{
	struct lir_expr *small = call(c, LIR_CALL_EXP, lir_sub(B, K(0), call(c, LIR_CALL_ABS, x)));

	return lir_add(B, lir_max(B, x, K(0)), call(c, LIR_CALL_LOG, lir_add(B, K(1), small)));
}

SCALAR(softplus)
{
	(void)n;
	return softplus_of(c, in[0]);
}
STEPS(SOFTPLUS, floats, softplus);

SCALAR(mish)
{
	(void)n;
	return lir_mul(B, in[0], call(c, LIR_CALL_TANH, softplus_of(c, in[0])));
}
STEPS(MISH, floats, mish);

SCALAR(softsign)
{
	struct lir_expr *x = in[0];

	(void)n;
	return lir_div(B, x, lir_add(B, K(1), call(c, LIR_CALL_ABS, x)));
}
STEPS(SOFTSIGN, floats, softsign);

SCALAR(gelu)
{
	struct lir_expr *x = in[0], *inner;

	if (!__builtin_strcmp(gir_attr_string(n, "approximate", "none"), "tanh")) {
		inner = lir_add(B, x, lir_mul(B, K(0.044715), lir_mul(B, x, lir_mul(B, x, x))));
		inner = call(c, LIR_CALL_TANH, lir_mul(B, K(sqrt(2 / M_PI)), inner));
	} else {
		inner = call(c, LIR_CALL_ERF, lir_mul(B, x, K(M_SQRT1_2)));
	}
	return lir_mul(B, lir_mul(B, K(0.5), x), lir_add(B, K(1), inner));
}
STEPS(GELU, floats, gelu);

SCALAR(isnan_)
{
	(void)n;
	return call(c, LIR_CALL_ISNAN, in[0]);
}
UNARY(ISNAN, to_bool, isnan_);

SCALAR(isinf_)
{
	struct lir_expr *x = in[0], *inf = call(c, LIR_CALL_ISINF, x);
	bool negative = OP_INT(n, "detect_negative", 1), positive = OP_INT(n, "detect_positive", 1);

	if (negative && positive)
		return inf;
	if (!negative && !positive)
		return lir_and(B, inf, lir_not(B, inf));
	return lir_and(B, inf, negative ? lir_lt(B, x, K(0)) : lir_binary(B, LIR_GT, x, K(0)));
}
UNARY(ISINF, to_bool, isinf_);

SCALAR(identity)
{
	(void)c, (void)n;
	return in[0];
}
UNARY(IDENTITY, same, identity);
