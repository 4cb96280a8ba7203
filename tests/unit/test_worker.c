/* test_worker.c: programs in workers - right outputs, what is reused, who is blamed */
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "base/str.h"
#include "test_support.h"
#include "worker_support.h"

static void expect_right(const struct pool_result *r)
{
	cr_assert_eq(r->status, POOL_DONE, "%s %s", r->text, r->log ? r->log : "");
	for (size_t k = 0; k < r->nimages; k++) {
		cr_assert(r->image[k].ran);
		cr_assert_eq(r->image[k].status, POOL_DONE);
		cr_assert_eq(r->image[k].output->dim[0], N);
		for (int64_t i = 0; i < N; i++)
			cr_assert_eq(((float *)r->image[k].output->data)[i], test_expected(k, i), "image %zu element %d", k,
				     (int)i);
	}
}

static void run_with(const char *cc)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool(cc);
	struct pool_result r =
	    test_run(p, a, (struct pool_job){.id = 7, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 3), .ninputs = 3});

	expect_right(&r);
	cr_assert_eq(r.image[2].launches_run, 3u);
	cr_assert_eq(r.image[2].launches_saved, 0u);
	cr_assert_eq(r.kernels_built, 3u);
	cr_assert(!hash_is_zero(r.code));
	pool_close(p);
	arena_free(a);
}

TEST(worker, a_program_gives_right_outputs_through_gcc)
{
	run_with("gcc");
}

TEST(worker, a_program_gives_right_outputs_through_clang)
{
	if (!have_compiler("clang"))
		cr_skip_test("no clang");
	run_with("clang");
}

/* ---- reuse ------------------------------------------------------------------------------------------------- */

#define KERNEL                                                                                                                     \
	"#include <stdint.h>\n#include <stdlib.h>\n#include <unistd.h>\n#include <signal.h>\n"                                     \
	"__attribute__((visibility(\"default\"))) void mutatenn_kernel(void *const *b, int64_t part, int64_t parts)\n"
#define HALF KERNEL "{ const float *x = b[0]; float *y = b[1]; for (int i = 0; i < 1000; i++) y[i] = x[i] / 2; }\n"
#define LESS KERNEL "{ const float *x = b[0], *c = b[1]; float *y = b[2]; for (int i = 0; i < 1000; i++) y[i] = x[i] - c[i]; }\n"
#define SAME                                                                                                                       \
	KERNEL "{ const float *x = b[0]; float *y = b[1]; for (int i = 0; i < 1000; i++) y[i] = x[i] < 0 ? 0 : x[i] * 1.0f; }\n"

TEST(worker, launches_before_a_changed_kernel_are_saved)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct bundle *original = test_bundle(a, NULL);
	struct bundle *mutant = test_bundle(a, (const char *const[]){NULL, HALF, NULL});
	struct pool_result r = test_run(
	    p, a, (struct pool_job){.id = 1, .bundle = mutant, .baseline = original, .input = test_inputs(a, 2), .ninputs = 2});

	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	for (size_t k = 0; k < 2; k++) {
		cr_expect_eq(r.image[k].launches_saved, 1u);
		cr_expect_eq(r.image[k].launches_run, 2u);
		for (int64_t i = 0; i < N; i++)
			cr_assert_eq(((float *)r.image[k].output->data)[i], (float)(i % 17 - 8) * (float)(k + 1) + (float)i);
	}
	cr_expect_eq(pool_stats(p).launches_saved, 2u);
	pool_close(p);
	arena_free(a);
}

