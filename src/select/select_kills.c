/* select_kills.c: which image keeps which kill, from the rows of a store; what the chosen images keep */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "base/vec.h"
#include "select/select_internal.h"

/* A killed mutant on one device. */
struct group {
	char *mutant, *device;
	unsigned killed;
	uint64_t *bits[STORE_CRITERIA]; /* images that keep it; all of them when none is needed */
	size_t count[STORE_CRITERIA];
	bool anywhere[STORE_CRITERIA];
};

struct pass {
	struct store *s;
	const struct select_options *o;
	size_t nimages, words;
	bool (*visit)(const struct group *g, void *user, struct err *e);
	void *user;
};

static unsigned wanted(const struct select_options *o)
{
	return o->criteria ? o->criteria : STORE_KILL_LABEL | STORE_KILL_TOPK | STORE_KILL_NUMERIC;
}

static bool device_wanted(const struct select_options *o, const char *name)
{
	for (size_t i = 0; i < o->ndevices; i++)
		if (!strcmp(o->device[i], name))
			return true;
	return !o->ndevices;
}

static bool finish(const struct pass *p, struct group *g, struct err *e)
{
	g->killed &= wanted(p->o);
	if (!g->killed || !device_wanted(p->o, g->device))
		return true;
	for (int c = 0; c < STORE_CRITERIA; c++) {
		g->count[c] = 0;
		for (size_t w = 0; w < p->words; w++)
			g->count[c] += (size_t)__builtin_popcountll(g->bits[c][w]);
		g->anywhere[c] = !g->count[c];
		for (size_t i = 0; g->anywhere[c] && i < p->nimages; i++)
			g->bits[c][i / 64] |= (uint64_t)1 << (i % 64);
	}
	return p->visit(g, p->user, e);
}

static void begin(const struct pass *p, struct arena *a, struct group *g, const struct store_kill *k)
{
	g->mutant = arena_strdup(a, k->mutant);
	g->device = arena_strdup(a, k->device);
	g->killed = k->killed;
	for (int c = 0; c < STORE_CRITERIA; c++)
		g->bits[c] = ARENA_ARRAY(a, uint64_t, p->words + 1);
}

/* Calls visit for every mutant and device with a wanted kill, in the store's order. */
static bool walk(const struct pass *p, struct err *e)
{
	struct store_iter *it = store_kills(p->s);
	struct arena *a = NULL;
	struct group g = {0};
	int64_t mutant = 0, device = 0;
	struct store_kill k;
	bool ok = true;

	while (ok && store_next_kill(it, &k)) {
		if (!a || k.mutant_number != mutant || k.device_number != device) {
			ok = !a || finish(p, &g, e);
			arena_free(a);
			a = arena_new(NULL);
			begin(p, a, &g, &k);
			mutant = k.mutant_number;
			device = k.device_number;
		}
		for (int c = 0; c < STORE_CRITERIA; c++)
			if (k.image >= 0 && (uint64_t)k.image < p->nimages && outcome_kills(k.outcome) >> c & 1)
				g.bits[c][k.image / 64] |= (uint64_t)1 << (k.image % 64);
	}
	ok = ok && (!a || finish(p, &g, e));
	arena_free(a);
	return store_iter_end(it, ok ? e : NULL) && ok;
}

static bool count_images(struct store *s, size_t *n, struct err *e)
{
	struct store_iter *it = store_images(s);
	struct store_image im;
	bool in_order = true;

	*n = 0;
	while (store_next_image(it, &im)) {
		in_order = in_order && im.index == (int64_t)*n;
		++*n;
	}
	if (!store_iter_end(it, e))
		return false;
	if (!in_order)
		return err_set(e, ERR_STORE, "store '%s' is damaged: its images are not numbered from 0", store_path(s));
	if (!*n)
		return err_set(e, ERR_STORE, "store '%s' holds no images: run its campaign first", store_path(s));
	return *n <= SELECT_MAX_IMAGES ||
	       err_set(e, ERR_UNSUPPORTED, "store '%s' holds %zu images, the most to select from is %d", store_path(s), *n, SELECT_MAX_IMAGES);
}

static bool check_devices(struct store *s, const struct select_options *o, struct err *e)
{
	for (size_t i = 0; i < o->ndevices; i++) {
		struct store_iter *it = store_devices(s);
		struct store_device d;
		struct str known = {0};
		bool found = false, ok;

		while (store_next_device(it, &d)) {
			found = found || !strcmp(d.name, o->device[i]);
			str_addf(&known, "%s'%s'", known.n ? ", " : "", d.name);
		}
		ok = store_iter_end(it, e) && (found || err_set(e, ERR_USAGE, "store '%s' has no device '%s'; it has %s", store_path(s),
								o->device[i], str_text(&known)));
		str_free(&known);
		if (!ok)
			return false;
	}
	return true;
}

/* ---- first pass: the matrix ---- */

static bool add(const struct group *g, void *user, struct err *e)
{
	struct select_matrix *m = user;

	for (int c = 0; c < STORE_CRITERIA; c++)
		if (g->killed >> c & 1 && !select_matrix_add(m, g->bits[c], 1, e))
			return false;
	return true;
}

/* ---- second pass: what is kept ---- */

struct tally {
	struct arena *a;
	struct select_result *r;
	uint64_t *chosen;
	const char *last; /* mutant that counts as lonely already */
	size_t cap;
};

