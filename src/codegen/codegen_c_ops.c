/* codegen_c_ops.c: how C-like languages write one operation on one type, and the helper functions it needs for that
 *
 * Every helper's name ends in the name of a type, so that no variable of a kernel can hide it. gcc and clang must give the
 * same bits: what C leaves undefined is either defined here (shifts, division) or device-defined in the loop IR.
 */
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "codegen/codegen_c_internal.h"

static bool is_half(enum dtype t)
{
	return t == DT_F16 || t == DT_BF16;
}

static int bits_of(enum dtype t)
{
	return (int)dtype_size(t) * 8;
}

/* ---- types ------------------------------------------------------------------------------------------------ */

bool c_first_time(struct cg *g, const char *name)
{
	if (map_has(g->have, name))
		return false;
	map_put(g->have, name, g);
	return true;
}

const char *c_scalar(struct cg *g, enum dtype t)
{
	static const char *const spelling[] = {
	    [DT_BOOL] = "unsigned char", [DT_I8] = "signed char",      [DT_U8] = "unsigned char",
	    [DT_I16] = "short",          [DT_U16] = "unsigned short",  [DT_I32] = "int",
	    [DT_U32] = "unsigned int",   [DT_I64] = "long long",       [DT_U64] = "unsigned long long",
	    [DT_F16] = "unsigned short", [DT_BF16] = "unsigned short", [DT_F32] = "float",
	    [DT_F64] = "double",
	};
	const char *name = t == DT_BOOL ? "u8" : dtype_name(t), *is = spelling[t];

	if (g->d->family == CG_OPENCL && (t == DT_I64 || t == DT_U64))
		is = t == DT_I64 ? "long" : "ulong";
	if (g->narrow && t == DT_I64)
		return "int";
	if (g->d->family == CG_GLSL)
		return c_glsl_scalar(g, t);
	if (c_first_time(g, name))
		str_addf(&g->pre, "%stypedef %s %s;\n",
			 g->d->family == CG_OPENCL && t == DT_F64 ? "#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n" : "", is,
			 name);
	return name;
}

const char *c_vector(struct cg *g, enum dtype t, int lanes)
{
	const char *scalar = c_scalar(g, t), *name = arena_printf(g->a, "%sx%d", scalar, lanes);
	int bytes = (int)dtype_size(t) * lanes;

	if (!c_vector_lanes(g, lanes) || !c_first_time(g, name))
		return name;
	if (g->d->family == CG_OPENCL)
		str_addf(&g->pre, "typedef %s%d %s;\n", c_cl_name(t), lanes, name);
	else
		str_addf(&g->pre,
			 "typedef %s %s __attribute__((vector_size(%d)));\n"
			 "typedef %s %s_u __attribute__((vector_size(%d), aligned(%d)));\n",
			 scalar, name, bytes, scalar, name, bytes, (int)dtype_size(t));
	return name;
}

const char *c_type(struct cg *g, struct lir_type t)
{
	return t.lanes == 1 ? c_scalar(g, t.dtype) : c_vector(g, t.dtype, t.lanes);
}

static enum dtype int_of_bytes(int bytes)
{
	return bytes == 1 ? DT_I8 : bytes == 2 ? DT_I16 : bytes == 4 ? DT_I32 : DT_I64;
}

const char *c_mask_type(struct cg *g, int bytes, int lanes)
{
	return c_vector(g, int_of_bytes(bytes), lanes);
}

/* ---- helpers on scalars ------------------------------------------------------------------------------------ */

static void helper_text(struct cg *g, const char *fmt, va_list ap)
{
	if (c_first_time(g, "FN"))
		str_addf(&g->pre, "#define FN %s\n", c_inline(g));
	str_vaddf(&g->pre, fmt, ap);
}

void c_helper(struct cg *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	helper_text(g, fmt, ap);
	va_end(ap);
}

static const char *min_max(struct cg *g, enum dtype t, bool min)
{
	const char *type = c_scalar(g, t), *name = arena_printf(g->a, "%s_%s", min ? "min" : "max", type);
	const char *f = is_half(t) ? c_cast_shape(g, t, DT_F32).pre : "(";

	if (c_first_time(g, name))
		c_helper(g, "FN %s %s(%s a, %s b) { return %sa) %c %sb) ? a : b; }\n", type, name, type, type, f, min ? '<' : '>',
			 f);
	return name;
}

