/* pool.c: the parent's loop - who gets which work, what comes next, and what the campaign calls */
#include "worker/pool.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

/* ---- giving out work --------------------------------------------------------------------------------------- */

static bool builders_are_idle(const struct pool *p)
{
	for (size_t i = 0; i < p->ndev; i++)
		for (int k = p->dev[i].nrunners; k < p->dev[i].npeers; k++)
			if (p->dev[i].peer[k].nkerns)
				return false;
	return true;
}

static void give_jobs(struct dev *d)
{
	if (d->pool->hold && !builders_are_idle(d->pool)) /* they would take the cores of what is timed */
		return;
	while (d->ready.first && !d->error) {
		struct peer *p = pool_free_peer(d, 0, d->nrunners, true);
		struct job *j = d->ready.first;
		struct err e = {0};
		uint64_t oldest;

		if (!p)
			return;
		jobs_remove(&d->ready, j);
		if (!job_prepare(j))
			continue;
		oldest = p->njobs && p->job[0]->seq < j->seq ? p->job[0]->seq : j->seq;
		if (!job_send(j, p, &e)) {
			job_end(j, POOL_LOST, POOL_RUN, err_text(&e));
			err_free(&e);
			continue;
		}
		peer_trim(p, oldest);
		j->state = JOB_RUNNING;
		jobs_add(&d->pool->running, j);
		p->job[p->njobs++] = j;
		if (p->njobs == 1) {
			p->busy_since = pool_now();
			p->deadline = p->busy_since + job_patience(j);
		}
	}
}

/* ---- waiting ----------------------------------------------------------------------------------------------- */

static void touch(struct peer *p)
{
	if (p->state == PEER_READY && p->moved != p->seen_moved)
		p->deadline = p->njobs ? pool_now() + job_patience(p->job[0]) : p->nkerns ? pool_now() + BUILD_S : 0;
	p->seen_moved = p->moved;
}

static void check_deadlines(struct pool *p)
{
	double t = pool_now();

	for (size_t i = 0; i < p->ndev; i++)
		for (int k = 0; k < p->dev[i].npeers; k++) {
			struct peer *q = &p->dev[i].peer[k];
			struct str text = {0};

			if (q->state == PEER_DOWN || !q->deadline || q->deadline > t)
				continue;
			if (q->state == PEER_STARTING)
				str_addf(&text, "the worker did not answer within %g seconds", pool_start_limit(q->dev));
			else
				str_add(&text, "the worker said nothing for too long");
			peer_said(q, &text);
			pool_peer_died(q, PEER_SILENT, str_text(&text));
			str_free(&text);
		}
}

static double next_event(const struct pool *p, double t, double timeout)
{
	for (size_t i = 0; i < p->ndev; i++)
		for (int k = 0; k < p->dev[i].npeers; k++) {
			const struct peer *q = &p->dev[i].peer[k];
			bool down = q->state == PEER_DOWN, work = p->dev[i].queue || p->dev[i].ready.first;
			double at = down ? q->retry_at : q->deadline, left = at > t ? at - t : down ? 0.01 : 0;

			if (at && !p->dev[i].error && (!down || work) && (timeout < 0 || left < timeout))
				timeout = left;
		}
	return timeout;
}

static void answer(struct peer *p, struct pollfd *f, int n)
{
	short to = 0, from = 0, err = 0;

	for (int i = 0; i < n; i++) {
		if (f[i].fd == p->to)
			to = f[i].revents;
		else if (f[i].fd == p->from)
			from = f[i].revents;
		else if (f[i].fd == p->err)
			err = f[i].revents;
	}
	if (!to && !from && !err)
		return;
	peer_polled(p, to, from, err);
	if (to || from)
		touch(p);
}

/* One round: hands out work, waits for something to happen, takes it in. */
static void pump(struct pool *p, double timeout)
{
	struct pollfd *f;
	struct peer **who;
	int n = 0, cap = 0;

	for (size_t i = 0; i < p->ndev; i++) {
		pool_give_kernels(&p->dev[i]);
		give_jobs(&p->dev[i]);
		cap += 3 * p->dev[i].npeers;
	}
	if (p->ended.first)
		timeout = 0;
	timeout = next_event(p, pool_now(), timeout);
	f = calloc((size_t)cap + 1, sizeof *f);
	who = calloc((size_t)cap + 1, sizeof *who);
	if (!f || !who)
		abort();
	for (size_t i = 0; i < p->ndev; i++)
		for (int k = 0; k < p->dev[i].npeers; k++) {
			struct peer *q = &p->dev[i].peer[k];

			if (q->state == PEER_DOWN)
				continue;
			if (peer_waits_to_write(q)) {
				who[n] = q;
				f[n++] = (struct pollfd){.fd = q->to, .events = POLLOUT};
			}
			who[n] = q;
			f[n++] = (struct pollfd){.fd = q->from, .events = POLLIN};
			if (q->err >= 0) {
				who[n] = q;
				f[n++] = (struct pollfd){.fd = q->err, .events = POLLIN};
			}
		}
	if (poll(f, (nfds_t)n, timeout < 0 ? -1 : timeout > 3600 ? 3600000 : (int)(timeout * 1000 + 0.999)) > 0)
		for (int i = 0, k; i < n; i = k) {
			for (k = i + 1; k < n && who[k] == who[i]; k++)
				;
			if (who[i]->state != PEER_DOWN) /* another's end may have ended it */
				answer(who[i], f + i, k - i);
		}
	free(f);
	free(who);
	check_deadlines(p);
}

