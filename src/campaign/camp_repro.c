/* camp_repro.c: a mutant, or a difference of two devices, as a program that stands alone
 *
 * A folder with kernels, inputs, what came out, and a small host program (repro/) that runs them through the device's plain interface
 * and compares. By default it holds the one launch whose result differs first: its inputs are the original's, so nothing else is needed.
 */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "campaign/camp_repro_internal.h"

/* ---- what is reproduced ---- */

static bool find_device(struct repro *r, const char *name, struct select_device *out, struct err *e)
{
	struct store_iter *it = store_devices(r->s);
	struct str known = {0};
	struct store_device d;
	bool found = false, ok = true;

	while (ok && store_next_device(it, &d)) {
		str_addf(&known, "%s'%s'", known.n ? ", " : "", d.name);
		if (strcmp(d.name, name))
			continue;
		found = true;
		ok = d.error ? err_set(e, ERR_STORE, "device '%s' did not work in the campaign: %s", name, d.error)
			     : camp_recall_device(r->a, r->s, &d, out, e);
	}
	ok = store_iter_end(it, ok ? e : NULL) && ok;
	if (ok && !found)
		ok = err_set(e, ERR_USAGE, "store '%s' has no device '%s'; it has %s", store_path(r->s), name, str_text(&known));
	str_free(&known);
	return ok;
}

/* Whether there is a result of the campaign's that could be shown. */
static bool has_result(const struct repro *r, struct err *e)
{
	enum outcome o = r->verdict.outcome;

	if (o == OUTCOME_NOT_RUN || o == OUTCOME_TOOL_ERROR)
		return err_set(e, ERR_USAGE, "'%s' has no result on '%s' yet (%s): let the campaign end first", r->o->mutant, r->o->device, outcome_name(o));
	return o != OUTCOME_EQUIVALENT || r->o->against ||
	       err_set(e, ERR_USAGE, "'%s' compiles to the original's code on '%s': there is nothing to reproduce", r->o->mutant, r->o->device);
}

static bool find_verdict(struct repro *r, struct err *e)
{
	struct store_iter *it = store_results(r->s, r->o->mutant, r->o->device);
	struct store_result v;
	bool found = false;

	while (store_next_result(it, &v)) {
		found = true;
		r->verdict = v;
		r->verdict.mutant = arena_strdup(r->a, v.mutant);
		r->verdict.message = arena_strdup(r->a, v.message);
		r->verdict.kernel = arena_strdup(r->a, v.kernel);
	}
	if (!store_iter_end(it, e))
		return false;
	return found ? has_result(r, e) : err_set(e, ERR_USAGE, "store '%s' holds no mutant '%s'; 'mutatenn report %s --all' lists them", store_path(r->s),
						  r->o->mutant, store_path(r->s));
}

static bool find_image(struct repro *r, int64_t index, struct err *e)
{
	struct store_iter *it = store_images(r->s);
	struct store_image im;
	bool found = false;

	while (!found && store_next_image(it, &im)) {
		if (r->o->image ? strcmp(im.name, r->o->image) != 0 : im.index != index)
			continue;
		found = true;
		r->image = im;
		r->image.name = arena_strdup(r->a, im.name);
		r->image.path = arena_strdup(r->a, im.path);
	}
	if (!store_iter_end(it, e))
		return false;
	if (!found)
		return err_set(e, ERR_USAGE, "store '%s' has no image '%s'", store_path(r->s), r->o->image ? r->o->image : "0");
	return r->image.path || err_set(e, ERR_STORE, "store '%s' does not say where image '%s' was", store_path(r->s), r->image.name);
}

/* The image where the mutant did what its verdict says. */
static bool choose_image(struct repro *r, struct err *e)
{
	struct store_iter *it;
	struct store_image_result im;
	int64_t index = 0;
	enum outcome best = OUTCOME_NOT_RUN;

	if (!r->is_original && !r->o->image) {
		it = store_image_results(r->s, r->o->mutant, r->o->device);
		while (store_next_image_result(it, &im))
			if (im.outcome > best) {
				best = im.outcome;
				index = im.image;
			}
		if (!store_iter_end(it, e))
			return false;
	}
	return find_image(r, index, e);
}

