/* pool_look.c: what a device is at, for people who wait */
#include "worker/pool.h"

void pool_look(const struct pool *p, size_t device, struct pool_look *out)
{
	const struct dev *d = &p->dev[device];

	*out = (struct pool_look){.job = UINT64_MAX};
	for (const struct job *j = p->building.first; j; j = j->next) {
		if (j->dev != d)
			continue;
		out->building++;
		out->kernels += j->nkern;
		out->built += j->nkern - j->nwait;
	}
	for (const struct job *j = d->ready.first; j; j = j->next)
		out->waiting++;
	for (const struct job *j = p->running.first; j; j = j->next) {
		if (j->dev != d)
			continue;
		if (!out->running++)
			out->job = j->j.id;
	}
}
