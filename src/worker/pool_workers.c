/* pool_workers.c: which worker can take work, when one is started, and what becomes of the work of one that died */
#include "worker/pool.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/log.h"

#define START_S 10
#define START_CUSTOM_S 60
#define RECONNECT_S 60
#define MAX_FAILURES 16 /* deaths in a row without one thing done: the device is broken, not its jobs */
/* Workers may be killed from outside at any time (an out-of-memory killer, a user): only a job that loses one after the other is
 * suspect, and even then it is a tool error. */
#define MAX_LOST 10
#define MAX_KILLED 3 /* SIGKILLs of a worker at one job until it was the job, which took all memory perhaps */

const char pool_stuck_text[] = "a worker process was killed and does not end: a driver hangs, perhaps";

static void job_requeue(struct job *j, bool blamed, const char *text)
{
	struct pool *p = j->dev->pool;

	jobs_remove(&p->running, j);
	j->lost += blamed;
	if (j->lost >= MAX_LOST) {
		for (size_t i = 0; i < j->r.nimages; i++)
			j->r.image[i] = (struct pool_image){0};
		job_end(j, POOL_LOST, POOL_RUN, text);
		return;
	}
	j->state = JOB_READY;
	jobs_add(&j->dev->ready, j);
}

static void kern_requeue(struct dev *d, struct kern *k, bool blamed, const char *text)
{
	k->lost += blamed;
	if (k->lost >= MAX_LOST) {
		free(k->log);
		k->log = strdup(text);
		k->why = WIRE_BUILT_ERROR;
		k->state = KERN_FAILED;
		kern_built(d, k);
		return;
	}
	kern_enqueue(d, k, k->priority);
}

/* A device without children: the mutant that was running takes the blame, unless somebody may have killed the worker. */
static bool killed_it(struct dev *d, struct job *j, int status, const char *text)
{
	bool silent = status == PEER_SILENT, hung = silent || status == PEER_STUCK || (WIFEXITED(status) && WEXITSTATUS(status) == WIRE_EXIT_HUNG);
	bool from_outside = status >= 0 && WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM);
	bool connection = d->custom && !hung && status >= 0 && WIFEXITED(status); /* of which ssh says no more */
	struct str s = {0};

	if (d->caps.isolates || !j->announced || j->at < POOL_LOAD || ((from_outside || connection) && ++j->killed < MAX_KILLED))
		return false;
	/* its own alarm ends a launch that does not end; one that says nothing may have been stopped from outside */
	if (silent && !j->silent++)
		return false;
	for (size_t i = 0; i < j->r.nimages; i++)
		if (!j->r.image[i].ran) {
			j->r.image[i] = (struct pool_image){.ran = true, .status = hung ? POOL_HUNG : POOL_CRASHED};
			break;
		}
	j->r.signal = status >= 0 && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	j->r.launch = j->at_launch ? j->prog->launch[j->at_launch - 1].name : NULL;
	str_addf(&s, "%s while %s%s%.100s%s", hung ? "not done in time" : text, j->at == POOL_LOAD ? "loading" : "running",
		 j->r.launch ? " '" : "", j->r.launch ? j->r.launch : "", j->r.launch ? "'" : "");
	jobs_remove(&d->pool->running, j);
	job_end(j, hung ? POOL_HUNG : POOL_CRASHED, j->at, str_text(&s));
	str_free(&s);
	return true;
}

/* The work of a worker that is no more: only what it was at is held against it. */
static void take_back(struct peer *p, int status, const char *text)
{
	int nj = p->njobs, nk = p->nkerns;
	struct job *job[PEER_DEPTH];
	struct kern *kern[WIRE_MAX_TOGETHER];

	memcpy(job, p->job, sizeof job);
	memcpy(kern, p->kern, sizeof kern);
	p->njobs = p->nkerns = 0;
	for (int i = 0; i < nj; i++)
		if (i || !killed_it(p->dev, job[i], status, text))
			job_requeue(job[i], !i && (p->dev->caps.isolates || job[i]->announced), text);
	for (int i = 0; i < nk; i++) { /* which of several it was shows when each is built alone */
		kern[i]->alone = kern[i]->alone || kern[i]->together;
		kern_requeue(p->dev, kern[i], !i && !kern[i]->together, text);
	}
}

/* Seconds until a worker is started again: a connection comes back later than a process. */
static double pause_before_start(const struct peer *p)
{
	bool remote = p->dev->custom;
	double wait = remote ? 1 : 0.05, most = remote ? 30 : 5;

	for (int i = 1; i < p->failures + p->bad_starts && wait < most; i++)
		wait *= 2;
	return wait < most ? wait : most;
}

