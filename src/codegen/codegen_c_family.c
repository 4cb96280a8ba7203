/* codegen_c_family.c: what C, OpenCL C and CUDA C write differently - entry points, work-items, vectors, special numbers
 *
 * C has the compilers' vector extensions; OpenCL C has vectors of its own, which convert, compare and choose by functions, and
 * no casts between them; CUDA C has none here.
 */
#include <string.h>

#include "base/arena.h"
#include "codegen/codegen_c_internal.h"

/* Work-items that a processor is to have room for. Told nothing, NVRTC saves registers by loading the next slice just before it is stored;
 * told more, it spills. */
#define RESIDENT 384

const char *c_cl_name(enum dtype t)
{
	static const char *const name[] = {
	    [DT_BOOL] = "uchar",  [DT_I8] = "char",   [DT_U8] = "uchar",   [DT_I16] = "short", [DT_U16] = "ushort",
	    [DT_I32] = "int",     [DT_U32] = "uint",  [DT_I64] = "long",   [DT_U64] = "ulong", [DT_F16] = "ushort",
	    [DT_BF16] = "ushort", [DT_F32] = "float", [DT_F64] = "double",
	};

	return name[t];
}

const char *c_index_type(struct cg *g)
{
	return c_scalar(g, DT_I64);
}

const char *c_special(struct cg *g, enum dtype t, bool nan, bool negative)
{
	bool f32 = t == DT_F32;
	const char *x;

	switch (g->d->family) {
	case CG_OPENCL:
		x = f32 ? arena_printf(g->a, "as_float(0x%s00000)", nan ? "7fc" : "7f8")
			: arena_printf(g->a, "as_double(0x7ff%s000000000000L)", nan ? "8" : "0");
		break;
	case CG_GLSL:
		x = f32 ? arena_printf(g->a, "uintBitsToFloat(0x%s00000u)", nan ? "7fc" : "7f8")
			: arena_printf(g->a, "int64BitsToDouble(0x7ff%s000000000000L)", nan ? "8" : "0");
		break;
	case CG_CUDA:
		x = f32 ? arena_printf(g->a, "__int_as_float(0x%s00000)", nan ? "7fc" : "7f8")
			: arena_printf(g->a, "__longlong_as_double(0x7ff%s000000000000LL)", nan ? "8" : "0");
		break;
	default: x = arena_printf(g->a, nan ? "__builtin_nan%s(\"\")" : "__builtin_inf%s()", f32 ? "f" : ""); break;
	}
	return negative ? arena_printf(g->a, "(-%s)", x) : x;
}

/* ---- vectors --------------------------------------------------------------------------------------------------- */

bool c_vector_lanes(struct cg *g, int lanes)
{
	if (g->d->family == CG_CUDA || g->d->family == CG_GLSL)
		return cg_fail(
		    g, "vectors of %d lanes: this dialect has scalars only; use a schedule for its class, or the portable one",
		    lanes);
	if (g->d->family == CG_OPENCL && lanes != 2 && lanes != 4 && lanes != 8 && lanes != 16)
		return cg_fail(g, "OpenCL C has no vectors of %d lanes", lanes);
	return true;
}

const char *c_reinterpret(struct cg *g, enum dtype to, int lanes)
{
	const char *type = c_vector(g, to, lanes);

	if (g->d->family == CG_OPENCL)
		return arena_printf(g->a, "as_%s%d", c_cl_name(to), lanes);
	return arena_printf(g->a, "(%s)", type);
}

const char *c_convert(struct cg *g, enum dtype to, int lanes)
{
	c_vector(g, to, lanes);
	if (g->d->family == CG_OPENCL)
		return arena_printf(g->a, "convert_%s%d(", c_cl_name(to), lanes);
	return "__builtin_convertvector(";
}

const char *c_convert_end(struct cg *g, enum dtype to, int lanes)
{
	return g->d->family == CG_OPENCL ? ")" : arena_printf(g->a, ", %s)", c_vector(g, to, lanes));
}

const char *c_make(struct cg *g)
{
	return g->d->family == CG_OPENCL ? "(" : "{";
}

const char *c_make_end(struct cg *g)
{
	return g->d->family == CG_OPENCL ? ")" : "}";
}

const char *c_lane(struct cg *g, int lane)
{
	return arena_printf(g->a, g->d->family == CG_OPENCL ? ".s%x" : "[%d]", lane);
}

