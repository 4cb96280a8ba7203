/* gir_print.c: a graph as text; docs/graph-ir.md has the grammar
 *
 *     graph "net" opset 13 {
 *       input "x": f32[1,3,32,32]
 *       const "w": f32[16,3,3,3] = hash "0123..."        (small ones, and all with `full`: = {1, 2.5, ...})
 *       "conv1" = Conv("x", "w", _) {pads = [1,1,1,1]} -> "y": f32[1,16,32,32] block 16
 *         | "relu1" = Relu(.) -> "z": f32[1,16,32,32]     (fused: `.` is the value so far)
 *       output "z"
 *     }
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "graph/graph.h"

#define SMALL_ELEMENTS 8 /* a constant up to here says more by its values than by its hash */

static void add_name(struct str *s, const char *name)
{
	str_addc(s, '"');
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c == '"' || c == '\\' || c < 32 || c == 127)
			str_addf(s, "\\x%02x", c);
		else
			str_addc(s, *name);
	}
	str_addc(s, '"');
}

static void add_type(struct str *s, enum dtype t, int nd, const int64_t *dim)
{
	str_addf(s, "%s[", dtype_name(t));
	for (int i = 0; i < nd; i++)
		str_addf(s, "%s%lld", i ? "," : "", (long long)dim[i]);
	str_addc(s, ']');
}

/* The fewest digits that read back as the same value of the type. */
static void add_float(struct str *s, enum dtype type, double v)
{
	static const int start[DT_COUNT] = {
	    [DT_F16] = 3, [DT_BF16] = 2, [DT_F32] = 6, [DT_F64] = 15}; /* as many survive, but for the smallest numbers */
	struct tensor t = {.dtype = type, .data = &(double){0}};
	char text[40];

	if (isnan(v)) {
		str_add(s, signbit(v) ? "-nan" : "nan");
	} else if (isinf(v)) {
		str_add(s, v < 0 ? "-inf" : "inf");
	} else {
		for (int digits = fabs(v) < 1e-4 ? 1 : start[type]; digits <= 17; digits++) {
			snprintf(text, sizeof text, "%.*g", digits, v);
			tensor_set_f64(&t, 0, strtod(text, NULL));
			if (tensor_get_f64(&t, 0) == v)
				break;
		}
		str_add(s, text);
	}
}

static void add_elements(struct str *s, const struct tensor *t)
{
	int64_t n = tensor_elements(t);

	str_addc(s, '{');
	for (int64_t i = 0; i < n; i++) {
		str_add(s, i ? ", " : "");
		if (dtype_is_float(t->dtype))
			add_float(s, t->dtype, tensor_get_f64(t, i));
		else if (t->dtype == DT_U64)
			str_addf(s, "%llu", (unsigned long long)tensor_get_i64(t, i));
		else
			str_addf(s, "%lld", (long long)tensor_get_i64(t, i));
	}
	str_addc(s, '}');
}

static void add_hash(struct str *s, struct hash h)
{
	char hex[HASH_HEX];

	str_addf(s, "hash \"%s\"", hash_hex(h, hex));
}

/* Told from an integer by its fraction or exponent. */
static void add_attr_float(struct str *s, float f)
{
	size_t from = s->n;

	add_float(s, DT_F32, (double)f);
	if (isfinite(f) && !strpbrk(s->s + from, ".e"))
		str_add(s, ".0");
}

static void add_list(struct str *s, const struct gir_attr *a)
{
	if (!a->n && a->kind != GIR_ATTR_INTS)
		str_add(s, a->kind == GIR_ATTR_FLOATS ? "floats " : "strings ");
	str_addc(s, '[');
	for (size_t i = 0; i < a->n; i++) {
		str_add(s, i ? "," : "");
		if (a->kind == GIR_ATTR_INTS)
			str_addf(s, "%lld", (long long)a->ints[i]);
		else if (a->kind == GIR_ATTR_FLOATS)
			add_attr_float(s, a->floats[i]);
		else
			add_name(s, a->strings[i]);
	}
	str_addc(s, ']');
}

static bool is_word(const char *s)
{
	if (!isalpha((unsigned char)*s) && *s != '_')
		return false;
	while (isalnum((unsigned char)*s) || *s == '_')
		s++;
	return !*s;
}

