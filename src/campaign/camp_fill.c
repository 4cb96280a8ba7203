/* camp_fill.c: whether what a mutant gives depends on memory that nobody wrote
 *
 * A mutant is run with one fill of that memory (`fill`, NaN unless the campaign says otherwise). One that may have looked there is
 * run once more with another. When an image ends otherwise then, it and the mutant are `undefined`: what a user of such code gets is up
 * to what was in memory before. The images behind the first that does are not run again: nothing more would be known of the mutant.
 * Those may have looked whose changed kernels left the fill in an output, have local arrays that are not proved to be
 * written first, or are not proved to stay inside their buffers; what dies says nothing of its outputs.
 */
#include <string.h>

#include "base/str.h"
#include "campaign/campaign_internal.h"

struct fill camp_other_fill(struct fill f)
{
	return (struct fill){f.kind == FILL_ZERO ? FILL_NAN : FILL_ZERO, 0};
}

bool camp_other_bundle(struct camp *c, struct arena *a, size_t device, struct camp_made_program *p, struct err *e)
{
	const struct bundle *original = camp_original(c, device);
	struct comp_program *q;

	if (p->other)
		return true;
	if (!p->fills) { /* the text is the same */
		p->other = p->bundle;
		return true;
	}
	return comp_refill(a, p->program, c->variant[c->device[device].variant].target.dialect, original, camp_other_fill(c->fill), &q,
			   e) &&
	       comp_bundle(a, q, c->variant[c->device[device].variant].target.dialect, &p->other, e);
}

void camp_looks(struct camp_made_program *p, const struct bundle *original)
{
	for (uint32_t k = 0; k < p->bundle->nlaunches; k++) {
		const struct bundle_kernel *kernel = &p->bundle->kernel[p->bundle->launch[k].kernel];
		struct lir_bounds b;

		if (comp_has_kernel(original, kernel->hash))
			continue;
		p->fills = p->fills || kernel->fills;
		if (p->looks)
			continue;
		lir_bounds(p->program->kernel[k].func, &b);
		p->looks = b.kind != LIR_BOUNDS_IN_RANGE;
	}
	p->looks = p->looks || p->fills;
}

/* What a run says about outputs that were not filled; said of NaN alone, which no kernel writes by itself. */
static void note_unwritten(struct arena *a, const struct pool_result *r, struct fill f, struct camp_pending *p)
{
	for (size_t i = 0; i < r->nimages; i++) {
		const struct pool_image *im = &r->image[i];

		if (!im->unwritten)
			continue;
		p->left_unwritten = true;
		if (f.kind != FILL_NAN || p->unwritten)
			continue;
		p->unwritten = arena_printf(a, "'%s' left the fill in %llu element%s of '%s'", im->unwritten_by,
					    (unsigned long long)im->unwritten, im->unwritten == 1 ? "" : "s", im->unwritten_in);
	}
}

/* The next run is of n images of the chunk; so many are left behind them. */
static void refill(struct arena *a, size_t first, size_t at, size_t n, size_t left, struct camp_pending *p)
{
	p->refilled = true;
	p->refill_at = at;
	p->refill_n = n;
	p->refill_left = left;
	p->first = p->result;
	p->first.image = arena_memdup(a, p->result.image + first + at, (n + left) * sizeof *p->result.image);
}

bool camp_refill(struct camp *c, struct arena *a, size_t first, const struct pool_result *r, struct camp_pending *p)
{
	bool suspect = p->looks || r->status == POOL_CRASHED || c->fill.kind == FILL_STALE;

	note_unwritten(a, r, c->fill, p);
	if (r->status != POOL_DONE && r->status != POOL_OVERRUN && r->status != POOL_CRASHED)
		return false;
	if (p->result.outcome == OUTCOME_UNSTABLE || p->result.outcome == OUTCOME_REFUSED || !p->changed)
		return false;
	if (!suspect && !p->left_unwritten)
		return false;
	if (p->undefined) { /* as an image of an earlier chunk has shown */
		p->result.runs++;
		return false;
	}
	refill(a, first, 0, 1, r->nimages - 1, p);
	p->first.runs++;
	return true;
}

/* It wrote outside of its buffers in one of the runs, and so in both: what it copied there is not always seen. */
static bool overran(const struct store_image_result *x, const struct store_image_result *y)
{
	return (x->outcome == OUTCOME_OVERRUN && y->outcome <= OUTCOME_OVERRUN) ||
	       (y->outcome == OUTCOME_OVERRUN && x->outcome <= OUTCOME_OVERRUN);
}

