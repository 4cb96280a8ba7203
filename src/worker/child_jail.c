/* child_jail.c: what a child that runs mutated code may still do */
#include "worker/child.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef HAVE_SECCOMP
#include <seccomp.h>
#endif

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* else: the sanitizer's runtime needs more than a kernel does, and its shadow is private writable memory */
#endif

static void limit(int what, rlim_t soft, rlim_t hard)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)what, &r))
		return;
	r.rlim_cur = soft < r.rlim_max ? soft : r.rlim_max;
	r.rlim_max = hard < r.rlim_max ? hard : r.rlim_max;
	setrlimit((__rlimit_resource_t)what, &r);
}

/* Private writable memory of this process now, which is what RLIMIT_DATA counts. */
static uint64_t data_bytes(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %*u %*u %*u %*u %llu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void jail_limits(double cpu_seconds, uint64_t memory)
{
	uint64_t now;

	limit(RLIMIT_CORE, 0, 0);
	limit(RLIMIT_FSIZE, 0, 0);
	if (cpu_seconds > 0 && cpu_seconds < 1e9) {
		rlim_t s = (rlim_t)ceil(cpu_seconds);

		limit(RLIMIT_CPU, s, s + 5);
	}
	now = SANITIZED ? 0 : data_bytes();
	if (now)
		limit(RLIMIT_DATA, now + memory, now + memory);
}

#ifdef HAVE_SECCOMP
bool jail_close(int sock, int slots)
{
	static const int harmless[] = {
	    SCMP_SYS(futex),
	    SCMP_SYS(sched_yield),
	    SCMP_SYS(exit),
	    SCMP_SYS(exit_group),
	    SCMP_SYS(munmap),
	    SCMP_SYS(madvise),
	    SCMP_SYS(clock_gettime),
	    SCMP_SYS(rt_sigprocmask),
	    SCMP_SYS(rt_sigreturn),
	    SCMP_SYS(restart_syscall),
	    SCMP_SYS(getpid),
	    SCMP_SYS(gettid),
	    SCMP_SYS(brk),
	    SCMP_SYS(nanosleep),
	    SCMP_SYS(clock_nanosleep),
	    SCMP_SYS(sched_getaffinity),
	};
	scmp_filter_ctx c = SANITIZED ? NULL : seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool ok = c != NULL;

	if (!c)
		return false;
	for (size_t i = 0; ok && i < sizeof harmless / sizeof *harmless; i++)
		ok = !seccomp_rule_add(c, SCMP_ACT_ALLOW, harmless[i], 0);
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)sock, 0));
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)sock, 0));
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				     SCMP_A4(SCMP_CMP_MASKED_EQ, 0xffffffffu, 0xffffffffu));
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
				     SCMP_A4(SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)slots));
	/* abort() and nothing else: signals to itself */
	ok = ok && !seccomp_rule_add(c, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	ok = ok && !seccomp_attr_set(c, SCMP_FLTATR_CTL_TSYNC, 1) && !seccomp_load(c);
	seccomp_release(c);
	return ok;
}
#else
bool jail_close(int sock, int slots)
{
	return false;
}
#endif

bool jail_closes(void)
{
	int status = 1;
	pid_t child = fork();

	if (!child)
		_exit(jail_close(0, 0) ? 0 : 1);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return child > 0 && WIFEXITED(status) && !WEXITSTATUS(status);
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
