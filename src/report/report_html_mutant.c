/* report_html_mutant.c: one mutant on all devices: a row of the table, and what is shown when it is opened */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "report/report_html.h"

#define MAX_DIFF (24 << 10)
#define MAX_LOG (4 << 10)
#define MAX_MESSAGE 1000
#define MAX_DRIFTED 3 /* images shown of a mutant whose labels stay */

struct side { /* one device's view of the mutant */
	struct store_result r;
	struct store_image_result *image; /* by image of the comparison; outcome NOT_RUN where there is none */
	struct store_summary worst;
	double nmse;
	int64_t nan, inf;
};

struct rank { /* of an image: how much there is to see */
	size_t image;
	enum outcome outcome;
	double distance;
};

static uintptr_t place_of(struct map *m, const char *name)
{
	return (uintptr_t)map_get(m, name);
}

static size_t target_of(struct html *h, const char *name)
{
	uintptr_t at = place_of(h->target, name);

	if (!at) {
		struct html_target t = {arena_strdup(h->a, name), (int64_t)place_of(h->layer, name) - 1};

		vec_push(h->a, &h->targets, t);
		at = h->targets.n;
		map_put(h->target, name, (void *)at);
	}
	return at - 1;
}

static void keep_answer(struct arena *a, struct store_answer *x)
{
	x->k = x->k < HTML_TOP ? x->k : HTML_TOP;
	x->label = arena_memdup(a, x->label, (size_t)x->k * sizeof *x->label);
	x->probability = arena_memdup(a, x->probability, (size_t)x->k * sizeof *x->probability);
	x->logits = NULL;
	x->nlogits = 0;
}

static void add_up(struct side *d, const struct store_image_result *im)
{
	struct store_summary *w = &d->worst;

	if (!im->answer.k)
		return;
	w->cosine = w->answers ? fmin(w->cosine, im->cosine) : im->cosine;
	w->answers++;
	w->max_abs = fmax(w->max_abs, im->max_abs);
	w->max_rel = fmax(w->max_rel, im->max_rel);
	w->l2 = fmax(w->l2, im->l2);
	w->max_ulp = fmax(w->max_ulp, im->max_ulp);
	d->nmse = fmax(d->nmse, im->nmse);
	d->nan += im->nan_count;
	d->inf += im->inf_count;
	w->nan_images += im->nan_count + im->inf_count > 0;
	w->jaccard += im->jaccard;
	w->rbo += im->rbo;
	w->kendall += im->kendall;
	w->displacement += im->displacement;
}

static bool read_images(struct html *h, struct cmp_side *s, struct arena *a, const char *id, struct side *d, struct err *e)
{
	struct store_iter *it = store_image_verdicts(h->s, id, s->device);
	struct store_image_result im;

	while (store_next_image_result(it, &im)) {
		int32_t place = im.image >= 0 && im.image < s->nslots ? s->slot[im.image] : -1;

		if (place < 0)
			continue;
		keep_answer(a, &im.answer);
		cmp_take_image(s, a, &im);
		add_up(d, &im);
		d->image[place] = im;
	}
	return store_iter_end(it, e);
}

static void keep_result(struct arena *a, struct store_result *r)
{
	r->message = arena_strdup(a, r->message);
	r->stage = arena_strdup(a, r->stage);
	r->kernel = arena_strdup(a, r->kernel);
	r->log = arena_strdup(a, r->log);
	r->twin = arena_strdup(a, r->twin);
	r->fill = arena_strdup(a, r->fill);
}

