/* select_exact.c: the least cover of what the reductions left, by branch and bound within a number of steps
 *
 * One of the images of any row must be chosen: the row with the fewest is branched on, each image is tried, and is out of the question
 * for those tried after it, since all sets with it have been seen. Rows without a common image need an image each: that many more are
 * needed at least.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "select/select_internal.h"

struct search {
	struct select_core *c;
	size_t *path, *chosen, best;
	uint64_t *used; /* scratch */
};

static bool spent(const struct search *s)
{
	return s->c->steps >= s->c->most_steps;
}

/* Rows are sorted by their size in the beginning: small ones, which leave room for others, come first. */
static size_t disjoint(struct search *s, const uint32_t *row, size_t n, const uint64_t *image)
{
	size_t words = s->c->words, found = 0;

	memset(s->used, 0, words * sizeof *s->used);
	for (size_t k = 0; k < n; k++) {
		const uint64_t *r = s->c->row[row[k]];
		bool apart = true;

		for (size_t w = 0; w < words && apart; w++)
			apart = !(r[w] & image[w] & s->used[w]);
		if (!apart)
			continue;
		found++;
		for (size_t w = 0; w < words; w++)
			s->used[w] |= r[w] & image[w];
	}
	s->c->steps += n * words;
	return found;
}

static size_t fewest(struct search *s, const uint32_t *row, size_t n, const uint64_t *image, size_t *size)
{
	size_t best = 0;

	*size = SIZE_MAX;
	for (size_t k = 0; k < n; k++) {
		size_t p = select_popcount(s->c->row[row[k]], image, s->c->words);

		if (p < *size) {
			*size = p;
			best = k;
		}
	}
	s->c->steps += n * s->c->words;
	return best;
}

static bool has(const uint64_t *row, size_t image)
{
	return row[image / 64] >> (image % 64) & 1;
}

struct choice {
	size_t image, rows;
};

static int by_rows(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	return x->rows != y->rows ? (x->rows > y->rows ? -1 : 1) : x->image < y->image ? -1 : x->image > y->image;
}

/* The images of a row, those that meet most of the others first. */
static size_t list(struct search *s, const uint64_t *branch, const uint32_t *row, size_t n, const uint64_t *image, struct choice *out)
{
	size_t count = 0;

	for (size_t i = 0; i < s->c->nimages; i++) {
		if (!has(branch, i) || !has(image, i))
			continue;
		out[count] = (struct choice){.image = i};
		for (size_t k = 0; k < n; k++)
			out[count].rows += has(s->c->row[row[k]], i);
		count++;
	}
	s->c->steps += n * count;
	qsort(out, count, sizeof *out, by_rows);
	return count;
}

static void search(struct search *s, size_t depth, const uint32_t *row, size_t n, const uint64_t *image)
{
	struct arena *a;
	struct choice *choice;
	uint64_t *left;
	uint32_t *rest;
	size_t size, branch, count;

	if (!n) {
		s->best = depth;
		memcpy(s->chosen, s->path, depth * sizeof *s->path);
		return;
	}
	if (spent(s) || depth + 1 >= s->best || depth + disjoint(s, row, n, image) >= s->best)
		return;
	branch = fewest(s, row, n, image, &size);
	if (!size)
		return;
	a = arena_new(s->c->a);
	choice = ARENA_ARRAY(a, struct choice, size);
	left = arena_memdup(a, image, s->c->words * sizeof *image);
	rest = ARENA_ARRAY(a, uint32_t, n);
	count = list(s, s->c->row[row[branch]], row, n, image, choice);
	for (size_t k = 0; k < count && depth + 1 < s->best; k++) {
		size_t nrest = 0, i = choice[k].image;

		for (size_t r = 0; r < n; r++)
			if (!has(s->c->row[row[r]], i))
				rest[nrest++] = row[r];
		s->path[depth] = i;
		left[i / 64] &= ~((uint64_t)1 << (i % 64));
		search(s, depth + 1, rest, nrest, left);
	}
	arena_free(a);
}

bool select_exact(struct select_core *c, size_t best, size_t *chosen, size_t *n)
{
	struct search s = {.c = c, .chosen = chosen, .best = best};
	uint32_t *row = ARENA_ARRAY(c->a, uint32_t, c->n + 1);

	s.path = ARENA_ARRAY(c->a, size_t, best + 1);
	s.used = ARENA_ARRAY(c->a, uint64_t, c->words + 1);
	for (size_t r = 0; r < c->n; r++)
		row[r] = (uint32_t)r;
	search(&s, 0, row, c->n, c->image);
	*n = s.best;
	return !spent(&s);
}
