/* camp_noise.c: how far apart runs of the original lie, and of changes that must not change it
 *
 * The original is run `repeat` times. Where all runs give the same bits there is no noise. Where they do not, it is run until there
 * are enough samples of the largest difference, and the floor is twice the largest one seen, relative to the size of an image's
 * scores: a bound that thousands of mutants on dozens of images can be held against. Control mutants (operands exchanged, -0.0
 * added, independent statements exchanged) are run too: what a device makes of them is noise as well. All this is frozen before
 * mutants run.
 */
#include <math.h>
#include <string.h>

#include "base/str.h"
#include "campaign/campaign_internal.h"

#define SAMPLES 96 /* runs x images, once there is noise */
#define SAFETY 2   /* times the largest difference seen */
#define UNFIT 0.1  /* of an image's largest score: no measuring device is that */

struct noise {        /* of one device */
	double *seen; /* per image: largest difference to the first run */
	int runs, controls, same_code, identical, failed;
	const char *broken; /* what a control mutant did that no change without effect may do */
	const char *mutant;
	bool any;
};

struct measuring {
	struct noise *device;
	struct fill fill; /* of the run under way */
	size_t first;
	const struct mutant *mutant; /* per job, of control mutants: m * ndevices + d */
};

static void compare(struct camp *c, struct measuring *m, const struct pool_result *r)
{
	struct camp_device_state *d = &c->device[r->device];
	struct noise *n = &m->device[r->device];

	for (size_t i = 0; i < r->nimages; i++) {
		size_t at = m->first + i;
		struct distance x;

		if (!r->image[i].output)
			continue;
		distance_f32(d->logits[at], camp_scores(c->a, c->model, r->image[i].output), c->model->classes, &x);
		n->any = n->any || !x.identical;
		n->seen[at] = fmax(n->seen[at], x.special_differs ? INFINITY : x.max_abs);
	}
}

static bool take_run(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	struct measuring *m = user;

	(void)e;
	if (c->device[r->device].dead) /* for what another part of the images did */
		return true;
	if (r->status != POOL_DONE) {
		camp_set_aside(c, r->device, arena_printf(c->a, "the original ran once, and then failed: %s", r->text));
		return true;
	}
	m->first = camp_original_first(c, r);
	compare(c, m, r);
	return true;
}

static bool repeat(struct camp *c, struct measuring *m, const bool *left_out, struct err *e)
{
	for (size_t first = 0; first < c->ninputs && !c->stopped; first += c->chunk) {
		if (!camp_run_original(c, first, c->ninputs - first < c->chunk ? c->ninputs - first : c->chunk, m->fill, left_out, false,
				       take_run, m, e))
			return false;
	}
	for (size_t d = 0; d < c->ndevices; d++)
		m->device[d].runs += !left_out[d];
	return true;
}

/* One run; differs: per device, whether its bits are others than the first run's. */
static bool look(struct camp *c, struct measuring *m, const bool *left_out, struct fill fill, bool *differs, struct err *e)
{
	bool ok;

	for (size_t d = 0; d < c->ndevices; d++) {
		differs[d] = m->device[d].any;
		m->device[d].any = false;
	}
	m->fill = fill;
	ok = repeat(c, m, left_out, e);
	m->fill = c->fill;
	for (size_t d = 0; d < c->ndevices; d++) {
		bool now = m->device[d].any;

		m->device[d].any = now || differs[d];
		differs[d] = now;
	}
	return ok;
}

/* With another fill the original must give what it gave. What differs with it, and not without it, twice more, is no noise: the
 * original reads what nobody wrote, and nothing can be said of mutants. */
