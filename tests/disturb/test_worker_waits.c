/* test_worker_waits.c: nothing is waited for without limit - one test for each wait of the pool and of its workers (docs/design.md)
 *
 * Limits are minutes where a busy machine needs them, so time runs faster here: this program's own clock and its sleep are replaced, and a
 * preloaded library (tests/disturb/refuse.c) does the same inside workers. What is waited for never comes by itself.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "test_support.h"
#include "worker_support.h"

#define FAST 60

static int speed = 1;
static bool immortal; /* no child ever ends, as far as can be seen */

static long long real_zero, zero; /* when the speed last changed: by the clock, and as it was told */

static long long real_now(void)
{
	struct timespec t;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void set_speed(int n)
{
	long long real = real_now();

	zero = zero ? zero + (real - real_zero) * speed : real;
	real_zero = real;
	speed = n;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	long long ns;

	if (id != CLOCK_MONOTONIC || !zero)
		return (int)syscall(SYS_clock_gettime, id, t);
	ns = zero + (real_now() - real_zero) * speed;
	*t = (struct timespec){ns / 1000000000, ns % 1000000000};
	return 0;
}

int poll(struct pollfd *f, nfds_t n, int ms)
{
	struct timespec t = {ms / speed / 1000, (long)(ms / speed % 1000) * 1000000 + 1000};

	return (int)syscall(SYS_ppoll, f, n, ms < 0 ? NULL : &t, NULL, 0);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return immortal && pid > 0 ? 0 : (pid_t)syscall(SYS_wait4, pid, status, options, NULL);
}

/* ---- the pool's waits ------------------------------------------------------------------------------------------------ */

static int signal_workers(int sig)
{
	DIR *d = opendir("/proc");
	int n = 0;

	for (struct dirent *f; (f = readdir(d));) {
		char path[300], text[512] = "";
		int ppid = 0;
		FILE *s;

		snprintf(path, sizeof path, "/proc/%s/stat", f->d_name);
		if (f->d_name[0] < '1' || f->d_name[0] > '9' || !(s = fopen(path, "r")))
			continue;
		if (fgets(text, sizeof text, s) && strrchr(text, ')') && sscanf(strrchr(text, ')') + 1, " %*c %d", &ppid) == 1 &&
		    ppid == getpid() && strstr(text, "mutatenn-work"))
			n += !kill(atoi(f->d_name), sig);
		fclose(s);
	}
	closedir(d);
	return n;
}

/* The build folder; this program is in tests/disturb there. */
static const char *build_dir(void)
{
	static char dir[4096];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof dir - 1);

	cr_assert(n > 0);
	dir[n] = 0;
	for (int up = 0; up < 3; up++)
		*strrchr(dir, '/') = 0;
	return dir;
}

static const char *worker_here(struct arena *a)
{
	const char *path = arena_printf(a, "%s/mutatenn-worker", build_dir());

	setenv("MUTATENN_WORKER", path, 1);
	return path;
}

static struct pool *open_device(struct pool_device d)
{
	struct arena *a = arena_new(NULL);
	struct err e = {0};
	struct pool *p;

	worker_here(a);
	arena_free(a);
	d.name = "test";
	d.backend = d.backend ? d.backend : "cpu";
	d.threads = d.threads ? d.threads : 1;
	d.builders = 1;
	d.cache_dir = "";
	d.start_timeout_s = 10000;
	cr_assert(pool_open(&d, 1, &p, &e), "%s", err_text(&e));
	return p;
}

/* As long as it takes, which has to end. */
static struct pool_result wait_for(struct pool *p, struct arena *a)
{
	struct pool_result r = {0};
	struct err e = {0};
	bool got;

	cr_assert(pool_wait(p, a, -1, &got, &r, &e) && got, "%s", err_text(&e));
	return r;
}

static void submit(struct pool *p, struct arena *a, const char *second)
{
	struct err e = {0};

	cr_assert(pool_submit(p,
			      &(struct pool_job){.id = 1,
						 .bundle = test_bundle(a, (const char *const[]){NULL, second, NULL}),
						 .input = test_inputs(a, 1),
						 .ninputs = 1,
						 .time_limit_s = 60},
			      &e),
		  "%s", err_text(&e));
}

static struct pool_result run_one(struct pool *p, struct arena *a, const char *second)
{
	submit(p, a, second);
	return wait_for(p, a);
}

