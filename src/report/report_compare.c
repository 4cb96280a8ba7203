/* report_compare.c: pairing stores, devices, mutants and images */
#include "report/report_compare.h"

#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"
#include "value/value.h"

#define MAX_IMAGES 10000000

const char *cmp_verdict_name(enum cmp_verdict v)
{
	static const char *const names[] = {"not-compared", "agree", "as-original", "mutant", "judged", "outcome"};

	return names[v];
}

/* Images are the same by name; a store's numbers become places in one list. */
static bool slots_of(struct cmp *c, struct store *s, struct map *names, int32_t **slot, int64_t *n, struct err *e)
{
	struct store_iter *it = store_images(s);
	struct store_image im;
	VEC(int32_t) v = {0};

	while (store_next_image(it, &im)) {
		intptr_t place = (intptr_t)map_get(names, im.name);

		if (im.index < 0 || im.index >= MAX_IMAGES)
			continue;
		if (!place) {
			place = (intptr_t)++c->nimages;
			map_put(names, im.name, (void *)place);
		}
		while ((int64_t)v.n <= im.index)
			vec_push(c->arena, &v, -1);
		v.v[im.index] = (int32_t)(place - 1);
	}
	*slot = v.v;
	*n = (int64_t)v.n;
	return store_iter_end(it, e);
}

static char *title(struct cmp *c, const char *path, const char *device)
{
	return c->nstores > 1 ? arena_printf(c->arena, "%s:%s", file_stem(c->arena, path), device) : arena_strdup(c->arena, device);
}

static bool add_sides(struct cmp *c, struct err *e)
{
	struct map *names = map_new(c->arena);
	VEC(struct cmp_side) v = {0};

	for (size_t i = 0; i < c->nstores; i++) {
		struct store_iter *it;
		struct store_device d;
		int32_t *slot;
		int64_t n;

		if (!slots_of(c, c->store[i], names, &slot, &n, e))
			return false;
		it = store_devices(c->store[i]);
		while (store_next_device(it, &d)) {
			struct cmp_side side = {.store = c->store[i], .slot = slot, .nslots = n};

			side.device = arena_strdup(c->arena, d.name);
			side.title = title(c, store_path(c->store[i]), d.name);
			vec_push(c->arena, &v, side);
		}
		if (!store_iter_end(it, e))
			return false;
	}
	c->side = v.v;
	c->nsides = v.n;
	return true;
}

static void keep(struct arena *a, const struct cmp_side *s, int64_t image, const struct store_answer *from, struct cmp_answer *list)
{
	struct cmp_answer *to;

	if (image < 0 || image >= s->nslots || s->slot[image] < 0 || !from->k)
		return;
	to = &list[s->slot[image]];
	to->there = true;
	to->top1 = from->label[0];
	to->digest = from->digest;
	to->nlogits = from->nlogits;
	to->logits = from->logits ? arena_memdup(a, from->logits, (size_t)from->nlogits * sizeof(float)) : NULL;
}

static bool read_original(struct cmp *c, struct cmp_side *s, struct err *e)
{
	struct store_iter *it = store_baselines(s->store, s->device);
	struct store_baseline b;

	s->original = ARENA_ARRAY(c->arena, struct cmp_answer, c->nimages ? c->nimages : 1);
	while (store_next_baseline(it, &b))
		keep(c->arena, s, b.image, &b.answer, s->original);
	return store_iter_end(it, e);
}

static void compare_answers(const struct cmp_answer *x, const struct cmp_answer *y, struct cmp_pair *p)
{
	struct distance d;

	p->images++;
	p->labels_differ += x->top1 != y->top1;
	if (!hash_is_zero(x->digest) && hash_eq(x->digest, y->digest)) {
		p->bits_equal++;
		return;
	}
	if (!x->logits || !y->logits || x->nlogits != y->nlogits) {
		p->measured = false;
		return;
	}
	distance_f32(x->logits, y->logits, x->nlogits, &d);
	p->max_abs = d.max_abs > p->max_abs ? d.max_abs : p->max_abs;
	p->special_differ += d.special_differs;
}

static void compare_sides(const struct cmp *c, const struct cmp_answer *x, const struct cmp_answer *y, struct cmp_pair *p)
{
	p->measured = true;
	for (size_t i = 0; i < c->nimages; i++) {
		const struct cmp_answer *ox = &c->side[p->a].original[i], *oy = &c->side[p->b].original[i];

		if (x[i].there && y[i].there) {
			compare_answers(&x[i], &y[i], p);
			p->new_differ += x[i].top1 != y[i].top1 && ox->there && oy->there && ox->top1 == oy->top1;
		} else if (x[i].there || y[i].there) {
			p->one_sided++;
		}
	}
	p->measured = p->measured && p->images;
}

bool cmp_open(struct store *const *s, size_t n, struct arena *a, struct cmp *out, struct err *e)
{
	VEC(struct cmp_pair) v = {0};

	*out = (struct cmp){.store = s, .nstores = n, .arena = a};
	if (!add_sides(out, e))
		return false;
	for (size_t i = 0; i < out->nsides; i++)
		if (!read_original(out, &out->side[i], e))
			return false;
	for (size_t i = 0; i < out->nsides; i++)
		for (size_t j = i + 1; j < out->nsides; j++) {
			struct cmp_pair p = {.a = i, .b = j};

			compare_sides(out, out->side[i].original, out->side[j].original, &p);
			vec_push(a, &v, p);
		}
	out->original = v.v;
	out->npairs = v.n;
	return true;
}

