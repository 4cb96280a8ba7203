/* codegen_c_expr.c: expressions in C-like languages; vectors of C with the compilers' vector extensions
 *
 * A vector of bool is lanes of 0 or -1 of some element size: whoever uses one says which size it wants, and a comparison
 * has its operands' size, so that a select right behind a comparison converts nothing.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "codegen/codegen_c_internal.h"

static bool is_half(enum dtype t)
{
	return t == DT_F16 || t == DT_BF16;
}

static void text(struct cg *g, const char *s)
{
	str_add(&g->body, s);
}

static void open_paren(struct cg *g, int have, int want)
{
	if (have < want)
		str_addc(&g->body, '(');
}

static void close_paren(struct cg *g, int have, int want)
{
	if (have < want)
		str_addc(&g->body, ')');
}

/* ---- immediates ------------------------------------------------------------------------------------------------ */

static void float_imm(struct cg *g, enum dtype t, double v)
{
	const char *suffix = t == DT_F32 ? "f" : g->d->family == CG_GLSL ? "lf" : "";
	char s[40];

	if (is_half(t)) {
		str_addf(&g->body, g->d->family == CG_GLSL ? "u16(0x%04x)" : "0x%04x",
			 t == DT_F16 ? f16_from_f64(v) : bf16_from_f32((float)v));
		c_scalar(g, DT_U16);
		return;
	}
	if (isnan(v) || isinf(v)) {
		text(g, c_special(g, t, isnan(v), signbit(v)));
		return;
	}
	for (int digits = t == DT_F32 ? 6 : 15; digits <= 17; digits++) {
		snprintf(s, sizeof s, "%.*g", digits, v);
		if (t == DT_F32 ? strtof(s, NULL) == (float)v : strtod(s, NULL) == v)
			break;
	}
	str_addf(&g->body, signbit(v) ? "(%s%s%s)" : "%s%s%s", s, strpbrk(s, ".e") ? "" : ".0", suffix);
}

static void int_imm(struct cg *g, enum dtype t, int64_t v, int prec)
{
	switch (t) {
	case DT_BOOL: text(g, g->d->family == CG_GLSL ? (v ? "true" : "false") : v ? "1" : "0"); break;
	case DT_U32: str_addf(&g->body, "%uu", (uint32_t)v); break;
	case DT_U64: str_addf(&g->body, "%lluU%s", (unsigned long long)v, g->d->long_suffix); break;
	case DT_I64:
		if (v == INT64_MIN)
			cg_int(g, v, prec);
		else
			str_addf(&g->body, v < 0 ? "(%lld%s)" : "%lld%s", (long long)v, g->narrow ? "" : g->d->long_suffix);
		break;
	case DT_I32:
		if (v == INT32_MIN)
			text(g, "(-2147483647 - 1)");
		else
			cg_int(g, v, P_PRIMARY);
		break;
	default:
		if (g->d->family == CG_GLSL) { /* no conversion to a smaller type by itself */
			str_addf(&g->body, "%s(%lld)", c_scalar(g, t), (long long)v);
			break;
		}
		cg_int(g, v, P_PRIMARY);
		break;
	}
}

/* ---- scalars --------------------------------------------------------------------------------------------------- */

/* An operand beside one that is not constant: its type follows. */
static void operand(struct cg *g, const struct lir_expr *x, int prec, bool beside)
{
	int64_t v;

	if (beside && x->type.dtype == DT_I64 && cg_const(g, x, &v))
		cg_int(g, v, prec);
	else
		c_expr(g, x, prec);
}

/* Drivers of GLSL take x * 0 and 0 / x for 0 and x + 0 for x, whatever x is, where they see the 0. */
static bool hidden_zero(struct cg *g, const struct lir_expr *x, enum lir_op op)
{
	bool arithmetic = op == LIR_ADD || op == LIR_SUB || op == LIR_MUL || op == LIR_DIV;

	if (g->d->family != CG_GLSL || !arithmetic || x->kind != LIR_FLOAT || x->f != 0 || signbit(x->f))
		return false;
	text(g, c_glsl_zero(g, x->type.dtype));
	return true;
}

/* A sum, or a product with a constant: cg_index writes those. */
static bool is_linear(const struct cg *g, const struct lir_expr *x)
{
	int64_t v;

	if (x->type.dtype != DT_I64 || x->kind != LIR_BINARY)
		return false;
	return x->op == LIR_ADD || x->op == LIR_SUB ||
	       (x->op == LIR_MUL && (cg_const(g, x->arg[0], &v) || cg_const(g, x->arg[1], &v)));
}

