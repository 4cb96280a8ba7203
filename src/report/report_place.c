/* report_place.c: where in the original's text a mutant changes something, from its diff
 *
 * A diff is a sequence of unified ones: "--- graph" against "+++ mutant", or the name of a lowered function on both sides; or the line
 * "input: EDIT". The first run of changed lines is the place. Where one line becomes another, only the words that differ count.
 */
#include "report/report_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

struct line {
	const char *s;
	size_t n;
};

/* The lines of one run of changes; `after` is the line behind it, `before` the one in front. */
struct run {
	int line; /* of the original's first removed line, or of the line in front of which lines are added */
	int removed, added;
	struct line old_first, old_last, new_first;
	struct line before, after;
	struct str text; /* what is added */
};

static struct line next_line(const char **p)
{
	struct line l = {*p, strcspn(*p, "\n")};

	*p += l.n + ((*p)[l.n] == '\n');
	return l;
}

static int width(const char *s, size_t n)
{
	int w = 0;

	for (size_t i = 0; i < n; i++)
		w += ((unsigned char)s[i] & 0xc0) != 0x80;
	return w;
}

/* Lines of a hunk up to the end of its first run of changes; the rest is passed over. Counts the runs. */
static void read_hunk(const char **p, int line, int old, int new, struct run *first, size_t *places)
{
	bool inside = false;

	while ((old > 0 || new > 0) && **p) {
		struct line l = next_line(p);
		char kind = l.n ? l.s[0] : ' ';
		bool mine = *places == 0 || (inside && *places == 1);
		struct line rest = {l.n ? l.s + 1 : l.s, l.n ? l.n - 1 : 0};

		old -= kind != '+';
		new -= kind != '-';
		if (kind == ' ') {
			if (inside && mine)
				first->after = rest;
			else if (mine)
				first->before = rest;
			inside = false;
			line++;
			continue;
		}
		if (!inside)
			++*places;
		if (!inside && mine)
			first->line = line;
		inside = true;
		if (mine && kind == '-') {
			if (!first->removed++)
				first->old_first = rest;
			first->old_last = rest;
		} else if (mine) {
			if (first->added++)
				str_addc(&first->text, '\n');
			else
				first->new_first = rest;
			str_addn(&first->text, rest.s, rest.n);
		}
		line += kind == '-';
	}
}

/* Neighbours of one kind belong together: letters of a name, characters of an operator. */
static bool joined(char x, char y)
{
	bool word_x = isalnum((unsigned char)x) || x == '_' || x == '.' || ((unsigned char)x & 0x80);
	bool word_y = isalnum((unsigned char)y) || y == '_' || y == '.' || ((unsigned char)y & 0x80);

	return (word_x && word_y) || (x && y && strchr("<>=!&|+-", x) && strchr("<>=!&|+-", y));
}

/* One line became another: only what differs, in whole words. */
static void narrow(struct arena *a, const struct run *r, struct report_place *out)
{
	struct line x = r->old_first, y = r->new_first;
	size_t head = 0, tail = 0, least = x.n < y.n ? x.n : y.n;

	while (head < least && x.s[head] == y.s[head])
		head++;
	while (tail < least - head && x.s[x.n - 1 - tail] == y.s[y.n - 1 - tail])
		tail++;
	while (head && ((head < x.n && joined(x.s[head - 1], x.s[head])) || (head < y.n && joined(x.s[head - 1], y.s[head]))))
		head--;
	while (tail && ((x.n - tail > head && joined(x.s[x.n - tail - 1], x.s[x.n - tail])) ||
			(y.n - tail > head && joined(y.s[y.n - tail - 1], x.s[x.n - tail]))))
		tail--;
	if (x.n - tail == head) { /* nothing is taken away: the line as a whole is shown */
		head = strspn(x.s, " ") < head ? strspn(x.s, " ") : head;
		tail = 0;
	}
	while (head && ((unsigned char)x.s[head] & 0xc0) == 0x80)
		head--;
	out->column = width(x.s, head) + 1;
	out->end_column = width(x.s, x.n - tail) + 1;
	out->replacement = arena_strndup(a, y.s + head, y.n - tail - head);
}

static void place_run(struct arena *a, const struct run *r, struct report_place *out)
{
	out->line = r->line;
	out->end_line = r->removed ? r->line + r->removed - 1 : r->line;
	out->column = 1;
	if (r->removed == 1 && r->added == 1) {
		narrow(a, r, out);
		return;
	}
	if (!r->removed && r->after.s) { /* lines are added in front of one */
		out->end_column = width(r->after.s, r->after.n) + 1;
		out->replacement = arena_printf(a, "%s\n%.*s", str_text(&r->text), (int)r->after.n, r->after.s);
	} else if (!r->removed) {
		out->line = out->end_line = r->line > 1 ? r->line - 1 : 1;
		out->end_column = width(r->before.s ? r->before.s : "", r->before.n) + 1;
		out->replacement = arena_printf(a, "%.*s\n%s", (int)r->before.n, r->before.s ? r->before.s : "", str_text(&r->text));
	} else {
		out->end_column = width(r->old_last.s, r->old_last.n) + 1;
		out->replacement = arena_strdup(a, str_text(&r->text));
	}
	if (out->line == out->end_line && out->end_column <= out->column)
		out->end_column = out->column + 1;
}

static void read_diff(struct arena *a, const char *p, struct report_place *out)
{
	struct run first = {0};

	while (*p) {
		struct line l = next_line(&p);
		int line, old, new;

		if (!strncmp(l.s, "--- ", 4) && !strncmp(p, "+++ ", 4)) {
			struct line to = next_line(&p);

			if (out->kind)
				continue;
			out->kind = l.n == to.n && !memcmp(l.s + 4, to.s + 4, l.n - 4) ? "loop" : "graph";
			out->name = arena_strndup(a, l.s + 4, l.n - 4);
		} else if (!strncmp(l.s, "@@ -", 4) && sscanf(l.s, "@@ -%9d,%9d +%*d,%9d @@", &line, &old, &new) == 3) {
			/* nine digits each, since a store may say anything */
			read_hunk(&p, line, old, new, &first, &out->places);
		}
	}
	if (out->kind && first.line > 0)
		place_run(a, &first, out);
	else
		out->kind = NULL;
	str_free(&first.text);
}

void report_place(struct arena *a, const struct store_mutant *m, struct report_place *out)
{
	*out = (struct report_place){0};
	if (!m->diff || !*m->diff)
		return;
	if (strncmp(m->diff, "input: ", 7)) {
		read_diff(a, m->diff, out);
		return;
	}
	*out = (struct report_place){.kind = "input", .name = arena_strdup(a, "input"), .line = 1, .column = 1, .end_line = 2, .places = 1};
	out->replacement = arena_strndup(a, m->diff + 7, strcspn(m->diff + 7, "\n"));
	out->end_column = 1;
}

char *report_source_path(struct arena *a, const char *kind, const char *name)
{
	struct str t = {0};
	char *path;

	if (!strcmp(kind, "graph"))
		return arena_strdup(a, "graph.gir");
	if (strcmp(kind, "loop"))
		return arena_strdup(a, "input.txt");
	str_add(&t, "kernels/");
	for (; *name; name++) {
		if (*name == '/' || *name == '%')
			str_addf(&t, "%%%02X", *name);
		else
			str_addc(&t, *name);
	}
	str_add(&t, ".lir");
	path = arena_strdup(a, str_text(&t));
	str_free(&t);
	return path;
}
