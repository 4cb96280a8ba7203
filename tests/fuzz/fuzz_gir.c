/* fuzz_gir.c: the graph IR's text: what parses must print and read back the same; what also compiles must survive every pass */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile.h"

#define MAX_NODES 24 /* of a graph that is compiled */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of the room that does not hold stops the fuzzer. */
static void must(bool ok, const char *what, const struct err *e)
{
	if (!ok) {
		fprintf(stderr, "%s: %s\n", what, err_text(e));
		abort();
	}
}

static void round_trip(struct arena *a, const struct gir_graph *g, bool full)
{
	struct str first = {0}, second = {0};
	struct gir_graph *again;
	struct err e = {0};

	gir_print(&first, g, full);
	must(gir_parse(a, "printed", first.s, first.n, &again, &e), "printed text is refused", &e);
	gir_print(&second, again, full);
	must(first.n == second.n && !memcmp(first.s, second.s, first.n), "printed text changes", &e);
	str_clear(&second);
	gir_print(&second, gir_clone(a, g), full);
	must(first.n == second.n && !memcmp(first.s, second.s, first.n), "a clone prints otherwise", &e);
	str_free(&first);
	str_free(&second);
}

/* As import leaves graphs: nothing in it that only passes make. */
static bool as_imported(const struct gir_graph *g)
{
	for (size_t i = 0; i < g->nodes.n; i++)
		if (g->nodes.v[i]->nfused || gir_op_info(g->nodes.v[i]->op)->internal)
			return false;
	for (size_t i = 0; i < g->values.n; i++)
		if (g->values.v[i]->block)
			return false;
	return g->nodes.n <= MAX_NODES;
}

/* What compiles without passes compiles with them, and what a pass leaves is a graph. */
static void compile(struct arena *a, const struct gir_graph *g)
{
	struct comp_options o = {.opt_level = 0, .lanes = 1};
	struct comp_program *p;
	struct err e = {0};

	if (!as_imported(g) || !comp_program(a, g, &o, &p, &e)) {
		err_free(&e);
		return;
	}
	o = (struct comp_options){.opt_level = 3, .lanes = 8, .plan = gir_plan_new(a)};
	must(comp_program(a, g, &o, &p, &e), "passes break a graph", &e);
	round_trip(a, p->graph, false);
	gir_plan_replay(o.plan);
	must(comp_program(a, g, &o, &p, &e), "a replayed plan breaks a graph", &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g;
	struct err e = {0};

	if (gir_parse(a, "fuzz", (const char *)data, size, &g, &e)) {
		round_trip(a, g, true);
		round_trip(a, g, false);
		compile(a, g);
	}
	err_free(&e);
	arena_free(a);
	return 0;
}
