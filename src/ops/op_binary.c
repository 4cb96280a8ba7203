/* op_binary.c: element-wise operators of several inputs with NumPy broadcasting */
#include "ops/ops_calc.h"

#define B (&c->b)
#define BINARY(id, infer_fn, fn) const struct op_impl op_##id = {.infer = infer_fn, .lower = op_lower_elementwise, .scalar = fn}
#define STEPS(id, infer_fn, fn)                                                                                                    \
	const struct op_impl op_##id = {.infer = infer_fn, .lower = op_lower_elementwise, .scalar = fn, .steps = true}
#define SCALAR(fn) static struct lir_expr *fn(struct op_lower *c, const struct gir_node *n, struct lir_expr *const *in)

static bool check_same_type(struct op_infer *c, struct err *e)
{
	for (uint32_t i = 1; i < c->node->nin; i++) {
		if (!c->node->in[i])
			return err_set(e, ERR_PARSE, "input %u is left out, but none is optional", i);
		if (c->node->in[i]->dtype != c->node->in[0]->dtype)
			return err_set(e, ERR_PARSE, "inputs have different types: %s and %s", dtype_name(c->node->in[0]->dtype),
				       dtype_name(c->node->in[i]->dtype));
	}
	return true;
}

/* Until opset 6 the second input was aligned by `broadcast` and `axis` (PRelu: always at the channels), not at the end: give a
 * constant the 1s that make both rules agree. */
static bool align_legacy(struct op_infer *c, struct err *e)
{
	struct gir_value *x = c->node->in[0], *y = op_arg(c->node, 1), *aligned;
	const struct gir_attr *axis = gir_attr(c->node, "axis");
	int at = axis ? (int)axis->i : c->node->op == GIR_PRELU ? 1 : -1;
	struct tensor *t;

	if (c->opset >= 7 || !y || at < 0 || at + y->nd >= x->nd || (c->node->op == GIR_PRELU && (y->nd != 1 || y->dim[0] == 1)))
		return true;
	if (!y->data)
		return err_set(e, ERR_UNSUPPORTED, "a computed second input that is broadcast at axis %d (opset %d)", at, c->opset);
	t = arena_memdup(c->a, y->data, sizeof *t);
	while (at + t->nd < x->nd)
		t->dim[t->nd++] = 1;
	aligned = gir_const(c->graph, y->name, t);
	c->node->in[1] = aligned;
	return true;
}

static bool arithmetic(struct op_infer *c, struct err *e)
{
	return align_legacy(c, e) && op_check_type(c, 0, TYPES_NUMBER, e) && check_same_type(c, e) && op_infer_broadcast_all(c, c->node->in[0]->dtype, e);
}

static bool bitwise(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPES_INT, e) && arithmetic(c, e);
}

static bool equality(struct op_infer *c, struct err *e)
{
	return check_same_type(c, e) && op_infer_broadcast_all(c, DT_BOOL, e);
}

static bool order(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPES_NUMBER, e) && equality(c, e);
}

static bool logical(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPE_BIT(BOOL), e) && equality(c, e);
}

