/* cli_stop.h: Ctrl-C, SIGTERM, SIGHUP, and the time limit
 *
 * A command ends at once, and its workers with it. One that asks cli_stop_wanted() now and then is given GRACE seconds to end in
 * order; after them, or at a second signal, it ends at once, too: a store holds what was stored, whatever it was doing.
 */
#pragma once
#include <stdbool.h>

void cli_stop_install(void);
/* From here on the first signal asks. `again`: the line that a person sees when the command did not end by itself in time. */
void cli_stop_orderly(const char *again);
bool cli_stop_wanted(void);
/* The command itself looks at the time; should it not within `seconds` and the grace, it ends at once. */
void cli_stop_after(double seconds, const char *again);
/* What is left to do is short. */
void cli_stop_done(void);