TEST(worker, a_changed_kernel_with_equal_output_cuts_the_rest_off)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct bundle *mutant = test_bundle(a, (const char *const[]){NULL, SAME, NULL});
	struct pool_result r = test_run(p, a,
					(struct pool_job){.id = 1,
							  .bundle = mutant,
							  .baseline = test_bundle(a, NULL),
							  .input = test_inputs(a, 2),
							  .ninputs = 2,
							  .dump = true});

	expect_right(&r);
	cr_expect_eq(r.image[0].launches_run, 1u);
	cr_expect_eq(r.image[0].launches_saved, 2u);
	cr_assert_eq(r.image[1].ndump, 3u);
	cr_expect_str_eq(r.image[1].dump[0].name, "y1");
	cr_expect(r.image[1].dump[0].reused && !r.image[1].dump[0].cut_off);
	cr_expect(!r.image[1].dump[1].reused && r.image[1].dump[1].cut_off);
	cr_expect(r.image[1].dump[2].reused);
	cr_expect_eq(((float *)r.image[1].dump[0].value.data)[0], -32.0f);
	pool_close(p);
	arena_free(a);
}

#define THREE KERNEL "{ float *y = b[1]; for (int i = 0; i < 1000; i++) y[i] = 3; }\n"
#define ADD KERNEL "{ const float *x = b[0], *c = b[1]; float *y = b[2]; for (int i = 0; i < 1000; i++) y[i] = c[i] + x[i] + 0; }\n"

/* Rectified twice. */
static struct bundle *with_another_relu(struct arena *a, const char *const source[3])
{
	struct bundle *b = test_bundle(a, source);

	b->buffer = memcpy(ARENA_ARRAY(a, struct bundle_buffer, 6), b->buffer, 5 * sizeof *b->buffer);
	b->launch = memcpy(ARENA_ARRAY(a, struct bundle_launch, 4), b->launch, 3 * sizeof *b->launch);
	b->buffer[5] = b->buffer[3];
	b->buffer[5].name = "y3";
	b->launch[3] = b->launch[2];
	b->launch[3].arg = arena_memdup(a, (uint32_t[]){5, 1, 4}, 12);
	b->launch[2] = b->launch[1];
	b->launch[2].name = "relu again";
	b->launch[2].arg = arena_memdup(a, (uint32_t[]){3, 5}, 8);
	b->nbuffers = 6;
	b->nlaunches = 4;
	return b;
}

static void expect_three(struct pool *p, struct arena *a, struct pool_job j, const char *const source[3], uint32_t first, uint32_t others)
{
	struct pool_result r;

	j.bundle = with_another_relu(a, source);
	r = test_run(p, a, j);
	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	for (size_t k = 0; k < r.nimages; k++) {
		cr_expect_eq(r.image[k].launches_run, k ? others : first, "image %zu: %u", k, r.image[k].launches_run);
		cr_expect_eq(r.image[k].launches_run + r.image[k].launches_saved, 4u);
		for (int64_t i = 0; i < N; i++)
			cr_assert_eq(((float *)r.image[k].output->data)[i], (float)(3 + i), "image %zu", k);
	}
}

TEST(worker, behind_a_tensor_of_one_value_the_originals_kernels_run_once)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_job j = {.id = 1, .baseline = with_another_relu(a, NULL), .input = test_inputs(a, 3), .ninputs = 3};

	/* the second relu is known from the first; the sum reads what no launch of the child has made */
	expect_three(p, a, j, (const char *const[]){THREE, NULL, NULL}, 3, 2);
	expect_three(p, a, j, (const char *const[]){THREE, NULL, ADD}, 4, 4); /* a changed kernel is still to come */
	j.dump = true;
	expect_three(p, a, j, (const char *const[]){THREE, NULL, NULL}, 4, 4);
	j.dump = false;
	j.fill.kind = FILL_STALE;
	expect_three(p, a, j, (const char *const[]){THREE, NULL, NULL}, 4, 4);
	pool_close(p);
	arena_free(a);
}

