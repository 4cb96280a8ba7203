/* report_html_meta.c: what a page knows besides its mutants: the campaign, devices, layers, kernels, images, the originals' answers */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "report/report_html.h"

#define MAX_TEXT 4000

static void text(struct str *t, const char *key, const char *value, size_t max)
{
	str_addf(t, ",\"%s\":", key);
	script_text(t, value, max);
}

static void number(struct str *t, const char *key, int64_t value)
{
	str_addf(t, ",\"%s\":%lld", key, (long long)value);
}

bool html_layers(struct html *h, struct err *e)
{
	struct store_iter *it = store_layers(h->s);
	struct store_layer l;
	struct store_kernel k;
	intptr_t n = 0;

	while (store_next_layer(it, &l))
		map_put(h->layer, l.node, (void *)++n);
	if (!store_iter_end(it, e))
		return false;
	it = store_kernels(h->s, NULL);
	while (store_next_kernel(it, &k))
		if (!map_has(h->layer, k.name) && map_has(h->layer, k.node))
			map_put(h->layer, k.name, map_get(h->layer, k.node));
	return store_iter_end(it, e);
}

static bool put_layers(struct html *h, struct str *t, struct err *e)
{
	struct store_iter *it = store_layers(h->s);
	struct store_layer l;
	const char *between = "";

	str_add(t, ",\n\"layers\":[");
	for (; store_next_layer(it, &l); between = ",\n") {
		str_addf(t, "%s[", between);
		script_text(t, l.node, 0);
		str_addc(t, ',');
		script_text(t, l.op, 60);
		str_addc(t, ',');
		script_text(t, l.shape, 60);
		str_addc(t, ',');
		script_number(t, l.macs, 6);
		str_addc(t, ']');
	}
	str_addc(t, ']');
	return store_iter_end(it, e);
}

static size_t side_of(const struct html *h, const char *device)
{
	size_t i = 0;

	while (i < h->cmp.nsides && strcmp(h->cmp.side[i].device, device) != 0)
		i++;
	return i;
}

/* [device, name, layer, floating-point operations, seconds] */
static bool put_kernels(struct html *h, struct str *t, struct err *e)
{
	struct store_iter *it = store_kernels(h->s, NULL);
	struct store_kernel k;
	const char *between = "";

	str_add(t, ",\n\"kernels\":[");
	for (; store_next_kernel(it, &k); between = ",\n") {
		str_addf(t, "%s[%zu,", between, side_of(h, k.device));
		script_text(t, k.name, 0);
		str_addf(t, ",%lld,", (long long)(intptr_t)map_get(h->layer, k.node) - 1);
		script_number(t, k.flops, 6);
		str_addc(t, ',');
		script_number(t, k.seconds < 0 ? NAN : k.seconds, 5);
		str_addc(t, ']');
	}
	str_addc(t, ']');
	return store_iter_end(it, e);
}

static void put_counts(const struct store_counts *c, struct str *t)
{
	str_addf(t, "{\"rows\":%lld,\"counted\":%lld,\"killed\":[", (long long)c->rows, (long long)c->counted);
	for (int i = 0; i < STORE_CRITERIA; i++)
		str_addf(t, "%s%lld", i ? "," : "", (long long)c->killed[i]);
	str_add(t, "],\"outcome\":[");
	for (int o = 0; o < OUTCOME_COUNT; o++)
		str_addf(t, "%s%lld", o ? "," : "", (long long)c->outcome[o]);
	str_add(t, "]}");
}

static void put_devices(struct html *h, struct str *t)
{
	str_add(t, ",\n\"devices\":[");
	for (size_t i = 0; i < h->data.ndevices; i++) {
		const struct report_device *d = &h->data.device[i];

		str_add(t, i ? ",\n{\"name\":" : "{\"name\":");
		script_text(t, d->name, 0);
		text(t, "backend", d->backend, 100);
		text(t, "describe", d->describe, MAX_TEXT);
		text(t, "identity", d->identity, MAX_TEXT);
		text(t, "error", d->error, MAX_TEXT);
		text(t, "noise", d->noise, MAX_TEXT);
		number(t, "labelled", d->original.labelled);
		number(t, "right", d->original.right);
		str_add(t, ",\"counts\":");
		put_counts(&d->counts, t);
		str_addc(t, '}');
	}
	str_addc(t, ']');
}

