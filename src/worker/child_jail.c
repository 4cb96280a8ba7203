/* child_jail.c: what a child that runs mutated code may still do */
#include "worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/reap.h"

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#define STACK ((rlim_t)16 << 20) /* as the other threads have */

static struct rlimit limits[RLIMIT_NLIMITS]; /* of this process, as far as it knows */

static void know_limits(void)
{
	for (int i = 0; i < RLIMIT_NLIMITS; i++)
		if (getrlimit((__rlimit_resource_t)i, &limits[i]))
			limits[i] = (struct rlimit){RLIM_INFINITY, RLIM_INFINITY};
}

static void limit(int what, rlim_t soft, rlim_t hard)
{
	for (int tries = 0; tries < 2; tries++) {
		struct rlimit *r = &limits[what];

		r->rlim_cur = soft < r->rlim_max ? soft : r->rlim_max;
		r->rlim_max = hard < r->rlim_max ? hard : r->rlim_max;
		/* somebody may have lowered the worker's meanwhile */
		if (!setrlimit((__rlimit_resource_t)what, r) || getrlimit((__rlimit_resource_t)what, r))
			return;
	}
}

/* Private writable memory of a process now, which is what RLIMIT_DATA counts, by its statm. */
static uint64_t data_bytes(int statm)
{
	unsigned field = 0;
	uint64_t pages = 0;
	char text[200];
	ssize_t n = pread(statm, text, sizeof text, 0);

	for (ssize_t i = 0; i < n && field < 6; i++)
		if (text[i] == ' ')
			field++;
		else if (field == 5 && text[i] >= '0' && text[i] <= '9')
			pages = 10 * pages + (uint64_t)(text[i] - '0');
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Keeps of the process's capabilities those in the mask. Root without them is a user who owns root's files. */
static void keep_capabilities(uint32_t keep)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct now[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &head, now))
		return;
	now[0].effective = now[0].permitted &= keep;
	now[0].inheritable = 0;
	now[1] = (struct __user_cap_data_struct){0};
	syscall(SYS_capset, &head, now);
}

/* The signals that end what goes wrong do so in children, whatever this process was started with. */
void jail_signals(void)
{
	static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGXCPU};

	for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
		signal(deadly[i], SIG_DFL);
}

/* It starts compilers and keeps caches, which may belong to others when it is root's. */
void jail_worker(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	keep_capabilities(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER);
	know_limits();
	if (!SANITIZED) /* its runtime has handlers for the worker */
		jail_signals();
}

/* A fork's part of it is short: opening files in /proc, for one, takes longer than the rest of entering the jail. */
void jail_open(struct jail *j)
{
	j->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	j->oom = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	j->nscore = j->oom < 0 ? 0 : pread(j->oom, j->score, sizeof j->score, 0);
}

void jail_before_fork(struct jail *j, uint64_t not_inherited)
{
	uint64_t data = SANITIZED ? 0 : data_bytes(j->statm);

	j->data = data > not_inherited ? data - not_inherited : 0;
	if (j->nscore > 0 && pwrite(j->oom, "1000", 4, 0) < 0)
		j->nscore = 0; /* then the kernel chooses as it likes */
}

void jail_after_fork(struct jail *j)
{
	if (j->nscore > 0 && pwrite(j->oom, j->score, (size_t)j->nscore, 0) < 0)
		j->nscore = 0;
}

void jail_enter(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

	syscall(SYS_capset, &head, none);
	if (SANITIZED)
		jail_signals();
	signal(SIGPIPE, SIG_DFL);
}

/* RLIMIT_DATA leaves out what is shared and what is stack: the filter lets neither be made, the stack has a limit. */
void jail_limits(const struct jail *j, double cpu_seconds, uint64_t memory, bool threads)
{
	int statm = threads && j->data ? open("/proc/self/statm", O_RDONLY | O_CLOEXEC) : -1; /* their stacks count */
	uint64_t now = statm < 0 ? j->data : data_bytes(statm);

	if (statm >= 0)
		close(statm);
	limit(RLIMIT_CORE, 0, 0);
	limit(RLIMIT_NPROC, 0, 0);
	limit(RLIMIT_STACK, STACK, STACK);
	if (cpu_seconds > 0 && cpu_seconds < 1e9) {
		rlim_t s = (rlim_t)ceil(cpu_seconds);

		limit(RLIMIT_CPU, s, s + 5);
	}
	if (now)
		limit(RLIMIT_DATA, now + memory, now + memory);
}

void jail_files(int files)
{
	limit(RLIMIT_FSIZE, 0, 0);
	limit(RLIMIT_NOFILE, (rlim_t)files, (rlim_t)files);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* RLIMIT_CORE does not stop a core dump into a pipe; and nobody traces it */
}

#ifdef HAVE_SECCOMP
/* In the filter as it is made, for what is each child's own. */
#define CHILD_PID 0x7a5a5a5au
#define FIRST_HIGH 0x7a5a5a5bu /* of the file of tensors */
#define FIRST_LOW 0x7a5a5a5cu

static bool allow_signals(scmp_filter_ctx c)
{
	/* what abort(), and a division on processors that have none, send to themselves; never one that stops */
	static const int own[] = {SIGABRT, SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
	bool ok = true;

	for (size_t i = 0; ok && i < sizeof own / sizeof *own; i++)
		ok = !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2, SCMP_A0(SCMP_CMP_EQ, CHILD_PID, 0),
				       SCMP_A2(SCMP_CMP_EQ, (scmp_datum_t)own[i], 0));
	return ok;
}

