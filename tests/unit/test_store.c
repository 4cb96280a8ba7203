/* test_store.c: what is put is what is read; refusals; what survives a kill, a full disk, a foreign file */
#include "test_support.h"

#include <dirent.h>
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
#include "base/err.h"
#include "base/file.h"
#include "store/store.h"

static char dir[64], path[128];

static void enter(void)
{
	strcpy(dir, "/tmp/mutatenn-store-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/campaign.db", dir);
}

static void leave(void)
{
	DIR *d = opendir(dir);
	struct dirent *ent;

	while (d && (ent = readdir(d)))
		if (ent->d_name[0] != '.')
			unlinkat(dirfd(d), ent->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}

static struct store *must_open(enum store_mode mode)
{
	struct store *s = NULL;
	struct err e = {0};

	cr_assert(store_open(path, mode, &s, &e), "%s", err_text(&e));
	return s;
}

#define OK(call) cr_assert((call), "%s", err_text(&e))

static void fill(struct store *s)
{
	struct err e = {0};

	OK(store_put_model(s, &(struct store_model){"net", "net.onnx", {1, 2}}, &e));
	for (int i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d.png", i);
		OK(store_put_image(s, &(struct store_image){.index = i, .name = name, .hash = {3, (uint64_t)i + 1}, .label = i - 1}, &e));
	}
	OK(store_put_device(s, &(struct store_device){"host-gcc", "cpu", "gcc 12", "gcc 12 here", NULL}, &e));
	OK(store_put_device(s, &(struct store_device){"board", "cpu", NULL, NULL, "no route to host"}, &e));
	OK(store_put_mutant(
	    s, &(struct store_mutant){"loop.lt/conv1/3/le", "loop.lt", "Conditional", "conv1", "3", "le", 1, .diff = "-a\n+b"}, &e));
	OK(store_put_mutant(s, &(struct store_mutant){"graph.add/all/all", "graph.add", "Arithmetic", "", "all", "", 0, .diff = NULL}, &e));
	OK(store_put_mutant(s, &(struct store_mutant){"loop.lt/conv1/4/le", "loop.lt", "Conditional", "conv1", "4", "le", 1, .diff = NULL},
			    &e));
}

static const int32_t labels[] = {7, 2, 9};
static const float probabilities[] = {0.5f, 0.25f, 0.125f}, logits[] = {1, -2, 3.5f, 1e-30f};

static struct store_answer answer(void)
{
	return (struct store_answer){{11, 12}, 3, labels, probabilities, logits, 4};
}

static struct store_result result(struct store_image_result im[static 3])
{
	for (int i = 0; i < 3; i++)
		im[i] = (struct store_image_result){.image = i,
						    .outcome = OUTCOME_IDENTICAL,
						    .answer = answer(),
						    .top1_equal = true,
						    .cosine = 1,
						    .rbo = 0.25,
						    .minkowski = 2.5,
						    .max_abs = 1e-300,
						    .nan_count = 4,
						    .launches_run = 5,
						    .launches_saved = 6,
						    .time_s = 0.125};
	im[1].outcome = OUTCOME_MISCLASSIFIED;
	im[1].top1_equal = false;
	im[1].answer.logits = NULL;
	im[1].answer.nlogits = 0;
	im[2].outcome = OUTCOME_CRASH;
	im[2].answer = (struct store_answer){0};
	return (struct store_result){.mutant = "loop.lt/conv1/3/le",
				     .device = "host-gcc",
				     .outcome = OUTCOME_TOLERATED,
				     .code = {21, 22},
				     .message = "signal 11 while running conv1",
				     .stage = "run",
				     .kernel = "conv1",
				     .signal = 11,
				     .launches_run = 30,
				     .launches_saved = 60,
				     .build_s = 1.5,
				     .image = im,
				     .nimages = 3};
}

TEST(store, gives_back_what_was_put)
{
	struct store_image_result im[3], got;
	struct store_result r = result(im), row;
	struct store_mutant m;
	struct store_device d;
	struct store_iter *it;
	struct err e = {0};
	struct store *s;
	int n = 0;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	store_close(s);
	s = must_open(STORE_READ);
	it = store_results(s, r.mutant, NULL);
	cr_assert(store_next_result(it, &row));
	cr_expect_eq(row.outcome, OUTCOME_CRASH, "the highest over the images");
	cr_expect_eq(row.killed, STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC);
	cr_expect(row.images == 2 && row.images_changed == 1 && row.signal == 11 && row.code.lo == 22 && row.build_s == 1.5);
	cr_expect_str_eq(row.stage, "run");
	cr_assert(store_next_result(it, &row));
	cr_expect_str_eq(row.device, "board");
	cr_expect_eq(row.outcome, OUTCOME_NOT_RUN);
	cr_expect_not(store_next_result(it, &row));
	OK(store_iter_end(it, &e));
	it = store_image_results(s, r.mutant, "host-gcc");
	cr_assert(store_next_image_result(it, &got));
	cr_expect(got.answer.k == 3 && !memcmp(got.answer.label, labels, sizeof labels));
	cr_expect(!memcmp(got.answer.probability, probabilities, sizeof probabilities));
	cr_expect(got.answer.nlogits == 4 && !memcmp(got.answer.logits, logits, sizeof logits));
	cr_expect(got.cosine == 1 && got.rbo == 0.25 && got.minkowski == 2.5 && got.max_abs == 1e-300 && got.nan_count == 4);
	cr_expect(got.launches_run == 5 && got.launches_saved == 6 && got.time_s == 0.125 && got.top1_equal);
	cr_assert(store_next_image_result(it, &got));
	cr_expect(got.answer.logits == NULL && got.outcome == OUTCOME_MISCLASSIFIED);
	cr_assert(store_next_image_result(it, &got));
	cr_expect(got.answer.k == 0 && got.outcome == OUTCOME_CRASH);
	OK(store_iter_end(it, &e));
	it = store_mutants(s, "loop.lt");
	for (; store_next_mutant(it, &m); n++)
		cr_expect_str_eq(m.target, "conv1");
	OK(store_iter_end(it, &e));
	cr_expect_eq(n, 2);
	it = store_devices(s);
	cr_assert(store_next_device(it, &d) && !d.error && store_next_device(it, &d));
	cr_expect_str_eq(d.error, "no route to host");
	OK(store_iter_end(it, &e));
	store_close(s);
	leave();
}

TEST(store, counts_every_mutant_on_every_device_whatever_happened)
{
	struct store_image_result im[3];
	struct store_result r = result(im);
	struct store_counts c;
	struct err e = {0};
	struct store *s;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	r = (struct store_result){.mutant = "loop.lt/conv1/4/le", .device = "host-gcc", .outcome = OUTCOME_TOOL_ERROR};
	OK(store_put_result(s, &r, &e));
	OK(store_count(s, NULL, NULL, NULL, &c, &e));
	cr_expect(c.rows == 6 && c.outcome[OUTCOME_CRASH] == 1 && c.outcome[OUTCOME_NO_SITE] == 2 &&
		  c.outcome[OUTCOME_NOT_RUN] == 2);
	cr_expect(c.counted == 1 && c.killed[0] == 1, "a tool error is neither killed nor counted");
	OK(store_count(s, "board", NULL, NULL, &c, &e));
	cr_expect(c.rows == 3 && c.counted == 0);
	OK(store_count(s, NULL, "loop.lt", "Conditional", &c, &e));
	cr_expect(c.rows == 4 && c.launches_saved == 60);
	store_close(s);
	leave();
}

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

TEST(store, twins_share_a_run_with_its_images)
{
	struct store_image_result im[3], got;
	struct store_result r = result(im), twin;
	struct store_counts c;
	struct store_iter *it;
	struct err e = {0};
	struct store *s;
	int n = 0;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	r.runs = 2;
	OK(store_put_result(s, &r, &e));
	OK(store_put_twin(s, r.mutant, "loop.lt/conv1/4/le", r.device, &e));
	it = store_results(s, "loop.lt/conv1/4/le", r.device);
	cr_assert(store_next_result(it, &twin));
	cr_expect_str_eq(twin.twin, r.mutant);
	cr_expect(twin.outcome == OUTCOME_CRASH && twin.runs == 0 && twin.launches_run == 0);
	cr_expect_eq(twin.launches_saved, r.launches_run + r.launches_saved);
	OK(store_iter_end(it, &e));
	it = store_results(s, r.mutant, r.device);
	cr_expect(store_next_result(it, &twin) && !twin.twin && twin.runs == 2);
	OK(store_iter_end(it, &e));
	it = store_image_results(s, "loop.lt/conv1/4/le", r.device);
	for (; store_next_image_result(it, &got); n++)
		cr_expect(got.outcome == im[n].outcome && got.answer.nlogits == im[n].answer.nlogits && got.cosine == im[n].cosine);
	OK(store_iter_end(it, &e));
	cr_expect_eq(n, 3);
	OK(store_count(s, r.device, NULL, NULL, &c, &e));
	cr_expect_eq(c.twins, 1);
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

TEST(store, learns_true_classes_later_and_rates_by_them)
{
	struct store_image_result im[3];
	struct store_result r = result(im);
	struct store_summary sum;
	struct err e = {0};
	struct store *s;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_result(s, &r, &e));
	OK(store_put_baseline(s, &(struct store_baseline){"host-gcc", 0, answer(), 0, 0}, &e));
	OK(store_put_image(s, &(struct store_image){.index = 0, .name = "0.png", .hash = {3, 1}, .label = 7}, &e));
	OK(store_summarise(s, NULL, "host-gcc", &sum, &e));
	cr_expect(sum.answers == 1 && sum.labelled == 1 && sum.right == 1);
	OK(store_summarise(s, r.mutant, "host-gcc", &sum, &e));
	cr_expect(sum.answers == 2 && sum.labelled == 2 && sum.right == 1 && sum.rbo == 0.25 && sum.nan_images == 2);
	OK(store_summarise(s, r.mutant, "board", &sum, &e));
	cr_expect(sum.answers == 0 && sum.labelled == 0);
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
	sqlite3_exec(db, "DROP TABLE recipes; PRAGMA application_id=1297372238; PRAGMA user_version=77", NULL, NULL, NULL);
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

TEST(store, keeps_what_a_report_shows_around_the_verdicts)
{
	static char longer[STORE_MAX_SOURCE + 100], zeros[STORE_MAX_THUMBNAIL + 1];
	const char *dialect, *diff, *name;
	struct store_kernel k = {"host-gcc", 0, "conv1", "conv1", 100, 0.5};
	struct store_iter *it;
	struct store_layer l;
	struct err e = {0};
	const void *jpeg;
	struct store *s;
	int64_t i;
	bool has;
	size_t n;

	enter();
	s = must_open(STORE_WRITE);
	fill(s);
	OK(store_put_thumbnail(s, 1, "jpeg", 4, &e));
	cr_expect_not(store_put_thumbnail(s, 1, zeros, sizeof zeros, &e));
	err_free(&e);
	OK(store_has_thumbnail(s, 0, &has, &e));
	cr_expect_not(has);
	it = store_thumbnails(s);
	cr_assert(store_next_thumbnail(it, &i, &jpeg, &n));
	cr_expect(i == 1 && n == 4 && !memcmp(jpeg, "jpeg", 4));
	cr_expect_not(store_next_thumbnail(it, &i, &jpeg, &n));
	OK(store_iter_end(it, &e));

	OK(store_put_class(s, 3, "cat", &e) && store_put_class(s, 3, "dog", &e));
	it = store_classes(s);
	cr_expect(store_next_class(it, &i, &name) && i == 3 && !strcmp(name, "dog"));
	OK(store_iter_end(it, &e));

	OK(store_put_layer(s, &(struct store_layer){0, "conv1", "Conv", "1x8x4x4", 1e6}, &e));
	it = store_layers(s);
	cr_expect(store_next_layer(it, &l) && !strcmp(l.op, "Conv") && l.macs == 1e6);
	OK(store_iter_end(it, &e));

	OK(store_has_times(s, "host-gcc", &has, &e));
	cr_expect_not(has);
	OK(store_put_kernel(s, &k, &e));
	k.seconds = -1; /* put again by a campaign that goes on: the time stays */
	OK(store_put_kernel(s, &k, &e) && store_has_times(s, "host-gcc", &has, &e));
	cr_expect(has);
	it = store_kernels(s, NULL);
	cr_expect(store_next_kernel(it, &k) && k.seconds == 0.5 && !strcmp(k.device, "host-gcc"));
	OK(store_iter_end(it, &e));

	memset(longer, 'x', sizeof longer - 1);
	memcpy(longer + 100, "\n", 1);
	OK(store_put_source(s, "loop.lt/conv1/3/le", "c", longer, &e));
	it = store_sources(s, "loop.lt/conv1/3/le");
	cr_assert(store_next_source(it, &dialect, &diff) && !strcmp(dialect, "c"));
	cr_expect(strlen(diff) < 200 && !strncmp(diff + 101, "... ", 4) && strstr(diff, "not kept"), "whole lines, and what is missing: %s", diff);
	OK(store_iter_end(it, &e));
	store_close(s);
	leave();
}

TEST(outcome, table_is_in_order_and_kills_only_grow)
{
	unsigned kills = 0;

	for (int o = 0; o < OUTCOME_COUNT; o++) {
		enum outcome back;

		cr_expect(outcome_parse(outcome_name((enum outcome)o), &back) && (int)back == o);
		if (outcome_class((enum outcome)o) != OUTCOME_CLASS_COUNTED)
			continue;
		cr_expect_eq(outcome_kills((enum outcome)o) & kills, kills, "%s kills less than the one before",
			     outcome_name((enum outcome)o));
		kills = outcome_kills((enum outcome)o);
	}
	cr_expect_eq(outcome_kills(OUTCOME_TOOL_ERROR), 0u);
	cr_expect_eq(outcome_class(OUTCOME_TOOL_ERROR), OUTCOME_CLASS_NONE);
	cr_expect_str_eq(outcome_name((enum outcome)99), "?");
}

/* ---- suppressions ---- */

static const char *reason_of(struct store *s, struct arena *a, const char *id)
{
	struct store_mutant m;
	struct err e = {0};
	bool found;

	OK(store_get_mutant(s, a, id, &m, &found, &e));
	cr_assert(found);
	return m.suppressed;
}

Test(store, a_suppression_matches_globs_and_whole_ids_and_comes_and_goes, .init = enter, .fini = leave)
{
	static const char *const ids[] = {"loop.lt/conv[1]/1/x", "loop.lt/conv1/1/x", "graph.add/*/all/x"};
	struct arena *a = arena_new(NULL);
	struct store *s = must_open(STORE_WRITE);
	struct store_suppression x;
	struct store_iter *it;
	struct err e = {0};
	bool found;

	for (int i = 0; i < 2; i++)
		OK(store_put_mutant(s, &(struct store_mutant){.id = ids[i], .op = "o", .category = "", .target = "t", .ordinal = "1", .variant = ""}, &e));
	OK(store_suppress(s, "loop.lt/conv[1]/1/x", "both", "command", &e)); /* itself, and as a glob the other one */
	OK(store_suppress(s, "loop.*", "later", "campaign", &e));
	OK(store_suppress(s, "graph.*", "not yet", "campaign", &e));
	cr_assert_str_eq(reason_of(s, a, ids[0]), "both");
	cr_assert_str_eq(reason_of(s, a, ids[1]), "both");
	OK(store_put_mutant(s, &(struct store_mutant){.id = ids[2], .op = "o", .category = "", .target = "t", .ordinal = "1", .variant = ""}, &e));
	OK(store_apply_suppressions(s, &e));
	cr_assert_str_eq(reason_of(s, a, ids[2]), "not yet");
	OK(store_unsuppress(s, "loop.lt/conv[1]/1/x", &found, &e));
	cr_assert(found && !strcmp(reason_of(s, a, ids[0]), "later"));
	OK(store_unsuppress(s, "loop.lt/conv[1]/1/x", &found, &e));
	cr_assert(!found);
	it = store_suppressions(s);
	cr_assert(store_next_suppression(it, &x) && !strcmp(x.glob, "loop.*") && x.mutants == 2 && !strcmp(x.source, "campaign"));
	cr_assert(store_next_suppression(it, &x) && x.mutants == 1 && !store_next_suppression(it, &x));
	OK(store_iter_end(it, &e));
	OK(store_unsuppress_all(s, "campaign", &e));
	cr_assert_null(reason_of(s, a, ids[0]));
	cr_assert(!store_suppress(s, "loop.*", "", "command", &e) && e.code == ERR_USAGE && strstr(err_text(&e), "needs a reason"));
	cr_assert(!store_suppress(s, "loop.*", "two\nlines", "command", &e) && e.code == ERR_USAGE);
	cr_assert(!store_suppress(s, "", "why", "command", &e) && e.code == ERR_USAGE);
	err_free(&e);
	store_close(s);
	arena_free(a);
}

/* Whichever comes first: the images of a run that this tool broke do not lie beneath a result. */
Test(store, a_merged_result_has_no_images_of_a_failed_run)
{
	struct store_image_result im[3], row;
	struct store_result r = result(im);
	struct err e = {0};
	char other[160], both[160];

	enter();
	for (int i = 0; i < 2; i++) {
		struct store *s = must_open(STORE_WRITE);

		fill(s);
		r.nimages = i ? 3 : 1;
		r.outcome = i ? OUTCOME_TOOL_ERROR : OUTCOME_IDENTICAL;
		im[0].outcome = OUTCOME_IDENTICAL;
		OK(store_put_result(s, &r, &e));
		store_close(s);
		if (!i) {
			snprintf(other, sizeof other, "%s.other", path);
			cr_assert(!rename(path, other));
		}
	}
	for (int i = 0; i < 2; i++) {
		const char *const from[] = {i ? path : other, i ? other : path};
		struct store_iter *it;
		struct store *s;
		int n = 0;

		snprintf(both, sizeof both, "%s.both%d", path, i);
		OK(store_merge(from, 2, both, &e));
		OK(store_open(both, STORE_READ, &s, &e));
		for (it = store_image_results(s, r.mutant, r.device); store_next_image_result(it, &row);)
			n++;
		OK(store_iter_end(it, &e));
		cr_expect_eq(n, 1, "%d images, %s first", n, i ? "the failure" : "the result");
		store_close(s);
	}
	leave();
}
