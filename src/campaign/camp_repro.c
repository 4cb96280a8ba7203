/* camp_repro.c: a mutant, or a difference of two devices, as a program that stands alone
 *
 * A folder with kernels, inputs, what came out, and a small host program (repro/) that runs them through the device's plain interface
 * and compares. By default it holds the one launch whose result differs first: its inputs are the original's, so nothing else is needed.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/diff.h"
#include "base/file.h"
#include "base/str.h"
#include "campaign/campaign_internal.h"

extern const char repro_main[], repro_head[], repro_cpu[], repro_opencl[], repro_cuda[];

/* One of the two programs that are compared. */
struct side {
	const char *name, *title, *device;
	const struct bundle *bundle;
	const struct device_caps *caps;
	struct pool_device def;
	struct pool_result r;
	const struct tensor *input;
	const char *ends;                 /* "", "crash", "hang" */
	bool run;                         /* has a program of its own; else only its results are there */
};

struct repro {
	struct arena *a;
	struct store *s;
	const struct camp_repro_options *o;
	struct select_set set;
	struct camp_model *model;
	struct pool *pool;
	struct camp_program program[2];   /* of the original, for both devices */
	struct side side[2];
	struct store_image image;
	struct camp_input *input;
	struct store_result verdict;
	struct mutant mutant;
	bool is_original, whole;
	uint32_t launch;
	struct camp_repro *out;
};

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

	if (!find_device(r, r->side[i].device, &d, e))
		return false;
	t.cls = !strcmp(d.cls, "gpu") ? DEVICE_GPU : DEVICE_CPU;
	t.lanes = d.lanes;
	if (!dtype_parse(d.precision, &t.precision))
		return err_set(e, ERR_STORE, "store '%s' is damaged: '%s' is no precision", store_path(r->s), d.precision);
	if (strcmp(d.identity, camp_identity(r->a, r->side[i].caps, &t, r->set.opt_level)))
		log_warn("device '%s' is not what it was in the campaign: it may give something else now", r->side[i].device);
	return camp_program_build(r->a, r->model, r->set.opt_level, (const char *const *)r->set.disable_pass, r->set.ndisable_pass, &t,
				  &r->program[i], e);
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

/* The contents of a buffer at the end of a run; NULL: nobody has them. */
static const void *value_of(const struct side *s, uint32_t b)
{
	const struct bundle_buffer *buf = &s->bundle->buffer[b];
	const struct pool_image *im = s->r.image;

	if (buf->role == BUF_CONST)
		return buf->data;
	if (buf->role == BUF_INPUT)
		return s->input->data;
	for (size_t i = 0; im && i < im->ndump; i++)
		if (!strcmp(im->dump[i].name, buf->name))
			return im->dump[i].value.data;
	return NULL;
}

static size_t bytes_of(const struct bundle_buffer *b)
{
	int64_t n = 0;

	dims_elements(b->dim, b->nd, &n);
	return (size_t)n * dtype_size(b->dtype);
}

static bool results_differ(const struct side *a, const struct side *b, uint32_t launch)
{
	const struct bundle_launch *l = &a->bundle->launch[launch], *k = &b->bundle->launch[launch];

	for (uint32_t i = l->nargs - l->nout; i < l->nargs; i++) {
		const void *x = value_of(a, l->arg[i]), *y = value_of(b, k->arg[i]);

		if (x && y && memcmp(x, y, bytes_of(&a->bundle->buffer[l->arg[i]])))
			return true;
	}
	return false;
}