static bool safe_divisor(const struct cg *g, const struct lir_expr *x)
{
	int64_t v;

	if (x->kind == LIR_INT)
		return x->i != 0 && x->i != -1;
	return cg_const(g, x, &v) && v != 0 && v != -1;
}

static void scalar_binary(struct cg *g, const struct lir_expr *x, int prec)
{
	enum dtype t = x->arg[0]->type.dtype;
	bool divides = (x->op == LIR_DIV || x->op == LIR_MOD) && dtype_is_int(t),
	     glsl_mod = x->op == LIR_MOD && g->d->family == CG_GLSL;
	struct c_shape s = divides && !glsl_mod && safe_divisor(g, x->arg[1]) ? c_infix(g, x->op) : c_binary_shape(g, x->op, t);
	bool follows = x->op != LIR_SHL && x->op != LIR_SHR && s.prec != P_PRIMARY;

	open_paren(g, s.prec, prec);
	text(g, s.pre);
	if (!hidden_zero(g, x->arg[0], x->op))
		operand(g, x->arg[0], s.left, follows);
	text(g, s.mid);
	if (!hidden_zero(g, x->arg[1], x->op))
		operand(g, x->arg[1], s.right, follows);
	text(g, s.post);
	close_paren(g, s.prec, prec);
}

static void shaped(struct cg *g, struct c_shape s, const struct lir_expr *x, int prec)
{
	open_paren(g, s.prec, prec);
	text(g, s.pre);
	for (uint32_t i = 0; i < x->nargs; i++) {
		if (i)
			text(g, s.mid);
		c_expr(g, x->arg[i], s.left);
	}
	text(g, s.post);
	close_paren(g, s.prec, prec);
}

/* name(arg, arg ..) */
static void apply(struct cg *g, const char *name, const struct lir_expr *x)
{
	shaped(g, (struct c_shape){arena_printf(g->a, "%s(", name), ", ", ")", P_PRIMARY, P_ANY, P_ANY}, x, P_ANY);
}

static bool has_load(const struct lir_expr *x)
{
	if (x->kind == LIR_LOAD)
		return true;
	for (uint32_t i = 0; i < x->nargs; i++)
		if (has_load(x->arg[i]))
			return true;
	return false;
}

/* An element of an image, which may be read wherever it lies. */
static bool is_texel(const struct cg *g, const struct lir_expr *x)
{
	if (x->kind != LIR_LOAD || x->buffer->scope != LIR_GLOBAL || !c_glsl_is_texels(g, x->buffer))
		return false;
	for (uint32_t i = 0; i < x->nargs; i++)
		if (has_load(x->arg[i]))
			return false;
	return true;
}

static void ternary(struct cg *g, const struct lir_expr *x, int prec)
{
	int64_t v;

	if (cg_const(g, x->arg[0], &v)) {
		c_expr(g, x->arg[v ? 1 : 2], prec);
		return;
	}
	if (is_texel(g, x->arg[1]) && (x->arg[2]->kind == LIR_FLOAT || is_texel(g, x->arg[2]))) { /* without a branch */
		text(g, "mix(");
		c_expr(g, x->arg[2], P_TERNARY);
		text(g, ", ");
		c_expr(g, x->arg[1], P_TERNARY);
		text(g, ", ");
		c_expr(g, x->arg[0], P_TERNARY);
		text(g, ")");
		return;
	}
	open_paren(g, P_TERNARY, prec);
	c_expr(g, x->arg[0], P_OR);
	text(g, " ? ");
	c_expr(g, x->arg[1], P_OR);
	text(g, " : ");
	c_expr(g, x->arg[2], P_TERNARY);
	close_paren(g, P_TERNARY, prec);
}

/* ---- vectors --------------------------------------------------------------------------------------------------- */

