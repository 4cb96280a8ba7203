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
#include "device/device.h"

#define SPIN_S 30e-6
#define SOCK 3
#define SLOTS 4 /* descriptors of a child */

double worker_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the worker's side ------------------------------------------------------------------------------------- */

static size_t align16(size_t n)
{
	return (n + 15) / 16 * 16;
}

bool proc_start(struct proc *p, const struct proc_spec *spec, struct err *e)
{
	const struct prog *g = spec->prog;
	size_t head = align16(sizeof *p->ctl), sel = align16(g->nlaunches * sizeof *p->sel),
	       times = align16(spec->repeat * sizeof *p->times), spent = align16(g->nlaunches * sizeof *p->spent);
	pid_t self = getpid();
	int sv[2];

	*p = (struct proc){.spec = *spec, .pid = -1, .sock = -1, .ctl_size = head + sel + times + spent + g->nargs * sizeof *p->arg};
	p->ctl = mmap(NULL, p->ctl_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p->ctl == MAP_FAILED) {
		p->ctl = NULL;
		return err_set(e, ERR_IO, "no memory to talk to a child");
	}
	p->sel = (uint32_t *)((uint8_t *)p->ctl + head);
	p->times = (double *)((uint8_t *)p->sel + sel);
	p->spent = (double *)((uint8_t *)p->times + times);
	p->arg = (void **)((uint8_t *)p->spent + spent);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return err_set(e, ERR_IO, "no socket to talk to a child: %s", strerror(errno));
	p->pid = fork();
	if (!p->pid)
		proc_child(p, sv[1], self);
	close(sv[1]);
	p->sock = sv[0];
	return p->pid > 0 || err_set(e, ERR_IO, "cannot fork: %s", strerror(errno));
}

static void reap(struct proc *p, bool force)
{
	if (p->pid <= 0)
		return;
	if (force)
		kill(p->pid, SIGKILL);
	while (waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR)
		;
	p->pid = -1;
}

/* 1: something came or time passed, 0: the child is dead, -1: the pool is gone */
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
			reap(p, true); /* it is ending, or closed its only descriptor */
			return 0;
		}
	} else if (waitpid(p->pid, &p->status, WNOHANG) == p->pid) { /* a process of its own may still hold the socket */
		p->pid = -1;
		return 0;
	}
	return 1;
}

static enum proc_end await(struct proc *p, uint32_t seq, double limit_s, int wire)
{
	struct ctl *c = p->ctl;
	double start = worker_now(), since = start;
	uint32_t rep = atomic_load(&c->rep);

	while (worker_now() - start < SPIN_S)
		if (atomic_load_explicit(&c->done, memory_order_acquire) == seq)
			return PROC_OK;
	for (;;) {
		uint32_t at;
		int r;

		atomic_store(&c->worker_sleeps, 1);
		if (atomic_load(&c->done) == seq)
			return PROC_OK;
		if ((r = wait_some(p, limit_s - (worker_now() - since), wire)) <= 0) {
			if (r < 0)
				reap(p, true);
			return r < 0 ? PROC_GONE : PROC_DIED;
		}
		if (atomic_load(&c->done) == seq)
			return PROC_OK;
		if ((at = atomic_load(&c->rep)) != rep) {
			rep = at;
			since = worker_now();
		}
		if (worker_now() - since >= limit_s) {
			reap(p, true);
			return PROC_HUNG;
		}
	}
}

enum proc_end proc_ready(struct proc *p, double limit_s, int wire)
{
	return await(p, 1, limit_s, wire);
}

enum proc_end proc_run(struct proc *p, uint32_t nsel, enum proc_mode mode, uint32_t warmup, uint32_t repeat, double limit_s,
		       int wire)
{
	struct ctl *c = p->ctl;
	uint32_t seq = atomic_load(&c->cmd) + 1;

	c->nsel = nsel;
	c->mode = mode;
	c->warmup = warmup;
	c->repeat = repeat;
	c->seconds = 0;
	atomic_store(&c->cmd, seq);
	if (atomic_exchange(&c->child_sleeps, 0) && send(p->sock, "", 1, MSG_NOSIGNAL) < 0 && errno != EPIPE &&
	    errno != ECONNRESET) {
		reap(p, true);
		return PROC_DIED;
	}
	return await(p, seq + 1, limit_s, wire);
}