TEST(worker, what_is_built_ahead_is_there_when_a_job_wants_it)
{
	struct arena *a = arena_new(NULL), *gone = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct bundle *b = test_bundle(a, NULL);
	struct pool_job j = {.id = 1, .bundle = b, .input = test_inputs(a, 1), .ninputs = 1};
	struct pool_result r;

	pool_hold_ahead(p, true);
	pool_build_ahead(p, 0, test_bundle(gone, (const char *const[]){NULL, HALF, "this is no C"}), false);
	arena_free(gone);
	r = test_run(p, a, j); /* one kernel was in the queue already, and is not held any more */
	expect_right(&r);
	cr_expect_eq(r.kernels_built, 3u);
	cr_expect_eq(pool_stats(p).kernels_built, 3u);
	pool_hold_ahead(p, false);
	for (int tries = 0; tries < 600 && pool_stats(p).kernels_built < 7; tries++) { /* what only one job wanted is built again, too */
		r = test_run(p, a, j);
		expect_right(&r);
	}
	cr_expect_eq(pool_stats(p).kernels_built, 7u);
	j.bundle = test_bundle(a, (const char *const[]){NULL, HALF, NULL});
	r = test_run(p, a, j);
	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	cr_expect_eq(r.kernels_built, 1u, "it belongs to the first that wants it");
	cr_expect_eq(pool_stats(p).kernels_built, 7u);
	j.bundle = test_bundle(a, (const char *const[]){NULL, NULL, "this is no C"});
	cr_expect_eq(test_run(p, a, j).status, POOL_BUILD_FAILED);
	pool_close(p);
	arena_free(a);
}

TEST(worker, what_is_timed_waits_for_what_is_being_built_ahead)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_job j = {.id = 1, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 1), .ninputs = 1};
	struct str slow = {0};
	struct pool_result r;
	uint64_t built;

	test_run(p, a, j);
	test_run(p, a, j); /* now they are kept */
	built = pool_stats(p).kernels_built;
	str_add(&slow, KERNEL "{ const float *x = b[0]; float *y = b[1];\n"); /* much longer to build than to run */
	for (int i = 0; i < 1000; i++)
		str_addf(&slow, "y[%d] = x[%d] * %d + y[%d] / x[%d];\n", i % N, i * 7 % N, i, i * 3 % N, i * 5 % N);
	str_add(&slow, "}\n");
	pool_build_ahead(p, 0, test_bundle(a, (const char *const[]){NULL, NULL, str_text(&slow)}), false);
	pool_hold_ahead(p, true);
	r = test_run(p, a, j);
	expect_right(&r);
	cr_expect_eq(pool_stats(p).kernels_built, built + 1);
	str_free(&slow);
	pool_close(p);
	arena_free(a);
}

TEST(worker, the_same_code_is_equivalent_and_not_run)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct bundle *b = test_bundle(a, NULL);
	/* a comment and a name change nothing in what the loader maps */
	struct bundle *same = test_bundle(a, (const char *const[]){NULL, NULL, arena_printf(a, "/* again */ %s", test_kernel[2])});
	struct pool_job j = {.id = 1, .bundle = same, .baseline = b, .input = test_inputs(a, 1), .ninputs = 1};
	struct pool_result r = test_run(p, a, j);

	cr_expect_eq(r.status, POOL_EQUIVALENT, "%s", r.text);
	cr_expect(!r.image[0].ran);
	j.run_equivalent = true;
	r = test_run(p, a, j);
	expect_right(&r);
	cr_expect_eq(r.image[0].launches_saved, 3u);
	j.run_equivalent = false;
	j.baseline_input = j.input;
	j.input = test_inputs(a, 2) + 1; /* another image: an input mutant */
	r = test_run(p, a, j);
	cr_assert_eq(r.status, POOL_DONE);
	cr_expect_eq(((float *)r.image[0].output->data)[16], test_expected(1, 16));
	pool_close(p);
	arena_free(a);
}

TEST(worker, an_edit_that_spares_the_first_image_runs_what_the_others_need)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct bundle *b = test_bundle(a, NULL), *m = test_bundle(a, (const char *const[]){NULL, NULL, LESS});
	struct pool_input *in = test_inputs(a, 3), edited[2] = {in[0], in[2]};
	struct pool_job j = {.id = 1, .bundle = m, .baseline = b, .baseline_input = in, .input = edited, .ninputs = 2};
	struct pool_result r = test_run(p, a, j), alone;

	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	cr_expect_eq(r.image[0].launches_run, 1u);
	cr_expect_eq(r.image[1].launches_run, 3u);
	alone = test_run(p, a, (struct pool_job){.id = 2, .bundle = m, .input = edited, .ninputs = 2});
	for (int i = 0; i < 2; i++)
		cr_expect(!memcmp(r.image[i].output->data, alone.image[i].output->data, N * sizeof(float)));
	pool_close(p);
	arena_free(a);
}