static void vector_binary(struct cg *g, const struct lir_expr *x, int prec)
{
	enum dtype t = x->type.dtype;
	bool bitwise = x->op == LIR_BAND || x->op == LIR_BOR || x->op == LIR_BXOR;
	bool plain = x->op == LIR_ADD || x->op == LIR_SUB || x->op == LIR_MUL || bitwise || (x->op == LIR_DIV && dtype_is_float(t));
	struct c_shape s;

	if (!plain || is_half(t)) {
		apply(g, c_vector_binary(g, x->op, t, x->type.lanes), x);
		return;
	}
	s = c_infix(g, x->op);
	open_paren(g, s.prec, prec);
	c_expr(g, x->arg[0], s.left);
	text(g, s.mid);
	c_expr(g, x->arg[1], s.right);
	close_paren(g, s.prec, prec);
}

static void convert(struct cg *g, const struct lir_expr *x, enum dtype from, enum dtype to, enum dtype via)
{
	text(g, c_convert(g, to, x->type.lanes));
	if (via != to && via != from)
		convert(g, x, from, via, via);
	else if (is_half(from))
		apply(g, c_half_vector(g, from, x->type.lanes, true), x);
	else
		c_expr(g, x->arg[0], P_TERNARY);
	text(g, c_convert_end(g, to, x->type.lanes));
}

static void vector_cast(struct cg *g, const struct lir_expr *x, int prec)
{
	enum dtype from = x->arg[0]->type.dtype, to = x->type.dtype, via = to;
	int lanes = x->type.lanes;

	if (from == DT_BOOL && !dtype_is_float(to)) {
		c_mask_and(g, x->arg[0], to, 1);
	} else if (from == DT_BOOL && is_half(to)) {
		c_mask_and(g, x->arg[0], to, to == DT_F16 ? 0x3c00 : 0x3f80);
	} else if (from == DT_BOOL) {
		text(g, c_convert(g, to, lanes));
		c_mask_and(g, x->arg[0], dtype_size(to) == 8 ? DT_I64 : DT_I32, 1);
		text(g, c_convert_end(g, to, lanes));
	} else if (from == to) {
		c_expr(g, x->arg[0], prec);
	} else if (is_half(to) || (is_half(from) && to == DT_F32)) {
		apply(g, c_vector_cast(g, from, to, lanes), x);
	} else {
		if (dtype_is_float(from) && dtype_is_int(to) && dtype_size(to) < 4)
			via = DT_I32;
		else if (dtype_is_float(from) && to == DT_U32)
			via = DT_I64;
		convert(g, x, from, to, via);
	}
}

static void lanes_of_ramp(struct cg *g, const struct lir_expr *x)
{
	const char *type = c_vector(g, DT_I64, x->type.lanes);

	str_addf(&g->body, "(%s(", c_vector_all(g, DT_I64, x->type.lanes));
	c_expr(g, x->arg[0], P_ANY);
	str_addf(&g->body, ") + (%s)%s", type, c_make(g));
	for (int l = 0; l < x->type.lanes; l++)
		str_addf(&g->body, l ? ", %lld" : "%lld", (long long)((uint64_t)x->i * (uint64_t)l));
	str_addf(&g->body, "%s)", c_make_end(g));
}

static void lane(struct cg *g, const struct lir_expr *x)
{
	const struct lir_expr *v = x->arg[0];
	bool is_bool = x->type.dtype == DT_BOOL;
	const char *type = is_bool ? c_mask_type(g, c_mask_bytes(g, v), v->type.lanes) : c_type(g, v->type);

	if (is_bool)
		str_addc(&g->body, '(');
	if (v->kind == LIR_VAR) {
		str_addf(&g->body, "%s%s", g->var_name[v->var->id], c_lane(g, (int)x->i));
	} else if (g->d->family == CG_OPENCL) {
		text(g, "(");
		c_expr(g, v, P_ANY);
		str_addf(&g->body, ")%s", c_lane(g, (int)x->i));
	} else {
		str_addf(&g->body, "({ const %s v_ = ", type);
		c_expr(g, v, P_TERNARY);
		str_addf(&g->body, "; v_[%lld]; })", (long long)x->i);
	}
	if (is_bool)
		text(g, " != 0)");
}

/* ---- loads ------------------------------------------------------------------------------------------------------- */

static bool piece(struct cg *g, const struct lir_expr *x)
{
	const struct cg_local *l = &g->local[x->buffer->id];
	int64_t at;

	if (x->buffer->scope == LIR_GLOBAL || l->spoiled || !cg_place_const(g, x->buffer, x->arg, x->nargs, &at))
		return false;
	str_addf(&g->body, "%s%lld", l->stem, (long long)(at / x->type.lanes));
	return true;
}

