#include "test_support.h"

#include <errno.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/near.h"
#include "base/arena.h"
#include "base/cachedir.h"
#include "base/diff.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/reap.h"
#include "base/str.h"
#include "base/vec.h"

TEST(arena, freeing_a_parent_frees_its_children)
{
	struct arena *parent = arena_new(NULL);

	arena_zalloc(arena_new(parent), 100);
	arena_zalloc(arena_new(arena_new(parent)), 1 << 21);
	arena_free(parent);
	cr_expect_eq(arena_live_bytes(), 0u);
}

TEST(arena, blocks_are_aligned_and_distinct)
{
	struct arena *a = arena_new(NULL);
	char *last = NULL;

	for (size_t n = 0; n < 3000; n += 7) {
		char *p = arena_alloc(a, n);

		cr_assert_eq((uintptr_t)p % (n >= 64 ? 64 : 16), 0u);
		memset(p, (int)n, n);
		if (last && n > 7)
			cr_assert_eq(last[n - 8], (char)(n - 7), "an allocation overwrote the one before");
		last = p;
	}
	arena_free(a);
}

TEST(err, each_caller_prepends_where_it_was)
{
	struct err e = {0};

	cr_expect_not(err_set(&e, ERR_UNSUPPORTED, "auto_pad '%s' is not supported", "X"));
	cr_expect_not(err_in(&e, "node '%s'", "conv1"));
	cr_expect_str_eq(err_text(&e), "node 'conv1': auto_pad 'X' is not supported");
	cr_expect_eq(err_exit_status(&e), 1);
	err_set(&e, ERR_USAGE, "wrapped: %s", err_text(&e));
	cr_expect_str_eq(err_text(&e), "wrapped: node 'conv1': auto_pad 'X' is not supported");
	cr_expect_eq(err_exit_status(&e), 2);
	err_free(&e);
}

TEST(map, keeps_insertion_order_and_forgets_deleted_keys)
{
	struct arena *a = arena_new(NULL);
	struct map *m = map_new(a);
	char key[16];
	const char *k;
	size_t it = 0, seen = 0;
	void *v;

	for (intptr_t i = 1; i <= 1000; i++) {
		snprintf(key, sizeof key, "k%ld", (long)i);
		map_put(m, key, (void *)i);
	}
	cr_expect(map_del(m, "k500"));
	cr_expect_not(map_del(m, "k500"));
	cr_expect_null(map_get(m, "k500"));
	cr_expect_eq(map_get(m, "k501"), (void *)501);
	while (map_next(m, &it, &k, &v)) {
		seen++;
		cr_assert_eq((intptr_t)v, atol(k + 1));
	}
	cr_expect_eq(seen, 999u);
	map_put(m, "k500", (void *)7);
	cr_expect_eq(map_count(m), 1000u);
	arena_free(a);
}

TEST(hash, hex_form_reads_back)
{
	struct hash h = hash_text("x"), back;
	char hex[HASH_HEX];

	cr_expect(hash_parse(hash_hex(h, hex), &back));
	cr_expect(hash_eq(h, back));
	cr_expect_not(hash_parse("12", &back));
	hex[3] = 'G';
	cr_expect_not(hash_parse(hex, &back));
}

TEST(hash, parts_do_not_run_into_each_other)
{
	struct hasher *x = hasher_new(), *y = hasher_new();

	hash_put_text(x, "ab"), hash_put_text(x, "c");
	hash_put_text(y, "a"), hash_put_text(y, "bc");
	cr_expect_not(hash_eq(hasher_end(x), hasher_end(y)));
}

TEST(file, a_failed_write_leaves_the_old_file)
{
	char dir[] = "/tmp/mutatenn-test-XXXXXX";
	struct arena *a = arena_new(NULL);
	struct err e = {0};
	struct bytes b;
	char *path;

	cr_assert(mkdtemp(dir));
	path = file_join(a, dir, "f");
	cr_expect(file_write(path, "one", 3, &e));
	cr_expect_not(file_write(file_join(a, path, "below-a-file"), "two", 3, &e));
	cr_expect(file_read(a, path, 0, &b, &e));
	cr_expect_eq(b.n, 3u);
	cr_expect_not(file_read(a, path, 2, &b, &e), "a limit holds");
	unlink(path);
	rmdir(dir);
	err_free(&e);
	arena_free(a);
}

