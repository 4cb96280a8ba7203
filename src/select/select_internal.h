/* select_internal.h: the matrix, and the problem that is left after the reductions */
#pragma once
#include "select/select.h"

struct select_row {
	const uint64_t *bits;
	uint64_t weight;
};

struct select_matrix {
	struct arena *a;
	size_t nimages, words;
	struct select_row *row;
	size_t n, cap;
	uint32_t *slot; /* hash table: row + 1 */
	size_t nslots;
};

/* Rows and images that are still in question. */
struct select_core {
	struct arena *a;
	size_t words, nimages;
	const uint64_t **row;
	size_t n;
	uint64_t *image; /* bits: may be chosen */
	uint64_t steps, most_steps;
};

/* Looks for fewer images than `best` that meet every row of the core, which is sorted by size. True: the search is complete, and *n is
 * the least number (`best` when there are no fewer); false: the steps are spent, and *n what was found until then. chosen: *n images
 * when *n < best. (select_exact.c) */
bool select_exact(struct select_core *c, size_t best, size_t *chosen, size_t *n);

static inline size_t select_popcount(const uint64_t *a, const uint64_t *mask, size_t words)
{
	size_t n = 0;

	for (size_t w = 0; w < words; w++)
		n += (size_t)__builtin_popcountll(a[w] & mask[w]);
	return n;
}