/* A mutant's logits are not kept where they are the original's. */
static void borrow(struct cmp_answer *a, const struct cmp_answer *original)
{
	if (a->there && !a->logits && original->there && !hash_is_zero(a->digest) && hash_eq(a->digest, original->digest)) {
		a->logits = original->logits;
		a->nlogits = original->nlogits;
	}
}

void cmp_take_result(const struct cmp *c, struct cmp_side *s, struct arena *a, const struct store_result *r)
{
	s->answer = ARENA_ARRAY(a, struct cmp_answer, c->nimages ? c->nimages : 1);
	s->known = r;
	s->outcome = r ? r->outcome : OUTCOME_NOT_RUN;
	s->images = r ? r->images : 0;
	s->images_changed = r ? r->images_changed : 0;
}

void cmp_take_image(struct cmp_side *s, struct arena *a, const struct store_image_result *im)
{
	keep(a, s, im->image, &im->answer, s->answer);
}

/* What is the original's program gives the original's answers. */
void cmp_taken(const struct cmp *c, struct cmp_side *s)
{
	for (size_t i = 0; i < c->nimages; i++) {
		borrow(&s->answer[i], &s->original[i]);
		if (s->outcome == OUTCOME_NO_EFFECT || s->outcome == OUTCOME_EQUIVALENT)
			s->answer[i] = s->original[i];
	}
}

static bool read_mutant(struct cmp *c, struct cmp_side *s, struct arena *a, const char *id, struct err *e)
{
	struct store_iter *it = store_results(s->store, id, s->device);
	struct store_image_result im;
	struct store_result r;

	cmp_take_result(c, s, a, store_next_result(it, &r) ? &r : NULL);
	if (!store_iter_end(it, e))
		return false;
	it = store_image_results(s->store, id, s->device);
	while (store_next_image_result(it, &im))
		cmp_take_image(s, a, &im);
	cmp_taken(c, s);
	return store_iter_end(it, e);
}

static bool seen_before(struct cmp *c, size_t store, const char *id, struct arena *a, bool *seen, struct err *e)
{
	struct store_mutant m;

	*seen = false;
	for (size_t i = 0; i < store && !*seen; i++)
		if (!store_get_mutant(c->store[i], a, id, &m, seen, e))
			return false;
	return true;
}

static bool next_mutant(struct cmp *c, struct cmp_walk *w, struct arena *a, struct store_mutant *m, bool *got, struct err *e)
{
	bool seen = true;

	*got = false;
	while (seen) {
		if (!w->it && w->store == c->nstores)
			return true;
		if (!w->it)
			w->it = store_mutants(c->store[w->store], NULL);
		if (store_next_mutant(w->it, m)) {
			if (!seen_before(c, w->store, m->id, a, &seen, e))
				return false;
		} else {
			struct store_iter *it = w->it;

			w->it = NULL;
			w->store++;
			if (!store_iter_end(it, e))
				return false;
		}
	}
	*got = true;
	return true;
}

bool cmp_next(struct cmp *c, struct cmp_walk *w, struct arena *a, struct store_mutant *m, bool *got, struct err *e)
{
	bool ok = next_mutant(c, w, a, m, got, e);

	for (size_t i = 0; ok && *got && i < c->nsides; i++)
		ok = read_mutant(c, &c->side[i], a, m->id, e);
	if (!ok && w->it) {
		store_iter_end(w->it, NULL);
		w->it = NULL;
	}
	return ok;
}

static bool answers(const struct cmp_side *s)
{
	return s->outcome == OUTCOME_NO_EFFECT || s->outcome == OUTCOME_EQUIVALENT ||
	       (s->outcome >= OUTCOME_IDENTICAL && s->outcome <= OUTCOME_NAN);
}

/* Outcomes under which a device answers just as its original does are one. */
static enum outcome kind(const struct cmp_side *s)
{
	return s->outcome <= OUTCOME_TOLERATED && answers(s) ? OUTCOME_IDENTICAL : s->outcome;
}

/* Of sides with answers the labels count first, then what they were judged to be; of one without only that. */
static enum cmp_verdict judge(const struct cmp_side *x, const struct cmp_side *y, const struct cmp_pair *p)
{
	bool unknown = x->outcome == OUTCOME_NOT_RUN || y->outcome == OUTCOME_NOT_RUN || x->outcome == OUTCOME_TOOL_ERROR ||
		       y->outcome == OUTCOME_TOOL_ERROR;

	if (!unknown && answers(x) != answers(y))
		return CMP_OUTCOME;
	if (!unknown && !answers(x) && x->outcome != y->outcome)
		return CMP_OUTCOME;
	if (!p->images)
		return CMP_NOT_COMPARED;
	if (!p->labels_differ)
		return !unknown && kind(x) != kind(y) ? CMP_JUDGED : CMP_AGREE;
	return p->new_differ ? CMP_MUTANT : CMP_AS_ORIGINAL;
}

void cmp_mutant_pair(const struct cmp *c, size_t p, struct cmp_pair *out, enum cmp_verdict *verdict)
{
	const struct cmp_pair *o = &c->original[p];
	const struct cmp_side *x = &c->side[o->a], *y = &c->side[o->b];

	*out = (struct cmp_pair){.a = o->a, .b = o->b};
	compare_sides(c, x->answer, y->answer, out);
	*verdict = judge(x, y, out);
}