/* Division that traps for every C compiler where the processor would, instead of leaving it to the optimiser; other devices have
 * no traps. */
static const char *divide(struct cg *g, enum dtype t, bool mod)
{
	const char *type = c_scalar(g, t), *name = arena_printf(g->a, "%s_%s", mod ? "mod" : "div", type);

	if (!c_first_time(g, name))
		return name;
	c_helper(g, "FN %s %s(%s a, %s b)\n{\n", type, name, type, type);
	if (g->d->family == CG_C)
		str_add(&g->pre, "\tif (!b)\n\t\t__builtin_trap();\n");
	if (dtype_is_signed(t))
		str_addf(&g->pre, "\tif (b == -1)\n\t\treturn %s(%s);\n", g->d->family == CG_GLSL ? type : "", mod ? "0" : "-a");
	if (mod && g->d->family == CG_GLSL) /* its % is for positive numbers */
		str_addf(&g->pre, "\treturn %s(a - (a / b) * b);\n}\n", type);
	else if (g->d->family == CG_GLSL)
		str_addf(&g->pre, "\treturn %s(a / b);\n}\n", type);
	else
		str_addf(&g->pre, "\treturn a %c b;\n}\n", mod ? '%' : '/');
	return name;
}

void c_to_bits(struct cg *g, enum dtype from, enum dtype to)
{
	const char *f = c_scalar(g, from), *t = c_scalar(g, to), *name = arena_printf(g->a, "bits_%s_of_%s", t, f);

	if (!c_first_time(g, name))
		return;
	if (g->d->family == CG_GLSL)
		c_helper(g, "FN %s %s(%s x) { return %s(x); }\n", t, name, f, c_glsl_bits(from, to));
	else if (g->d->family == CG_OPENCL)
		c_helper(g, "FN %s %s(%s x) { return as_%s(x); }\n", t, name, f, c_cl_name(to));
	else
		c_helper(g, "FN %s %s(%s x)\n{\n\tunion {\n\t\t%s from;\n\t\t%s to;\n\t} u = {x};\n\treturn u.to;\n}\n", t, name, f,
			 f, t);
}

const char *c_bitcast(struct cg *g, enum dtype from, enum dtype to)
{
	bool from_float = from == DT_F32 || from == DT_F64, to_float = to == DT_F32 || to == DT_F64;

	if (from_float == to_float)
		return arena_printf(g->a, "%s(", c_cast_to(g, to));
	c_to_bits(g, from, to);
	return arena_printf(g->a, "bits_%s_of_%s(", c_scalar(g, to), c_scalar(g, from));
}

/* ---- shapes -------------------------------------------------------------------------------------------------- */

static struct c_shape infix(const char *op, int prec)
{
	return (struct c_shape){"", op, "", prec, prec, prec + 1};
}

static struct c_shape call(struct cg *g, const char *name)
{
	return (struct c_shape){arena_printf(g->a, "%s(", name), ", ", ")", P_PRIMARY, P_ANY, P_ANY};
}

struct c_shape c_infix(struct cg *g, enum lir_op op)
{
	static const int prec[LIR_OP_COUNT] = {
	    [LIR_ADD] = P_ADD, [LIR_SUB] = P_ADD,   [LIR_MUL] = P_MUL, [LIR_DIV] = P_MUL, [LIR_MOD] = P_MUL, [LIR_BAND] = P_BAND,
	    [LIR_BOR] = P_BOR, [LIR_BXOR] = P_BXOR, [LIR_LT] = P_REL,  [LIR_LE] = P_REL,  [LIR_GT] = P_REL,  [LIR_GE] = P_REL,
	    [LIR_EQ] = P_EQ,   [LIR_NE] = P_EQ,     [LIR_AND] = P_AND, [LIR_OR] = P_OR,
	};

	return infix(arena_printf(g->a, " %s ", lir_op_name(op)), prec[op]);
}

/* Halves are computed in f32 and rounded. */
static struct c_shape half_shape(struct cg *g, enum lir_op op, enum dtype t)
{
	const char *down = c_cast_shape(g, t, DT_F32).pre;
	const char *op_name = lir_op_name(op);

