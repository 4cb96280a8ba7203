/* onnx_import.c: ModelProto to the graph IR */
#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "onnx/onnx_internal.h"

struct import {
	struct arena *a;
	const struct onnx_options *o;
	const char *dir;
	struct gir_graph *g;
	struct map *value;                /* ONNX name -> gir_value */
	struct map *node_names;           /* name -> the last number made for it */
	struct map *input_names;
	struct str unsupported;
	int nunsupported;
	struct err *e;
};

/* The length of the UTF-8 character that p begins with, 0 when it is none or may steer a terminal. */
static int character(const unsigned char *p)
{
	int n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;

	if (*p < 32 || *p == 127 || (*p == 0xc2 && p[1] < 0xa0)) /* C0, DEL, C1 */
		return 0;
	for (int i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* Names go into ids of mutants, tables, JSON and generated text: '_' in place of every byte that is not readable UTF-8. */
static const char *clean(struct arena *a, const char *name)
{
	char *out = NULL;

	for (size_t i = 0; name[i];) {
		int n = character((const unsigned char *)name + i);

		if (!n && !out)
			out = arena_strdup(a, name);
		if (!n)
			out[i] = '_';
		i += n ? (size_t)n : 1;
	}
	return out ? out : name;
}

static void unsupported(struct import *m, const Onnx__NodeProto *n, size_t index, const char *reason)
{
	str_addf(&m->unsupported, "%snode %zu '%s': %s%s%s (opset %d): %s", m->nunsupported++ ? "; " : "", index, n->name ? n->name : "",
	         n->domain && *n->domain ? n->domain : "", n->domain && *n->domain ? "." : "", n->op_type ? n->op_type : "", m->g->opset, reason);
}

/* ---- attributes ---- */

static const int64_t *copy_ints(struct arena *a, const int64_t *v, size_t n)
{
	return arena_memdup(a, v, n * sizeof *v);
}

/* NULL reason: taken. */
static const char *attribute(struct import *m, const Onnx__AttributeProto *p, struct gir_attr *out)
{
	struct tensor *t;
	const char **strings, *text;
	struct err why = {0};

	*out = (struct gir_attr){.name = clean(m->a, p->name ? p->name : "")};
	if (p->ref_attr_name && *p->ref_attr_name)
		return "an attribute of a function";
	switch (p->type) {
	case 1: out->kind = GIR_ATTR_FLOAT; out->f = p->f; return NULL;
	case 2: out->kind = GIR_ATTR_INT; out->i = p->i; return NULL;
	case 3:
		out->kind = GIR_ATTR_STRING;
		if (p->s.len && memchr(p->s.data, 0, p->s.len))
			return "a string attribute with a NUL";
		out->s = arena_strndup(m->a, (const char *)p->s.data, p->s.len);
		return NULL;
	case 4:
		if (!p->t || !onnx_tensor(m->a, p->t, m->dir, &t, &why)) {
			text = arena_printf(m->a, "a tensor attribute that cannot be read%s%s", p->t ? ": " : "", err_text(&why));
			err_free(&why);
			return text;
		}
		out->kind = GIR_ATTR_TENSOR;
		out->tensor = t;
		return NULL;
	case 6:
		out->kind = GIR_ATTR_FLOATS;
		out->floats = arena_memdup(m->a, p->floats, p->n_floats * sizeof *p->floats);
		out->n = p->n_floats;
		return NULL;
	case 7:
		out->kind = GIR_ATTR_INTS;
		out->ints = copy_ints(m->a, p->ints, p->n_ints);
		out->n = p->n_ints;
		return NULL;
	case 8:
		out->kind = GIR_ATTR_STRINGS;
		strings = ARENA_ARRAY(m->a, const char *, p->n_strings);
		for (size_t i = 0; i < p->n_strings; i++) {
			if (p->strings[i].len && memchr(p->strings[i].data, 0, p->strings[i].len))
				return "a string attribute with a NUL";
			strings[i] = arena_strndup(m->a, (const char *)p->strings[i].data, p->strings[i].len);
		}
		out->strings = strings;
		out->n = p->n_strings;
		return NULL;
	case 5:
	case 10: return "a graph as attribute (control flow)";
	default: return "an attribute of an unsupported kind";
	}
}

/* ---- Constant ---- */

static struct tensor *from_list(struct arena *a, const struct gir_attr *x)
{
	bool list = x->kind == GIR_ATTR_INTS || x->kind == GIR_ATTR_FLOATS;
	bool ints = x->kind == GIR_ATTR_INTS || x->kind == GIR_ATTR_INT;
	struct tensor *t = tensor_new(a, ints ? DT_I64 : DT_F32, list, (int64_t[]){(int64_t)x->n});

	if (!list && ints)
		*(int64_t *)t->data = x->i;
	else if (!list)
		*(float *)t->data = x->f;
	else
		memcpy(t->data, ints ? (const void *)x->ints : (const void *)x->floats, tensor_bytes(t));
	return t;
}

static const struct tensor *constant(struct import *m, const struct gir_attr *attr, size_t n)
{
	static const struct {
		const char *name;
		enum gir_attr_kind kind;
	} lists[] = {{"value_float", GIR_ATTR_FLOAT}, {"value_floats", GIR_ATTR_FLOATS}, {"value_int", GIR_ATTR_INT}, {"value_ints", GIR_ATTR_INTS}};

	for (size_t i = 0; i < n; i++) {
		if (!strcmp(attr[i].name, "value") && attr[i].kind == GIR_ATTR_TENSOR)
			return attr[i].tensor;
		for (size_t k = 0; k < 4; k++)
			if (!strcmp(attr[i].name, lists[k].name) && attr[i].kind == lists[k].kind)
				return from_list(m->a, &attr[i]);
	}
	return NULL;
}

/* ---- nodes ---- */

static bool define(struct import *m, const char *name, struct gir_value *v)
{
	if (map_has(m->value, name))
		return err_set(m->e, ERR_PARSE, "value '%s' is made twice", name);
	map_put(m->value, name, v);
	return true;
}

static bool inputs(struct import *m, const Onnx__NodeProto *n, size_t index, struct gir_value **in)
{
	for (size_t i = 0; i < n->n_input; i++) {
		if (!*n->input[i])
			continue;
		in[i] = map_get(m->value, n->input[i]);
		if (!in[i])
			return err_set(m->e, ERR_PARSE, "node %zu '%s' (%s): input '%s' is made by nobody before it (is the graph cyclic or unsorted?)", index,
			               n->name ? n->name : "", n->op_type, n->input[i]);
	}
	return true;
}

static const char *node_name(struct import *m, const Onnx__NodeProto *n, size_t index)
{
	const char *want = n->name && *n->name ? clean(m->a, n->name) : arena_printf(m->a, "%s_%zu", n->op_type, index), *name = want;

	uintptr_t i = (uintptr_t)map_get(m->node_names, want);

	while (map_has(m->node_names, name))
		name = arena_printf(m->a, "%s_%d", want, (int)++i);
	if (i)
		map_put(m->node_names, want, (void *)i); /* a thousand nodes of one name do not search from 1 each time */
	map_put(m->node_names, name, NULL);
	return name;
}

static bool outputs(struct import *m, const Onnx__NodeProto *n, struct gir_value **out)
{
	for (size_t i = 0; i < n->n_output; i++) {
		if (!*n->output[i])
			continue;
		out[i] = gir_value(m->g, clean(m->a, n->output[i]));
		if (!define(m, n->output[i], out[i]))
			return false;
	}
	return true;
}

static bool node(struct import *m, const Onnx__NodeProto *n, size_t index)
{
	struct gir_attr *attr = ARENA_ARRAY(m->a, struct gir_attr, n->n_attribute);
	struct gir_value **in = ARENA_ARRAY(m->a, struct gir_value *, n->n_input), **out = ARENA_ARRAY(m->a, struct gir_value *, n->n_output);
	const char *op_type = n->op_type ? n->op_type : "", *why = NULL;
	const struct tensor *value = NULL;
	struct gir_node *made;
	enum gir_op op;

	if (n->domain && *n->domain && strcmp(n->domain, "ai.onnx"))
		why = "operators of this domain are not supported";
	else if (!gir_op_find(op_type, &op) || gir_op_info(op)->internal)
		why = "the operator is not supported";
	for (size_t i = 0; i < n->n_attribute && !why; i++)
		why = attribute(m, n->attribute[i], &attr[i]);
	if (!why && op == GIR_CONSTANT && !(value = constant(m, attr, n->n_attribute)))
		why = "a constant that is not a numeric tensor";
	if (why)
		unsupported(m, n, index, why);
	if (value) {
		struct gir_value *v;

		if (n->n_output != 1 || !*n->output[0])
			return err_set(m->e, ERR_PARSE, "node %zu (Constant) has no output", index);
		v = gir_const(m->g, clean(m->a, n->output[0]), value);
		return define(m, n->output[0], v);
	}
	if (!inputs(m, n, index, in) || !outputs(m, n, out))
		return false;
	if (why)
		return true; /* its outputs exist, so that later nodes are judged on their own */
	made = gir_node(m->g, node_name(m, n, index), op, (uint32_t)n->n_input, in, (uint32_t)n->n_output, out);
	made->attr = attr;
	made->nattrs = (uint32_t)n->n_attribute;
	gir_append(m->g, made);
	return true;
}

/* ---- values ---- */

static bool initializers(struct import *m, const Onnx__GraphProto *g)
{
	if (g->n_sparse_initializer)
		return err_set(m->e, ERR_UNSUPPORTED, "sparse initializers are not supported");
	for (size_t i = 0; i < g->n_initializer; i++) {
		const Onnx__TensorProto *p = g->initializer[i];
		struct tensor *t;

		if (!p->name || !*p->name)
			return err_set(m->e, ERR_PARSE, "initializer %zu has no name", i);
		if (!onnx_tensor(m->a, p, m->dir, &t, m->e))
			return err_in(m->e, "initializer '%s'", p->name);
		if (!define(m, p->name, gir_const(m->g, clean(m->a, p->name), t)))
			return false;
	}
	return true;
}

static const struct tensor *bound(const struct import *m, const char *name)
{
	for (size_t i = 0; i < m->o->nbind; i++)
		if (!strcmp(m->o->bind[i].input, name))
			return m->o->bind[i].value;
	return NULL;
}

static bool input_dims(struct import *m, const char *name, const Onnx__TensorShapeProto *s, int64_t *dim, int *nd)
{
	int64_t elements;

	*nd = (int)s->n_dim;
	if (s->n_dim > MAX_DIMS - 1)
		return err_set(m->e, ERR_UNSUPPORTED, "input '%s' has %zu dimensions, at most %d are supported", name, s->n_dim, MAX_DIMS - 1);
	for (size_t i = 0; i < s->n_dim; i++) {
		const Onnx__TensorShapeProto__Dimension *d = s->dim[i];
		bool named;

		named = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
		dim[i] = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ? d->dim_value : -1;
		/* exporters write an open batch as a name, as -1, or as 0 in front of a picture's dimensions */
		if (i == 0 && (dim[i] < 0 || (dim[i] == 0 && s->n_dim == 4)))
			dim[i] = m->o->batch > 0 ? m->o->batch : 1;
		if (dim[i] < 0)
			return err_set(m->e, ERR_UNSUPPORTED, "input '%s': dimension %zu%s%s%s is not a number", name, i,
			               named ? " ('" : "", named ? d->dim_param : "", named ? "')" : "");
	}
	if (!dims_elements(dim, *nd, &elements) || elements > (int64_t)1 << 33)
		return err_set(m->e, ERR_PARSE, "input '%s': %s is an absurd shape", name, dims_text(m->a, dim, *nd));
	return true;
}

static bool input(struct import *m, const Onnx__ValueInfoProto *p)
{
	const char *name = p->name ? p->name : "";
	const Onnx__TypeProto__Tensor *t = p->type && p->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? p->type->tensor_type : NULL;
	const struct tensor *value = bound(m, name);
	int64_t dim[MAX_DIMS];
	struct gir_value *v;
	enum dtype dt;
	int nd;

	if (!*name)
		return err_set(m->e, ERR_PARSE, "an input has no name");
	if (map_has(m->value, name)) {
		v = map_get(m->value, name);
		if (!v->data || map_has(m->input_names, name))
			return err_set(m->e, ERR_PARSE, "input '%s' is declared twice", name);
		map_put(m->input_names, name, v);
		return true; /* an initializer: its value is the input's default */
	}
	map_put(m->input_names, name, m);
	if (value)
		return define(m, name, gir_const(m->g, clean(m->a, name), value));
	if (!t)
		return err_set(m->e, ERR_UNSUPPORTED, "input '%s' is not a tensor (a sequence, an optional or a map)", name);
	if (!onnx_dtype(t->elem_type, &dt))
		return err_set(m->e, ERR_UNSUPPORTED, "input '%s' is of type %s", name, onnx_dtype_name(t->elem_type));
	if (!t->shape)
		return err_set(m->e, ERR_UNSUPPORTED, "input '%s' has no shape", name);
	if (!input_dims(m, name, t->shape, dim, &nd))
		return false;
	v = gir_value_typed(m->g, clean(m->a, name), dt, nd, dim);
	vec_push(m->g->arena, &m->g->inputs, v);
	return define(m, name, v);
}

static bool build(struct import *m, const Onnx__GraphProto *g)
{
	if (!initializers(m, g))
		return false;
	for (size_t i = 0; i < g->n_input; i++)
		if (!input(m, g->input[i]))
			return false;
	for (size_t i = 0; i < g->n_node; i++)
		if (!node(m, g->node[i], i))
			return false;
	if (m->nunsupported)
		return err_set(m->e, ERR_UNSUPPORTED, "%d node%s not supported: %s", m->nunsupported, m->nunsupported > 1 ? "s are" : " is",
		               str_text(&m->unsupported));
	for (size_t i = 0; i < g->n_output; i++) {
		struct gir_value *v = g->output[i]->name ? map_get(m->value, g->output[i]->name) : NULL;
		const Onnx__TypeProto *t = g->output[i]->type;

		if (t && t->value_case != ONNX__TYPE_PROTO__VALUE__NOT_SET && t->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
			return err_set(m->e, ERR_UNSUPPORTED, "output '%s' is not a tensor (a sequence, an optional or a map)", g->output[i]->name);

		if (!v)
			return err_set(m->e, ERR_PARSE, "output '%s' is made by nobody", g->output[i]->name ? g->output[i]->name : "");
		vec_push(m->g->arena, &m->g->outputs, v);
	}
	return m->g->outputs.n || err_set(m->e, ERR_PARSE, "the graph has no outputs");
}

static bool opset(const Onnx__ModelProto *p, int *out, struct err *e)
{
	int64_t version = 17; /* a model of other domains only: its nodes are what is not supported */

	for (size_t i = 0; i < p->n_opset_import; i++)
		if (!p->opset_import[i]->domain || !*p->opset_import[i]->domain || !strcmp(p->opset_import[i]->domain, "ai.onnx"))
			version = p->opset_import[i]->version;
	if (version < 1 || version > 22)
		return err_set(e, ERR_UNSUPPORTED, "opset %lld of the default domain; 1 to 22 are supported", (long long)version);
	*out = (int)version;
	return true;
}

static bool import(struct arena *a, const char *name, const char *dir, const void *bytes, size_t n, bool mapped, const struct onnx_options *o,
                   struct gir_graph **out, struct err *e)
{
	static const struct onnx_options defaults;
	struct import m = {.a = a, .o = o ? o : &defaults, .dir = dir, .value = map_new(a), .node_names = map_new(a), .input_names = map_new(a), .e = e};
	Onnx__ModelProto *p = mapped ? onnx_unpack_mapped(a, bytes, n, e) : onnx_unpack(a, &onnx__model_proto__descriptor, bytes, n, e);
	int version = 0;
	bool ok;

	if (!p)
		return false;
	if (!p->graph)
		return err_set(e, ERR_PARSE, "no graph: not an ONNX model");
	if (p->has_ir_version && p->ir_version > 10)
		return err_set(e, ERR_UNSUPPORTED, "IR version %lld; up to 10 are supported", (long long)p->ir_version);
	if (p->n_functions)
		return err_set(e, ERR_UNSUPPORTED, "models with functions of their own are not supported");
	if (!opset(p, &version, e))
		return false;
	m.g = gir_new(a, name, version);
	ok = build(&m, p->graph);
	str_free(&m.unsupported);
	*out = m.g;
	return ok && gir_verify(m.g, e);
}

bool onnx_import_bytes(struct arena *a, const char *name, const char *dir, const void *bytes, size_t n, const struct onnx_options *o,
                       struct gir_graph **out, struct err *e)
{
	return import(a, name, dir, bytes, n, false, o, out, e);
}

bool onnx_import(struct arena *a, const char *path, const struct onnx_options *o, struct gir_graph **out, struct err *e)
{
	struct bytes b;
	bool ok;

	if (!file_map(path, &b, e))
		return false;
	ok = import(a, file_stem(a, path), file_dir(a, path), b.p, b.n, true, o, out, e);
	file_unmap(b);
	return ok;
}