/* OpenCL widens a scalar beside a vector only when its type is not the wider one. */
const char *c_and(struct cg *g, enum dtype t, int lanes, unsigned bits)
{
	if (g->d->family == CG_OPENCL)
		return arena_printf(g->a, " & (%s)(%u)", c_vector(g, t, lanes), bits);
	return arena_printf(g->a, bits < 10 ? " & %u" : " & 0x%x", bits);
}

const char *c_zero(struct cg *g, enum dtype t, int lanes)
{
	return g->d->family == CG_OPENCL ? arena_printf(g->a, "(%s)(0)", c_vector(g, t, lanes)) : "0";
}

/* ---- memory and work-items ------------------------------------------------------------------------------------------- */

const char *c_space(const struct cg *g, const struct lir_buffer *b)
{
	if (g->d->family != CG_OPENCL)
		return "";
	return b->scope == LIR_GLOBAL ? "__global " : g->groups && b->scope == LIR_SHARED ? "__local " : "";
}

const char *c_inline(const struct cg *g)
{
	switch (g->d->family) {
	case CG_CUDA: return "static __device__ __forceinline__";
	case CG_GLSL: return "";
	default: return "static inline __attribute__((always_inline))";
	}
}

const char *c_cast_to(struct cg *g, enum dtype t)
{
	return g->d->family == CG_GLSL ? c_scalar(g, t) : arena_printf(g->a, "(%s)", c_scalar(g, t));
}

const char *c_element(struct cg *g, const struct lir_buffer *b, enum dtype access)
{
	const char *name = g->buffer_name[b->id], *narrow = g->narrow ? "" : "int(", *end = g->narrow ? "]" : ")]"; /* GLSL's indices have 32 bits */

	if (g->d->family == CG_GLSL && b->scope == LIR_GLOBAL) {
		size_t pad = BUNDLE_PAD * dtype_size(b->dtype) / dtype_size(access);

		if (c_glsl_is_texels(g, b)) {
			str_addf(&g->body, "imageLoad(%s, %s%zu + ", name, narrow, pad);
			return g->narrow ? ").x" : ")).x";
		}
		str_addf(&g->body, "%s.v[%s%zu + ", access == b->dtype ? name : c_glsl_narrow(g, b, access), narrow, pad);
	} else if (g->d->family == CG_GLSL) {
		if (access != b->dtype)
			cg_fail(g, "GLSL cannot write elements of another type into local memory");
		str_addf(&g->body, "%s_mem_[%s%d + ", name, narrow, C_SLACK);
	} else {
		end = "]";
		if (access != b->dtype)
			str_addf(&g->body, "((%s%s *)%s)[", c_space(g, b), c_scalar(g, access), name);
		else
			str_addf(&g->body, "%s[", name);
	}
	if (b->scope == LIR_PRIVATE && !g->groups) /* the work-item's own copy */
		str_addf(&g->body, "item_ * %lld + ", (long long)(b->elements * (int64_t)(dtype_size(b->dtype) / dtype_size(access))));
	return end;
}

static void open_host(struct cg *g, struct str *out, uint32_t nin)
{
	str_add(out, "\nvoid mutatenn_kernel(void *const *buffer, i64 part, i64 parts)\n{\n");
	for (uint32_t i = 0; i < g->f->nparams; i++)
		str_addf(out, "\t%s%s *restrict %s = buffer[%u];\n", i < nin ? "const " : "", c_scalar(g, g->f->param[i]->dtype),
			 g->buffer_name[i], i);
	str_addc(out, '\n');
}