	if (lir_op_is_compare(op))
		return (struct c_shape){
		    arena_printf(g->a, "(%s", down), arena_printf(g->a, ") %s %s", op_name, down), "))", P_PRIMARY, P_ANY, P_ANY};
	return (struct c_shape){arena_printf(g->a, "%s%s", c_cast_shape(g, DT_F32, t).pre, down),
				arena_printf(g->a, ") %s %s", op_name, down),
				"))",
				P_PRIMARY,
				P_ANY,
				P_ANY};
}

static struct c_shape shift_shape(struct cg *g, enum lir_op op, enum dtype t)
{
	const char *sign = op == LIR_SHL ? "<<" : ">>";
	int mask = bits_of(t) == 64 ? 63 : 31;

	return (struct c_shape){arena_printf(g->a, "%s(", c_cast_to(g, t)),
				arena_printf(g->a, " %s (", sign),
				arena_printf(g->a, " & %d))", mask),
				P_UNARY,
				P_SHIFT,
				P_BAND + 1};
}

struct c_shape c_binary_shape(struct cg *g, enum lir_op op, enum dtype t)
{
	struct c_shape s;

	if (op == LIR_MIN || op == LIR_MAX)
		return call(g, min_max(g, t, op == LIR_MIN));
	if ((op == LIR_DIV || op == LIR_MOD) && dtype_is_int(t))
		return call(g, divide(g, t, op == LIR_MOD));
	if (op == LIR_SHL || op == LIR_SHR)
		return shift_shape(g, op, t);
	if (is_half(t))
		return half_shape(g, op, t);
	s = c_infix(g, op);
	if (g->d->family == CG_GLSL && t == DT_BOOL && lir_op_is_compare(op) && op != LIR_EQ && op != LIR_NE)
		return (struct c_shape){"(int(", arena_printf(g->a, ") %s int(", lir_op_name(op)), "))", P_PRIMARY, P_ANY, P_ANY};
	if (dtype_is_int(t) && dtype_size(t) < 4 && !lir_op_is_compare(op)) { /* C computed in int */
		s.pre = arena_printf(g->a, "%s(", c_cast_to(g, t));
		s.post = ")";
		s.prec = P_UNARY;
	}
	return s;
}

static struct c_shape cast_via(struct cg *g, enum dtype via, enum dtype to)
{
	if (g->d->family == CG_GLSL)
		return (struct c_shape){
		    arena_printf(g->a, "%s(%s(", c_scalar(g, to), c_scalar(g, via)), "", "))", P_PRIMARY, P_ANY, P_ANY};
	return (struct c_shape){
	    arena_printf(g->a, "(%s)(%s)", c_scalar(g, to), c_scalar(g, via)), "", "", P_UNARY, P_UNARY, P_UNARY};
}

static struct c_shape cast_half(struct cg *g, enum dtype from, enum dtype to)
{
	struct c_shape outer, inner = call(g, from == DT_F16 ? "f32_of_f16" : "f32_of_bf16");

	c_half_scalar(g, from, DT_F32);
	if (to == DT_F32)
		return inner;
	outer = c_cast_shape(g, DT_F32, to);
	return (struct c_shape){
	    arena_printf(g->a, "%s%s", outer.pre, inner.pre), "", arena_printf(g->a, ")%s", outer.post), outer.prec, P_ANY, P_ANY};
}

static struct c_shape cast_to_half(struct cg *g, enum dtype from, enum dtype to)
{
	struct c_shape s;

	if (to == DT_F16 && from == DT_F64) {
		c_half_scalar(g, from, to);
		return call(g, "f16_of_f64");
	}
	c_half_scalar(g, DT_F32, to);
	s = call(g, to == DT_F16 ? "f16_of_f32" : "bf16_of_f32");
	if (from != DT_F32) {
		s.pre = arena_printf(g->a, "%s%s(", s.pre, c_cast_to(g, DT_F32));
		s.post = arena_printf(g->a, ")%s", s.post);
		s.left = P_ANY;
	}
	return s;
}

/* Out of range is device-defined; the way through a wider integer is what compilers do by themselves on x86. */
struct c_shape c_cast_shape(struct cg *g, enum dtype from, enum dtype to)
{
	if (is_half(from) && from != to)
		return cast_half(g, from, to);
	if (to == DT_BOOL)
		return (struct c_shape){"(", "", " != 0)", P_PRIMARY, P_EQ, P_EQ};
	if (is_half(to))
		return cast_to_half(g, from, to);
	if (dtype_is_float(from) && dtype_is_int(to) && dtype_size(to) < 4)
		return cast_via(g, DT_I32, to);
	if (dtype_is_float(from) && to == DT_U32)
		return cast_via(g, DT_I64, to);
	if (g->d->family == CG_GLSL)
		return (struct c_shape){arena_printf(g->a, "%s(", c_scalar(g, to)), "", ")", P_PRIMARY, P_ANY, P_ANY};
	return (struct c_shape){arena_printf(g->a, "(%s)", c_scalar(g, to)), "", "", P_UNARY, P_UNARY, P_UNARY};
}

