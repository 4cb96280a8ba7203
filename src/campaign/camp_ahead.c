/* camp_ahead.c: mutants of the next group are made, and their kernels built, while something else runs
 *
 * Builders have nothing to do while the original runs, while the last mutants of a group do and during its control. One mutant at a time is
 * made between two results, so that nobody waits for it, and its kernels go behind all that is needed now. Nothing runs before its turn, and
 * what was made in vain (a group that is run again, a stop) costs time only.
 */
#include "campaign/campaign_internal.h"

void camp_ahead_begin(struct camp *c, size_t first, size_t size)
{
	struct camp_ahead *h = &c->ahead;

	*h = (struct camp_ahead){.first = first, .at = first};
	if (c->options->no_reuse || first >= c->nmutants)
		return;
	h->n = c->nmutants - first < size ? c->nmutants - first : size;
	h->a = arena_new(c->a);
	h->made = ARENA_ARRAY(h->a, struct camp_made, h->n);
}

/* On the device it is to be built: not resumed from the store. What an edit of the inputs takes is only memory. */
static bool wanted(struct camp *c, const struct mutant *m, size_t d, bool *wanted, struct err *e)
{
	bool has = true;

	if (m->sites && m->op->kind != MUT_INPUT && !c->device[d].dead && !store_has_result(c->store, m->id, c->device[d].name, &has, e))
		return false;
	*wanted = !has;
	return true;
}

static bool build(struct camp *c, const struct mutant *m, struct camp_made *made, bool more, bool *found, struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++) {
		const struct bundle *b;
		bool is = false;

		if (!wanted(c, m, d, &is, e) || (is && !made->a && !camp_make(c, m, made, e)))
			return false;
		b = is ? made->program[c->device[d].variant].bundle : NULL;
		if (b)
			pool_build_ahead(c->pool, d, b, more);
		*found = *found || is;
	}
	return true;
}

bool camp_ahead_step(struct camp *c, bool *more, struct err *e)
{
	struct camp_ahead *h = &c->ahead;
	bool found = false;

	*more = false;
	if (h->hold)
		return true;
	while (!found && h->at < h->first + h->n) {
		size_t m = h->at++;

		if (!build(c, &c->mutant[m], &h->made[m - h->first], h->at < h->first + h->n, &found, e))
			return false;
	}
	*more = h->at < h->first + h->n;
	return true;
}

void camp_ahead_hold(struct camp *c, bool hold)
{
	c->ahead.hold = hold;
	if (c->pool)
		pool_hold_ahead(c->pool, hold);
}

struct camp_made *camp_ahead_take(struct camp *c, struct arena *a, size_t first, size_t n)
{
	struct camp_ahead *h = &c->ahead;
	struct camp_made *made = ARENA_ARRAY(a, struct camp_made, n);
	bool mine = h->made && h->first == first && h->n == n;

	for (size_t m = 0; h->made && m < h->n; m++)
		if (mine)
			made[m] = h->made[m];
		else
			arena_free(h->made[m].a);
	arena_free(h->a);
	*h = (struct camp_ahead){0};
	return made;
}