static bool load_image(struct repro *r, struct err *e)
{
	const char *path = r->image.path;
	size_t n;

	if (!camp_inputs(r->a, r->model, &path, 1, NULL, &r->input, &n, e))
		return false;
	return hash_eq(r->input->hash, r->image.hash) ||
	       err_set(e, ERR_USAGE, "image '%s' is not what the campaign had: the file has changed since", r->image.name);
}

/* ---- running it ---- */

static bool open_devices(struct repro *r, struct err *e)
{
	const char *name[2] = {r->o->against ? r->o->against : r->o->device, r->o->device};
	size_t n = r->o->against ? 2 : 1;
	struct pool_device dev[2];

	for (size_t i = 0; i < 2; i++) {
		if (!camp_device(r->a, name[i], r->o->config, &r->side[i].def, e))
			return false;
		r->side[i].device = name[i];
		dev[i] = r->side[i].def;
		dev[i].cache_dir = "";
	}
	if (!pool_open(dev, n, &r->pool, e))
		return false;
	for (size_t i = 0; i < 2; i++) {
		size_t d = n == 2 ? i : 0;

		if (pool_device_error(r->pool, d))
			return err_set(e, ERR_DEVICE, "device '%s' cannot be used: %s", name[i], pool_device_error(r->pool, d));
		r->side[i].caps = pool_caps(r->pool, d);
	}
	return true;
}

static bool build_original(struct repro *r, size_t i, struct err *e)
{
	struct select_device d;
	struct camp_target t = {.dialect = r->side[i].caps->dialect};
	struct camp_level level;

	if (!find_device(r, r->side[i].device, &d, e))
		return false;
	t.cls = !strcmp(d.cls, "gpu") ? DEVICE_GPU : DEVICE_CPU;
	t.lanes = d.lanes;
	if (!dtype_parse(d.precision, &t.precision))
		return err_set(e, ERR_STORE, "store '%s' is damaged: '%s' is no precision", store_path(r->s), d.precision);
	if (strcmp(d.identity, camp_identity(r->a, r->side[i].caps, &t, r->set.opt_level)))
		log_warn("device '%s' is not what it was in the campaign: it may give something else now", r->side[i].device);
	level = camp_level_of(&r->set);
	return camp_program_build(r->a, r->model, &level, &t, &r->program[i], e);
}

static bool mutate(struct repro *r, size_t i, struct err *e)
{
	struct comp_program *unused;
	struct bundle *b;
	bool same;

	if (!mut_parse(r->a, &r->program[i].subject, r->o->mutant, &r->mutant, e) ||
	    !camp_mutate(r->a, r->model, &r->program[i], &r->mutant, &b, &unused, &same, e))
		return false;
	r->side[i].bundle = b ? b : r->program[i].bundle;
	return true;
}

static bool prepare_sides(struct repro *r, struct err *e)
{
	struct tensor **edited = NULL;

	for (size_t i = 0; i < 2; i++) {
		r->side[i].run = true;
		r->side[i].input = r->input->tensor;
		if (!build_original(r, i, e))
			return false;
		r->side[i].bundle = r->program[i].bundle;
		if ((i || r->o->against) && !r->is_original && !mutate(r, i, e))
			return false;
	}
	if (!r->is_original && r->mutant.op->kind == MUT_INPUT) {
		if (!camp_inputs_edited(r->a, r->model, r->input, 1, mut_input_edit(&r->mutant), &edited, e))
			return false;
		for (size_t i = r->o->against ? 0 : 1; i < 2; i++)
			r->side[i].input = edited[0];
	}
	r->side[0].name = r->o->against ? "first" : "original";
	r->side[1].name = r->o->against ? "second" : "mutant";
	r->side[0].title = r->o->against ? arena_printf(r->a, "on device '%s'", r->o->against) : "the original";
	r->side[1].title = r->o->against ? arena_printf(r->a, "on device '%s'", r->o->device) : "the mutant";
	return true;
}

