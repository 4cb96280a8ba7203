/* camp_cores.c: how a campaign divides this machine's cores and memory among its runners
 *
 * A kernel that a mutation changed runs in one thread, and small networks gain little from a second one: where nobody says otherwise each runner
 * has one thread, and there are as many runners as cores. Each keeps the original's tensors of all images, so memory is a limit, too.
 */
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "campaign/campaign_internal.h"

int camp_usable_cores(void)
{
	cpu_set_t set;
	long n;

	if (!sched_getaffinity(0, sizeof set, &set))
		return CPU_COUNT(&set);
	n = sysconf(_SC_NPROCESSORS_ONLN); /* more than a set holds */
	return n > 0 ? (int)n : 1;
}

/* Of what the network computes of one image; kernels make a little more. */
static uint64_t image_bytes(const struct camp *c)
{
	const struct gir_graph *g = c->model->graph;
	uint64_t bytes = 1;

	for (size_t i = 0; i < g->nodes.n; i++)
		for (size_t k = 0; k < g->nodes.v[i]->nout; k++) {
			const struct gir_value *v = g->nodes.v[i]->out[k];
			int64_t n = 0;

			if (v && dims_elements(v->dim, v->nd, &n))
				bytes += (uint64_t)n * dtype_size(v->dtype);
		}
	return bytes;
}

static uint64_t runners_that_fit(const struct camp *c)
{
	uint64_t half = (uint64_t)sysconf(_SC_PHYS_PAGES) / 2 * (uint64_t)sysconf(_SC_PAGESIZE), one = image_bytes(c) * c->ninputs;

	if (c->config->memory)
		return c->config->memory / one;
	return half / (one < CAMP_ACTIVATION_BYTES ? one : CAMP_ACTIVATION_BYTES);
}

static bool is_here(const struct pool_device *d)
{
	return !d->nworker && !strcmp(d->backend, "cpu");
}

static bool shares(const struct pool_device *d)
{
	return is_here(d) && d->runners <= 0;
}

void camp_share_cores(const struct camp *c, struct pool_device *dev)
{
	uint64_t cores = (uint64_t)camp_usable_cores(), fit = runners_that_fit(c), sharing = 0;

	for (size_t d = 0; d < c->ndevices; d++) {
		sharing += shares(&dev[d]);
		if (is_here(&dev[d]) && dev[d].threads <= 0)
			dev[d].threads = 1;
	}
	for (size_t d = 0; d < c->ndevices; d++) {
		uint64_t n;

		if (!shares(&dev[d]))
			continue;
		n = cores / (uint64_t)dev[d].threads / sharing;
		n = n < fit / sharing ? n : fit / sharing;
		dev[d].runners = n > 1 ? (int)n : 1;
	}
}