TEST(waits, builders_and_runners_that_say_nothing_are_replaced)
{
	struct pool *p = open_device((struct pool_device){0});
	struct arena *a = arena_new(NULL);
	struct pool_result r = run_one(p, a, NULL);

	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	cr_assert_geq(signal_workers(SIGSTOP), 2);
	set_speed(FAST);
	r = run_one(p, a, arena_printf(a, "/* to be built */ %s", test_kernel[1]));
	set_speed(1);
	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	cr_expect_geq(pool_stats(p).workers_lost, 2u);
	pool_close(p);
	arena_free(a);
}

/* at: the first long piece of data is a kernel, the fourth an output */
static void trickles(const char *at)
{
	char count[] = "/tmp/mutatenn-waits-XXXXXX";
	int fd = mkstemp(count);
	struct arena *a = arena_new(NULL);
	char *proxy = arena_printf(a, "%s/tests/disturb/proxy", build_dir());
	struct pool_result r;
	struct pool *p;

	cr_assert(fd >= 0 && !ftruncate(fd, 8));
	p = open_device((struct pool_device){.worker = (const char *const[]){proxy},
					     .nworker = 1,
					     .nenv = 4,
					     .env = (const char *const[]){"PROXY_KIND=trickle", arena_printf(a, "PROXY_AT=%s", at),
									  arena_printf(a, "PROXY_COUNT=%s", count),
									  arena_printf(a, "PROXY_WORKER=%s", worker_here(a))}});
	cr_assert_null(pool_device_error(p, 0), "%s", pool_device_error(p, 0));
	set_speed(FAST);
	r = run_one(p, a, NULL);
	set_speed(1);
	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	cr_expect_geq(pool_stats(p).workers_lost, 1u);
	pool_close(p);
	close(fd);
	unlink(count);
	arena_free(a);
}

TEST(waits, bytes_that_trickle_are_no_sign_of_life)
{
	trickles("1");
	trickles("4");
}

TEST(waits, a_worker_that_prints_without_end_keeps_nobody_busy)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = open_device((struct pool_device){
	    .worker = (const char *const[]){"sh", "-c", "yes flood >&2 & exec \"$0\"", worker_here(a)}, .nworker = 4});
	struct pool_result r = run_one(p, a, NULL);

	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	pool_close(p);
	arena_free(a);
}

TEST(waits, a_worker_that_cannot_be_killed_is_left_alone_and_its_device_lost)
{
	struct pool *p = open_device((struct pool_device){0});
	struct arena *a = arena_new(NULL);
	struct pool_result r = run_one(p, a, NULL);

	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	immortal = true;
	set_speed(FAST);
	signal_workers(SIGKILL);
	r = run_one(p, a, NULL);
	cr_expect_eq(r.status, POOL_LOST, "%s", r.text);
	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect(strstr(pool_device_error(p, 0), "does not end") != NULL, "%s", pool_device_error(p, 0));
	pool_close(p);
	arena_free(a);
}

TEST(waits, a_pool_is_closed_though_its_workers_are_stopped_and_some_cannot_be_killed)
{
	struct pool *p = open_device((struct pool_device){0});
	struct arena *a = arena_new(NULL);

	run_one(p, a, NULL);
	signal_workers(SIGSTOP);
	pool_close(p);
	p = open_device((struct pool_device){0});
	run_one(p, a, NULL);
	immortal = true;
	set_speed(FAST);
	pool_close(p);
	arena_free(a);
}

/* An alarm of its own ends a launch that does not end. */
TEST(waits, a_worker_without_children_that_falls_silent_is_tried_once_more_before_its_mutant_hangs)
{
	struct pool *p = open_device((struct pool_device){.backend = "opencl", .select = "Portable Computing Language"});
	struct arena *a = arena_new(NULL);
	struct bundle *b = test_single(a, "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void mutatenn_kernel(__global const float *x, "
					  "__global float *y)\n{ volatile int i = 0; while (i < 500000000) i = i + 1; y[0] = x[0]; }\n");
	struct pool_result r;
	struct err e = {0};
	bool got;

	if (pool_device_error(p, 0)) {
		pool_close(p);
		cr_skip_test("no PoCL (Debian: pocl-opencl-icd)");
	}
	b->kernel->groups = b->kernel->group = 1;
	cr_assert(pool_submit(p, &(struct pool_job){.id = 1, .bundle = b, .input = test_inputs(a, 1), .ninputs = 1, .time_limit_s = 60}, &e));
	cr_assert(pool_wait(p, a, 1, &got, &r, &e));
	if (!got) {
		signal_workers(SIGSTOP);
		set_speed(FAST);
		while (!got && !pool_stats(p).workers_lost)
			cr_assert(pool_wait(p, a, 1, &got, &r, &e));
		set_speed(FAST / 6);
		r = got ? r : wait_for(p, a);
		set_speed(1);
	}
	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	pool_close(p);
	arena_free(a);
}