/* Functions that the compilers compute exactly themselves are builtins; the others stay calls to the mathematical library
 * (compiled without builtins, so that no constant argument is evaluated by the compiler's own). */
struct c_shape c_call_shape(struct cg *g, enum lir_call c, enum dtype t)
{
	const char *name = lir_call_name(c), *suffix = t == DT_F64 ? "" : "f", *type = c_scalar(g, is_half(t) ? DT_F32 : t);
	bool builtin = c == LIR_CALL_SQRT || c == LIR_CALL_FLOOR || c == LIR_CALL_CEIL || c == LIR_CALL_TRUNC ||
		       c == LIR_CALL_RINT || c == LIR_CALL_FMA || c == LIR_CALL_ABS;
	struct c_shape s, up, down;

	if (g->d->family == CG_GLSL)
		return c_glsl_call(g, c, t);
	if (g->d->family == CG_OPENCL)
		suffix = "";
	if (c == LIR_CALL_ISNAN || c == LIR_CALL_ISINF) {
		s = (struct c_shape){arena_printf(g->a, "(%s%s(", g->d->family == CG_C ? "__builtin_" : "", name),
				     "",
				     ") != 0)",
				     P_PRIMARY,
				     P_ANY,
				     P_ANY};
	} else if (builtin || g->d->family != CG_C) {
		s = call(g, arena_printf(g->a, "%s%s%s", g->d->family == CG_C ? "__builtin_" : "",
					 c == LIR_CALL_ABS ? "fabs" : name, suffix));
	} else {
		const char *function = arena_printf(g->a, "%s%s", name, suffix);

		if (c_first_time(g, function))
			str_addf(&g->pre, "%s %s(%s%s%s);\n", type, function, type,
				 c == LIR_CALL_POW || c == LIR_CALL_FMOD ? ", " : "",
				 c == LIR_CALL_POW || c == LIR_CALL_FMOD ? type : "");
		s = call(g, function);
	}
	if (!is_half(t))
		return s;
	down = c_cast_shape(g, t, DT_F32);
	s.pre = arena_printf(g->a, "%s%s", s.pre, down.pre);
	s.mid = arena_printf(g->a, "), %s", down.pre);
	s.post = arena_printf(g->a, ")%s", s.post);
	if (c == LIR_CALL_ISNAN || c == LIR_CALL_ISINF)
		return s;
	up = c_cast_shape(g, DT_F32, t);
	s.pre = arena_printf(g->a, "%s%s", up.pre, s.pre);
	s.post = arena_printf(g->a, "%s%s", s.post, up.post);
	return s;
}

/* ---- helpers on vectors ---------------------------------------------------------------------------------------- */

/* FN to name(from a, from b ..) { return (to){S(a[0], b[0] ..), ..}; }, or as the dialect writes that */
static void by_lanes(struct cg *g, const char *name, const char *to, const char *from, int args, int lanes, struct c_shape s,
		     const char *sign)
{
	c_helper(g, "FN %s %s(%s a", to, name, from);
	for (int i = 1; i < args; i++)
		str_addf(&g->pre, ", %s %c", from, 'a' + i);
	str_addf(&g->pre, ")\n{\n\treturn (%s)%s", to, c_make(g));
	for (int l = 0; l < lanes; l++) {
		str_addf(&g->pre, "%s%s%sa%s", l ? ",\n\t\t" : "\n\t\t", sign, s.pre, c_lane(g, l));
		for (int i = 1; i < args; i++)
			str_addf(&g->pre, "%s%c%s", s.mid, 'a' + i, c_lane(g, l));
		str_add(&g->pre, s.post);
	}
	str_addf(&g->pre, "%s;\n}\n", c_make_end(g));
}