static void put_outcomes(struct str *t)
{
	str_add(t, ",\n\"outcomes\":[");
	for (int o = 0; o < OUTCOME_COUNT; o++) {
		str_add(t, o ? ",[" : "[");
		script_text(t, outcome_name((enum outcome)o), 0);
		str_addf(t, ",%d,%u,", (int)outcome_class((enum outcome)o), outcome_kills((enum outcome)o));
		script_text(t, outcome_help((enum outcome)o), 0);
		str_addc(t, ']');
	}
	str_add(t, "],\"criteria\":[");
	for (int c = 0; c < STORE_CRITERIA; c++) {
		str_add(t, c ? "," : "");
		script_text(t, store_criterion_name(c), 0);
	}
	str_add(t, "],\"verdicts\":[");
	for (int v = 0; v < CMP_VERDICTS; v++) {
		str_add(t, v ? "," : "");
		script_text(t, cmp_verdict_name((enum cmp_verdict)v), 0);
	}
	str_addc(t, ']');
}

/* [glob, mutants, reason] */
static void put_suppressions(struct html *h, struct str *t)
{
	str_add(t, ",\n\"suppressions\":[");
	for (size_t i = 0; i < h->data.nsuppressions; i++) {
		const struct report_suppression *x = &h->data.suppression[i];

		str_add(t, i ? ",[" : "[");
		script_text(t, x->glob, 1000);
		str_addf(t, ",%lld,", (long long)x->mutants);
		script_text(t, x->reason, MAX_TEXT);
		str_addc(t, ']');
	}
	str_addc(t, ']');
}

static void put_names(struct html *h, struct str *t)
{
	str_add(t, ",\n\"operators\":[");
	for (size_t i = 0; i < h->data.nops; i++) {
		str_add(t, i ? ",[" : "[");
		script_text(t, h->data.op[i].name, 0);
		str_addc(t, ',');
		script_text(t, h->data.op[i].category, 0);
		str_addc(t, ']');
	}
	str_add(t, "],\n\"targets\":[");
	for (size_t i = 0; i < h->targets.n; i++) {
		str_add(t, i ? ",[" : "[");
		script_text(t, h->targets.v[i].name, 0);
		str_addf(t, ",%lld]", (long long)h->targets.v[i].layer);
	}
	str_addc(t, ']');
}

/* [device, device, images, labels differ, bits equal, largest difference] */
static void put_pairs(struct html *h, struct str *t)
{
	str_add(t, ",\n\"pairs\":[");
	for (size_t p = 0; p < h->cmp.npairs; p++) {
		const struct cmp_pair *o = &h->cmp.original[p];

		str_addf(t, "%s[%zu,%zu,%lld,%lld,%lld,", p ? "," : "", o->a, o->b, (long long)o->images, (long long)o->labels_differ,
			 (long long)o->bits_equal);
		script_number(t, o->measured ? o->max_abs : NAN, 4);
		str_addc(t, ']');
	}
	str_addc(t, ']');
}

/* [name, label, kills by device, only ones by device] */
static bool put_images(struct html *h, struct str *t, struct err *e)
{
	struct store_iter *it = store_images(h->s);
	struct store_image im;
	size_t place = 0;

	str_add(t, ",\n\"images\":[");
	for (; store_next_image(it, &im); place++) {
		bool known = place < h->cmp.nimages;

		str_add(t, place ? ",\n[" : "[");
		script_text(t, im.name, 300);
		str_addf(t, ",%lld,[", (long long)im.label);
		for (size_t s = 0; known && s < h->cmp.nsides; s++)
			str_addf(t, "%s%lld", s ? "," : "", (long long)h->told[s * h->cmp.nimages + place].kills);
		str_add(t, "],[");
		for (size_t s = 0; known && s < h->cmp.nsides; s++)
			str_addf(t, "%s%lld", s ? "," : "", (long long)h->told[s * h->cmp.nimages + place].only);
		str_add(t, "]]");
		if (im.label >= 0 && im.label < HTML_MAX_CLASS) {
			while (h->shown.n <= (size_t)im.label)
				vec_push(h->a, &h->shown, 0);
			h->shown.v[im.label] = 1;
		}
	}
	str_addc(t, ']');
	return store_iter_end(it, e);
}

static bool is_jpeg(const unsigned char *p, size_t n)
{
	return n > 3 && n <= STORE_MAX_THUMBNAIL && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff;
}

