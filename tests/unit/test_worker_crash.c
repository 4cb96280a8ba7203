/* test_worker_crash.c: kernels that by construction do the worst; the parent lives, the row is right, the next job is right */
#include <math.h>
#include <signal.h>
#include <string.h>

#include "test_support.h"
#include "worker_support.h"

#define KERNEL                                                                                                                     \
	"#include <stdint.h>\n#include <stdlib.h>\n#include <unistd.h>\n#include <signal.h>\n#include <string.h>\n"                \
	"#include <sys/mman.h>\n#include <sys/time.h>\n"                                                                           \
	"__attribute__((visibility(\"default\"))) void mutatenn_kernel(void *const *b, int64_t part, int64_t parts)\n"

#ifdef __SANITIZE_ADDRESS__
#define JAILED false /* the sanitizer's runtime does not live in a jail */
#else
#define JAILED true
#endif

#define CRASHED (1u << POOL_CRASHED)
#define HUNG (1u << POOL_HUNG)
#define OVERRUN (1u << POOL_OVERRUN)
#define DONE (1u << POOL_DONE)

static const struct {
	const char *what, *source;
	unsigned allowed; /* statuses */
} bad[] = {
    {"writes everywhere, upwards", KERNEL "{ volatile char *p = b[1]; for (int64_t i = 0;; i += 1024) p[i] = 1; }\n", CRASHED},
    {"writes everywhere, downwards", KERNEL "{ volatile char *p = b[1]; for (int64_t i = 0;; i -= 1024) p[i] = 1; }\n", CRASHED},
    {"writes over its whole address space",
     KERNEL "{ for (uint64_t i = 4096; i < 1ull << 47; i += (i >> 12) + 8) *(volatile char *)i = 1; }\n", CRASHED},
    {"writes over its own stack", KERNEL "{ char c[8]; memset(c, 255, 1 << 26); *(volatile char *)b[1] = c[0]; }\n", CRASHED},
    {"writes over its code", KERNEL "{ memset((void *)(intptr_t)mutatenn_kernel, 0, 4096); }\n", CRASHED},
    {"writes over the buffers' table", KERNEL "{ memset((void *)b, 255, 16); *(volatile char *)b[1] = 1; }\n", CRASHED},
    {"recurses without end",
     "#include <stdint.h>\nstatic int deep(volatile int *p) { volatile int x[64]; x[0] = *p; return deep(x) + x[1]; }\n" KERNEL
     "{ volatile int x = 1; *(int *)b[1] = deep(&x); }\n",
     CRASHED},
    {"jumps to nowhere", KERNEL "{ ((void (*)(void))8)(); }\n", CRASHED},
    {"runs its data", KERNEL "{ ((void (*)(void))b[1])(); }\n", CRASHED},
    {"executes what is no instruction", KERNEL "{ __builtin_trap(); }\n", CRASHED},
    {"loops without end and ignores SIGTERM", KERNEL "{ signal(SIGTERM, SIG_IGN); for (volatile int i = 0;; i++) ; }\n",
     CRASHED | HUNG},
    {"sleeps", KERNEL "{ for (;;) pause(); }\n", CRASHED | HUNG},
    {"sets a timer", KERNEL "{ struct itimerval t = {{0, 1000}, {0, 1000}}; setitimer(ITIMER_REAL, &t, 0); for (;;) ; }\n",
     CRASHED | HUNG},
    {"stops itself", KERNEL "{ raise(SIGSTOP); for (;;) ; }\n", CRASHED | HUNG},
    {"talks over the parent's pipes",
     KERNEL "{ static char c[4096]; for (int f = 0; f < 64; f++) write(f, c, sizeof c); for (;;) ; }\n", CRASHED | HUNG},
    {"closes everything", KERNEL "{ for (int f = 0; f < 1024; f++) close(f); }\n", CRASHED},
    {"unmaps its output", KERNEL "{ munmap((void *)((uintptr_t)b[1] & -4096ul), 1 << 20); }\n", CRASHED | OVERRUN | DONE},
    {"lets its input be written",
     KERNEL "{ mprotect((void *)((uintptr_t)b[0] & -4096ul), 4096, PROT_READ | PROT_WRITE); *(volatile float *)b[0] = 1; }\n",
     CRASHED | DONE},
    {"allocates without end", KERNEL "{ for (;;) { char *p = malloc(1 << 24); memset(p, 1, 1 << 24); } }\n", CRASHED | HUNG},
};