/* A device that worked before gets some time to come back. */
static bool gone_for_good(const struct peer *p)
{
	const struct dev *d = p->dev;
	double limit = d->d.reconnect_s > 0 ? d->d.reconnect_s : d->d.reconnect_s < 0 ? 0 : RECONNECT_S;

	if (!d->known)
		return true;
	for (int i = 0; i < d->npeers; i++) /* others do its work */
		if (d->peer[i].builder == p->builder && d->peer[i].state == PEER_READY)
			return false;
	return d->custom ? p->retry_at > p->gone_since + limit : p->bad_starts >= START_TRIES;
}

void pool_peer_died(struct peer *p, int status, const char *text)
{
	struct dev *d = p->dev;
	bool starting = p->state == PEER_STARTING, stuck;
	char *said = strdup(text);

	log_line(d->known && !d->error ? LOG_WARN : LOG_DEBUG, "device '%s': %s", d->d.name, said);
	d->pool->stats.workers_lost++;
	stuck = !peer_stop(p) || status == PEER_STUCK;
	if (stuck)
		status = PEER_STUCK;
	take_back(p, status, said);
	if (starting)
		p->bad_starts++;
	else
		p->failures++;
	if (!p->gone_since)
		p->gone_since = pool_now();
	p->retry_at = pool_now() + pause_before_start(p);
	if (stuck || (starting && gone_for_good(p)) || p->failures >= MAX_FAILURES)
		pool_dev_failed(d, stuck ? pool_stuck_text : said);
	free(said);
}

/* Nothing runs on it any more: its jobs are lost. */
void pool_dev_failed(struct dev *d, const char *text)
{
	struct pool *p = d->pool;

	if (d->error)
		return;
	d->error = strdup(text);
	if (d->known)
		log_warn("device '%s' is set aside: %s", d->d.name, text);
	for (int i = 0; i < d->npeers; i++) {
		peer_stop(&d->peer[i]);
		for (int k = 0; k < d->peer[i].njobs; k++) {
			jobs_remove(&p->running, d->peer[i].job[k]);
			job_end(d->peer[i].job[k], POOL_LOST, POOL_RUN, text);
		}
		d->peer[i].njobs = d->peer[i].nkerns = 0;
	}
	for (struct job *j = p->building.first, *next; j; j = next) {
		next = j->next;
		if (j->dev != d)
			continue;
		jobs_remove(&p->building, j);
		job_end(j, POOL_LOST, POOL_BUILD, text);
	}
	while (d->ready.first) {
		struct job *j = d->ready.first;

		jobs_remove(&d->ready, j);
		job_end(j, POOL_LOST, POOL_START, text);
	}
}

/* ---- one that can take work ---- */

/* One connection at a time finds out whether there is one again. */
static bool connection_down(const struct dev *d, bool builder)
{
	for (int i = 0; d->custom && i < d->npeers; i++)
		if (d->peer[i].state == PEER_DOWN && d->peer[i].bad_starts && d->peer[i].retry_at > pool_now() &&
		    (!d->apart || d->peer[i].builder == builder))
			return true;
	return false;
}

double pool_start_limit(const struct dev *d)
{
	bool driver = strcmp(d->d.backend, "cpu") != 0; /* which may have to wake a device, for many workers one after the other */

	return d->d.start_timeout_s > 0 ? d->d.start_timeout_s : d->custom || driver ? START_CUSTOM_S : START_S;
}

struct peer *pool_free_peer(struct dev *d, int first, int n, bool busy_too)
{
	struct peer *down = NULL, *half = NULL;
	bool starting = connection_down(d, first >= d->nrunners);

	for (int i = first; i < first + n; i++) {
		struct peer *p = &d->peer[i];
		int load = p->njobs + p->nkerns;

		if (p->state == PEER_READY && !load)
			return p;
		if (p->state == PEER_READY && load < PEER_DEPTH && (!half || load < half->njobs + half->nkerns))
			half = p;
		starting = starting || p->state == PEER_STARTING;
		if (p->state == PEER_DOWN && !down && p->retry_at <= pool_now())
			down = p;
	}
	if (down && !starting) {
		struct err e = {0};

		down->deadline = 0;
		if (!peer_start(down, &e)) {
			down->state = PEER_STARTING;
			pool_peer_died(down, PEER_SILENT, err_text(&e));
		} else {
			down->deadline = pool_now() + pool_start_limit(d);
		}
		err_free(&e);
	}
	return busy_too ? half : NULL;
}
