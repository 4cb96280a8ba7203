/* child_proc.c: the forked child that runs launches, and the worker's side of talking to it */
#include "worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/reap.h"
#include "device/device.h"

#define SPIN_S 30e-6
#define MAX_ORPHANS 1000
#define MAX_SHARED ((size_t)1 << 20) /* is kept for the next child */

double worker_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void step_end(struct steps *t, enum pool_step which)
{
	double now = worker_now();

	t->s[which] += now - t->since;
	t->since = now;
}

/* ---- the worker's side ------------------------------------------------------------------------------------- */

static size_t align16(size_t n)
{
	return (n + 15) / 16 * 16;
}

/* At least *size bytes of zeros: what the last child had, now that it is dead, or new ones. */
static struct ctl *shared_take(struct shared *s, size_t *size)
{
	void *p = s->p;

	if (p && s->size >= *size) {
		memset(p, 0, *size);
		*size = s->size;
		*s = (struct shared){0};
		return p;
	}
	*size = (*size + PAGE - 1) / PAGE * PAGE;
	p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

void shared_free(struct shared *s)
{
	if (s->p)
		munmap(s->p, s->size);
	*s = (struct shared){0};
}

/* Blobs are not there in a child. */
static void copy_artefacts(const struct proc *p, uint8_t *to)
{
	for (uint32_t k = 0; k < p->spec.prog->nkernels; k++)
		if (p->spec.artefact[k]) {
			memcpy(to, p->spec.artefact[k], p->spec.artefact_size[k]);
			to += align16(p->spec.artefact_size[k]);
		}
}

/* In the child. */
static void find_artefacts(struct proc *p, const uint8_t *at)
{
	for (uint32_t k = 0; k < p->spec.prog->nkernels; k++)
		if (p->spec.artefact[k]) {
			p->spec.artefact[k] = at;
			at += align16(p->spec.artefact_size[k]);
		}
}

bool proc_start(struct proc *p, const struct proc_spec *spec, struct err *e)
{
	const struct prog *g = spec->prog;
	size_t head = align16(sizeof *p->ctl), sel = align16(g->nlaunches * sizeof *p->sel),
	       times = align16(spec->repeat * sizeof *p->times), spent = align16(g->nlaunches * sizeof *p->spent),
	       arg = align16(g->nargs * sizeof *p->arg), artefacts = 0;
	pid_t self = getpid();
	int sv[2];

	for (uint32_t k = 0; k < g->nkernels; k++)
		artefacts += align16(spec->artefact[k] ? spec->artefact_size[k] : 0);
	*p = (struct proc){.spec = *spec, .pid = -1, .sock = -1, .ctl_size = head + sel + times + spent + arg + artefacts};
	if (!(p->ctl = shared_take(spec->shared, &p->ctl_size)))
		return err_set(e, ERR_IO, "no memory to talk to a child");
	p->sel = (uint32_t *)((uint8_t *)p->ctl + head);
	p->times = (double *)((uint8_t *)p->sel + sel);
	p->spent = (double *)((uint8_t *)p->times + times);
	p->arg = (void **)((uint8_t *)p->spent + spent);
	copy_artefacts(p, (uint8_t *)p->arg + arg);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return err_set(e, ERR_IO, "no socket to talk to a child: %s", strerror(errno));
	jail_before_fork(spec->jail, mem_before_fork(spec->mem));
	p->pid = fork();
	if (!p->pid) {
		find_artefacts(p, (uint8_t *)p->arg + arg);
		proc_child(p, sv[1], self);
	}
	jail_after_fork(spec->jail);
	close(sv[1]);
	p->sock = sv[0];
	return p->pid > 0 || err_set(e, ERR_IO, "cannot fork: %s", strerror(errno));
}

static void reap(struct proc *p)
{
	if (p->pid <= 0)
		return;
	p->stuck = !reap_killed(p->pid, false, &p->status);
	p->pid = -1;
}

/* Where no filter holds a child, it may have forked: its children came to this process, a reaper, when it died. */
static void reap_orphans(void)
{
	for (int round = 0; round < MAX_ORPHANS; round++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		int child = 0;
		FILE *f;

		if (pid < 0)
			return;
		if (pid > 0)
			continue;
		f = fopen("/proc/thread-self/children", "re");
		if (!f || fscanf(f, "%d", &child) != 1)
			child = 0;
		if (f)
			fclose(f);
		if (child <= 0 || !reap_killed(child, false, NULL))
			return;
	}
}

/* 2: the child said something, 1: something came or time passed, 0: the child is dead, -1: the pool is gone */
static int wait_some(struct proc *p, double left, int wire)
{
	struct pollfd f[2] = {{.fd = p->sock, .events = POLLIN}, {.fd = wire, .events = 0}};
	char drain[64];
	ssize_t n;

	if (poll(f, 2, left > 1 ? 1000 : left > 0 ? (int)(left * 1000) + 1 : 0) < 0 && errno != EINTR)
		return -1;
	if (f[1].revents & (POLLHUP | POLLERR | POLLNVAL))
		return -1;
	if (f[0].revents) {
		n = recv(p->sock, drain, sizeof drain, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			reap(p); /* it is ending, or closed its only descriptor */
			return 0;
		}
		return n > 0 ? 2 : 1;
	}
	if (waitpid(p->pid, &p->status, WNOHANG) == p->pid) { /* a process of its own may still hold the socket */
		p->pid = -1;
		return 0;
	}
	return 1;
}

/* The first command is posted with the child's beginning: it may have answered that one, too. What else stands there a kernel has written. */
static bool answered(struct ctl *c, uint32_t seq)
{
	return atomic_load_explicit(&c->done, memory_order_acquire) - seq <= 1;
}

/* reps: that may still begin, each with a limit of its own. soon: it may come before this process would have gone to sleep and woken up. */
static enum proc_end await(struct proc *p, uint32_t seq, uint32_t reps, double limit_s, int wire, bool soon)
{
	struct ctl *c = p->ctl;
	double start = worker_now(), since = start;
	uint32_t rep = atomic_load(&c->rep);

