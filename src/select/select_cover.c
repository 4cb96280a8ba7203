/* select_cover.c: set cover - reductions, greedy, and what proves how good it is
 *
 * Integers only: prices and slacks are in units of 1/2^40, rounded so that what they prove holds exactly.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/vec.h"
#include "select/select_internal.h"

#define UNIT ((uint64_t)1 << 40)
#define MAX_TRANSPOSED ((size_t)1 << 25) /* words of the table of columns: 256 MiB */
#define MAX_SEARCH ((size_t)1 << 26)     /* rows times images of a search: 256 MiB */

/* ---- bits ---- */

static bool bit(const uint64_t *a, size_t i)
{
	return a[i / 64] >> (i % 64) & 1;
}

static void set_bit(uint64_t *a, size_t i)
{
	a[i / 64] |= (uint64_t)1 << (i % 64);
}

static void clear_bit(uint64_t *a, size_t i)
{
	a[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* Calls body with `i` for every bit of row & mask. */
#define EACH_BIT(i, row, mask, words)                                                                                              \
	for (size_t w_ = 0, i = 0; w_ < (words); w_++)                                                                             \
		for (uint64_t b_ = (row)[w_] & (mask)[w_]; b_ && (i = w_ * 64 + (size_t)__builtin_ctzll(b_), true); b_ &= b_ - 1)

/* ---- the matrix ---- */

struct select_matrix *select_matrix_new(struct arena *a, size_t nimages)
{
	struct select_matrix *m = ARENA_NEW(a, struct select_matrix);

	m->a = a;
	m->nimages = nimages;
	m->words = (nimages + 63) / 64;
	m->nslots = 1024;
	m->slot = ARENA_ARRAY(a, uint32_t, m->nslots);
	return m;
}

size_t select_row_words(const struct select_matrix *m)
{
	return m->words;
}

static size_t find_slot(const struct select_matrix *m, const uint64_t *bits)
{
	size_t at = (size_t)hash_bytes(bits, m->words * sizeof *bits).lo & (m->nslots - 1);

	while (m->slot[at] && memcmp(m->row[m->slot[at] - 1].bits, bits, m->words * sizeof *bits))
		at = (at + 1) & (m->nslots - 1);
	return at;
}

static void grow_table(struct select_matrix *m)
{
	m->nslots *= 2;
	m->slot = ARENA_ARRAY(m->a, uint32_t, m->nslots);
	for (size_t r = 0; r < m->n; r++)
		m->slot[find_slot(m, m->row[r].bits)] = (uint32_t)r + 1;
}

bool select_matrix_add(struct select_matrix *m, const uint64_t *bits, uint64_t weight, struct err *e)
{
	size_t at = find_slot(m, bits);

	if (m->slot[at]) {
		m->row[m->slot[at] - 1].weight += weight;
		return true;
	}
	if ((m->n + 1) * m->words > SELECT_MAX_WORDS || m->n + 1 >= UINT32_MAX)
		return err_set(e, ERR_UNSUPPORTED, "%zu images and %zu distinct sets of them that kill are more than fit the memory; select by "
			       "one criterion or device", m->nimages, m->n);
	if (m->n == m->cap)
		m->row = vec_grow(m->a, m->row, m->n, &m->cap, sizeof *m->row);
	m->row[m->n++] = (struct select_row){arena_memdup(m->a, bits, m->words * sizeof *bits), weight};
	m->slot[at] = (uint32_t)m->n;
	if (m->n * 2 > m->nslots)
		grow_table(m);
	return true;
}

/* ---- reductions ---- */

struct taken {
	size_t *image, n;
};

/* Rows that one image alone can meet: that image is in every set. */
static bool take_essential(struct select_core *c, struct taken *t)
{
	uint64_t *now = ARENA_ARRAY(c->a, uint64_t, c->words + 1);
	size_t kept = 0, before = t->n;

	for (size_t r = 0; r < c->n; r++) {
		bool alone = select_popcount(c->row[r], c->image, c->words) == 1;

		for (size_t w = 0; alone && w < c->words; w++)
			now[w] |= c->row[r][w] & c->image[w];
	}
	EACH_BIT (i, now, c->image, c->words)
		t->image[t->n++] = i;
	for (size_t w = 0; w < c->words; w++)
		c->image[w] &= ~now[w];
	for (size_t r = 0; r < c->n; r++)
		if (!select_popcount(c->row[r], now, c->words))
			c->row[kept++] = c->row[r];
	c->n = kept;
	return t->n != before;
}

struct sized {
	const uint64_t *row;
	uint32_t size, place;
};

static int by_size(const void *a, const void *b)
{
	const struct sized *x = a, *y = b;

	return x->size != y->size ? (x->size < y->size ? -1 : 1) : x->place < y->place ? -1 : x->place > y->place;
}

/* Smaller rows first; equals in the order they were in. */
static void sort_rows(struct select_core *c)
{
	struct sized *s = malloc((c->n + 1) * sizeof *s);

	if (!s)
		abort();
	for (size_t r = 0; r < c->n; r++)
		s[r] = (struct sized){c->row[r], (uint32_t)select_popcount(c->row[r], c->image, c->words), (uint32_t)r};
	qsort(s, c->n, sizeof *s, by_size);
	for (size_t r = 0; r < c->n; r++)
		c->row[r] = s[r].row;
	free(s);
}

static bool subset(const uint64_t *a, const uint64_t *b, const uint64_t *mask, size_t words)
{
	for (size_t w = 0; w < words; w++)
		if (a[w] & mask[w] & ~b[w])
			return false;
	return true;
}

/* A row that contains another one is met when that is. Rows are filed under their first image, which must be in what contains them. */
static bool drop_rows(struct select_core *c, uint64_t most)
{
	uint32_t *first = calloc(c->nimages, sizeof *first), *next = calloc(c->n + 1, sizeof *next);
	uint64_t until = c->steps + most;
	size_t kept = 0, before = c->n;

	if (!first || !next)
		abort();
	sort_rows(c);
	for (size_t r = 0; r < c->n; r++) {
		const uint64_t *row = c->row[r];
		size_t lowest = SIZE_MAX;
		bool contains = false;

		EACH_BIT (i, row, c->image, c->words) {
			lowest = lowest == SIZE_MAX ? i : lowest;
			for (uint32_t o = first[i]; o && !contains && c->steps < until; o = next[o]) {
				contains = subset(c->row[o - 1], row, c->image, c->words);
				c->steps += c->words;
			}
		}
		if (contains)
			continue;
		c->row[kept++] = row;
		next[kept] = first[lowest];
		first[lowest] = (uint32_t)kept;
	}
	c->n = kept;
	free(first);
	free(next);
	return kept != before;
}

/* An image that meets nothing but what another one meets too is not needed; of equals the first stays. */
static bool drop_images(struct select_core *c, uint64_t most)
{
	size_t words = (c->n + 63) / 64;
	uint64_t *column, until = c->steps + most;
	bool changed = false;

	if (!c->n || words > MAX_TRANSPOSED / c->nimages)
		return false;
	column = calloc(c->nimages * words, sizeof *column);
	if (!column)
		abort();
	for (size_t r = 0; r < c->n; r++)
		EACH_BIT (i, c->row[r], c->image, c->words)
			set_bit(&column[i * words], r);
	for (size_t i = 0; i < c->nimages && c->steps < until; i++) {
		bool less = false;

		for (size_t j = 0; bit(c->image, i) && j < c->nimages && !less; j++) {
			if (j == i || !bit(c->image, j))
				continue;
			less = subset(&column[i * words], &column[j * words], &column[i * words], words) &&
			       (j < i || !subset(&column[j * words], &column[i * words], &column[j * words], words));
			c->steps += words;
		}
		if (less) {
			clear_bit(c->image, i);
			changed = true;
		}
	}
	free(column);
	return changed;
}

static void reduce(struct select_core *c, struct taken *t, size_t *essential)
{
	uint64_t share = c->most_steps / 8;
	bool changed = true;

	take_essential(c, t);
	*essential = t->n;
	for (int i = 0; i < 8 && changed && c->n; i++) {
		changed = drop_rows(c, share);
		changed = drop_images(c, share) || changed;
		changed = take_essential(c, t) || changed;
	}
	sort_rows(c);
}

/* ---- greedy, and the bounds that its prices prove ---- */

static void count_rows(const struct select_core *c, uint64_t *count)
{
	memset(count, 0, c->nimages * sizeof *count);
	for (size_t r = 0; r < c->n; r++)
		EACH_BIT (i, c->row[r], c->image, c->words)
			count[i]++;
}

static size_t largest(const uint64_t *v, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (v[i] > v[best])
			best = i;
	return best;
}

static double harmonic(uint64_t d)
{
	double h = 0;

	for (uint64_t i = d; i; i--)
		h += 1.0 / (double)i;
	return h;
}

/* Each row pays an equal share of the image that first meets it: price[r], in units rounded down. */
static size_t greedy(const struct select_core *c, uint64_t *count, size_t *chosen, uint64_t *price, double *h)
{
	uint32_t *open = malloc((c->n + 1) * sizeof *open);
	size_t n = 0, nopen = c->n;

	if (!open)
		abort();
	count_rows(c, count);
	*h = harmonic(count[largest(count, c->nimages)]);
	for (size_t r = 0; r < c->n; r++)
		open[r] = (uint32_t)r;
	while (nopen) {
		size_t image = largest(count, c->nimages), kept = 0;
		uint64_t share = UNIT / count[image];

		chosen[n++] = image;
		for (size_t k = 0; k < nopen; k++) {
			const uint64_t *row = c->row[open[k]];

			if (!bit(row, image)) {
				open[kept++] = open[k];
				continue;
			}
			price[open[k]] = share;
			EACH_BIT (i, row, c->image, c->words)
				count[i]--;
		}
		nopen = kept;
	}
	free(open);
	return n;
}

/* Images that the later ones made superfluous. */
static size_t prune(const struct select_core *c, size_t *chosen, size_t n)
{
	uint32_t *met = calloc(c->n + 1, sizeof *met);

	if (!met)
		abort();
	for (size_t k = 0; k < n; k++)
		for (size_t r = 0; r < c->n; r++)
			met[r] += bit(c->row[r], chosen[k]);
	for (size_t k = 0; k < n;) {
		bool needed = false;

		for (size_t r = 0; r < c->n && !needed; r++)
			needed = met[r] == 1 && bit(c->row[r], chosen[k]);
		if (needed) {
			k++;
			continue;
		}
		for (size_t r = 0; r < c->n; r++)
			met[r] -= bit(c->row[r], chosen[k]);
		memmove(&chosen[k], &chosen[k + 1], (--n - k) * sizeof *chosen);
	}
	free(met);
	return n;
}

static size_t whole(unsigned __int128 units)
{
	return (size_t)((units + UNIT - 1) / UNIT);
}

/* Dual fitting: prices divided by the dearest image are prices at which no image costs more than 1, so any set has at least their sum. */
static size_t fit_prices(const struct select_core *c, const uint64_t *price, uint64_t *load)
{
	unsigned __int128 sum = 0;
	uint64_t most;

	memset(load, 0, c->nimages * sizeof *load);
	for (size_t r = 0; r < c->n; r++)
		EACH_BIT (i, c->row[r], c->image, c->words)
			load[i] += price[r];
	most = load[largest(load, c->nimages)];
	for (size_t r = 0; r < c->n && most; r++)
		sum += (unsigned __int128)price[r] * UNIT / most;
	return whole(sum);
}

/* Dual ascent: rows of few images first, each as dear as its cheapest image still allows. */
static size_t raise_prices(const struct select_core *c, uint64_t *slack)
{
	unsigned __int128 sum = 0;

	for (size_t i = 0; i < c->nimages; i++)
		slack[i] = UNIT;
	for (size_t r = 0; r < c->n; r++) {
		uint64_t least = UNIT;

		EACH_BIT (i, c->row[r], c->image, c->words)
			least = slack[i] < least ? slack[i] : least;
		EACH_BIT (i, c->row[r], c->image, c->words)
			slack[i] -= least;
		sum += least;
	}
	return whole(sum);
}

static int by_index(const void *a, const void *b)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;

	return x < y ? -1 : x > y;
}

static size_t max_of(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* What is left after the reductions: greedy first, then the search. */
static void solve_core(struct select_core *c, struct taken *t, struct select_cover *out)
{
	size_t *chosen = ARENA_ARRAY(c->a, size_t, c->nimages + 1), *better = ARENA_ARRAY(c->a, size_t, c->nimages + 1), n, found, lower;
	uint64_t *count = ARENA_ARRAY(c->a, uint64_t, c->nimages + 1), *price = ARENA_ARRAY(c->a, uint64_t, c->n + 1);
	bool complete = false;

	n = greedy(c, count, chosen, price, &out->greedy_bound);
	out->greedy = t->n + n;
	lower = max_of(fit_prices(c, price, count), raise_prices(c, count));
	n = prune(c, chosen, n);
	found = n;
	if (lower < n && c->n * n <= MAX_SEARCH)
		complete = select_exact(c, n, better, &found);
	if (found < n)
		memcpy(chosen, better, found * sizeof *chosen);
	n = found;
	lower = complete ? n : lower;
	memcpy(t->image + t->n, chosen, n * sizeof *chosen);
	out->lower = t->n + lower;
	t->n += n;
	out->smallest = out->lower == t->n;
}

/* ---- a limit: the images that keep most ---- */

/* The k largest of v. */
static uint64_t top_sum(const uint64_t *v, size_t n, size_t k, uint64_t *scratch)
{
	uint64_t sum = 0;

	memcpy(scratch, v, n * sizeof *v);
	for (size_t i = 0; i < k && i < n; i++) {
		size_t best = largest(scratch, n);

		sum += scratch[best];
		scratch[best] = 0;
	}
	return sum;
}

static void keep_most(struct arena *a, const struct select_matrix *m, size_t most, struct select_cover *out)
{
	uint64_t *gain = ARENA_ARRAY(a, uint64_t, m->nimages), *scratch = ARENA_ARRAY(a, uint64_t, m->nimages);
	uint64_t *all = ARENA_ARRAY(a, uint64_t, m->words), *met = ARENA_ARRAY(a, uint64_t, m->n / 64 + 1);

	memset(all, 0xff, m->words * sizeof *all);
	out->n = 0;
	out->kept = 0;
	for (size_t r = 0; r < m->n; r++)
		EACH_BIT (i, m->row[r].bits, all, m->words)
			gain[i] += m->row[r].weight;
	for (;;) { /* whatever has been chosen, a set adds at most what its images add one by one */
		uint64_t bound = out->kept + top_sum(gain, m->nimages, most, scratch);
		size_t image = largest(gain, m->nimages);

		out->most = bound < out->most ? bound : out->most;
		if (out->n == most || !gain[image])
			break;
		out->image[out->n++] = image;
		out->kept += gain[image];
		for (size_t r = 0; r < m->n; r++) {
			if (bit(met, r) || !bit(m->row[r].bits, image))
				continue;
			set_bit(met, r);
			EACH_BIT (i, m->row[r].bits, all, m->words)
				gain[i] -= m->row[r].weight;
		}
	}
	out->smallest = false;
}

void select_cover(struct arena *a, const struct select_matrix *m, size_t most_images, uint64_t steps, struct select_cover *out)
{
	struct arena *scratch = arena_new(NULL);
	struct select_core c = {.a = scratch, .words = m->words, .nimages = m->nimages, .most_steps = steps ? steps : SELECT_STEPS};
	struct taken t = {.image = ARENA_ARRAY(a, size_t, m->nimages + 1)};

	*out = (struct select_cover){.image = t.image, .distinct = m->n};
	for (size_t r = 0; r < m->n; r++)
		out->kills += m->row[r].weight;
	out->kept = out->most = out->kills;
	c.row = ARENA_ARRAY(scratch, const uint64_t *, m->n + 1);
	c.image = ARENA_ARRAY(scratch, uint64_t, m->words + 1);
	for (size_t i = 0; i < m->nimages; i++)
		set_bit(c.image, i);
	for (size_t r = 0; r < m->n; r++)
		c.row[c.n++] = m->row[r].bits;
	reduce(&c, &t, &out->essential);
	out->left = c.n;
	solve_core(&c, &t, out);
	out->n = t.n;
	out->steps = c.steps;
	if (most_images && out->n > most_images)
		keep_most(scratch, m, most_images, out);
	qsort(out->image, out->n, sizeof *out->image, by_index);
	arena_free(scratch);
}
