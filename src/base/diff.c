/* diff.c: Myers, "An O(ND) difference algorithm and its variations" (1986), greedy forward form with a trace */
#include "base/diff.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/vec.h"
#include <stdbool.h>

#define MAX_D 4000

struct line {
	const char *p;
	size_t n;
};
struct text {
	struct line *line;
	int n;
};

enum { KEEP, DELETE, INSERT };
struct edit {
	int kind, a, b; /* line numbers */
};

static struct text split(struct arena *a, const char *s)
{
	VEC(struct line) v = {0};

	while (*s) {
		size_t n = strcspn(s, "\n");

		vec_push(a, &v, ((struct line){s, n}));
		s += n + (s[n] == '\n');
	}
	return (struct text){v.v, (int)v.n};
}

static int same(const struct text *a, int i, const struct text *b, int j)
{
	return a->line[i].n == b->line[j].n && !memcmp(a->line[i].p, b->line[j].p, a->line[i].n);
}

/* Furthest reaching x per diagonal, one row per d; returns d, or -1 beyond the limit. */
static int search(struct arena *ar, const struct text *a, const struct text *b, int ***trace)
{
	int limit = a->n + b->n < MAX_D ? a->n + b->n : MAX_D;
	int **rows = ARENA_ARRAY(ar, int *, (size_t)limit + 1);
	int *v = ARENA_ARRAY(ar, int, 2 * (size_t)limit + 3) + limit + 1;

	*trace = rows;
	for (int d = 0; d <= limit; d++) {
		for (int k = -d; k <= d; k += 2) {
			int x = k == -d || (k != d && v[k - 1] < v[k + 1]) ? v[k + 1] : v[k - 1] + 1, y = x - k;

			while (x < a->n && y < b->n && same(a, x, b, y))
				x++, y++;
			v[k] = x;
		}
		rows[d] = (int *)arena_memdup(ar, v - d, (2 * (size_t)d + 1) * sizeof *v) + d;
		if (a->n - b->n >= -d && a->n - b->n <= d && ((a->n - b->n - d) & 1) == 0 && v[a->n - b->n] >= a->n)
			return d;
	}
	return -1;
}

/* Edits in reverse order. */
static size_t backtrack(struct edit *e, int d, int **rows, int x, int y)
{
	size_t n = 0;

	for (; d > 0; d--) {
		int *v = rows[d - 1], k = x - y, prev;
		bool down = k == -d || (k != d && k - 1 >= -(d - 1) && k + 1 <= d - 1 ? v[k - 1] < v[k + 1] : k + 1 <= d - 1);
		int px, py;

		prev = down ? k + 1 : k - 1;
		px = v[prev];
		py = px - prev;
		while (x > px && y > py && x > 0 && y > 0 && !(down ? (x == px && y == py + 1) : (x == px + 1 && y == py)))
			e[n++] = (struct edit){KEEP, --x, --y};
		if (down)
			e[n++] = (struct edit){INSERT, x, --y};
		else
			e[n++] = (struct edit){DELETE, --x, y};
	}
	while (x > 0 && y > 0)
		e[n++] = (struct edit){KEEP, --x, --y};
	return n;
}

static void print_hunk(struct str *out, const struct text *a, const struct text *b, const struct edit *e, size_t from, size_t to)
{
	int na = 0, nb = 0;

	for (size_t i = from; i < to; i++) {
		na += e[i].kind != INSERT;
		nb += e[i].kind != DELETE;
	}
	str_addf(out, "@@ -%d,%d +%d,%d @@\n", e[from].a + 1, na, e[from].b + 1, nb);
	for (size_t i = from; i < to; i++) {
		const struct line *l = e[i].kind == INSERT ? &b->line[e[i].b] : &a->line[e[i].a];

		str_addc(out, " -+"[e[i].kind]);
		str_addn(out, l->p, l->n);
		str_addc(out, '\n');
	}
}

void text_diff(struct str *out, const char *name_a, const char *sa, const char *name_b, const char *sb, int context)
{
	struct arena *ar;
	struct text a, b;
	struct edit *e;
	int **rows, d;
	size_t n = 0;

	if (!strcmp(sa, sb))
		return;
	ar = arena_new(NULL);
	a = split(ar, sa);
	b = split(ar, sb);
	e = ARENA_ARRAY(ar, struct edit, (size_t)a.n + (size_t)b.n + 1);
	d = search(ar, &a, &b, &rows);
	if (d >= 0) {
		n = backtrack(e, d, rows, a.n, b.n);
		for (size_t i = 0; i < n / 2; i++) {
			struct edit t = e[i];

			e[i] = e[n - 1 - i];
			e[n - 1 - i] = t;
		}
	} else {
		for (int i = 0; i < a.n; i++)
			e[n++] = (struct edit){DELETE, i, 0};
		for (int i = 0; i < b.n; i++)
			e[n++] = (struct edit){INSERT, a.n, i};
	}
	str_addf(out, "--- %s\n+++ %s\n", name_a, name_b);
	for (size_t i = 0; i < n;) {
		size_t from, to, last;

		while (i < n && e[i].kind == KEEP)
			i++;
		if (i == n)
			break;
		from = i > (size_t)context ? i - (size_t)context : 0;
		for (last = i, to = i; to < n && to - last <= 2 * (size_t)context; to++)
			if (e[to].kind != KEEP)
				last = to;
		to = last + 1 + (size_t)context < n ? last + 1 + (size_t)context : n;
		print_hunk(out, &a, &b, e, from, to);
		i = to;
	}
	arena_free(ar);
}
