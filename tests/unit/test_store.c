/* test_store.c: what is put, replaced and withdrawn; refusals; what survives a kill, a full disk, a foreign file */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "store_case.h"

TEST(store, replaces_and_withdraws_results_with_their_images)
{
	struct store_image_result im[3];
	struct store_result r = result(im);
	struct err e = {0};
	struct store *s;
	struct store_iter *it;
	int64_t n;
	bool has;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	r.nimages = 1;
	r.outcome = OUTCOME_TOOL_ERROR;
	OK(store_put_result(s, &r, &e));
	OK(store_has_result(s, r.mutant, r.device, &has, &e));
	cr_expect_not(has, "a tool error is tried again");
	r.outcome = OUTCOME_IDENTICAL;
	OK(store_put_result(s, &r, &e));
	it = store_image_results(s, r.mutant, r.device);
	cr_expect(store_next_image_result(it, im) && !store_next_image_result(it, im));
	OK(store_iter_end(it, &e));
	OK(store_has_result(s, r.mutant, r.device, &has, &e));
	cr_expect(has);
	OK(store_withdraw(s, "board", &n, &e));
	cr_expect_eq(n, 0, "another device's results stay");
	OK(store_withdraw(s, r.device, &n, &e));
	cr_expect_eq(n, 1);
	OK(store_has_result(s, r.mutant, r.device, &has, &e));
	cr_expect_not(has);
	it = store_image_results(s, r.mutant, r.device);
	cr_expect_not(store_next_image_result(it, im));
	OK(store_iter_end(it, &e));
	store_close(s);
	leave();
}

TEST(store, a_control_run_confirms_what_came_before_it)
{
	struct store_image_result im[3];
	struct store_result r = result(im);
	struct err e = {0};
	struct store *s;
	int64_t n;
	bool has;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	OK(store_confirm(s, r.device, &e));
	OK(store_put_result(s, &(struct store_result){.mutant = "loop.lt/conv1/4/le", .device = r.device}, &e));
	OK(store_withdraw(s, r.device, &n, &e));
	cr_expect_eq(n, 1);
	OK(store_has_result(s, r.mutant, r.device, &has, &e));
	cr_expect(has);
	cr_expect_not(store_confirm(s, "nowhere", &e));
	err_free(&e);
	store_close(s);
	leave();
}

TEST(store, refuses_a_campaign_that_changed_and_names_the_key)
{
	struct err e = {0};
	struct store *s;

	enter();
	s = must_open(STORE_WRITE);
	OK(store_configure(s, "model: a\nopt-level: 2\nseed: 1\n", &e));
	OK(store_configure(s, "model: a\nopt-level: 2\nseed: 1\n", &e));
	cr_expect_not(store_configure(s, "model: a\nopt-level: 3\nseed: 1\n", &e));
	cr_expect(strstr(err_text(&e), "'opt-level' differs: 'opt-level: 2' in the store, 'opt-level: 3' now"), "%s", err_text(&e));
	cr_expect_eq(err_exit_status(&e), 2);
	cr_expect_not(store_configure(s, "model: a\nopt-level: 2\nseed: 1\nzeal: 1\n", &e));
	cr_expect(strstr(err_text(&e), "'zeal: 1' is new"), "%s", err_text(&e));
	cr_expect_not(store_configure(s, "model: a\nseed: 1\n", &e));
	cr_expect(strstr(err_text(&e), "'opt-level: 2' is in the store only"), "%s", err_text(&e));
	cr_expect_not(store_configure(s, "model: a\nopt-level: 2\n", &e));
	cr_expect(strstr(err_text(&e), "'seed: 1' is in the store only"), "%s", err_text(&e));
	cr_expect_not(store_configure(s, "model: a\nbatch: 1\nopt-level: 2\nseed: 1\n", &e));
	cr_expect(strstr(err_text(&e), "'batch: 1' is new"), "%s", err_text(&e));
	OK(store_configure(s, "model: b\nimages: elsewhere\nopt-level: 2\nlabels: here\nseed: 1\n", &e));
	fill(s);
	cr_expect_not(store_put_device(s, &(struct store_device){"host-gcc", "cpu", "gcc 13", "", NULL}, &e));
	cr_expect(strstr(err_text(&e), "'gcc 12'") && strstr(err_text(&e), "'gcc 13'"), "%s", err_text(&e));
	OK(store_put_device(s, &(struct store_device){"board", "cpu", "gcc 9", "works now", NULL}, &e));
	cr_expect_not(store_put_image(s, &(struct store_image){.index = 0, .name = "other.png", .hash = {1, 1}}, &e));
	cr_expect_not(store_put_image(s, &(struct store_image){.index = 0, .name = "0.png", .hash = {1, 1}}, &e));
	cr_expect_not(store_put_model(s, &(struct store_model){"net", "net.onnx", {1, 3}}, &e));
	cr_expect_not(store_put_model(s, &(struct store_model){"other", "other.onnx", {1, 2}}, &e));
	cr_expect(strstr(err_text(&e), "was begun with a model of the name 'net', now it is 'other.onnx'"), "%s", err_text(&e));
	cr_expect_not(store_put_model(s, &(struct store_model){"net", "net.onnx", {1, 3}}, &e));
	cr_expect(strstr(err_text(&e), "'net.onnx' (the model) has changed since store ") && strstr(err_text(&e), "use another store"), "%s",
		  err_text(&e));
	cr_expect_not(
	    store_put_mutant(s, &(struct store_mutant){"loop.lt/conv1/3/le", "loop.gt", "", "conv1", "3", "", 1, .diff = NULL}, &e));
	fill(s);
	err_free(&e);
	store_close(s);
	leave();
}