static const char *op_word(enum lir_op op)
{
	static const char *const word[LIR_OP_COUNT] = {
	    [LIR_ADD] = "add", [LIR_SUB] = "sub", [LIR_MUL] = "mul", [LIR_DIV] = "div", [LIR_MOD] = "mod",
	    [LIR_MIN] = "min", [LIR_MAX] = "max", [LIR_SHL] = "shl", [LIR_SHR] = "shr", [LIR_LT] = "lt",
	    [LIR_LE] = "le",   [LIR_GT] = "gt",   [LIR_GE] = "ge",   [LIR_EQ] = "eq",   [LIR_NE] = "ne",
	};

	return word[op];
}

/* Halves are computed in f32 and rounded. */
static void half_binary(struct cg *g, enum lir_op op, enum dtype t, int lanes, const char *name, const char *type)
{
	const char *up = c_half_vector(g, t, lanes, true), *down = c_half_vector(g, t, lanes, false);
	bool choose = op == LIR_MIN || op == LIR_MAX;
	const char *f = choose ? c_vector_binary(g, op, DT_F32, lanes) : "";

	c_first_time(g, name);
	c_helper(g, "FN %s %s(%s a, %s b) { return %s(%s(%s(a)%s %s(b))); }\n", type, name, type, type, down, f, up,
		 choose ? "," : arena_printf(g->a, " %s", lir_op_name(op)), up);
}

const char *c_vector_binary(struct cg *g, enum lir_op op, enum dtype t, int lanes)
{
	const char *type = c_vector(g, t, lanes), *name = arena_printf(g->a, "%s_%s", op_word(op), type);
	/* vectors wider than any register: gcc 12 cannot always expand their masks */
	bool choose = (op == LIR_MIN || op == LIR_MAX) && !is_half(t) && dtype_size(t) * (size_t)lanes <= 64;
	const char *select = choose ? c_vector_select(g, t, lanes) : NULL;
	struct c_shape s;

	if (map_has(g->have, name))
		return name;
	if (choose) {
		c_first_time(g, name);
		c_helper(g, "FN %s %s(%s a, %s b) { return %s((%s)(a %c b), a, b); }\n", type, name, type, type, select,
			 c_mask_type(g, (int)dtype_size(t), lanes), op == LIR_MIN ? '<' : '>');
		return name;
	}
	if (is_half(t)) {
		half_binary(g, op, t, lanes, name, type);
		return name;
	}
	s = c_binary_shape(g, op, t);
	c_first_time(g, name);
	by_lanes(g, name, type, type, 2, lanes, s, "");
	return name;
}

const char *c_vector_compare(struct cg *g, enum lir_op op, enum dtype t, int lanes)
{
	const char *type = c_vector(g, t, lanes), *mask = c_mask_type(g, 2, lanes),
		   *name = arena_printf(g->a, "%s_%s", op_word(op), type);
	const char *up = c_half_vector(g, t, lanes, true), *wide = c_mask_type(g, 4, lanes);

	if (c_first_time(g, name))
		c_helper(g, "FN %s %s(%s a, %s b) { return %s(%s)(%s(a) %s %s(b))%s; }\n", mask, name, type, type,
			 c_convert(g, DT_I16, lanes), wide, up, lir_op_name(op), up, c_convert_end(g, DT_I16, lanes));
	return name;
}

/* One side is a half, so the way is through f32; a double must not be rounded twice. */
const char *c_vector_cast(struct cg *g, enum dtype from, enum dtype to, int lanes)
{
	const char *f = c_vector(g, from, lanes), *t = c_vector(g, to, lanes), *name = arena_printf(g->a, "%s_of_%s", t, f);
	const char *up = is_half(from) ? c_half_vector(g, from, lanes, true) : NULL;
	const char *down = is_half(to) ? c_half_vector(g, to, lanes, false) : NULL;
	struct c_shape s = c_cast_shape(g, from, to);

	if (!c_first_time(g, name))
		return name;
	if (from == DT_F64 && to == DT_F16)
		by_lanes(g, name, t, f, 1, lanes, s, "");
	else if (up && down)
		c_helper(g, "FN %s %s(%s a) { return %s(%s(a)); }\n", t, name, f, down, up);
	else if (down)
		c_helper(g, "FN %s %s(%s a) { return %s(%sa%s); }\n", t, name, f, down, c_convert(g, DT_F32, lanes),
			 c_convert_end(g, DT_F32, lanes));
	else
		by_lanes(g, name, t, f, 1, lanes, s, "");
	return name;
}