#define PLAIN_OP(ID, fn, infer_fn, OPID)                                                                                           \
	SCALAR(fn)                                                                                                                 \
	{                                                                                                                          \
		(void)n;                                                                                                           \
		return lir_binary(B, LIR_##OPID, in[0], in[1]);                                                                    \
	}                                                                                                                          \
	BINARY(ID, infer_fn, fn)

PLAIN_OP(ADD, add, arithmetic, ADD);
PLAIN_OP(SUB, sub, arithmetic, SUB);
PLAIN_OP(MUL, mul, arithmetic, MUL);
PLAIN_OP(DIV, div_, arithmetic, DIV);
PLAIN_OP(AND, and_, logical, AND);
PLAIN_OP(OR, or_, logical, OR);
PLAIN_OP(XOR, xor_, logical, NE);
PLAIN_OP(EQUAL, equal, equality, EQ);
PLAIN_OP(GREATER, greater, order, GT);
PLAIN_OP(GREATEROREQUAL, greater_or_equal, order, GE);
PLAIN_OP(LESS, less, order, LT);
PLAIN_OP(LESSOREQUAL, less_or_equal, order, LE);
PLAIN_OP(BITWISEAND, bitwise_and, bitwise, BAND);
PLAIN_OP(BITWISEOR, bitwise_or, bitwise, BOR);
PLAIN_OP(BITWISEXOR, bitwise_xor, bitwise, BXOR);

SCALAR(bit_shift)
{
	bool left = !__builtin_strcmp(gir_attr_string(n, "direction", ""), "LEFT");

	return lir_binary(B, left ? LIR_SHL : LIR_SHR, in[0], in[1]);
}
BINARY(BITSHIFT, bitwise, bit_shift);

/* fmod = 0 takes the sign of the divisor, as Python's % does */
SCALAR(mod)
{
	struct lir_expr *zero = op_imm_like(B, in[0], 0), *r;

	if (dtype_is_float(in[0]->type.dtype)) {
		if (OP_INT(n, "fmod", 0))
			return lir_call2(B, LIR_CALL_FMOD, in[0], in[1]);
		r = op_let(c, "r", lir_call2(B, LIR_CALL_FMOD, in[0], in[1]));
	} else {
		r = op_let(c, "r", lir_mod(B, in[0], in[1]));
	}
	if (OP_INT(n, "fmod", 0) || !dtype_is_signed(in[0]->type.dtype))
		return r;
	return lir_select(
	    B, lir_and(B, lir_binary(B, LIR_NE, r, zero), lir_binary(B, LIR_NE, lir_lt(B, r, zero), lir_lt(B, in[1], zero))),
	    lir_add(B, r, in[1]), r);
}
STEPS(MOD, arithmetic, mod);

static bool pow_infer(struct op_infer *c, struct err *e)
{
	return op_check_type(c, 0, TYPES_NUMBER, e) && op_check_type(c, 1, TYPES_NUMBER, e) &&
	       op_infer_broadcast_all(c, c->node->in[0]->dtype, e);
}

/* The base's type is the result's; integers are raised in double, exact where the result fits 53 bits. A constant 2 is a product. */
SCALAR(pow_)
{
	const struct tensor *known = op_known(op_arg(n, 1));
	enum dtype t = in[0]->type.dtype, wide = t == DT_F64 || !dtype_is_float(t) || in[1]->type.dtype == DT_F64 ? DT_F64 : DT_F32;

	if (dtype_is_float(t) && known && tensor_elements(known) == 1 && tensor_get_f64(known, 0) == 2) {
		struct lir_expr *x = op_let(c, "x", in[0]);

		return lir_mul(B, x, x);
	}
	return lir_cast(B, t, lir_call2(B, LIR_CALL_POW, lir_cast(B, wide, in[0]), lir_cast(B, wide, in[1])));
}
BINARY(POW, pow_infer, pow_);

SCALAR(prelu)
{
	return (void)n, lir_select(B, lir_lt(B, in[0], op_imm_like(B, in[0], 0)), lir_mul(B, in[0], in[1]), in[0]);
}
BINARY(PRELU, arithmetic, prelu);

static struct lir_expr *chain(struct op_lower *c, const struct gir_node *n, struct lir_expr *const *in, enum lir_op op)
{
	struct lir_expr *x = in[0];

	for (uint32_t i = 1; i < n->nin; i++)
		x = lir_binary(B, op, x, in[i]);
	return x;
}

/* max and min of ONNX propagate NaN from either side, the loop IR's take the second operand: ask for NaN in the first. */
static struct lir_expr *extreme(struct op_lower *c, const struct gir_node *n, struct lir_expr *const *in, enum lir_op op)
{
	struct lir_expr *x = in[0];

	for (uint32_t i = 1; i < n->nin; i++) {
		if (!dtype_is_float(x->type.dtype)) {
			x = lir_binary(B, op, x, in[i]);
			continue;
		}
		x = op_let(c, "m", x);
		x = lir_select(B, lir_binary(B, LIR_NE, x, x), x, lir_binary(B, op, x, in[i]));
	}
	return x;
}

SCALAR(max_)
{
	return extreme(c, n, in, LIR_MAX);
}
BINARY(MAX, arithmetic, max_);

SCALAR(min_)
{
	return extreme(c, n, in, LIR_MIN);
}
BINARY(MIN, arithmetic, min_);

SCALAR(sum)
{
	return chain(c, n, in, LIR_ADD);
}
STEPS(SUM, arithmetic, sum);

SCALAR(mean)
{
	return lir_div(B, chain(c, n, in, LIR_ADD), op_imm_like(B, in[0], n->nin));
}
STEPS(MEAN, arithmetic, mean);

static bool where_infer(struct op_infer *c, struct err *e)
{
	if (c->node->in[0]->dtype != DT_BOOL || c->node->in[1]->dtype != c->node->in[2]->dtype)
		return err_set(e, ERR_PARSE, "the condition must be bool and both choices of one type");
	return op_infer_broadcast_all(c, c->node->in[1]->dtype, e);
}

SCALAR(where)
{
	return (void)n, lir_select(B, in[0], in[1], in[2]);
}
BINARY(WHERE, where_infer, where);

/* opset 11 and later take the bounds as inputs, earlier ones as attributes */
static bool clip_infer(struct op_infer *c, struct err *e)
{
	if (!op_check_type(c, 0, TYPES_NUMBER, e) || !op_check_scalar_or(c, 1, 0, e) || !op_check_scalar_or(c, 2, 0, e))
		return false;
	for (uint32_t i = 1; i < c->node->nin; i++)
		if (c->node->in[i] && c->node->in[i]->dtype != c->node->in[0]->dtype)
			return err_set(e, ERR_PARSE, "bound %u has another type than the input", i);
	return op_out_like(c, 0, 0, e);
}

/* Bound 1 (min) or 2 (max): a constant becomes an immediate, so that it is a site in the code as in a compiled kernel. */
static struct lir_expr *clip_bound(struct op_lower *c, const struct gir_node *n, struct lir_expr *const *in, uint32_t i)
{
	const struct gir_attr *attr = gir_attr(n, i == 1 ? "min" : "max");
	struct gir_value *v = op_arg(n, i);

	if (v && v->data && tensor_elements(v->data) == 1)
		return dtype_is_float(v->dtype) ? op_imm_like(B, in[0], tensor_get_f64(v->data, 0))
						: lir_imm_i64(B, v->dtype, tensor_get_i64(v->data, 0));
	if (v)
		return in[i];
	return attr && attr->kind == GIR_ATTR_FLOAT ? op_imm_like(B, in[0], attr->f) : NULL;
}

SCALAR(clip)
{
	struct lir_expr *x = in[0], *lo = clip_bound(c, n, in, 1), *hi = clip_bound(c, n, in, 2);

	if (lo) /* a NaN stays one: the second operand wins when they do not compare */
		x = lir_max(B, lo, x);
	return hi ? lir_min(B, hi, x) : x;
}
BINARY(CLIP, clip_infer, clip);
