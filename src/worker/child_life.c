/* child_life.c: the life of the child that runs a program - begun when a launch is to run, tried again when the machine had none to give,
 * and what its end says about the launch that it was in */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device.h"
#include "worker/child_exec.h"

#define START_LIMIT_S 60
#define START_TRIES 3
#define START_PAUSE_MS 20

void exec_overran(struct exec *x, int64_t launch, uint32_t buffer)
{
	const char *name = launch >= 0 ? x->prog->launch[launch].name : "a kernel";

	if (!x->overrun && x->end.status != POOL_OVERRUN) {
		x->end.status = POOL_OVERRUN;
		x->end.stage = POOL_RUN;
		x->end.launch = launch;
		x->end.buffer = buffer;
		snprintf(x->end.text, sizeof x->end.text, "'%.100s' wrote outside of buffer '%.100s'", name,
			 x->prog->buffer[buffer].name);
	}
	x->overrun = true;
}

int64_t exec_only_suspect(const struct exec *x)
{
	int64_t found = -1;

	for (uint32_t k = 0; k < x->prog->nlaunches; k++) {
		if (x->trusted[x->prog->launch[k].kernel])
			continue;
		if (found >= 0)
			return -1;
		found = k;
	}
	return found;
}

void exec_stop(struct exec *x)
{
	bool ran = x->proc.ctl != NULL;
	uint64_t first = x->w->closes ? x->proc.spec.first : 0; /* the filter lets no child map what is before */

	proc_stop(&x->proc);
	x->w->stuck = x->w->stuck || x->proc.stuck;
	/* The next program must find its canaries whole, and this one answers for what it did to any. */
	for (uint32_t i = 0; ran && !x->w->slots.dirty && i < x->w->slots.n; i++) {
		struct slot *s = &x->w->slots.slot[i];

		if (!s->size || s->off < first || slot_intact(s))
			continue;
		slot_refill(s);
		exec_overran(x, exec_only_suspect(x), i);
	}
}

void exec_close(struct exec *x)
{
	if (x->gpu)
		gpu_close(x);
	exec_stop(x);
	arena_free(x->arena);
	x->arena = NULL;
}

/* What the child announced last, as far as it makes sense: once it is ready nothing but what it was asked to run is believed. */
static void where(struct exec *x, struct run_end *end)
{
	uint32_t stage = atomic_load(&x->proc.ctl->stage), launch = atomic_load(&x->proc.ctl->launch);
	bool asked = false;

	if (!x->ready) {
		end->stage = stage == POOL_LOAD ? POOL_LOAD : POOL_START;
		end->launch = end->stage == POOL_LOAD && launch && launch <= x->prog->nlaunches ? (int64_t)launch - 1 : -1;
		return;
	}
	end->stage = POOL_RUN;
	for (uint32_t i = 0; launch && i < x->nsel; i++)
		asked = asked || x->sel[i] == launch - 1;
	end->launch = asked ? (int64_t)launch - 1 : exec_only_suspect(x);
}

static void say_death(struct exec *x, struct run_end *end)
{
	static const char *const doing[] = {"starting", "building", "loading", "running", "ending"};
	int status = x->proc.status;
	const char *name = end->launch >= 0 ? x->prog->launch[end->launch].name : NULL;
	char why[300], text[256];

	if (WIFSIGNALED(status)) {
		end->signal = WTERMSIG(status);
		snprintf(why, sizeof why, "killed by signal %d (%s)", end->signal, strsignal(end->signal));
	} else if (proc_text(&x->proc, text), WEXITSTATUS(status) == PROC_GAVE_UP && *text) {
		snprintf(why, sizeof why, "%s", text);
	} else {
		snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
	}
	snprintf(end->text, sizeof end->text, "%s while %s%s%.100s%s", why, doing[end->stage], name ? " '" : "", name ? name : "",
		 name ? "'" : "");
}

enum step exec_ended(struct exec *x, enum proc_end how)
{
	struct run_end *end = &x->end;