static bool same_launches(const struct bundle *a, const struct bundle *b)
{
	if (a->nlaunches != b->nlaunches)
		return false;
	for (uint32_t i = 0; i < a->nlaunches; i++) {
		const struct bundle_launch *l = &a->launch[i], *k = &b->launch[i];

		if (strcmp(l->name, k->name) || l->nargs != k->nargs || l->nout != k->nout)
			return false;
		for (uint32_t j = 0; j < l->nargs; j++)
			if (strcmp(a->buffer[l->arg[j]].name, b->buffer[k->arg[j]].name) ||
			    bytes_of(&a->buffer[l->arg[j]]) != bytes_of(&b->buffer[k->arg[j]]))
				return false;
	}
	return true;
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

	r->whole = r->o->whole || input || !same_launches(a->bundle, b->bundle);
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

/* ---- the folder ---- */

static bool put(struct repro *r, const char *name, const void *p, size_t n, struct err *e)
{
	const char *path = file_join(r->a, r->o->dir, name);

	return file_mkdirs(file_dir(r->a, path), e) && file_write(path, p, n, e);
}

static bool put_str(struct repro *r, const char *name, struct str *t, struct err *e)
{
	bool ok = put(r, name, str_text(t), t->n, e);

	str_free(t);
	return ok;
}

static void literal(struct str *t, const char *s)
{
	str_addc(t, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			str_addf(t, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
			str_addf(t, "\\%03o", (unsigned char)*s);
		else
			str_addc(t, *s);
	}
	str_addc(t, '"');
}

/* Which launches of a side are in the folder, and which buffers and kernels these need. */
struct part {
	uint32_t *launch, nlaunches;
	uint32_t *buffer, nbuffers; /* place in the folder's table -> buffer */
	uint32_t *kernel, nkernels;
	bool *written;              /* per buffer of the bundle */
};

static uint32_t place(uint32_t *list, uint32_t *n, uint32_t x)
{
	for (uint32_t i = 0; i < *n; i++)
		if (list[i] == x)
			return i;
	list[(*n)++] = x;
	return *n - 1;
}

static void choose_part(struct repro *r, const struct bundle *b, struct part *p)
{
	*p = (struct part){.launch = ARENA_ARRAY(r->a, uint32_t, b->nlaunches + 1), .buffer = ARENA_ARRAY(r->a, uint32_t, b->nbuffers + 1),
			   .kernel = ARENA_ARRAY(r->a, uint32_t, b->nkernels + 1), .written = ARENA_ARRAY(r->a, bool, b->nbuffers + 1)};
	for (uint32_t i = r->whole ? 0 : r->launch; i < (r->whole ? b->nlaunches : r->launch + 1); i++) {
		const struct bundle_launch *l = &b->launch[i];

		p->launch[p->nlaunches++] = i;
		place(p->kernel, &p->nkernels, l->kernel);
		for (uint32_t k = 0; k < l->nargs; k++) {
			place(p->buffer, &p->nbuffers, l->arg[k]);
			if (k >= l->nargs - l->nout)
				p->written[l->arg[k]] = true;
		}
	}
}

static const char *suffix(const struct side *s, uint32_t kernel)
{
	if (!strcmp(s->caps->backend, "cuda"))
		return s->bundle->kernel[kernel].contract ? "fma.cu" : "cu";
	return !strcmp(s->caps->backend, "cpu") ? "c" : "cl";
}

static bool put_kernels(struct repro *r, const struct side *s, const struct part *p, struct err *e)
{
	for (uint32_t i = 0; i < p->nkernels; i++) {
		const char *source = s->bundle->kernel[p->kernel[i]].source;

		if (!put(r, arena_printf(r->a, "kernels/%s_%u.%s", s->name, i, suffix(s, p->kernel[i])), source, strlen(source), e))
			return false;
	}
	return true;
}

/* Is the buffer's end compared: all results of one launch, the scores of a whole program. */
static bool is_result(const struct repro *r, const struct side *s, const struct part *p, uint32_t b)
{
	if (!r->whole)
		return p->written[b];
	return b == s->bundle->output[r->model->output];
}

static bool put_data(struct repro *r, const struct side *s, const struct part *p, struct err *e)
{
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		uint32_t b = p->buffer[i];
		const void *v = value_of(s, b);
		const struct side *from = s;

		if (!v && !p->written[b]) /* a side that crashed: the other one has the same inputs */
			for (uint32_t k = 0; k < r->side[0].bundle->nbuffers && !v; k++)
				if (!strcmp(r->side[0].bundle->buffer[k].name, s->bundle->buffer[b].name))
					v = value_of(from = &r->side[0], k);
		if (!p->written[b] && !v)
			return err_set(e, ERR_DEVICE, "nobody knows what lies in '%s'; try --whole", s->bundle->buffer[b].name);
		if ((!p->written[b] || is_result(r, s, p, b)) && v &&
		    !put(r, arena_printf(r->a, "data/%s_%u.bin", s->name, i), v, bytes_of(&s->bundle->buffer[b]), e))
			return false;
	}
	return true;
}

/* The other side's file of the same result; NULL. */
static const char *reference(struct repro *r, const struct part *other, const struct bundle_buffer *b)
{
	const struct side *s = &r->side[0];

	for (uint32_t i = 0; i < other->nbuffers; i++) {
		const struct bundle_buffer *o = &s->bundle->buffer[other->buffer[i]];

		if ((r->whole ? o->role == BUF_OUTPUT && is_result(r, s, other, other->buffer[i]) : !strcmp(o->name, b->name)) &&
		    bytes_of(o) == bytes_of(b) && value_of(s, other->buffer[i]))
			return arena_printf(r->a, "data/%s_%u.bin", s->name, i);
	}
	return NULL;
}

static void put_buffers(struct repro *r, const struct side *s, const struct part *p, const struct part *other, struct str *t)
{
	const struct fill nan = {FILL_NAN, 0};

	str_addf(t, "static const struct buffer %s_buffer[] = {\n", s->name);
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct bundle_buffer *b = &s->bundle->buffer[p->buffer[i]];
		bool written = p->written[p->buffer[i]], result = is_result(r, s, p, p->buffer[i]) && value_of(s, p->buffer[i]);
		bool blob = b->role == BUF_CONST || b->role == BUF_INPUT;
		const char *ref = s == &r->side[1] && is_result(r, s, p, p->buffer[i]) ? reference(r, other, b) : NULL;

		str_add(t, "\t{");
		literal(t, b->name);
		str_addf(t, ", \"%s\", %zu, %zu, %zu, 0x%llxu, ", dtype_name(b->dtype), bytes_of(b), dtype_size(b->dtype), BUNDLE_PAD * dtype_size(b->dtype),
			 (unsigned long long)(blob ? FILLING_OF_BLOBS : filling_of_pads(nan, b->name, b->dtype).word));
		str_addf(t, written ? "NULL, " : "\"data/%s_%u.bin\", ", s->name, i);
		if (result)
			str_addf(t, "\"data/%s_%u.bin\", ", s->name, i);
		else
			str_add(t, "NULL, ");
		str_addf(t, ref ? "\"%s\", " : "NULL, ", ref);
		str_addf(t, "%d},\n", written);
	}
	str_add(t, "};\n");
}

