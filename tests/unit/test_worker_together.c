/* test_worker_together.c: kernels that are built in one program are what they are when each is built alone, failures included
 *
 * Skipped where PoCL is absent.
 */
#include <stdlib.h>
#include <string.h>

#include "test_support.h"
#include "worker_support.h"

#define HEAD                                                                                                                       \
	"#pragma OPENCL FP_CONTRACT OFF\n#define FN static inline __attribute__((always_inline))\n"                              \
	"FN float twice(float x) { return x + x; }\n\n"                                                                           \
	"__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void mutatenn_kernel(\n"                                         \
	"\t__global const float *restrict in0,\n\t__global float *restrict out0)\n{\n"
#define JOBS 20
#define BAD 7

static struct pool *pocl(int together)
{
	struct pool_device d = {.name = "pocl", .backend = "opencl", .select = "Portable Computing Language", .threads = 1, .builders = 2,
				.cache_dir = "", .together = together};
	struct err e = {0};
	struct pool *p;

	pool_close(test_pool_of((const char *const[]){"true"}, 1, 1)); /* knows where the worker is */
	cr_assert(pool_open(&d, 1, &p, &e), "%s", err_text(&e));
	return p;
}

static struct bundle *times(struct arena *a, int factor)
{
	struct bundle *b = test_single(a, arena_printf(a, HEAD "\tfor (int i = 0; i < 1000; i++)\n\t\tout0[i] = twice(in0[i]) * %d.0f;\n}\n", factor));

	b->kernel->groups = b->kernel->group = 1;
	return b;
}

/* The job numbered BAD has this text, if any; all the others multiply. */
static void run(struct pool *p, struct arena *a, const char *bad, bool alone, struct pool_result *out)
{
	struct pool_input *in = test_inputs(a, 1);
	struct err e = {0};
	bool got = true;

	for (int i = 0; i < JOBS; i++) {
		struct pool_job j = {.id = (uint64_t)i, .bundle = times(a, i), .input = in, .ninputs = 1, .alone = alone};

		if (bad && i == BAD)
			j.bundle->kernel->source = bad;
		j.bundle->kernel->hash = hash_text(j.bundle->kernel->source);
		cr_assert(pool_submit(p, &j, &e), "%s", err_text(&e));
	}
	for (int i = 0; i < JOBS; i++) {
		struct pool_result r;

		cr_assert(pool_wait(p, a, -1, &got, &r, &e) && got, "%s", err_text(&e));
		out[r.job] = r;
	}
}

static void expect_products(const struct pool_result *r, struct arena *a, bool bad)
{
	const float *x = test_inputs(a, 1)->tensor[0]->data;

	for (int k = 0; k < JOBS; k++) {
		if (bad && k == BAD)
			continue;
		cr_assert_eq(r[k].status, POOL_DONE, "job %d: %s %s", k, r[k].text, r[k].log ? r[k].log : "");
		for (int i = 0; i < N; i++)
			cr_assert_eq(((const float *)r[k].image[0].output->data)[i], 2 * x[i] * (float)k);
	}
}

#define POOL(p, together)                                                                                                          \
	struct pool *p = pocl(together);                                                                                           \
	if (pool_device_error(p, 0)) {                                                                                             \
		pool_close(p);                                                                                                     \
		cr_skip_test("no PoCL here");                                                                                      \
	}

TEST(together, kernels_have_the_code_and_give_the_bits_that_they_have_and_give_alone)
{
	struct pool_result many[JOBS], one[JOBS];
	struct arena *a = arena_new(NULL);
	POOL(p, 0)

	run(p, a, NULL, false, many);
	cr_expect_eq(pool_stats(p).kernels_together, (uint64_t)JOBS);
	pool_close(p);
	p = pocl(1);
	run(p, a, NULL, false, one);
	cr_expect_eq(pool_stats(p).kernels_together, 0u, "one at a time is what was wanted");
	cr_expect_eq(pool_stats(p).kernels_built, (uint64_t)JOBS);
	pool_close(p);
	expect_products(many, a, false);
	expect_products(one, a, false);
	for (int i = 0; i < JOBS; i++)
		cr_expect(hash_eq(many[i].code, one[i].code) && hash_eq(many[i].kernel_code[0], one[i].kernel_code[0]), "job %d", i);
	arena_free(a);
}

TEST(together, a_kernel_that_is_refused_is_refused_alone)
{
	struct pool_result r[JOBS], alone[JOBS];
	const char *bad = HEAD "\tout0[0] = nobody_said_what_this_is;\n}\n";
	struct arena *a = arena_new(NULL);
	POOL(p, 0)

	run(p, a, bad, false, r);
	pool_close(p);
	p = pocl(1);
	run(p, a, bad, false, alone);
	pool_close(p);
	expect_products(r, a, true);
	cr_expect_eq(r[BAD].status, POOL_BUILD_FAILED);
	cr_expect_eq(alone[BAD].status, POOL_BUILD_FAILED);
	cr_assert(r[BAD].log && strstr(r[BAD].log, "nobody_said_what_this_is"), "%s", r[BAD].log);
	cr_expect_eq(strlen(r[BAD].log), strlen(alone[BAD].log), "'%s', alone '%s'", r[BAD].log, alone[BAD].log);
	arena_free(a);
}

/* So deep an expression takes clang down, which PoCL runs in the builder's own process. */
TEST(together, a_kernel_that_ends_the_builder_takes_no_other_with_it)
{
	struct arena *a = arena_new(NULL);
	char *deep = arena_zalloc(a, 40001), *bad;
	struct pool_result r[JOBS];
	POOL(p, 0)

	memset(deep, '~', 40000);
	bad = arena_printf(a, HEAD "\tout0[0] = %s1;\n}\n", deep);
	run(p, a, bad, false, r);
	expect_products(r, a, true);
	cr_expect(r[BAD].status == POOL_LOST || r[BAD].status == POOL_BUILD_FAILED, "%s", r[BAD].text);
	cr_expect(r[BAD].status == POOL_BUILD_FAILED || pool_stats(p).workers_lost > 1, "of all, and of it alone");
	cr_expect_null(pool_device_error(p, 0));
	pool_close(p);
	arena_free(a);
}

TEST(together, what_is_to_be_built_for_its_job_alone_is)
{
	struct pool_result r[JOBS];
	struct arena *a = arena_new(NULL);
	POOL(p, 0)

	run(p, a, NULL, true, r);
	cr_expect_eq(pool_stats(p).kernels_together, 0u);
	expect_products(r, a, false);
	pool_close(p);
	arena_free(a);
}