TEST(store, a_file_that_has_changed_is_refused_by_name)
{
	const struct store_file sidecar = {"the model's side-car", "net.yaml", {5, 1}}, none = {"the class names", "names.txt", {0, 0}};
	struct store_image im = {.index = 0, .name = "0.png", .path = "/x/0.png", .hash = {3, 1}, .label = -1, .file_hash = {8, 1}};
	struct store_file f;
	struct err e = {0};
	struct store *s;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_file(s, &sidecar, &e));
	OK(store_put_file(s, &sidecar, &e));
	OK(store_put_file(s, &none, &e));
	f = sidecar;
	f.hash.lo = 2;
	cr_expect_not(store_put_file(s, &f, &e));
	cr_expect(strstr(err_text(&e), "'net.yaml' (the model's side-car) has changed since store") &&
		      strstr(err_text(&e), "put the old one back, or use another store"),
		  "%s", err_text(&e));
	cr_expect_eq(err_exit_status(&e), 2);
	f.hash = (struct hash){0, 0};
	cr_expect_not(store_put_file(s, &f, &e));
	cr_expect(strstr(err_text(&e), "was there when") && strstr(err_text(&e), "put it back"), "%s", err_text(&e));
	f = none;
	f.hash.lo = 1;
	cr_expect_not(store_put_file(s, &f, &e));
	cr_expect(strstr(err_text(&e), "'names.txt' (the class names) was not there when"), "%s", err_text(&e));

	OK(store_put_image(s, &im, &e)); /* what an older release left open is learnt */
	im.label = 4;
	OK(store_put_image(s, &im, &e));
	im.file_hash.lo = 2;
	cr_expect_not(store_put_image(s, &im, &e));
	cr_expect(strstr(err_text(&e), "'/x/0.png' (an image) has changed"), "%s", err_text(&e));
	im.file_hash.lo = 1;
	im.hash.lo = 2;
	cr_expect_not(store_put_image(s, &im, &e));
	cr_expect(strstr(err_text(&e), "'/x/0.png' is the file it was") && strstr(err_text(&e), "preprocessing"), "%s", err_text(&e));
	im.hash.lo = 1;
	im.label = 5;
	cr_expect_not(store_put_image(s, &im, &e));
	cr_expect(strstr(err_text(&e), "'0.png' is of class 4, now the labels say 5"), "%s", err_text(&e));
	im.label = -1;
	cr_expect_not(store_put_image(s, &im, &e));
	cr_expect(strstr(err_text(&e), "no labels say so"), "%s", err_text(&e));
	err_free(&e);
	store_close(s);
	leave();
}

TEST(store, refuses_results_of_strangers_and_keeps_nothing_of_them)
{
	struct store_image_result im[3];
	struct store_result r = result(im);
	struct err e = {0};
	struct store *s;
	bool has;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	im[2].image = 99;
	cr_expect_not(store_put_result(s, &r, &e), "there is no image 99");
	OK(store_has_result(s, r.mutant, r.device, &has, &e));
	cr_expect_not(has, "the rows before the bad one were rolled back");
	im[2].image = 2;
	OK(store_put_result(s, &r, &e));
	r.device = "nowhere";
	cr_expect_not(store_put_result(s, &r, &e));
	cr_expect(strstr(err_text(&e), "knows no device 'nowhere'"), "%s", err_text(&e));
	err_free(&e);
	store_close(s);
	leave();
}

