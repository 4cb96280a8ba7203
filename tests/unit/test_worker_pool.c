/* test_worker_pool.c: workers that die, never start or talk nonsense: the pool goes on and says what it saw */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "test_support.h"
#include "worker/wire.h"
#include "worker_support.h"

#define JOBS 50

/* ---- workers that never work -------------------------------------------------------------------------------- */

static void expect_error(const char *const *argv, size_t n, const char *part)
{
	struct pool *p = test_pool_of(argv, n, 1);
	struct arena *a = arena_new(NULL);
	struct pool_result r;

	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect_not_null(strstr(pool_device_error(p, 0), part), "'%s' in '%s'", part, pool_device_error(p, 0));
	r = test_run(p, a, (struct pool_job){.id = 9, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 1), .ninputs = 1});
	cr_expect_eq(r.status, POOL_LOST);
	cr_expect_eq(r.nimages, 1u);
	cr_expect(!r.image[0].ran);
	cr_expect_eq(pool_pending(p), 0u);
	pool_close(p);
	arena_free(a);
}

TEST(pool, a_missing_worker_command_is_the_device_s_error)
{
	expect_error((const char *const[]){"/nowhere/mutatenn-worker"}, 1, "No such file");
}

TEST(pool, what_a_worker_command_prints_instead_of_working_is_shown)
{
	expect_error((const char *const[]){"sh", "-c", "echo Permission denied, go away; exit 3"}, 3, "Permission denied, go away");
	expect_error((const char *const[]){"sh", "-c", "echo lost on the way >&2; exit 3"}, 3, "lost on the way");
	expect_error((const char *const[]){"true"}, 1, "status 0");
	expect_error((const char *const[]){"sh", "-c", "exec >&-; sleep 100"}, 3, "closed its connection and did not end");
}

TEST(pool, small_blobs_have_pads_where_the_worker_hands_them_to_a_device_itself)
{
	static const char one[] = "mutatenn_kernel( const float *x, float *y)", two[] = "mutatenn_kernel( const float *x, const float *c, float *y)";
	struct pool_device d = {.name = "nothing", .backend = "null", .cache_dir = ""};
	struct arena *a = arena_new(NULL);
	struct bundle *b = test_bundle(a, (const char *const[]){one, one, two});
	struct pool_result r;
	struct err e = {0};
	struct pool *p;

	for (uint32_t k = 0; k < b->nkernels; k++)
		b->kernel[k].groups = b->kernel[k].group = 1;
	pool_close(test_pool_of((const char *const[]){"true"}, 1, 1)); /* knows where the worker is */
	cr_assert(pool_open(&d, 1, &p, &e), "%s", err_text(&e));
	cr_assert_null(pool_device_error(p, 0), "%s", pool_device_error(p, 0));
	r = test_run(p, a, (struct pool_job){.bundle = b, .input = test_inputs(a, 2), .ninputs = 2});
	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	pool_close(p);
	arena_free(a);
}

TEST(pool, what_is_known_not_to_work_is_not_tried)
{
	struct pool_device d = {
	    .name = "test", .why_not = "there is no emulator", .worker = (const char *const[]){"false"}, .nworker = 1};
	struct err e = {0};
	struct pool *p;

	cr_assert(pool_open(&d, 1, &p, &e));
	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect_str_eq(pool_device_error(p, 0), "there is no emulator");
	cr_expect_eq(pool_stats(p).workers_started, 0u);
	pool_close(p);
}

TEST(pool, a_worker_that_is_not_installed_there_is_named)
{
	expect_error(
	    (const char *const[]){"sh", "-c", "echo 'bash: mutatenn-worker: command not found' >&2; exit 127", "mutatenn-worker"},
	    4, "not installed on the other side (exit status 127); on standard error: bash: mutatenn-worker: command not found");
}

/* Two bytes of a greeting: its version. */
TEST(pool, a_worker_of_another_version_is_refused_in_words)
{
	const char *words = "speaks version 9 of the protocol, this program version";

	expect_error((const char *const[]){"sh", "-c", "printf '\\223mutaNN\\n\\2\\0\\0\\0\\2\\0\\0\\0\\10\\11'; cat >&2"}, 3,
		     words);
	/* with 2000 lanes in field 7, which is out of range here */
	expect_error(
	    (const char *const[]){"sh", "-c", "printf '\\223mutaNN\\n\\5\\0\\0\\0\\2\\0\\0\\0\\10\\11\\70\\320\\17'; cat >&2"}, 3,
	    words);
}

