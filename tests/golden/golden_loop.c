/* golden_loop.c: runs every NAME.lir of a folder and compares with NAME.expect
 *
 * The first line says what to do: "# run: pass NAME, pass NAME ...". With --update the .expect files are written anew;
 * their diff is to be reviewed like code.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "loop/loop.h"

static bool run_passes(struct arena *a, struct lir_func *f, const char *text, struct err *e)
{
	size_t n = strcspn(text, "\n");
	char *line = arena_strndup(a, text, n), *save = NULL;

	if (strncmp(line, "# run:", 6))
		return err_set(e, ERR_USAGE, "the first line is not '# run: ...'");
	for (char *word = strtok_r(line + 6, " ,", &save); word; word = strtok_r(NULL, " ,", &save)) {
		const struct lir_pass *p;

		if (!strcmp(word, "pass"))
			continue;
		p = lir_pass_find(word);
		if (!p)
			return err_set(e, ERR_USAGE, "there is no pass '%s'", word);
		if (!lir_run_pass(f, p, e))
			return false;
	}
	return true;
}

static bool run_one(struct arena *a, const char *dir, const char *name, bool update, struct err *e)
{
	const char *path = file_join(a, dir, name);
	const char *expect = arena_printf(a, "%s/%s.expect", dir, file_stem(a, name));
	struct bytes text, want = {0};
	struct lir_func *f;
	struct str s = {0};
	bool ok = file_read(a, path, 0, &text, e) && lir_parse(a, path, (const char *)text.p, text.n, &f, e) &&
		  run_passes(a, f, (const char *)text.p, e);

	if (!ok)
		return err_in(e, "%s", name);
	lir_print(&s, f);
	if (update)
		ok = file_write(expect, s.s, s.n, e);
	else if (!file_read(a, expect, 0, &want, e))
		ok = false;
	else if (want.n != s.n || memcmp(want.p, s.s, s.n))
		ok = err_set(e, ERR_BAD_IR, "%s: expected\n%s\ngot\n%s", name, (const char *)want.p, s.s);
	str_free(&s);
	return ok;
}

int main(int argc, char **argv)
{
	bool update = argc > 2 && !strcmp(argv[2], "--update");
	struct arena *a = arena_new(NULL);
	struct err e = {0};
	char **names;
	size_t n, run = 0, wrong = 0;

	if (argc < 2 || !file_list(a, argv[1], &names, &n, &e)) {
		fprintf(stderr, "usage: golden_loop FOLDER [--update]\n%s\n", err_text(&e));
		return 2;
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);

		if (len < 4 || strcmp(names[i] + len - 4, ".lir"))
			continue;
		run++;
		if (!run_one(a, argv[1], names[i], update, &e)) {
			fprintf(stderr, "%s\n", err_text(&e));
			wrong++;
		}
	}
	printf("%zu run, %zu wrong\n", run, wrong);
	err_free(&e);
	arena_free(a);
	return wrong || !run;
}