/* One rounding whatever the flags say about contraction: the instruction itself where the compiler has a name for it, lane by lane
 * on the machines that always have it, which compilers put together again. An x86 without the instruction rounds twice: the
 * library's exact function for each lane would take a hundred times as long. */
static void vector_fma(struct cg *g, const char *name, const char *type, enum dtype t, int lanes)
{
	int bytes = (int)dtype_size(t) * lanes;
	const char *suffix = t == DT_F32 ? "ps" : "pd";

	if (g->d->family == CG_OPENCL) {
		c_helper(g, "FN %s %s(%s a, %s b, %s c) { return fma(a, b, c); }\n", type, name, type, type, type);
		return;
	}
	c_helper(g, "#ifdef __x86_64__\n#if %s\n",
		 bytes == 64                  ? "defined __AVX512F__"
		 : bytes == 32 || bytes == 16 ? "defined __FMA__"
					      : "0");
	str_addf(&g->pre, "FN %s %s(%s a, %s b, %s c) { return ", type, name, type, type, type);
	if (bytes == 64)
		str_addf(&g->pre, "__builtin_ia32_vfmadd%s512_mask(a, b, c, -1, 4); }\n", suffix);
	else
		str_addf(&g->pre, "__builtin_ia32_vfmadd%s%s(a, b, c); }\n", suffix, bytes == 32 ? "256" : "");
	str_add(&g->pre, "#elif defined __FMA__\n");
	by_lanes(g, name, type, type, 3, lanes, c_call_shape(g, LIR_CALL_FMA, t), "");
	str_addf(&g->pre, "#else\nFN %s %s(%s a, %s b, %s c) { return a * b + c; }\n", type, name, type, type, type);
	str_add(&g->pre, "#endif\n#elif defined __aarch64__ || defined __riscv_flen\n");
	by_lanes(g, name, type, type, 3, lanes, c_call_shape(g, LIR_CALL_FMA, t), "");
	str_addf(&g->pre, "#else\nFN %s %s(%s a, %s b, %s c) { return a * b + c; }\n#endif\n", type, name, type, type, type);
}

/* A vector's instruction on x86, where a root for each lane is a branch for each lane: that of errno. Both round correctly. */
static void vector_sqrt(struct cg *g, const char *name, const char *type, enum dtype t, int lanes)
{
	int bytes = (int)dtype_size(t) * lanes;
	const char *suffix = t == DT_F32 ? "ps" : "pd";

	if (bytes == 64) {
		c_helper(g, "#if defined __AVX512F__ && defined __clang__\n");
		str_addf(&g->pre, "FN %s %s(%s a) { return __builtin_ia32_sqrt%s512(a, 4); }\n", type, name, type, suffix);
		str_add(&g->pre, "#elif defined __AVX512F__\n");
		str_addf(&g->pre, "FN %s %s(%s a) { return __builtin_ia32_sqrt%s512_mask(a, a, -1, 4); }\n", type, name, type, suffix);
	} else {
		c_helper(g, "#if %s\n", bytes == 32 ? "defined __AVX__" : "defined __SSE2__");
		str_addf(&g->pre, "FN %s %s(%s a) { return __builtin_ia32_sqrt%s%s(a); }\n", type, name, type, suffix,
			 bytes == 32 ? "256" : "");
	}
	str_add(&g->pre, "#else\n");
	by_lanes(g, name, type, type, 1, lanes, c_call_shape(g, LIR_CALL_SQRT, t), "");
	str_add(&g->pre, "#endif\n");
}

static void vector_abs(struct cg *g, const char *name, const char *type, enum dtype t, int lanes)
{
	const char *mask = c_mask_type(g, (int)dtype_size(t), lanes);

	if (g->d->family == CG_OPENCL && !is_half(t)) {
		c_helper(g, "FN %s %s(%s a) { return fabs(a); }\n", type, name, type);
		return;
	}
	if (g->d->family == CG_OPENCL) {
		c_helper(g, "FN %s %s(%s a) { return a%s; }\n", type, name, type, c_and(g, t, lanes, 0x7fff));
		return;
	}
	c_helper(g, "FN %s %s(%s a) { return (%s)((%s)a & 0x7fff%s); }\n", type, name, type, type, mask,
		 t == DT_F64   ? "ffffffffffffLL"
		 : t == DT_F32 ? "ffff"
			       : "");
}

