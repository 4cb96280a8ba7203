/* onnx_model.c: small ONNX models and tensors written by the classes of the schema */
#include "onnx_model.h"

#include <string.h>

#include "base/arena.h"

#define NEW(a, T, init)                                                                                                            \
	({                                                                                                                         \
		T *x_ = ARENA_NEW(a, T);                                                                                           \
		init(x_);                                                                                                          \
		x_;                                                                                                                \
	})
#define PUSH(a, v, n, x) ((v) = grow((a), (v), (n)), (v)[(n)++] = (x))

/* Lists here are short. */
static void *grow(struct arena *a, const void *v, size_t n)
{
	void **out = ARENA_ARRAY(a, void *, n + 1);

	if (n)
		memcpy(out, v, n * sizeof *out);
	return out;
}

struct onnx_model *onnx_model_new(struct arena *a, int64_t opset)
{
	struct onnx_model *m = ARENA_NEW(a, struct onnx_model);

	m->a = a;
	onnx__model_proto__init(&m->p);
	onnx__graph_proto__init(&m->g);
	onnx__operator_set_id_proto__init(&m->opset);
	m->p.has_ir_version = 1;
	m->p.ir_version = 7;
	m->opset.domain = (char *)"";
	m->opset.has_version = 1;
	m->opset.version = opset;
	PUSH(a, m->p.opset_import, m->p.n_opset_import, &m->opset);
	m->p.graph = &m->g;
	m->g.name = (char *)"g";
	return m;
}

static Onnx__ValueInfoProto *value(struct arena *a, const char *name, int type, const int64_t *dim, size_t nd)
{
	Onnx__ValueInfoProto *v = NEW(a, Onnx__ValueInfoProto, onnx__value_info_proto__init);
	Onnx__TypeProto__Tensor *t = NEW(a, Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init);

	v->name = arena_strdup(a, name);
	v->type = NEW(a, Onnx__TypeProto, onnx__type_proto__init);
	v->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	v->type->tensor_type = t;
	t->has_elem_type = 1;
	t->elem_type = type;
	t->shape = NEW(a, Onnx__TensorShapeProto, onnx__tensor_shape_proto__init);
	for (size_t i = 0; i < nd; i++) {
		Onnx__TensorShapeProto__Dimension *d =
		    NEW(a, Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);

		d->value_case = dim[i] < 0 ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
					   : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
		if (dim[i] < 0)
			d->dim_param = (char *)"N";
		else
			d->dim_value = dim[i];
		PUSH(a, t->shape->dim, t->shape->n_dim, d);
	}
	return v;
}

Onnx__ValueInfoProto *onnx_model_input(struct onnx_model *m, const char *name, int type, const int64_t *dim, size_t nd)
{
	Onnx__ValueInfoProto *v = value(m->a, name, type, dim, nd);

	PUSH(m->a, m->g.input, m->g.n_input, v);
	return v;
}

Onnx__ValueInfoProto *onnx_model_output(struct onnx_model *m, const char *name)
{
	Onnx__ValueInfoProto *v = value(m->a, name, 1, NO_DIMS);

	v->type->tensor_type->shape = NULL;
	PUSH(m->a, m->g.output, m->g.n_output, v);
	return v;
}

static char **words(struct arena *a, const char *s, size_t *n)
{
	char **out = NULL;

	for (size_t len; *s; s += len + (s[len] == ' ')) {
		len = strcspn(s, " ");
		PUSH(a, out, *n, len == 1 && *s == '-' ? (char *)"" : arena_strndup(a, s, len));
	}
	return out;
}

Onnx__NodeProto *onnx_model_node(struct onnx_model *m, const char *op, const char *name, const char *in, const char *out)
{
	Onnx__NodeProto *n = NEW(m->a, Onnx__NodeProto, onnx__node_proto__init);

	n->op_type = (char *)op;
	if (name)
		n->name = (char *)name;
	n->input = words(m->a, in, &n->n_input);
	n->output = words(m->a, out, &n->n_output);
	PUSH(m->a, m->g.node, m->g.n_node, n);
	return n;
}

Onnx__AttributeProto *onnx_model_attr(struct onnx_model *m, Onnx__NodeProto *n, const char *name, int type)
{
	Onnx__AttributeProto *x = NEW(m->a, Onnx__AttributeProto, onnx__attribute_proto__init);

	x->name = (char *)name;
	x->has_type = x->has_f = x->has_i = 1; /* written, 0 unless the caller sets it */
	x->type = (Onnx__AttributeProto__AttributeType)type;
	PUSH(m->a, n->attribute, n->n_attribute, x);
	return x;
}

void onnx_model_initializer(struct onnx_model *m, Onnx__TensorProto *t)
{
	PUSH(m->a, m->g.initializer, m->g.n_initializer, t);
}

struct bytes onnx_model_bytes(struct onnx_model *m)
{
	size_t n = onnx__model_proto__get_packed_size(&m->p);
	uint8_t *p = arena_alloc(m->a, n);

	onnx__model_proto__pack(&m->p, p);
	return (struct bytes){p, n};
}

Onnx__TensorProto *onnx_model_tensor(struct arena *a, const char *name, int type, const int64_t *dim, size_t nd)
{
	Onnx__TensorProto *t = NEW(a, Onnx__TensorProto, onnx__tensor_proto__init);

	t->name = (char *)name;
	t->has_data_type = 1;
	t->data_type = type;
	t->dims = arena_memdup(a, dim, nd * sizeof *dim);
	t->n_dims = nd;
	return t;
}

Onnx__TensorProto *onnx_model_raw(struct arena *a, const char *name, int type, const int64_t *dim, size_t nd, const void *raw,
				  size_t n)
{
	Onnx__TensorProto *t = onnx_model_tensor(a, name, type, dim, nd);

	t->has_raw_data = 1;
	t->raw_data.data = arena_memdup(a, raw, n);
	t->raw_data.len = n;
	return t;
}

static void entry(struct arena *a, Onnx__TensorProto *t, const char *key, const char *text)
{
	Onnx__StringStringEntryProto *x = NEW(a, Onnx__StringStringEntryProto, onnx__string_string_entry_proto__init);

	if (!text)
		return;
	x->key = (char *)key;
	x->value = (char *)text;
	PUSH(a, t->external_data, t->n_external_data, x);
}

Onnx__TensorProto *onnx_model_external(struct arena *a, const char *name, int type, const int64_t *dim, size_t nd,
				       const char *location, const char *offset, const char *length)
{
	Onnx__TensorProto *t = onnx_model_tensor(a, name, type, dim, nd);

	t->has_data_location = 1;
	t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
	entry(a, t, "location", location);
	entry(a, t, "offset", offset);
	entry(a, t, "length", length);
	return t;
}

struct bytes onnx_model_tensor_bytes(struct arena *a, const Onnx__TensorProto *t)
{
	size_t n = onnx__tensor_proto__get_packed_size(t);
	uint8_t *p = arena_alloc(a, n);

	onnx__tensor_proto__pack(t, p);
	return (struct bytes){p, n};
}