TEST(store, has_one_writer_and_many_readers)
{
	struct store *s, *second = NULL, *reader;
	struct store_counts c;
	struct err e = {0};

	enter();
	s = must_open(STORE_WRITE);
	cr_expect_not(store_open(path, STORE_WRITE, &second, &e));
	cr_expect(strstr(err_text(&e), "being written by another process"), "%s", err_text(&e));
	reader = must_open(STORE_READ);
	fill(s);
	OK(store_count(reader, NULL, NULL, NULL, &c, &e));
	cr_expect_eq(c.rows, 6);
	store_close(reader);
	store_close(s);
	s = must_open(STORE_WRITE);
	store_close(s);
	err_free(&e);
	leave();
}

TEST(store, a_reader_leaves_nothing_beside_the_store)
{
	static const char *const ends[] = {"-wal", "-shm"};
	struct store *s, *reader;
	char name[600];

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	reader = must_open(STORE_READ);
	store_close(reader);
	store_close(s);
	reader = must_open(STORE_READ);
	store_close(reader);
	for (int i = 0; i < 2; i++) {
		snprintf(name, sizeof name, "%s%s", path, ends[i]);
		cr_expect(!file_exists(name), "%s", name);
	}
	leave();
}

static void write_text(const char *to, const char *text)
{
	cr_assert(file_write(to, text, strlen(text), NULL));
}

TEST(store, refuses_what_is_no_store_and_leaves_it_alone)
{
	struct arena *a = arena_new(NULL);
	struct store *s = NULL;
	struct err e = {0};
	struct bytes b;
	sqlite3 *db;

	enter();
	cr_expect_not(store_open(path, STORE_READ, &s, &e));
	cr_expect(strstr(err_text(&e), "No such file"), "%s", err_text(&e));
	write_text(path, "this is a letter to my aunt, and it is long enough to be looked at as a database header, or so I hope\n");
	for (int mode = STORE_READ; mode <= STORE_WRITE; mode++) {
		cr_expect_not(store_open(path, (enum store_mode)mode, &s, &e));
		cr_expect(strstr(err_text(&e), "is not a store"), "%s", err_text(&e));
	}
	cr_assert(file_read(a, path, 0, &b, NULL));
	cr_expect(b.n > 50 && !memcmp(b.p, "this is a letter", 16));
	unlink(path);
	cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
	sqlite3_exec(db, "CREATE TABLE recipes(x)", NULL, NULL, NULL);
	cr_expect_not(store_open(path, STORE_WRITE, &s, &e));
	cr_expect(strstr(err_text(&e), "is not a store"), "%s", err_text(&e));
	sqlite3_exec(db, "DROP TABLE recipes", NULL, NULL, NULL); /* as a copy without its journal is, early in a campaign */
	cr_expect_not(store_open(path, STORE_READ, &s, &e));
	cr_expect(strstr(err_text(&e), "is not a store") && strstr(err_text(&e), "-wal"), "%s", err_text(&e));
	sqlite3_exec(db, "PRAGMA application_id=1297372238; PRAGMA user_version=77", NULL, NULL, NULL);
	sqlite3_close(db);
	cr_expect_not(store_open(path, STORE_WRITE, &s, &e));
	cr_expect(strstr(err_text(&e), "version 77"), "%s", err_text(&e));
	cr_expect_not(store_open("/nowhere/at/all.db", STORE_WRITE, &s, &e));
	cr_expect_not(store_open(dir, STORE_WRITE, &s, &e));
	cr_expect_not(store_open("", STORE_WRITE, &s, &e));
	err_free(&e);
	arena_free(a);
	leave();
}

TEST(store, that_is_damaged_is_an_error_not_a_crash)
{
	struct store_image_result im[3], got;
	struct store_result r = result(im), row;
	struct err e = {0};
	struct store *s;
	struct bytes b;
	struct arena *a = arena_new(NULL);
	unsigned seed = 5;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	store_close(s);
	cr_assert(file_read(a, path, 0, &b, NULL));
	for (int round = 0; round < 60; round++) {
		uint8_t *bad = arena_memdup(a, b.p, b.n);
		struct store_iter *it;

		for (int i = 0; i < 1 + round * 3; i++)
			bad[100 + (size_t)rand_r(&seed) % (b.n - 100)] = (uint8_t)rand_r(&seed);
		cr_assert(file_write(path, bad, round % 5 ? b.n : b.n / 2, NULL));
		s = NULL;
		if (!store_open(path, STORE_READ, &s, &e))
			continue;
		it = store_results(s, NULL, NULL);
		while (store_next_result(it, &row))
			;
		store_iter_end(it, &e);
		it = store_image_results(s, r.mutant, r.device);
		while (store_next_image_result(it, &got))
			;
		store_iter_end(it, &e);
		store_close(s);
	}
	err_free(&e);
	arena_free(a);
	leave();
}

