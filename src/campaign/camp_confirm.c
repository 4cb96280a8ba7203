/* camp_confirm.c: what is not believed at once is run again
 *
 * A crash, a hang, a refusal by the compiler, a kill by a single image whose difference is near the noise, and whatever a mutant does whose iterations may
 * race: the job is run again on the same images. When the runs agree, that is the outcome; when they do not, it is `unstable`. A
 * hang alone may be a busy machine, a refusal alone a compiler out of memory: where two other runs agree, it is theirs.
 */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "campaign/campaign_internal.h"

#define NEAR_ULP 4   /* where there is no noise at all */
#define RACY_RUNS 3

/* A kill by one image alone, and by little. */
static bool near_noise(const struct camp *c, size_t device, size_t first, size_t n, const struct store_result *s)
{
	const struct camp_device_state *d = &c->device[device];
	size_t kills = 0;
	bool near = false;

	for (size_t i = first; i < first + n; i++) {
		const struct store_image_result *im = &s->image[i];

		if (im->outcome < OUTCOME_DRIFTED)
			continue;
		kills++;
		near = camp_near_noise(im, d->noise[i]) || (d->noise[i] <= 0 && im->outcome <= OUTCOME_MISCLASSIFIED && im->max_ulp <= NEAR_ULP);
	}
	return kills == 1 && near;
}

/* How many runs there must be in all, with the first one in the pending result. */
static int wanted_runs(const struct camp *c, size_t device, size_t first, const struct pool_result *r, const struct camp_pending *p)
{
	switch (r->status) {
	case POOL_CRASHED: return p->result.outcome == OUTCOME_REFUSED ? 1 : p->races ? RACY_RUNS : 2;
	case POOL_HUNG:
	case POOL_BUILD_FAILED: return 2;
	case POOL_DONE:
	case POOL_OVERRUN: return p->races ? RACY_RUNS : near_noise(c, device, first, r->nimages, &p->result) ? 2 : 1;
	default: return 1;
	}
}

/* What two runs must have in common: how each image ended; the bits too where the original repeats its own. */
static struct hash sight(const struct camp *c, size_t device, size_t first, size_t n, const struct pool_result *r,
			 const struct camp_pending *p)
{
	struct hasher *h = hasher_new();

	hash_put_u64(h, r->status);
	for (size_t i = first; p->result.image && i < first + n; i++) {
		const struct store_image_result *im = &p->result.image[i];
		bool chance = c->device[device].noise[i] > 0 && im->outcome == OUTCOME_IDENTICAL; /* the next run may be tolerated */

		hash_put_u64(h, chance ? OUTCOME_TOLERATED : im->outcome);
		hash_put_u64(h, im->answer.k ? (uint64_t)im->answer.label[0] : UINT64_MAX);
		if (c->device[device].noise[i] == 0)
			hash_put_hash(h, im->answer.digest);
	}
	return hasher_end(h);
}

static enum outcome worst(const struct store_result *s)
{
	enum outcome o = s->outcome;

	for (size_t i = 0; i < s->nimages; i++)
		o = s->image[i].outcome > o ? s->image[i].outcome : o;
	return o;
}

static bool may_be_chance(enum outcome o)
{
	return o == OUTCOME_HANG || o == OUTCOME_BUILD_FAILED;
}

static void unstable(struct arena *a, struct camp_pending *p)
{
	struct str t = {0};

	for (int i = 0; i < p->runs; i++)
		str_addf(&t, "%s%s", i ? ", then " : "run again, it gave something else: ", outcome_name(p->run[i].outcome));
	if (p->races)
		str_add(&t, " (iterations that run at the same time may write the same element)");
	p->result.outcome = OUTCOME_UNSTABLE;
	p->result.message = arena_strdup(a, str_text(&t));
	p->ended = true;
	str_free(&t);
}

bool camp_confirm(struct camp *c, struct arena *a, size_t device, size_t first, const struct pool_result *r, struct camp_pending *p)
{
	struct camp_repeat *now = &p->run[p->runs], *before = p->runs ? now - 1 : NULL;

	if (p->refilled)
		return camp_refilled(c, a, device, first, r, p);
	if (r->status == POOL_LOST && p->runs) { /* our trouble: the run before stands as it is */
		p->runs = 0;
		return true;
	}
	if (!p->runs)
		p->before = p->result;
	p->before.image = p->result.image;
	p->before.nimages = p->result.nimages;
	p->result = p->before;
	camp_take(c, a, device, first, r, p);
	*now = (struct camp_repeat){sight(c, device, first, r->nimages, r, p), worst(&p->result)};
	p->result.runs = ++p->runs;
	if (!before)
		p->wanted_runs = wanted_runs(c, device, first, r, p);
	else if (!hash_eq(now->sight, before->sight)) {
		if (p->runs == 2 && (may_be_chance(now->outcome) || may_be_chance(before->outcome)))
			p->wanted_runs = 3;
		else
			unstable(a, p);
	}
	if (p->runs < p->wanted_runs && p->result.outcome != OUTCOME_UNSTABLE)
		return false;
	p->runs = 0;
	return !camp_refill(c, a, first, r, p);
}
