/* pool_peer.c: a worker process - starting it, the bytes to and from it, what is known when it dies */
#include "worker/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/reap.h"

#define READ_SIZE ((size_t)256 << 10)
#define MAX_IOV 16
#define MAX_ROUNDS 16 /* reads at a time from one worker */

extern char **environ;

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---- starting and stopping --------------------------------------------------------------------------------- */

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

static const char *const *command(const struct peer *p, size_t *n)
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
	const char *const *words = command(p, &n);
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
		return err_set(e, ERR_DEVICE, "worker command '%s': %s", command(p, &(size_t){0})[0], strerror(rc));
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
	return peer_hello(p, e);
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

bool peer_stop(struct peer *p)
{
	bool ended = p->pid <= 0 || reap_killed(p->pid, true, NULL);

	peer_reaped(p);
	close_fd(&p->to);
	close_fd(&p->from);
	close_fd(&p->err);
	forget_bytes(p);
	p->state = PEER_DOWN;
	return ended;
}

/* ---- out --------------------------------------------------------------------------------------------------- */

void peer_enqueue(struct peer *p, const struct out_item *item)
{
	if (p->nout == p->capout) {
		p->capout = p->capout ? p->capout * 2 : 64;
		p->out = must(realloc(p->out, p->capout * sizeof *p->out));
	}
	p->out[p->nout++] = *item;
	p->queued++;
}

bool peer_send(struct peer *p, enum wire_type type, const void *message, struct err *e)
{
	uint8_t *b;
	size_t n;

	if (!wire_pack(type, message, &b, &n, e))
		return false;
	peer_enqueue(p, &(struct out_item){.own = b, .p = b, .n = n});
	return true;
}

/* What a question is open about waits, and all behind it. */
bool peer_waits_to_write(const struct peer *p)
{
	return p->nout && !p->out[0].ask;
}

static bool flush(struct peer *p)
{
	while (peer_waits_to_write(p)) {
		struct iovec v[MAX_IOV];
		int n = 0;
		ssize_t k;
		size_t done = 0;

		for (; n < MAX_IOV && (size_t)n < p->nout && !p->out[n].ask; n++)
			v[n] = (struct iovec){(void *)(p->out[n].p + (n ? 0 : p->outoff)), p->out[n].n - (n ? 0 : p->outoff)};
		k = writev(p->to, v, n);
		if (k < 0)
			return errno == EAGAIN || errno == EINTR;
		p->outoff += (size_t)k;
		while (done < p->nout && p->outoff >= p->out[done].n) {
			p->outoff -= p->out[done].n;
			free(p->out[done++].own);
		}
		p->nout -= done;
		p->moved += done;
		memmove(p->out, p->out + done, p->nout * sizeof *p->out);
	}
	return true;
}

bool peer_hello(struct peer *p, struct err *e)
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

/* ---- in ---------------------------------------------------------------------------------------------------- */

/* What the worker command printed before the worker spoke: kept for people, up to a limit. */
static void find_magic(struct peer *p)
{
	uint8_t *at = p->nin >= WIRE_MAGIC_SIZE ? memmem(p->in, p->nin, WIRE_MAGIC, WIRE_MAGIC_SIZE) : NULL;
	size_t junk = at ? (size_t)(at - p->in) : p->nin >= WIRE_MAGIC_SIZE ? p->nin - (WIRE_MAGIC_SIZE - 1) : 0;
	size_t keep = p->printed.n < PEER_TAIL ? PEER_TAIL - p->printed.n : 0;

	str_addn(&p->printed, (const char *)p->in, junk < keep ? junk : keep);
	p->magic = at != NULL;
	if (at)
		junk += WIRE_MAGIC_SIZE;
	p->nin -= junk;
	memmove(p->in, p->in + junk, p->nin);
}

static bool take_frames(struct peer *p, struct err *e)
{
	size_t at = 0;
	bool ok = true;

	while (ok && p->nin - at >= WIRE_HEAD) {
		struct wire_head h;

		if (!wire_head_parse(p->in + at, &h, e))
			return false;
		if (p->nin - at - WIRE_HEAD < h.len)
			break;
		if (!wire_intact(&h, p->in + at + WIRE_HEAD, e))
			return false;
		ok = h.type == WIRE_DATA ? peer_data(p, p->in + at + WIRE_HEAD, h.len, e)
					 : peer_message(p, h.type, p->in + at + WIRE_HEAD, h.len, e);
		at += WIRE_HEAD + h.len;
		p->moved++;
	}
	if (!ok)
		return false;
	p->nin -= at;
	memmove(p->in, p->in + at, p->nin);
	return true;
}

/* False: end of the wire, or nonsense on it (e set). */
static bool take(struct peer *p, struct err *e)
{
	for (int round = 0; round < MAX_ROUNDS; round++) {
		ssize_t k;

		if (p->capin - p->nin < READ_SIZE) {
			p->capin = p->capin * 2 < p->nin + READ_SIZE ? p->nin + READ_SIZE : p->capin * 2;
			p->in = must(realloc(p->in, p->capin));
		}
		k = read(p->from, p->in + p->nin, p->capin - p->nin);
		if (k < 0)
			return errno == EAGAIN || errno == EINTR;
		if (!k)
			return false;
		p->nin += (size_t)k;
		if (!p->magic)
			find_magic(p);
		if (p->magic && !take_frames(p, e))
			return false;
	}
	return true;
}