#define LARGE ((int64_t)4 << 20) /* elements: 16 MiB */
#define CHAIN 14

/* p = c; y0 = x + p, y1 = y0 + p ... */
static struct bundle *chain(struct arena *a)
{
	static const char body[] = KERNEL "{ const float *x = b[0], *p = b[1]; float *y = b[2]; for (int i = 0; i < 4 << 20; i++) y[i] = x[i] + p[i]; }\n";
	static const char copy[] = KERNEL "{ const float *c = b[0]; float *p = b[1]; for (int i = 0; i < 4 << 20; i++) p[i] = c[i]; }\n";
	struct bundle *b = ARENA_NEW(a, struct bundle);
	float *c = arena_alloc(a, (size_t)LARGE * sizeof *c);

	for (int64_t i = 0; i < LARGE; i++)
		c[i] = (float)(i % 5);
	b->nbuffers = CHAIN + 3;
	b->buffer = ARENA_ARRAY(a, struct bundle_buffer, b->nbuffers);
	for (uint32_t i = 0; i < b->nbuffers; i++)
		b->buffer[i] = (struct bundle_buffer){.name = arena_printf(a, "t%u", i), .role = BUF_TEMP, .dtype = DT_F32, .nd = 1, .dim = {LARGE}};
	b->buffer[0].role = BUF_INPUT;
	b->buffer[1].role = BUF_CONST;
	b->buffer[1].data = c;
	b->buffer[1].hash = hash_bytes(c, (size_t)LARGE * sizeof *c);
	b->buffer[b->nbuffers - 1].role = BUF_OUTPUT;
	b->nkernels = 2;
	b->kernel = ARENA_ARRAY(a, struct bundle_kernel, 2);
	b->kernel[0] = (struct bundle_kernel){.source = copy, .hash = hash_text(copy)};
	b->kernel[1] = (struct bundle_kernel){.source = body, .hash = hash_text(body)};
	b->nlaunches = CHAIN + 1;
	b->launch = ARENA_ARRAY(a, struct bundle_launch, b->nlaunches);
	b->launch[0] = (struct bundle_launch){.name = "pack", .kernel = 0, .nargs = 2, .nout = 1, .arg = arena_memdup(a, (uint32_t[]){1, 2}, 8)};
	for (uint32_t k = 1; k < b->nlaunches; k++)
		b->launch[k] = (struct bundle_launch){.name = arena_printf(a, "add%u", k), .kernel = 1, .nargs = 3, .nout = 1,
						      .arg = arena_memdup(a, (uint32_t[]){k == 1 ? 0 : k + 1, 2, k + 2}, 12)};
	b->ninputs = b->noutputs = 1;
	b->input = arena_memdup(a, (uint32_t[]){0}, 4);
	b->output = arena_memdup(a, (uint32_t[]){b->nbuffers - 1}, 4);
	return b;
}

static struct pool_input large_input(struct arena *a, float first)
{
	struct tensor *t = tensor_new(a, DT_F32, 1, (int64_t[]){LARGE});
	const struct tensor **list = ARENA_ARRAY(a, const struct tensor *, 1);

	for (int64_t i = 0; i < LARGE; i++)
		((float *)t->data)[i] = first + (float)(i % 7);
	list[0] = t;
	return (struct pool_input){.name = "x", .tensor = list, .ntensors = 1};
}

static void expect_chain(const struct pool_result *r)
{
	cr_assert_eq(r->status, POOL_DONE, "%s", r->text);
	for (int k = 0; k < 2; k++)
		for (int64_t i = 0; i < LARGE; i += 997) {
			float y = ((float *)r->image[k].output->data)[i], want = (float)(10 * k) + (float)(i % 7) + CHAIN * (float)(i % 5);

			cr_assert_eq(y, want, "image %d, element %lld: %g, not %g", k, (long long)i, (double)y, (double)want);
		}
}