TEST(pool, a_big_endian_worker_is_refused_in_words)
{
	char script[200];

	snprintf(script, sizeof script, "printf '\\223mutaNN\\n\\4\\0\\0\\0\\2\\0\\0\\0\\10\\%o\\170\\1'; cat >&2", WIRE_VERSION);
	expect_error((const char *const[]){"sh", "-c", script}, 3, "this worker is big-endian, which is not supported yet");
}

TEST(pool, a_worker_command_that_asks_has_no_terminal_to_ask_on)
{
	expect_error((const char *const[]){"sh", "-c", "echo password: >/dev/tty; read x </dev/tty; exit 5"}, 3, "/dev/tty");
}

TEST(pool, a_worker_that_never_answers_is_given_up_and_what_it_printed_is_shown)
{
	struct pool_device d = {.name = "test",
				.backend = "cpu",
				.worker = (const char *const[]){"sh", "-c", "printf 'yes/no? '; sleep 100"},
				.nworker = 3,
				.start_timeout_s = 0.5};
	struct err e = {0};
	struct pool *p;

	cr_assert(pool_open(&d, 1, &p, &e));
	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect_str_eq(pool_device_error(p, 0), "the worker did not answer within 0.5 seconds; it printed: yes/no?");
	pool_close(p);
}

TEST(pool, a_worker_gets_the_device_s_variables_before_ours)
{
	struct pool_device d = {.name = "test",
				.backend = "cpu",
				.worker = (const char *const[]){"sh", "-c", "echo \"$MUTATENN_ONE, $MUTATENN_TWO\"; exit 3"},
				.nworker = 3,
				.env = (const char *const[]){"MUTATENN_ONE=the device's"},
				.nenv = 1};
	struct err e = {0};
	struct pool *p;

	setenv("MUTATENN_ONE", "ours", 1);
	setenv("MUTATENN_TWO", "inherited", 1);
	cr_assert(pool_open(&d, 1, &p, &e));
	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect_not_null(strstr(pool_device_error(p, 0), "the device's, inherited"), "%s", pool_device_error(p, 0));
	pool_close(p);
}

TEST(pool, a_worker_that_talks_nonsense_after_its_magic_is_given_up)
{
	expect_error((const char *const[]){"sh", "-c", "printf '\\223mutaNN\\n'; yes"}, 3, "unknown type");
	expect_error((const char *const[]){"sh", "-c", "printf '\\223mutaNN\\n\\0\\0\\0\\0\\0\\0\\0\\0'; cat"}, 3, "nothing");
}

TEST(pool, a_missing_compiler_is_the_device_s_error)
{
	struct pool_device d = {.name = "test", .backend = "cpu", .cc = "no-such-compiler", .cache_dir = ""};
	struct pool *p = test_pool("gcc"); /* sets where the worker is */
	struct err e = {0};

	pool_close(p);
	cr_assert(pool_open(&d, 1, &p, &e));
	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect_not_null(strstr(pool_device_error(p, 0), "no-such-compiler"), "%s", pool_device_error(p, 0));
	pool_close(p);
}

TEST(pool, a_banner_before_the_magic_does_no_harm)
{
	struct pool *p = test_pool("gcc");
	struct arena *a = arena_new(NULL);
	const char *argv[] = {"sh", "-c", "echo Welcome to the board; exec \"$0\"", getenv("MUTATENN_WORKER")};
	struct pool_result r;

	pool_close(p);
	p = test_pool_of(argv, 4, 1);
	cr_assert_null(pool_device_error(p, 0), "%s", pool_device_error(p, 0));
	cr_expect_str_eq(pool_caps(p, 0)->dialect, "c");
	r = test_run(p, a, (struct pool_job){.id = 9, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 1), .ninputs = 1});
	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	pool_close(p);
	arena_free(a);
}

/* ---- workers that are killed -------------------------------------------------------------------------------- */

static bool is_worker_of(pid_t parent, const char *pid)
{
	char path[300], text[512], *end;
	FILE *f;
	int ppid = 0;
	bool worker;

	snprintf(path, sizeof path, "/proc/%s/stat", pid);
	if (!(f = fopen(path, "r")))
		return false;
	text[fread(text, 1, sizeof text - 1, f)] = 0;
	fclose(f);
	end = strrchr(text, ')');
	worker = end && sscanf(end + 1, " %*c %d", &ppid) == 1 && ppid == parent && strstr(text, "mutatenn-work");
	return worker;
}