static bool reads_unwritten(struct camp *c, struct measuring *m, const bool *left_out, struct err *e)
{
	bool *out = ARENA_ARRAY(c->a, bool, c->ndevices), *suspect = ARENA_ARRAY(c->a, bool, c->ndevices),
	     *with = ARENA_ARRAY(c->a, bool, c->ndevices), *without = ARENA_ARRAY(c->a, bool, c->ndevices), any = false;

	for (size_t d = 0; d < c->ndevices; d++)
		without[d] = m->device[d].any;
	if (!look(c, m, left_out, camp_other_fill(c->fill), with, e))
		return false;
	for (size_t d = 0; d < c->ndevices; d++) {
		suspect[d] = with[d] && !without[d];
		out[d] = left_out[d] || !suspect[d];
		any = any || suspect[d];
	}
	for (int i = 0; any && i < 2 && !c->stopped; i++) {
		if (!look(c, m, out, c->fill, without, e) || !look(c, m, out, camp_other_fill(c->fill), with, e))
			return false;
		for (size_t d = 0; d < c->ndevices; d++)
			suspect[d] = suspect[d] && with[d] && !without[d];
	}
	for (size_t d = 0; d < c->ndevices && !c->stopped; d++)
		if (suspect[d] && !c->device[d].dead)
			camp_set_aside(c, d, "the original itself gives something else when other values lie in memory that nobody wrote; no fault can be told "
					     "from that. This is a mistake of this program or of the device's compiler: please report it");
	return true;
}

static bool repeats(struct camp *c, struct measuring *m, struct err *e)
{
	bool *left_out = ARENA_ARRAY(c->a, bool, c->ndevices);
	int more = (int)(SAMPLES / c->ninputs) + 1, last = c->config->repeat - 1;
	bool any = false;

	for (size_t d = 0; d < c->ndevices; d++) {
		left_out[d] = c->device[d].frozen;
		m->device[d].runs = 1;
	}
	m->fill = c->fill;
	for (int run = 1; run <= last && !c->stopped; run++)
		if (run > 1 && run == last ? !reads_unwritten(c, m, left_out, e) : !repeat(c, m, left_out, e))
			return false;
	for (size_t d = 0; d < c->ndevices; d++) {
		left_out[d] = left_out[d] || !m->device[d].any;
		any = any || !left_out[d];
	}
	for (int run = 0; any && run < more && !c->stopped; run++)
		if (!repeat(c, m, left_out, e))
			return false;
	return true;
}

/* ---- control mutants ---- */

static bool take_control(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	struct measuring *m = user;
	struct noise *n = &m->device[r->device];
	bool any = n->any;

	(void)e;
	n->controls++;
	n->same_code += r->status == POOL_EQUIVALENT;
	n->any = false;
	if (r->status == POOL_DONE)
		compare(c, m, r);
	else if (r->status != POOL_EQUIVALENT && r->status != POOL_LOST) {
		if (!n->failed++) {
			n->broken = arena_printf(c->a, "%s%s%.300s", r->text, r->log ? ": " : "", r->log ? r->log : "");
			n->mutant = m->mutant[r->job / c->ndevices].id;
		}
	}
	n->identical += r->status == POOL_DONE && !n->any;
	n->any = n->any || any;
	return true;
}

static bool submit(struct camp *c, struct camp_made *made, const struct pool_input *in, size_t n, size_t m, size_t *jobs,
		   struct err *e)
{
	for (size_t d = 0; d < c->ndevices; d++) {
		struct camp_made_program *p = &made->program[c->device[d].variant];
		struct pool_job j = {.id = m * c->ndevices + d,
				     .device = d,
				     .bundle = p->bundle,
				     .baseline = camp_original(c, d),
				     .input = in,
				     .ninputs = n,
				     .time_limit_s = c->device[d].time_limit_s};

		if (c->device[d].dead || c->device[d].frozen || !p->bundle)
			continue;
		if (!pool_submit(c->pool, &j, e))
			return false;
		++*jobs;
	}
	return true;
}

static bool controls(struct camp *c, struct measuring *m, struct err *e)
{
	struct mut_spec spec = {.operator_glob = "control.*", .pick = MUT_SAMPLE, .count = (uint64_t)c->config->control_mutants};
	size_t n, jobs = 0, images = c->ninputs < c->chunk ? c->ninputs : c->chunk;
	struct arena *a = arena_new(c->a);
	struct camp_made *made;
	struct pool_input *in;
	struct mutant *mutant;
	bool ok;

	if (!mut_list(a, &c->variant[0].program.subject, &spec, 1, c->config->seed, &mutant, &n, e))
		return false;
	in = camp_pool_inputs(c, a, NULL, 0, images);
	made = ARENA_ARRAY(a, struct camp_made, n);
	m->first = 0;
	m->mutant = mutant;
	ok = true;
	for (size_t i = 0; ok && i < n && !camp_stopping(c); i++)
		ok = !mutant[i].sites || (camp_make(c, &mutant[i], &made[i], e) && submit(c, &made[i], in, images, i, &jobs, e));
	ok = ok && camp_wait_all(c, a, jobs, take_control, m, e);
	if (!ok || c->stopped) {
		pool_close(c->pool); /* jobs under way still point in here */
		c->pool = NULL;
	}
	for (size_t i = 0; i < n; i++)
		arena_free(made[i].a);
	arena_free(a);
	return ok;
}