void proc_stop(struct proc *p)
{
	reap(p, true);
	if (p->sock >= 0)
		close(p->sock);
	if (p->ctl)
		munmap(p->ctl, p->ctl_size);
	*p = (struct proc){.pid = -1, .sock = -1, .status = p->status};
}

/* ---- the child's side -------------------------------------------------------------------------------------- */

static _Noreturn void give_up(struct proc *p, const char *text)
{
	snprintf(p->ctl->text, sizeof p->ctl->text, "%s", text);
	_exit(3);
}

static void announce(struct ctl *c, enum pool_stage stage, uint32_t launch)
{
	atomic_store(&c->launch, launch);
	atomic_store(&c->stage, (uint32_t)stage);
}

static void leave_worker(int sock, int slots, pid_t parent)
{
	static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU, SIGPIPE};
	int null;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(4);
	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
		signal(deadly[i], SIG_DFL);
	sock = fcntl(sock, F_DUPFD, 10);
	slots = fcntl(slots, F_DUPFD, 10);
	if (dup2(sock, SOCK) < 0 || dup2(slots, SLOTS) < 0)
		_exit(4);
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
	}
	if (syscall(SYS_close_range, SLOTS + 1, ~0u, 0))
		for (int fd = SLOTS + 1; fd < 1024; fd++)
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
	else if (mmap(s->at, s->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, SLOTS, (off_t)s->off) ==
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

static void run_one(struct proc *p, uint32_t k, bool checked)
{
	const struct prog_launch *l = &p->spec.prog->launch[k];
	const struct slot *slot = p->spec.slots->slot;
	struct err e = {0};
	double t;

	for (uint32_t i = l->nargs - l->nout; checked && i < l->nargs; i++) {
		slot_set(p, l->arg[i], SLOT_OPEN);
		/* a quiet NaN in every float type: what nobody writes is the same every time */
		memset(slot[l->arg[i]].at + slot[l->arg[i]].front, 0xff, slot[l->arg[i]].bytes);
	}
	announce(p->ctl, POOL_RUN, k + 1);
	t = worker_now();
	if (!p->spec.ops->run(p->spec.device, p->spec.kernel[l->kernel], p->arg + l->first_arg, l->parallel, &e))
		give_up(p, err_text(&e));
	p->ctl->seconds += worker_now() - t;
	/* What an unknown kernel made is closed at once, so that no other writes there. Outputs of the original's kernels stay
	 * open: changing them each time costs as much as running small kernels, and what strays into them is written over before it
	 * is read. */
	for (uint32_t i = l->nargs - l->nout; checked && !p->spec.trusted[l->kernel] && i < l->nargs; i++)
		slot_set(p, l->arg[i], SLOT_READ);
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
	if (atomic_exchange(&p->ctl->worker_sleeps, 0) && write(SOCK, "", 1) != 1)
		_exit(4);
}

static uint32_t next_command(struct proc *p, uint32_t seen)
{
	struct ctl *c = p->ctl;
	double start = worker_now();
	char byte;

	while (worker_now() - start < SPIN_S)
		if (atomic_load_explicit(&c->cmd, memory_order_acquire) != seen)
			return atomic_load(&c->cmd);
	for (;;) {
		atomic_store(&c->child_sleeps, 1);
		if (atomic_load(&c->cmd) != seen)
			return atomic_load(&c->cmd);
		if (read(SOCK, &byte, 1) == 0)
			_exit(0);
	}
}

_Noreturn void proc_child(struct proc *p, int sock, pid_t parent)
{
	struct ctl *c = p->ctl;
	struct err e = {0};
	uint32_t seen = 0;

	announce(c, POOL_START, 0);
	leave_worker(sock, p->spec.slots->file, parent);
	mem_read_only(p->spec.mem);
	if (!p->spec.ops->start_threads(p->spec.device, p->spec.threads, &e))
		give_up(p, err_text(&e));
	load_all(p);
	announce(c, POOL_LOAD, 0);
	jail_limits(p->spec.cpu_seconds, p->spec.memory);
	jail_close(SOCK, SLOTS);
	answer(p, 1);
	for (;;) {
		seen = next_command(p, seen);
		if (c->mode == PROC_TIMED)
			run_timed(p);
		else
			for (uint32_t i = 0; i < c->nsel; i++)
				run_one(p, p->sel[i], true);
		announce(c, POOL_RUN, 0);
		answer(p, seen + 1);
	}
}