static bool put_thumbnails(struct html *h, struct str *t, struct err *e)
{
	struct store_iter *it = store_thumbnails(h->s);
	size_t n, bytes = 0;
	const void *jpeg;
	int64_t image;
	const char *between = "";

	str_add(t, ",\n\"thumbnails\":{");
	while (store_next_thumbnail(it, &image, &jpeg, &n)) {
		int32_t place = h->cmp.nsides && image >= 0 && image < h->cmp.side[0].nslots ? h->cmp.side[0].slot[image] : -1;

		if (place < 0 || !is_jpeg(jpeg, n) || (bytes += n) > HTML_THUMBNAIL_BYTES)
			continue;
		str_addf(t, "%s\"%d\":", between, (int)place);
		script_base64(t, jpeg, n);
		between = ",\n";
	}
	str_addc(t, '}');
	return store_iter_end(it, e);
}

/* By device, by image: [labels, probabilities, digest, noise], 0 where there is none. */
static bool put_originals(struct html *h, struct str *t, struct err *e)
{
	bool fits = h->cmp.nimages * h->cmp.nsides <= HTML_MAX_ANSWERS;

	str_add(t, ",\n\"originals\":[");
	for (size_t s = 0; fits && s < h->cmp.nsides; s++) {
		const struct cmp_side *side = &h->cmp.side[s];
		struct store_iter *it = store_baselines(h->s, side->device);
		struct store_baseline b;
		const char *between = "";

		str_add(t, s ? ",\n{" : "{");
		while (store_next_baseline(it, &b)) {
			int32_t place = b.image >= 0 && b.image < side->nslots ? side->slot[b.image] : -1;

			if (place < 0)
				continue;
			str_addf(t, "%s\"%d\":[", between, (int)place);
			between = ",";
			html_answer(h, &b.answer, t);
			str_addc(t, ',');
			script_hash(t, b.answer.digest, 12);
			str_addc(t, ',');
			script_number(t, b.noise_max_abs, 3);
			str_addc(t, ']');
		}
		str_addc(t, '}');
		if (!store_iter_end(it, e))
			return false;
	}
	str_addc(t, ']');
	return true;
}

/* Of the classes that some answer in the page names. */
static bool put_classes(struct html *h, struct str *t, struct err *e)
{
	struct store_iter *it = store_classes(h->s);
	const char *name, *between = "";
	int64_t index;

	str_add(t, ",\n\"classes\":{");
	while (store_next_class(it, &index, &name)) {
		if (index < 0 || (size_t)index >= h->shown.n || !h->shown.v[index])
			continue;
		str_addf(t, "%s\"%lld\":", between, (long long)index);
		script_text(t, name, 200);
		between = ",";
	}
	str_addc(t, '}');
	return store_iter_end(it, e);
}

bool html_meta(struct html *h, struct str *t, struct err *e)
{
	const struct report_data *d = &h->data;
	char *config, *seconds;

	if (!store_configuration(h->s, h->a, &config, e) || !store_get(h->s, h->a, "last-run-seconds", &seconds, e))
		return false;
	str_addf(t, "{\"format\":%d", HTML_FORMAT);
	text(t, "token", h->token, 0);
	text(t, "folder", h->folder ? file_base(h->folder) : NULL, 0);
	text(t, "tool", d->tool, 100);
	text(t, "created", d->created, 100);
	text(t, "seconds", seconds, 40);
	text(t, "store", store_path(h->s), 1000);
	text(t, "model", d->model, 300);
	text(t, "file", d->model_file, 1000);
	str_add(t, ",\"hash\":");
	script_hash(t, d->model_hash, 32);
	text(t, "configuration", config, 16 << 10);
	number(t, "run", d->all.launches_run);
	number(t, "saved", d->all.launches_saved);
	str_add(t, ",\"counts\":");
	put_counts(&d->all, t);
	put_outcomes(t);
	put_devices(h, t);
	put_names(h, t);
	put_suppressions(h, t);
	put_pairs(h, t);
	if (!put_layers(h, t, e) || !put_kernels(h, t, e) || !put_images(h, t, e) || !put_thumbnails(h, t, e) || !put_originals(h, t, e) ||
	    !put_classes(h, t, e))
		return false;
	str_add(t, "}");
	return true;
}