/* ---- the floor ---- */

static double largest(const float *scores, int64_t n)
{
	double max = 0;

	for (int64_t i = 0; i < n; i++)
		if (isfinite(scores[i]))
			max = fmax(max, fabs(scores[i]));
	return max;
}

static void settle(struct camp *c, struct camp_device_state *d, const struct noise *n)
{
	double ratio = 0, floor = 0, seen = 0;
	struct str t = {0};

	for (size_t i = 0; i < c->ninputs; i++) {
		double size = largest(d->logits[i], c->model->classes);

		seen = fmax(seen, n->seen[i]);
		ratio = fmax(ratio, n->seen[i] > 0 ? n->seen[i] / size : 0);
	}
	if (ratio > UNFIT) {
		camp_set_aside(c, (size_t)(d - c->device),
			       arena_printf(c->a, "runs of the original differ by %.3g, %s of its largest score; no fault can be told from that", seen,
					    isinf(ratio) ? "or in NaN and Inf," : arena_printf(c->a, "%.0f %%", ratio * 100)));
		return;
	}
	if (n->failed && n->failed == n->controls) {
		camp_set_aside(c, (size_t)(d - c->device),
			       arena_printf(c->a, "no change without effect ran there as the original does, so no fault can be told from that; '%s': %s",
					    n->mutant, n->broken));
		return;
	}
	for (size_t i = 0; i < c->ninputs; i++) {
		d->noise[i] = fmax(d->noise[i], SAFETY * ratio * largest(d->logits[i], c->model->classes));
		floor = fmax(floor, d->noise[i]);
	}
	str_addf(&t, "%d run%s of the original", n->runs, n->runs == 1 ? "" : "s");
	if (n->controls)
		str_addf(&t, " and %d change%s without effect (%d with its code, %d with its bits)", n->controls,
			 n->controls == 1 ? "" : "s", n->same_code, n->identical);
	if (seen > 0)
		str_addf(&t, " differ by up to %.3g; the floor is up to %.3g", seen, floor);
	else if (floor > 0)
		str_addf(&t, " agree; the floor is the given %.3g", floor);
	else
		str_add(&t, n->any ? " differ in the sign of zeros alone" : n->runs + n->controls > 1 ? ": the same bits" : "");
	if (n->broken) {
		log_warn("device '%s': '%s', which must change nothing, ended otherwise: %s", d->name, n->mutant, n->broken);
		str_addf(&t, ". '%s', which must change nothing, ended otherwise: %s", n->mutant, n->broken);
	}
	d->noise_text = arena_strdup(c->a, str_text(&t));
	str_free(&t);
}

bool camp_noise(struct camp *c, struct err *e)
{
	struct measuring m = {.device = ARENA_ARRAY(c->a, struct noise, c->ndevices)};
	bool all_frozen = true;
	uint64_t jobs = 0;

	for (size_t d = 0; d < c->ndevices; d++) {
		m.device[d].seen = ARENA_ARRAY(c->a, double, c->ninputs);
		all_frozen = all_frozen && (c->device[d].dead || c->device[d].frozen);
	}
	if (all_frozen)
		return true;
	camp_tell(c, "measuring noise");
	for (size_t d = 0; d < c->ndevices; d++)
		if (!c->device[d].dead && !c->device[d].frozen)
			jobs += (uint64_t)(c->config->repeat - 1) * camp_original_jobs(c, d, c->chunk) * ((c->ninputs + c->chunk - 1) / c->chunk) +
				(uint64_t)c->config->control_mutants;
	camp_expect(c, jobs);
	if (!repeats(c, &m, e) || (c->config->control_mutants && !c->stopped && !controls(c, &m, e)))
		return false;
	for (size_t d = 0; d < c->ndevices && !c->stopped; d++)
		if (!c->device[d].dead && !c->device[d].frozen)
			settle(c, &c->device[d], &m.device[d]);
	return true;
}