/* Keeps the end of what the worker says. It may say more than can be read: others have their turn. */
static void take_stderr(struct peer *p)
{
	char b[4096];
	ssize_t k;

	for (int round = 0; p->err >= 0; round++) {
		if (round == MAX_ROUNDS)
			return;
		k = read(p->err, b, sizeof b);
		if (!k)
			break;
		if (k < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		size_t n = (size_t)k, spare = PEER_TAIL - p->ntail;

		if (n > spare) {
			memmove(p->tail, p->tail + (n - spare), PEER_TAIL - (n - spare));
			p->ntail = PEER_TAIL - n;
		}
		memcpy(p->tail + p->ntail, b, n);
		p->ntail += n;
	}
	close_fd(&p->err);
}

void peer_said(struct peer *p, struct str *out)
{
	take_stderr(p);
	if (!p->magic && p->nin && p->printed.n < PEER_TAIL)
		str_addn(&p->printed, (const char *)p->in, p->nin);
	if (!p->magic && p->printed.n)
		str_addf(out, "; it printed: %.*s", (int)p->printed.n, p->printed.s);
	if (p->ntail)
		str_addf(out, "; on standard error: %.*s", (int)p->ntail, p->tail);
	if (out->n)
		text_clean(out->s);
	while (out->n && (out->s[out->n - 1] == '\n' || out->s[out->n - 1] == '\r' || out->s[out->n - 1] == ' '))
		out->s[--out->n] = 0;
}

/* The word of the command that is to be run on the other side. */
static const char *worker_word(const struct peer *p)
{
	size_t n;
	const char *const *words = command(p, &n);

	for (size_t i = 0; i < n; i++)
		if (strstr(words[i], "mutatenn-worker"))
			return words[i];
	return words[n - 1];
}

static bool is_ssh(const struct peer *p)
{
	size_t n;
	const char *program = command(p, &n)[0], *slash = strrchr(program, '/');

	return !strcmp(slash ? slash + 1 : program, "ssh");
}

static void ended_early(const struct peer *p, int status, struct str *out)
{
	size_t n;

	if (status == 127)
		str_addf(out, "'%s' is not installed on the other side (exit status 127)", worker_word(p));
	else if (status == 126)
		str_addf(out, "'%s' cannot be executed on the other side (exit status 126)", worker_word(p));
	else if (status == 255 && is_ssh(p))
		str_addf(out, "no connection: 'ssh' ended with status 255");
	else
		str_addf(out, "the worker ended with status %d before it said anything a worker says (command '%s')", status,
			 command(p, &n)[0]);
}

void peer_obituary(struct peer *p, int status, struct str *out)
{
	if (WIFSIGNALED(status))
		str_addf(out, "the worker was killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!p->magic)
		ended_early(p, WEXITSTATUS(status), out);
	else if (WEXITSTATUS(status) == 255 && is_ssh(p))
		str_add(out, "the connection was lost ('ssh' ended with status 255)");
	else
		str_addf(out, "the worker ended with status %d", WEXITSTATUS(status));
	peer_said(p, out);
}

/* The process of a closed wire ends at once or is ended; a connection's end brings the exit status a little later. */
static int last_status(struct peer *p)
{
	int status = 0;

	siginfo_t si = {0};

	if (p->pid <= 0)
		return 0;
	for (int i = 0; i < (p->dev->custom ? 500 : 50) && !si.si_pid; i++) {
		if (waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG | WNOWAIT))
			break;
		if (!si.si_pid)
			usleep(2000);
	}
	if (!reap_killed(p->pid, true, &status)) /* with what it started, which must not outlive it */
		status = PEER_STUCK;
	peer_reaped(p);
	return status;
}

void peer_polled(struct peer *p, short to, short from, short err)
{
	struct err e = {0};
	struct str text = {0};
	int status = PEER_NONSENSE;
	bool ok = true;

	if (err)
		take_stderr(p);
	if (from)
		ok = take(p, &e);
	if (ok && to && !flush(p)) {
		take(p, &e); /* it is gone; what it said last counts */
		ok = false;
	}
	if (ok)
		return;
	if (e.code == ERR_DEVICE) { /* it says itself that it cannot work */
		pool_dev_failed(p->dev, err_text(&e));
		err_free(&e);
		return;
	}
	if (*err_text(&e)) {
		str_addf(&text, "the worker talks nonsense: %s", err_text(&e));
	} else {
		status = last_status(p);
		if (status == PEER_STUCK)
			str_add(&text, "a worker process was killed and does not end");
		else
			peer_obituary(p, status, &text);
	}
	err_free(&e);
	pool_peer_died(p, status, str_text(&text));
	str_free(&text);
}
