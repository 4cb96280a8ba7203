/* onnx_internal.h: shared by the files of onnx/ */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "onnx.pb-c.h"
#include "onnx/onnx.h"

/* Checks lengths and nesting (64 levels at most) of a serialised message before anything is allocated for it. */
bool onnx_scan(const ProtobufCMessageDescriptor *d, const uint8_t *p, size_t n, struct err *e);
/* Unpacked into the arena; never freed. */
void *onnx_unpack(struct arena *a, const ProtobufCMessageDescriptor *d, const void *bytes, size_t n, struct err *e);
/* The same of a model in a private mapping of a file, whose pages are given back as weights are copied. */
Onnx__ModelProto *onnx_unpack_mapped(struct arena *a, const void *bytes, size_t n, struct err *e);
/* p lies in a private mapping of a file that nobody has written to (file_map): pages are dropped once they are copied, and what is read there
 * again comes from the file. */
void *onnx_copy_mapped(struct arena *a, const uint8_t *p, size_t n);
bool onnx_dtype(int onnx_type, enum dtype *out);   /* TensorProto.DataType */
int onnx_dtype_number(enum dtype t);
const char *onnx_dtype_name(int onnx_type);
/* dir: of external data, or NULL. */
bool onnx_tensor(struct arena *a, const Onnx__TensorProto *t, const char *dir, struct tensor **out, struct err *e);
