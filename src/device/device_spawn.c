/* device_spawn.c: run a compiler - input and output in memory, time and memory limited, nothing left behind */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/reap.h"
#include "base/str.h"
#include "device/device_internal.h"

#define MAX_FILE ((rlim_t)256 << 20)

extern char **environ;

static int cancel_fd = -1; /* the other end waits for what is compiled */

void device_cancel_fd(int fd)
{
	cancel_fd = fd;
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

static void limit(int what, rlim_t value)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)what, &r))
		return;
	r.rlim_cur = value < r.rlim_max ? value : r.rlim_max;
	setrlimit((__rlimit_resource_t)what, &r);
}

/* One of several commands, which is to end well before the next begins. */
static void run_first(const char *const *argv, char **env)
{
	pid_t self = getpid(), pid = vfork();
	int status = 0;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == self)
			execvpe(argv[0], (char *const *)argv, env);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || status)
		_exit(WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1);
}

/* Nothing of the worker's stays open while they run. */
static void run_all_but_last(const char *const *const *argv, size_t n, char **env)
{
	if (n > 1 && syscall(SYS_close_range, 3, ~0u, 0))
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
	for (size_t i = 0; i + 1 < n; i++)
		run_first(argv[i], env);
}

/* In the new process; what it starts inherits the limits. */
static _Noreturn void become(const char *const *const *argv, size_t n, char **env, int in, int out, const struct spawn_limits *l, int tell, pid_t parent)
{
	static const int usual[] = {SIGPIPE, SIGCHLD, SIGINT, SIGTERM};
	sigset_t none;
	int r;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a worker that is killed takes it along */
	if (getppid() != parent)
		_exit(127);
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		signal(usual[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	limit(RLIMIT_CPU, (rlim_t)l->seconds + 2);
	limit(RLIMIT_FSIZE, MAX_FILE);
	limit(RLIMIT_CORE, 0);
	if (l->memory)
		limit(RLIMIT_DATA, (rlim_t)l->memory);
	if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(out, 2) >= 0) {
		run_all_but_last(argv, n, env);
		execvpe(argv[n - 1][0], (char *const *)argv[n - 1], env);
	}
	r = errno;
	while (write(tell, &r, sizeof r) < 0 && errno == EINTR)
		;
	_exit(127);
}

static bool start(const char *const *const *argv, size_t n, char **env, int in, int out, const struct spawn_limits *l, pid_t *pid, struct err *e)
{
	pid_t parent = getpid();
	int tell[2], r = 0;

	if (pipe2(tell, O_CLOEXEC))
		return err_set(e, ERR_IO, "cannot start '%s': %s", argv[0][0], strerror(errno));
	*pid = fork();
	if (!*pid)
		become(argv, n, env, in, out, l, tell[1], parent);
	r = *pid < 0 ? errno : 0;
	close(tell[1]);
	while (!r && read(tell[0], &r, sizeof r) < 0 && errno == EINTR)
		;
	close(tell[0]);
	if (!r)
		return true;
	if (*pid > 0)
		reap_killed(*pid, false, NULL);
	return err_set(e, r == ENOENT || r == EACCES ? ERR_USAGE : ERR_IO, "cannot start '%s': %s", argv[0][0], strerror(r));
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

bool spawn_run(const char *const *const *argv, size_t n, const char *input, const char *temp, const struct spawn_limits *l, size_t keep,
	       struct str *output, int *status, struct err *e)
{
	struct arena *a = arena_new(NULL);
	int in = memory_file("source", input, e), out = in < 0 ? -1 : memory_file("log", "", e);
	bool ok = false, closed = false;
	const char *name = l->name ? l->name : argv[0][0];
	pid_t pid = 0;

	if (in < 0 || out < 0 || !start(argv, n, environment(a, temp), in, out, l, &pid, e))
		goto out;
	ok = reap_unless_closed(pid, l->seconds, cancel_fd, &closed, status);
	if (ok)
		kill(-pid, SIGKILL); /* what the driver may have left */
	else if (!reap_killed(pid, true, status))
		err_set(e, ERR_TIMEOUT, "'%s' took longer than %g s, and process %d cannot be killed", name, l->seconds, (int)pid);
	else if (closed)
		err_set(e, ERR_CANCELLED, "'%s' was ended: nobody waits for it any more", name);
	else
		err_set(e, ERR_TIMEOUT, "'%s' took longer than %g s", name, l->seconds);
	read_back(out, keep, output);
out:
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	arena_free(a);
	return ok;
}
