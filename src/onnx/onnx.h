/* onnx/onnx.h: ONNX files to graphs and back */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "graph/graph.h"

struct arena;
struct bytes;
struct err;

/* A graph input whose value is given: it becomes a constant (an input that fixes a shape). */
struct onnx_bind {
	const char *input;
	const struct tensor *value;
};

struct onnx_options {
	int batch;                        /* a first dimension that is not a number; 0: 1 */
	const struct onnx_bind *bind;
	size_t nbind;
};

/* Types of inputs and constants are set; those of computed values are inferred elsewhere. Tensor data may lie in the arena.
 * Errors name the place; everything unsupported is one error (ERR_UNSUPPORTED) that lists each node. */
bool onnx_import(struct arena *a, const char *path, const struct onnx_options *o, struct gir_graph **out, struct err *e);
/* dir: where external data lie; NULL refuses them. */
bool onnx_import_bytes(struct arena *a, const char *name, const char *dir, const void *bytes, size_t n, const struct onnx_options *o,
                       struct gir_graph **out, struct err *e);
/* An imported graph (no fused, blocked or internal nodes), mutated or not, as an ONNX file of IR version 7. ONNX files end at 2 GiB:
 * more is an error. */
bool onnx_export_bytes(struct arena *a, const struct gir_graph *g, struct bytes *out, struct err *e);
bool onnx_export(const char *path, const struct gir_graph *g, struct err *e);
/* A file with one TensorProto, as ONNX's test data has them. */
bool onnx_tensor_read(struct arena *a, const char *path, struct tensor **out, const char **name, struct err *e);
