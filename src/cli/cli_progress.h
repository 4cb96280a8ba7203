/* cli_progress.h: a line that tells how far a campaign is; on a terminal only */
#pragma once
#include <stdbool.h>

struct camp_hooks;

/* Fills the hooks: progress on standard error when that is a terminal and not quiet, and cli_stop_wanted(). */
void cli_progress_start(struct camp_hooks *h, bool quiet);
/* Clears the line. */
void cli_progress_end(void);
