/* codegen_c.c: C-like dialects - statements and local memory; codegen_c_family.c has what they write differently */
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "codegen/codegen_c_internal.h"

static void footer(struct cg *g, struct str *out)
{
	str_add(out, "}\n");
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

static void loop(struct cg *g, const struct lir_stmt *s)
{
	const char *v = g->var_name[s->var->id];
	int64_t min, extent;

	str_addf(&g->body, "for (%s %s = ", c_index_type(g), v);
	cg_index(g, s->min, P_ANY);
	if (cg_const(g, s->min, &min) && cg_const(g, s->extent, &extent)) {
		str_addf(&g->body, "; %s < ", v);
		cg_int(g, (int64_t)((uint64_t)min + (uint64_t)extent), P_ANY);
	} else {
		str_addf(&g->body, ", %s_end_ = %s + ", v, v);
		cg_index(g, s->extent, P_MUL);
		str_addf(&g->body, "; %s < %s_end_", v, v);
	}
	str_addf(&g->body, "; %s++) {\n", v);
}

/* ---- stores and definitions ----------------------------------------------------------------------------------------- */

/* An expression for a place of type t. */
static void value(struct cg *g, const struct lir_expr *x, int prec)
{
	if (x->type.dtype != DT_BOOL || x->type.lanes == 1) {
		c_expr(g, x, prec);
		return;
	}
	c_mask_and(g, x, DT_U8, 1);
}

/* The element's address's "array[place]", through the access type. */
static void element(struct cg *g, const struct lir_stmt *s)
{
	const char *end = c_element(g, s->buffer, s->access);

	cg_place(g, s->buffer, s->index, s->nindex, P_ADD);
	str_add(&g->body, end);
}

static void scatter(struct cg *g, const struct lir_stmt *s, int lanes, int64_t step)
{
	str_addf(&g->body, "{ %s%s *p_ = &", c_space(g, s->buffer), c_scalar(g, s->access));
	element(g, s);
	str_addf(&g->body, "; const %s v_ = ", c_vector(g, s->access, lanes));
	value(g, s->value, P_TERNARY);
	str_addc(&g->body, ';');
	for (int l = 0; l < lanes; l++)
		str_addf(&g->body, " p_[%lld] = v_%s;", (long long)((uint64_t)step * (uint64_t)l), c_lane(g, l));
	str_add(&g->body, " }\n");
}

static void store(struct cg *g, const struct lir_stmt *s)
{
	const struct lir_expr *last = s->nindex ? s->index[s->nindex - 1] : NULL;
	int lanes = last ? last->type.lanes : 1;
	const struct cg_local *l = &g->local[s->buffer->id];
	int64_t at, step = lanes > 1 ? (int64_t)((uint64_t)last->i * (uint64_t)s->buffer->stride[s->nindex - 1]) : 1;

	if (s->buffer->scope != LIR_GLOBAL && !l->spoiled && cg_place_const(g, s->buffer, s->index, s->nindex, &at)) {
		str_addf(&g->body, "%s%lld", l->stem, (long long)(at / lanes));
	} else if (lanes == 1) {
		element(g, s);
	} else if (step == 1 && g->d->family == CG_OPENCL) {
		c_vector(g, s->access, lanes);
		str_addf(&g->body, "vstore%d(", lanes);
		value(g, s->value, P_TERNARY);
		str_add(&g->body, ", 0, &");
		element(g, s);
		str_add(&g->body, ");\n");
		return;
	} else if (step == 1) {
		str_addf(&g->body, "*(%s_u *)&", c_vector(g, s->access, lanes));
		element(g, s);
	} else {
		scatter(g, s, lanes, step);
		return;
	}
	str_add(&g->body, " = ");
	if (g->d->family == CG_GLSL && s->access == DT_BOOL)
		str_addf(&g->body, "%s(", c_scalar(g, DT_BOOL));
	value(g, s->value, P_TERNARY);
	str_add(&g->body, g->d->family == CG_GLSL && s->access == DT_BOOL ? ");\n" : ";\n");
}

static void let(struct cg *g, const struct lir_stmt *s)
{
	const char *type;

	if (s->var->type.dtype == DT_BOOL && s->var->type.lanes > 1) {
		g->mask_bytes[s->var->id] = c_mask_bytes(g, s->value);
		type = c_mask_type(g, g->mask_bytes[s->var->id], s->var->type.lanes);
	} else {
		type = s->var->type.dtype == DT_I64 && s->var->type.lanes == 1 ? c_index_type(g) : c_type(g, s->var->type);
	}
	if (g->d->family == CG_GLSL && s->var->type.dtype == DT_BOOL)
		type = "bool";
	str_addf(&g->body, "%s%s %s = ",
		 g->d->family != CG_GLSL              ? "const "
		 : dtype_is_float(s->var->type.dtype) ? "precise "
						      : "",
		 type, g->var_name[s->var->id]);
	c_expr(g, s->value, P_TERNARY);
	str_add(&g->body, ";\n");
}

#define MAX_FILLED 65536 /* random values of one buffer before the next one's begin */

/* A multiple of 1/128, which every type of floats has. */
static const char *random_value(struct cg *g, enum dtype t, int64_t i)
{
	double f = (int8_t)fill_element(g->fill, DT_I8, i) / 128.0;

	switch (t) {
	case DT_F16: return arena_printf(g->a, "0x%04x", f16_from_f64(f));
	case DT_BF16: return arena_printf(g->a, "0x%04x", bf16_from_f32((float)f));
	case DT_F32: return arena_printf(g->a, "(%.7ff)", f);
	case DT_F64: return arena_printf(g->a, "(%.7f%s)", f, g->d->family == CG_GLSL ? "lf" : "");
	case DT_BOOL: return fill_element(g->fill, t, i) ? "1" : "0";
	default:
		return arena_printf(g->a, "0x%llx%s", (unsigned long long)fill_element(g->fill, t, i) >> 1,
				    dtype_size(t) == 8 ? g->d->long_suffix : "");
	}
}

/* What element i holds that nobody wrote: a quiet NaN or something large, unless the fill is another. */
static const char *fill_value(struct cg *g, enum dtype t, int64_t i)
{
	if (g->fill.kind == FILL_RANDOM)
		return random_value(g, t, i);
	if (g->fill.kind == FILL_ZERO)
		return "0";
	switch (t) {
	case DT_BOOL: return "1";
	case DT_F16: return "0x7e00";
	case DT_BF16: return "0x7fc0";
	case DT_F32:
	case DT_F64: return c_special(g, t, true, false);
	case DT_I8:
	case DT_U8: return "0x7f";
	case DT_I16:
	case DT_U16: return "0x7f7f";
	case DT_I32:
	case DT_U32: return "0x7f7f7f7f";
	default: return arena_printf(g->a, "0x7f7f7f7f7f7f7f7f%s", g->d->long_suffix);
	}
}

static void variables(struct cg *g, const struct lir_buffer *b, const struct cg_local *l)
{
	int lanes = l->lanes ? l->lanes : 1;
	const char *type = c_type(g, (struct lir_type){b->dtype == DT_BOOL ? DT_U8 : b->dtype, lanes});
	int64_t first = (int64_t)b->id * MAX_FILLED;
	int on_line = 0;

	for (int64_t i = 0; i < b->elements / lanes; i++) {
		if (!l->used || !l->used[i])
			continue;
		if (on_line++ % 8 == 0) {
			str_add(&g->body, on_line > 1 ? ";\n" : "");
			cg_line(g);
			str_addf(&g->body, "%s%s ", g->d->family == CG_GLSL && dtype_is_float(b->dtype) ? "precise " : "", type);
		} else {
			str_add(&g->body, ", ");
		}
		str_addf(&g->body, "%s%lld", l->stem, (long long)i);
		g->shape.fills |= l->fill[i];
		if (g->fill.kind == FILL_STALE)
			continue;
		if (l->fill[i] && lanes == 1 && g->d->family == CG_GLSL)
			str_addf(&g->body, " = %s(%s)", type, fill_value(g, b->dtype, first + i));
		else if (l->fill[i] && lanes == 1)
			str_addf(&g->body, " = %s", fill_value(g, b->dtype, first + i));
		else if (l->fill[i])
			str_addf(&g->body, " = %s(%s)", c_vector_all(g, b->dtype == DT_BOOL ? DT_U8 : b->dtype, lanes),
				 fill_value(g, b->dtype, first + i));
	}
	str_add(&g->body, on_line ? ";\n" : "");
}

static void alloc(struct cg *g, const struct lir_buffer *b, const struct cg_local *l)
{
	const char *type = c_scalar(g, b->dtype);
	long long total = (long long)cg_local_elements(g, b) + 2 * C_SLACK;
	bool shared = g->groups && b->scope == LIR_SHARED;
	int64_t first = (int64_t)b->id * MAX_FILLED; /* one value will do for an array */

	if (cg_local_split(l)) {
		variables(g, b, l);
		return;
	}
	if (shared)
		; /* declared with the function: c_shared */
	else if (cg_line(g), g->d->family == CG_GLSL)
		str_addf(&g->body, "%s %s_mem_[%lld];\n", type, l->name, total);
	else
		str_addf(&g->body, "%s %s_mem_[%lld]%s, *const %s = %s_mem_ + %d;\n", type, l->name, total,
			 g->d->family == CG_CUDA ? "" : " __attribute__((aligned(64)))", l->name, l->name, C_SLACK);
	g->shape.fills = true;
	if (g->fill.kind == FILL_STALE)
		return;
	cg_line(g);
	if (shared)
		str_addf(&g->body, g->d->family == CG_GLSL ? "for (int i_ = int(item_); i_ < %lld; i_ += %u)\n" : "for (int i_ = (int)item_; i_ < %lld; i_ += %u)\n", total, g->shape.group);
	else
		str_addf(&g->body, "for (%s i_ = 0; i_ < %lld; i_++)\n", g->d->family == CG_GLSL ? "int" : c_scalar(g, DT_I64), total);
	cg_line(g);
	if (g->d->family == CG_GLSL)
		str_addf(&g->body, "\t%s_mem_[i_] = %s(%s);\n", l->name, type, fill_value(g, b->dtype, first));
	else
		str_addf(&g->body, "\t%s_mem_[i_] = %s;\n", l->name, fill_value(g, b->dtype, first));
	if (shared)
		c_barrier(g);
}

#define C_LIKE(f)                                                                                                                  \
	.family = f, .open = c_open, .close = footer, .expr = c_expr, .store = store, .let = let, .alloc = alloc, .loop = loop,    \
	.parallel = c_parallel, .thread = c_thread, .barrier = c_barrier, .is_reserved = c_is_reserved

const struct cg_dialect cg_dialect_c = {.name = "c", .long_suffix = "LL", C_LIKE(CG_C)};
const struct cg_dialect cg_dialect_opencl = {
    .name = "opencl-c", .long_suffix = "L", .group = 64, .collapses = true, C_LIKE(CG_OPENCL)};
const struct cg_dialect cg_dialect_opencl_cpu = {.name = "opencl-c-cpu", .long_suffix = "L", .group = 1, C_LIKE(CG_OPENCL)};
const struct cg_dialect cg_dialect_glsl = {.name = "glsl", .long_suffix = "L", .group = 64, .collapses = true, C_LIKE(CG_GLSL)};
const struct cg_dialect cg_dialect_glsl_cpu = {
    .name = "glsl-cpu", .long_suffix = "L", .group = 16, .most_groups = 1024, .collapses = true, .texels = true, C_LIKE(CG_GLSL)};
const struct cg_dialect cg_dialect_cuda = {.name = "cuda-c", .long_suffix = "LL", .group = 128, .collapses = true, C_LIKE(CG_CUDA)};