static void put_launches(struct repro *r, const struct side *s, struct part *p, struct str *t)
{
	bool cpu = !strcmp(s->caps->backend, "cpu");

	str_addf(t, "static const char *const %s_kernel[] = {\n", s->name);
	for (uint32_t i = 0; i < p->nkernels; i++)
		str_addf(t, "\t\"%s/%s_%u.%s\",\n", cpu ? "build" : "kernels", s->name, i, cpu ? "so" : suffix(s, p->kernel[i]));
	str_addf(t, "};\nstatic const struct launch %s_launch[] = {\n", s->name);
	for (uint32_t i = 0; i < p->nlaunches; i++) {
		const struct bundle_launch *l = &s->bundle->launch[p->launch[i]];
		const struct bundle_kernel *k = &s->bundle->kernel[l->kernel];

		str_add(t, "\t{");
		literal(t, l->name);
		str_addf(t, ", %u, %u, {", place(p->kernel, &p->nkernels, l->kernel), l->nargs);
		for (uint32_t j = 0; j < l->nargs; j++)
			str_addf(t, "%s%u", j ? ", " : "", place(p->buffer, &p->nbuffers, l->arg[j]));
		str_addf(t, "}, %llu, %u},\n", (unsigned long long)k->groups, k->group);
	}
	str_add(t, "};\n\n");
	(void)r;
}