static bool run_side(struct repro *r, size_t i, struct err *e)
{
	struct side *s = &r->side[i];
	struct pool_input in = {.name = r->image.name, .tensor = &s->input, .ntensors = 1};
	struct pool_job job = {.device = r->o->against ? i : 0, .bundle = s->bundle, .input = &in, .ninputs = 1, .dump = true, .time_limit_s = 60};
	bool got = false;

	if (!pool_submit(r->pool, &job, e))
		return false;
	while (!got)
		if (!pool_wait(r->pool, r->a, -1, &got, &s->r, e))
			return false;
	s->ends = s->r.status == POOL_CRASHED ? "crash" : s->r.status == POOL_HUNG ? "hang" : "";
	if (s->r.status == POOL_DONE || s->r.status == POOL_OVERRUN || (*s->ends && (i || r->o->against)))
		return true;
	return err_set(e, ERR_DEVICE, "%s: %s%s%s", s->title, s->r.text, s->r.log ? "\n" : "", s->r.log ? s->r.log : "");
}

/* What the store has of the original on the image. */
static bool baseline_digest(struct repro *r, const char *device, struct hash *out, struct err *e)
{
	struct store_iter *it = store_baselines(r->s, device);
	struct store_baseline b;

	*out = (struct hash){0};
	while (store_next_baseline(it, &b))
		if (b.image == r->image.index)
			*out = b.answer.digest;
	return store_iter_end(it, e);
}

static bool stored_result(struct repro *r, const char *device, struct store_image_result *out, struct err *e)
{
	struct store_iter *it = store_image_results(r->s, r->o->mutant, device);
	struct store_image_result im;
	bool found = false;

	*out = (struct store_image_result){0};
	while (store_next_image_result(it, &im))
		if (im.image == r->image.index) {
			found = true;
			*out = im;
		}
	if (!store_iter_end(it, e))
		return false;
	return found || baseline_digest(r, device, &out->answer.digest, e); /* an equivalent mutant was not run: it is the original */
}

/* The scores of a run against those that the store has. */
static bool side_as_stored(struct repro *r, size_t i, bool *same, struct err *e)
{
	const struct side *s = &r->side[i];
	struct store_image_result stored = {0};
	struct hash digest = {0};
	struct store_answer x;

	if (r->is_original || (!i && !r->o->against)) {
		if (!baseline_digest(r, s->device, &digest, e))
			return false;
	} else {
		if (!stored_result(r, s->device, &stored, e))
			return false;
		digest = stored.answer.digest;
	}
	if (*s->ends) {
		*same = stored.outcome == (s->r.status == POOL_HUNG ? OUTCOME_HANG : OUTCOME_CRASH);
		return true;
	}
	camp_answer(r->a, r->model, camp_scores(r->a, r->model, s->r.image[0].output), r->model->classes, 1, &x);
	*same = hash_eq(x.digest, digest);
	return true;
}

static bool as_stored(struct repro *r, struct err *e)
{
	bool same[2];

	if (!side_as_stored(r, 0, &same[0], e) || !side_as_stored(r, 1, &same[1], e))
		return false;
	r->out->as_stored = same[0] && same[1];
	return true;
}

/* ---- which launch ---- */

static bool results_differ(const struct side *a, const struct side *b, uint32_t launch)
{
	const struct bundle_launch *l = &a->bundle->launch[launch], *k = &b->bundle->launch[launch];

	for (uint32_t i = l->nargs - l->nout; i < l->nargs; i++) {
		const void *x = repro_value(a, l->arg[i]), *y = repro_value(b, k->arg[i]);

		if (x && y && memcmp(x, y, repro_bytes(&a->bundle->buffer[l->arg[i]])))
			return true;
	}
	return false;
}