static void open_groups(struct cg *g, struct str *out, uint32_t nin)
{
	bool cl = g->d->family == CG_OPENCL;

	if (cl)
		str_addf(out, "\n__kernel __attribute__((reqd_work_group_size(%u, 1, 1))) void mutatenn_kernel(", g->shape.group);
	else if (g->groups)
		str_addf(out, "\nextern \"C\" __global__ __launch_bounds__(%u, %u) void mutatenn_kernel(", g->shape.group, (RESIDENT + g->shape.group - 1) / g->shape.group);
	else
		str_addf(out, "\nextern \"C\" __global__ __launch_bounds__(%u) void mutatenn_kernel(", g->shape.group);
	for (uint32_t i = 0; i < g->f->nparams; i++)
		str_addf(out, "%s\n\t%s%s%s *%s %s", i ? "," : "", c_space(g, g->f->param[i]), i < nin ? "const " : "",
			 c_scalar(g, g->f->param[i]->dtype), cl ? "restrict" : "__restrict__", g->buffer_name[i]);
	str_add(out, ")\n{\n");
	for (uint32_t i = 0; !cl && i < g->f->nparams; i++) /* tensors begin at 256 bytes: neighbours are moved four at a time */
		str_addf(out, "\t__builtin_assume(((unsigned long long)%s & 15) == 0);\n", g->buffer_name[i]);
	if (g->groups) {
		c_shared(g, out, g->f->body);
		c_item(g, out);
	}
	if (!g->has_parallel) { /* one work-item, or group, does it all */
		g->shape.groups = 1;
		str_addf(out, "\tif (%s)\n\t\treturn;\n",
			 cl ? g->groups ? "get_group_id(0)" : "get_global_id(0)"
			    : g->groups ? "blockIdx.x" : "blockIdx.x || threadIdx.x");
	}
}

void c_open(struct cg *g, struct str *out)
{
	uint32_t nin = g->f->nparams - g->f->nout;

	if (g->d->family == CG_C)
		c_scalar(g, DT_I64);
	for (uint32_t i = 0; i < g->f->nparams; i++)
		c_scalar(g, g->f->param[i]->dtype);
	if (g->d->family == CG_GLSL) {
		c_glsl_open(g, out);
		return;
	}
	if (g->d->family == CG_OPENCL)
		str_add(out, "#pragma OPENCL FP_CONTRACT OFF\n");
	str_addn(out, str_text(&g->pre), g->pre.n);
	if (g->d->family == CG_C)
		open_host(g, out, nin);
	else
		open_groups(g, out, nin);
}

/* ---- groups: shared arrays, the work-item's number, thread loops ---- */