TEST(file, a_new_folder_is_one_with_nothing_in_it)
{
	struct arena *a = arena_new(NULL);
	char dir[] = "/tmp/mutatenn-test-XXXXXX";
	struct err e = {0};
	char *made, *below;

	cr_assert(mkdtemp(dir));
	made = file_join(a, dir, "made");
	cr_expect(file_new_folder(made, &e) && file_new_folder(made, &e), "%s", err_text(&e));
	cr_assert(!mkdir(below = file_join(a, made, "images"), 0700));
	cr_expect(!file_new_folder(made, &e) && strstr(err_text(&e), "not empty"), "a folder in it counts: %s", err_text(&e));
	err_free(&e);
	rmdir(below);
	cr_assert(file_write(below = file_join(a, made, ".hidden"), "x", 1, &e));
	cr_expect(!file_new_folder(made, NULL));
	cr_expect(!file_new_folder(below, &e) && strstr(err_text(&e), "is not a folder"), "%s", err_text(&e));
	err_free(&e);
	cr_expect(!file_new_folder("", NULL));
	unlink(below);
	rmdir(made);
	cr_expect(!rmdir(dir));
	arena_free(a);
}

TEST(file, a_private_folder_is_this_users_alone)
{
	struct arena *a = arena_new(NULL);
	char dir[] = "/tmp/mutatenn-test-XXXXXX";
	char *own, *open_to_all, *link, *foreign;
	struct err e = {0};
	struct stat st;

	cr_assert(mkdtemp(dir));
	own = file_join(a, dir, "own");
	cr_assert(file_private_dir(own, &e), "%s", err_text(&e));
	cr_expect(!stat(own, &st) && (st.st_mode & 0777) == 0700);
	cr_expect(file_private_dir(own, &e), "a second time");
	cr_assert(!mkdir(open_to_all = file_join(a, dir, "open"), 0700) && !chmod(open_to_all, 0770));
	cr_expect(!file_private_dir(open_to_all, &e));
	cr_expect(strstr(err_text(&e), "may be somebody else's"), "%s", err_text(&e));
	err_free(&e);
	cr_assert(!symlink(own, link = file_join(a, dir, "link")));
	cr_expect(!file_private_dir(link, NULL), "a link may lead anywhere");
	cr_assert(!mkdir(foreign = file_join(a, dir, "foreign"), 0700));
	if (!geteuid()) {
		cr_assert(!chown(foreign, 65534, 65534));
		cr_expect(!file_private_dir(foreign, NULL));
	}
	unlink(link);
	rmdir(own);
	rmdir(open_to_all);
	rmdir(foreign);
	cr_expect(!rmdir(dir));
	arena_free(a);
}

TEST(vec, grows_and_keeps_its_items)
{
	struct arena *a = arena_new(NULL);
	VEC(int) v = {0};

	for (int i = 0; i < 1000; i++)
		vec_push(a, &v, i);
	for (int i = 0; i < 1000; i++)
		cr_assert_eq(v.v[i], i);
	arena_free(a);
}

static void expect_diff(const char *a, const char *b, const char *want)
{
	struct str s = {0};

	text_diff(&s, "a", a, "b", b, 1);
	cr_expect_str_eq(str_text(&s), want, "got:\n%s", str_text(&s));
	str_free(&s);
}

TEST(diff, shows_what_changed_with_context)
{
	expect_diff("x\n", "x\n", "");
	expect_diff("a\nb\nc\nd\ne\n", "a\nb\nX\nd\ne\n", "--- a\n+++ b\n@@ -2,3 +2,3 @@\n b\n-c\n+X\n d\n");
	expect_diff("", "n\n", "--- a\n+++ b\n@@ -1,0 +1,1 @@\n+n\n");
	expect_diff("a\nb\nc\nd\ne\nf\ng\nh\n", "b\nc\nd\ne\nf\ng\nh\ni\n",
	            "--- a\n+++ b\n@@ -1,2 +1,1 @@\n-a\n b\n@@ -8,1 +7,2 @@\n h\n+i\n");
}

static uint64_t folder_bytes(struct arena *a, const char *dir, size_t *n)
{
	uint64_t total = 0;
	struct stat st;
	char **name;

	cr_assert(file_list(a, dir, &name, n, NULL));
	for (size_t i = 0; i < *n; i++) {
		cr_assert(!stat(file_join(a, dir, name[i]), &st));
		total += (uint64_t)st.st_size;
	}
	return total;
}

static void remove_folder(struct arena *a, const char *dir)
{
	char **name;
	size_t n;

	cr_assert(file_list(a, dir, &name, &n, NULL));
	for (size_t i = 0; i < n; i++)
		unlink(file_join(a, dir, name[i]));
	rmdir(dir);
}