/* ---- the workers' waits ------------------------------------------------------------------------------------------------ */

#ifndef __SANITIZE_ADDRESS__

static struct pool *open_refusing(struct arena *a, const char *what, const char *at, int threads)
{
	static const char *const count = "/dev/zero"; /* nobody counts */

	return open_device((struct pool_device){
	    .threads = threads,
	    .nenv = 5,
	    .env = (const char *const[]){arena_printf(a, "LD_PRELOAD=%s/tests/disturb/librefuse.so", build_dir()),
					 arena_printf(a, "REFUSE=%s", what), arena_printf(a, "REFUSE_AT=%s", at),
					 arena_printf(a, "REFUSE_COUNT=%s", count), "REFUSE_SPEED=50"}});
}

TEST(waits, a_child_that_cannot_be_killed_is_left_alone_and_its_device_lost)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = open_refusing(a, "stuck", "2", 1); /* a runner has asked its compiler and tried its jail; a builder has built once */
	struct pool_result r;
	struct err e = {0};

	cr_assert_null(pool_device_error(p, 0), "%s", pool_device_error(p, 0));
	cr_assert(pool_submit(p, &(struct pool_job){.id = 1, .bundle = test_single(a, test_kernel[0]), .input = test_inputs(a, 1), .ninputs = 1}, &e));
	r = wait_for(p, a);
	cr_expect_eq(r.status, POOL_DONE, "what it did before counts: %s", r.text);
	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect(strstr(pool_device_error(p, 0), "was killed and does not end") != NULL, "%s", pool_device_error(p, 0));
	pool_close(p);
	arena_free(a);
}

TEST(waits, a_compiler_that_cannot_be_killed_is_left_alone)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = open_refusing(a, "stuck", "1", 1);
	struct pool_result r = run_one(p, a, NULL);

	cr_expect_eq(r.status, POOL_BUILD_FAILED, "%s", r.text);
	cr_expect(r.log && strstr(r.log, "cannot be killed"), "%s", r.log);
	pool_close(p);
	arena_free(a);
}

/* Then limits and the worker, which is the reaper of its grandchildren, hold what they can. */
TEST(waits, what_a_kernel_forks_where_no_filter_holds_it_goes_with_its_child)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = open_refusing(a, "filter", "0", 1);
	const char *fork_it = "#include <signal.h>\n#include <stdint.h>\n#include <unistd.h>\n__attribute__((visibility(\"default\"))) void "
			      "mutatenn_kernel(void *const *b, int64_t part, int64_t parts)\n{\n\tint pid = fork();\n\tif (!pid) {\n\t\tsetsid();\n"
			      "\t\tfork();\n\t\tfor (;;)\n\t\t\tpause();\n\t}\n\t((float *)b[1])[0] = pid;\n}\n";
	struct err e = {0};
	struct pool_result r;
	pid_t pid;

	cr_expect(strstr(pool_caps(p, 0)->describe, "no system-call filter") != NULL, "%s", pool_caps(p, 0)->describe);
	cr_assert(pool_submit(p, &(struct pool_job){.id = 1, .bundle = test_single(a, fork_it), .input = test_inputs(a, 1), .ninputs = 1}, &e));
	r = wait_for(p, a);
	cr_assert_eq(r.status, POOL_DONE, "%s", r.text);
	pid = (pid_t)((float *)r.image[0].output->data)[0];
	if (pid > 0) /* else a limit refused it */
		cr_expect(kill(pid, 0) && errno == ESRCH, "process %d is still there", (int)pid);
	r = run_one(p, a, NULL);
	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	pool_close(p);
	arena_free(a);
}

TEST(waits, a_child_that_is_never_ready_is_no_mutant_s_fault)
{
	struct arena *a = arena_new(NULL);
	struct pool *p = open_refusing(a, "hang", "0", 2);
	struct pool_result r = run_one(p, a, NULL);

	cr_expect_eq(r.status, POOL_LOST, "%s", r.text);
	cr_expect(strstr(r.text, "was not ready") != NULL, "%s", r.text);
	pool_close(p);
	arena_free(a);
}

#endif