/* Of the largest process below this one: the child that runs kernels. */
static long most_mib(void)
{
	struct rusage u;

	cr_assert(!getrusage(RUSAGE_CHILDREN, &u));
	return u.ru_maxrss >> 10;
}

TEST(worker, a_program_that_runs_once_takes_what_is_alive_and_64_mib)
{
	struct arena *a = arena_new(NULL);
	struct bundle *b = chain(a);
	struct pool_input in[2] = {large_input(a, 0), large_input(a, 10)};
	struct pool_job j = {.id = 1, .bundle = b, .input = in, .ninputs = 2, .once = true};
	uint64_t constants, tensors;
	struct pool *p = test_pool("gcc");
	struct pool_result r;
	long once;

	pool_planned_bytes(b, &constants, &tensors);
	cr_expect_eq(constants >> 20, 16u);
	cr_expect_eq(tensors >> 20, 16u * 2); /* what a launch reads and what it writes */
	r = test_run(p, a, j);
	expect_chain(&r);
	pool_close(p);
	once = most_mib();
	p = test_pool("gcc");
	j.once = false;
	r = test_run(p, a, j);
	expect_chain(&r);
	j.once = true; /* and what is sent for it is sent again */
	for (j.id = 2; j.id < 4; j.id++) {
		r = test_run(p, a, j);
		expect_chain(&r);
	}
	pool_close(p);
	(void)once;
#ifndef __SANITIZE_ADDRESS__
	/* and both inputs, which the plan lets go */
	cr_expect_leq(once, (long)((constants + tensors) >> 20) + 32 + 64, "%ld MiB", once);
	cr_expect_geq(most_mib(), 16 * CHAIN, "%ld MiB without: this test measures nothing", most_mib());
#endif
	arena_free(a);
}

TEST(worker, what_is_made_of_constants_is_run_once)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct bundle *b = test_bundle(a, NULL), *m = test_bundle(a, (const char *const[]){NULL, NULL, HALF});
	struct pool_result r;

	/* the second launch now reads the constant, so it does not depend on the image */
	b->launch[1].arg[0] = m->launch[1].arg[0] = 1;
	m->launch[2].nargs = 2;
	m->launch[2].arg[1] = 4;
	r = test_run(p, a, (struct pool_job){.id = 1, .bundle = m, .baseline = b, .input = test_inputs(a, 3), .ninputs = 3});
	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	cr_expect_eq(r.image[0].launches_saved, 2u);
	cr_expect_eq(((float *)r.image[2].output->data)[100], 50.0f);
	r = test_run(p, a, (struct pool_job){.id = 2, .bundle = b, .input = test_inputs(a, 3), .ninputs = 3});
	cr_expect_eq(r.image[0].launches_saved, 0u);
	cr_expect_eq(r.image[1].launches_saved, 2u); /* the third as well: the sum of two constants */
	cr_expect_eq(((float *)r.image[2].output->data)[100], 200.0f);
	pool_close(p);
	arena_free(a);
}

TEST(worker, repeated_runs_give_as_many_times)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result r = test_run(
	    p, a,
	    (struct pool_job){
		.id = 1, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 2), .ninputs = 2, .warmup = 2, .repeat = 5});

	expect_right(&r);
	cr_assert_not_null(r.image[1].times_s);
	for (int i = 0; i < 5; i++)
		cr_expect(r.image[1].times_s[i] > 0 && r.image[1].times_s[i] < 5);
	cr_expect_gt(r.image[1].time_s, 0);
	pool_close(p);
	arena_free(a);
}

/* y1 says where it lies, y2 the same, y how far it lies from there. */
TEST(worker, only_timed_runs_write_where_a_tensor_lay_that_nobody_reads_any_more)
{
	const char *const where[3] = {KERNEL "{ *(float *)b[1] = (unsigned long)b[1] >> 12 & 0xffffff; }\n",
				      KERNEL "{ *(float *)b[1] = *(float *)b[0]; }\n",
				      KERNEL "{ *(float *)b[2] = ((unsigned long)b[2] >> 12 & 0xffffff) - *(float *)b[0]; }\n"};
	struct arena *a = arena_new(NULL);

	test_slots_are_shared_in_timed_runs_only(test_pool("gcc"), a, test_bundle(a, where));
	arena_free(a);
}

