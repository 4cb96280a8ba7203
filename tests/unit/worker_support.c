/* worker_support.c: bundles with hand-written kernels for the tests of the pool and its workers */
#include "worker_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "test_support.h"

#define HEAD                                                                                                                       \
	"#include <stdint.h>\n__attribute__((visibility(\"default\"))) void mutatenn_kernel(void *const *b, int64_t part, "        \
	"int64_t parts)\n"
#define PART "const int64_t n = 1000, lo = n * part / parts, hi = n * (part + 1) / parts;\n"

const char *const test_kernel[3] = {
    HEAD "{ " PART " const float *x = b[0]; float *y = b[1]; for (int64_t i = lo; i < hi; i++) y[i] = x[i] * 2; }\n",
    HEAD "{ " PART " const float *x = b[0]; float *y = b[1]; for (int64_t i = lo; i < hi; i++) y[i] = x[i] > 0 ? x[i] : 0; }\n",
    HEAD "{ " PART " const float *x = b[0], *c = b[1]; float *y = b[2]; for (int64_t i = lo; i < hi; i++) y[i] = x[i] + c[i]; }\n",
};

static struct hash text_hash(const char *s)
{
	return hash_bytes(s, strlen(s));
}

static struct bundle_buffer buffer(const char *name, enum buffer_role role)
{
	return (struct bundle_buffer){.name = name, .role = role, .dtype = DT_F32, .nd = 1, .dim = {N}};
}

struct bundle *test_bundle(struct arena *a, const char *const source[3])
{
	static const char *const names[] = {"double", "relu", "add"};
	struct bundle *b = ARENA_NEW(a, struct bundle);
	float *c = ARENA_ARRAY(a, float, N);

	for (int i = 0; i < N; i++)
		c[i] = (float)i;
	b->nbuffers = 5;
	b->buffer = ARENA_ARRAY(a, struct bundle_buffer, 5);
	b->buffer[0] = buffer("x", BUF_INPUT);
	b->buffer[1] = buffer("c", BUF_CONST);
	b->buffer[1].data = c;
	b->buffer[1].hash = hash_bytes(c, N * sizeof *c);
	b->buffer[2] = buffer("y1", BUF_TEMP);
	b->buffer[3] = buffer("y2", BUF_TEMP);
	b->buffer[4] = buffer("y", BUF_OUTPUT);
	b->nkernels = b->nlaunches = 3;
	b->kernel = ARENA_ARRAY(a, struct bundle_kernel, 3);
	b->launch = ARENA_ARRAY(a, struct bundle_launch, 3);
	for (uint32_t k = 0; k < 3; k++) {
		const char *s = source && source[k] ? source[k] : test_kernel[k];

		b->kernel[k] = (struct bundle_kernel){.source = s, .hash = text_hash(s)};
		b->launch[k] =
		    (struct bundle_launch){.name = names[k], .kernel = k, .nargs = k == 2 ? 3 : 2, .nout = 1, .parallel = true};
		b->launch[k].arg = ARENA_ARRAY(a, uint32_t, 3);
	}
	memcpy(b->launch[0].arg, (uint32_t[]){0, 2}, 8);
	memcpy(b->launch[1].arg, (uint32_t[]){2, 3}, 8);
	memcpy(b->launch[2].arg, (uint32_t[]){3, 1, 4}, 12);
	b->ninputs = b->noutputs = 1;
	b->input = arena_memdup(a, (uint32_t[]){0}, 4);
	b->output = arena_memdup(a, (uint32_t[]){4}, 4);
	return b;
}

struct bundle *test_single(struct arena *a, const char *source)
{
	struct bundle *b = ARENA_NEW(a, struct bundle);

