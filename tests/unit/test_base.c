#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/diff.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/map.h"
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
