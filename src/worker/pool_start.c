/* pool_start.c: a worker process - starting and stopping it */
#include "worker/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/reap.h"

#define DRIVER_REAP_S 50 /* beside REAP_S */

extern char **environ;

/* The device's variables, then ours that it does not name. */
static char **environment(const struct pool_device *d)
{
	static char no_window[] = "SSH_ASKPASS_REQUIRE=never"; /* nor may ssh open a window to ask in */
	size_t n = 0, own = 0;
	char **env;

	while (environ[own])
		own++;
	env = must(calloc(d->nenv + own + 2, sizeof *env));
	memcpy(env, d->env, d->nenv * sizeof *env);
	n = d->nenv;
	if (!getenv("SSH_ASKPASS_REQUIRE"))
		env[n++] = no_window;
	for (size_t i = 0; i < own; i++) {
		size_t name = strcspn(environ[i], "="), k = 0;

		while (k < d->nenv && strncmp(d->env[k], environ[i], name + 1))
			k++;
		if (k == d->nenv)
			env[n++] = environ[i];
	}
	return env;
}

const char *const *peer_command(const struct peer *p, size_t *n)
{
	const struct pool_device *d = &p->dev->d;
	bool other = p->builder && p->dev->apart;

	*n = other ? d->nbuilder : d->nworker;
	return other ? d->builder : d->worker;
}

static int spawn(struct peer *p, const int to[2], const int from[2], const int err[2])
{
	const struct pool_device *d = &p->dev->d;
	size_t n;
	const char *const *words = peer_command(p, &n);
	char **argv = must(calloc(n + 1, sizeof *argv)), **env = environment(d);
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t at;
	sigset_t none, def;
	int rc;

	memcpy(argv, words, n * sizeof *argv);
	sigemptyset(&none);
	sigemptyset(&def);
	sigaddset(&def, SIGPIPE);
	sigaddset(&def, SIGINT);
	sigaddset(&def, SIGTERM);
	sigaddset(&def, SIGHUP);
	sigaddset(&def, SIGXFSZ);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, to[0], 0);
	posix_spawn_file_actions_adddup2(&fa, from[1], 1);
	posix_spawn_file_actions_adddup2(&fa, err[1], 2);
	posix_spawnattr_init(&at);
	/* A session of its own: the terminal's Ctrl-C is for the pool, which ends its workers in order, and without a terminal no
	 * worker command can ask a question that nobody sees. */
	posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&at, &none);
	posix_spawnattr_setsigdefault(&at, &def);
	rc = posix_spawnp(&p->pid, argv[0], &fa, &at, argv, env);
	posix_spawnattr_destroy(&at);
	posix_spawn_file_actions_destroy(&fa);
	free(env);
	free(argv);
	return rc;
}

/* All that run, for a signal handler; those beyond the table's size end by themselves when their wire is closed. */
#define MAX_ALIVE 4096
static struct {
	volatile pid_t pid; /* 0: free */
	volatile int to;
} alive[MAX_ALIVE];

static void is_alive(pid_t pid, int to)
{
	for (size_t i = 0; i < MAX_ALIVE; i++)
		if (!alive[i].pid) {
			alive[i].to = to;
			alive[i].pid = pid;
			return;
		}
}

