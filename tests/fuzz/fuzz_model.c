/* fuzz_model.c: bytes as an ONNX model through the whole compiler - what level 0 compiles, every level compiles and emits */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile.h"
#include "onnx/onnx.h"

/* Longer models are legal and only slow. */
#define MAX_NODES 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void broken(const struct gir_graph *g, int level, const struct err *e)
{
	struct str text = {0};

	gir_print(&text, g, false);
	fprintf(stderr, "level %d: %s\n%s", level, err_text(e), str_text(&text));
	abort();
}

static void compile(struct arena *a, const struct gir_graph *g, int level, struct err *e)
{
	struct comp_options o = {.opt_level = level, .lanes = 4 << level % 3};
	struct comp_program *p;
	struct bundle *b;

	if (!comp_program(a, g, &o, &p, e)) {
		if (level || !*err_text(e))
			broken(g, level, e);
	} else if (!comp_bundle(a, p, "c", &b, e)) {
		broken(g, level, e);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g;
	struct err e = {0};

	if (onnx_import_bytes(a, "fuzz", NULL, data, size, NULL, &g, &e) && g->nodes.n <= MAX_NODES) {
		compile(a, g, 0, &e);
		for (int level = 1; !e.code && level <= 3; level++)
			compile(a, g, level, &e);
	}
	err_free(&e);
	arena_free(a);
	return 0;
}
