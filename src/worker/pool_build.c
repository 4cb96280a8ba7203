/* pool_build.c: which builder gets which kernels, one or several at once */
#include "worker/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define TOGETHER_TEXT ((size_t)4 << 10) /* of a kernel: what a program costs beside its kernels is as dear as twice that, and longer ones gain nothing worth a control */

static struct kern *first_kernel(struct dev *d)
{
	while (d->queue && !d->queue->users && !d->queue->ahead) { /* its jobs are gone */
		struct kern *k = d->queue;

		d->queue = k->next;
		k->state = KERN_IDLE;
		free(k->source);
		k->source = NULL;
	}
	if (!d->queue)
		d->queue_end = NULL;
	if (d->queue && d->queue->ahead && d->pool->hold) /* behind all others */
		return NULL;
	return d->queue;
}

/* How many kernels a builder gets at once: no more than leaves some for others that are idle. 0: better wait for more. */
static uint32_t kernels_at_once(const struct dev *d)
{
	const bool more = d->pool->submitting || (d->queue->ahead && d->pool->more_ahead);
	uint32_t idle = 0, queued = 0, share;

	if (d->together < 2)
		return 1;
	for (int i = d->nrunners; i < d->npeers; i++)
		idle += !d->peer[i].nkerns;
	for (const struct kern *k = d->queue; k && queued < idle * d->together; k = k->next)
		queued++;
	if (!idle || (more && queued < d->together))
		return 0;
	share = (queued + idle - 1) / idle;
	return more || share > d->together ? d->together : share;
}

static bool gains(const struct kern *k)
{
	return !k->alone && strlen(k->source) <= TOGETHER_TEXT;
}

/* Takes what one builder gets from the front of the queue. */
static size_t take_kernels(struct dev *d, uint32_t most, struct kern **out)
{
	size_t n = 0;

	for (struct kern *k; n < most && (k = first_kernel(d)) && (!n || (gains(k) && gains(out[0]))); n++) {
		d->queue = k->next;
		out[n] = k;
	}
	first_kernel(d);
	return n;
}

static bool send_kernels(struct peer *p, struct kern **k, size_t n, struct err *e)
{
	Wire__Text text[WIRE_MAX_TOGETHER], *all[WIRE_MAX_TOGETHER];
	Wire__Build m = WIRE__BUILD__INIT;

	for (size_t i = 0; i < n; i++) {
		wire__text__init(all[i] = &text[i]);
		text[i].id = k[i]->hash.lo;
		text[i].source = k[i]->source;
		text[i].contract = k[i]->contract;
	}
	m.n_text = n;
	m.text = all;
	return peer_send(p, WIRE_BUILD, &m, e);
}

void pool_give_kernels(struct dev *d)
{
	uint32_t most;

	while (first_kernel(d) && !d->error && (most = kernels_at_once(d))) {
		struct kern *k[WIRE_MAX_TOGETHER];
		struct err e = {0};
		struct peer *p;
		size_t n;

		if (!(p = pool_free_peer(d, d->nrunners, d->npeers - d->nrunners, d->together < 2)))
			return;
		n = take_kernels(d, most, k);
		if (!send_kernels(p, k, n, &e)) {
			for (size_t i = 0; i < n; i++) {
				k[i]->log = strdup(err_text(&e));
				k[i]->why = WIRE_BUILT_REFUSED;
				k[i]->state = KERN_FAILED;
				kern_built(d, k[i]);
			}
			err_free(&e);
			continue;
		}
		if (!p->nkerns)
			p->busy_since = pool_now();
		for (size_t i = 0; i < n; i++) {
			k[i]->state = KERN_BUILDING;
			k[i]->together = n > 1;
			p->kern[p->nkerns++] = k[i];
		}
		p->deadline = pool_now() + BUILD_S;
	}
}
