/* cli_progress.c: progress on a screen, or as lines */
#include "cli/cli_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_screen.h"
#include "cli/cli_stop.h"
#include "cli/cli_view.h"

#define SCREEN_S 0.2
#define LINE_S 30 /* between two lines of the same phase */

static struct cli_screen screen;
static double last;
static const char *last_phase;

static bool stop(void *user)
{
	(void)user;
	return cli_stop_wanted();
}

static void clear(void)
{
	cli_screen_clear(&screen);
}

bool cli_on_terminal(void)
{
	return cli_can_write_over(STDERR_FILENO);
}

void cli_progress_line(const char *text)
{
	screen.f = stderr;
	cli_screen_show(&screen, text, false);
	log_set_hook(clear);
}

static void on_screen(const struct camp_progress *p, void *user)
{
	struct str t = {0};
	int columns, rows;

	(void)user;
	cli_terminal_size(STDERR_FILENO, &columns, &rows);
	if (p->elapsed_s - last < SCREEN_S && screen.lines && columns == screen.columns && p->phase == last_phase)
		return;
	last = p->elapsed_s;
	last_phase = p->phase;
	cli_view_screen(p, columns, rows, cli_stop_wanted(), &t);
	cli_screen_show(&screen, str_text(&t), cli_colour(STDERR_FILENO));
	str_free(&t);
}

static void as_lines(const struct camp_progress *p, void *user)
{
	bool begins = p->phase != last_phase;
	struct str t = {0};

	(void)user;
	if (!begins && p->elapsed_s - last < LINE_S)
		return;
	last = p->elapsed_s;
	last_phase = p->phase;
	cli_view_line(p, 80, &t);
	fprintf(stderr, "%s\n", str_text(&t));
	str_free(&t);
}

bool cli_progress_start(struct camp_hooks *h, const char *when, bool quiet, struct err *e)
{
	static const char *const names[] = {"auto", "screen", "lines", "none"};
	size_t w = 0;

	h->stop = stop;
	while (when && w < 4 && strcmp(when, names[w]) != 0)
		w++;
	if (w == 4)
		return err_set(e, ERR_USAGE, "--progress takes auto, screen, lines or none, not '%s'", when);
	if (w == 0)
		w = cli_on_terminal() ? 1 : isatty(STDERR_FILENO) ? 2 : 3;
	screen.f = stderr;
	if (quiet || w == 3)
		return true;
	h->progress = w == 1 ? on_screen : as_lines;
	log_set_hook(clear);
	return true;
}

void cli_progress_end(void)
{
	clear();
	log_set_hook(NULL);
}