/* OpenCL has a function for lanes side by side, whatever their alignment. */
static void vload(struct cg *g, const struct lir_expr *x, int64_t step, const char *type)
{
	const char *name = g->buffer_name[x->buffer->id];

	if (step == 1) {
		str_addf(&g->body, "vload%d(0, &%s[", x->type.lanes, name);
		cg_place(g, x->buffer, x->arg, x->nargs, P_ANY);
		text(g, "])");
		return;
	}
	str_addf(&g->body, "(%s)(", type);
	for (int l = 0; l < x->type.lanes; l++) {
		str_addf(&g->body, "%s%s[", l ? ", " : "", name);
		cg_place(g, x->buffer, x->arg, x->nargs, P_ADD);
		str_addf(&g->body, " + %lld]", (long long)((uint64_t)step * (uint64_t)l));
	}
	text(g, ")");
}

static void vector_load(struct cg *g, const struct lir_expr *x, int prec)
{
	const struct lir_buffer *b = x->buffer;
	int64_t step = (int64_t)((uint64_t)x->arg[x->nargs - 1]->i * (uint64_t)b->stride[x->nargs - 1]);
	const char *type = c_vector(g, b->dtype, x->type.lanes), *name = g->buffer_name[b->id];

	if (piece(g, x))
		return;
	if (g->d->family == CG_OPENCL) {
		vload(g, x, step, type);
		return;
	}
	if (step == 1) {
		open_paren(g, P_UNARY, prec);
		str_addf(&g->body, "*(const %s_u *)&%s[", type, name);
		cg_place(g, b, x->arg, x->nargs, P_ANY);
		text(g, "]");
		close_paren(g, P_UNARY, prec);
		return;
	}
	if (step == 2) {
		str_addf(&g->body, "%s(&%s[", c_vector_even(g, b->dtype, x->type.lanes), name);
		cg_place(g, b, x->arg, x->nargs, P_ANY);
		text(g, "])");
		return;
	}
	str_addf(&g->body, "({ const %s *p_ = &%s[", c_scalar(g, b->dtype), name);
	cg_place(g, b, x->arg, x->nargs, P_ANY);
	str_addf(&g->body, "]; (%s){", type);
	for (int l = 0; l < x->type.lanes; l++)
		str_addf(&g->body, l ? ", p_[%lld]" : "p_[%lld]", (long long)((uint64_t)step * (uint64_t)l));
	text(g, "}; })");
}

static void scalar_load(struct cg *g, const struct lir_expr *x)
{
	bool is_bool = x->type.dtype == DT_BOOL;

	if (is_bool)
		text(g, "(");
	if (!piece(g, x)) {
		const char *end = c_element(g, x->buffer, x->buffer->dtype);

		cg_place(g, x->buffer, x->arg, x->nargs, P_ADD);
		text(g, end);
	}
	if (is_bool)
		text(g, " != 0)");
}

/* ---- vectors of bool ----------------------------------------------------------------------------------------------- */

int c_mask_bytes(const struct cg *g, const struct lir_expr *x)
{
	switch (x->kind) {
	case LIR_BINARY:
		if (x->arg[0]->type.dtype != DT_BOOL)
			return (int)dtype_size(x->arg[0]->type.dtype);
		return c_mask_bytes(g, x->arg[0]);
	case LIR_NOT: return c_mask_bytes(g, x->arg[0]);
	case LIR_SELECT: return c_mask_bytes(g, x->arg[1]);
	case LIR_CAST:
		return x->arg[0]->type.dtype == DT_BOOL ? c_mask_bytes(g, x->arg[0]) : (int)dtype_size(x->arg[0]->type.dtype);
	case LIR_CALL: return (int)dtype_size(x->arg[0]->type.dtype);
	case LIR_VAR: return g->mask_bytes[x->var->id];
	case LIR_BROADCAST: return 4;
	default: return 1;
	}
}

/* Two masks: comparisons of bool order false before true. */
static void mask_of_masks(struct cg *g, const struct lir_expr *x, int bytes)
{
	static const char *const shape[LIR_OP_COUNT][3] = {
	    [LIR_AND] = {"(", " & ", ")"}, [LIR_OR] = {"(", " | ", ")"},  [LIR_EQ] = {"(~(", " ^ ", "))"},
	    [LIR_NE] = {"(", " ^ ", ")"},  [LIR_LT] = {"(~", " & ", ")"}, [LIR_GT] = {"(", " & ~", ")"},
	    [LIR_LE] = {"(~", " | ", ")"}, [LIR_GE] = {"(", " | ~", ")"},
	};

	text(g, shape[x->op][0]);
	c_mask(g, x->arg[0], bytes);
	text(g, shape[x->op][1]);
	c_mask(g, x->arg[1], bytes);
	text(g, shape[x->op][2]);
}