static struct pool_result run_second(struct pool *p, struct arena *a, const char *source)
{
	return test_run(p, a,
			(struct pool_job){.id = 1,
					  .bundle = test_bundle(a, (const char *const[]){NULL, source, NULL}),
					  .baseline = test_bundle(a, NULL),
					  .input = test_inputs(a, 2),
					  .ninputs = 2,
					  .time_limit_s = 1});
}

static void expect_unharmed(struct pool *p, struct arena *a, const char *what)
{
	struct pool_result r =
	    test_run(p, a, (struct pool_job){.id = 2, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 2), .ninputs = 2});

	cr_assert_eq(r.status, POOL_DONE, "after a kernel that %s: %s", what, r.text);
	for (size_t k = 0; k < 2; k++)
		for (int64_t i = 0; i < N; i++)
			cr_assert_eq(((float *)r.image[k].output->data)[i], test_expected(k, i), "after a kernel that %s", what);
}

TEST(worker, the_worst_kernels_are_rows_and_hurt_no_other)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");

	if (!JAILED || !pool_caps(p, 0)->isolates) {
		pool_close(p);
		arena_free(a);
		cr_skip_test("kernels are not isolated here");
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pool_result r = run_second(p, a, bad[i].source);

		cr_expect(bad[i].allowed >> r.status & 1, "a kernel that %s: status %d, signal %d: %s %s", bad[i].what,
			  (int)r.status, r.signal, r.text, r.log ? r.log : "");
		/* what no generated kernel can do may show later than in its launch */
		if (!(bad[i].allowed & DONE))
			cr_expect(r.launch && !strcmp(r.launch, "relu"), "a kernel that %s", bad[i].what);
		expect_unharmed(p, a, bad[i].what);
	}
	cr_expect_eq(pool_stats(p).workers_lost, 0);
	pool_close(p);
	arena_free(a);
}

/* Whether a kernel may signal itself is the jail's choice; that no signal reaches anybody else is not. */
TEST(worker, every_signal_raised_by_a_kernel_ends_its_own_job_only)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");

	for (int sig = 1; sig < 32; sig++) {
		struct pool_result r = run_second(p, a, arena_printf(a, KERNEL "{ raise(%d); for (;;) ; }\n", sig));

		cr_expect(r.status == POOL_CRASHED || r.status == POOL_HUNG, "%s: status %d %s", strsignal(sig), (int)r.status,
			  r.text);
		cr_expect(r.launch && !strcmp(r.launch, "relu"), "%s", strsignal(sig));
		if (sig % 8 == 1)
			expect_unharmed(p, a, strsignal(sig));
	}
	cr_expect_eq(pool_stats(p).workers_lost, 0);
	pool_close(p);
	arena_free(a);
}

/* What a kernel finds far behind a tensor must not be what other jobs have left there. */
TEST(worker, behind_the_pads_of_an_input_there_is_nothing)
{
	static const char *const far[] = {"1000 + 9300", "1000 + 100000", "1000 + 4000000", "-8300", "-1000000"};
	struct arena *a = arena_new(NULL);
	struct pool *p = test_pool("gcc");

	expect_unharmed(p, a, "comes first");
	for (size_t i = 0; i < sizeof far / sizeof *far; i++) {
		struct bundle *b = test_single(a, arena_printf(a, KERNEL "{ ((float *)b[1])[0] = ((volatile float *)b[0])[%s]; }\n", far[i]));
		struct pool_result r = test_run(p, a, (struct pool_job){.id = 1, .bundle = b, .input = test_inputs(a, 1), .ninputs = 1});

		cr_expect_eq(r.status, POOL_CRASHED, "%s: %s", far[i], r.text);
	}
	pool_close(p);
	arena_free(a);
}
