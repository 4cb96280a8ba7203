/* test_report.c: nothing is left out of a report, in any format */
#include "test_support.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "report/report.h"
#include "test_report_store.h"

static void fits(const char *text)
{
	int column = 0;

	for (; *text; text++) {
		if (*text == '\n')
			column = 0;
		else if (((unsigned char)*text & 0xc0) != 0x80)
			column++;
		cr_assert_leq(column, 80, "wider than a terminal before: %.100s", text);
	}
}

static json_t *json_of(struct store *s, const struct report_options *o)
{
	struct str t = {0};
	struct err e = {0};
	json_error_t why;
	json_t *j;

	cr_assert(report_text(s, REPORT_JSON, o, &t, &e), "%s", err_text(&e));
	j = json_loads(str_text(&t), 0, &why);
	cr_assert(j != NULL, "%s at line %d", why.text, why.line);
	str_free(&t);
	return j;
}

TEST(report, table_fits_a_terminal_and_shows_every_row)
{
	static const char *const want[] = {"crash",
					   "hang",
					   "no-site",
					   "not-run",
					   "tool-error",
					   "equivalent",
					   "misclassified",
					   "identical",
					   "board",
					   "host-gcc",
					   "no route to host",
					   "signal 11",
					   "75.0 % (30.1 .. 95.4)",
					   "killed by label     ",
					   "a-very-long-target-name"};
	struct store *s = sample_store("one", 0);
	struct str t = {0};
	struct err e = {0};

	cr_assert(report_text(s, REPORT_TABLE, NULL, &t, &e), "%s", err_text(&e));
	fits(str_text(&t));
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		cr_expect(strstr(str_text(&t), want[i]), "'%s' is not in\n%s", want[i], str_text(&t));
	str_free(&t);
	store_close(s);
	sample_remove();
}

/* What a person reads first. When it is meant to change, change it here. */
TEST(report, table_says_the_most_important_first)
{
	static const char want[] =
	    "net: 7 mutants, 4 images, 3 devices (/tmp/mutatenn-report-XXXXXX/one.db)\n"
	    "Partial: 9 of 21 results are missing (not-run); the rates are of the others. The\n"
	    "command that began the campaign goes on with it.\n"
	    "\n"
	    "All devices together\n"
	    "  killed by label        5 of 7       71.4 % (35.9 .. 91.8)\n"
	    "  survived               2  (by topk 71.4 % killed, by numeric 71.4 %)\n"
	    "  not rated             14  (not-run 9, no-site 3, equivalent 1, tool-error 1)\n"
	    "  devices disagree       3 mutants\n"
	    "  cannot be used    board\n"
	    "\n"
	    "Look at next\n"
	    "  3 mutants that devices disagree on, 'mutatenn compare\n"
	    "  /tmp/mutatenn-report-XXXXXX/one.db':\n"
	    "    op0/conv1/0/x: misclassified on host-gcc, identical on host-clang\n"
	    "    op1/conv1/1/x: crash on host-gcc, hang on host-clang\n"
	    "    op2/conv1/2/x: hang on host-gcc, crash on host-clang\n"
	    "  2 mutants that no image kills on some device (1 on every one): op0 2\n"
	    "    op0/conv1/0/x\n"
	    "    op0/conv1/6/x\n"
	    "\n"
	    "host-gcc: a compiler\n"
	    "  killed by label        3 of 4       75.0 % (30.1 .. 95.4)\n"
	    "  killed by topk         3 of 4       75.0 % (30.1 .. 95.4)\n"
	    "  killed by numeric      3 of 4       75.0 % (30.1 .. 95.4)\n"
	    "  original right         4 of 4      100.0 % (51.0 .. 100.0)\n"
	    "\n"
	    "host-clang: a compiler\n"
	    "  killed by label        2 of 3       66.7 % (20.8 .. 93.9)\n"
	    "  killed by topk         2 of 3       66.7 % (20.8 .. 93.9)\n"
	    "  killed by numeric      2 of 3       66.7 % (20.8 .. 93.9)\n"
	    "  original right         4 of 4      100.0 % (51.0 .. 100.0)\n"
	    "\n"
	    "board\n"
	    "  cannot be used: no route to host\n"
	    "  killed by label        0 of 0      -\n"
	    "  killed by topk         0 of 0      -\n"
	    "  killed by numeric      0 of 0      -\n"
	    "\n"
	    "Outcomes         host-gcc        host-clang      board\n"
	    "  not-run        1               2               6\n"
	    "  no-site        1               1               1\n"
	    "  equivalent     1               0               0\n"
	    "  identical      1               1               0\n"
	    "  misclassified  1               0               0\n"
	    "  hang           1               1               0\n"
	    "  crash          1               1               0\n"
	    "  tool-error     0               1               0\n"
	    "\n"
	    "Categories                                     rows  rated  label   topk  numer\n"
	    "  Arithmetic                                      9      3      1      1      1\n"
	    "  Conditional                                    12      4      4      4      4\n"
	    "\n"
	    "Operators                                      rows  rated  label   topk  numer\n"
	    "  op0                                             9      3      1      1      1\n"
	    "  op1                                             6      2      2      2      2\n"
	    "  op2                                             6      2      2      2      2\n";
	struct store *s = sample_store("one", 0);
	struct str t = {0};
	struct err e = {0};
	char *at;

	cr_assert(report_text(s, REPORT_TABLE, NULL, &t, &e), "%s", err_text(&e));
	while ((at = strstr(t.s, sample_dir)))
		memcpy(at, "/tmp/mutatenn-report-XXXXXX", strlen(sample_dir));
	cr_expect(!strncmp(t.s, want, strlen(want)), "now it is\n%s", t.s);
	str_free(&t);
	store_close(s);
	sample_remove();
}

