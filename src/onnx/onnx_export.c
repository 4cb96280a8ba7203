/* onnx_export.c: a graph as an ONNX file, for other runtimes to check */
#include <assert.h>
#include <string.h>

#include "onnx/onnx_internal.h"

#define NEW(T, init) ({ T *x_ = ARENA_NEW(a, T); init(x_); x_; })

static Onnx__TensorProto *tensor(struct arena *a, const struct tensor *t, const char *name)
{
	Onnx__TensorProto *p = NEW(Onnx__TensorProto, onnx__tensor_proto__init);

	p->name = (char *)name;
	p->n_dims = (size_t)t->nd;
	p->dims = arena_memdup(a, t->dim, (size_t)t->nd * sizeof *t->dim);
	p->has_data_type = 1;
	p->data_type = onnx_dtype_number(t->dtype);
	p->has_raw_data = 1;
	p->raw_data.len = tensor_bytes(t);
	p->raw_data.data = t->data;
	return p;
}

static Onnx__ValueInfoProto *value_info(struct arena *a, const struct gir_value *v, bool shape)
{
	Onnx__ValueInfoProto *p = NEW(Onnx__ValueInfoProto, onnx__value_info_proto__init);
	Onnx__TypeProto__Tensor *t = NEW(Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init);

	p->name = (char *)v->name;
	p->type = NEW(Onnx__TypeProto, onnx__type_proto__init);
	p->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	p->type->tensor_type = t;
	t->has_elem_type = 1;
	t->elem_type = onnx_dtype_number(v->dtype);
	if (!shape)
		return p;
	t->shape = NEW(Onnx__TensorShapeProto, onnx__tensor_shape_proto__init);
	t->shape->n_dim = (size_t)v->nd;
	t->shape->dim = ARENA_ARRAY(a, Onnx__TensorShapeProto__Dimension *, (size_t)v->nd);
	for (int i = 0; i < v->nd; i++) {
		t->shape->dim[i] = NEW(Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);
		t->shape->dim[i]->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		t->shape->dim[i]->dim_value = v->dim[i];
	}
	return p;
}

static ProtobufCBinaryData binary(const char *s)
{
	return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

static Onnx__AttributeProto *attribute(struct arena *a, const struct gir_attr *x)
{
	Onnx__AttributeProto *p = NEW(Onnx__AttributeProto, onnx__attribute_proto__init);

	p->name = (char *)x->name;
	p->has_type = 1;
	switch (x->kind) {
	case GIR_ATTR_FLOAT: p->type = 1; p->has_f = 1; p->f = x->f; break;
	case GIR_ATTR_INT: p->type = 2; p->has_i = 1; p->i = x->i; break;
	case GIR_ATTR_STRING: p->type = 3; p->has_s = 1; p->s = binary(x->s); break;
	case GIR_ATTR_TENSOR: p->type = 4; p->t = tensor(a, x->tensor, ""); break;
	case GIR_ATTR_FLOATS: p->type = 6; p->n_floats = x->n; p->floats = (float *)x->floats; break;
	case GIR_ATTR_INTS: p->type = 7; p->n_ints = x->n; p->ints = (int64_t *)x->ints; break;
	case GIR_ATTR_STRINGS:
		p->type = 8;
		p->n_strings = x->n;
		p->strings = ARENA_ARRAY(a, ProtobufCBinaryData, x->n);
		for (size_t i = 0; i < x->n; i++)
			p->strings[i] = binary(x->strings[i]);
		break;
	}
	return p;
}

static char **names(struct arena *a, struct gir_value *const *v, uint32_t n)
{
	char **out = ARENA_ARRAY(a, char *, n);

	for (uint32_t i = 0; i < n; i++)
		out[i] = v[i] ? (char *)v[i]->name : (char *)"";
	return out;
}

static Onnx__NodeProto *node(struct arena *a, const struct gir_node *n)
{
	Onnx__NodeProto *p = NEW(Onnx__NodeProto, onnx__node_proto__init);

	assert(!n->nfused && !gir_op_info(n->op)->internal);
	p->name = (char *)n->name;
	p->op_type = (char *)gir_op_info(n->op)->name;
	p->n_input = n->nin;
	p->input = names(a, n->in, n->nin);
	p->n_output = n->nout;
	p->output = names(a, n->out, n->nout);
	p->n_attribute = n->nattrs;
	p->attribute = ARENA_ARRAY(a, Onnx__AttributeProto *, n->nattrs);
	for (uint32_t i = 0; i < n->nattrs; i++)
		p->attribute[i] = attribute(a, &n->attr[i]);
	return p;
}

static Onnx__GraphProto *graph(struct arena *a, const struct gir_graph *g)
{
	Onnx__GraphProto *p = NEW(Onnx__GraphProto, onnx__graph_proto__init);

	p->name = (char *)g->name;
	p->node = ARENA_ARRAY(a, Onnx__NodeProto *, g->nodes.n);
	for (size_t i = 0; i < g->nodes.n; i++)
		p->node[p->n_node++] = node(a, g->nodes.v[i]);
	p->initializer = ARENA_ARRAY(a, Onnx__TensorProto *, g->values.n);
	for (size_t i = 0; i < g->values.n; i++)
		if (g->values.v[i]->data)
			p->initializer[p->n_initializer++] = tensor(a, g->values.v[i]->data, g->values.v[i]->name);
	p->input = ARENA_ARRAY(a, Onnx__ValueInfoProto *, g->inputs.n);
	for (size_t i = 0; i < g->inputs.n; i++)
		p->input[p->n_input++] = value_info(a, g->inputs.v[i], true);
	p->output = ARENA_ARRAY(a, Onnx__ValueInfoProto *, g->outputs.n);
	for (size_t i = 0; i < g->outputs.n; i++) /* a mutation may have changed shapes: they are left to the reader */
		p->output[p->n_output++] = value_info(a, g->outputs.v[i], false);
	return p;
}

bool onnx_export_bytes(struct arena *a, const struct gir_graph *g, struct bytes *out, struct err *e)
{
	Onnx__ModelProto *p = NEW(Onnx__ModelProto, onnx__model_proto__init);
	Onnx__OperatorSetIdProto *o = NEW(Onnx__OperatorSetIdProto, onnx__operator_set_id_proto__init);
	uint8_t *bytes;
	size_t n;

	p->has_ir_version = 1;
	p->ir_version = 7;
	p->producer_name = (char *)"mutatenn";
	o->domain = (char *)"";
	o->has_version = 1;
	o->version = g->opset;
	p->n_opset_import = 1;
	p->opset_import = &o;
	p->graph = graph(a, g);
	n = onnx__model_proto__get_packed_size(p);
	if (n > INT32_MAX)
		return err_set(e, ERR_UNSUPPORTED, "the graph '%s' needs %zu bytes; an ONNX file holds at most 2 GiB", g->name, n);
	bytes = arena_alloc(a, n);
	onnx__model_proto__pack(p, bytes);
	*out = (struct bytes){bytes, n};
	return true;
}

bool onnx_export(const char *path, const struct gir_graph *g, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct bytes b;
	bool ok = onnx_export_bytes(a, g, &b, e) && file_write(path, b.p, b.n, e);

	arena_free(a);
	return ok;
}
