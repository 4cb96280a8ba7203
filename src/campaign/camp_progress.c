/* camp_progress.c: how far a campaign is: for the hook, and as a fact in the store for `mutatenn status` in another terminal
 *
 * The fact "status" is lines of words with tabs between them; camp_status_read() reads them. It is written once a second at most, as a
 * transaction of its own; while a group's mutants are made, as part of the one that keeps what was decided of them.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "campaign/campaign_internal.h"

#define TELL_S 0.05
#define KEEP_S 1.0
#define MIN_RATE_S 2.0 /* younger phases have no rate */

static const char *const phase_names[] = {"waiting", "building", "working", "done", "lost", "set aside", "interrupted"};

const char *camp_device_phase_name(enum camp_device_phase p)
{
	return phase_names[p];
}

static bool phase_parse(const char *name, enum camp_device_phase *out)
{
	for (size_t i = 0; i < sizeof phase_names / sizeof *phase_names; i++)
		if (!strcmp(name, phase_names[i])) {
			*out = (enum camp_device_phase)i;
			return true;
		}
	return false;
}

/* ---- what the hook sees ---------------------------------------------------------------------------------- */

static const char *current(const struct camp *c, uint64_t job)
{
	size_t m = c->group_first + (size_t)(job / (c->ndevices ? c->ndevices : 1));

	if (job == UINT64_MAX)
		return NULL;
	return c->in_group && !c->originals && m < c->nmutants ? c->mutant[m].id : "the original";
}

static void look_at(struct camp *c, size_t d, struct camp_device_progress *out)
{
	const struct camp_device_state *s = &c->device[d];
	const char *lost = NULL;
	struct pool_look look;

	*out = (struct camp_device_progress){.name = s->name, .done = s->done, .of = c->nmutants};
	if (!c->pool || (lost = pool_device_error(c->pool, d)) || s->dead) {
		out->phase = !c->pool ? CAMP_DEVICE_WAITING : lost ? CAMP_DEVICE_LOST : CAMP_DEVICE_SET_ASIDE;
		out->why = lost ? lost : s->aside;
		return;
	}
	pool_look(c->pool, d, &look);
	out->kernels = look.kernels;
	out->built = look.built;
	out->current = current(c, look.job);
	out->phase = look.running		     ? CAMP_DEVICE_WORKING
		     : look.building		     ? CAMP_DEVICE_BUILDING
		     : out->of && out->done == out->of ? CAMP_DEVICE_DONE
						     : CAMP_DEVICE_WAITING;
}

static void look(struct camp *c)
{
	if (!c->device)
		return;
	if (!c->seen)
		c->seen = ARENA_ARRAY(c->a, struct camp_device_progress, c->ndevices);
	for (size_t d = 0; d < c->ndevices; d++)
		look_at(c, d, &c->seen[d]);
	c->progress.device = c->seen;
	c->progress.ndevices = c->ndevices;
}

/* What is to be done on the devices that still work. */
static uint64_t left(const struct camp *c)
{
	uint64_t n = 0;

	for (size_t d = 0; d < c->ndevices; d++)
		if (c->seen && c->seen[d].phase != CAMP_DEVICE_LOST && c->seen[d].phase != CAMP_DEVICE_SET_ASIDE)
			n += c->nmutants > c->device[d].done ? c->nmutants - c->device[d].done : 0;
	return n;
}

/* The rate is that of the last minute or so: a sample each second, the oldest of them counts. */
static void measure(struct camp *c, double now)
{
	struct camp_progress *p = &c->progress;
	struct camp_sample *oldest = &c->sample[c->nsamples > CAMP_SAMPLES ? c->nsamples % CAMP_SAMPLES : 0];
	uint64_t fresh = p->done - (p->resumed < p->done ? p->resumed : p->done);
	double in_phase = now - c->phase_began;

	p->rate = p->left_s = -1;
	if (!c->in_group) {
		if (p->phase_done && p->phase_of >= p->phase_done)
			p->left_s = in_phase / (double)p->phase_done * (double)(p->phase_of - p->phase_done);
		return;
	}
	if (!c->nsamples || now - c->sample[(c->nsamples - 1) % CAMP_SAMPLES].at >= 1)
		c->sample[c->nsamples++ % CAMP_SAMPLES] = (struct camp_sample){now, fresh};
	if (fresh > oldest->done && now - oldest->at >= MIN_RATE_S) {
		p->rate = (double)(fresh - oldest->done) / (now - oldest->at);
		p->left_s = (double)left(c) / p->rate;
	}
}

/* ---- in the store ---------------------------------------------------------------------------------------- */

static void word(struct str *t, const char *text)
{
	str_addc(t, '\t');
	for (; text && *text; text++)
		str_addc(t, *text == '\t' || *text == '\n' ? ' ' : *text);
}

