/* gir_print.c: a graph as text
 *
 *     graph "net" opset 13 {
 *       input "x": f32[1,3,32,32]
 *       const "w": f32[16,3,3,3] = #0123...              (a hash; with `full`: = {1, 2.5, ...})
 *       "conv1" = Conv("x", "w", _) {pads = [1,1,1,1]} -> "y": f32[1,16,32,32] block 16
 *         | "relu1" = Relu(.) -> "z": f32[1,16,32,32]     (fused: `.` is the value so far)
 *       output "z"
 *     }
 */
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "graph/graph.h"

static void add_name(struct str *s, const char *name)
{
	str_addc(s, '"');
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c == '"' || c == '\\' || c < 32)
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

static void add_tensor(struct str *s, const struct tensor *t, bool full)
{
	int64_t n = tensor_elements(t);
	char hex[HASH_HEX];

	if (!full) {
		str_addf(s, "#%s", hash_hex(tensor_hash(t), hex));
		return;
	}
	str_addc(s, '{');
	for (int64_t i = 0; i < n; i++) {
		str_add(s, i ? ", " : "");
		if (dtype_is_float(t->dtype))
			str_addf(s, "%.17g", tensor_get_f64(t, i));
		else
			str_addf(s, "%lld", (long long)tensor_get_i64(t, i));
	}
	str_addc(s, '}');
}

static void add_attr(struct str *s, const struct gir_attr *a, bool full)
{
	str_addf(s, "%s = ", a->name);
	switch (a->kind) {
	case GIR_ATTR_INT: str_addf(s, "%lld", (long long)a->i); break;
	case GIR_ATTR_FLOAT: str_addf(s, "%.9gf", (double)a->f); break;
	case GIR_ATTR_STRING: add_name(s, a->s); break;
	case GIR_ATTR_INTS:
	case GIR_ATTR_FLOATS:
	case GIR_ATTR_STRINGS:
		str_addc(s, '[');
		for (size_t i = 0; i < a->n; i++) {
			str_add(s, i ? "," : "");
			if (a->kind == GIR_ATTR_INTS)
				str_addf(s, "%lld", (long long)a->ints[i]);
			else if (a->kind == GIR_ATTR_FLOATS)
				str_addf(s, "%.9gf", (double)a->floats[i]);
			else
				add_name(s, a->strings[i]);
		}
		str_addc(s, ']');
		break;
	case GIR_ATTR_TENSOR:
		add_type(s, a->tensor->dtype, a->tensor->nd, a->tensor->dim);
		str_addc(s, ' ');
		add_tensor(s, a->tensor, full);
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

static void add_node(struct str *s, const struct gir_node *n, int chain_slot, const struct gir_value *out0, bool full)
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
		add_attr(s, &n->attr[i], full);
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
	for (size_t i = 0; i < g->values.n; i++) {
		if (!g->values.v[i]->data)
			continue;
		str_add(s, "  const ");
		add_value(s, g->values.v[i]);
		str_add(s, " = ");
		add_tensor(s, g->values.v[i]->data, full);
		str_addc(s, '\n');
	}
	for (size_t i = 0; i < g->nodes.n; i++) {
		const struct gir_node *n = g->nodes.v[i];

		str_add(s, "  ");
		add_node(s, n, -1, n->nfused ? n->fused[0].node->in[n->fused[0].slot] : n->nout ? n->out[0] : NULL, full);
		for (uint32_t k = 0; k < n->nfused; k++) {
			str_add(s, "    | ");
			add_node(s, n->fused[k].node, (int)n->fused[k].slot, n->fused[k].node->out[0], full);
		}
	}
	for (size_t i = 0; i < g->outputs.n; i++) {
		str_add(s, "  output ");
		add_name(s, g->outputs.v[i]->name);
		str_addc(s, '\n');
	}
	str_add(s, "}\n");
}