TEST(cachedir, what_is_put_is_there_whole_and_what_is_dropped_is_not)
{
	char dir[] = "/tmp/mutatenn-cachedir-XXXXXX", read_back[8] = "";
	struct arena *a = arena_new(NULL);
	struct cachedir c = {.dir = mkdtemp(dir), .suffix = ".so", .limit = 100};
	struct hash h = hash_text("x");
	uint64_t size = 0;
	int fd;

	cr_expect_lt(cachedir_open(&c, h, &size), 0);
	cachedir_put(&c, h, "abc", 3, "de", 2);
	cr_expect(cachedir_has(&c, h, 5));
	cr_expect_not(cachedir_has(&c, h, 4));
	fd = cachedir_open(&c, h, &size);
	cr_assert_geq(fd, 0);
	cr_expect_eq(size, 5u);
	cr_expect_eq(read(fd, read_back, 8), 5);
	cr_expect_str_eq(read_back, "abcde");
	close(fd);
	cachedir_drop(&c, h);
	cr_expect_lt(cachedir_open(&c, h, &size), 0);
	cachedir_put(&c, h, read_back, 3, (char[60]){0}, 60); /* more than half of the limit */
	cr_expect_lt(cachedir_open(&c, h, &size), 0);
	remove_folder(a, dir);
	arena_free(a);
}

TEST(cachedir, the_longest_unused_files_go_and_foreign_ones_stay)
{
	char dir[] = "/tmp/mutatenn-cachedir-XXXXXX", *foreign;
	struct arena *a = arena_new(NULL);
	struct cachedir c = {.dir = mkdtemp(dir), .suffix = "", .limit = 1000};
	struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct hash first = hash_text("0");
	size_t n;

	foreign = file_join(a, dir, "README");
	cr_assert(file_write(foreign, "mine", 4, NULL));
	for (int i = 0; i < 100; i++) {
		struct hash h = hash_text(arena_printf(a, "%d", i));
		char hex[HASH_HEX];
		uint64_t size;
		int fd;

		cachedir_put(&c, h, (char[50]){0}, 50, NULL, 0);
		cr_assert(cachedir_has(&c, h, 50), "file %d", i);
		utimensat(0, file_join(a, dir, hash_hex(h, hex)), old, 0); /* all equally old, */
		if ((fd = cachedir_open(&c, first, &size)) >= 0)           /* but the first is used again and again */
			close(fd);
		cr_assert_leq(folder_bytes(a, dir, &n), 1004u);
	}
	cr_expect(cachedir_has(&c, first, 50));
	cr_expect(file_exists(foreign));
	cr_expect_geq(n, 10u);
	remove_folder(a, dir);
	arena_free(a);
}

TEST(str, sizes_have_units_and_nothing_behind_them)
{
	static const char *const bad[] = {"", "0", "-1", "1KB", "1k", "K", " 1", "9223372036854775808", "8388608T", "1.5G"};
	uint64_t n;

	cr_expect(str_parse_bytes("512", &n) && n == 512);
	cr_expect(str_parse_bytes("64K", &n) && n == 65536);
	cr_expect(str_parse_bytes("2G", &n) && n == (uint64_t)2 << 30);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_not(str_parse_bytes(bad[i], &n), "'%s'", bad[i]);
}

TEST(str, a_percentage_is_a_share_between_a_ten_thousandth_and_one)
{
	static const char *const bad[] = {"", "2", "%", "0%", "0.001%", "100%", "-1%", " 2%", "2%%", "2 %", "nan%"};
	double x;

	cr_expect(str_parse_per_cent("2%", &x) && x == 2.0 / 100);
	cr_expect(str_parse_per_cent("0.5%", &x) && x == 0.5 / 100);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		cr_expect_not(str_parse_per_cent(bad[i], &x), "'%s'", bad[i]);
}

TEST(str, a_field_of_a_csv_file_is_quoted_where_it_must_be_and_is_utf_8)
{
	static const char *const text[][2] = {{"plain", "plain"},       {"a,b", "\"a,b\""},   {"say \"no\"", "\"say \"\"no\"\"\""},
					      {"two\nlines", "\"two\nlines\""}, {"h\303\266r", "h\303\266r"}, {"cut \342\202", "cut ??"}, {NULL, ""}};

	for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
		struct str s = {0};

		str_add_csv(&s, text[i][0]);
		cr_expect_str_eq(str_text(&s), text[i][1]);
		str_free(&s);
	}
}

TEST(file, bytes_come_whole_through_a_pipe_and_an_early_end_is_an_error)
{
	char in[300], out[300] = "";
	int p[2];

	memset(in, 'x', sizeof in);
	cr_assert_not(pipe(p));
	cr_expect(fd_write_all(p[1], in, sizeof in));
	cr_expect(fd_write_all(p[1], "end", 3));
	close(p[1]);
	cr_expect(fd_read_all(p[0], out, sizeof out));
	cr_expect_not(memcmp(in, out, sizeof in));
	errno = 0;
	cr_expect_not(fd_read_all(p[0], out, 4));
	cr_expect_eq(errno, EIO);
	close(p[0]);
	cr_expect_not(fd_write_all(p[1], "gone", 4));
	cr_expect_eq(errno, EBADF);
}