TEST(report, table_names_operators_without_a_site_on_one_line)
{
	struct store *s = sample_store("one", 0);
	struct str t = {0};
	struct err e = {0};

	for (int i = 0; i < 3; i++) {
		char op[16], id[32];

		snprintf(op, sizeof op, "gone%d", i);
		snprintf(id, sizeof id, "%s/*/all/x", op);
		cr_assert(store_put_mutant(s, &(struct store_mutant){.id = id, .op = op, .category = "C", .target = "*", .ordinal = "all", .variant = "x"}, &e));
	}
	cr_assert(report_text(s, REPORT_TABLE, &(struct report_options){.colour = true}, &t, &e), "%s", err_text(&e));
	cr_expect(strstr(t.s, "\n  no site in this model: gone0, gone1, gone2\n"), "%s", t.s);
	cr_expect(!strstr(t.s, "\n  gone0 ") && strstr(t.s, "\033[31m  devices disagree"), "%s", t.s);
	str_free(&t);
	store_close(s);
	sample_remove();
}

TEST(report, json_has_the_fields_that_scripts_rely_on)
{
	struct store *s = sample_store("one", 0);
	json_t *j = json_of(s, NULL), *mutants = json_object_get(j, "mutants"), *m, *d, *k;
	size_t i, n, rows = 0, killed = 0;

	cr_expect_eq(json_array_size(mutants), (size_t)SAMPLE_MUTANTS);
	json_array_foreach(mutants, i, m)
	{
		cr_expect(json_is_string(json_object_get(m, "id")) && json_is_string(json_object_get(m, "operator")) &&
			  json_is_string(json_object_get(m, "category")) && json_is_integer(json_object_get(m, "sites")));
		json_array_foreach(json_object_get(m, "devices"), n, d)
		{
			rows++;
			k = json_object_get(d, "killed");
			cr_expect(json_is_string(json_object_get(d, "device")) && json_is_string(json_object_get(d, "outcome")) &&
				  json_is_integer(json_object_get(d, "images")) &&
				  json_is_integer(json_object_get(d, "images_changed")) && json_object_get(d, "code") &&
				  json_is_boolean(json_object_get(k, "label")) && json_is_boolean(json_object_get(k, "topk")) &&
				  json_is_boolean(json_object_get(k, "numeric")));
			if (!strcmp(json_string_value(json_object_get(d, "outcome")), "tool-error"))
				cr_expect(json_is_false(json_object_get(k, "numeric")), "our own errors kill nothing");
			killed += json_is_true(json_object_get(k, "label"));
		}
	}
	cr_expect_eq(rows, (size_t)SAMPLE_MUTANTS * 3);
	cr_expect_eq(killed, 5u);
	k = json_object_get(j, "launches");
	cr_expect_eq(json_integer_value(json_object_get(k, "run")), 90);
	cr_expect_eq(json_integer_value(json_object_get(k, "saved")), 180);
	d = json_array_get(json_object_get(j, "devices"), 0);
	k = json_object_get(json_object_get(json_object_get(d, "counts"), "killed"), "label");
	cr_expect_eq(json_integer_value(json_object_get(k, "killed")), 3);
	cr_expect_eq(json_integer_value(json_object_get(k, "of")), 4, "equivalent and tool-error are no evidence");
	/* scipy: binomtest(3, 4).proportion_ci(method='wilson').low */
	cr_expect_float_eq(json_real_value(json_object_get(k, "low")), 0.30064184258240526, 1e-12);
	json_decref(j);
	store_close(s);
	sample_remove();
}