/* ---- blame ------------------------------------------------------------------------------------------------- */

static struct pool_result run_mutant(struct pool *p, struct arena *a, const char *second, double limit)
{
	struct bundle *mutant = test_bundle(a, (const char *const[]){NULL, second, NULL});

	return test_run(p, a,
			(struct pool_job){.id = 1,
					  .bundle = mutant,
					  .baseline = test_bundle(a, NULL),
					  .input = test_inputs(a, 2),
					  .ninputs = 2,
					  .time_limit_s = limit});
}

static void expect_crash(const struct pool_result *r, int sig)
{
	cr_expect_eq(r->status, POOL_CRASHED, "%s: status %d: %s %s", strsignal(sig), r->status, r->text, r->log ? r->log : "");
	cr_expect_eq(r->stage, POOL_RUN);
	cr_expect_eq(r->signal, sig, "%s", r->text);
	cr_assert_not_null(r->launch);
	cr_expect_str_eq(r->launch, "relu");
	cr_expect(r->image[0].ran);
	cr_expect_eq(r->image[0].status, POOL_CRASHED);
	cr_expect(!r->image[1].ran);
}

TEST(worker, a_crash_is_blamed_on_its_launch_with_its_signal)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result r;

	r = run_mutant(p, a, KERNEL "{ float *y = b[1]; *(volatile float *)(y + (1ll << 40)) = 1; }\n", 5);
	expect_crash(&r, SIGSEGV);
	r = run_mutant(p, a, KERNEL "{ volatile int one = 1, z = 0; *(int *)b[1] = one / z; }\n", 5);
	expect_crash(&r, SIGFPE);
	r = run_mutant(p, a, KERNEL "{ abort(); }\n", 5);
	expect_crash(&r, SIGABRT);
	r = run_mutant(p, a, KERNEL "{ *(volatile float *)b[0] = 1; }\n", 5); /* inputs are read-only */
	expect_crash(&r, SIGSEGV);
	r = run_mutant(p, a, test_kernel[1], 5);
	cr_expect_eq(r.status, POOL_EQUIVALENT);
	cr_expect_eq(pool_stats(p).workers_lost, 0u);
	pool_close(p);
	arena_free(a);
}

TEST(worker, an_endless_loop_hangs_no_longer_than_its_limit)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result r = run_mutant(p, a, KERNEL "{ for (volatile int i = 0;; i++) ; }\n", 0.5);

	cr_expect_eq(r.status, POOL_HUNG, "%s", r.text);
	cr_expect_str_eq(r.launch, "relu");
	cr_expect(r.image[0].ran && r.image[0].status == POOL_HUNG && !r.image[1].ran);
	pool_close(p);
	arena_free(a);
}

TEST(worker, one_element_past_the_end_is_an_overrun_of_that_buffer)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result r;

	r = run_mutant(
	    p, a, KERNEL "{ const float *x = b[0]; float *y = b[1]; for (int i = 0; i < 1001; i++) y[i] = x[i] > 0 ? x[i] : 0; }\n",
	    5);
	cr_expect_eq(r.status, POOL_OVERRUN, "%s", r.text);
	cr_expect_str_eq(r.launch, "relu");
	cr_expect_str_eq(r.buffer, "y2");
	cr_expect(r.image[1].ran && r.image[1].status == POOL_OVERRUN);
	cr_expect_eq(((float *)r.image[1].output->data)[20], test_expected(1, 20));
	/* a copied neighbour shows too, before the start as well */
	r = run_mutant(p, a, KERNEL "{ const float *x = b[0]; float *y = b[1]; for (int i = -1; i < 1000; i++) y[i] = x[i]; }\n",
		       5);
	cr_expect_eq(r.status, POOL_OVERRUN, "%s", r.text);
	cr_expect_str_eq(r.buffer, "y2");
	pool_close(p);
	arena_free(a);
}