static bool changed(const struct side *a, const struct side *b, uint32_t i)
{
	return !hash_eq(a->bundle->kernel[a->bundle->launch[i].kernel].hash, b->bundle->kernel[b->bundle->launch[i].kernel].hash);
}

/* The first launch that matters; its inputs are the same on both sides. */
static bool choose_launch(struct repro *r, struct err *e)
{
	const struct side *a = &r->side[0], *b = &r->side[1];
	bool input = !r->is_original && r->mutant.op->kind == MUT_INPUT && !r->o->against, found = false;
	uint32_t first = UINT32_MAX;

	r->whole = r->o->whole || input || !repro_same_launches(a->bundle, b->bundle);
	for (uint32_t i = 0; !r->whole && !found && i < b->bundle->nlaunches; i++) {
		if (first == UINT32_MAX && (r->o->against || changed(a, b, i)))
			first = i;
		found = results_differ(a, b, i);
		r->launch = i;
	}
	if (found || r->whole)
		return true;
	if (*b->ends && b->r.launch && first != UINT32_MAX && !strcmp(b->bundle->launch[first].name, b->r.launch)) {
		r->launch = first;
		return true;
	}
	if (*b->ends || *a->ends) {
		r->whole = true;
		return true;
	}
	if (r->o->against)
		return err_set(e, ERR_USAGE, "'%s' and '%s' give the same bits on image '%s': there is nothing to reproduce", r->o->against, r->o->device,
			       r->image.name);
	if (first == UINT32_MAX)
		return err_set(e, ERR_USAGE, "'%s' is the original's program: there is nothing to reproduce", r->o->mutant);
	r->launch = first; /* changed without a result: that is what it shows */
	return true;
}

/* ---- all of it ---- */

static bool check_options(struct repro *r, struct err *e)
{
	const struct camp_repro_options *o = r->o;
	char *text;

	r->is_original = !strcmp(o->mutant, "original");
	if (r->is_original && !o->against)
		return err_set(e, ERR_USAGE, "the original is reproduced against another device: give --against");
	if (o->against && !strcmp(o->against, o->device))
		return err_set(e, ERR_USAGE, "--device and --against are the same device, '%s'", o->device);
	if (file_exists(o->dir) && !file_new_folder(o->dir, e))
		return false;
	if (!store_configuration(r->s, r->a, &text, e))
		return false;
	text = camp_configured(r->a, text, "fill");
	return !*text || !strcmp(text, "nan") || !strcmp(text, "-") ||
	       err_set(e, ERR_UNSUPPORTED, "the campaign's fill is '%s'; a reproducer is made of campaigns with fill nan", text);
}

bool camp_reproduce(struct arena *a, struct store *s, const struct camp_repro_options *o, struct camp_repro *out, struct err *e)
{
	struct repro r = {.a = a, .s = s, .o = o, .out = out};
	struct select_device unused;
	bool ok;

	*out = (struct camp_repro){0};
	ok = check_options(&r, e) && find_device(&r, o->device, &unused, e) && (!o->against || find_device(&r, o->against, &unused, e)) &&
	     camp_recall(a, s, &r.set, e) && (r.is_original || find_verdict(&r, e)) &&
	     camp_recall_model(a, &r.set, "the campaign's model", store_path(s), o->model, &r.model, e) && choose_image(&r, e) && load_image(&r, e) &&
	     open_devices(&r, e) && prepare_sides(&r, e) && run_side(&r, 0, e) && run_side(&r, 1, e) && choose_launch(&r, e);
	if (ok) {
		ok = as_stored(&r, e);
		out->image = r.image.name;
		out->launch = r.whole ? NULL : r.side[1].bundle->launch[r.launch].name;
		out->ended = *r.side[1].ends ? arena_strdup(a, r.side[1].r.text) : NULL;
		ok = ok && repro_write(&r, e);
	}
	if (r.pool)
		pool_close(r.pool);
	return ok;
}
