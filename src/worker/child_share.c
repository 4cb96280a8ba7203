/* child_share.c: which tensors of a timed run lie in the same memory
 *
 * Runs that keep their tensors give each a slot of its own. A timed run keeps its outputs only, and memory that has just been read is still
 * in a cache: so what a launch writes goes where a tensor lies that nobody reads any more. Only tensors of equal size take turns, so that
 * canaries lie right at the ends of each.
 */
#include <string.h>

#include "base/arena.h"
#include "worker/child.h"

/* Not what is read by others than launches of this run. */
static bool shares(const struct prog *p, uint32_t buffer)
{
	const struct prog_buffer *b = &p->buffer[buffer];

	return (b->role == BUF_TEMP || b->role == BUF_OUTPUT) && b->writer >= 0 && !p->launch[b->writer].constant;
}

/* The most recently freed slot of that size, which no longer is among the n of `spare`; `or` when there is none. */
static uint32_t take(const struct prog *p, uint32_t *spare, uint32_t *n, size_t bytes, uint32_t or)
{
	for (uint32_t i = *n; i-- > 0;)
		if (p->buffer[spare[i]].bytes == bytes) {
			or = spare[i];
			memmove(spare + i, spare + i + 1, (--*n - i) * sizeof *spare);
			break;
		}
	return or;
}

void slots_share(struct arena *a, const struct prog *p, uint32_t *slot)
{
	uint32_t *last = ARENA_ARRAY(a, uint32_t, p->nbuffers), *spare = ARENA_ARRAY(a, uint32_t, p->nbuffers), n = 0;

	for (uint32_t i = 0; i < p->nbuffers; i++)
		slot[i] = i;
	for (uint32_t k = 0; k < p->nlaunches; k++)
		for (uint32_t i = 0; i < p->launch[k].nargs; i++)
			last[p->launch[k].arg[i]] = k;
	for (uint32_t i = 0; i < p->noutputs; i++)
		last[p->output[i]] = UINT32_MAX;
	for (uint32_t k = 0; k < p->nlaunches; k++) {
		const struct prog_launch *l = &p->launch[k];

		for (uint32_t i = l->nargs - l->nout; i < l->nargs; i++)
			if (shares(p, l->arg[i]))
				slot[l->arg[i]] = take(p, spare, &n, p->buffer[l->arg[i]].bytes, l->arg[i]);
		for (uint32_t i = 0; i < l->nargs; i++)
			if (shares(p, l->arg[i]) && last[l->arg[i]] == k) {
				spare[n++] = slot[l->arg[i]];
				last[l->arg[i]] = UINT32_MAX; /* once, though it be read twice */
			}
	}
}