static void half_fma(struct cg *g, const char *name, const char *type, enum dtype t, int lanes)
{
	const char *up = c_half_vector(g, t, lanes, true), *down = c_half_vector(g, t, lanes, false);
	const char *fma = c_vector_call(g, LIR_CALL_FMA, DT_F32, lanes);

	c_first_time(g, name);
	c_helper(g, "FN %s %s(%s a, %s b, %s c) { return %s(%s(%s(a), %s(b), %s(c))); }\n", type, name, type, type, type, down, fma,
		 up, up, up);
}

const char *c_vector_call(struct cg *g, enum lir_call c, enum dtype t, int lanes)
{
	const char *type = c_vector(g, t, lanes), *name = arena_printf(g->a, "%s_%s", lir_call_name(c), type);
	bool predicate = c == LIR_CALL_ISNAN || c == LIR_CALL_ISINF;
	const char *to = predicate ? c_mask_type(g, (int)dtype_size(t), lanes) : type;
	struct c_shape s;

	if (map_has(g->have, name))
		return name;
	if (c == LIR_CALL_ABS) {
		c_mask_type(g, (int)dtype_size(t), lanes);
		c_first_time(g, name);
		vector_abs(g, name, type, t, lanes);
		return name;
	}
	if (c == LIR_CALL_FMA && is_half(t)) {
		half_fma(g, name, type, t, lanes);
		return name;
	}
	s = c_call_shape(g, c, t);
	c_first_time(g, name);
	if (c == LIR_CALL_FMA)
		vector_fma(g, name, type, t, lanes);
	else if (c == LIR_CALL_SQRT && g->d->family != CG_OPENCL && !is_half(t) && (int)dtype_size(t) * lanes >= 16)
		vector_sqrt(g, name, type, t, lanes);
	else
		by_lanes(g, name, to, type,
			 c == LIR_CALL_FMA                         ? 3
			 : c == LIR_CALL_POW || c == LIR_CALL_FMOD ? 2
								   : 1,
			 lanes, s, predicate ? "-" : "");
	return name;
}

const char *c_vector_select(struct cg *g, enum dtype t, int lanes)
{
	const char *type = c_vector(g, t, lanes), *mask = c_mask_type(g, (int)dtype_size(t), lanes);
	const char *name = arena_printf(g->a, "select_%s", type);

	if (!c_first_time(g, name))
		return name;
	if (g->d->family == CG_OPENCL)
		c_helper(g, "FN %s %s(%s m, %s a, %s b) { return m ? a : b; }\n", type, name, mask, type, type);
	else
		c_helper(g, "FN %s %s(%s m, %s a, %s b) { return (%s)((m & (%s)a) | (~m & (%s)b)); }\n", type, name, mask, type,
			 type, type, mask, mask);
	return name;
}

const char *c_vector_all(struct cg *g, enum dtype t, int lanes)
{
	const char *type = c_vector(g, t, lanes), *name = arena_printf(g->a, "all_%s", type);

	if (c_first_time(g, name)) {
		c_helper(g, "FN %s %s(%s x) { return (%s)%s", type, name, c_scalar(g, t), type, c_make(g));
		for (int l = 0; l < lanes; l++)
			str_add(&g->pre, l ? ", x" : "x");
		str_addf(&g->pre, "%s; }\n", c_make_end(g));
	}
	return name;
}

const char *c_vector_even(struct cg *g, enum dtype t, int lanes)
{
	const char *type = c_vector(g, t, lanes), *of = c_scalar(g, t), *name = arena_printf(g->a, "even_%s", type);

	if (!c_first_time(g, name))
		return name;
	/* two vectors side by side that end with the last element, and one shuffle of both */
	c_helper(g, "#if defined __clang__ || __GNUC__ >= 12\nFN %s %s(const %s *p)\n{\n\treturn __builtin_shufflevector(*(const %s_u *)p, *(const %s_u *)(p + %d)", type, name, of,
		 type, type, lanes - 1);
	for (int l = 0; l < lanes; l++)
		c_helper(g, ", %d", l < lanes / 2 ? 2 * l : 2 * l + 1);
	c_helper(g, ");\n}\n#else\nFN %s %s(const %s *p) { return (%s){", type, name, of, type);
	for (int l = 0; l < lanes; l++)
		c_helper(g, l ? ", p[%d]" : "p[%d]", 2 * l);
	c_helper(g, "}; }\n#endif\n");
	return name;
}