static bool put_tables(struct repro *r, struct part *p, struct err *e)
{
	struct str t = {0};

	str_addf(&t, "/* tables.h: the programs of this folder */\n\n#define REFERENCE \"%s\"\n\n",
		 r->o->against ? arena_printf(r->a, "device '%s'", r->o->against) : "the original");
	for (size_t i = 0; i < 2; i++) {
		if (!r->side[i].run)
			continue;
		put_buffers(r, &r->side[i], &p[i], &p[0], &t);
		put_launches(r, &r->side[i], &p[i], &t);
	}
	str_add(&t, "static const struct program programs[] = {\n");
	for (size_t i = 0; i < 2; i++) {
		const struct side *s = &r->side[i];

		if (!s->run)
			continue;
		str_add(&t, "\t{");
		literal(&t, s->title);
		str_addf(&t, ", \"%s\", %s_kernel, %u, %s_buffer, %u, %s_launch, %u},\n", s->ends, s->name, p[i].nkernels, s->name, p[i].nbuffers, s->name,
			 p[i].nlaunches);
	}
	str_add(&t, "};\n");
	return put_str(r, "tables.h", &t, e);
}

/* The length of a shell's word that means itself: plain characters, or all of it in single quotes. 0: it is none. */
static size_t plain_word(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,./:");
	const char *end;

	if (n || *s != '\'')
		return n;
	while ((end = strpbrk(s + n + 1, "'\n\r")) && *end == '\'') {
		n = (size_t)(end + 1 - s);
		if (strncmp(s + n, "\\''", 3))
			return n;
		n += 2; /* of a quote written '\'' the last one opens again */
	}
	return 0;
}

/* The user will run it, and a worker elsewhere may say anything: it must be the device's own compiler with words that mean themselves, none of
 * which makes that compiler start something else. */
static bool build_is_compiler(const char *line, const char *cc)
{
	static const char *const starters[] = {"-wrapper", "--wrapper", "-fplugin", "-specs", "--specs", "-B", "-load", "-Xclang", "@"};
	size_t n = strlen(cc);

	if (strncmp(line, cc, n) || line[n] != ' ')
		return false;
	for (line += n; *line; line += n) {
		if (*line++ != ' ' || !(n = plain_word(line)))
			return false;
		for (size_t i = 0; i < sizeof starters / sizeof *starters; i++)
			if (!strncmp(line + (*line == '\''), starters[i], strlen(starters[i])))
				return false;
	}
	return true;
}

/* Commands for a kernel; what is not to be trusted as one is a remark, and the script ends there. */
static void add_kernel_build(struct str *t, const struct side *s, uint32_t k)
{
	const char *cc = s->def.cc ? s->def.cc : "gcc";

	if (build_is_compiler(s->caps->build, cc)) {
		str_addf(t, "%s -o build/%s_%u.so -x c kernels/%s_%u.c\n", s->caps->build, s->name, k, s->name, k);
		return;
	}
	str_addf(t, "# The worker of '");
	for (const char *p = s->device; *p; p++)
		str_addc(t, *p >= ' ' && *p < 127 ? *p : '?');
	str_add(t, "' says that it built kernels with what is no plain call of its compiler. Read it before you build with it:\n# ");
	for (const char *p = s->caps->build; *p; p++)
		str_addc(t, *p >= ' ' && *p < 127 ? *p : '?');
	str_addf(t, "\necho 'build.sh: build kernels/%s_%u.c into build/%s_%u.so by hand: see the remark in this file' >&2\nexit 1\n", s->name, k, s->name, k);
}

