/* reap.c: waiting for a child process within a limit */
#include "base/reap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

bool reap_unless_closed(pid_t pid, double seconds, int wire, bool *closed, int *status)
{
	double until = now() + seconds;
	struct pollfd f[2] = {{.fd = wire, .events = POLLRDHUP}, {.fd = -1, .events = POLLIN}}; /* poll passes over negative ones */
	int unused;
	bool ended;

	if (!status)
		status = &unused;
	for (;;) {
		double left = until - now();
		pid_t r = waitpid(pid, status, WNOHANG);

		if (r < 0 && errno != EINTR)
			*status = 0;
		ended = r == pid || (r < 0 && errno != EINTR);
		*closed = f[0].revents & (POLLHUP | POLLRDHUP | POLLERR);
		if (ended || left <= 0 || *closed)
			break;
		if (f[1].fd < 0)
			f[1].fd = (int)syscall(SYS_pidfd_open, pid, 0);
		poll(f, 2, f[1].fd < 0 || left < 0.001 ? 1 : left > 1000 ? 1000000 : (int)(left * 1000));
	}
	if (f[1].fd >= 0)
		close(f[1].fd);
	return ended;
}

bool reap_within(pid_t pid, double seconds, int *status)
{
	bool closed;

	return reap_unless_closed(pid, seconds, -1, &closed, status);
}

bool reap_killed(pid_t pid, bool group, int *status)
{
	if (group)
		kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
	return reap_within(pid, REAP_S, status);
}
