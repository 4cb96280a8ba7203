/* cli_progress.h: how far a command is, on standard error */
#pragma once
#include <stdbool.h>

struct camp_hooks;
struct err;

bool cli_on_terminal(void); /* standard error is one that can be written over */
/* Shows the line in place of the one before; lines of log.h step around it. */
void cli_progress_line(const char *text);

/* Fills the hooks: cli_stop_wanted(), and progress as `when` says: "screen" lines that are written over; "lines" one now and then, for
 * terminals that cannot and for logs; "none"; "auto" (NULL): screen on a terminal, lines on a dumb one, else none. quiet: none. */
bool cli_progress_start(struct camp_hooks *h, const char *when, bool quiet, struct err *e);
/* Clears what stands there. */
void cli_progress_end(void);
