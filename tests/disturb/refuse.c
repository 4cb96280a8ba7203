/* refuse.c: a library to preload into a worker: the n-th call of one kind is refused, once in a campaign, whichever process makes it
 *
 *     REFUSE=malloc | mmap | fork | write | memfd | socket | thread    REFUSE_COUNT=file    eight bytes: calls so far
 *     REFUSE_AT=n                                                      0: none, only count
 *     REFUSE=stuck REFUSE_AT=n                                         after n children none ever ends, as far as a worker can see
 *     REFUSE=hang                                                      no thread is ever started, nor does the call return
 *     REFUSE=filter                                                    no system-call filter can be made
 *     REFUSE_SPEED=n                                                   the clock, and waiting with it, is so many times as fast
 *
 * Only in programs called mutatenn-worker: compilers inherit the environment.
 */
#undef _FILE_OFFSET_BITS
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))

extern char *program_invocation_short_name;
extern void *__libc_malloc(size_t n);

static _Atomic uint64_t *count;
static uint64_t at;
static const char *what = "";
static int speed = 1;

__attribute__((constructor)) static void begin(void)
{
	const char *file = getenv("REFUSE_COUNT"), *n = getenv("REFUSE_AT"), *kind = getenv("REFUSE"), *fast = getenv("REFUSE_SPEED");
	int fd = file && !strcmp(program_invocation_short_name, "mutatenn-worker") ? open(file, O_RDWR | O_CLOEXEC) : -1;
	void *p;

	unsetenv("LD_PRELOAD");
	if (fd < 0 || !kind)
		return;
	p = (void *)syscall(SYS_mmap, NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
	close(fd);
	if (p == MAP_FAILED)
		return;
	speed = fast ? atoi(fast) : 1;
	at = n ? strtoull(n, NULL, 10) : 0;
	what = kind;
	count = p;
}

static bool refused(const char *kind, int error)
{
	if (!count || strcmp(what, kind) != 0 || atomic_fetch_add(count, 1) + 1 != at)
		return false;
	errno = error;
	return true;
}

API void *malloc(size_t n)
{
	return refused("malloc", ENOMEM) ? NULL : __libc_malloc(n);
}

API void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset)
{
	return refused("mmap", ENOMEM) ? MAP_FAILED : (void *)syscall(SYS_mmap, p, n, prot, flags, fd, offset);
}

API void *mmap64(void *p, size_t n, int prot, int flags, int fd, off_t offset)
{
	return mmap(p, n, prot, flags, fd, offset);
}

API pid_t fork(void)
{
	static pid_t (*real)(void);

	if (refused("fork", EAGAIN))
		return -1;
	if (!real)
		real = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
	return real();
}

API ssize_t write(int fd, const void *p, size_t n)
{
	return refused("write", EIO) ? -1 : syscall(SYS_write, fd, p, n);
}

API int memfd_create(const char *name, unsigned flags)
{
	return refused("memfd", ENFILE) ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

API int socketpair(int domain, int type, int protocol, int sv[2])
{
	return refused("socket", ENFILE) ? -1 : (int)syscall(SYS_socketpair, domain, type, protocol, sv);
}

API int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (refused("thread", EAGAIN))
		return EAGAIN;
	while (count && !strcmp(what, "hang"))
		pause();
	if (!real)
		real = (int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))dlsym(RTLD_NEXT, "pthread_create");
	return real(t, a, f, arg);
}

API int seccomp_export_bpf(void *filter, int fd)
{
	static int (*real)(void *, int);

	if (count && !strcmp(what, "filter"))
		return -EINVAL;
	if (!real)
		real = (int (*)(void *, int))dlsym(RTLD_NEXT, "seccomp_export_bpf");
	return real(filter, fd);
}

API pid_t waitpid(pid_t pid, int *status, int options)
{
	static uint64_t ended;
	pid_t r;

	if (count && !strcmp(what, "stuck") && pid > 0 && ended >= at)
		return 0;
	r = (pid_t)syscall(SYS_wait4, pid, status, options, NULL);
	ended += r > 0;
	return r;
}

API int clock_gettime(clockid_t id, struct timespec *t)
{
	static long long first;
	long long ns;

	if (syscall(SYS_clock_gettime, id, t))
		return -1;
	if (id != CLOCK_MONOTONIC || speed == 1)
		return 0;
	ns = t->tv_sec * 1000000000LL + t->tv_nsec;
	if (!first)
		first = ns;
	ns = first + (ns - first) * speed;
	*t = (struct timespec){ns / 1000000000, ns % 1000000000};
	return 0;
}

API int poll(struct pollfd *f, nfds_t n, int ms)
{
	struct timespec t = {ms / speed / 1000, (long)(ms / speed % 1000) * 1000000 + 1000};

	return (int)syscall(SYS_ppoll, f, n, ms < 0 ? NULL : &t, NULL, 0);
}