static void mask_compare(struct cg *g, const struct lir_expr *x, const char *type)
{
	struct c_shape s = c_infix(g, x->op);

	if (is_half(x->arg[0]->type.dtype)) {
		apply(g, c_vector_compare(g, x->op, x->arg[0]->type.dtype, x->type.lanes), x);
		return;
	}
	str_addf(&g->body, "((%s)(", type);
	c_expr(g, x->arg[0], s.left);
	text(g, s.mid);
	c_expr(g, x->arg[1], s.right);
	text(g, "))");
}

static void mask_select(struct cg *g, const struct lir_expr *x, int bytes, const char *type)
{
	bool scalar = x->arg[0]->type.lanes == 1;
	enum dtype t = bytes == 1 ? DT_I8 : bytes == 2 ? DT_I16 : bytes == 4 ? DT_I32 : DT_I64;

	if (scalar) {
		text(g, "(");
		c_expr(g, x->arg[0], P_OR);
		text(g, " ? ");
	} else {
		str_addf(&g->body, "%s(", c_vector_select(g, t, x->type.lanes));
		c_mask(g, x->arg[0], bytes);
		text(g, ", ");
	}
	c_mask(g, x->arg[1], bytes);
	text(g, scalar ? " : " : ", ");
	c_mask(g, x->arg[2], bytes);
	text(g, ")");
	(void)type;
}

/* At its own width. */
static void mask_itself(struct cg *g, const struct lir_expr *x, int bytes)
{
	const char *type = c_mask_type(g, bytes, x->type.lanes);
	const struct lir_expr *y = x->nargs ? x->arg[0] : NULL;

	switch (x->kind) {
	case LIR_VAR: text(g, g->var_name[x->var->id]); break;
	case LIR_BINARY:
		if (y->type.dtype == DT_BOOL)
			mask_of_masks(g, x, bytes);
		else
			mask_compare(g, x, type);
		break;
	case LIR_NOT:
		text(g, "(~");
		c_mask(g, y, bytes);
		text(g, ")");
		break;
	case LIR_SELECT: mask_select(g, x, bytes, type); break;
	case LIR_CAST:
	case LIR_BITCAST:
		if (y->type.dtype == DT_BOOL) {
			c_mask(g, y, bytes);
			break;
		}
		str_addf(&g->body, is_half(y->type.dtype) ? "((%s)((" : "((%s)(", type);
		c_expr(g, y, P_EQ);
		if (is_half(y->type.dtype))
			str_addf(&g->body, "%s)", c_and(g, y->type.dtype, y->type.lanes, 0x7fff));
		str_addf(&g->body, " != %s))", c_zero(g, y->type.dtype, y->type.lanes));
		break;
	case LIR_LOAD:
		str_addf(&g->body, "((%s)(", type);
		vector_load(g, x, P_EQ);
		str_addf(&g->body, " != %s))", c_zero(g, DT_U8, x->type.lanes));
		break;
	case LIR_BROADCAST:
		str_addf(&g->body, "%s(-", c_vector_all(g, DT_I32, x->type.lanes));
		c_expr(g, y, P_UNARY);
		text(g, ")");
		break;
	case LIR_CALL: apply(g, c_vector_call(g, x->call, y->type.dtype, x->type.lanes), x); break;
	default: cg_fail(g, "an expression of kind %d gives a vector of bool", x->kind); break;
	}
}

void c_mask(struct cg *g, const struct lir_expr *x, int bytes)
{
	int own = c_mask_bytes(g, x);
	enum dtype t = bytes == 1 ? DT_I8 : bytes == 2 ? DT_I16 : bytes == 4 ? DT_I32 : DT_I64;

	if (own == bytes) {
		mask_itself(g, x, bytes);
		return;
	}
	text(g, c_convert(g, t, x->type.lanes));
	mask_itself(g, x, own);
	text(g, c_convert_end(g, t, x->type.lanes));
}

