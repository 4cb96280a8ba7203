/* test_report_compare.c: device against device, mutant against original, and folders of another tool */
#include "test_support.h"

#include <math.h>
#include <ftw.h>
#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "report/report.h"
#include "test_report_store.h"

static json_t *parse(struct str *t)
{
	json_error_t why;
	json_t *j = json_loads(str_text(t), 0, &why);

	cr_assert(j != NULL, "%s at line %d of %s", why.text, why.line, str_text(t));
	str_free(t);
	return j;
}

static json_t *find(json_t *list, const char *key, const char *value)
{
	size_t i;
	json_t *j;

	json_array_foreach(list, i, j) if (json_is_string(json_object_get(j, key)) &&
					   !strcmp(json_string_value(json_object_get(j, key)), value)) return j;
	cr_assert_fail("no %s '%s'", key, value);
	return NULL;
}

static double number(json_t *j, const char *key)
{
	cr_assert(json_is_number(json_object_get(j, key)), "'%s' is no number", key);
	return json_number_value(json_object_get(j, key));
}

static const char *text(json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

/* The first pair of a mutant: host-gcc and host-clang. */
static json_t *pair_of(json_t *j, const char *id)
{
	return json_array_get(json_object_get(find(json_object_get(j, "mutants"), "id", id), "across"), 0);
}

TEST(compare, says_whether_the_mutant_or_the_device_makes_the_difference)
{
	struct store *s = sample_store("one", 0.25f);
	struct str t = {0};
	struct err e = {0};
	json_t *j, *p;

	cr_assert(report_compare(&s, 1, REPORT_JSON, &t, &e), "%s", err_text(&e));
	j = parse(&t);
	cr_expect_eq(json_array_size(json_object_get(j, "mutants")), (size_t)SAMPLE_MUTANTS);
	p = json_array_get(json_object_get(j, "original"), 0);
	cr_expect(number(p, "labels_differ") == 0 && number(p, "images") == 4 && number(p, "max_abs") == 0.25);
	p = pair_of(j, "op0/conv1/0/x"); /* one label changes on host-gcc only */
	cr_expect_str_eq(text(p, "verdict"), "mutant");
	cr_expect(number(p, "percent") == 25 && number(p, "labels_differ_originals_agree") == 1 && number(p, "max_abs") == 10);
	cr_expect_str_eq(text(pair_of(j, "op1/conv1/1/x"), "verdict"), "outcome"); /* crash and hang */
	cr_expect_str_eq(text(pair_of(j, "op1/conv1/4/x"), "verdict"), "not-compared");
	cr_expect_str_eq(text(pair_of(j, "op0/conv1/6/x"), "verdict"), "not-compared"); /* one of them has not run */
	p = find(json_object_get(find(json_object_get(j, "mutants"), "id", "op0/conv1/0/x"), "against_original"), "device",
		 "host-gcc");
	cr_expect(number(p, "percent") == 25 && number(p, "of") == 4);
	json_decref(j);
	store_close(s);
	sample_remove();
}

TEST(compare, does_not_blame_a_mutant_for_what_the_original_does_too)
{
	struct store *s = sample_store("one", 12.0f); /* the other class wins on host-clang, mutated or not */
	struct str t = {0};
	struct err e = {0};
	json_t *j, *p;

	for (int d = 0; d < 2; d++) {
		const char *device = d ? "host-clang" : "host-gcc";

		for (int i = 0; i < SAMPLE_IMAGES; i++)
			cr_assert(store_put_baseline(
			    s, &(struct store_baseline){device, i, sample_answer(d ? (i + 1) % 4 : i, 0), 0, 0}, &e));
	}
	sample_result(s, "op0/conv1/6/x", "host-gcc", OUTCOME_IDENTICAL, 0, 0);
	for (int d = 0; d < 2; d++) {
		struct store_image_result im[SAMPLE_IMAGES] = {0};

		for (int i = 0; i < SAMPLE_IMAGES; i++)
			im[i] = (struct store_image_result){.image = i,
							    .outcome = OUTCOME_IDENTICAL,
							    .answer = sample_answer(d ? (i + 1) % 4 : i, 0),
							    .top1_equal = true};
		cr_assert(store_put_result(
		    s,
		    &(struct store_result){
			.mutant = "op0/conv1/6/x", .device = d ? "host-clang" : "host-gcc", .image = im, .nimages = SAMPLE_IMAGES},
		    &e));
	}
	cr_assert(report_compare(&s, 1, REPORT_JSON, &t, &e), "%s", err_text(&e));
	j = parse(&t);
	p = pair_of(j, "op0/conv1/6/x");
	cr_expect_str_eq(text(p, "verdict"), "as-original");
	cr_expect(number(p, "percent") == 100 && number(p, "labels_differ_originals_agree") == 0);
	json_decref(j);
	store_close(s);
	sample_remove();
}

/* Where a NaN becomes a number on its way, labels alone would call two devices alike. */
TEST(compare, the_same_labels_under_another_outcome_are_no_agreement)
{
	struct store *s = sample_store("one", 0);
	struct str t = {0};
	struct err e = {0};
	json_t *j;

	for (int d = 0; d < 2; d++) {
		struct store_image_result im[SAMPLE_IMAGES];

		for (int i = 0; i < SAMPLE_IMAGES; i++)
			im[i] = (struct store_image_result){
			    .image = i, .outcome = d ? OUTCOME_NAN : OUTCOME_MISCLASSIFIED, .answer = sample_answer((i + 1) % 4, d && i ? NAN : 0)};
		cr_assert(store_put_result(
		    s,
		    &(struct store_result){
			.mutant = "op0/conv1/6/x", .device = d ? "host-clang" : "host-gcc", .outcome = im[0].outcome, .image = im, .nimages = SAMPLE_IMAGES},
		    &e));
	}
	cr_assert(report_compare(&s, 1, REPORT_JSON, &t, &e), "%s", err_text(&e));
	j = parse(&t);
	cr_expect_str_eq(text(pair_of(j, "op0/conv1/6/x"), "verdict"), "judged");
	cr_expect_eq(number(pair_of(j, "op0/conv1/6/x"), "special_differ"), 3);
	json_decref(j);
	cr_assert(report_compare(&s, 1, REPORT_TABLE, &t, &e), "%s", err_text(&e));
	cr_expect(strstr(str_text(&t), "labels differ on 0 of 4 (0.0 %), NaN or Inf on one\n    side only in 3 of 4\n      => the same labels, but misclassified and nan"), "%s",
		  str_text(&t));
	str_clear(&t);
	cr_assert(report_text(s, REPORT_TABLE, NULL, &t, &e), "%s", err_text(&e));
	cr_expect(strstr(str_text(&t), "devices disagree       4 mutants"), "%s", str_text(&t));
	str_free(&t);
	store_close(s);
	sample_remove();
}

TEST(compare, pairs_several_stores_by_mutant_and_image)
{
	struct store *s[2];
	struct str t = {0};
	struct err e = {0};
	json_t *j, *p;
	int column = 0;

	s[0] = sample_store("one", 0);
	s[1] = sample_store("two", 0.5f);
	cr_assert(report_compare(s, 2, REPORT_JSON, &t, &e), "%s", err_text(&e));
	j = parse(&t);
	cr_expect_eq(json_array_size(json_object_get(j, "mutants")), (size_t)SAMPLE_MUTANTS, "each mutant once");
	cr_expect_eq(json_array_size(json_object_get(j, "original")), 15u, "pairs of six sides");
	p = json_array_get(json_object_get(j, "original"), 3); /* one:host-gcc ~ two:host-clang */
	cr_expect_str_eq(text(p, "a"), "one:host-gcc");
	cr_expect_str_eq(text(p, "b"), "two:host-clang");
	cr_expect(number(p, "max_abs") == 0.5 && number(p, "images") == 4);
	json_decref(j);
	cr_assert(report_compare(s, 2, REPORT_TABLE, &t, &e), "%s", err_text(&e));
	for (const char *c = str_text(&t); *c; c++) {
		column = *c == '\n' ? 0 : column + 1;
		cr_assert_leq(column, 80, "%s", c);
	}
	cr_expect(strstr(str_text(&t), "=> outcomes differ: crash and hang"), "%s", str_text(&t));
	str_free(&t);
	cr_expect_not(report_compare(s, 2, REPORT_CSV, &t, &e));
	err_free(&e);
	store_close(s[0]);
	store_close(s[1]);
	sample_remove();
}

/* ---- folders --------------------------------------------------------------------------------------------- */

static char root[64];

static void put(const char *device, const char *variant, const char *ts, const char *image, const char *content)
{
	struct arena *a = arena_new(NULL);
	char *dir = arena_printf(a, "%s/%s/%s/mutations/%s", root, device, variant, ts);

	cr_assert(file_mkdirs(dir, NULL));
	cr_assert(file_write(file_join(a, dir, arena_printf(a, "%s.txt", image)), content, strlen(content), NULL));
	arena_free(a);
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

#define BOX "478, 0.270973\n708, 0.217616\n519, 0.171347\n846, 0.065379\n553, 0.051630\n\n0.032334"
#define BOX_SWAPPED "708, 0.270973\n478, 0.217616\n519, 0.171347\n846, 0.065379\n553, 0.051630\n\n0.032334"
#define BOAT "408, 0.518562\n814, 0.145332\n484, 0.119751\n913, 0.068825\n437, 0.063596\n\n0.031392"
#define BOAT_EDITED "814, 0.518562\n408, 0.145332\n484, 0.119751\n10, 0.068825\n437, 0.063596\n\n0.031511"

static void sound(const char *device, const char *variant, bool edited)
{
	put(device, variant, "ts_100_x0", "box", edited ? BOX_SWAPPED : BOX);
	put(device, variant, "ts_100_x0", "boat", edited ? BOAT_EDITED : BOAT);
	put(device, variant, "ts_100_x0", "cup", "1, 0.9\n2, 0.1\n3, 0\n4, 0\n5, 0\n\n1.5");
	put(device, variant, "ts_100_x0", "hat", "9, 0.9\n2, 0.1\n3, 0\n4, 0\n5, 0\n\n1.5");
	put(device, variant, "ts_100_x0", "car", "8, 0.9\n2, 0.1\n3, 0\n4, 0\n5, 0\n\n1.5");
	put(device, variant, "ts_100_x0", "execution_log", "Model x execution time:  2.8 seconds");
}

static void make_folder(void)
{
	strcpy(root, "/tmp/mutatenn-folder-XXXXXX");
	cr_assert(mkdtemp(root) != NULL);
	for (int d = 0; d < 3; d++) {
		char name[16];

		snprintf(name, sizeof name, "device%d", d + 1);
		sound(name, "model_original_opt2", false);
		sound(name, "ifstmt_LT_to_LE_opt2", d == 2);
	}
	/* a crash after two images, a cut file, a folder without results, a stuck network, an older run */
	put("device1", "crashing", "ts_100_x0", "box", BOX);
	put("device1", "crashing", "ts_100_x0", "boat", "408, 0.51\n814, 0.1");
	put("device2", "crashing", "ts_100_x0", "execution_log", "");
	for (int i = 0; i < 5; i++)
		put("device3", "crashing", "ts_100_x0", (const char *[]){"box", "boat", "cup", "hat", "car"}[i], BOX);
	put("device1", "model_original_opt2", "ts_99_x0", "box", BOX_SWAPPED);
}

static json_t *folder_json(void)
{
	struct str t = {0};
	struct err e = {0};

	cr_assert(report_compare_mutatenn(root, REPORT_JSON, &t, &e), "%s", err_text(&e));
	return parse(&t);
}

TEST(folder, shows_the_one_device_that_differs)
{
	json_t *j, *v, *p;
	size_t i, k;

	make_folder();
	cr_expect(report_is_mutatenn(root));
	j = folder_json();
	cr_expect(number(j, "images") == 5);
	cr_expect_eq(json_array_size(json_object_get(j, "variants")), 3u);
	v = find(json_object_get(j, "variants"), "variant", "ifstmt_LT_to_LE_opt2");
	json_array_foreach(json_object_get(v, "across"), i, p)
	    cr_expect(number(p, "percent") == (strcmp(text(p, "b"), "device3") ? 0 : 40));
	p = json_array_get(json_object_get(v, "across"), 1);
	cr_expect_eq(json_array_size(json_object_get(p, "images_differ")), 2u);
	/* box: ranks 1, 2 swapped: 0.8; boat: also one label replaced at rank 4: 0.69248; three images equal */
	cr_expect_float_eq(number(p, "rbo"), (0.8 + 0.69248 + 3) / 5, 1e-12);
	cr_expect_float_eq(number(p, "jaccard"), (1 + 4.0 / 6 + 3) / 5, 1e-12);
	v = find(json_object_get(j, "variants"), "variant", "model_original_opt2");
	json_array_foreach(json_object_get(v, "across"), k, p) cr_expect(number(p, "percent") == 0, "the newest run counts");
	json_decref(j);
	nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

TEST(folder, crashed_and_stuck_runs_are_rows)
{
	static const char *const status[] = {"crashed", "crashed", "stuck"};
	struct str t = {0};
	json_t *j, *v, *r;
	size_t i;

	make_folder();
	j = folder_json();
	v = find(json_object_get(j, "variants"), "variant", "crashing");
	json_array_foreach(json_object_get(v, "runs"), i, r) cr_expect_str_eq(text(r, "status"), status[i]);
	r = json_array_get(json_object_get(v, "runs"), 0);
	cr_expect(number(r, "answered") == 1 && json_array_size(json_object_get(r, "missing")) == 3 &&
		  json_array_size(json_object_get(r, "truncated")) == 1);
	r = json_array_get(json_object_get(v, "runs"), 1);
	cr_expect(number(r, "answered") == 0 && json_array_size(json_object_get(r, "missing")) == 5);
	r = json_array_get(json_object_get(v, "across"), 1); /* device1 ~ device3 */
	cr_expect(number(r, "images") == 1 && number(r, "one_sided") == 4);
	json_decref(j);
	cr_assert(report_compare_mutatenn(root, REPORT_TABLE, &t, NULL));
	cr_expect(strstr(str_text(&t), "device2: crashed: 0 of 5 images answered, 5 missing") &&
		      strstr(str_text(&t), "device3: stuck: 5 of 5 images answered, all answers the same") &&
		      strstr(str_text(&t), "device1 ~ device3: 40.0 % (2 of 5)"),
		  "%s", str_text(&t));
	str_free(&t);
	nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

TEST(folder, that_is_none_is_an_error)
{
	struct str t = {0};
	struct err e = {0};
	const char *paths[] = {"/tmp", "/tmp"};

	strcpy(root, "/tmp/mutatenn-folder-XXXXXX");
	cr_assert(mkdtemp(root) != NULL);
	cr_expect_not(report_is_mutatenn(root));
	cr_expect_not(report_compare_mutatenn(root, REPORT_JSON, &t, &e));
	cr_expect(strstr(err_text(&e), "is no result folder"), "%s", err_text(&e));
	cr_expect_not(report_compare_mutatenn("/nowhere", REPORT_JSON, &t, &e));
	cr_expect_not(report_compare_paths(paths, 2, REPORT_TABLE, "-", &e));
	cr_expect_not(report_compare_paths(paths, 0, REPORT_TABLE, "-", &e));
	err_free(&e);
	rmdir(root);
}

TEST(folder, garbage_is_damage_not_a_crash)
{
	static const char *const bad[] = {"",           "\n",
					  "a, b\n",     "1, 0.5\n1, 0.5\n\n1",
					  "1, 0.5\n\n", "1, 0.5\n\nx",
					  "1 0.5\n\n1", "99999999999, 1\n\n1",
					  ",\n\n1",     "1, 0.5junk\n\n1",
					  "1, \n\n1"};
	json_t *j, *r;

	strcpy(root, "/tmp/mutatenn-folder-XXXXXX");
	cr_assert(mkdtemp(root) != NULL);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		char name[16];

		snprintf(name, sizeof name, "i%zu", i);
		put("d", "v", "ts_1", name, bad[i]);
	}
	put("d", "v", "ts_1", "good", "-1, nan\r\n7, 0.5\r\n\r\n1e-3\r\n");
	j = folder_json();
	r = json_array_get(json_object_get(json_array_get(json_object_get(j, "variants"), 0), "runs"), 0);
	cr_expect(number(r, "answered") == 1 && number(r, "nan") == 1);
	cr_expect_eq(json_array_size(json_object_get(r, "truncated")), sizeof bad / sizeof *bad);
	json_decref(j);
	nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}