static bool same(const struct store_image_result *x, const struct store_image_result *y, double noise, bool repeats_bits)
{
	if (camp_near_noise(x, noise) && camp_near_noise(y, noise))
		return true;
	if (x->outcome != y->outcome)
		return false;
	if (x->outcome == OUTCOME_CRASH)
		return true;
	return (x->answer.k ? x->answer.label[0] : -1) == (y->answer.k ? y->answer.label[0] : -1) &&
	       (!repeats_bits || hash_eq(x->answer.digest, y->answer.digest));
}

static char *explain(const struct camp *c, struct arena *a, const struct camp_pending *p, const struct store_image_result *with,
		     const struct store_image_result *other)
{
	bool alike = with->outcome == other->outcome;
	char f[FILL_TEXT], g[FILL_TEXT];
	struct str t = {0};
	char *text;

	str_addf(&t, "depends on memory nobody wrote: %s with fill %s, %s with fill %s", outcome_name(with->outcome),
		 fill_text(c->fill, f), alike ? "other scores" : outcome_name(other->outcome),
		 fill_text(camp_other_fill(c->fill), g));
	if (p->unwritten)
		str_addf(&t, "; %s", p->unwritten);
	if (p->first.message)
		str_addf(&t, "; %s", p->first.message);
	text = arena_strdup(a, str_text(&t));
	str_free(&t);
	return text;
}

/* Of the images that were run with both fills: what they are, up to the first that depends on the fill. NULL, or that it does, in words. */
static const char *compare(const struct camp *c, struct arena *a, size_t device, size_t first, size_t n, const struct store_image_result *mine,
			   const struct store_image_result *other, struct camp_pending *p, bool *overrun)
{
	for (size_t i = 0; i < n; i++) {
		double noise = c->device[device].noise[first + i];
		struct store_image_result *out = &p->result.image[first + i];

		if (overran(&mine[i], &other[i])) {
			*overrun = *overrun || mine[i].outcome != OUTCOME_OVERRUN;
			out->outcome = OUTCOME_OVERRUN;
			continue;
		}
		if (mine[i].outcome == OUTCOME_NOT_RUN || other[i].outcome == OUTCOME_NOT_RUN ||
		    same(&mine[i], &other[i], noise, noise == 0 && !p->races))
			continue;
		out->outcome = OUTCOME_UNDEFINED;
		return explain(c, a, p, &mine[i], &other[i]);
	}
	return NULL;
}

bool camp_refilled(struct camp *c, struct arena *a, size_t device, size_t first, const struct pool_result *r, struct camp_pending *p)
{
	struct store_image_result *mine = p->first.image, *other;
	struct store_result *s = &p->result;
	const char *why, *message;
	char f[FILL_TEXT], g[FILL_TEXT];
	bool ended = p->ended, overrun = false;
	size_t at = first + p->refill_at;

	if (r->status == POOL_HUNG && !p->refill_hung) { /* may be a busy machine */
		p->refill_hung = true;
		return false;
	}
	p->refilled = p->refill_hung = false;
	if (r->status == POOL_LOST) /* our trouble: the run before stands as it is */
		return true;
	note_unwritten(a, r, camp_other_fill(c->fill), p);
	camp_take(c, a, device, at, r, p);
	other = arena_memdup(a, s->image ? s->image + at : mine, r->nimages * sizeof *other);
	p->first.build_s = s->build_s;
	p->first.run_s = s->run_s;
	p->first.launches_run = s->launches_run;
	p->first.launches_saved = s->launches_saved;
	message = s->message;
	memcpy(s->image + at, mine, r->nimages * sizeof *mine);
	p->first.image = s->image;
	*s = p->first;
	p->ended = ended;
	why = compare(c, a, device, at, r->nimages, mine, other, p, &overrun);
	if (overrun && message && !s->message)
		s->message = arena_printf(a, "%s (seen with fill %s)", message, fill_text(camp_other_fill(c->fill), g));
	s->fill = arena_printf(a, "%s, %s", fill_text(c->fill, f), fill_text(camp_other_fill(c->fill), g));
	p->undefined = why;
	if (why) {
		s->message = why;
		if (s->outcome < OUTCOME_UNDEFINED || s->outcome == OUTCOME_CRASH)
			s->outcome = OUTCOME_UNDEFINED;
	} else if (p->refill_left) {
		refill(a, first, p->refill_at + p->refill_n, p->refill_left, 0, p);
		return false;
	}
	return true;
}