static void add_attr(struct str *s, const struct gir_attr *a)
{
	if (is_word(a->name))
		str_add(s, a->name);
	else
		add_name(s, a->name);
	str_add(s, " = ");
	switch (a->kind) {
	case GIR_ATTR_INT: str_addf(s, "%lld", (long long)a->i); break;
	case GIR_ATTR_FLOAT: add_attr_float(s, a->f); break;
	case GIR_ATTR_STRING: add_name(s, a->s); break;
	case GIR_ATTR_INTS:
	case GIR_ATTR_FLOATS:
	case GIR_ATTR_STRINGS: add_list(s, a); break;
	case GIR_ATTR_TENSOR:
		add_type(s, a->tensor->dtype, a->tensor->nd, a->tensor->dim);
		str_addc(s, ' ');
		add_elements(s, a->tensor);
		break;
	}
}

static void add_value(struct str *s, const struct gir_value *v)
{
	add_name(s, v->name);
	str_add(s, ": ");
	if (v->typed)
		add_type(s, v->dtype, v->nd, v->dim);
	else
		str_addc(s, '?');
	if (v->block)
		str_addf(s, " block %d", v->block);
}

static void add_node(struct str *s, const struct gir_node *n, int chain_slot, const struct gir_value *out0)
{
	add_name(s, n->name);
	str_addf(s, " = %s(", gir_op_info(n->op)->name);
	for (uint32_t i = 0; i < n->nin; i++) {
		str_add(s, i ? ", " : "");
		if ((int)i == chain_slot)
			str_addc(s, '.');
		else if (n->in[i])
			add_name(s, n->in[i]->name);
		else
			str_addc(s, '_');
	}
	str_addc(s, ')');
	for (uint32_t i = 0; i < n->nattrs; i++) {
		str_add(s, i ? ", " : " {");
		add_attr(s, &n->attr[i]);
	}
	str_add(s, n->nattrs ? "} -> " : " -> ");
	for (uint32_t i = 0; i < n->nout; i++) {
		str_add(s, i ? ", " : "");
		if (n->out[i])
			add_value(s, i ? n->out[i] : out0);
		else
			str_addc(s, '_');
	}
	str_addc(s, '\n');
}

static void add_constants(struct str *s, const struct gir_graph *g, bool full)
{
	struct arena *a = arena_new(NULL);
	const uint32_t *uses = gir_count_uses(a, g);

	for (size_t i = 0; i < g->values.n; i++) {
		const struct gir_value *v = g->values.v[i];

		if (!uses[v->id] || (!v->data && hash_is_zero(v->hash)))
			continue;
		str_add(s, "  const ");
		add_value(s, v);
		str_add(s, " = ");
		if (v->data && (full || tensor_elements(v->data) <= SMALL_ELEMENTS))
			add_elements(s, v->data);
		else
			add_hash(s, v->data ? tensor_hash(v->data) : v->hash);
		str_addc(s, '\n');
	}
	arena_free(a);
}

void gir_print(struct str *s, const struct gir_graph *g, bool full)
{
	str_add(s, "graph ");
	add_name(s, g->name);
	str_addf(s, " opset %d {\n", g->opset);
	for (size_t i = 0; i < g->inputs.n; i++) {
		str_add(s, "  input ");
		add_value(s, g->inputs.v[i]);
		str_addc(s, '\n');
	}
	add_constants(s, g, full);
	for (size_t i = 0; i < g->nodes.n; i++) {
		const struct gir_node *n = g->nodes.v[i];

		str_add(s, "  ");
		add_node(s, n, -1, n->nfused ? n->fused[0].node->in[n->fused[0].slot] : n->nout ? n->out[0] : NULL);
		for (uint32_t k = 0; k < n->nfused; k++) {
			str_add(s, "    | ");
			add_node(s, n->fused[k].node, (int)n->fused[k].slot, n->fused[k].node->out[0]);
		}
	}
	for (size_t i = 0; i < g->outputs.n; i++) {
		str_add(s, "  output ");
		add_name(s, g->outputs.v[i]->name);
		str_addc(s, '\n');
	}
	str_add(s, "}\n");
}
