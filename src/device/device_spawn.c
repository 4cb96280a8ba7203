/* device_spawn.c: run a compiler - input and output in memory, time and memory limited, nothing left behind */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "device/device_internal.h"

#define MAX_FILE ((rlim_t)256 << 20)

extern char **environ;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int memory_file(const char *name, const char *text, struct err *e)
{
	int fd = memfd_create(name, MFD_CLOEXEC);
	size_t n = strlen(text), done = 0;

	while (fd >= 0 && done < n) {
		ssize_t w = write(fd, text + done, n - done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			close(fd);
			fd = -1;
			break;
		}
		done += (size_t)w;
	}
	if (fd < 0)
		err_set(e, ERR_IO, "no memory for the compiler's input: %s", strerror(errno));
	else
		lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Messages in English, temporary files in our directory. */
static char **environment(struct arena *a, const char *temp)
{
	size_t n = 0, k = 0;
	char **out;

	while (environ[n])
		n++;
	out = ARENA_ARRAY(a, char *, n + 3);
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "LC_ALL=", 7) && !(temp && !strncmp(environ[i], "TMPDIR=", 7)))
			out[k++] = environ[i];
	out[k++] = (char *)"LC_ALL=C";
	if (temp)
		out[k] = arena_printf(a, "TMPDIR=%s", temp);
	return out;
}

static void limit(pid_t pid, int what, rlim_t value)
{
	struct rlimit old, new;

	if (prlimit(pid, what, NULL, &old))
		return;
	new = (struct rlimit){value < old.rlim_max ? value : old.rlim_max, old.rlim_max};
	prlimit(pid, what, &new, NULL);
}

static bool start(const char *const *argv, char **env, int in, int out, pid_t *pid, struct err *e)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, usual;
	int r;

	sigemptyset(&none);
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	sigaddset(&usual, SIGCHLD);
	sigaddset(&usual, SIGINT);
	sigaddset(&usual, SIGTERM);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &usual);
	r = posix_spawnp(pid, argv[0], &files, &attr, (char *const *)argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (!r)
		return true;
	return err_set(e, r == ENOENT || r == EACCES ? ERR_USAGE : ERR_IO, "cannot start '%s': %s", argv[0], strerror(r));
}

/* False when the time is over and it still runs. */
static bool wait_until(pid_t pid, double deadline, int *status)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	bool ended = false;

	for (;;) {
		double left = deadline - now();
		pid_t r = waitpid(pid, status, WNOHANG);

		ended = r == pid || (r < 0 && errno != EINTR);
		if (ended || left <= 0)
			break;
		if (fd >= 0)
			poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, left > 1000 ? 1000000 : (int)(left * 1000) + 1);
		else
			nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
	if (fd >= 0)
		close(fd);
	return ended;
}

static void read_back(int fd, size_t keep, struct str *output)
{
	char block[4096];

	lseek(fd, 0, SEEK_SET);
	while (keep) {
		ssize_t n = read(fd, block, keep < sizeof block ? keep : sizeof block);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		str_addn(output, block, (size_t)n);
		keep -= (size_t)n;
	}
}

bool spawn_run(const char *const *argv, const char *input, const char *temp, const struct spawn_limits *l, size_t keep,
	       struct str *output, int *status, struct err *e)
{
	struct arena *a = arena_new(NULL);
	int in = memory_file("source", input, e), out = in < 0 ? -1 : memory_file("log", "", e);
	bool ok = false;
	pid_t pid;

	if (in < 0 || out < 0 || !start(argv, environment(a, temp), in, out, &pid, e))
		goto out;
	/* the driver needs milliseconds before it starts the compiler proper, which inherits these */
	limit(pid, RLIMIT_CPU, (rlim_t)l->seconds + 2);
	limit(pid, RLIMIT_FSIZE, MAX_FILE);
	limit(pid, RLIMIT_CORE, 0);
	if (l->memory)
		limit(pid, RLIMIT_DATA, (rlim_t)l->memory);
	ok = wait_until(pid, now() + l->seconds, status);
	kill(-pid, SIGKILL); /* what the driver may have left, or all of it */
	if (!ok) {
		while (waitpid(pid, status, 0) < 0 && errno == EINTR)
			;
		err_set(e, ERR_TIMEOUT, "'%s' took longer than %g s", argv[0], l->seconds);
	}
	read_back(out, keep, output);
out:
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	arena_free(a);
	return ok;
}
