/* device_threads.c: threads that share a kernel's parts
 *
 * Kernels follow each other within microseconds, so a waiting thread spins for a while before it sleeps. A new round is a
 * new generation number; the last thread of a round wakes the caller if that went to sleep.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "device/device_internal.h"

#define SPIN_NS 50000
#define STACK ((size_t)16 << 20)

struct threads {
	struct arena *arena;
	int n;
	kernel_fn *fn; /* NULL ends the threads */
	void *const *buffer;
	_Alignas(64) atomic_uint generation;
	_Alignas(64) atomic_uint pending; /* helpers that have not ended this round */
	_Alignas(64) atomic_uint sleepers;
	atomic_uint caller_sleeps;
	bool pinned, flush;
	cpu_set_t usable; /* by the caller, before it was pinned */
	struct helper {
		struct threads *t;
		pthread_t id;
		int part;
	} * helper; /* n - 1 */
};

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
	__builtin_ia32_pause();
#elif defined __aarch64__
	__asm__ volatile("yield");
#endif
}

static long since(const struct timespec *start)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (t.tv_sec - start->tv_sec) * 1000000000L + t.tv_nsec - start->tv_nsec;
}

/* Waits while *word is `value`, awake for SPIN_NS; false when it still is. */
static bool spin(atomic_uint *word, unsigned value)
{
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		for (int i = 0; i < 32; i++) {
			if (atomic_load_explicit(word, memory_order_acquire) != value)
				return true;
			relax();
		}
	} while (since(&start) < SPIN_NS);
	return false;
}

static void futex_wait(atomic_uint *word, unsigned value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
}

static void end_round(struct threads *t)
{
	if (atomic_fetch_sub(&t->pending, 1) == 1 && atomic_load(&t->caller_sleeps))
		futex_wake(&t->pending);
}

static void *helper_main(void *arg)
{
	struct helper *h = arg;
	struct threads *t = h->t;
	unsigned seen = 0;

	if (t->flush)
		target_flush_denormals();
	end_round(t); /* the first round is being there */
	for (;;) {
		while (!spin(&t->generation, seen)) {
			atomic_fetch_add(&t->sleepers, 1);
			futex_wait(&t->generation, seen);
			atomic_fetch_sub(&t->sleepers, 1);
		}
		seen++;
		if (!t->fn)
			return NULL;
		target_call(t->fn, t->buffer, h->part, t->n);
		end_round(t);
	}
}

static void begin_round(struct threads *t)
{
	atomic_store(&t->pending, (unsigned)t->n - 1);
	atomic_fetch_add(&t->generation, 1);
	if (atomic_load(&t->sleepers))
		futex_wake(&t->generation);
}

static void await_round(struct threads *t)
{
	unsigned left;

	while ((left = atomic_load_explicit(&t->pending, memory_order_acquire))) {
		if (spin(&t->pending, left))
			continue;
		atomic_store(&t->caller_sleeps, 1);
		futex_wait(&t->pending, left);
		atomic_store(&t->caller_sleeps, 0);
	}
}

void threads_run(struct threads *t, kernel_fn *fn, void *const *buffer)
{
	t->fn = fn;
	t->buffer = buffer;
	begin_round(t);
	target_call(fn, buffer, 0, t->n);
	await_round(t);
}

int threads_usable(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
}

static void pin(struct threads *t)
{
	cpu_set_t one;
	int cpu = -1;

	if (sched_getaffinity(0, sizeof t->usable, &t->usable) || CPU_COUNT(&t->usable) != t->n)
		return;
	t->pinned = true;
	for (int i = 0; i < t->n; i++) {
		do
			cpu++;
		while (!CPU_ISSET(cpu, &t->usable));
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		pthread_setaffinity_np(i ? t->helper[i - 1].id : pthread_self(), sizeof one, &one);
	}
}

bool threads_start(int n, bool flush, struct threads **out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct threads *t = ARENA_NEW(a, struct threads);
	pthread_attr_t attr;
	sigset_t all, old;
	int made = 0, r = 0;

	t->arena = a;
	t->n = n;
	t->flush = flush;
	t->helper = ARENA_ARRAY(a, struct helper, (size_t)n);
	atomic_store(&t->pending, (unsigned)n - 1);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (; made < n - 1 && !r; made += !r) {
		t->helper[made] = (struct helper){.t = t, .part = made + 1};
		r = pthread_create(&t->helper[made].id, &attr, helper_main, &t->helper[made]);
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		t->n = made + 1;
		atomic_fetch_sub(&t->pending, (unsigned)(n - 1 - made));
		await_round(t);
		threads_stop(t);
		return err_set(e, ERR_IO, "cannot start thread %d of %d: %s", made + 2, n, strerror(r));
	}
	await_round(t);
	pin(t);
	*out = t;
	return true;
}

void threads_stop(struct threads *t)
{
	if (!t)
		return;
	t->fn = NULL;
	begin_round(t);
	for (int i = 0; i < t->n - 1; i++)
		pthread_join(t->helper[i].id, NULL);
	if (t->pinned)
		pthread_setaffinity_np(pthread_self(), sizeof t->usable, &t->usable);
	arena_free(t->arena);
}
