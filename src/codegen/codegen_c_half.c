/* codegen_c_half.c: binary16 and bfloat16 in C, bit by bit: compilers disagree about the types, and not every processor has them
 *
 * A half is its 16 bits. Rounding is to nearest, ties to even; denormals are kept; a NaN stays one with its sign.
 */
#include <string.h>

#include "base/arena.h"
#include "codegen/codegen_c_internal.h"

static void f32_of_f16(struct cg *g)
{
	c_scalar(g, DT_F16);
	c_to_bits(g, DT_U32, DT_F32);
	if (c_first_time(g, "f32_of_f16"))
		c_helper(g, "FN f32 f32_of_f16(f16 h)\n{\n"
			    "\tu32 sign = (u32)(h & 0x8000) << 16, rest = h & 0x7fff;\n"
			    "\tif (rest > 0x7c00)\n\t\treturn bits_f32_of_u32(sign | 0x7fc00000);\n"
			    "\tif (rest == 0x7c00)\n\t\treturn bits_f32_of_u32(sign | 0x7f800000);\n"
			    "\tif (rest < 0x400) {\n"
			    "\t\tf32 x = (f32)rest * 0x1p-24f;\n"
			    "\t\treturn sign ? -x : x;\n"
			    "\t}\n"
			    "\treturn bits_f32_of_u32(sign | (rest << 13) + 0x38000000);\n}\n");
}

/* Denormals by adding a power of two whose unit is the smallest denormal: the addition rounds. */
static void f16_of_f32(struct cg *g)
{
	c_scalar(g, DT_F16);
	c_to_bits(g, DT_F32, DT_U32);
	if (c_first_time(g, "f16_of_f32"))
		c_helper(g, "FN f16 f16_of_f32(f32 x)\n{\n"
			    "\tu32 b = bits_u32_of_f32(x), sign = b >> 16 & 0x8000, rest = b & 0x7fffffff;\n"
			    "\tif (rest > 0x7f800000)\n\t\treturn sign | 0x7e00;\n"
			    "\tif (rest >= 0x477ff000)\n\t\treturn sign | 0x7c00;\n"
			    "\tif (rest < 0x38800000)\n"
			    "\t\treturn sign | bits_u32_of_f32((sign ? -x : x) + 0.5f) - 0x3f000000;\n"
			    "\treturn sign | (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13;\n}\n");
}

/* A double loses its low bits to an odd one first, so that the second rounding sees whether anything was there. */
static void f16_of_f64(struct cg *g)
{
	f16_of_f32(g);
	c_to_bits(g, DT_F64, DT_U64);
	c_to_bits(g, DT_U64, DT_F64);
	if (c_first_time(g, "f16_of_f64"))
		c_helper(g, "FN f16 f16_of_f64(f64 x)\n{\n"
			    "\tu64 b = bits_u64_of_f64(x);\n"
			    "\tif ((b & 0x7fffffffffffffffULL) > 0x7ff0000000000000ULL)\n\t\treturn b >> 48 & 0x8000 | 0x7e00;\n"
			    "\tif (b & 0x1fffffff)\n\t\tb = b & ~0x1fffffffULL | 0x20000000;\n"
			    "\treturn f16_of_f32((f32)bits_f64_of_u64(b));\n}\n");
}

static void bf16_of_f32(struct cg *g)
{
	c_scalar(g, DT_BF16);
	c_to_bits(g, DT_F32, DT_U32);
	if (c_first_time(g, "bf16_of_f32"))
		c_helper(g, "FN bf16 bf16_of_f32(f32 x)\n{\n\tu32 b = bits_u32_of_f32(x);\n"
			    "\tif (x != x)\n\t\treturn b >> 16 | 0x40;\n\treturn b + 0x7fff + (b >> 16 & 1) >> 16;\n}\n");
}

static void f32_of_bf16(struct cg *g)
{
	c_scalar(g, DT_BF16);
	c_to_bits(g, DT_U32, DT_F32);
	if (c_first_time(g, "f32_of_bf16"))
		c_helper(g, "FN f32 f32_of_bf16(bf16 h) { return bits_f32_of_u32((u32)h << 16); }\n");
}