/* Puts results for ever, telling through fd which one is committed. */
static void write_for_ever(int fd)
{
	struct store *s = NULL;
	struct err e = {0};
	struct store_image_result im[3];
	struct store_result r = result(im);

	if (!store_open(path, STORE_WRITE, &s, &e))
		_exit(3);
	for (int i = 0; i < 100000; i++) {
		char id[32];

		snprintf(id, sizeof id, "m%d", i);
		r.mutant = id;
		if (!store_put_mutant(s, &(struct store_mutant){id, "m", "", "", "", "", 1, .diff = NULL}, &e) ||
		    !store_put_result(s, &r, &e))
			_exit(4);
		if (write(fd, &i, sizeof i) != sizeof i)
			_exit(5);
	}
	_exit(0);
}

static void kill_once(unsigned *seed)
{
	int fd[2], last = -1, i;
	struct err e = {0};
	struct store *s;
	bool has;
	pid_t pid;

	cr_assert(!pipe(fd));
	pid = fork();
	if (!pid)
		write_for_ever(fd[1]);
	close(fd[1]);
	cr_assert_eq(read(fd[0], &last, sizeof last), (ssize_t)sizeof last);
	nanosleep(&(struct timespec){0, rand_r(seed) % 40000000}, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	while (read(fd[0], &i, sizeof i) == sizeof i)
		last = i;
	close(fd[0]);
	s = must_open(STORE_WRITE);
	for (i = 0; i <= last; i++) {
		char id[32];

		snprintf(id, sizeof id, "m%d", i);
		OK(store_has_result(s, id, "host-gcc", &has, &e));
		cr_assert(has, "result %d of %d was committed and is lost", i, last);
	}
	store_close(s);
}

TEST(store, keeps_everything_committed_when_the_writer_is_killed)
{
	unsigned seed = 1;

	for (int round = 0; round < 10; round++) {
		enter();
		struct store *s = must_open(STORE_WRITE);

		fill(s);
		store_close(s);
		kill_once(&seed);
		kill_once(&seed); /* resumed and killed again */
		leave();
	}
}

TEST(store, says_that_there_is_no_space_and_opens_afterwards)
{
	struct store_counts c;
	struct err e = {0};
	struct store *s;
	int status = 0;
	pid_t pid;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	store_close(s);
	pid = fork();
	if (!pid) {
		struct store_image_result im[3];
		struct store_result r = result(im);
		bool failed = false;

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){300000, 300000});
		if (!store_open(path, STORE_WRITE, &s, &e))
			_exit(2);
		for (int i = 0; i < 3000 && !failed; i++) {
			char id[32];

			snprintf(id, sizeof id, "m%d", i);
			r.mutant = id;
			failed = !store_put_mutant(s, &(struct store_mutant){id, "m", "", "", "", "", 1, .diff = NULL}, &e) ||
				 !store_put_result(s, &r, &e);
		}
		_exit(failed && strstr(err_text(&e), "store '") ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
	s = must_open(STORE_WRITE);
	OK(store_count(s, NULL, NULL, NULL, &c, &e));
	cr_expect_gt(c.rows, 20);
	fill(s);
	store_close(s);
	leave();
}

TEST(store, notices_that_its_file_was_removed)
{
	struct err e = {0};
	struct store *s;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	unlink(path);
	cr_expect_not(store_set(s, "a", "b", &e));
	cr_expect(strstr(err_text(&e), "was removed"), "%s", err_text(&e));
	err_free(&e);
	store_close(s);
	leave();
}

TEST(store, commits_several_puts_together_or_not_at_all)
{
	struct arena *a = arena_new(NULL);
	struct err e = {0};
	struct store *s;
	char *v;

	enter();
	s = must_open(STORE_WRITE);
	OK(store_begin(s, &e));
	OK(store_set(s, "x", "1", &e));
	store_rollback(s);
	OK(store_get(s, a, "x", &v, &e));
	cr_expect_null(v);
	OK(store_begin(s, &e));
	OK(store_set(s, "x", "1", &e));
	cr_expect_not(store_put_result(s, &(struct store_result){.mutant = "no", .device = "no"}, &e));
	OK(store_set(s, "y", "2", &e));
	OK(store_commit(s, &e));
	OK(store_get(s, a, "y", &v, &e));
	cr_expect_str_eq(v, "2");
	OK(store_get(s, a, "tool-version", &v, &e));
	cr_expect_str_eq(v, MUTATENN_VERSION);
	err_free(&e);
	store_close(s);
	arena_free(a);
	leave();
}
