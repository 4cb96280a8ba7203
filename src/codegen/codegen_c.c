/* codegen_c.c: the C dialect - statements, memory and the entry point */
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "codegen/codegen_c_internal.h"

/* Elements before and behind a local array that a mutant may touch without harm to others. */
#define SLACK 64

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
    "linux",
    "unix",
    "mutatenn_kernel",
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

static bool is_reserved(const char *name)
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

static void header(struct cg *g, struct str *out)
{
	uint32_t nin = g->f->nparams - g->f->nout;

	c_scalar(g, DT_I64);
	for (uint32_t i = 0; i < g->f->nparams; i++)
		c_scalar(g, g->f->param[i]->dtype);
	str_addn(out, str_text(&g->pre), g->pre.n);
	str_add(out, "\nvoid mutatenn_kernel(void *const *buffer, i64 part, i64 parts)\n{\n");
	for (uint32_t i = 0; i < g->f->nparams; i++)
		str_addf(out, "\t%s%s *restrict %s = buffer[%u];\n", i < nin ? "const " : "", c_scalar(g, g->f->param[i]->dtype),
			 g->buffer_name[i], i);
	str_addc(out, '\n');
}

static void footer(struct cg *g, struct str *out)
{
	str_add(out, "}\n");
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

static void loop(struct cg *g, const struct lir_stmt *s)
{
	const char *v = g->var_name[s->var->id];
	int64_t min, extent;

	str_addf(&g->body, "for (%s %s = ", c_scalar(g, DT_I64), v);
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

static void parallel(struct cg *g, const struct lir_stmt *s)
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

/* ---- stores and definitions ----------------------------------------------------------------------------------------- */

/* An expression for a place of type t. */
static void value(struct cg *g, const struct lir_expr *x, int prec)
{
	if (x->type.dtype != DT_BOOL || x->type.lanes == 1) {
		c_expr(g, x, prec);
		return;
	}
	str_addf(&g->body, "((%s)", c_vector(g, DT_U8, x->type.lanes));
	c_mask(g, x, 1);
	str_add(&g->body, " & 1)");
}

/* The element's address's "array[place]", through the access type. */
static void element(struct cg *g, const struct lir_stmt *s)
{
	if (s->access != s->buffer->dtype)
		str_addf(&g->body, "((%s *)%s)[", c_scalar(g, s->access), g->buffer_name[s->buffer->id]);
	else
		str_addf(&g->body, "%s[", g->buffer_name[s->buffer->id]);
	cg_place(g, s->buffer, s->index, s->nindex, P_ANY);
	str_addc(&g->body, ']');
}

static void scatter(struct cg *g, const struct lir_stmt *s, int lanes, int64_t step)
{
	str_addf(&g->body, "{ %s *p_ = &", c_scalar(g, s->access));
	element(g, s);
	str_addf(&g->body, "; const %s v_ = ", c_vector(g, s->access, lanes));
	value(g, s->value, P_TERNARY);
	str_addc(&g->body, ';');
	for (int l = 0; l < lanes; l++)
		str_addf(&g->body, " p_[%lld] = v_[%d];", (long long)((uint64_t)step * (uint64_t)l), l);
	str_add(&g->body, " }\n");
}

static void store(struct cg *g, const struct lir_stmt *s)
{
	const struct lir_expr *last = s->nindex ? s->index[s->nindex - 1] : NULL;
	int lanes = last ? last->type.lanes : 1;
	const struct cg_local *l = &g->local[s->buffer->id];
	int64_t at, step = lanes > 1 ? (int64_t)((uint64_t)last->i * (uint64_t)s->buffer->stride[s->nindex - 1]) : 1;

	if (s->buffer->scope == LIR_LOCAL && !l->spoiled && cg_place_const(g, s->buffer, s->index, s->nindex, &at)) {
		str_addf(&g->body, "%s%lld", l->stem, (long long)(at / lanes));
	} else if (lanes == 1) {
		element(g, s);
	} else if (step == 1) {
		str_addf(&g->body, "*(%s_u *)&", c_vector(g, s->access, lanes));
		element(g, s);
	} else {
		scatter(g, s, lanes, step);
		return;
	}
	str_add(&g->body, " = ");
	value(g, s->value, P_TERNARY);
	str_add(&g->body, ";\n");
}

static void let(struct cg *g, const struct lir_stmt *s)
{
	const char *type;

	if (s->var->type.dtype == DT_BOOL && s->var->type.lanes > 1) {
		g->mask_bytes[s->var->id] = c_mask_bytes(g, s->value);
		type = c_mask_type(g, g->mask_bytes[s->var->id], s->var->type.lanes);
	} else {
		type = c_type(g, s->var->type);
	}
	str_addf(&g->body, "const %s %s = ", type, g->var_name[s->var->id]);
	c_expr(g, s->value, P_TERNARY);
	str_add(&g->body, ";\n");
}

/* What nobody wrote: a quiet NaN, or something large. */
static const char *fill_value(enum dtype t)
{
	switch (t) {
	case DT_BOOL: return "1";
	case DT_F16: return "0x7e00";
	case DT_BF16: return "0x7fc0";
	case DT_F32: return "__builtin_nanf(\"\")";
	case DT_F64: return "__builtin_nan(\"\")";
	case DT_I8:
	case DT_U8: return "0x7f";
	case DT_I16:
	case DT_U16: return "0x7f7f";
	case DT_I32:
	case DT_U32: return "0x7f7f7f7f";
	default: return "0x7f7f7f7f7f7f7f7fLL";
	}
}

static void variables(struct cg *g, const struct lir_buffer *b, const struct cg_local *l)
{
	int lanes = l->lanes ? l->lanes : 1;
	const char *type = c_type(g, (struct lir_type){b->dtype == DT_BOOL ? DT_U8 : b->dtype, lanes});
	int on_line = 0;

	for (int64_t i = 0; i < b->elements / lanes; i++) {
		if (!l->used || !l->used[i])
			continue;
		if (on_line++ % 8 == 0) {
			str_add(&g->body, on_line > 1 ? ";\n" : "");
			cg_line(g);
			str_addf(&g->body, "%s ", type);
		} else {
			str_add(&g->body, ", ");
		}
		str_addf(&g->body, "%s%lld", l->stem, (long long)i);
		if (l->fill[i] && lanes == 1)
			str_addf(&g->body, " = %s", fill_value(b->dtype));
		else if (l->fill[i])
			str_addf(&g->body, " = %s(%s)", c_vector_all(g, b->dtype == DT_BOOL ? DT_U8 : b->dtype, lanes),
				 fill_value(b->dtype));
	}
	str_add(&g->body, on_line ? ";\n" : "");
}

static void alloc(struct cg *g, const struct lir_buffer *b, const struct cg_local *l)
{
	const char *type = c_scalar(g, b->dtype);
	long long total = (long long)b->elements + 2 * SLACK;

	if (cg_local_split(l)) {
		variables(g, b, l);
		return;
	}
	cg_line(g);
	str_addf(&g->body, "%s %s_mem_[%lld] __attribute__((aligned(64))), *const %s = %s_mem_ + %d;\n", type, l->name, total,
		 l->name, l->name, SLACK);
	cg_line(g);
	str_addf(&g->body, "for (%s i_ = 0; i_ < %lld; i_++)\n", c_scalar(g, DT_I64), total);
	cg_line(g);
	str_addf(&g->body, "\t%s_mem_[i_] = %s;\n", l->name, fill_value(b->dtype));
}

const struct cg_dialect cg_dialect_c = {
    .name = "c",
    .open = header,
    .close = footer,
    .expr = c_expr,
    .store = store,
    .let = let,
    .alloc = alloc,
    .loop = loop,
    .parallel = parallel,
    .is_reserved = is_reserved,
};
