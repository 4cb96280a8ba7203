/* golden_graph.c: runs every NAME.gir of a folder through passes and compares with NAME.expect
 *
 * The first line says what to do: "# run: PASS, PASS ...". The passes run in the compiler's order with all checks after each.
 * Lanes: 8. With --update the .expect files are written anew; their diff is to be reviewed
 * like code.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "compile/compile.h"

#define MAX_PASSES 16

static bool known_pass(const char *name)
{
	for (size_t i = 0; gir_passes[i]; i++)
		if (!strcmp(gir_passes[i]->name, name))
			return true;
	return false;
}

/* Everything that the first line does not name is disabled. */
static bool options(struct arena *a, const char *text, struct comp_options *o, struct err *e)
{
	char *line = arena_strndup(a, text, strcspn(text, "\n")), *save = NULL, **wanted = ARENA_ARRAY(a, char *, MAX_PASSES);
	const char **disabled = ARENA_ARRAY(a, const char *, MAX_PASSES);
	size_t n = 0;

	if (strncmp(line, "# run:", 6))
		return err_set(e, ERR_USAGE, "the first line is not '# run: ...'");
	*o = (struct comp_options){.opt_level = 3, .lanes = 8, .disabled = disabled, .enabled = (const char *const *)wanted};
	for (char *word = strtok_r(line + 6, " ,", &save); word && n < MAX_PASSES; word = strtok_r(NULL, " ,", &save)) {
		if (!known_pass(word))
			return err_set(e, ERR_USAGE, "there is no pass '%s'", word);
		wanted[n++] = word;
	}
	o->nenabled = n;
	for (size_t i = 0; gir_passes[i]; i++) {
		bool found = false;

		for (size_t k = 0; k < n; k++)
			found = found || !strcmp(wanted[k], gir_passes[i]->name);
		if (!found)
			disabled[o->ndisabled++] = gir_passes[i]->name;
	}
	return true;
}

static bool run_one(struct arena *a, const char *dir, const char *name, bool update, struct err *e)
{
	const char *path = file_join(a, dir, name);
	const char *expect = arena_printf(a, "%s/%s.expect", dir, file_stem(a, name));
	struct bytes text, want = {0};
	struct comp_program *p;
	struct comp_options o;
	struct gir_graph *g;
	struct str s = {0};
	bool ok = file_read(a, path, 0, &text, e) && gir_parse(a, path, (const char *)text.p, text.n, &g, e) &&
		  options(a, (const char *)text.p, &o, e) && comp_program(a, g, &o, &p, e);

	if (!ok)
		return err_in(e, "%s", name);
	gir_print(&s, p->graph, false);
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
		fprintf(stderr, "usage: golden_graph FOLDER [--update]\n%s\n", err_text(&e));
		return 2;
	}
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i]);

		if (len < 4 || strcmp(names[i] + len - 4, ".gir"))
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