static bool meets(const uint64_t *a, const uint64_t *b, size_t words)
{
	for (size_t w = 0; w < words; w++)
		if (a[w] & b[w])
			return true;
	return false;
}

static size_t lowest(const uint64_t *bits)
{
	size_t w = 0;

	while (!bits[w])
		w++;
	return w * 64 + (size_t)__builtin_ctzll(bits[w]);
}

static bool tally(const struct group *g, void *user, struct err *e)
{
	struct tally *t = user;
	struct select_result *r = t->r;
	size_t words = (r->nimages + 63) / 64;
	struct select_kill one = {0};

	(void)e;
	for (int c = 0; c < STORE_CRITERIA; c++) {
		if (!(g->killed >> c & 1))
			continue;
		r->kills[c]++;
		r->kept[c] += meets(g->bits[c], t->chosen, words);
		r->anywhere += g->anywhere[c];
		if (g->count[c] == 1) {
			one.criteria |= 1u << c;
			one.image = lowest(g->bits[c]);
			r->alone[one.image]++;
		}
	}
	if (!one.criteria)
		return true;
	r->lonely += !t->last || strcmp(t->last, g->mutant) != 0;
	t->last = arena_strdup(t->a, g->mutant);
	if (r->nkills == SELECT_LISTED)
		return true;
	one.mutant = t->last;
	one.device = arena_strdup(t->a, g->device);
	if (r->nkills == t->cap)
		r->kill = vec_grow(t->a, r->kill, r->nkills, &t->cap, sizeof *r->kill);
	r->kill[r->nkills++] = one;
	return true;
}

static uint64_t *chosen_bits(struct arena *a, const struct select_result *r)
{
	uint64_t *bits = ARENA_ARRAY(a, uint64_t, r->nimages / 64 + 1);

	for (size_t i = 0; i < r->cover.n; i++)
		bits[r->cover.image[i] / 64] |= (uint64_t)1 << (r->cover.image[i] % 64);
	return bits;
}

bool select_from_store(struct arena *a, struct store *s, const struct select_options *o, struct select_result *out, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	struct pass p = {.s = s, .o = o, .visit = add};
	struct tally t = {.a = a, .r = out};
	bool ok;

	*out = (struct select_result){0};
	ok = check_devices(s, o, e) && count_images(s, &out->nimages, e);
	p.nimages = out->nimages;
	p.words = (p.nimages + 63) / 64;
	if (ok) {
		p.user = select_matrix_new(scratch, p.nimages);
		ok = walk(&p, e);
	}
	if (ok) {
		out->alone = ARENA_ARRAY(a, uint64_t, out->nimages);
		select_cover(a, p.user, o->most_images, o->steps, &out->cover);
		t.chosen = chosen_bits(scratch, out);
		p.visit = tally;
		p.user = &t;
		ok = walk(&p, e);
	}
	arena_free(scratch);
	return ok;
}

/* ---- kills.csv ---- */

struct lines {
	struct file_out *f;
	struct str t; /* a group's */
	char **name;
	uint64_t *chosen;
	size_t words;
};

static bool line(const struct group *g, void *user, struct err *e)
{
	struct lines *l = user;
	struct str *t = &l->t;

	(void)e;
	str_clear(t);
	for (int c = 0; c < STORE_CRITERIA; c++) {
		size_t kept = 0;

		if (!(g->killed >> c & 1))
			continue;
		for (size_t w = 0; w < l->words; w++)
			kept += (size_t)__builtin_popcountll(g->bits[c][w] & l->chosen[w]);
		str_add_csv(t, g->mutant);
		str_addc(t, ',');
		str_add_csv(t, g->device);
		str_addf(t, ",%s,%s,%zu,", store_criterion_name(c), g->anywhere[c] ? "any" : "seen", kept);
		if (!g->anywhere[c])
			str_addf(t, "%zu", g->count[c]);
		str_addc(t, ',');
		if (g->count[c] == 1)
			str_add_csv(t, l->name[lowest(g->bits[c])]);
		str_add(t, "\r\n");
	}
	file_out_add(l->f, str_text(t), t->n);
	return true;
}

static char **image_names(struct arena *a, struct store *s, size_t n, struct err *e)
{
	char **name = ARENA_ARRAY(a, char *, n + 1);
	struct store_iter *it = store_images(s);
	struct store_image im;

	for (size_t i = 0; i < n && store_next_image(it, &im); i++)
		name[i] = arena_strdup(a, im.name);
	return store_iter_end(it, e) ? name : NULL;
}

bool select_kills_csv(struct store *s, const struct select_options *o, const struct select_result *r, const char *path, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct lines l = {.chosen = chosen_bits(a, r), .words = (r->nimages + 63) / 64};
	struct pass p = {.s = s, .o = o, .nimages = r->nimages, .words = l.words, .visit = line, .user = &l};
	bool ok = (l.name = image_names(a, s, r->nimages, e)) != NULL;

	if (ok) {
		str_add(&l.t, "mutant,device,criterion,needs,images_of_set,images_of_campaign,only_image\r\n");
		l.f = file_out_begin(path);
		file_out_add(l.f, str_text(&l.t), l.t.n);
		ok = walk(&p, e);
		ok = file_out_end(l.f, ok, e) && ok;
	}
	str_free(&l.t);
	arena_free(a);
	return ok;
}