/* One of this process's workers, at random. */
static void kill_one(unsigned *seed)
{
	DIR *d = opendir("/proc");
	pid_t found[64];
	int n = 0;

	for (struct dirent *e; (e = readdir(d)) && n < 64;)
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9' && is_worker_of(getpid(), e->d_name))
			found[n++] = atoi(e->d_name);
	closedir(d);
	if (n)
		kill(found[rand_r(seed) % (unsigned)n], SIGKILL);
}

/* ---- connections that drop ---------------------------------------------------------------------------------- */

#define UP "/tmp/mutatenn-test-connection"

static void connection(bool up)
{
	char path[100];
	FILE *f;

	snprintf(path, sizeof path, UP "-%d", getpid());
	unlink(path);
	if (!up)
		return;
	f = fopen(path, "w");
	cr_assert_not_null(f);
	fclose(f);
}

static struct pool *remote_pool(double reconnect)
{
	char script[200];
	struct pool_device d = {.name = "test",
				.backend = "cpu",
				.worker = (const char *const[]){"sh", "-c", script, getenv("MUTATENN_WORKER")},
				.nworker = 4,
				.threads = 1,
				.builders = 1,
				.cache_dir = "",
				.reconnect_s = reconnect};
	struct err e = {0};
	struct pool *p;

	snprintf(script, sizeof script, "test -e " UP "-%d && exec \"$0\"; echo no route >&2; exit 255", getpid());
	connection(true);
	cr_assert(pool_open(&d, 1, &p, &e), "%s", err_text(&e));
	cr_assert_null(pool_device_error(p, 0), "%s", pool_device_error(p, 0));
	return p;
}

/* Cuts the connection with a job under way, and waits a little. */
static bool cut(struct pool *p, struct arena *a, struct pool_result *r, double wait)
{
	struct pool_job job = {.id = 2, .bundle = test_bundle(a, NULL), .input = test_inputs(a, 1), .ninputs = 1};
	unsigned seed = 1;
	struct err e = {0};
	bool got;

	cr_expect_eq(test_run(p, a, (struct pool_job){.id = 1, .bundle = job.bundle, .input = job.input, .ninputs = 1}).status,
		     POOL_DONE);
	connection(false);
	for (int i = 0; i < 20; i++)
		kill_one(&seed);
	cr_assert(pool_submit(p, &job, &e) && pool_wait(p, a, wait, &got, r, &e), "%s", err_text(&e));
	return got;
}

TEST(pool, a_connection_that_comes_back_loses_nothing)
{
	struct pool *p = test_pool("gcc"); /* sets where the worker is */
	struct arena *a = arena_new(NULL);
	struct pool_result r;
	struct err e = {0};
	bool got;

	pool_close(p);
	p = remote_pool(60);
	cr_expect(!cut(p, a, &r, 1.5), "nothing can be done without a connection");
	connection(true);
	cr_assert(pool_wait(p, a, 60, &got, &r, &e) && got);
	cr_expect_eq(r.status, POOL_DONE, "%s", r.text);
	cr_expect_null(pool_device_error(p, 0));
	pool_close(p);
	connection(false);
	arena_free(a);
}

TEST(pool, a_connection_that_stays_away_is_the_device_s_end)
{
	struct pool *p = test_pool("gcc");
	struct arena *a = arena_new(NULL);
	struct pool_result r;

	pool_close(p);
	p = remote_pool(1);
	cr_assert(cut(p, a, &r, 30));
	cr_expect_eq(r.status, POOL_LOST);
	cr_assert_not_null(pool_device_error(p, 0));
	cr_expect_not_null(strstr(pool_device_error(p, 0), "status 255"), "%s", pool_device_error(p, 0));
	cr_expect_not_null(strstr(pool_device_error(p, 0), "no route"), "%s", pool_device_error(p, 0));
	pool_close(p);
	arena_free(a);
}

/* Mutant i adds i; every fifth crashes, every seventh is the original. */
static struct bundle *nth(struct arena *a, int i)
{
	const char *head = "#include <stdint.h>\n#include <stdlib.h>\n__attribute__((visibility(\"default\"))) void "
			   "mutatenn_kernel(void *const *b, "
			   "int64_t part, int64_t parts)\n";
	const char *s = i % 5 == 4 ? arena_printf(a, "%s{ if (%d) abort(); }\n", head, i)
				   : arena_printf(a,
						  "%s{ const float *x = b[0]; float *y = b[1];\n"
						  "for (int k = 0; k < 1000; k++) y[k] = (x[k] > 0 ? x[k] : 0) + %d; }\n",
						  head, i);