/* ---- the pool ---------------------------------------------------------------------------------------------- */

/* Beside this program when it is ours; a program of others, linked with the library, finds the installed one on PATH. */
static const char *default_worker(struct arena *a)
{
	const char *env = getenv("MUTATENN_WORKER"), *beside;
	char path[4096];
	ssize_t n;
	char *slash;

	if (env && *env)
		return arena_strdup(a, env);
	n = readlink("/proc/self/exe", path, sizeof path - 1);
	if (n <= 0)
		return "mutatenn-worker";
	path[n] = 0;
	slash = strrchr(path, '/');
	beside = arena_printf(a, "%.*s/mutatenn-worker", (int)(slash ? slash - path : 0), path);
	return access(beside, X_OK) ? "mutatenn-worker" : beside;
}

static const char *const *copy_list(struct arena *a, const char *const *from, size_t n)
{
	const char **to = ARENA_ARRAY(a, const char *, n + 1);

	for (size_t i = 0; i < n; i++)
		to[i] = arena_strdup(a, from[i]);
	return to;
}

static void dev_open(struct pool *p, struct dev *d, const struct pool_device *from)
{
	struct arena *a = p->arena;
	int cores = (int)sysconf(_SC_NPROCESSORS_ONLN);

	d->pool = p;
	d->d = *from;
	d->custom = from->worker && from->nworker;
	d->d.name = arena_strdup(a, from->name ? from->name : "device");
	d->d.backend = arena_strdup(a, from->backend ? from->backend : "cpu");
	d->d.worker = d->custom ? copy_list(a, from->worker, from->nworker) : copy_list(a, (const char *[]){default_worker(a)}, 1);
	d->d.nworker = d->custom ? from->nworker : 1;
	if ((d->apart = from->builder && from->nbuilder)) {
		bool here = from->nbuilder == 1 && !strcmp(from->builder[0], "mutatenn-worker");

		d->d.builder = copy_list(a, here ? (const char *[]){default_worker(a)} : from->builder, from->nbuilder);
	}
	d->d.select = arena_strdup(a, from->select);
	d->d.cc = arena_strdup(a, from->cc);
	d->d.cflags = from->cflags ? copy_list(a, from->cflags, from->ncflags) : NULL;
	d->d.env = copy_list(a, from->env, from->nenv);
	d->d.cache_dir = arena_strdup(a, from->cache_dir);
	d->nrunners = from->runners > 0 ? from->runners : 1;
	d->npeers = d->nrunners + (from->builders > 0 ? from->builders : cores > 0 ? cores : 1);
	d->peer = ARENA_ARRAY(a, struct peer, (size_t)d->npeers);
	d->kern = map_new(a);
	if (from->why_not && !(d->error = strdup(from->why_not)))
		abort();
	for (int i = 0; i < d->npeers; i++)
		d->peer[i] = (struct peer){.dev = d, .builder = i >= d->nrunners, .to = -1, .from = -1, .err = -1};
}

static bool waiting_for_greeting(const struct pool *p)
{
	for (size_t i = 0; i < p->ndev; i++)
		if (!p->dev[i].known && !p->dev[i].error)
			return true;
	return false;
}

bool pool_open(const struct pool_device *dev, size_t n, struct pool **out, struct err *e)
{
	struct arena *a;
	struct pool *p;
	struct sigaction sa;

	if (!n)
		return err_set(e, ERR_USAGE, "no device to run on");
	if (!sigaction(SIGPIPE, NULL, &sa) && sa.sa_handler == SIG_DFL)
		signal(SIGPIPE, SIG_IGN); /* a worker that dies is noticed by reading */
	a = arena_new(NULL);
	p = ARENA_NEW(a, struct pool);
	p->arena = a;
	p->ndev = n;
	p->dev = ARENA_ARRAY(a, struct dev, n);
	for (size_t i = 0; i < n; i++)
		dev_open(p, &p->dev[i], &dev[i]);
	for (size_t i = 0; i < n; i++)
		if (!p->dev[i].error)
			pool_free_peer(&p->dev[i], 0, p->dev[i].nrunners, false);
	for (size_t i = 0; i < n; i++)
		if (p->dev[i].apart && !p->dev[i].error)
			pool_free_peer(&p->dev[i], p->dev[i].nrunners, p->dev[i].npeers - p->dev[i].nrunners, false);
	while (waiting_for_greeting(p))
		pump(p, -1);
	*out = p;
	return true;
}

