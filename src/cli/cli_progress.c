/* cli_progress.c: progress with an ETA */
#include "cli/cli_progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli_stop.h"

static bool shown;
static double last;

static bool stop(void *user)
{
	(void)user;
	return cli_stop_wanted();
}

static void clear_line(void)
{
	if (shown)
		fputs("\r\033[K", stderr);
	shown = false;
}

static int columns(void)
{
	struct winsize w;

	return !ioctl(STDERR_FILENO, TIOCGWINSZ, &w) && w.ws_col > 10 ? w.ws_col : 80;
}

void cli_add_time(struct str *s, double t)
{
	if (t >= 3600)
		str_addf(s, "%dh%02dm", (int)t / 3600, (int)t / 60 % 60);
	else if (t >= 60)
		str_addf(s, "%dm%02ds", (int)t / 60, (int)t % 60);
	else
		str_addf(s, "%.0fs", t);
}

bool cli_on_terminal(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && !(term && !strcmp(term, "dumb"));
}

void cli_progress_line(const char *text)
{
	fprintf(stderr, "\r%.*s\033[K", columns() - 1, text);
	fflush(stderr);
	shown = true;
	log_set_hook(clear_line);
}

static void progress(const struct camp_progress *p, void *user)
{
	static const enum outcome worth[] = {OUTCOME_MISCLASSIFIED, OUTCOME_CRASH, OUTCOME_HANG, OUTCOME_TOOL_ERROR};
	uint64_t fresh = p->done - p->resumed;
	struct str s = {0};

	(void)user;
	if (p->elapsed_s - last < 0.1 && shown)
		return;
	last = p->elapsed_s;
	if (p->done && p->jobs) {
		str_addf(&s, "%llu of %llu (%d %%)", (unsigned long long)p->done, (unsigned long long)p->jobs, (int)(100 * p->done / p->jobs));
		for (size_t i = 0; i < sizeof worth / sizeof *worth; i++)
			if (p->by_outcome[worth[i]])
				str_addf(&s, ", %llu %s", (unsigned long long)p->by_outcome[worth[i]], outcome_name(worth[i]));
		if (fresh) {
			str_addf(&s, ", %.1f/s, ", (double)fresh / p->elapsed_s);
			cli_add_time(&s, p->elapsed_s / (double)fresh * (double)(p->jobs - p->done));
			str_add(&s, " left");
		}
	} else {
		str_addf(&s, "%s ... ", p->phase ? p->phase : "");
		cli_add_time(&s, p->elapsed_s);
	}
	cli_progress_line(str_text(&s));
	str_free(&s);
}

void cli_progress_start(struct camp_hooks *h, bool quiet)
{
	h->stop = stop;
	if (quiet || !cli_on_terminal())
		return;
	h->progress = progress;
	log_set_hook(clear_line);
}

void cli_progress_end(void)
{
	clear_line();
	log_set_hook(NULL);
}
