/* camp_jobs.c: what is given to the pool and awaited: inputs, results, and the original divided among a device's runners */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "campaign/campaign_internal.h"

struct pool_input *camp_pool_inputs(struct camp *c, struct arena *a, struct tensor *const *edited, size_t first, size_t n)
{
	struct pool_input *in = ARENA_ARRAY(a, struct pool_input, n);

	for (size_t i = 0; i < n; i++) {
		in[i].name = c->input[first + i].name;
		in[i].tensor = (const struct tensor *const *)(edited ? &edited[first + i] : &c->input[first + i].tensor);
		in[i].ntensors = 1;
		in[i].hash = edited ? NULL : &c->input[first + i].bytes;
	}
	return in;
}

bool camp_wait_all(struct camp *c, struct arena *a, size_t jobs,
		   bool (*take)(struct camp *, const struct pool_result *, void *, struct err *), void *user, struct err *e)
{
	while (jobs) {
		struct pool_result r;
		bool got, more;

		if (!camp_ahead_step(c, &more, e) || !pool_wait(c->pool, a, more ? 0 : 0.2, &got, &r, e))
			return false;
		camp_tell(c, NULL);
		if (camp_stopping(c))
			return true;
		if (!got)
			continue;
		jobs--;
		c->progress.phase_done++;
		if (!take(c, &r, user, e))
			return false;
	}
	return true;
}

/* Jobs of the original are numbered by their first input. */
size_t camp_original_first(const struct camp *c, const struct pool_result *r)
{
	return (size_t)r->job / c->ndevices;
}

uint64_t camp_original_jobs(const struct camp *c, size_t d, size_t n)
{
	return c->device[d].runners < n ? c->device[d].runners : n;
}

/* Where a mutant was refused: was it the mutant, or can nothing be built any more? The original with a kernel, its shortest, that no
 * cache has seen. */
static const struct bundle *built_anew(struct arena *a, const struct bundle *original)
{
	struct bundle *b = arena_memdup(a, original, sizeof *b);
	struct bundle_kernel *k = arena_memdup(a, b->kernel, b->nkernels * sizeof *k), *shortest = k;
	struct timespec now;

	for (uint32_t i = 1; i < b->nkernels; i++)
		if (!k[i].plain && strlen(k[i].source) < strlen(shortest->source))
			shortest = &k[i];
	clock_gettime(CLOCK_REALTIME, &now);
	shortest->source = arena_printf(a, "%s/* %lld.%09ld %d */\n", shortest->source, (long long)now.tv_sec, now.tv_nsec, (int)getpid());
	shortest->hash = hash_text(shortest->source);
	b->kernel = k;
	return b;
}

static bool submit_original(struct camp *c, struct arena *a, size_t d, size_t first, size_t n, struct fill fill, size_t *jobs, struct err *e)
{
	struct pool_job j = {.id = first * c->ndevices + d,
			     .device = d,
			     .bundle = camp_original(c, d),
			     .input = camp_pool_inputs(c, a, NULL, first, n),
			     .ninputs = n,
			     .fill = fill};

	if (c->device[d].refused)
		j.bundle = built_anew(a, j.bundle);
	++*jobs;
	return pool_submit(c->pool, &j, e);
}

/* Idle runners are given jobs in turn, so that as many as there are reach all of them. */
static bool submit_originals(struct camp *c, struct arena *a, size_t d, size_t first, size_t n, struct fill fill, bool each, size_t *jobs, struct err *e)
{
	size_t parts = each ? c->device[d].runners : (size_t)camp_original_jobs(c, d, n);
	bool ok = true;

	for (size_t i = 0; ok && i < parts; i++) {
		size_t from = each ? 0 : n * i / parts, to = each ? n : n * (i + 1) / parts;

		ok = submit_original(c, a, d, first + from, to - from, fill, jobs, e);
	}
	return ok;
}

bool camp_run_original(struct camp *c, size_t first, size_t n, struct fill fill, const bool *left_out, bool each,
		       bool (*take)(struct camp *, const struct pool_result *, void *, struct err *), void *user, struct err *e)
{
	struct arena *a = arena_new(c->a);
	size_t jobs = 0;
	bool ok = true;

	for (size_t d = 0; ok && d < c->ndevices; d++)
		if (!c->device[d].dead && !pool_device_error(c->pool, d) && !(left_out && left_out[d]))
			ok = submit_originals(c, a, d, first, n, fill, each, &jobs, e);
	c->originals = true;
	ok = ok && camp_wait_all(c, a, jobs, take, user, e);
	c->originals = false;
	arena_free(a);
	return ok;
}
