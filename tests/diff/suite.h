/* suite.h: ONNX's own backend tests on disk - their models, their data, and programs made of them
 *
 * A data folder holds node/, simple/, pytorch-operator/, pytorch-converted/, each with one folder per test (Debian:
 * libonnx-testdata).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "compile/compile.h"

struct arena;
struct err;
struct str;

#define SUITE_DATA "/usr/share/libonnx-testdata/data"
#define SUITE_MAX_TENSORS 64

struct suite_set { /* one test_data_set_N */
	struct tensor *in[SUITE_MAX_TENSORS], *out[SUITE_MAX_TENSORS];
	const char *name[SUITE_MAX_TENSORS]; /* of the inputs */
	int nin, nout;
};

/* The folder of a test's set; NULL when it has no such set. */
char *suite_set_dir(struct arena *a, const char *dir, int number);
bool suite_read_set(struct arena *a, const char *set, struct suite_set *s, struct err *e);

/* Models of sequences, strings and control flow say so themselves; their data cannot be read as tensors: `why` gets the reason. */
bool suite_importable(struct arena *a, const char *model, struct str *why);

/* Makes whatever the caller makes of an imported graph. */
typedef bool suite_build(struct arena *a, struct gir_graph *g, void *user, struct err *e);
/* Imports the model and builds; a graph input that decides a shape is bound from its data as a constant. */
bool suite_import(struct arena *a, const char *model, const struct suite_set *s, suite_build *build, void *user, struct err *e);

/* The program's inputs in its own order, from the set by name, else by position; false when the data do not fit. */
bool suite_inputs(struct arena *a, const struct comp_program *p, const struct suite_set *s, const struct tensor ***out);

/* "1 node is not supported: node 3 'x': If (opset 13): the operator ..." to "If", for counting. */
char *suite_reason(struct arena *a, const char *why);

/* Calls `one` with every test in order: its name ("node/test_abs"), its folder, its model. */
void suite_each(struct arena *a, const char *data, void (*one)(const char *name, const char *dir, const char *model, void *user),
		void *user);
