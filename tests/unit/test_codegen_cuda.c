/* test_codegen_cuda.c: CUDA C against the loop IR's interpreter, on a GPU where there is one, or on one made of this processor
 *
 * MUTATENN_FUZZ_ROUNDS and MUTATENN_FUZZ_SEED as in test_codegen_fuzz.c.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "checks_case.h"
#include "codegen/codegen.h"
#include "device/device.h"
#include "fuzz_func.h"
#include "group_run.h"
#include "group_text.h"
#include "test_support.h"

static struct device *open_device(void)
{
	struct device_options o = {.cache_dir = ""};
	struct device *d = NULL;
	struct err e = {0};

	if (!device_cuda.open(&o, &d, &e))
		cr_skip_test("%s", err_text(&e));
	return d;
}

static void expect_same(struct device *d, const struct lir_func *f, uint64_t divide, long seed)
{
	struct arena *a = arena_new(NULL);
	void **want = fuzz_buffers(a, f), **have = fuzz_buffers(a, f);
	struct lir_interp_options io = {.outputs_initialised = true};
	struct lir_interp_result r = {0};
	struct str source = {0};
	struct codegen_shape shape;
	struct err e = {0};
	int64_t where = 0;

	cr_assert(lir_interp(f, want, &io, &r, &e), "%s", err_text(&e));
	cr_assert_eq(r.fault, LIR_OK, "%s", r.text);
	cr_assert(codegen_emit("cuda-c", f, &source, &shape, &e), "%s", err_text(&e));
	cr_assert(group_run(&device_cuda, d, a, f, have, divide, NULL, &e), "seed %ld: %s\n%s", seed, err_text(&e),
		  str_text(&source));
	for (uint32_t i = f->nparams - f->nout; i < f->nparams; i++)
		cr_expect(fuzz_equal(f->param[i], want[i], have[i], &where), "seed %ld: '%s'[%lld]\n%s", seed, f->param[i]->name,
			  (long long)where, str_text(&source));
	str_free(&source);
	arena_free(a);
}

TEST(codegen_cuda, random_functions_compute_what_the_interpreter_computes)
{
	struct device *d = open_device();
	struct fuzz_options o = {.types = device_cuda.caps(d)->types, .scalars = true, .exact = true};
	long first = fuzz_setting("MUTATENN_FUZZ_SEED", 1), rounds = fuzz_setting("MUTATENN_FUZZ_ROUNDS", 5);

	for (long seed = first; seed < first + rounds; seed++) {
		struct arena *a = arena_new(NULL);
		struct lir_func *f = fuzz_func(a, (uint64_t)seed, &o);

		expect_same(d, f, 1 + (uint64_t)seed % 2 * 2, seed); /* fewer groups take more turns */
		arena_free(a);
	}
	device_cuda.close(d);
}

TEST(codegen_cuda, groups_share_memory_and_wait_at_barriers)
{
	static const char *const text[] = {GROUP_PRODUCT, GROUP_TURN};
	struct device *d = open_device();

	for (int i = 0; i < 4; i++) {
		struct arena *a = arena_new(NULL);
		struct lir_func *f = NULL;
		struct err e = {0};

		cr_assert(lir_parse(a, "t.lir", text[i / 2], strlen(text[i / 2]), &f, &e), "%s", err_text(&e));
		expect_same(d, f, 1 + (uint64_t)i % 2, i); /* fewer groups take more turns */
		arena_free(a);
	}
	device_cuda.close(d);
}

TEST(codegen_cuda, instrumented_functions_report_what_the_interpreter_reports)
{
	struct device *d = open_device();

	checks_run(&device_cuda, d, (uint64_t)fuzz_setting("MUTATENN_FUZZ_SEED", 1), fuzz_setting("MUTATENN_FUZZ_ROUNDS", 5));
	device_cuda.close(d);
}

/* y[i / 1000, i % 1000] of `rows` rows: whether the text counts in 64 bits. */
static bool counts_in_64_bits(int64_t rows)
{
	struct arena *a = arena_new(NULL);
	const char *text = arena_printf(a,
					"func f(x: f32[%lld, 1000], out y: f32[%lld, 1000]) {\n"
					"  for i in 0..%lld parallel {\n"
					"    y[i / 1000, i %% 1000] = x[i / 1000, i %% 1000]\n"
					"  }\n"
					"}\n",
					(long long)rows, (long long)rows, (long long)rows * 1000);
	struct lir_func *f = NULL;
	struct codegen_shape shape;
	struct str source = {0};
	struct err e = {0};
	bool wide;

	cr_assert(lir_parse(a, "t.lir", text, strlen(text), &f, &e), "%s", err_text(&e));
	cr_assert(codegen_emit("cuda-c", f, &source, &shape, &e), "%s", err_text(&e));
	wide = strstr(str_text(&source), "i64") != NULL;
	str_free(&source);
	arena_free(a);
	return wide;
}

TEST(codegen_cuda, a_position_taken_apart_by_division_is_counted_in_32_bits_where_it_fits)
{
	cr_expect(!counts_in_64_bits(100000));
	cr_expect(counts_in_64_bits(3000000));
}
