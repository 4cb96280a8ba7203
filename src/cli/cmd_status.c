/* cmd_status.c: how far a campaign is, from another terminal: what its store says and nothing else */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"
#include "cli/cli_screen.h"
#include "cli/cli_view.h"
#include "report/report.h"

#define WATCH_S 1
#define STATUS_SCHEMA 1

static const struct cli_option options[] = {
        {"watch", CLI_FLAG, NULL, "again each second, until nobody writes the store"}, CLI_OPT_JSON, CLI_OPT_END};

/* One look at a store. */
struct look {
	struct arena *a;
	struct camp_status s;
	struct camp_progress p;
	struct store_counts counts;
	const char *model, *state;
	int64_t mutants, images;
	bool written;
};

static bool count_rows(struct store *s, struct look *l, struct err *e)
{
	struct store_iter *it = store_images(s);
	struct store_image im;
	struct store_model m;

	while (store_next_image(it, &im))
		l->images++;
	if (!store_iter_end(it, e))
		return false;
	it = store_models(s);
	while (store_next_model(it, &m))
		l->model = arena_strdup(l->a, m.name);
	return store_iter_end(it, e);
}

static uint64_t rows_done(const struct store_counts *c, uint64_t *of)
{
	uint64_t missing = (uint64_t)c->outcome[OUTCOME_NOT_RUN];

	*of = (uint64_t)(c->rows + c->suppressed);
	return *of > missing ? *of - missing : 0;
}

/* What the writer said of a device, or what is left of it when there is none. */
static void device_said(struct look *l, const char *error, struct camp_device_progress *d)
{
	bool known = false;

	for (size_t i = 0; i < l->s.ndevices; i++)
		if (!strcmp(l->s.device[i].name, d->name)) {
			struct camp_device_progress said = l->s.device[i];

			said.name = d->name;
			said.done = d->done;
			said.of = d->of;
			*d = said;
			known = true;
		}
	if (known && (d->phase == CAMP_DEVICE_LOST || d->phase == CAMP_DEVICE_SET_ASIDE))
		return;
	if (!known && error) {
		d->phase = CAMP_DEVICE_LOST;
		d->why = error;
	} else if (!l->written) {
		d->current = NULL;
		d->phase = d->done == d->of ? CAMP_DEVICE_DONE : CAMP_DEVICE_INTERRUPTED;
	}
}

static bool read_devices(struct store *s, struct look *l, struct err *e)
{
	struct store_iter *it = store_devices(s);
	struct camp_device_progress *list;
	struct store_device d;
	size_t n = 0;
	bool ok;

	while (store_next_device(it, &d))
		n++;
	if (!store_iter_end(it, e))
		return false;
	list = ARENA_ARRAY(l->a, struct camp_device_progress, n + 1);
	l->p.device = list;
	it = store_devices(s);
	for (ok = true; ok && l->p.ndevices < n && store_next_device(it, &d); l->p.ndevices++) {
		struct camp_device_progress *x = &list[l->p.ndevices];
		struct store_counts c;

		x->name = arena_strdup(l->a, d.name);
		ok = store_count(s, x->name, NULL, NULL, &c, e);
		x->done = ok ? rows_done(&c, &x->of) : 0;
		device_said(l, arena_strdup(l->a, d.error), x);
	}
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static bool missing(const struct look *l)
{
	for (size_t i = 0; i < l->p.ndevices; i++)
		if (l->p.device[i].done < l->p.device[i].of)
			return true;
	return !l->p.ndevices;
}

static bool read_store(struct store *s, struct look *l, struct err *e)
{
	if (!camp_status_read(s, l->a, &l->s, e) || !store_count(s, NULL, NULL, NULL, &l->counts, e) || !count_rows(s, l, e) || !read_devices(s, l, e))
		return false;
	for (int o = 0; o < OUTCOME_COUNT; o++)
		l->p.by_outcome[o] = (uint64_t)l->counts.outcome[o];
	l->p.done = rows_done(&l->counts, &l->p.jobs);
	l->mutants = l->p.ndevices ? (int64_t)(l->p.jobs / l->p.ndevices) : 0;
	l->p.phase = l->s.phase;
	l->p.phase_done = (uint64_t)(l->s.phase_done > 0 && l->s.phase_done < 1e18 ? l->s.phase_done : 0);
	l->p.phase_of = (uint64_t)(l->s.phase_of > 0 && l->s.phase_of < 1e18 ? l->s.phase_of : 0);
	l->p.elapsed_s = l->s.elapsed_s;
	l->p.rate = l->written ? l->s.rate : -1;
	l->p.left_s = l->written ? l->s.left_s : -1;
	l->state = l->written ? "running" : missing(l) ? "interrupted" : "finished";
	return true;
}

static bool look_at(const char *path, struct arena *a, struct look *l, struct err *e)
{
	struct store *s;
	bool ok;

	*l = (struct look){.a = a, .model = "", .state = "", .written = store_is_written(path)};
	if (!store_open(path, STORE_READ, &s, e))
		return false;
	ok = store_begin(s, e) && read_store(s, l, e); /* one moment */
	store_rollback(s);
	store_close(s);
	return ok;
}

/* ---- for people ------------------------------------------------------------------------------------------ */

static void head(const struct look *l, const char *path, struct str *t)
{
	str_addf(t, "\001b%s: %s, %lld mutants, %lld images, %zu device%s (%s)\n", *l->model ? l->model : "campaign", l->state, (long long)l->mutants,
		 (long long)l->images, l->p.ndevices, l->p.ndevices == 1 ? "" : "s", path);
	if (l->written && l->s.known)
		str_addf(t, "\001dwritten by process %.0f on %s, %.0f s ago\n", l->s.pid, l->s.host, fmax(0, difftime(time(NULL), (time_t)l->s.updated)) /* clocks are set back */);
	else if (!l->written && missing(l))
		str_add(t, "\001ynobody writes it; the command that began the campaign goes on with it\n");
}

static void text_of(struct look *l, const char *path, int columns, int rows, struct str *t)
{
	struct camp_progress p = l->p;

	head(l, path, t);
	if (!l->written)
		p.phase = "mutants"; /* what counts is how many there are */
	cli_view_screen(&p, columns, rows - 2, false, t);
}

/* Without colours and cuts: for pipes and dumb terminals. */
static void print_plain(const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (text[0] == '\001' && n > 1) {
			text += 2;
			n -= 2;
		}
		for (size_t i = 0; i < n; i++)
			putchar((unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i]);
		putchar('\n');
		text += n + (text[n] == '\n');
	}
}

