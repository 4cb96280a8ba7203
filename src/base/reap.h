/* base/reap.h: the end of a child process, waited for within a limit
 *
 * A process that was killed ends when the kernel lets it: one that hangs in a driver or on a file system that does not answer stays.
 * Nobody here waits for it for ever.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#define REAP_S 10 /* for a killed process to be gone: much memory and a busy machine take seconds */

/* Waits until the child has ended, so many seconds at most. True: it is no more; *status is waitpid's, 0 when somebody else has
 * reaped it. status may be NULL. */
bool reap_within(pid_t pid, double seconds, int *status);
/* The same, and false, with *closed, as soon as the other end of the pipe or socket fd is closed (-1: none). */
bool reap_unless_closed(pid_t pid, double seconds, int fd, bool *closed, int *status);
/* Kills it, with its process group when `group`, and waits REAP_S seconds at most. */
bool reap_killed(pid_t pid, bool group, int *status);