void c_shared(struct cg *g, struct str *out, const struct lir_stmt *s)
{
	if (s->kind == LIR_ALLOC && s->buffer->scope == LIR_SHARED) {
		const struct lir_buffer *b = s->buffer;
		const char *type = c_scalar(g, b->dtype), *name = g->local[b->id].name;
		long long total = (long long)b->elements + 2 * C_SLACK;

		if (g->d->family == CG_GLSL)
			str_addf(out, "shared %s %s_mem_[%lld];\n", type, name, total);
		else if (g->d->family == CG_OPENCL)
			str_addf(out, "\t__local %s %s_mem_[%lld] __attribute__((aligned(64)));\n\t__local %s *const %s = %s_mem_ + %d;\n", type,
				 name, total, type, name, name, C_SLACK);
		else
			str_addf(out, "\t__shared__ __align__(16) %s %s_mem_[%lld];\n\t%s *const %s = %s_mem_ + %d;\n", type, name, total,
				 type, name, name, C_SLACK);
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		c_shared(g, out, s->body[i]);
}

void c_item(struct cg *g, struct str *out)
{
	const char *type = c_index_type(g);

	switch (g->d->family) {
	case CG_OPENCL: str_addf(out, "\tconst %s item_ = (%s)get_local_id(0);\n", type, type); break;
	case CG_GLSL: str_addf(out, "\tconst %s item_ = %s(gl_LocalInvocationID.x);\n", type, type); break;
	default: str_addf(out, "\tconst %s item_ = (%s)threadIdx.x;\n", type, type); break;
	}
}

void c_thread(struct cg *g, const struct lir_stmt *s)
{
	const char *v = g->var_name[s->var->id], *type = c_index_type(g);
	int64_t extent;

	if (cg_const(g, s->extent, &extent) && extent == g->f->group) {
		str_addf(&g->body, "{\n");
		g->indent++;
		cg_line(g);
		g->indent--;
		str_addf(&g->body, "const %s %s = ", type, v);
		cg_index(g, s->min, P_ADD);
		str_add(&g->body, " + item_;\n");
		return;
	}
	str_addf(&g->body, "for (%s %s = ", type, v);
	cg_index(g, s->min, P_ADD);
	str_addf(&g->body, " + item_, %s_end_ = ", v);
	cg_index(g, s->min, P_ADD);
	str_add(&g->body, " + ");
	cg_index(g, s->extent, P_MUL);
	str_addf(&g->body, "; %s < %s_end_; %s += %lld) {\n", v, v, v, (long long)g->f->group);
}

void c_barrier(struct cg *g)
{
	cg_line(g);
	switch (g->d->family) {
	case CG_OPENCL: str_add(&g->body, "barrier(CLK_LOCAL_MEM_FENCE);\n"); break;
	case CG_GLSL: str_add(&g->body, "memoryBarrierShared();\n"); cg_line(g); str_add(&g->body, "barrier();\n"); break;
	default: str_add(&g->body, "__syncthreads();\n"); break;
	}
}

/* This part's share: iterations first_ + count_ * part / parts and on. */
static void parallel_parts(struct cg *g, const struct lir_stmt *s)
{
	const char *v = g->var_name[s->var->id], *type = c_scalar(g, DT_I64);

	cg_line(g);
	str_addf(&g->body, "const %s first_ = ", type);
	cg_index(g, s->min, P_ANY);
	str_addf(&g->body, ", count_ = ");
	cg_index(g, s->extent, P_ANY);
	str_addf(&g->body, ", end_ = first_ + count_ * (part + 1) / parts;\n");
	cg_line(g);
	str_addf(&g->body, "for (%s %s = first_ + count_ * part / parts; %s < end_; %s++) {\n", type, v, v, v);
}

/* This work-item's share: its own number, then what lies a whole launch further, for launches that are smaller than the loop. */
static void head_of_items(struct cg *g, const struct lir_stmt *const *chain, uint32_t n, const char *type)
{
	int64_t extent, total = 1;
	const char *first, *step;

	switch (g->d->family) {
	case CG_OPENCL:
		first = g->groups ? "get_group_id(0)" : "get_global_id(0)";
		step = g->groups ? "get_num_groups(0)" : "get_global_size(0)";
		break;
	case CG_GLSL: /* a launch has more groups than fit a row */
		if (g->groups) {
			first = arena_printf(g->a, "%s(gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x)", type);
			step = arena_printf(g->a, "%s(gl_NumWorkGroups.x * gl_NumWorkGroups.y)", type);
			break;
		}
		first =
		    arena_printf(g->a, "%s(gl_WorkGroupID.x + gl_WorkGroupID.y * gl_NumWorkGroups.x) * %u + gl_LocalInvocationID.x",
				 type, g->shape.group);
		step = arena_printf(g->a, "%s(gl_NumWorkGroups.x * gl_NumWorkGroups.y) * %u", type, g->shape.group);
		break;
	default:
		first = arena_printf(g->a, g->groups ? "(%s)blockIdx.x" : "(%s)blockIdx.x * blockDim.x + threadIdx.x", type);
		step = arena_printf(g->a, g->groups ? "(%s)gridDim.x" : "(%s)gridDim.x * blockDim.x", type);
		break;
	}
	cg_line(g);
	for (uint32_t i = 0; i < n; i++)
		total = cg_const(g, chain[i]->extent, &extent) ? total * extent : -1;
	str_addf(&g->body, "for (%s id_ = %s; id_ < ", type, first);
	if (total >= 0)
		str_addf(&g->body, "%lld", (long long)total);
	else
		cg_index(g, chain[0]->extent, P_REL + 1);
	str_addf(&g->body, "; id_ += %s) {\n", step);
}

static void parallel_items(struct cg *g, const struct lir_stmt *const *chain, uint32_t n)
{
	int64_t extent, after[MAX_DIMS];
	bool known = cg_const(g, chain[0]->extent, &extent) && extent >= 0;
	bool glsl = g->d->family == CG_GLSL;
	const char *index = c_index_type(g), *type = !g->narrow || !known ? c_scalar(g, DT_I64) : glsl ? "uint" : "unsigned";

	after[n - 1] = 1;
	for (uint32_t i = n - 1; i > 0; i--) {
		cg_const(g, chain[i]->extent, &extent);
		after[i - 1] = after[i] * extent;
	}
	head_of_items(g, chain, n, type);
	g->indent++;
	for (uint32_t i = 0; i < n; i++) {
		cg_line(g);
		str_addf(&g->body, "const %s %s = ", index, g->var_name[chain[i]->var->id]);
		cg_index(g, chain[i]->min, P_ADD);
		str_addf(&g->body, glsl ? " + %s(id_" : " + (%s)(id_", index);
		if (after[i] > 1)
			str_addf(&g->body, " / %lld", (long long)after[i]);
		if (i && cg_const(g, chain[i]->extent, &extent))
			str_addf(&g->body, " %% %lld", (long long)extent);
		str_add(&g->body, ");\n");
	}
	g->indent--;
}

void c_parallel(struct cg *g, const struct lir_stmt *const *chain, uint32_t n)
{
	if (g->d->family == CG_C)
		parallel_parts(g, chain[0]);
	else
		parallel_items(g, chain, n);
}

/* ---- names -------------------------------------------------------------------------------------------------------- */

/* Words that a variable must not be called in any of the languages: one list, so that a kernel's names are the same in all. */
static const char *const keywords[] = {
    "auto",
    "break",
    "case",
    "char",
    "const",
    "continue",
    "default",
    "do",
    "double",
    "else",
    "enum",
    "extern",
    "float",
    "for",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "register",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "struct",
    "switch",
    "typedef",
    "union",
    "unsigned",
    "void",
    "volatile",
    "while",
    "asm",
    "typeof",
    "buffer",
    "part",
    "parts",
    "FN",
    "ZERO",
    "linux",
    "unix",
    "mutatenn_kernel",
    /* GLSL */
    "in",
    "out",
    "inout",
    "input",
    "output",
    "sample",
    "filter",
    "active",
    "partition",
    "common",
    "noise",
    "shared",
    "patch",
    "flat",
    "smooth",
    "layout",
    "centroid",
    "precise",
    "highp",
    "mediump",
    "lowp",
    "precision",
    "invariant",
    "coherent",
    "readonly",
    "writeonly",
    "attribute",
    "varying",
    "subroutine",
    "discard",
    "vec2",
    "vec3",
    "vec4",
    "mat2",
    "mat3",
    "mat4",
    "resource",
    "superp",
    "fixed",
    "external",
    "interface",
    "cast",
    "main",
    "mod",
    "min",
    "max",
    "clamp",
    "mix",
    "step",
    "sign",
    "fract",
    "round",
    "length",
    "dot",
    "cross",
    /* OpenCL C */
    "kernel",
    "global",
    "local",
    "constant",
    "private",
    "uchar",
    "ushort",
    "uint",
    "ulong",
    "half",
    "bool",
    "size_t",
    "read_only",
    "write_only",
    "read_write",
    "uniform",
    "pipe",
    "event_t",
    "sampler_t",
    "complex",
    "imaginary",
    /* CUDA C */
    "and",
    "bitand",
    "bitor",
    "catch",
    "class",
    "compl",
    "delete",
    "explicit",
    "export",
    "false",
    "friend",
    "mutable",
    "namespace",
    "new",
    "not",
    "operator",
    "or",
    "protected",
    "public",
    "template",
    "this",
    "throw",
    "true",
    "try",
    "typeid",
    "typename",
    "using",
    "virtual",
    "wchar_t",
    "xor",
    "threadIdx",
    "blockIdx",
    "blockDim",
    "gridDim",
    "warpSize",
};

/* "f32", "bf16", "i8x16", "f32x16_u" */
static bool is_type(const char *s, size_t n)
{
	size_t k;

	if (n > 2 && !memcmp(s + n - 2, "_u", 2))
		n -= 2;
	for (int t = DT_I8; t < DT_COUNT; t++) {
		k = strlen(dtype_name((enum dtype)t));
		if (n >= k && !memcmp(s, dtype_name((enum dtype)t), k) && (n == k || s[k] == 'x'))
			return true;
	}
	return false;
}

bool c_is_reserved(const char *name)
{
	size_t n = strlen(name);
	const char *last = name + n;

	for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
		if (!strcmp(name, keywords[i]))
			return true;
	for (int c = 0; c < LIR_CALL_COUNT; c++) {
		const char *call = lir_call_name((enum lir_call)c);
		size_t k = strlen(call);

		if (!strncmp(name, call, k) && (!name[k] || !strcmp(name + k, "f")))
			return true;
	}
	if (name[0] == '_')
		return true;
	while (last > name && last[-1] != '_')
		last--;
	return is_type(name, n) || is_type(last, (size_t)(name + n - last)) || !strcmp(last, "u");
}
