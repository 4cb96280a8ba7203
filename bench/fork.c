/* fork.c: what a mutant costs a runner beside its launches - the fork, the guards around it, the talk
 *
 *     build/bench/fork MODEL...        [THREADS=n in the environment; default: the device's]
 *
 * For each model, on one runner of host-gcc at opt-level 3 with one image: jobs that find everything known (`idle`) and jobs whose last
 * launch alone is another kernel, which computes the same (`mutant`), in turn. Milliseconds from submission to result, medians; those of the
 * mutant are above the time of its launch, which is the worker's own figure. `processor`: time of the workers and their children per mutant,
 * which other work on the machine does not lengthen. Then, of both, medians of each of the runner's steps (worker/worker.h); `elsewhere` is what is
 * none of them: the program's side, the messages' way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "campaign/campaign.h"

#define JOBS 500
#define UNCOUNTED 10

struct bench {
	struct arena *a;
	struct pool *pool;
	struct pool_input in;
	uint64_t id;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Processor time that the workers, and children that they waited for, have used. */
static double workers_used(void)
{
	char path[64], text[1024];
	unsigned long long t[4], sum = 0;
	FILE *list = fopen("/proc/thread-self/children", "r"), *f;
	int pid;

	while (list && fscanf(list, "%d", &pid) == 1) {
		const char *at;
		size_t n;

		snprintf(path, sizeof path, "/proc/%d/stat", pid);
		if (!(f = fopen(path, "r")))
			continue;
		n = fread(text, 1, sizeof text - 1, f);
		text[n] = 0;
		fclose(f);
		if ((at = strrchr(text, ')')) && sscanf(at + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu %llu %llu", t, t + 1, t + 2, t + 3) == 4)
			sum += t[0] + t[1] + t[2] + t[3];
	}
	if (list)
		fclose(list);
	return (double)sum / (double)sysconf(_SC_CLK_TCK);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double at(double *t, int n, double share)
{
	qsort(t, (size_t)n, sizeof *t, by_value);
	return t[(int)(share * (n - 1))];
}

/* The original, but for its last launch: the same text and a function more. */
static struct bundle *mutate(struct arena *a, const struct bundle *b)
{
	struct bundle *m = arena_memdup(a, b, sizeof *b);
	struct bundle_kernel *last;

	m->kernel = ARENA_ARRAY(a, struct bundle_kernel, b->nkernels + 1);
	memcpy(m->kernel, b->kernel, b->nkernels * sizeof *b->kernel);
	m->launch = arena_memdup(a, b->launch, b->nlaunches * sizeof *b->launch);
	last = &m->kernel[m->nkernels++];
	*last = b->kernel[b->launch[b->nlaunches - 1].kernel];
	last->source = arena_printf(a, "%s\n__attribute__((visibility(\"default\"))) int mutatenn_other(void) { return 1; }\n", last->source);
	last->hash = hash_text(last->source);
	m->launch[m->nlaunches - 1].kernel = m->nkernels - 1;
	m->launch[m->nlaunches - 1].parallel = false;
	return m;
}

/* Milliseconds beside the launches; step: likewise, then what no step of the runner's is. */
static bool job(struct bench *t, const struct bundle *b, const struct bundle *original, double *ms, double *launches, double *step, struct err *e)
{
	struct pool_job j = {.id = ++t->id, .bundle = b, .baseline = original, .input = &t->in, .ninputs = 1, .run_equivalent = true};
	struct arena *a = arena_new(t->a);
	struct pool_result r;
	double start = now();
	bool got = false;

	if (!pool_submit(t->pool, &j, e) || !pool_wait(t->pool, a, -1, &got, &r, e))
		return false;
	*ms = (now() - start) * 1e3;
	if (!got || r.status != POOL_DONE)
		return err_set(e, ERR_DEVICE, "%s", got ? r.text : "no result");
	*launches = r.image[0].time_s * 1e3;
	*ms -= *launches;
	step[POOL_STEP_COUNT] = *ms + *launches;
	for (int i = 0; i < POOL_STEP_COUNT; i++) {
		step[i] = r.step_s[i] * 1e3;
		step[POOL_STEP_COUNT] -= step[i];
	}
	arena_free(a);
	return true;
}

static bool input(struct bench *t, const struct camp_model *m, const struct bundle *b, struct err *e)
{
	const struct bundle_buffer *buf = &b->buffer[b->input[0]];
	struct tensor *x = tensor_new(t->a, buf->dtype, buf->nd, buf->dim);
	const struct tensor **list = ARENA_ARRAY(t->a, const struct tensor *, 1);
	struct hash h;

	if (b->ninputs != 1)
		return err_set(e, ERR_UNSUPPORTED, "'%s' has several inputs", m->file);
	for (int64_t i = 0, n = tensor_elements(x); i < n; i++)
		tensor_set_f64(x, i, (double)(i * 7919 % 2001 - 1000) / 1000);
	list[0] = x;
	h = hash_bytes(x->data, tensor_bytes(x));
	t->in = (struct pool_input){.name = "input", .tensor = list, .ntensors = 1, .hash = arena_memdup(t->a, &h, sizeof h)};
	return true;
}

static bool measure(struct bench *t, const char *file, int threads, struct err *e)
{
	struct config_campaign c;
	struct camp_model_options mo = {.batch = 1};
	struct camp_level level = {.opt_level = 3};
	struct pool_device dev;
	struct camp_target target;
	struct camp_model *m;
	struct camp_program p;
	struct bundle *mutant;
	static const char *const name[] = {
#define X(id, text) text,
	    POOL_STEPS(X)
#undef X
	    "elsewhere"};
	static double idle[JOBS], mut[JOBS], launch[JOBS], step[2][POOL_STEP_COUNT + 1][JOBS];
	double one[POOL_STEP_COUNT + 1], ms, l, before, used;

	config_campaign_default(&c);
	c.ndevices = 1;
	c.devices = (char *[]){"host-gcc"};
	if (!camp_model_load(t->a, file, &mo, &m, e) || !camp_device(t->a, "host-gcc", &c, &dev, e))
		return false;
	dev.threads = threads;
	if (!pool_open(&dev, 1, &t->pool, e))
		return false;
	if (pool_device_error(t->pool, 0))
		return err_set(e, ERR_DEVICE, "%s", pool_device_error(t->pool, 0));
	if (!camp_targets(t->pool, &c, &target, e) || !camp_program_build(t->a, m, &level, &target, &p, e) || !input(t, m, p.bundle, e))
		return false;
	mutant = mutate(t->a, p.bundle);
	for (int i = -UNCOUNTED; i < JOBS; i++) {
		for (int which = 0; which < 2; which++) {
			double *to = i < 0 ? &ms : which ? &mut[i] : &idle[i];

			if (!job(t, which ? mutant : p.bundle, p.bundle, to, which && i >= 0 ? &launch[i] : &l, one, e))
				return false;
			for (int k = 0; i >= 0 && k <= POOL_STEP_COUNT; k++)
				step[which][k][i] = one[k];
		}
	}
	before = workers_used();
	for (int i = 0; i < JOBS; i++)
		if (!job(t, mutant, p.bundle, &ms, &l, one, e))
			return false;
	used = (workers_used() - before) / JOBS;
	printf("| %s | %u | %u | %.2f | %.2f | %.2f | %.2f | %.3f | %.2f |\n", m->name, p.bundle->nlaunches, p.bundle->nbuffers, at(idle, JOBS, .5), at(mut, JOBS, .5),
	       at(mut, JOBS, .1), at(mut, JOBS, .9), at(launch, JOBS, .5), used * 1e3);
	for (int which = 0; which < 2; which++) {
		printf("  %s ms:", which ? "mutant" : "idle");
		for (int k = 0; k <= POOL_STEP_COUNT; k++)
			printf(" %s %.3f", name[k], at(step[which][k], JOBS, .5));
		puts("");
	}
	fflush(stdout);
	return true;
}

int main(int argc, char **argv)
{
	const char *threads = getenv("THREADS");
	struct err e = {0};

	if (argc < 2) {
		fputs("usage: fork MODEL...\n", stderr);
		return 2;
	}
	puts("| model | launches | buffers | idle ms | mutant ms | tenth | nine tenths | its launch ms | processor ms |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|");
	for (int i = 1; i < argc; i++) {
		struct bench t = {.a = arena_new(NULL)};
		bool ok = measure(&t, argv[i], threads ? atoi(threads) : 0, &e);

		pool_close(t.pool);
		arena_free(t.a);
		if (!ok) {
			fprintf(stderr, "fork: %s: %s\n", argv[i], err_text(&e));
			return 1;
		}
	}
	return 0;
}