/* ---- for scripts ----------------------------------------------------------------------------------------- */

static json_t *number(double x)
{
	return x < 0 ? json_null() : json_real(x);
}

static json_t *text_json(const char *s)
{
	return cli_json_text(s && *s ? s : NULL);
}

static json_t *device_json(const struct camp_device_progress *d)
{
	return json_pack("{so ss sI sI so so}", "name", text_json(d->name), "state", camp_device_phase_name(d->phase), "done", (json_int_t)d->done, "of",
			 (json_int_t)d->of, "current", text_json(d->current), "error", text_json(d->why));
}

static void print_json(const struct look *l, const char *path)
{
	json_t *j = json_object(), *outcomes = json_object(), *killed = json_object(), *list = json_array();

	for (int o = 0; o < OUTCOME_COUNT; o++)
		if (l->counts.outcome[o])
			json_object_set_new(outcomes, outcome_name((enum outcome)o), json_integer(l->counts.outcome[o]));
	for (int c = 0; c < STORE_CRITERIA; c++)
		json_object_set_new(killed, store_criterion_name(c), json_integer(l->counts.killed[c]));
	for (size_t i = 0; i < l->p.ndevices; i++)
		json_array_append_new(list, device_json(&l->p.device[i]));
	json_object_set_new(j, "schema", json_integer(STATUS_SCHEMA));
	json_object_set_new(j, "store", text_json(path));
	json_object_set_new(j, "state", json_string(l->state));
	json_object_set_new(j, "phase", l->written ? text_json(l->s.phase) : json_null());
	json_object_set_new(j, "writer", l->written && l->s.known ? json_pack("{sI so sI}", "pid", (json_int_t)l->s.pid, "host", text_json(l->s.host), "updated",
									      (json_int_t)l->s.updated)
								   : json_null());
	json_object_set_new(j, "mutants", json_integer(l->mutants));
	json_object_set_new(j, "images", json_integer(l->images));
	json_object_set_new(j, "done", json_integer((json_int_t)l->p.done));
	json_object_set_new(j, "of", json_integer((json_int_t)l->p.jobs));
	json_object_set_new(j, "rate", number(l->p.rate));
	json_object_set_new(j, "left_s", number(l->p.left_s));
	json_object_set_new(j, "elapsed_s", number(l->s.known ? l->p.elapsed_s : -1));
	json_object_set_new(j, "counted", json_integer(l->counts.counted));
	json_object_set_new(j, "killed", killed);
	json_object_set_new(j, "outcomes", outcomes);
	json_object_set_new(j, "devices", list);
	json_dumpf(j, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(j);
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static void show(const struct cli_args *args, struct look *l, struct cli_screen *screen)
{
	bool over = cli_flag(args, "watch") && cli_can_write_over(STDOUT_FILENO);
	struct str t = {0};
	int columns, rows;

	if (cli_flag(args, "json")) {
		print_json(l, args->positional[0]);
		fflush(stdout);
		return;
	}
	cli_terminal_size(STDOUT_FILENO, &columns, &rows);
	text_of(l, args->positional[0], columns, isatty(STDOUT_FILENO) ? rows : 1000, &t);
	if (over || cli_can_write_over(STDOUT_FILENO))
		cli_screen_show(screen, str_text(&t), cli_colour(STDOUT_FILENO));
	else
		print_plain(str_text(&t));
	if (!over)
		screen->lines = 0;
	fflush(stdout);
	str_free(&t);
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct cli_screen screen = {.f = stdout};
	bool again = true;

	(void)status;
	while (again) {
		struct arena *a = arena_new(NULL);
		struct look l;
		bool ok = look_at(args->positional[0], a, &l, e);

		if (ok)
			show(args, &l, &screen);
		again = ok && cli_flag(args, "watch") && l.written && !ferror(stdout);
		arena_free(a);
		if (!ok)
			return false;
		if (again)
			sleep(WATCH_S);
	}
	return true;
}

const struct cli_command cmd_status = {
        .name = "status",
        .summary = "how far a campaign is, from another terminal",
        .usage = "STORE",
        .description = "Reads the store of a campaign that is running, finished or interrupted: its phase, how many results there are and of how many, the "
                       "rate, the time that is left, the outcomes so far and what each device is at. Whether somebody writes the store is known for "
                       "processes of this machine.\n\nWith --json one object on one line; with --watch, too, one line each second.",
        .options = options,
        .examples = "  mutatenn status out.db\n  mutatenn status out.db --watch\n  mutatenn status out.db --json\n",
        .min_positional = 1,
        .max_positional = 1,
        .run = run,
};