TEST(worker, unwritten_elements_are_nan_every_time)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result r =
	    run_mutant(p, a, KERNEL "{ const float *x = b[0]; float *y = b[1]; for (int i = 0; i < 999; i++) y[i] = x[i]; }\n", 5);

	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	cr_expect(isnan(((float *)r.image[0].output->data)[999]));
	cr_expect(isnan(((float *)r.image[1].output->data)[999]));
	cr_expect(!isnan(((float *)r.image[1].output->data)[998]));
	pool_close(p);
	arena_free(a);
}

/* The middle kernel of the test program, changed: what it leaves in its last element, and what it finds beyond its input's end. */
#define LEAVES KERNEL "{ const float *x = b[0]; float *y = b[1]; for (int i = 0; i < 999; i++) y[i] = x[i]; }\n"
#define LOOKS KERNEL "{ const float *x = b[0]; float *y = b[1]; for (int i = 0; i < 1000; i++) y[i] = x[i + 1]; }\n"

static struct pool_result run_filled(struct pool *p, struct arena *a, const char *source, struct fill fill)
{
	return test_run(p, a,
			(struct pool_job){.id = 1,
					  .bundle = test_bundle(a, (const char *const[]){NULL, source, NULL}),
					  .baseline = test_bundle(a, NULL),
					  .input = test_inputs(a, 2),
					  .ninputs = 2,
					  .fill = fill,
					  .dump = true});
}

/* y2's last element, with nobody else's value. */
static float last(const struct pool_result *r, size_t image)
{
	cr_assert_eq(r->status, POOL_DONE, "%s", r->text);
	cr_assert_str_eq(r->image[image].dump[1].name, "y2");
	return ((float *)r->image[image].dump[1].value.data)[N - 1];
}

TEST(worker, what_nobody_wrote_is_the_job_s_choice_in_outputs_and_beyond_the_edges)
{
	static const char *const sources[] = {LEAVES, LOOKS};
	const struct fill random = {FILL_RANDOM, 7}, other = {FILL_RANDOM, 8}, zero = {FILL_ZERO, 0}, nan = {FILL_NAN, 0};
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");

	for (int k = 0; k < 2; k++) {
		struct pool_result first = run_filled(p, a, sources[k], nan), r = run_filled(p, a, sources[k], zero);
		float seven;

		cr_expect(isnan(last(&first, 0)) && isnan(last(&first, 1)));
		cr_expect(last(&r, 0) == 0 && last(&r, 1) == 0, "%g", (double)last(&r, 0));
		cr_expect_eq(r.image[0].launches_saved, 1u, "the original's own tensors do not depend on it");
		cr_expect(!hash_eq(first.image[0].dump[1].key, r.image[0].dump[1].key), "but what comes of it does");
		r = run_filled(p, a, sources[k], random);
		seven = last(&r, 0);
		cr_expect(seven >= -1 && seven < 1 && seven != 0, "%g", (double)seven);
		r = run_filled(p, a, sources[k], other);
		cr_expect_neq(last(&r, 0), seven);
		r = run_filled(p, a, sources[k], random);
		cr_expect_eq(last(&r, 1), seven, "the same again");
		r = run_filled(p, a, sources[k], nan);
		cr_expect(isnan(last(&r, 1)) && hash_eq(first.image[0].dump[1].key, r.image[0].dump[1].key));
	}
	pool_close(p);
	arena_free(a);
}

TEST(worker, elements_that_a_changed_kernel_left_unwritten_are_counted_and_named)
{
	static const struct fill fills[] = {{FILL_NAN, 0}, {FILL_RANDOM, 3}};
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");

	for (int i = 0; i < 2; i++) {
		struct pool_result r = run_filled(p, a, LEAVES, fills[i]);

		cr_expect_eq(r.image[1].unwritten, 1u);
		cr_assert(r.image[1].unwritten_in && r.image[1].unwritten_by);
		cr_expect_str_eq(r.image[1].unwritten_by, "relu");
		cr_expect_str_eq(r.image[1].unwritten_in, "y2");
		r = run_filled(p, a, LOOKS, fills[i]);
		cr_expect_eq(r.image[0].unwritten, 0u, "a value from beyond the edge was written");
	}
	pool_close(p);
	arena_free(a);
}