/* Private memory that RLIMIT_DATA counts, and the slots as slot_set maps them; never to be executed. */
static bool allow_memory(scmp_filter_ctx c, int slots)
{
	const uint32_t may = MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_STACK;

	return !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) &&
	       !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 3, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				 SCMP_A3(SCMP_CMP_MASKED_EQ, (uint32_t)~may, MAP_PRIVATE),
				 SCMP_A4(SCMP_CMP_MASKED_EQ, 0xffffffffu, 0xffffffffu)) &&
	       !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 4, SCMP_A2(SCMP_CMP_EQ, PROT_READ | PROT_WRITE, 0),
				 SCMP_A3(SCMP_CMP_EQ, MAP_SHARED | MAP_FIXED | MAP_POPULATE, 0),
				 SCMP_A4(SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)slots),
				 SCMP_A5(SCMP_CMP_GE, (scmp_datum_t)FIRST_HIGH << 32 | FIRST_LOW, 0)) &&
	       !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(madvise), 1, SCMP_A2(SCMP_CMP_EQ, MADV_DONTNEED, 0)) &&
	       !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(madvise), 1, SCMP_A2(SCMP_CMP_EQ, MADV_FREE, 0));
}

/* The program that a filter is, from a file, since the library writes it nowhere else. */
static bool export(scmp_filter_ctx c, struct jail *out)
{
	int fd = memfd_create("filter", MFD_CLOEXEC);
	off_t n;

	if (fd < 0)
		return false;
	if (!seccomp_export_bpf(c, fd) && (n = lseek(fd, 0, SEEK_END)) > 0 && !((size_t)n % sizeof *out->filter) &&
	    (size_t)n / sizeof *out->filter <= BPF_MAXINSNS && (out->filter = malloc((size_t)n))) {
		out->n = (unsigned short)((size_t)n / sizeof *out->filter);
		if (pread(fd, out->filter, (size_t)n, 0) != n) {
			free(out->filter);
			out->filter = NULL;
		}
	}
	close(fd);
	return out->filter != NULL;
}

/* What computing needs, and the child's own loop. A thread cannot end alone: that would look like a kernel that does not. */
bool jail_make(int sock, int slots, struct jail *out)
{
	static const int harmless[] = {
	    SCMP_SYS(futex),	       SCMP_SYS(sched_yield), SCMP_SYS(exit_group),	   SCMP_SYS(munmap), SCMP_SYS(clock_gettime),
	    SCMP_SYS(rt_sigprocmask), SCMP_SYS(getpid),      SCMP_SYS(gettid),	   SCMP_SYS(brk),    SCMP_SYS(restart_syscall),
	    SCMP_SYS(sched_getaffinity),
	};
	scmp_filter_ctx c = SANITIZED ? NULL : seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool ok = c != NULL;

	if (!c)
		return false;
	ok = !seccomp_attr_set(c, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS); /* else: ends the thread only */
	for (size_t i = 0; ok && i < sizeof harmless / sizeof *harmless; i++)
		ok = !seccomp_rule_add(c, SCMP_ACT_ALLOW, harmless[i], 0);
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)sock, 0));
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)sock, 0));
	ok = ok && allow_memory(c, slots) && allow_signals(c);
	ok = ok && export(c, out);
	seccomp_release(c);
	return ok;
}

static void put(const struct jail *j, uint32_t placeholder, uint32_t value)
{
	for (unsigned i = 0; i < j->n; i++)
		if (BPF_CLASS(j->filter[i].code) == BPF_JMP && j->filter[i].k == placeholder)
			j->filter[i].k = value;
}

bool jail_close(const struct jail *j, uint64_t first)
{
	struct sock_fprog program = {.len = j->n, .filter = j->filter};

	if (!j->filter)
		return false;
	put(j, CHILD_PID, (uint32_t)getpid());
	put(j, FIRST_HIGH, (uint32_t)(first >> 32));
	put(j, FIRST_LOW, (uint32_t)first);
	return !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}
#else
bool jail_make(int sock, int slots, struct jail *out)
{
	return false;
}

bool jail_close(const struct jail *j, uint64_t first)
{
	return false;
}
#endif

void jail_free(struct jail *j)
{
	free(j->filter);
	if (j->oom >= 0)
		close(j->oom);
	if (j->statm >= 0)
		close(j->statm);
	*j = (struct jail){.oom = -1, .statm = -1};
}

bool jail_closes(const struct jail *j)
{
	int status = 1;
	pid_t child = fork();

	if (!child)
		_exit(jail_close(j, 0) ? 0 : 1);
	return child > 0 && (reap_within(child, REAP_S, &status) || reap_killed(child, false, &status)) && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

/* Emulators of processors let some limits pass. */
bool jail_limits_memory(void)
{
	struct rlimit was, now;
	rlim_t less;

	if (SANITIZED || getrlimit(RLIMIT_DATA, &was))
		return false;
	less = was.rlim_cur == RLIM_INFINITY ? (rlim_t)1 << 46 : was.rlim_cur - 1;
	now = (struct rlimit){less, was.rlim_max};
	if (setrlimit(RLIMIT_DATA, &now) || getrlimit(RLIMIT_DATA, &now))
		return false;
	setrlimit(RLIMIT_DATA, &was);
	return now.rlim_cur == less;
}