TEST(report, json_holds_the_images_when_asked)
{
	struct store *s = sample_store("one", 0);
	json_t *j = json_of(s, &(struct report_options){.images = true});
	json_t *d = json_array_get(json_object_get(json_array_get(json_object_get(j, "mutants"), 0), "devices"), 0);
	json_t *rows = json_object_get(d, "per_image"), *row = json_array_get(rows, 1), *acc = json_object_get(d, "accuracy");

	cr_expect_eq(json_array_size(rows), 4u);
	cr_expect_str_eq(json_string_value(json_object_get(row, "outcome")), "identical");
	cr_expect_eq(json_integer_value(json_object_get(json_array_get(json_object_get(row, "top"), 0), "index")), 1);
	cr_expect_eq(json_integer_value(json_object_get(acc, "of")), 4);
	cr_expect_eq(json_integer_value(json_object_get(acc, "right")), 3, "the first image's label changed");
	json_decref(j);
	store_close(s);
	sample_remove();
}

TEST(report, csv_has_one_line_per_mutant_and_device_with_the_same_columns)
{
	struct store *s = sample_store("one", 0);
	struct arena *a = arena_new(NULL);
	char *path = file_join(a, sample_dir, "r.csv");
	struct err e = {0};
	struct bytes b;
	int lines = 0, columns = 0, first = 0;
	bool quoted = false;

	cr_assert(report_write(s, REPORT_CSV, NULL, path, &e), "%s", err_text(&e));
	cr_assert(file_read(a, path, 0, &b, &e));
	for (size_t i = 0; i < b.n; i++) {
		quoted ^= b.p[i] == '"';
		columns += !quoted && b.p[i] == ',';
		if (quoted || b.p[i] != '\n')
			continue;
		first = lines ? first : columns;
		cr_expect_eq(columns, first, "line %d", lines);
		lines++;
		columns = 0;
	}
	cr_expect_eq(lines, 1 + SAMPLE_MUTANTS * 3);
	cr_expect(strstr((const char *)b.p, "\"signal 11, while \"\"running\"\"\nconv1\""), "%s", (const char *)b.p);
	arena_free(a);
	store_close(s);
	sample_remove();
}

TEST(report, of_an_empty_store_is_short_but_there)
{
	struct store *s = sample_empty("none");
	struct str t = {0};
	struct err e = {0};
	json_t *j = json_of(s, NULL);

	cr_expect_eq(json_array_size(json_object_get(j, "mutants")), 0u);
	json_decref(j);
	cr_expect(report_text(s, REPORT_TABLE, NULL, &t, &e) && strstr(str_text(&t), "0 mutants"), "%s", err_text(&e));
	str_free(&t);
	store_close(s);
	sample_remove();
}

TEST(report, suppressed_mutants_are_in_no_rate_and_listed_with_their_reason)
{
	struct store *s = sample_store("suppressed", 0);
	struct store_counts before, after;
	struct err e = {0};
	struct str t = {0};

	cr_assert(store_count(s, "host-gcc", NULL, NULL, &before, &e));
	cr_assert(store_suppress(s, "op0/*", "known, \"and\" proved", "command", &e), "%s", err_text(&e));
	cr_assert(store_suppress(s, "gone/*", "an older kernel", "campaign", &e));
	cr_assert(store_count(s, "host-gcc", NULL, NULL, &after, &e));
	cr_assert(after.suppressed == 3 && after.rows == before.rows - 3 && after.counted < before.counted && after.killed[0] < before.killed[0]);
	cr_assert_eq(after.launches_run, before.launches_run);
	cr_assert(report_text(s, REPORT_TABLE, NULL, &t, &e), "%s", err_text(&e));
	cr_expect(strstr(str_text(&t), "Suppressed: 3 mutants in no rate\n  op0/* (3): known, \"and\" proved\n"), "%s", str_text(&t));
	cr_expect(strstr(str_text(&t), "  gone/* (0, matches nothing): an older kernel\n    op0/conv1/0/x\n"));
	cr_expect(strstr(str_text(&t), "op0/conv1/0/x (1 site), suppressed: known"));
	str_clear(&t);
	cr_assert(report_text(s, REPORT_JSON, NULL, &t, &e));
	cr_expect(strstr(str_text(&t), "\"suppressed\": \"known, \\\"and\\\" proved\"") && strstr(str_text(&t), "\"suppressed\": null"));
	cr_expect(strstr(str_text(&t), "\"suppressions\": ["));
	str_clear(&t);
	cr_assert(report_text(s, REPORT_CSV, NULL, &t, &e));
	cr_expect(strstr(str_text(&t), ",\"known, \"\"and\"\" proved\"\r\n"));
	str_free(&t);
	store_close(s);
	sample_remove();
}