/* All devices; those of which the store has no row keep the outcome not-run. */
static bool read_sides(struct html *h, struct arena *a, const char *id, struct side *d, struct err *e)
{
	struct store_iter *it = store_results(h->s, id, NULL);
	struct store_result r;

	for (size_t i = 0; i < h->cmp.nsides; i++)
		d[i].image = ARENA_ARRAY(a, struct store_image_result, h->cmp.nimages ? h->cmp.nimages : 1);
	for (size_t i = 0; store_next_result(it, &r);) {
		while (i < h->cmp.nsides && strcmp(h->cmp.side[i].device, r.device) != 0)
			i++;
		if (i == h->cmp.nsides)
			break;
		d[i].r = r;
		keep_result(a, &d[i].r);
	}
	if (!store_iter_end(it, e))
		return false;
	for (size_t i = 0; i < h->cmp.nsides; i++) {
		cmp_take_result(&h->cmp, &h->cmp.side[i], a, &d[i].r);
		if (!read_images(h, &h->cmp.side[i], a, id, &d[i], e))
			return false;
		cmp_taken(&h->cmp, &h->cmp.side[i]);
	}
	return true;
}

/* ---- the row ---- */

static char letter(int n)
{
	return (char)('a' + n);
}

/* What follows "OPERATOR/TARGET/" in the id; an id that is built otherwise stands there whole, behind a '='. */
static void put_id(const struct store_mutant *m, struct str *t)
{
	size_t op = strlen(m->op), target = strlen(m->target);

	if (m->id[0] && !strncmp(m->id, m->op, op) && m->id[op] == '/' && !strncmp(m->id + op + 1, m->target, target) && m->id[op + 1 + target] == '/' && m->id[op + target + 2] != '=') {
		script_text(t, m->id + op + target + 2, 0);
	} else {
		struct str whole = {0};

		str_addf(&whole, "=%s", m->id);
		script_text(t, str_text(&whole), 0);
		str_free(&whole);
	}
}

/* [id, operator, target, sites, outcome letters, kill digits, pair digits, remark digits, [images changed], [images], [largest difference],
 * and why it is suppressed, when it is] */
static void put_row(struct html *h, const struct store_mutant *m, const struct side *d, struct str *t)
{
	size_t n = h->cmp.nsides;

	str_addc(t, '[');
	put_id(m, t);
	str_addf(t, ",%llu,%zu,%lld,\"", (unsigned long long)place_of(h->op, m->op) - 1, target_of(h, m->target), (long long)m->sites);
	for (size_t i = 0; i < n; i++)
		str_addc(t, letter((int)d[i].r.outcome));
	str_add(t, "\",\"");
	for (size_t i = 0; i < n; i++)
		str_addf(t, "%u", d[i].r.killed);
	str_add(t, "\",\"");
	for (size_t p = 0; p < h->cmp.npairs; p++) {
		struct cmp_pair pair;
		enum cmp_verdict v;

		cmp_mutant_pair(&h->cmp, p, &pair, &v);
		str_addf(t, "%d", (int)v);
	}
	str_add(t, "\",\"");
	for (size_t i = 0; i < n; i++)
		str_addf(t, "%d", d[i].r.degenerate | (d[i].r.twin != NULL) << 1 | (d[i].worst.nan_images > 0) << 2);
	str_add(t, "\",[");
	for (size_t i = 0; i < n; i++)
		str_addf(t, "%s%lld", i ? "," : "", (long long)d[i].r.images_changed);
	str_add(t, "],[");
	for (size_t i = 0; i < n; i++)
		str_addf(t, "%s%lld", i ? "," : "", (long long)d[i].r.images);
	str_add(t, "],[");
	for (size_t i = 0; i < n; i++) {
		str_add(t, i ? "," : "");
		script_number(t, d[i].worst.answers ? d[i].worst.max_abs : NAN, 4);
	}
	str_addc(t, ']');
	if (m->suppressed) {
		str_addc(t, ',');
		script_text(t, m->suppressed, MAX_MESSAGE);
	}
	str_addc(t, ']');
}

/* ---- the details ---- */