static bool put_build(struct repro *r, const struct part *p, struct err *e)
{
	const char *backend = r->side[1].caps->backend;
	struct str t = {0}, options = {0};
	bool cpu = !strcmp(backend, "cpu"), cuda = !strcmp(backend, "cuda");

	str_addf(&t, "#!/bin/sh\n# Builds ./reproduce\n%scd \"$(dirname \"$0\")\"\nmkdir -p build\n", !cpu && !cuda ? "" : "set -e\n");
	for (size_t i = 0; i < 2 && cpu; i++)
		for (uint32_t k = 0; r->side[i].run && k < p[i].nkernels; k++)
			add_kernel_build(&t, &r->side[i], k);
	if (cpu) {
		str_add(&t, "${CC:-cc} -std=gnu11 -O1 -o reproduce main.c device.c -ldl -lm\n");
	} else {
		str_add(&options, "/* options.c: how kernels are built, and on which device */\nextern const char build_options[], device_select[];\n"
				  "const char build_options[] = ");
		literal(&options, r->side[1].caps->build);
		str_add(&options, ";\nconst char device_select[] = ");
		literal(&options, r->side[1].def.select ? r->side[1].def.select : "");
		str_add(&options, ";\n");
		str_add(&t, cuda ? "CUDA=${CUDA_HOME:-/usr/local/cuda}\n${CC:-cc} -std=gnu11 -O1 -I\"$CUDA/include\" -o reproduce main.c device.c options.c "
				   "-L\"$CUDA/lib64\" -L\"$CUDA/lib64/stubs\" -lnvrtc -lcuda -lm\n"
				 : "for library in -lOpenCL -l:libOpenCL.so.1; do # the second: without a package for developers\n"
				   "\t${CC:-cc} -std=gnu11 -O1 -o reproduce main.c device.c options.c $library -lm && exit\ndone\nexit 1\n");
	}
	if ((options.n && !put_str(r, "options.c", &options, e)) || !put_str(r, "build.sh", &t, e))
		return false;
	return !chmod(file_join(r->a, r->o->dir, "build.sh"), 0755) || err_set(e, ERR_IO, "cannot make '%s/build.sh' executable", r->o->dir);
}

static bool put_diff(struct repro *r, struct err *e)
{
	struct str t = {0};
	char *ir = NULL;

	if (!r->is_original && !camp_ir_diff(r->a, &r->program[1], &r->mutant, &ir, e))
		return false;
	if (ir)
		str_addf(&t, "%s\n", ir);
	for (uint32_t i = 0; !r->is_original && same_launches(r->program[1].bundle, r->side[1].bundle) && i < r->side[1].bundle->nlaunches; i++) {
		const struct bundle *a = r->program[1].bundle, *b = r->side[1].bundle;
		const struct bundle_kernel *k = &a->kernel[a->launch[i].kernel], *l = &b->kernel[b->launch[i].kernel];

		if (!hash_eq(k->hash, l->hash))
			text_diff(&t, "original", k->source, b->launch[i].name, l->source, 3);
	}
	return put_str(r, "mutant.diff", &t, e);
}

static void about_side(const struct side *s, struct str *t)
{
	str_addf(t, "- %s: device `%s` (%s)\n  - identity: `%s`\n  - kernels are built with: `%s`\n  - what it did: %s\n", s->title, s->device, s->caps->describe,
		 s->caps->identity, *s->caps->build ? s->caps->build : "unknown",
		 *s->ends ? (!strcmp(s->ends, "hang") ? "it did not end" : s->r.text) : s->r.status == POOL_OVERRUN ? s->r.text : "it ran to its end");
}