static pid_t sleeper(int seconds)
{
	pid_t pid = fork();

	if (!pid) {
		sleep((unsigned)seconds);
		_exit(7);
	}
	return pid;
}

TEST(reap, a_child_that_does_not_end_is_not_waited_for)
{
	pid_t pid = sleeper(1000);
	int status = 0;

	cr_expect(!reap_within(pid, 0.05, &status));
	cr_expect(reap_killed(pid, false, &status));
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	cr_expect(reap_within(pid, 0.05, NULL), "it is no more");
}

TEST(reap, a_child_that_ends_says_how)
{
	pid_t pid = sleeper(0);
	int status = 0;

	cr_expect(reap_within(pid, 60, &status));
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

TEST(reap, a_child_is_given_up_when_nobody_holds_the_other_end)
{
	pid_t pid = sleeper(1000);
	int fd[2], status = 0;
	bool closed = true;

	cr_assert(!pipe(fd));
	cr_expect(!reap_unless_closed(pid, 0.05, fd[0], &closed, &status));
	cr_expect(!closed, "the time was over");
	close(fd[1]);
	cr_expect(!reap_unless_closed(pid, 1000, fd[0], &closed, &status));
	cr_expect(closed);
	close(fd[0]);
	cr_expect(reap_killed(pid, false, NULL));
}

TEST(file, what_is_written_piece_by_piece_is_there_at_the_end_or_not_at_all)
{
	struct arena *a = arena_new(NULL);
	char dir[] = "/tmp/mutatenn-out-XXXXXX", **names;
	struct file_out *f;
	struct err e = {0};
	struct bytes b;
	size_t n;
	char *path;

	cr_assert(mkdtemp(dir) != NULL);
	path = file_join(a, dir, "x");
	f = file_out_begin(path);
	file_out_add(f, "one ", 4);
	file_out_add(f, "two", 3);
	cr_expect_not(file_exists(path));
	cr_assert(file_out_end(f, true, &e), "%s", err_text(&e));
	cr_assert(file_read(a, path, 0, &b, &e) && b.n == 7 && !memcmp(b.p, "one two", 7));
	f = file_out_begin(path);
	file_out_add(f, "three", 5);
	cr_expect(file_out_end(f, false, &e));
	cr_assert(file_read(a, path, 0, &b, &e) && b.n == 7, "what was there stays");
	cr_expect(file_list(a, dir, &names, &n, &e) && n == 1, "nothing else is left");
	f = file_out_begin("/dev/full/x");
	file_out_add(f, "x", 1);
	cr_expect_not(file_out_end(f, true, &e));
	cr_expect(strstr(err_text(&e), "cannot write '/dev/full/x'"), "%s", err_text(&e));
	err_free(&e);
	unlink(path);
	rmdir(dir);
	arena_free(a);
}

TEST(str, text_of_strangers_cannot_control_a_terminal)
{
	static const char *const text[][2] = {
	    {"plain\ttext\n", "plain\ttext\n"},
	    {"\033[2Jgone\r\a\177", "?[2Jgone???"},
	    {"h\303\266r \342\202\254 \360\237\231\202", "h\303\266r \342\202\254 \360\237\231\202"},
	    {"\302\233c \302\240", "??c \302\240"},
	    {"cut \342\202", "cut ??"},
	    {"\300\200 \355\240\200 \364\220\200\200 \377", "?? ??? ???? ?"},
	};

	for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
		char s[64];

		strcpy(s, text[i][0]);
		text_clean(s);
		cr_expect_str_eq(s, text[i][1]);
	}
}

TEST(near, a_misspelt_word_is_answered_with_the_nearest_that_is_near_enough)
{
	static const char *const words[] = {"run", "report", "reproduce", "compare"};
	static const struct {
		const char *written, *want;
	} cases[] = {{"rum", "run"}, {"reprot", "report"}, {"compar", "compare"}, {"reproduces", "reproduce"}, {"xyz", NULL}, {"r", NULL}, {"", NULL}, {"cmprae", NULL}};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct near n = near_new(cases[i].written);

		for (size_t k = 0; k < 4; k++)
			near_try(&n, words[k]);
		cr_expect(n.best == cases[i].want || (n.best && cases[i].want && !strcmp(n.best, cases[i].want)), "'%s': %s", cases[i].written, n.best ? n.best : "none");
	}
	cr_expect_eq(near_distance("kitten", "sitting"), 3);
	cr_expect_eq(near_distance("", "abc"), 3);
	cr_expect_eq(near_distance("0123456789012345678901234567890123456789012345678901234567890", "a"), 99);
}
