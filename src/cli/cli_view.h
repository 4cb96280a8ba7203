/* cli_view.h: how far a campaign is, as lines of text: for `run` on its own terminal and for `status` on another */
#pragma once
#include <stdbool.h>

struct camp_progress;
struct str;

void cli_add_time(struct str *s, double seconds); /* "2h05m", "3m20s", "12s" */
/* "mutants 41 %, 1m20s left, ...", as much as has room: one line without an end. */
void cli_view_line(const struct camp_progress *p, int columns, struct str *out);
/* A bar, the outcomes so far, a line per device: for cli_screen_show, in `rows` lines at most. */
void cli_view_screen(const struct camp_progress *p, int columns, int rows, bool stopping, struct str *out);
