/* fuzz_lir.c: the loop IR's text: what parses must print, read back the same, survive its passes and run without harm */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SMALL 4096 /* bytes of a buffer that is run on */

static bool find_big(const struct lir_visit *v, void *user)
{
	const struct lir_stmt *s = v->stmt_slot ? *v->stmt_slot : NULL;

	return !s || s->kind != LIR_ALLOC || s->buffer->elements * (int64_t)dtype_size(s->buffer->dtype) <= SMALL;
}

static void interpret(struct arena *a, struct lir_func *f)
{
	void **param = arena_calloc(a, f->nparams + 1, sizeof *param);
	struct lir_interp_result r;
	struct err e = {0};

	if (f->nparams > 64 || !lir_walk(f, find_big, NULL))
		return;
	for (uint32_t i = 0; i < f->nparams; i++)
		if (f->param[i]->elements * (int64_t)dtype_size(f->param[i]->dtype) > SMALL)
			return;
	for (uint32_t i = 0; i < f->nparams; i++) /* blocks of their own, so that a sanitizer sees their ends */
		param[i] = calloc((size_t)f->param[i]->elements, dtype_size(f->param[i]->dtype));
	lir_interp(f, param, &(struct lir_interp_options){.max_steps = 1000}, &r, &e);
	for (uint32_t i = 0; i < f->nparams; i++)
		free(param[i]);
	err_free(&e);
}

/* A promise of the room that does not hold stops the fuzzer. */
static void must(bool ok, const char *what, const struct err *e)
{
	if (!ok) {
		fprintf(stderr, "%s: %s\n", what, err_text(e));
		abort();
	}
}

static void check(struct arena *a, struct lir_func *f)
{
	struct str first = {0}, second = {0};
	struct lir_func *g = lir_func_clone(a, f);
	struct err e = {0};

	lir_print(&first, f);
	must(lir_parse(a, "printed", first.s, first.n, &f, &e), "printed text is refused", &e);
	lir_print(&second, f);
	must(first.n == second.n && !memcmp(first.s, second.s, first.n), "printed text changes", &e);
	interpret(a, f);
	for (size_t i = 0; lir_passes[i]; i++)
		must(lir_run_pass(g, lir_passes[i], &e), "a pass fails", &e);
	str_free(&first);
	str_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(NULL);
	struct lir_func *f;
	struct err e = {0};

	if (lir_parse(a, "fuzz", (const char *)data, size, &f, &e))
		check(a, f);
	err_free(&e);
	arena_free(a);
	return 0;
}
