/* test_report_html.c: what stands in a page cannot break out of it, and a store of any kind makes a page */
#include "test_support.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "report/report_script.h"
#include "report/report.h"
#include "test_report_store.h"

static void written_as(const char *text, size_t max, const char *want)
{
	struct str t = {0};

	script_text(&t, text, max);
	cr_expect_str_eq(str_text(&t), want);
	str_free(&t);
}

TEST(html, texts_can_neither_end_their_string_nor_their_element)
{
	written_as("plain", 0, "\"plain\"");
	written_as(NULL, 0, "null");
	written_as("</script><!--", 0, "\"\\u003c/script\\u003e\\u003c!--\"");
	written_as("a\"b\\c\n\t\x01\x7f&", 0, "\"a\\\"b\\\\c\\n\\u0009\\u0001\\u007f\\u0026\"");
	written_as("\xe2\x80\xa8\xe2\x80\xa9", 0, "\"\\u2028\\u2029\"");
	written_as("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 0, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
	written_as("\xc0\xaf\xed\xa0\x80\xff\xf4\x90\x80\x80" "a\xe2\x82", 0, "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffda\\ufffd\\ufffd\"");
	written_as("abcdef", 3, "\"abc\xe2\x80\xa6\"");
	written_as("ab\xc3\xa9", 3, "\"ab\xe2\x80\xa6\"");
	written_as("abc", 3, "\"abc\"");
}

TEST(html, numbers_are_what_a_browser_reads)
{
	struct str t = {0};

	script_number(&t, 0.123456, 3);
	str_addc(&t, ' ');
	script_number(&t, NAN, 3);
	str_addc(&t, ' ');
	script_number(&t, -INFINITY, 3);
	str_addc(&t, ' ');
	script_base64(&t, "abcd", 4);
	cr_expect_str_eq(str_text(&t), "0.123 null -1e999 \"YWJjZA==\"");
	str_free(&t);
}

static char *page_of(struct arena *a, struct store *s)
{
	char *path = arena_printf(a, "%s/page.html", sample_dir);
	struct err e = {0};
	struct bytes b;

	cr_assert(report_html(s, path, &e), "%s", err_text(&e));
	cr_assert(file_read(a, path, 0, &b, &e), "%s", err_text(&e));
	return (char *)b.p;
}

/* The JSON of the block that begins with `head`. */
static json_t *block(const char *page, const char *head)
{
	const char *p = strstr(page, head), *end;
	json_error_t why;
	json_t *j;

	cr_assert(p && (p = strchr(p, '>')) && (end = strstr(p, "</script>")), "the page has no %s", head);
	j = json_loadb(p + 1, (size_t)(end - p - 1), 0, &why);
	cr_assert(j != NULL, "%s in %s", why.text, head);
	return j;
}

TEST(html, page_has_every_mutant_with_its_details_and_what_the_store_counted)
{
	struct store *s = sample_store("one", 0);
	struct arena *a = arena_new(NULL);
	char *page = page_of(a, s);
	json_t *rows = block(page, "id=\"rows-0\""), *details = block(page, "id=\"details-0\""), *meta = block(page, "id=\"meta\"");

	cr_expect_eq(json_array_size(rows), SAMPLE_MUTANTS);
	cr_expect_eq(json_array_size(details), SAMPLE_MUTANTS);
	cr_expect_eq(json_array_size(json_object_get(meta, "images")), SAMPLE_IMAGES);
	cr_expect_eq(json_integer_value(json_object_get(json_object_get(meta, "counts"), "rows")),
		     SAMPLE_MUTANTS * (json_int_t)json_array_size(json_object_get(meta, "devices")));
	cr_expect(strstr(page, "default-src 'none'"));
	cr_expect_null(strstr(page, "@DATA@"));
	json_decref(rows);
	json_decref(details);
	json_decref(meta);
	store_close(s);
	arena_free(a);
	sample_remove();
}

TEST(html, an_empty_store_makes_a_page)
{
	struct store *s = sample_empty("none");
	struct arena *a = arena_new(NULL);
	json_t *meta = block(page_of(a, s), "id=\"meta\"");

	cr_expect_eq(json_array_size(json_object_get(meta, "devices")), 0);
	json_decref(meta);
	store_close(s);
	arena_free(a);
	sample_remove();
}

TEST(html, a_page_that_cannot_be_written_leaves_nothing)
{
	struct store *s = sample_store("one", 0);
	struct err e = {0};

	cr_expect_not(report_html(s, "/nowhere/page.html", &e));
	cr_expect(strstr(err_text(&e), "cannot write '/nowhere/page.html'"), "%s", err_text(&e));
	err_free(&e);
	store_close(s);
	sample_remove();
}
