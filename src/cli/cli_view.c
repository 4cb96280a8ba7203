/* cli_view.c: see cli_view.h; most important first, since what has no room is left out */
#include "cli/cli_view.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "campaign/campaign.h"

#define BAR 60

void cli_add_time(struct str *s, double t)
{
	if (t >= 86400)
		str_addf(s, "%dd%02dh", (int)t / 86400, (int)t / 3600 % 24);
	else if (t >= 3600)
		str_addf(s, "%dh%02dm", (int)t / 3600, (int)t / 60 % 60);
	else if (t >= 60)
		str_addf(s, "%dm%02ds", (int)t / 60, (int)t % 60);
	else
		str_addf(s, "%.0fs", t);
}

static bool of_mutants(const struct camp_progress *p)
{
	return p->phase && !strcmp(p->phase, "mutants");
}

/* 0..1; negative: not known */
static double share(const struct camp_progress *p)
{
	if (of_mutants(p))
		return p->jobs ? (double)p->done / (double)p->jobs : -1;
	return p->phase_of && p->phase_done <= p->phase_of ? (double)p->phase_done / (double)p->phase_of : -1;
}

static void add_part(struct str *out, int columns, struct str *part)
{
	if (!out->n || (part->n && (int)(out->n + part->n) + 2 <= columns)) {
		str_add(out, out->n ? ", " : "");
		str_add(out, str_text(part));
	}
	str_clear(part);
}

void cli_view_line(const struct camp_progress *p, int columns, struct str *out)
{
	double part_done = share(p);
	struct str part = {0};

	str_add(&part, p->phase && *p->phase ? p->phase : "starting");
	if (part_done >= 0)
		str_addf(&part, " %d %%", (int)(100 * part_done));
	add_part(out, columns, &part);
	if (p->left_s >= 0) {
		cli_add_time(&part, p->left_s);
		str_add(&part, " left");
		add_part(out, columns, &part);
	}
	if (part_done >= 0) {
		str_addf(&part, "%llu of %llu", (unsigned long long)(of_mutants(p) ? p->done : p->phase_done),
			 (unsigned long long)(of_mutants(p) ? p->jobs : p->phase_of));
		add_part(out, columns, &part);
	}
	if (p->rate >= 0) {
		str_addf(&part, "%.*f/s", p->rate < 10 ? 1 : 0, p->rate);
		add_part(out, columns, &part);
	}
	cli_add_time(&part, p->elapsed_s);
	str_add(&part, " so far");
	add_part(out, columns, &part);
	str_free(&part);
}

static void add_bar(const struct camp_progress *p, int columns, struct str *out)
{
	int width = columns - 3 < BAR ? columns - 3 : BAR, full;
	double s = share(p);

	if (s < 0 || width < 4)
		return;
	full = (int)(s * width);
	str_add(out, "\001g[");
	for (int i = 0; i < width; i++)
		str_addc(out, i < full ? '#' : '.');
	str_add(out, "]\n");
}

/* The worst first: what to look at stands in front. */
static void add_outcomes(const struct camp_progress *p, int columns, struct str *out)
{
	struct str line = {0}, part = {0};

	for (int o = OUTCOME_COUNT - 1; o >= 0; o--) {
		if (!p->by_outcome[o] || o == OUTCOME_NOT_RUN)
			continue;
		str_addf(&part, "%s %llu", outcome_name((enum outcome)o), (unsigned long long)p->by_outcome[o]);
		if (line.n && (int)(line.n + part.n) + 3 > columns) {
			str_addf(out, "%s\n", str_text(&line));
			str_clear(&line);
		}
		str_addf(&line, "%s%s", line.n ? ", " : "", str_text(&part));
		str_clear(&part);
	}
	if (line.n)
		str_addf(out, "%s\n", str_text(&line));
	str_free(&line);
	str_free(&part);
}

static void add_device(const struct camp_device_progress *d, int name_width, struct str *out)
{
	bool gone = d->phase == CAMP_DEVICE_LOST || d->phase == CAMP_DEVICE_SET_ASIDE;
	int n = (int)strlen(d->name);

	str_addf(out, "%s%.*s%*s %-9s", gone ? "\001r" : d->phase == CAMP_DEVICE_DONE ? "\001g" : "", name_width, d->name,
		 n < name_width ? name_width - n : 0, "", camp_device_phase_name(d->phase));
	if (d->done)
		str_addf(out, " %llu/%llu", (unsigned long long)d->done, (unsigned long long)d->of);
	if (d->phase == CAMP_DEVICE_BUILDING && d->kernels)
		str_addf(out, " kernels %u/%u", d->built, d->kernels);
	if (gone && d->why && *d->why)
		str_addf(out, " %.*s", (int)strcspn(d->why, "\n"), d->why);
	else if (d->current && *d->current)
		str_addf(out, " %s", d->current);
	str_addc(out, '\n');
}

static int lines_of(const struct str *t)
{
	int n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += t->s[i] == '\n';
	return n;
}

void cli_view_screen(const struct camp_progress *p, int columns, int rows, bool stopping, struct str *out)
{
	struct str line = {0};
	int width = 0, room;

	cli_view_line(p, columns, &line);
	str_addf(out, "\001b%s\n", str_text(&line));
	str_free(&line);
	if (stopping)
		str_add(out, "\001ystopping: what is stored stays\n");
	add_bar(p, columns, out);
	add_outcomes(p, columns, out);
	room = rows - 1 - lines_of(out);
	for (size_t d = 0; d < p->ndevices; d++)
		if ((int)strlen(p->device[d].name) > width)
			width = (int)strlen(p->device[d].name);
	width = width > columns / 3 ? columns / 3 : width;
	for (size_t d = 0; d < p->ndevices; d++) {
		if (room <= 1 && d + 1 < p->ndevices) {
			str_addf(out, "... and %zu more device%s\n", p->ndevices - d, p->ndevices - d == 1 ? "" : "s");
			break;
		}
		add_device(&p->device[d], width < 4 ? 4 : width, out);
		room--;
	}
}
