/* gir_pass_precision.c: a network of f32 tensors becomes one of f16 or bf16
 *
 * Every tensor between the graph's inputs and outputs is narrowed, constants too; inputs and outputs keep their type, with a Cast
 * behind and in front of them. Operators whose f32 arguments are no activations (scales of a quantisation or of a resize) keep f32
 * throughout, between casts of their own. What an operator sums up, it sums in f32: its lowering says so.
 */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "graph/graph.h"

struct narrowing {
	struct gir_graph *g;
	enum dtype to;
	struct gir_value **wide, **narrow; /* per value of the graph before: its f32 and its narrow form; NULL: not made yet */
	uint32_t n;
};

static bool stays_wide(const struct gir_node *n)
{
	switch (n->op) {
	case GIR_RESIZE:
	case GIR_UPSAMPLE:
	case GIR_QUANTIZELINEAR:
	case GIR_DEQUANTIZELINEAR:
	case GIR_DYNAMICQUANTIZELINEAR:
	case GIR_QLINEARCONV:
	case GIR_QLINEARMATMUL:
	case GIR_RANGE: return true;
	default: return false;
	}
}

static const struct tensor *narrowed(struct narrowing *w, const struct tensor *t)
{
	struct tensor *out = tensor_new(w->g->arena, w->to, t->nd, t->dim);
	const float *from = t->data;
	uint16_t *to = out->data;

	for (int64_t i = 0; i < tensor_elements(t); i++)
		to[i] = w->to == DT_F16 ? f16_from_f32(from[i]) : bf16_from_f32(from[i]);
	return out;
}

static struct gir_value *cast(struct narrowing *w, struct gir_value *v, const char *name, enum dtype to, struct gir_node **node)
{
	static const int onnx[] = {[DT_F32] = 1, [DT_F16] = 10, [DT_BF16] = 16}; /* onnx.proto's TensorProto.DataType */
	struct gir_value *out = gir_value_typed(w->g, name, to, v->nd, v->dim);

	*node = gir_node(w->g, out->name, GIR_CAST, 1, &v, 1, &out);
	gir_set_int(w->g, *node, "to", onnx[to]);
	return out;
}

static void put(struct narrowing *w, struct gir_value *made_from, struct gir_node *cast)
{
	if (made_from->producer)
		gir_insert_after(w->g, made_from->producer, cast);
	else if (w->g->nodes.n)
		gir_insert_before(w->g, w->g->nodes.v[0], cast);
	else
		gir_append(w->g, cast);
}

/* The other form of a value that has one already. */
static struct gir_value *form(struct narrowing *w, struct gir_value *v, bool narrow)
{
	struct gir_value **want = narrow ? &w->narrow[v->id] : &w->wide[v->id], *have = narrow ? w->wide[v->id] : w->narrow[v->id];
	struct gir_node *node;

	if (*want)
		return *want;
	if (have->data) {
		*want = gir_const(w->g, arena_printf(w->g->arena, "%s.%s", v->name, dtype_name(w->to)), narrowed(w, have->data));
		return *want;
	}
	*want = cast(w, have, arena_printf(w->g->arena, "%s.%s", v->name, dtype_name(narrow ? w->to : DT_F32)),
		     narrow ? w->to : DT_F32, &node);
	put(w, have, node);
	return *want;
}

/* A value that other nodes make is narrow unless its maker stays wide. */
static void choose_forms(struct narrowing *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct gir_value *v = w->g->values.v[i];

		if (v->dtype != DT_F32)
			continue;
		if (!v->producer || stays_wide(v->producer)) {
			w->wide[i] = v;
		} else {
			v->dtype = w->to;
			v->known = v->known ? narrowed(w, v->known) : NULL;
			w->narrow[i] = v;
		}
	}
}

static void retarget(struct narrowing *w, struct gir_node *n)
{
	const struct gir_attr *to = gir_attr(n, "to");
	bool narrow = !stays_wide(n);

	for (uint32_t k = 0; k < n->nin; k++) {
		struct gir_value *v = n->in[k];

		if (v && v->id < w->n && (w->wide[v->id] || w->narrow[v->id]))
			n->in[k] = form(w, v, narrow);
	}
	if (narrow && n->op == GIR_CAST && to && to->i == 1)
		gir_set_int(w->g, n, "to", w->to == DT_F16 ? 10 : 16);
	for (uint32_t k = 0; narrow && k < n->nattrs; k++)
		if (n->attr[k].kind == GIR_ATTR_TENSOR && n->attr[k].tensor->dtype == DT_F32)
			n->attr[k].tensor = narrowed(w, n->attr[k].tensor);
}

/* Outputs keep name and type: the narrow value gets another name. */
static void widen_outputs(struct narrowing *w)
{
	for (size_t i = 0; i < w->g->outputs.n; i++) {
		struct gir_value *v = w->g->outputs.v[i];

		if (v->id < w->n && w->narrow[v->id] == v)
			w->g->outputs.v[i] = form(w, v, false);
	}
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct narrowing w = {.g = g, .to = o->precision, .n = (uint32_t)g->values.n};
	size_t nodes = g->nodes.n;
	struct gir_node **all;

	if (o->precision != DT_F16 && o->precision != DT_BF16) {
		arena_free(a);
		return true;
	}
	w.wide = ARENA_ARRAY(a, struct gir_value *, w.n + 1);
	w.narrow = ARENA_ARRAY(a, struct gir_value *, w.n + 1);
	all = arena_memdup(a, g->nodes.v, (nodes ? nodes : 1) * sizeof *all);
	choose_forms(&w);
	for (size_t i = 0; i < nodes; i++)
		retarget(&w, all[i]);
	widen_outputs(&w);
	*changed = true;
	arena_free(a);
	return true;
}

const struct gir_pass gir_pass_precision = {"precision", "narrow f32 tensors to the device's precision", 0, run, false};
