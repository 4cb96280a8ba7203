/* cli_progress.h: a line that tells how far a campaign is; on a terminal only */
#pragma once
#include <stdbool.h>

struct camp_hooks;
struct str;

bool cli_on_terminal(void); /* standard error is one that can be written over */
/* Shows the line in place of the one before; lines of log.h step around it. */
void cli_progress_line(const char *text);
void cli_add_time(struct str *s, double seconds); /* "2h05m", "3m20s", "12s" */

/* Fills the hooks: progress on standard error when that is a terminal and not quiet, and cli_stop_wanted(). */
void cli_progress_start(struct camp_hooks *h, bool quiet);
/* Clears the line. */
void cli_progress_end(void);