void html_answer(struct html *h, const struct store_answer *x, struct str *t)
{
	str_addc(t, '[');
	for (int i = 0; i < x->k && i < HTML_TOP; i++) {
		str_addf(t, "%s%d", i ? "," : "", x->label[i]);
		if (x->label[i] < 0 || x->label[i] >= HTML_MAX_CLASS)
			continue;
		while (h->shown.n <= (size_t)x->label[i])
			vec_push(h->a, &h->shown, 0);
		h->shown.v[x->label[i]] = 1;
	}
	str_add(t, "],[");
	for (int i = 0; i < x->k && i < HTML_TOP; i++) {
		str_add(t, i ? "," : "");
		script_number(t, x->probability[i], 3);
	}
	str_addc(t, ']');
}

static int more_to_see(const void *x, const void *y)
{
	const struct rank *a = x, *b = y;

	if (a->outcome != b->outcome)
		return a->outcome < b->outcome ? 1 : -1;
	if (a->distance != b->distance)
		return a->distance < b->distance ? 1 : -1;
	return a->image < b->image ? -1 : a->image > b->image;
}

/* Images that differ on some device, those with most to see first. */
static size_t rank_images(struct html *h, struct arena *a, const struct side *d, struct rank **out)
{
	size_t n = 0;

	*out = ARENA_ARRAY(a, struct rank, h->cmp.nimages ? h->cmp.nimages : 1);
	for (size_t i = 0; i < h->cmp.nimages; i++) {
		struct rank r = {i, OUTCOME_NOT_RUN, 0};

		for (size_t s = 0; s < h->cmp.nsides; s++) {
			const struct store_image_result *im = &d[s].image[i];

			r.outcome = im->outcome > r.outcome ? im->outcome : r.outcome;
			r.distance = isfinite(im->max_abs) ? fmax(r.distance, im->max_abs) : HUGE_VAL;
		}
		if (r.outcome > OUTCOME_IDENTICAL)
			(*out)[n++] = r;
	}
	qsort(*out, n, sizeof **out, more_to_see);
	return n;
}

static void put_image(struct html *h, const struct side *d, size_t image, struct str *t)
{
	str_addf(t, "[%zu", image);
	for (size_t s = 0; s < h->cmp.nsides; s++) {
		const struct store_image_result *im = &d[s].image[image];

		if (im->outcome == OUTCOME_NOT_RUN && !im->answer.k) {
			str_add(t, ",0");
			continue;
		}
		str_addf(t, ",[\"%c\",", letter((int)im->outcome));
		html_answer(h, &im->answer, t);
		str_addc(t, ',');
		script_number(t, im->answer.k ? im->max_abs : NAN, 3);
		str_addc(t, ']');
	}
	str_addc(t, ']');
}

static void put_images(struct html *h, struct arena *a, const struct side *d, struct str *t)
{
	struct rank *rank;
	size_t n = rank_images(h, a, d, &rank), shown = 0;

	str_add(t, ",\"images\":[");
	for (; shown < n && shown < h->max_images; shown++) {
		if (rank[shown].outcome < OUTCOME_REORDERED && shown >= MAX_DRIFTED)
			break;
		str_add(t, shown ? "," : "");
		put_image(h, d, rank[shown].image, t);
	}
	str_addf(t, "],\"more\":%zu", n - shown);
}

static void put_distances(const struct side *d, struct str *t)
{
	const struct store_summary *w = &d->worst;
	double n = (double)w->answers;
	const struct {
		const char *name;
		double value;
	} list[] = {{"max_abs", w->max_abs},       {"max_rel", w->max_rel},  {"l2", w->l2},
		    {"cosine", w->cosine},         {"nmse", d->nmse},        {"max_ulp", w->max_ulp},
		    {"jaccard", w->jaccard / n},   {"rbo", w->rbo / n},      {"kendall", w->kendall / n},
		    {"displacement", w->displacement / n}};

	str_add(t, ",\"distances\":{");
	for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
		str_addf(t, "%s\"%s\":", i ? "," : "", list[i].name);
		script_number(t, list[i].value, 5);
	}
	str_addf(t, ",\"nan\":%lld,\"inf\":%lld}", (long long)d->nan, (long long)d->inf);
}

