/* codegen_glsl.c: compute shaders - buffers, functions that GLSL lacks, and numbers with 16 bits
 *
 * Float results are `precise`, so that nothing is fused or reordered. There are no pointers: every buffer is an array whose front
 * pad comes first, and one that is also written as elements of another type is declared once more at the same place.
 *
 * "glsl-cpu" is for drivers that run a shader on a processor, where work-items are a vector's lanes. Reading an array is there a loop over
 * the lanes, each with its own test of the place; an element of an image comes by the processor's own gathering, lanes outside
 * masked. So inputs of f32 are images of one row. Starting a group costs as much as some of its work, so there are few of them.
 */
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "codegen/codegen_c_internal.h"

const char *c_glsl_scalar(struct cg *g, enum dtype t)
{
	static const char *const spelling[] = {
	    [DT_BOOL] = "uint8_t",  [DT_I8] = "int8_t", [DT_U8] = "uint8_t",  [DT_I16] = "int16_t",  [DT_U16] = "uint16_t",
	    [DT_I32] = "int",       [DT_U32] = "uint",  [DT_I64] = "int64_t", [DT_U64] = "uint64_t", [DT_F16] = "uint16_t",
	    [DT_BF16] = "uint16_t", [DT_F32] = "float", [DT_F64] = "double",
	};
	const char *name = t == DT_BOOL ? "u8" : dtype_name(t);

	if (c_first_time(g, name))
		str_addf(&g->pre, "#define %s %s\n", name, spelling[t]);
	return name;
}

const char *c_glsl_bits(enum dtype from, enum dtype to)
{
	switch (from) {
	case DT_F32: return to == DT_U32 ? "floatBitsToUint" : "floatBitsToInt";
	case DT_F64: return to == DT_U64 ? "doubleBitsToUint64" : "doubleBitsToInt64";
	case DT_U32: return "uintBitsToFloat";
	case DT_I32: return "intBitsToFloat";
	case DT_U64: return "uint64BitsToDouble";
	default: return "int64BitsToDouble";
	}
}

/* Nobody but the launch knows that there is one group in that direction. */
const char *c_glsl_zero(struct cg *g, enum dtype t)
{
	if (c_first_time(g, "ZERO"))
		str_add(&g->pre, "#define ZERO (gl_NumWorkGroups.z - 1u)\n");
	return arena_printf(g->a, "%s(ZERO)", c_scalar(g, t));
}

/* ---- functions ----------------------------------------------------------------------------------------------------- */

/* A compiler may think that there are no NaNs: the bits say it. */
static const char *predicate(struct cg *g, enum lir_call c, enum dtype t)
{
	const char *type = c_scalar(g, t), *name = arena_printf(g->a, "%s_%s", lir_call_name(c), type);

	if (!c_first_time(g, name))
		return name;
	if (t == DT_F32)
		c_helper(g, "bool %s(%s x) { return (floatBitsToUint(x) & 0x7fffffffu) %s 0x7f800000u; }\n", name, type,
			 c == LIR_CALL_ISNAN ? ">" : "==");
	else
		c_helper(g, "bool %s(%s x) { return (doubleBitsToUint64(x) & 0x7fffffffffffffffUL) %s 0x7ff0000000000000UL; }\n",
			 name, type, c == LIR_CALL_ISNAN ? ">" : "==");
	return name;
}

static bool has_doubles(enum lir_call c)
{
	return c == LIR_CALL_ABS || c == LIR_CALL_SQRT || c == LIR_CALL_FLOOR || c == LIR_CALL_CEIL || c == LIR_CALL_TRUNC ||
	       c == LIR_CALL_RINT || c == LIR_CALL_FMA || c == LIR_CALL_FMOD || c == LIR_CALL_ISNAN || c == LIR_CALL_ISINF;
}

struct c_shape c_glsl_call(struct cg *g, enum lir_call c, enum dtype t)
{
	bool half = t == DT_F16 || t == DT_BF16, asks = c == LIR_CALL_ISNAN || c == LIR_CALL_ISINF;
	enum dtype wide = half ? DT_F32 : t;
	const char *name = asks ? predicate(g, c, wide) : c_glsl_function(g, c, wide);
	struct c_shape s = {"", ", ", ")", P_PRIMARY, P_ANY, P_ANY}, up, down;

	if (wide == DT_F64 && !has_doubles(c))
		cg_fail(g, "GLSL has no %s of doubles", lir_call_name(c));
	if (!name)
		name = c == LIR_CALL_RINT ? "roundEven" : lir_call_name(c);
	s.pre = arena_printf(g->a, "%s(", name);
	if (!half)
		return s;
	down = c_cast_shape(g, t, DT_F32);
	s.pre = arena_printf(g->a, "%s%s", s.pre, down.pre);
	s.mid = arena_printf(g->a, "), %s", down.pre);
	s.post = "))";
	if (asks)
		return s;
	up = c_cast_shape(g, DT_F32, t);
	s.pre = arena_printf(g->a, "%s%s", up.pre, s.pre);
	s.post = arena_printf(g->a, "%s%s", s.post, up.post);
	return s;
}

/* ---- numbers with 16 bits: as codegen_c_half.c writes them, in GLSL's words ------------------------------------------------ */

static const char f32_of_f16[] = "float f32_of_f16(uint16_t x)\n{\n"
				 "\tuint h = uint(x), sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;\n"
				 "\tif (rest > 0x7c00u)\n\t\treturn uintBitsToFloat(sign | 0x7fc00000u);\n"
				 "\tif (rest == 0x7c00u)\n\t\treturn uintBitsToFloat(sign | 0x7f800000u);\n"
				 "\tif (rest < 0x400u) {\n\t\tfloat y = float(rest) * 5.9604644775390625e-8;\n"
				 "\t\treturn sign != 0u ? -y : y;\n\t}\n"
				 "\treturn uintBitsToFloat(sign | ((rest << 13) + 0x38000000u));\n}\n";