/* No signal comes between a worker's start and its note. */
static int spawn_noted(struct peer *p, const int to[2], const int from[2], const int err[2])
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = spawn(p, to, from, err);
	if (!rc)
		is_alive(p->pid, to[1]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

void peer_reaped(struct peer *p)
{
	for (size_t i = 0; p->pid > 0 && i < MAX_ALIVE; i++)
		if (alive[i].pid == p->pid)
			alive[i].pid = 0;
	p->pid = 0;
}

void pool_kill_workers(void)
{
	bool any = false;

	for (size_t i = 0; i < MAX_ALIVE; i++)
		if (alive[i].pid) {
			close(alive[i].to);
			any = true;
		}
	if (any)
		poll(NULL, 0, 200); /* compilers and their files are removed by those that started them */
	for (size_t i = 0; i < MAX_ALIVE; i++)
		if (alive[i].pid) {
			kill(-alive[i].pid, SIGKILL);
			kill(alive[i].pid, SIGKILL);
		}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool hello(struct peer *p, struct err *e)
{
	const struct pool_device *d = &p->dev->d;
	Wire__Hello m = WIRE__HELLO__INIT;

	m.version = WIRE_VERSION;
	m.role = p->builder ? "builder" : "runner";
	m.backend = (char *)d->backend;
	m.name = (char *)d->name;
	m.select = (char *)(d->select ? d->select : "");
	m.cc = (char *)(d->cc ? d->cc : "");
	m.has_cflags = d->cflags != NULL;
	m.n_cflags = d->cflags ? d->ncflags : 0;
	m.cflags = (char **)d->cflags;
	m.threads = (uint32_t)d->threads;
	m.has_cache_dir = d->cache_dir != NULL;
	m.cache_dir = (char *)(d->cache_dir ? d->cache_dir : "");
	m.memory_limit = d->memory_limit;
	m.budget = d->budget;
	m.runners = (uint32_t)p->dev->nrunners;
	m.apart = p->dev->apart;
	m.flush_denormals = d->flush_denormals;
	m.blob_cache = p->builder ? 0 : d->blob_cache;
	return peer_send(p, WIRE_HELLO, &m, e);
}

bool peer_start(struct peer *p, struct err *e)
{
	int to[2] = {-1, -1}, from[2] = {-1, -1}, err[2] = {-1, -1}, rc;

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		rc = errno;
	else
		rc = spawn_noted(p, to, from, err);
	close_fd(&to[0]);
	close_fd(&from[1]);
	close_fd(&err[1]);
	if (rc) {
		p->pid = 0;
		close_fd(&to[1]);
		close_fd(&from[0]);
		close_fd(&err[0]);
		return err_set(e, ERR_DEVICE, "worker command '%s': %s", peer_command(p, &(size_t){0})[0], strerror(rc));
	}
	p->to = to[1];
	p->from = from[0];
	p->err = err[0];
	fcntl(p->to, F_SETFL, O_NONBLOCK);
	fcntl(p->from, F_SETFL, O_NONBLOCK);
	fcntl(p->err, F_SETFL, O_NONBLOCK);
	p->arena = arena_new(NULL);
	p->sent = map_new(p->arena);
	p->state = PEER_STARTING;
	p->dev->pool->stats.workers_started++;
	return hello(p, e);
}

static void forget_bytes(struct peer *p)
{
	for (size_t i = 0; i < p->nout; i++)
		free(p->out[i].own);
	free(p->out);
	free(p->in);
	free(p->seg);
	wire_free(p->type, p->message);
	str_free(&p->printed);
	arena_free(p->arena);
	p->out = NULL;
	p->in = NULL;
	p->seg = NULL;
	p->message = NULL;
	p->arena = NULL;
	p->sent = NULL;
	p->base = NULL;
	p->nout = p->capout = p->outoff = p->nin = p->capin = p->ntail = p->nseg = p->segat = p->segoff = 0;
	p->nsent = p->queued = p->moved = p->seen_moved = 0;
	p->many = PEER_MANY;
	peer_forget_questions(p);
	p->magic = p->keeps_blobs = false;
	p->deadline = 0;
}

bool peer_kill(struct peer *p, int *status)
{
	if (reap_killed(p->pid, true, status))
		return true;
	return p->dev->known && !p->dev->caps.isolates && reap_within(p->pid, DRIVER_REAP_S, status);
}

bool peer_stop(struct peer *p)
{
	bool ended = p->pid <= 0 || peer_kill(p, NULL);

	peer_reaped(p);
	close_fd(&p->to);
	close_fd(&p->from);
	close_fd(&p->err);
	forget_bytes(p);
	p->state = PEER_DOWN;
	return ended;
}