void c_mask_and(struct cg *g, const struct lir_expr *x, enum dtype t, unsigned bits)
{
	str_addf(&g->body, "(%s(", c_reinterpret(g, t, x->type.lanes));
	c_mask(g, x, (int)dtype_size(t));
	str_addf(&g->body, ")%s)", c_and(g, t, x->type.lanes, bits));
}

/* ---- everything ---------------------------------------------------------------------------------------------------- */

static void bitcast(struct cg *g, const struct lir_expr *x, int prec)
{
	enum dtype from = x->arg[0]->type.dtype, to = x->type.dtype;

	if (to == DT_BOOL || from == DT_BOOL) {
		shaped(g, c_cast_shape(g, from, to), x, prec);
		return;
	}
	shaped(g, (struct c_shape){c_bitcast(g, from, to), "", ")", P_UNARY, P_ANY, P_ANY}, x, prec);
}

static void scalar(struct cg *g, const struct lir_expr *x, int prec)
{
	switch (x->kind) {
	case LIR_INT: int_imm(g, x->type.dtype, x->i, prec); break;
	case LIR_FLOAT: float_imm(g, x->type.dtype, x->f); break;
	case LIR_VAR: text(g, g->var_name[x->var->id]); break;
	case LIR_BINARY:
		if (is_linear(g, x))
			cg_index(g, x, prec > P_ANY ? prec : P_TERNARY);
		else
			scalar_binary(g, x, prec);
		break;
	case LIR_NOT:
		text(g, "!");
		c_expr(g, x->arg[0], P_UNARY);
		break;
	case LIR_SELECT: ternary(g, x, prec); break;
	case LIR_CAST:
		if (x->arg[0]->type.dtype == x->type.dtype)
			c_expr(g, x->arg[0], prec);
		else
			shaped(g, c_cast_shape(g, x->arg[0]->type.dtype, x->type.dtype), x, prec);
		break;
	case LIR_BITCAST: bitcast(g, x, prec); break;
	case LIR_LOAD: scalar_load(g, x); break;
	case LIR_CALL: shaped(g, c_call_shape(g, x->call, x->arg[0]->type.dtype), x, prec); break;
	case LIR_LANE: lane(g, x); break;
	default: cg_fail(g, "an expression of kind %d is not a scalar", x->kind); break;
	}
}

static void vector(struct cg *g, const struct lir_expr *x, int prec)
{
	switch (x->kind) {
	case LIR_VAR: text(g, g->var_name[x->var->id]); break;
	case LIR_BINARY: vector_binary(g, x, prec); break;
	case LIR_SELECT:
		if (x->arg[0]->type.lanes == 1) {
			ternary(g, x, prec);
			break;
		}
		str_addf(&g->body, "%s(", c_vector_select(g, x->type.dtype, x->type.lanes));
		c_mask(g, x->arg[0], (int)dtype_size(x->type.dtype));
		for (int i = 1; i < 3; i++) {
			text(g, ", ");
			c_expr(g, x->arg[i], P_TERNARY);
		}
		text(g, ")");
		break;
	case LIR_CAST: vector_cast(g, x, prec); break;
	case LIR_BITCAST:
		if (x->arg[0]->type.dtype == DT_BOOL) {
			vector_cast(g, x, prec);
			break;
		}
		open_paren(g, P_UNARY, prec);
		str_addf(&g->body, "%s(", c_reinterpret(g, x->type.dtype, x->type.lanes));
		c_expr(g, x->arg[0], P_ANY);
		text(g, ")");
		close_paren(g, P_UNARY, prec);
		break;
	case LIR_LOAD: vector_load(g, x, prec); break;
	case LIR_CALL: apply(g, c_vector_call(g, x->call, x->type.dtype, x->type.lanes), x); break;
	case LIR_RAMP: lanes_of_ramp(g, x); break;
	case LIR_BROADCAST: apply(g, c_vector_all(g, x->type.dtype, x->type.lanes), x); break;
	default: cg_fail(g, "an expression of kind %d is not a vector", x->kind); break;
	}
}

void c_expr(struct cg *g, const struct lir_expr *x, int prec)
{
	int64_t v;

	if (cg_const(g, x, &v))
		int_imm(g, x->type.dtype, v, prec);
	else if (x->type.lanes == 1)
		scalar(g, x, prec);
	else if (x->type.dtype == DT_BOOL)
		c_mask(g, x, c_mask_bytes(g, x));
	else
		vector(g, x, prec);
}