	while (soon && worker_now() - start < SPIN_S)
		if (answered(c, seq))
			return PROC_OK;
	for (;;) {
		uint32_t at;
		int r;

		atomic_store(&c->worker_sleeps, 1);
		if (answered(c, seq))
			return PROC_OK;
		if ((r = wait_some(p, limit_s - (worker_now() - since), wire)) < 0) {
			reap(p);
			return PROC_GONE;
		}
		if (!r) /* after its last answer a child ends */
			return answered(c, seq) ? PROC_OK : PROC_DIED;
		/* what it says first is that it is ready: from then on kernels may overwrite the page */
		if (answered(c, seq) || (r == 2 && seq == 1))
			return PROC_OK;
		if (reps && (at = atomic_load(&c->rep)) != rep) {
			rep = at;
			reps--;
			since = worker_now();
		}
		if (worker_now() - since >= limit_s) {
			reap(p);
			return PROC_HUNG;
		}
	}
}

enum proc_end proc_ready(struct proc *p, double limit_s, int wire)
{
	return await(p, 1, 0, limit_s, wire, false);
}

void proc_post(struct proc *p, const uint32_t *pick, uint32_t n, enum proc_mode mode, uint32_t warmup, uint32_t repeat, bool last)
{
	struct ctl *c = p->ctl;

	memcpy(p->sel, pick, n * sizeof *pick);
	for (uint32_t i = 0; i < n; i++) {
		const struct prog_launch *l = &p->spec.prog->launch[pick[i]];

		memcpy(p->arg + l->first_arg, p->spec.arg + l->first_arg, l->nargs * sizeof *p->arg);
	}
	memset(p->spent, 0, p->spec.prog->nlaunches * sizeof *p->spent);
	c->nsel = n;
	c->image = p->image;
	c->mode = mode;
	c->last = last;
	c->warmup = warmup;
	c->repeat = repeat;
	c->seconds = 0;
	p->reps = mode == PROC_TIMED ? warmup + repeat : 0;
	p->soon = mode == PROC_CHECKED && n == 1;
	atomic_store(&c->cmd, ++p->seq);
}

enum proc_end proc_done(struct proc *p, double limit_s, int wire)
{
	/* one that does not read what wakes it up has filled its socket: no kernel's thread of control gets here */
	if (atomic_exchange(&p->ctl->child_sleeps, 0) && send(p->sock, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EPIPE &&
	    errno != ECONNRESET) {
		reap(p);
		return PROC_DIED;
	}
	return await(p, p->seq + 1, p->reps, limit_s, wire, p->soon);
}

static double seconds_of(const volatile double *shared)
{
	double t = *shared;

	return t >= 0 && t < 1e9 ? t : 0;
}

double proc_seconds(const struct proc *p)
{
	return seconds_of(&p->ctl->seconds);
}

void proc_steps(const struct proc *p, struct steps *t)
{
	double now = worker_now();

	for (int i = POOL_STEP_ENTER; i <= POOL_STEP_LIMIT; i++) {
		double at = *(volatile double *)&p->ctl->reached[i];

		if (!(at > t->since && at <= now))
			continue;
		t->s[i] += at - t->since;
		t->since = at;
	}
}

void proc_times(const struct proc *p, double *times, double *spent)
{
	for (uint32_t i = 0; i < p->spec.repeat; i++)
		times[i] = seconds_of(&p->times[i]);
	for (uint32_t i = 0; i < p->spec.prog->nlaunches; i++)
		spent[i] = seconds_of(&p->spent[i]);
}

void proc_text(const struct proc *p, char out[static 256])
{
	memcpy(out, p->ctl->text, 256);
	out[255] = 0;
	for (; *out; out++)
		if (*out < ' ' || *out > '~')
			*out = '?';
}

void proc_stop(struct proc *p)
{
	bool was = p->ctl != NULL;

	reap(p);
	if (p->sock >= 0)
		close(p->sock);
	if (p->ctl && !p->stuck && p->spec.closed && p->ctl_size <= MAX_SHARED) { /* no process that it forked has it, since it could not */
		shared_free(p->spec.shared);
		*p->spec.shared = (struct shared){p->ctl, p->ctl_size};
	} else if (p->ctl) {
		munmap(p->ctl, p->ctl_size);
	}
	if (was && !p->stuck)
		reap_orphans();
	*p = (struct proc){.pid = -1, .sock = -1, .status = p->status, .stuck = p->stuck};
}

/* ---- the child's side -------------------------------------------------------------------------------------- */

static _Noreturn void give_up(struct proc *p, const char *text)
{
	snprintf(p->ctl->text, sizeof p->ctl->text, "%s", text);
	_exit(PROC_GAVE_UP);
}

static void announce(struct ctl *c, enum pool_stage stage, uint32_t launch)
{
	atomic_store(&c->launch, launch);
	atomic_store(&c->stage, (uint32_t)stage);
}

/* Standard input is /dev/null for a worker. */
static void leave_worker(int sock, int slots, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(4);
	for (int fd = 1; fd < (SANITIZED ? 2 : 3); fd++)
		if (dup2(0, fd) < 0)
			close(fd);
	if (slots == PROC_SOCK)
		slots = fcntl(slots, F_DUPFD, PROC_SLOTS + 1);
	if (dup2(sock, PROC_SOCK) < 0 || (slots != PROC_SLOTS && dup2(slots, PROC_SLOTS) < 0))
		_exit(4);
	if (syscall(SYS_close_range, PROC_SLOTS + 1, ~0u, 0))
		for (int fd = PROC_SLOTS + 1; fd < 1024; fd++)
			close(fd);
}

static void slot_set(struct proc *p, uint32_t i, enum slot_state to)
{
	const struct slot *s = &p->spec.slots->slot[i];
	uint8_t *is = &p->spec.open[i];

	if (*is == to)
		return;
	if (*is != SLOT_ABSENT)
		mprotect(s->at, s->size, to == SLOT_OPEN ? PROT_READ | PROT_WRITE : PROT_READ);
	else if (mmap(s->at, s->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, PROC_SLOTS, (off_t)s->off) ==
		 MAP_FAILED)
		give_up(p, "no memory for a tensor");
	*is = to;
}

static void load_all(struct proc *p)
{
	const struct prog *g = p->spec.prog;
	struct err e = {0};

	for (uint32_t k = 0; k < g->nlaunches; k++) {
		uint32_t i = g->launch[k].kernel;
		struct artefact a = {
		    .data = (uint8_t *)p->spec.artefact[i], .size = p->spec.artefact_size[i], .code = g->kernel[i].code};

		if (p->spec.kernel[i])
			continue;
		announce(p->ctl, POOL_LOAD, k + 1);
		if (!p->spec.ops->load(p->spec.device, &a, &p->spec.kernel[i], &e))
			give_up(p, err_text(&e));
	}
}

/* What will be read again for this image is closed to a kernel that is not known. What is left of the image before is written over
 * first: closing that each time would cost as much as running small kernels. */
static void close_slots(struct proc *p)
{
	const struct prog *g = p->spec.prog;

	for (uint32_t i = 0; i < p->spec.slots->n; i++)
		if (p->spec.open[i] == SLOT_OPEN &&
		    (p->spec.written[i] == p->ctl->image || g->launch[g->buffer[i].writer].constant))
			slot_set(p, i, SLOT_READ);
}

static void refill(struct proc *p, uint8_t *data, int64_t from, size_t n, const struct filling *f)
{
	uint8_t *first = data + from - (uintptr_t)(data + from) % PAGE, *end = data + from + n;

	if (mprotect(first, (size_t)(end - first), PROT_READ | PROT_WRITE))
		give_up(p, "no memory for what lies beyond a tensor");
	filling_put(data, from, n, f);
	mprotect(first, (size_t)(end - first), PROT_READ);
}

/* Tensors of the original lie between NaNs; a kernel that may look there is to find the fill. The memory is this child's own copy. */
static void refill_pads(struct proc *p, const struct prog_buffer *b, uint8_t *data)
{
	struct filling f = filling_of_pads(p->spec.fill, b->name, b->dtype);
	size_t pad = pad_bytes(b->dtype);

	refill(p, data, -(int64_t)pad, pad, &f);
	refill(p, data, (int64_t)b->bytes, pad, &f);
}

static void set_unwritten(struct proc *p, const struct prog_launch *l)
{
	const struct slot *slot = p->spec.slots->slot;
	enum fill_kind fill = p->spec.trusted[l->kernel] ? FILL_NAN : p->spec.fill.kind;

	for (uint32_t i = 0; i < l->nargs - l->nout; i++) {
		const struct slot *s = &slot[l->arg[i]];
		bool in_slot = s->size && (uint8_t *)p->arg[l->first_arg + i] == s->at + s->front;

		if (in_slot && p->spec.open[l->arg[i]] == SLOT_ABSENT) /* the worker wrote it, no launch of this child */
			slot_set(p, l->arg[i], SLOT_OPEN);
		if (!in_slot && (fill == FILL_ZERO || fill == FILL_RANDOM) && p->spec.prog->buffer[l->arg[i]].bytes)
			refill_pads(p, &p->spec.prog->buffer[l->arg[i]], p->arg[l->first_arg + i]);
	}
	for (uint32_t i = l->nargs - l->nout; i < l->nargs; i++) {
		slot_set(p, l->arg[i], SLOT_OPEN);
		if (fill != FILL_STALE || p->spec.prog->buffer[l->arg[i]].role == BUF_REPORT)
			filling_put(slot[l->arg[i]].at + slot[l->arg[i]].front, 0, slot[l->arg[i]].bytes, &slot[l->arg[i]].data);
	}
}

static void run_one(struct proc *p, uint32_t k, bool checked)
{
	const struct prog_launch *l = &p->spec.prog->launch[k];
	struct err e = {0};
	double t;

	if (checked && !p->spec.trusted[l->kernel])
		close_slots(p);
	announce(p->ctl, POOL_RUN, k + 1);
	if (checked)
		set_unwritten(p, l);
	t = worker_now();
	if (!p->spec.ops->run(p->spec.device, p->spec.kernel[l->kernel], p->arg + l->first_arg, l->parallel, &e))
		give_up(p, err_text(&e));
	p->ctl->seconds += worker_now() - t;
	for (uint32_t i = 0; p->spec.last && i < l->nargs - l->nout; i++)
		if (p->spec.last[l->arg[i]] == k && p->spec.place[l->arg[i]].n)
			munmap(p->spec.place[l->arg[i]].at, p->spec.place[l->arg[i]].n);
	for (uint32_t i = l->nargs - l->nout; i < l->nargs; i++)
		p->spec.written[l->arg[i]] = p->ctl->image;
}

static void run_timed(struct proc *p)
{
	struct ctl *c = p->ctl;

	for (uint32_t i = 0; i < p->spec.slots->n; i++)
		if (p->spec.slots->slot[i].size)
			slot_set(p, i, SLOT_OPEN);
	for (uint32_t r = 0; r < c->warmup + c->repeat; r++) {
		double t = worker_now();

		for (uint32_t i = 0; i < c->nsel; i++) {
			double before = c->seconds;

			run_one(p, p->sel[i], false);
			p->spent[p->sel[i]] += r >= c->warmup ? c->seconds - before : 0;
		}
		if (r >= c->warmup && r - c->warmup < p->spec.repeat)
			p->times[r - c->warmup] = worker_now() - t;
		atomic_fetch_add(&c->rep, 1);
	}
}

static void answer(struct proc *p, uint32_t seq)
{
	atomic_store(&p->ctl->done, seq);
	if (atomic_exchange(&p->ctl->worker_sleeps, 0) && write(PROC_SOCK, "", 1) != 1)
		_exit(4);
}

static uint32_t next_command(struct proc *p, uint32_t seen)
{
	struct ctl *c = p->ctl;
	double start = worker_now();
	char byte;

	while (c->nsel <= 1 && worker_now() - start < SPIN_S) /* after several there is more to compare */
		if (atomic_load_explicit(&c->cmd, memory_order_acquire) != seen)
			return atomic_load(&c->cmd);
	for (;;) {
		atomic_store(&c->child_sleeps, 1);
		if (atomic_load(&c->cmd) != seen)
			return atomic_load(&c->cmd);
		if (read(PROC_SOCK, &byte, 1) == 0)
			_exit(0);
	}
}

_Noreturn void proc_child(struct proc *p, int sock, pid_t parent)
{
	struct ctl *c = p->ctl;
	struct err e = {0};
	uint32_t seen = 0, last;

	announce(c, POOL_START, 0);
	leave_worker(sock, p->spec.slots->file, parent);
	jail_enter();
	mem_read_only(p->spec.mem);
	if (!p->spec.ops->start_threads(p->spec.device, p->spec.threads, &e))
		give_up(p, err_text(&e));
	jail_limits(p->spec.jail, p->spec.cpu_seconds, p->spec.memory, p->spec.threads > 1);
	c->reached[POOL_STEP_ENTER] = worker_now();
	load_all(p);
	c->reached[POOL_STEP_LOAD] = worker_now();
	announce(c, POOL_START, 0);
	jail_files(PROC_SLOTS + 1);
	if (!jail_close(p->spec.jail, p->spec.first) && p->spec.closed)
		give_up(p, "no system-call filter for the child");
	c->reached[POOL_STEP_LIMIT] = worker_now();
	answer(p, 1);
	for (;;) {
		seen = next_command(p, seen);
		last = c->last; /* once this one is answered, it is of the next */
		if (c->mode == PROC_TIMED)
			run_timed(p);
		else
			for (uint32_t i = 0; i < c->nsel; i++)
				run_one(p, p->sel[i], true);
		announce(c, POOL_RUN, 0);
		answer(p, seen + 1);
		if (last) /* its end takes about as long as its beginning: the worker does other things meanwhile */
			_exit(0);
	}
}