static const char f16_of_f32[] = "uint16_t f16_of_f32(float x)\n{\n"
				 "\tuint b = floatBitsToUint(x), sign = (b >> 16) & 0x8000u, rest = b & 0x7fffffffu;\n"
				 "\tif (rest > 0x7f800000u)\n\t\treturn uint16_t(sign | 0x7e00u);\n"
				 "\tif (rest >= 0x477ff000u)\n\t\treturn uint16_t(sign | 0x7c00u);\n"
				 "\tif (rest < 0x38800000u) {\n\t\tprecise float y = uintBitsToFloat(rest) + 0.5;\n"
				 "\t\treturn uint16_t(sign | (floatBitsToUint(y) - 0x3f000000u));\n\t}\n"
				 "\treturn uint16_t(sign | ((rest - 0x38000000u + 0xfffu + ((rest >> 13) & 1u)) >> 13));\n}\n";
static const char f16_of_f64[] =
    "uint16_t f16_of_f64(double x)\n{\n"
    "\tuint64_t b = doubleBitsToUint64(x);\n"
    "\tif ((b & 0x7fffffffffffffffUL) > 0x7ff0000000000000UL)\n\t\treturn uint16_t(((b >> 48) & 0x8000UL) | 0x7e00UL);\n"
    "\tif ((b & 0x1fffffffUL) != 0UL)\n\t\tb = (b & ~0x1fffffffUL) | 0x20000000UL;\n"
    "\treturn f16_of_f32(float(uint64BitsToDouble(b)));\n}\n";
static const char f32_of_bf16[] = "float f32_of_bf16(uint16_t x) { return uintBitsToFloat(uint(x) << 16); }\n";
static const char bf16_of_f32[] = "uint16_t bf16_of_f32(float x)\n{\n"
				  "\tuint b = floatBitsToUint(x);\n"
				  "\tif ((b & 0x7fffffffu) > 0x7f800000u)\n\t\treturn uint16_t((b >> 16) | 0x40u);\n"
				  "\treturn uint16_t((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);\n}\n";

static void once(struct cg *g, const char *name, const char *text)
{
	if (c_first_time(g, name))
		str_add(&g->pre, text);
}

void c_glsl_half(struct cg *g, enum dtype from, enum dtype to)
{
	if (from == DT_F16) {
		once(g, "f32_of_f16", f32_of_f16);
	} else if (from == DT_BF16) {
		once(g, "f32_of_bf16", f32_of_bf16);
	} else if (to == DT_F16) {
		once(g, "f16_of_f32", f16_of_f32);
		if (from == DT_F64)
			once(g, "f16_of_f64", f16_of_f64);
	} else {
		once(g, "bf16_of_f32", bf16_of_f32);
	}
}

/* ---- the shader ------------------------------------------------------------------------------------------------------------- */

bool c_glsl_is_texels(const struct cg *g, const struct lir_buffer *b)
{
	return g->d->texels && b->id < g->f->nparams - g->f->nout && b->dtype == DT_F32;
}

/* Asked for while the body is written; declared with the others. */
const char *c_glsl_narrow(struct cg *g, const struct lir_buffer *b, enum dtype access)
{
	const char *name = arena_printf(g->a, "%s_%s_", g->buffer_name[b->id], c_scalar(g, access));

	if (c_first_time(g, name))
		str_addf(&g->pre, "layout(std430, set = 0, binding = %u) buffer N%u%s { %s v[]; } %s;\n", b->id, b->id,
			 c_scalar(g, access), c_scalar(g, access), name);
	return name;
}

void c_glsl_open(struct cg *g, struct str *out)
{
	uint32_t nin = g->f->nparams - g->f->nout;

	str_addf(out,
		 "#version 450\n#extension GL_EXT_shader_explicit_arithmetic_types : require\n#extension "
		 "GL_EXT_shader_8bit_storage : require\n"
		 "#extension GL_EXT_shader_16bit_storage : require\nlayout(local_size_x = %u) in;\n",
		 g->shape.group);
	str_addn(out, str_text(&g->pre), g->pre.n);
	for (uint32_t i = 0; i < g->f->nparams; i++)
		if (c_glsl_is_texels(g, g->f->param[i]))
			str_addf(out, "layout(r32f, set = 0, binding = %u) readonly uniform imageBuffer %s;\n", i, g->buffer_name[i]);
		else
			str_addf(out, "layout(std430, set = 0, binding = %u) %sbuffer B%u { %s%s v[]; } %s;\n", i,
				 i < nin ? "readonly " : "", i,
				 g->f->param[i]->dtype == DT_F32 || g->f->param[i]->dtype == DT_F64 ? "precise " : "",
				 c_scalar(g, g->f->param[i]->dtype), g->buffer_name[i]);
	if (g->groups)
		c_shared(g, out, g->f->body);
	str_add(out, "\nvoid main()\n{\n");
	if (g->groups)
		c_item(g, out);
	if (!g->has_parallel) { /* one work-item, or group, does it all */
		g->shape.groups = 1;
		str_addf(out, "\tif (gl_WorkGroupID.x + gl_WorkGroupID.y != 0%s)\n\t\treturn;\n", g->groups ? "" : " || gl_LocalInvocationID.x != 0");
	}
}