	return test_bundle(a, (const char *const[]){NULL, i % 7 == 6 ? NULL : s, NULL});
}

static void describe(const struct pool_result *r, char *out, size_t n)
{
	struct str s = {0};
	char hex[HASH_HEX];

	str_addf(&s, "%d %d %d %s", r->status, r->stage, r->signal, r->launch ? r->launch : "-");
	for (size_t i = 0; i < r->nimages; i++)
		str_addf(&s, " %d %d %s", r->image[i].ran, r->image[i].status,
			 r->image[i].output ? hash_hex(tensor_hash(r->image[i].output), hex) : "-");
	snprintf(out, n, "%s", str_text(&s));
	str_free(&s);
}

static void run_all(struct pool *p, char text[JOBS][400], unsigned kills, unsigned seed)
{
	struct arena *a = arena_new(NULL);
	struct bundle *original = test_bundle(a, NULL);
	struct pool_input *in = test_inputs(a, 3);
	struct err e = {0};
	int done = 0;

	for (int i = 0; i < JOBS; i++)
		cr_assert(pool_submit(p,
				      &(struct pool_job){.id = (uint64_t)i,
							 .bundle = nth(a, i),
							 .baseline = original,
							 .input = in,
							 .ninputs = 3,
							 .time_limit_s = 20},
				      &e));
	for (int idle = 0; done < JOBS && idle < 6000;) {
		struct pool_result r;
		bool got;

		cr_assert(pool_wait(p, a, 0.01 + 0.001 * (rand_r(&seed) % 30), &got, &r, &e), "%s", err_text(&e));
		if (got) {
			describe(&r, text[r.job], 400);
			done++;
		}
		idle = got ? 0 : idle + 1;
		if (kills && rand_r(&seed) % 2) {
			kill_one(&seed);
			kills--;
		}
	}
	cr_assert_eq(done, JOBS);
	arena_free(a);
}

static char quiet[JOBS][400], disturbed[JOBS][400];

TEST(pool, killing_workers_at_random_changes_no_result)
{
	struct pool *p = test_pool("gcc");

	run_all(p, quiet, 0, 1);
	cr_expect_eq(pool_stats(p).workers_lost, 0u);
	pool_close(p);
	p = test_pool_of((const char *const[]){getenv("MUTATENN_WORKER")}, 1, 2); /* two runners, one thread each */
	run_all(p, disturbed, 10, 2);
	cr_expect_gt(pool_stats(p).workers_lost, 0u);
	pool_close(p);
	for (int i = 0; i < JOBS; i++)
		cr_expect_str_eq(disturbed[i], quiet[i], "job %d: %s, undisturbed %s", i, disturbed[i], quiet[i]);
	cr_expect_eq(quiet[4][0] - '0', POOL_CRASHED);
	cr_expect_eq(quiet[6][0] - '0', POOL_EQUIVALENT);
}

TEST(pool, a_pool_that_is_closed_with_work_left_ends_its_workers)
{
	struct pool *p = test_pool("gcc");
	struct arena *a = arena_new(NULL);
	struct err e = {0};

	for (int i = 0; i < 10; i++)
		cr_assert(
		    pool_submit(p, &(struct pool_job){.id = 1, .bundle = nth(a, i), .input = test_inputs(a, 1), .ninputs = 1}, &e));
	pool_close(p);
	arena_free(a);
}

TEST(pool, bad_jobs_are_refused)
{
	struct pool *p = test_pool("gcc");
	struct arena *a = arena_new(NULL);
	struct pool_input *in = test_inputs(a, 1);
	struct err e = {0};

	cr_expect(!pool_submit(p, &(struct pool_job){.id = 1, .device = 3, .bundle = test_bundle(a, NULL)}, &e));
	in->ntensors = 0;
	cr_expect(!pool_submit(p, &(struct pool_job){.id = 1, .bundle = test_bundle(a, NULL), .input = in, .ninputs = 1}, &e));
	cr_expect_eq(pool_pending(p), 0u);
	err_free(&e);
	pool_close(p);
	arena_free(a);
}