static void put_field(struct str *t, const char *name, const char *text, size_t max)
{
	if (!text || !*text)
		return;
	str_addf(t, ",\"%s\":", name);
	script_text(t, text, max);
}

static void put_side(struct html *h, const struct side *d, struct str *t)
{
	const struct store_result *r = &d->r;

	str_addf(t, "{\"run\":%lld,\"saved\":%lld,\"runs\":%lld,\"build_s\":", (long long)r->launches_run, (long long)r->launches_saved,
		 (long long)r->runs);
	script_number(t, r->build_s, 4);
	str_add(t, ",\"run_s\":");
	script_number(t, r->run_s, 4);
	str_add(t, ",\"code\":");
	script_hash(t, r->code, 32);
	if (r->signal)
		str_addf(t, ",\"signal\":%d", r->signal);
	put_field(t, "message", r->message, MAX_MESSAGE);
	put_field(t, "stage", r->stage, 40);
	put_field(t, "kernel", r->kernel, 200);
	put_field(t, "log", r->log, MAX_LOG);
	put_field(t, "fill", r->fill, 100);
	put_field(t, "twin", r->twin, 0);
	if (d->worst.answers)
		put_distances(d, t);
	str_add(t, ",\"strip\":\"");
	for (size_t i = 0; i < h->cmp.nimages && i < HTML_STRIP; i++)
		str_addc(t, letter((int)d->image[i].outcome));
	str_add(t, "\"}");
}

static bool put_sources(struct html *h, const char *id, struct str *t, struct err *e)
{
	struct store_iter *it = store_sources(h->s, id);
	const char *dialect, *diff;
	bool first = true;

	str_add(t, ",\"source\":[");
	while (store_next_source(it, &dialect, &diff)) {
		str_add(t, first ? "[" : ",[");
		first = false;
		script_text(t, dialect, 100);
		str_addc(t, ',');
		script_text(t, diff, MAX_DIFF);
		str_addc(t, ']');
	}
	str_addc(t, ']');
	return store_iter_end(it, e);
}

/* Which images tell this mutant from the original, and whether one does so alone. */
static void count_told(struct html *h, const struct side *d)
{
	for (size_t s = 0; s < h->cmp.nsides; s++) {
		struct html_image *told = &h->told[s * h->cmp.nimages];
		size_t kills = 0, last = 0;

		for (size_t i = 0; i < h->cmp.nimages; i++)
			if (outcome_kills(d[s].image[i].outcome) & STORE_KILL_LABEL) {
				told[i].kills++;
				kills++;
				last = i;
			}
		if (kills == 1)
			told[last].only++;
	}
}

bool html_mutant(struct html *h, const struct store_mutant *m, struct str *row, struct str *detail, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct side *d = ARENA_ARRAY(a, struct side, h->cmp.nsides ? h->cmp.nsides : 1);
	bool ok = read_sides(h, a, m->id, d, e);

	if (ok) {
		put_row(h, m, d, row);
		if (!m->suppressed)
			count_told(h, d);
		str_add(detail, "{\"diff\":");
		script_text(detail, m->diff, MAX_DIFF);
		put_field(detail, "bounds", m->bounds, 100);
		put_field(detail, "bounds_text", m->bounds_text, MAX_MESSAGE);
		ok = put_sources(h, m->id, detail, e);
		str_add(detail, ",\"devices\":[");
		for (size_t i = 0; i < h->cmp.nsides; i++) {
			str_add(detail, i ? "," : "");
			put_side(h, &d[i], detail);
		}
		str_addc(detail, ']');
		put_images(h, a, d, detail);
		str_addc(detail, '}');
	}
	arena_free(a);
	return ok;
}