	b->nbuffers = 2;
	b->buffer = ARENA_ARRAY(a, struct bundle_buffer, 2);
	b->buffer[0] = buffer("x", BUF_INPUT);
	b->buffer[1] = buffer("y", BUF_OUTPUT);
	b->nkernels = b->nlaunches = b->ninputs = b->noutputs = 1;
	b->kernel = ARENA_NEW(a, struct bundle_kernel);
	*b->kernel = (struct bundle_kernel){.source = source, .hash = text_hash(source)};
	b->launch = ARENA_NEW(a, struct bundle_launch);
	*b->launch = (struct bundle_launch){.name = "only", .nargs = 2, .nout = 1};
	b->launch->arg = arena_memdup(a, (uint32_t[]){0, 1}, 8);
	b->input = arena_memdup(a, (uint32_t[]){0}, 4);
	b->output = arena_memdup(a, (uint32_t[]){1}, 4);
	return b;
}

struct pool_input *test_inputs(struct arena *a, size_t n)
{
	struct pool_input *in = ARENA_ARRAY(a, struct pool_input, n);

	for (size_t k = 0; k < n; k++) {
		struct tensor *t = tensor_new(a, DT_F32, 1, (int64_t[]){N});
		const struct tensor **list = ARENA_ARRAY(a, const struct tensor *, 1);

		for (int i = 0; i < N; i++)
			((float *)t->data)[i] = (float)((i % 17 - 8) * (int)(k + 1));
		list[0] = t;
		in[k] = (struct pool_input){.name = arena_printf(a, "image%zu", k), .tensor = list, .ntensors = 1};
	}
	return in;
}

float test_expected(size_t image, int64_t i)
{
	float x = (float)(i % 17 - 8) * (float)(image + 1);

	return (x > 0 ? 2 * x : 0) + (float)i;
}

static const char *find_worker(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	cr_assert(n > 0);
	path[n] = 0;
	for (int up = 0; up < 3; up++) /* build/tests/unit/unit-worker */
		*strrchr(path, '/') = 0;
	strncat(path, "/mutatenn-worker", sizeof path - strlen(path) - 1);
	cr_assert(!access(path, X_OK), "%s must be built", path);
	return path;
}

static struct pool *open_pool(struct pool_device d)
{
	struct err e = {0};
	struct pool *p = NULL;

	setenv("MUTATENN_WORKER", find_worker(), 1);
	cr_assert(pool_open(&d, 1, &p, &e), "%s", err_text(&e));
	return p;
}

struct pool *test_pool(const char *cc)
{
	struct pool *p = open_pool(
	    (struct pool_device){.name = "test", .backend = "cpu", .cc = cc, .threads = 2, .builders = 2, .cache_dir = ""});

	cr_assert_null(pool_device_error(p, 0), "%s", pool_device_error(p, 0));
	return p;
}

struct pool *test_pool_of(const char *const *worker, size_t n, int runners)
{
	return open_pool((struct pool_device){.name = "test",
					      .backend = "cpu",
					      .threads = 1,
					      .worker = worker,
					      .nworker = n,
					      .runners = runners,
					      .builders = 2,
					      .cache_dir = ""});
}

struct pool_result test_run(struct pool *p, struct arena *a, struct pool_job job)
{
	struct pool_result r = {0};
	struct err e = {0};
	bool got;

	cr_assert(pool_submit(p, &job, &e), "%s", err_text(&e));
	cr_assert(pool_wait(p, a, 60, &got, &r, &e), "%s", err_text(&e));
	cr_assert(got, "no result in time");
	cr_assert_eq(r.job, job.id);
	return r;
}

bool have_compiler(const char *cc)
{
	char cmd[100];

	snprintf(cmd, sizeof cmd, "command -v %s >/dev/null 2>&1", cc);
	return !system(cmd);
}

void test_slots_are_shared_in_timed_runs_only(struct pool *p, struct arena *a, struct bundle *b)
{
	struct pool_job j = {.id = 1, .bundle = b, .input = test_inputs(a, 2), .ninputs = 2};

	for (int kept = 0; kept < 3; kept++) {
		struct pool_result r;

		j.repeat = kept == 1 ? 0 : 2;
		j.dump = kept == 2;
		r = test_run(p, a, j);
		cr_assert_eq(r.status, POOL_DONE, "%s %s", r.text, r.log ? r.log : "");
		for (int i = 0; i < 2; i++)
			cr_expect_eq(*(float *)r.image[i].output->data == 0, kept == 0);
	}
	pool_close(p);
}