static void keep(struct camp *c, const char *state)
{
	const struct camp_progress *p = &c->progress;
	struct str t = {0};
	char host[256] = "";

	gethostname(host, sizeof host - 1);
	str_addf(&t, "state\t%s\nphase", state);
	word(&t, p->phase);
	str_addf(&t, "\nwriter\t%ld", (long)getpid());
	word(&t, host);
	str_addf(&t, "\nupdated\t%lld\nelapsed\t%.1f\nphase-done\t%llu\nphase-of\t%llu\nrate\t%.4g\nleft\t%.4g\n", (long long)time(NULL), p->elapsed_s,
		 (unsigned long long)p->phase_done, (unsigned long long)p->phase_of, p->rate, p->left_s);
	for (size_t d = 0; d < p->ndevices; d++) {
		const struct camp_device_progress *x = &p->device[d];

		str_add(&t, "device");
		word(&t, x->name);
		word(&t, phase_names[x->phase]);
		str_addf(&t, "\t%u\t%u", x->kernels, x->built);
		word(&t, x->current);
		word(&t, x->why);
		str_addc(&t, '\n');
	}
	/* a campaign does not end because it cannot say how far it is */
	store_set(c->store, "status", str_text(&t), NULL);
	str_free(&t);
}

void camp_tell(struct camp *c, const char *phase)
{
	bool begins = phase && (!c->progress.phase || strcmp(phase, c->progress.phase));
	double now = camp_now();

	if (begins) {
		c->progress.phase = phase;
		c->progress.phase_done = c->progress.phase_of = 0;
		c->phase_began = now;
		camp_times_phase(c, now);
	}
	c->progress.elapsed_s = now - c->started;
	if (!begins && now - c->told < TELL_S)
		return;
	c->told = now;
	look(c);
	measure(c, now);
	if (c->hooks && c->hooks->progress)
		c->hooks->progress(&c->progress, c->hooks->user);
	if (c->store && !c->recording && (begins || now - c->kept >= KEEP_S)) {
		c->kept = now;
		keep(c, "running");
	}
}

void camp_expect(struct camp *c, uint64_t jobs)
{
	c->progress.phase_of = c->progress.phase_done + jobs;
}

void camp_tell_end(struct camp *c, bool ok)
{
	if (!c->store || c->recording)
		return;
	look(c);
	c->progress.rate = c->progress.left_s = -1;
	c->progress.elapsed_s = camp_now() - c->started;
	if (ok && c->hooks && c->hooks->progress) /* the last jobs may have ended between two calls */
		c->hooks->progress(&c->progress, c->hooks->user);
	keep(c, !ok ? "failed" : c->out_of_time ? "out of time" : c->stopped ? "stopped" : "finished");
}

/* ---- reading it ------------------------------------------------------------------------------------------ */

/* The next word of a line; the line's end after the last one. */
static char *next_word(char **p)
{
	char *w = *p;

	*p += strcspn(*p, "\t");
	if (**p)
		*(*p)++ = 0;
	return w;
}

static bool read_line(char *p, struct camp_status *s)
{
	const struct {
		const char *name;
		double *to;
	} numbers[] = {{"updated", &s->updated}, {"elapsed", &s->elapsed_s}, {"phase-done", &s->phase_done}, {"phase-of", &s->phase_of},
		       {"rate", &s->rate},	 {"left", &s->left_s},	     {"writer", &s->pid}};
	char *key = next_word(&p);

	if (!strcmp(key, "state"))
		s->state = p;
	else if (!strcmp(key, "phase"))
		s->phase = p;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (!strcmp(key, numbers[i].name)) {
			*numbers[i].to = strtod(next_word(&p), NULL);
			if (!isfinite(*numbers[i].to))
				return false;
			if (!strcmp(key, "writer"))
				s->host = p;
		}
	if (!strcmp(key, "device") && s->ndevices < s->room) {
		struct camp_device_progress *d = &s->device[s->ndevices++];

		d->name = next_word(&p);
		if (!phase_parse(next_word(&p), &d->phase))
			return false;
		d->kernels = (uint32_t)strtoul(next_word(&p), NULL, 10);
		d->built = (uint32_t)strtoul(next_word(&p), NULL, 10);
		d->current = next_word(&p);
		d->why = next_word(&p);
	}
	return true;
}

bool camp_status_read(struct store *s, struct arena *a, struct camp_status *out, struct err *e)
{
	char *text, *line;

	*out = (struct camp_status){.state = "", .phase = "", .host = "", .rate = -1, .left_s = -1};
	if (!store_get(s, a, "status", &text, e))
		return false;
	if (!text)
		return true;
	for (const char *p = text; *p; p++)
		out->room += *p == '\n';
	out->device = ARENA_ARRAY(a, struct camp_device_progress, out->room + 1);
	out->known = true;
	for (line = text; line && *line;) {
		char *end = strchr(line, '\n');

		if (end)
			*end = 0;
		if (!read_line(line, out))
			return err_set(e, ERR_STORE, "store '%s' is damaged: what it says of the campaign's progress cannot be read", store_path(s));
		line = end ? end + 1 : NULL;
	}
	return true;
}
