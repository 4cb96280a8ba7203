/* onnx_model.h: small ONNX models and tensors written by the classes of the schema, for tests of the reader */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "onnx.pb-c.h"

struct arena;

struct onnx_model {
	struct arena *a;
	Onnx__ModelProto p;
	Onnx__GraphProto g;
	Onnx__OperatorSetIdProto opset;
};

#define DIMS(...) (const int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)
#define NO_DIMS NULL, 0

/* IR version 7 */
struct onnx_model *onnx_model_new(struct arena *a, int64_t opset);
/* A dimension below zero gets the name "N" instead of a number. */
Onnx__ValueInfoProto *onnx_model_input(struct onnx_model *m, const char *name, int type, const int64_t *dim, size_t nd);
Onnx__ValueInfoProto *onnx_model_output(struct onnx_model *m, const char *name);
/* Names of inputs and outputs are separated by single spaces; "-" is one left out. name may be NULL. */
Onnx__NodeProto *onnx_model_node(struct onnx_model *m, const char *op, const char *name, const char *in, const char *out);
Onnx__AttributeProto *onnx_model_attr(struct onnx_model *m, Onnx__NodeProto *n, const char *name, int type);
void onnx_model_initializer(struct onnx_model *m, Onnx__TensorProto *t);
struct bytes onnx_model_bytes(struct onnx_model *m);

/* Without data; the caller fills one of its fields. */
Onnx__TensorProto *onnx_model_tensor(struct arena *a, const char *name, int type, const int64_t *dim, size_t nd);
Onnx__TensorProto *onnx_model_raw(struct arena *a, const char *name, int type, const int64_t *dim, size_t nd, const void *raw,
				  size_t n);
/* offset or length may be NULL. */
Onnx__TensorProto *onnx_model_external(struct arena *a, const char *name, int type, const int64_t *dim, size_t nd,
				       const char *location, const char *offset, const char *length);
struct bytes onnx_model_tensor_bytes(struct arena *a, const Onnx__TensorProto *t);