TEST(worker, an_overrun_is_found_with_every_fill)
{
	static const struct fill fills[] = {{FILL_NAN, 0}, {FILL_ZERO, 0}, {FILL_RANDOM, 3}, {FILL_STALE, 0}};
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");

	for (int i = 0; i < 4; i++) { /* zeros, most of all */
		struct pool_result r = run_filled(
		    p, a, KERNEL "{ float *y = b[1]; for (int i = 0; i < 1001; i++) y[i] = 0; }\n", fills[i]);

		cr_expect_eq(r.status, POOL_OVERRUN, "fill %d: %s", i, r.text);
		cr_expect_str_eq(r.buffer, "y2");
	}
	pool_close(p);
	arena_free(a);
}

TEST(worker, what_is_made_of_stale_memory_is_never_found_again)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result one = run_filled(p, a, LOOKS, (struct fill){FILL_STALE, 0}),
			   two = run_filled(p, a, LOOKS, (struct fill){FILL_STALE, 0});

	cr_expect(!hash_eq(one.image[0].dump[1].key, two.image[0].dump[1].key));
	cr_expect(hash_eq(one.image[0].dump[0].key, two.image[0].dump[0].key), "what came before it is");
	pool_close(p);
	arena_free(a);
}

#ifdef __SANITIZE_ADDRESS__
#define JAILED false /* the sanitizer's runtime does not live in a jail */
#else
#define JAILED true
#endif

TEST(worker, processes_and_signals_of_a_kernel_hurt_nobody_else)
{
	static const char *const evil[] = {
	    KERNEL "{ if (fork() == 0) for (;;) ; }\n", KERNEL "{ execl(\"/bin/true\", \"true\", (char *)0); }\n",
	    KERNEL "{ kill(getppid(), SIGKILL); }\n",   KERNEL "{ kill(-1, SIGCONT); }\n",
	    KERNEL "{ close(3); for (;;) ; }\n",
	};
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");

	for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
		struct pool_result r = run_mutant(p, a, evil[i], 1);

		if (JAILED && pool_caps(p, 0)->isolates)
			expect_crash(&r, SIGSYS);
		r = test_run(p, a,
			     (struct pool_job){.id = 2, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 1), .ninputs = 1});
		expect_right(&r);
	}
	cr_expect(!JAILED || !pool_stats(p).workers_lost);
	pool_close(p);
	arena_free(a);
}

TEST(worker, a_kernel_that_leaves_or_hoards_memory_is_a_crash)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result r = run_mutant(p, a, KERNEL "{ _exit(0); }\n", 5);

	expect_crash(&r, 0);
	/* 3 GiB where 1 is allowed: malloc says no, the kernel does not look */
	r = run_mutant(p, a, KERNEL "{ volatile char *m = malloc(3ll << 30); *m = 1; *(float *)b[1] = *m; }\n", 5);
	if (JAILED)
		expect_crash(&r, SIGSEGV);
	pool_close(p);
	arena_free(a);
}

TEST(worker, what_the_compiler_refuses_is_a_failed_build_with_its_log)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");
	struct pool_result r = run_mutant(p, a, KERNEL "{ this is not C; }\n", 5);

	cr_expect_eq(r.status, POOL_BUILD_FAILED, "%s", r.text);
	cr_expect_eq(r.stage, POOL_BUILD);
	cr_assert_not_null(r.log);
	cr_expect_not_null(strstr(r.log, "error"), "%s", r.log);
	r = test_run(p, a, (struct pool_job){.id = 2, .bundle = test_bundle(a, NULL), .build_only = true});
	cr_expect_eq(r.status, POOL_DONE);
	cr_expect_eq(r.nkernels, 3u);
	cr_expect(!hash_is_zero(r.kernel_code[2]));
	pool_close(p);
	arena_free(a);
}
