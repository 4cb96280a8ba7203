/* fuzz_onnx.c: bytes as an ONNX model; what is imported must come back the same from what is exported */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "onnx/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct arena *a, const struct gir_graph *g)
{
	struct str before = {0}, after = {0};
	struct gir_graph *again;
	struct err e = {0};
	struct bytes b;

	gir_print(&before, g, false);
	if (!onnx_export_bytes(a, g, &b, &e) || !onnx_import_bytes(a, "fuzz", NULL, b.p, b.n, NULL, &again, &e)) {
		fprintf(stderr, "%s\n%s", err_text(&e), str_text(&before));
		abort();
	}
	gir_print(&after, again, false);
	if (strcmp(str_text(&before), str_text(&after))) {
		fprintf(stderr, "before:\n%s\nafter:\n%s", str_text(&before), str_text(&after));
		abort();
	}
	str_free(&before);
	str_free(&after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct onnx_options o = {.batch = size ? data[size - 1] % 4 : 0};
	struct arena *a = arena_new(NULL);
	struct gir_graph *g;
	struct err e = {0};

	if (onnx_import_bytes(a, "fuzz", NULL, data, size, &o, &g, &e))
		round_trip(a, g);
	else if (!e.code || !*err_text(&e))
		abort(); /* refused without a word */
	err_free(&e);
	arena_free(a);
	return 0;
}