void c_half_scalar(struct cg *g, enum dtype from, enum dtype to)
{
	if (g->d->family == CG_GLSL)
		c_glsl_half(g, from, to);
	else if (from == DT_F16)
		f32_of_f16(g);
	else if (from == DT_BF16)
		f32_of_bf16(g);
	else if (to == DT_F16 && from == DT_F64)
		f16_of_f64(g);
	else if (to == DT_F16)
		f16_of_f32(g);
	else
		bf16_of_f32(g);
}

/* ---- the same on vectors, without branches ------------------------------------------------------------------------ */

static const char f16_up[] =
    "\tI w = __builtin_convertvector(a, I), rest = w & 0x7fff;\n"
    "\tI small = (I)(__builtin_convertvector(rest, F) * 0x1p-24f), special = ((I)(rest > 0x7c00) & 0x400000) | 0x7f800000;\n"
    "\tI r = S((I)(rest < 0x400), small, S((I)(rest >= 0x7c00), special, (rest << 13) + 0x38000000));\n"
    "\treturn (F)(r | (w & 0x8000) << 16);\n";
static const char f16_down[] =
    "\tI b = (I)a, rest = b & 0x7fffffff;\n"
    "\tI small = (I)((F)rest + 0.5f) - 0x3f000000, special = ((I)(rest > 0x7f800000) & 0x200) | 0x7c00;\n"
    "\tI normal = (rest - 0x38000000 + 0xfff + (rest >> 13 & 1)) >> 13;\n"
    "\tI r = S((I)(rest < 0x38800000), small, S((I)(rest >= 0x477ff000), special, normal));\n"
    "\treturn __builtin_convertvector(r | (b >> 16 & 0x8000), H);\n";
static const char bf16_up[] = "\treturn (F)(__builtin_convertvector(a, I) << 16);\n";
static const char bf16_down[] =
    "\tI b = (I)a;\n"
    "\treturn __builtin_convertvector(S((I)(a != a), b >> 16 | 0x40, (b + 0x7fff + (b >> 16 & 1)) >> 16), H);\n";

/* text with F, H, I and S replaced by the names of types and of select. */
static void add_text(struct cg *g, const char *text, const char *f, const char *h, const char *i, const char *select)
{
	for (const char *p = text; *p; p++) {
		if (*p == 'F' || *p == 'H' || *p == 'I' || *p == 'S')
			str_add(&g->pre, *p == 'F' ? f : *p == 'H' ? h : *p == 'I' ? i : select);
		else
			str_addc(&g->pre, *p);
	}
}

const char *c_half_vector(struct cg *g, enum dtype t, int lanes, bool up)
{
	const char *f = c_vector(g, DT_F32, lanes), *h = c_vector(g, t, lanes), *i = c_vector(g, DT_I32, lanes);
	const char *select = c_vector_select(g, DT_I32, lanes), *name = arena_printf(g->a, "%s_of_%s", up ? f : h, up ? h : f);

	if (!c_first_time(g, name))
		return name;
	if (g->d->family == CG_OPENCL) { /* no reinterpreting casts between vectors: by lanes */
		c_half_scalar(g, up ? t : DT_F32, up ? DT_F32 : t);
		c_helper(g, "FN %s %s(%s a)\n{\n\treturn (%s)(", up ? f : h, name, up ? h : f, up ? f : h);
		for (int l = 0; l < lanes; l++)
			str_addf(&g->pre, "%s%s_of_%s(a%s)", l ? ", " : "", dtype_name(up ? DT_F32 : t),
				 dtype_name(up ? t : DT_F32), c_lane(g, l));
		str_add(&g->pre, ");\n}\n");
		return name;
	}
	c_helper(g, "FN %s %s(%s a)\n{\n", up ? f : h, name, up ? h : f);
	add_text(g, t == DT_F16 ? (up ? f16_up : f16_down) : (up ? bf16_up : bf16_down), f, h, i, select);
	str_add(&g->pre, "}\n");
	return name;
}