/* Workers whose wire is closed end by themselves, and the compilers they run; those that do not within a second are ended. */
static void end_workers(struct pool *p)
{
	double until = pool_now() + 1;
	bool left = true;

	for (size_t i = 0; i < p->ndev; i++)
		for (int k = 0; k < p->dev[i].npeers; k++)
			if (p->dev[i].peer[k].to >= 0) {
				close(p->dev[i].peer[k].to);
				p->dev[i].peer[k].to = -1;
			}
	while (left && pool_now() < until) {
		left = false;
		for (size_t i = 0; i < p->ndev; i++)
			for (int k = 0; k < p->dev[i].npeers; k++) {
				struct peer *q = &p->dev[i].peer[k];

				if (q->pid > 0 && !q->njobs && waitpid(q->pid, NULL, WNOHANG) == q->pid)
					peer_reaped(q);
				left = left || (q->pid > 0 && !q->njobs);
			}
		if (left)
			usleep(2000);
	}
}

static void free_jobs(struct joblist *l)
{
	while (l->first) {
		struct job *j = l->first;

		jobs_remove(l, j);
		job_free(j);
	}
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	end_workers(p);
	for (size_t i = 0; i < p->ndev; i++) {
		struct dev *d = &p->dev[i];
		void *k;

		for (int q = 0; q < d->npeers; q++)
			peer_stop(&d->peer[q]);
		for (size_t it = 0; map_next(d->kern, &it, NULL, &k);)
			kern_free(k);
		free_jobs(&d->ready);
		free(d->error);
	}
	free_jobs(&p->building);
	free_jobs(&p->running);
	free_jobs(&p->ended);
	arena_free(p->arena);
}

const char *pool_device_error(const struct pool *p, size_t d)
{
	return p->dev[d].error;
}

const struct device_caps *pool_caps(const struct pool *p, size_t d)
{
	return &p->dev[d].caps;
}

bool pool_submit(struct pool *p, const struct pool_job *job, struct err *e)
{
	if (job->device >= p->ndev)
		return err_set(e, ERR_USAGE, "job %llu: there is no device %zu", (unsigned long long)job->id, job->device);
	if (!job_new(p, job, e))
		return false;
	p->submitting = true;
	pump(p, 0); /* keeps workers fed while the caller prepares the next */
	p->submitting = false;
	return true;
}

void pool_build_ahead(struct pool *p, size_t device, const struct bundle *b, bool more)
{
	if (p->dev[device].error)
		return;
	p->more_ahead = more;
	kerns_ahead(&p->dev[device], b);
	pump(p, 0);
}

void pool_hold_ahead(struct pool *p, bool hold)
{
	p->hold = hold;
}

bool pool_wait(struct pool *p, struct arena *a, double timeout_s, bool *got, struct pool_result *out, struct err *e)
{
	double until = pool_now() + timeout_s;

	*got = false;
	while (!p->ended.first && p->pending) {
		double left = timeout_s < 0 ? -1 : until - pool_now();

		if (timeout_s >= 0 && left < 0)
			left = 0;
		pump(p, left);
		if (timeout_s >= 0 && pool_now() >= until)
			break;
	}
	if (!p->ended.first)
		return true;
	struct job *j = p->ended.first;

	jobs_remove(&p->ended, j);
	job_deliver(j, a, out);
	job_free(j);
	p->pending--;
	*got = true;
	return true;
}

const char *pool_backend(const struct pool *p, size_t d)
{
	return p->dev[d].d.backend;
}

size_t pool_pending(const struct pool *p)
{
	return p->pending;
}

void pool_forget(struct pool *p)
{
	Wire__Forget m = WIRE__FORGET__INIT;

	for (size_t i = 0; i < p->ndev; i++)
		for (int k = 0; k < p->dev[i].nrunners; k++)
			if (p->dev[i].peer[k].state == PEER_READY)
				peer_send(&p->dev[i].peer[k], WIRE_FORGET, &m, NULL);
}

void pool_restart(struct pool *p, size_t d)
{
	struct dev *dev = &p->dev[d];

	for (int i = 0; i < dev->nrunners; i++)
		if (dev->peer[i].state == PEER_READY && !dev->peer[i].njobs && !peer_stop(&dev->peer[i]))
			pool_dev_failed(dev, pool_stuck_text);
}

struct pool_stats pool_stats(const struct pool *p)
{
	return p->stats;
}