static bool put_readme(struct repro *r, struct err *e)
{
	struct str t = {0};

	str_addf(&t, "# %s\n\n", r->is_original ? arena_printf(r->a, "`%s` against `%s`", r->o->device, r->o->against)
						: arena_printf(r->a, "`%s` on `%s`", r->o->mutant, r->o->device));
	str_addf(&t, "    ./build.sh && ./reproduce\n\nExit status 0 when everything is as it was seen, 1 when it is not, 2 when it cannot be run.\n\n");
	str_addf(&t, "Model `%s`, image `%s`, opt-level %d. ", r->set.model, r->image.name, r->set.opt_level);
	if (r->whole)
		str_addf(&t, "The whole program is here, from the preprocessed picture to the scores.\n\n");
	else
		str_addf(&t, "One launch is here, `%s`: the first whose result differs. Its inputs are those of the unchanged network.\n\n",
			 r->side[1].bundle->launch[r->launch].name);
	about_side(&r->side[0], &t);
	about_side(&r->side[1], &t);
	if (!r->is_original)
		str_addf(&t, "- the campaign's verdict on `%s`: %s\n", r->o->device, outcome_name(r->verdict.outcome));
	str_addf(&t, "- these results are %s\n", r->out->as_stored ? "bit for bit what the campaign saw" : "NOT what the campaign saw: something has changed since");
	str_add(&t, "\n| file | |\n|---|---|\n| `kernels/` | the code that the device compiles |\n| `data/` | raw tensors, little endian: inputs, and what came out "
		    "|\n| `tables.h` | which kernels are launched on which buffers, in order |\n| `main.c`, `device.c` | the host program: it needs nothing but the "
		    "device's own interface |\n");
	if (!r->is_original)
		str_add(&t, "| `mutant.diff` | what the mutant changes, in the intermediate representation and in the source |\n");
	str_addf(&t, "\nMemory that nobody wrote is all ones; around each tensor lie %d elements of a known pattern. Made by mutatenn %s.\n", BUNDLE_PAD,
		 MUTATENN_VERSION);
	return put_str(r, "README.md", &t, e);
}

static bool write_folder(struct repro *r, struct err *e)
{
	const char *backend = r->side[1].caps->backend;
	const char *device = !strcmp(backend, "cpu") ? repro_cpu : !strcmp(backend, "opencl") ? repro_opencl : !strcmp(backend, "cuda") ? repro_cuda : NULL;
	struct part p[2];

	if (!device)
		return err_set(e, ERR_UNSUPPORTED, "there is no reproducer for the backend '%s' yet; cpu, opencl and cuda have one", backend);
	r->side[0].run = !strcmp(r->side[0].caps->backend, backend);
	for (size_t i = 0; i < 2; i++) {
		choose_part(r, r->side[i].bundle, &p[i]);
		for (uint32_t k = 0; k < p[i].nlaunches; k++)
			if (r->side[i].bundle->launch[p[i].launch[k]].nargs > 64)
				return err_set(e, ERR_UNSUPPORTED, "a launch of more than 64 tensors");
		if ((r->side[i].run && !put_kernels(r, &r->side[i], &p[i], e)) || !put_data(r, &r->side[i], &p[i], e))
			return false;
	}
	return put_tables(r, p, e) && put(r, "main.c", repro_main, strlen(repro_main), e) && put(r, "repro.h", repro_head, strlen(repro_head), e) &&
	       put(r, "device.c", device, strlen(device), e) && put_build(r, p, e) && (r->is_original || put_diff(r, e)) && put_readme(r, e);
}

static bool check_options(struct repro *r, struct err *e)
{
	const struct camp_repro_options *o = r->o;
	char *text;

	r->is_original = !strcmp(o->mutant, "original");
	if (r->is_original && !o->against)
		return err_set(e, ERR_USAGE, "the original is reproduced against another device: give --against");
	if (o->against && !strcmp(o->against, o->device))
		return err_set(e, ERR_USAGE, "--device and --against are the same device, '%s'", o->device);
	if (file_exists(file_join(r->a, o->dir, "tables.h")))
		return err_set(e, ERR_USAGE, "folder '%s' holds a reproducer already; give a new one", o->dir);
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
		ok = ok && write_folder(&r, e);
	}
	if (r.pool)
		pool_close(r.pool);
	return ok;
}
