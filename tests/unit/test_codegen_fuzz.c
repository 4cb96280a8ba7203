/* test_codegen_fuzz.c: random functions give the same bits by the interpreter and through gcc and clang
 *
 * MUTATENN_FUZZ_ROUNDS sets how many functions (default 6), MUTATENN_FUZZ_SEED the first one's seed; MUTATENN_FUZZ_DUMP a
 * file that gets the last one's source, MUTATENN_FUZZ_MARCH another -march.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "device/device.h"
#include "fuzz_func.h"
#include "loop/loop.h"
#include "test_support.h"

static void expect_same(const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_func *f,
			void *const *want, uint64_t seed)
{
	void **have = fuzz_buffers(a, f);
	struct artefact art;
	struct kernel *k;
	struct err e = {0};
	struct codegen_shape shape;
	struct str source = {0}, ir = {0};
	int64_t where = 0;

	cr_assert(codegen_emit("c", f, &source, &shape, &e), "%s", err_text(&e));
	if (getenv("MUTATENN_FUZZ_DUMP"))
		file_write(getenv("MUTATENN_FUZZ_DUMP"), str_text(&source), source.n, NULL);
	cr_assert(ops->compile(d, a, str_text(&source), f->contract, &art, &e), "seed %llu: %s\n%s", (unsigned long long)seed,
		  err_text(&e), str_text(&source));
	cr_assert(ops->load(d, &art, &k, &e), "%s", err_text(&e));
	cr_assert(ops->run(d, k, have, true, &e));
	ops->unload(d, k);
	lir_print(&ir, f);
	for (uint32_t i = f->nparams - f->nout; i < f->nparams; i++)
		cr_expect(fuzz_equal(f->param[i], want[i], have[i], &where), "%s, seed %llu: '%s'[%lld] differs\n%s\n%s",
			  ops->caps(d)->describe, (unsigned long long)seed, f->param[i]->name, (long long)where,
			  getenv("MUTATENN_FUZZ_SHOW") ? str_text(&ir) : "", getenv("MUTATENN_FUZZ_SHOW") ? str_text(&source) : "");
	str_free(&source);
	str_free(&ir);
}

static void compare_with(const char *cc)
{
	const char *march = getenv("MUTATENN_FUZZ_MARCH"), *flags[] = {"-O2", march};
	struct device_options o = {.cc = cc, .cache_dir = "", .cflags = march ? flags : NULL, .ncflags = 2};
	struct err e = {0};
	struct device *d;
	long first = fuzz_setting("MUTATENN_FUZZ_SEED", 1), rounds = fuzz_setting("MUTATENN_FUZZ_ROUNDS", 6);

	if (!device_cpu.open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	cr_assert(device_cpu.start_threads(d, 3, &e), "%s", err_text(&e)); /* parts of 1, 1 and 2 rows */
	for (long seed = first; seed < first + rounds; seed++) {
		struct arena *a = arena_new(NULL);
		struct lir_func *f = fuzz_func(a, (uint64_t)seed, &fuzz_everything);
		void **want = fuzz_buffers(a, f);
		struct lir_interp_options io = {.outputs_initialised = true};
		struct lir_interp_result r = {0};

		cr_assert(lir_interp(f, want, &io, &r, &e), "%s", err_text(&e));
		cr_assert_eq(r.fault, LIR_OK, "seed %ld: %s", seed, r.text);
		cr_expect_eq(r.device_defined, 0u, "seed %ld", seed);
		expect_same(&device_cpu, d, a, f, want, (uint64_t)seed);
		arena_free(a);
	}
	device_cpu.close(d);
}

TEST(codegen_fuzz, gcc_computes_what_the_interpreter_computes)
{
	compare_with("gcc");
}

TEST(codegen_fuzz, clang_computes_what_the_interpreter_computes)
{
	compare_with("clang");
}

/* As deep as the text form allows: clang has to be told that this is fine. */
static void deep_with(const char *cc)
{
	struct device_options o = {.cc = cc, .cache_dir = ""};
	struct arena *a = arena_new(NULL);
	struct lir_builder b;
	struct lir_expr *x, *zero;
	struct device *d;
	struct err e = {0};
	int64_t dim = 4;

	if (!device_cpu.open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	lir_begin(&b, a, "deep");
	zero = lir_int(&b, 0);
	x = lir_load(&b, lir_param(&b, "x", DT_F32, 1, &dim, false), &zero);
	for (int i = 0; i < 400; i++)
		x = lir_binary(&b, LIR_SUB, lir_imm(&b, DT_F32, 1 + i), x);
	lir_store(&b, lir_param(&b, "y", DT_F32, 1, &dim, true), &zero, x);

	struct lir_func *f = lir_finish(&b);
	void **want = fuzz_buffers(a, f);
	struct lir_interp_options io = {.outputs_initialised = true};
	struct lir_interp_result r = {0};

	cr_assert(lir_interp(f, want, &io, &r, &e), "%s", err_text(&e));
	expect_same(&device_cpu, d, a, f, want, 0);
	arena_free(a);
	device_cpu.close(d);
}

TEST(codegen_fuzz, gcc_takes_deep_expressions)
{
	deep_with("gcc");
}

TEST(codegen_fuzz, clang_takes_deep_expressions)
{
	deep_with("clang");
}