	if (how == PROC_OK)
		return STEP_OK;
	x->w->slots.dirty = true;
	x->w->stuck = x->w->stuck || x->proc.stuck;
	if (how == PROC_GONE)
		return STEP_GONE;
	where(x, end);
	if (how == PROC_HUNG && !x->ready) {
		end->status = POOL_LOST;
		snprintf(end->text, sizeof end->text, "the child that runs kernels was not ready after %d s", START_LIMIT_S);
	} else if (how == PROC_HUNG || (WIFSIGNALED(x->proc.status) && WTERMSIG(x->proc.status) == SIGXCPU)) {
		end->status = POOL_HUNG;
		snprintf(end->text, sizeof end->text, "not done after %.3g s%s%.100s%s", x->limit_s,
			 end->launch >= 0 ? " in '" : "", end->launch >= 0 ? x->prog->launch[end->launch].name : "",
			 end->launch >= 0 ? "'" : "");
	} else {
		/* before a child is ready nothing of the mutant's has run: only what the loader says is about it */
		end->status = end->stage == POOL_START || (!x->ready && WIFSIGNALED(x->proc.status)) ? POOL_LOST : POOL_CRASHED;
		end->ours = x->ready && WIFEXITED(x->proc.status) && WEXITSTATUS(x->proc.status) == PROC_GAVE_UP;
		say_death(x, end);
	}
	return STEP_ENDED;
}

static void could_not(struct exec *x, const struct err *e)
{
	x->end.status = POOL_LOST;
	snprintf(x->end.text, sizeof x->end.text, "%s", err_text(e));
}

/* n: launches of x->sel that it goes on with at once. */
static enum step start_once(struct exec *x, uint32_t n)
{
	const struct proc_spec spec = x->proc.spec;
	const uint32_t image = x->proc.image;
	struct steps *t = &x->w->steps;
	struct err e = {0};
	enum step s;

	if (!proc_start(&x->proc, &spec, &e)) {
		could_not(x, &e);
		err_free(&e);
		return STEP_ENDED;
	}
	x->proc.image = image;
	if (n)
		proc_post(&x->proc, x->sel, n, PROC_CHECKED, 0, 1, x->last_now);
	step_end(t, POOL_STEP_FORK);
	s = exec_ended(x, proc_ready(&x->proc, START_LIMIT_S, x->w->in));
	x->ready = s == STEP_OK;
	if (x->ready)
		proc_steps(&x->proc, t);
	step_end(t, POOL_STEP_READY);
	return s;
}

enum step exec_start(struct exec *x, uint32_t n)
{
	struct err e = {0};

	if (x->started || x->gpu)
		return STEP_OK;
	x->started = true;
	for (int tries = 1;; tries++) {
		const struct proc before = x->proc;
		enum step s = start_once(x, n);

		x->since = worker_now(); /* an image's limit is for its launches */
		if (s != STEP_ENDED || x->w->stuck || tries == START_TRIES)
			return s;
		proc_stop(&x->proc);
		x->proc = before;
		mem_fork_again(&x->w->mem);
		poll(NULL, 0, START_PAUSE_MS);
		if (!slots_layout(&x->w->slots, x->prog, x->fill, &e)) {
			could_not(x, &e);
			err_free(&e);
			return STEP_ENDED;
		}
		x->end = (struct run_end){.launch = -1, .buffer = -1};
	}
}

enum step exec_begin(struct exec *x, struct worker *w, struct prog *p, const struct base *b, const struct exec_given *g, uint64_t job, struct fill fill,
		     int threads, uint32_t repeat, double limit_s, double cpu_seconds)
{
	for (int tries = 1;; tries++) {
		struct err e = {0};
		bool again;

		if (exec_open(x, w, p, b, g, job, fill, threads, repeat, limit_s, cpu_seconds, &e)) {
			enum step s = x->gpu ? gpu_start(x) : STEP_OK;

			x->ready = x->gpu && s == STEP_OK;
			return s;
		}
		again = e.code == ERR_IO;
		could_not(x, &e);
		err_free(&e);
		if (!again || tries == START_TRIES)
			return STEP_ENDED;
		exec_close(x);
		poll(NULL, 0, START_PAUSE_MS);
	}
}
