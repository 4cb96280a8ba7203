/* camp_twin.c: mutants that have the same code on a device are run once and share the verdict
 *
 * Who has which code is known per device: of this run's mutants, and of the store's. A withdrawn result's code is nobody's: the
 * store is asked each time.
 */
#include <string.h>

#include "base/map.h"
#include "campaign/campaign_internal.h"

static void put(struct camp *c, size_t device, struct hash code, const char *mutant, uint64_t group)
{
	struct camp_device_state *d = &c->device[device];
	struct camp_code *x = map_get_hash(d->code, code);

	if (!x) {
		x = ARENA_NEW(c->a, struct camp_code);
		map_put_hash(d->code, code, x);
	}
	*x = (struct camp_code){mutant, group};
}

bool camp_twins_load(struct camp *c, struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++) {
		struct store_iter *it;
		struct store_result r;

		c->device[d].code = map_new(c->a);
		it = store_results(c->store, NULL, c->device[d].name);
		while (store_next_result(it, &r))
			if (r.runs && !r.twin && !hash_is_zero(r.code))
				put(c, d, r.code, arena_strdup(c->a, r.mutant), 0);
		if (!store_iter_end(it, e))
			return false;
	}
	return true;
}

bool camp_twin_first(struct camp *c, size_t device, const char *mutant, struct hash code, const char **twin)
{
	const struct camp_code *x = map_get_hash(c->device[device].code, code);
	bool has = false;

	*twin = NULL;
	if (x && x->group != c->group && !store_has_result(c->store, x->mutant, c->device[device].name, &has, NULL))
		has = false;
	if (!x || (x->group != c->group && !has)) {
		put(c, device, code, mutant, c->group);
		return true;
	}
	if (!strcmp(x->mutant, mutant)) /* asked again: its worker was lost */
		return true;
	*twin = x->mutant;
	return false;
}

bool camp_twin_store(struct camp *c, size_t device, struct camp_pending *p, struct err *e)
{
	const char *name = c->device[device].name;
	struct store_iter *it;
	struct store_result r;
	bool has = false;

	if (!store_has_result(c->store, p->twin, name, &has, e))
		return false;
	if (!has) /* a tool error, or stopped before: neither has one */
		return true;
	if (!store_put_twin(c->store, p->twin, p->result.mutant, name, e))
		return false;
	it = store_results(c->store, p->result.mutant, name);
	if (store_next_result(it, &r)) {
		c->progress.by_outcome[r.outcome]++;
		c->progress.done++;
		c->device[device].done++;
		c->launches_saved += (uint64_t)r.launches_saved; /* it ran none */
	}
	return store_iter_end(it, e);
}
