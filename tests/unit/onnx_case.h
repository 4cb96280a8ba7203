/* onnx_case.h: what tests of the reader share: two small models, what they become, what they are refused for, a folder for files */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "onnx/onnx.h"
#include "onnx_model.h"
#include "test_support.h"

/* x + w -> y, where w is the initializer under test */
static inline struct onnx_model *adding(struct arena *a, Onnx__TensorProto *w)
{
	struct onnx_model *m = onnx_model_new(a, 13);

	onnx_model_input(m, "x", 1, DIMS(1, 3));
	onnx_model_output(m, "y");
	if (w)
		onnx_model_initializer(m, w);
	onnx_model_node(m, "Add", "sum", "x w", "y");
	return m;
}

static inline struct onnx_model *relu(struct arena *a, int64_t opset)
{
	struct onnx_model *m = onnx_model_new(a, opset);

	onnx_model_input(m, "x", 1, DIMS(1, 3));
	onnx_model_output(m, "y");
	onnx_model_node(m, "Relu", "r", "x", "y");
	return m;
}

static inline struct gir_graph *imported(struct onnx_model *m, const struct onnx_options *o)
{
	struct bytes b = onnx_model_bytes(m);
	struct gir_graph *g = NULL;
	struct err e = {0};

	cr_assert(onnx_import_bytes(m->a, "net", NULL, b.p, b.n, o, &g, &e), "%s", err_text(&e));
	return g;
}

/* dir: of external data */
static inline void refused_in(struct onnx_model *m, const char *dir, enum err_code code, const char *want)
{
	struct bytes b = onnx_model_bytes(m);
	struct gir_graph *g;
	struct err e = {0};

	cr_assert_not(onnx_import_bytes(m->a, "net", dir, b.p, b.n, NULL, &g, &e), "accepted; wanted '%s'", want);
	cr_expect_str_eq(err_text(&e), want);
	cr_expect_eq(e.code, code, "'%s' is of kind %s", want, err_code_name(e.code));
	err_free(&e);
}

static inline void refused(struct onnx_model *m, enum err_code code, const char *want)
{
	refused_in(m, NULL, code, want);
}

static inline const struct tensor *initializer(struct onnx_model *m, const char *name)
{
	struct gir_value *v = gir_find_value(imported(m, NULL), name);

	cr_assert(v && v->data, "no initializer '%s'", name);
	return v->data;
}

static char folder[64];

static inline void make_folder(void)
{
	strcpy(folder, "/tmp/mutatenn-onnx-XXXXXX");
	cr_assert(mkdtemp(folder));
}

static inline void remove_folder(struct arena *a)
{
	char *command = arena_printf(a, "rm -r %s", folder);

	cr_assert(!system(command));
}
