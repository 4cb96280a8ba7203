/* camp_plan.c: everything before the first mutant runs - load, open, compile, list, record */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "campaign/campaign_internal.h"

static bool load_model(struct camp *c, struct err *e)
{
	const struct config_campaign *f = c->config;
	struct camp_model_options o = {.preprocess = f->preprocess,
				       .output = f->output,
				       .scores_given = f->scores_given,
				       .scores = f->scores,
				       .batch = f->batch};

	if (!camp_model_load(c->a, config_path(c->a, f, f->model), &o, &c->model, e))
		return false;
	if (c->model->assumed_preprocess)
		log_warn("'%s' has no side-car and no preprocessing is given: assuming the preset 'torchvision'", f->model);
	return true;
}

/* A deterministic draw of k of the inputs, kept in order. */
static void sample_inputs(struct camp *c, size_t k, uint64_t seed)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->ninputs && kept < k; i++) {
		uint64_t r = hash_bytes(&(uint64_t[2]){seed, i}, 16).lo;

		if (r % (c->ninputs - i) < k - kept)
			c->input[kept++] = c->input[i];
	}
	c->ninputs = kept;
}

/* Accuracy is counted of labels that are known: one that cannot be right, and a file that is of other pictures, would go unseen. */
static void doubt_labels(const struct camp *c)
{
	const struct camp_input *beyond = NULL;
	size_t labelled = 0;

	for (size_t i = 0; i < c->ninputs; i++) {
		labelled += c->input[i].label >= 0;
		if (!beyond && c->input[i].label >= c->model->classes)
			beyond = &c->input[i];
	}
	if (beyond)
		log_warn("image '%s' is labelled as class %lld (from 0), and '%s' has %lld classes: see 'label-offset' of its side-car", beyond->name,
			 (long long)beyond->label, c->config->model, (long long)c->model->classes);
	if (c->config->labels && !labelled)
		log_warn("'%s' has a class for none of the images: its first column names their files", c->config->labels);
}

static bool load_inputs(struct camp *c, struct err *e)
{
	const struct config_campaign *f = c->config;
	const char *images = config_path(c->a, f, f->images);

	camp_tell(c, "reading images");
	if (!camp_inputs(c->a, c->model, &images, 1, config_path(c->a, f, f->labels), &c->input, &c->ninputs, e))
		return false;
	if (f->image_sample > 0 && (size_t)f->image_sample < c->ninputs)
		sample_inputs(c, (size_t)f->image_sample, f->seed);
	doubt_labels(c);
	return c->ninputs || err_set(e, ERR_USAGE, "'%s' holds no images", images);
}

/* What is asked for, or half of the memory of this machine, as far as a runner may sensibly use that; a runner elsewhere knows its own. */
static void choose_budget(struct camp *c, struct pool_device *dev)
{
	uint64_t half = (uint64_t)sysconf(_SC_PHYS_PAGES) / 2 * (uint64_t)sysconf(_SC_PAGESIZE) / c->runners;

	c->budget = c->config->memory ? c->config->memory / c->runners : half < CAMP_ACTIVATION_BYTES ? half : CAMP_ACTIVATION_BYTES;
	for (size_t d = 0; c->config->memory && d < c->ndevices; d++)
		dev[d].budget = c->budget ? c->budget : 1;
}

/* Neither our cache of compiled kernels nor those that drivers keep. What the configuration says of a variable stands. */
static void without_caches(struct arena *a, struct pool_device *dev)
{
	static const char *const off[] = {"POCL_KERNEL_CACHE=0", "CUDA_CACHE_DISABLE=1", "MESA_SHADER_CACHE_DISABLE=true"};
	size_t n = sizeof off / sizeof *off;
	const char **env = ARENA_ARRAY(a, const char *, dev->nenv + n);
	size_t all = 0;

	for (size_t i = 0; i < dev->nenv; i++)
		env[all++] = dev->env[i];
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < dev->nenv && strncmp(dev->env[k], off[i], strcspn(off[i], "=") + 1) != 0)
			k++;
		if (k == dev->nenv)
			env[all++] = off[i];
	}
	dev->env = env;
	dev->nenv = all;
	dev->cache_dir = "";
}

static bool open_devices(struct camp *c, struct err *e)
{
	const struct config_campaign *f = c->config;
	struct pool_device *dev = ARENA_ARRAY(c->a, struct pool_device, f->ndevices);
	bool any = false;

	c->ndevices = f->ndevices;
	c->device = ARENA_ARRAY(c->a, struct camp_device_state, c->ndevices);
	for (size_t d = 0; d < c->ndevices; d++) {
		c->device[d].name = f->devices[d];
		if (!camp_device(c->a, f->devices[d], f, &dev[d], e))
			return false;
		if (c->options->no_reuse)
			without_caches(c->a, &dev[d]);
	}
	camp_share_cores(c, dev);
	for (size_t d = 0; d < c->ndevices; d++) {
		c->device[d].runners = dev[d].runners > 0 ? (size_t)dev[d].runners : 1;
		c->runners += c->device[d].runners;
	}
	choose_budget(c, dev);
	camp_tell(c, "opening devices");
	if (!pool_open(dev, c->ndevices, &c->pool, e))
		return false;
	for (size_t d = 0; d < c->ndevices; d++) {
		const char *why = pool_device_error(c->pool, d);

		c->device[d].dead = why;
		any = any || !why;
		if (why)
			log_warn("device '%s' cannot be used: %s", c->device[d].name, why);
	}
	return any || err_set(e, ERR_DEVICE, "no device can be used: %s", pool_device_error(c->pool, 0));
}

static bool same_variant(const struct camp_target *a, const struct camp_target *b)
{
	return camp_same_functions(a, b) && !strcmp(a->dialect, b->dialect);
}

static bool build_variant(struct camp *c, struct camp_variant *v, struct err *e)
{
	const struct config_campaign *f = c->config;

	for (v->of = 0; !camp_same_functions(&c->variant[v->of].target, &v->target);)
		v->of++;
	if (v != &c->variant[v->of])
		return camp_program_render(c->a, &c->variant[v->of].program, v->target.dialect, &v->program, e);
	return camp_program_build(c->a, c->model,
				  &(struct camp_level){f->opt_level, (const char *const *)f->disable_pass, f->ndisable_pass,
						       (const char *const *)f->enable_pass, f->nenable_pass},
				  &v->target, &v->program, e);
}

/* One variant for each distinct target among the devices that work. */
static bool compile(struct camp *c, struct err *e)
{
	struct camp_target *target = ARENA_ARRAY(c->a, struct camp_target, c->ndevices);

	camp_tell(c, "compiling the model");
	if (!camp_targets(c->pool, c->config, target, e))
		return false;
	c->variant = ARENA_ARRAY(c->a, struct camp_variant, c->ndevices);
	for (size_t d = 0; d < c->ndevices; d++) {
		size_t *v = &c->device[d].variant;

		if (c->device[d].dead)
			continue;
		while (*v < c->nvariants && !same_variant(&c->variant[*v].target, &target[d]))
			++*v;
		if (*v < c->nvariants)
			continue;
		c->variant[c->nvariants++].target = target[d];
		if (!build_variant(c, &c->variant[*v], e))
			return err_in(e, "device '%s'", c->device[d].name);
	}
	return true;
}

/* How many images' tensors a runner keeps at a time. */
static bool choose_chunk(struct camp *c, struct err *e)
{
	uint64_t most = 1;

	for (size_t v = 0; v < c->nvariants; v++) {
		uint64_t bytes = pool_baseline_bytes(c->variant[v].program.bundle);

		most = bytes > most ? bytes : most;
	}
	if (c->config->memory && c->budget < most)
		return err_set(e, ERR_USAGE, "memory (--memory) must be at least %lluK: the original's tensors for one image take %llu bytes in each runner, and there are %llu",
			       (unsigned long long)((most * c->runners + 1023) / 1024), (unsigned long long)most, (unsigned long long)c->runners);
	c->chunk = (size_t)(c->budget / most);
	c->chunk = c->chunk < 1 ? 1 : c->chunk > c->ninputs ? c->ninputs : c->chunk;
	return true;
}

/* Half the width of a 95 % interval around one half, of n drawn of N: what leveugle turns round. */
static double sample_error(uint64_t n, uint64_t of)
{
	return of > 1 && n ? 1.96 * sqrt(0.25 / (double)n * (double)(of - n) / (double)(of - 1)) : 0;
}

/* What a sample can tell, and how large it must be for more. */
static void tell_samples(const struct mut_spec *spec, const struct mut_drawn *drawn, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (drawn[i].drawn < drawn[i].of)
			log_info("'%s': a sample of %llu of %llu mutants tells a kill rate to within %.1f points at 95 %%; 5 points need %lld, 2 need "
				 "%lld, 1 needs %lld",
				 spec[i].operator_glob, (unsigned long long)drawn[i].drawn, (unsigned long long)drawn[i].of,
				 100 * sample_error(drawn[i].drawn, drawn[i].of), (long long)leveugle((int64_t)drawn[i].of, 0.05),
				 (long long)leveugle((int64_t)drawn[i].of, 0.02), (long long)leveugle((int64_t)drawn[i].of, 0.01));
}

/* Neighbours in the plan cost about the same: they go to different shards. */
static void take_shard(struct camp *c)
{
	size_t kept = 0;

	for (size_t i = 0; c->options->shards && i < c->nmutants; i++)
		if (i % c->options->shards == c->options->shard - 1)
			c->mutant[kept++] = c->mutant[i];
	c->nmutants = c->options->shards ? kept : c->nmutants;
}

static bool list_mutants(struct camp *c, struct err *e)
{
	struct mut_drawn *drawn;
	struct mut_spec *spec;
	size_t n;

	camp_tell(c, "listing mutants");
	if (c->options->only_mutant) {
		c->mutant = ARENA_NEW(c->a, struct mutant);
		c->nmutants = 1;
		return mut_parse(c->a, &c->variant[0].program.subject, c->options->only_mutant, c->mutant, e);
	}
	if (!camp_specs(c->a, c->config->mutations, c->config->nmutations, &spec, &n, e))
		return false;
	drawn = ARENA_ARRAY(c->a, struct mut_drawn, n + 1);
	if (!mut_list_drawn(c->a, &c->variant[0].program.subject, spec, n, c->config->seed, &c->mutant, &c->nmutants, drawn, e))
		return false;
	tell_samples(spec, drawn, n);
	take_shard(c);
	return true;
}

/* Results over other images are not comparable: a resumed campaign has neither more nor fewer. */
static bool same_number_of_images(struct camp *c, struct err *e)
{
	struct store_iter *it = store_images(c->store);
	struct store_image im;
	size_t n = 0;

	while (store_next_image(it, &im))
		n++;
	if (!store_iter_end(it, e))
		return false;
	return !n || n == c->ninputs ||
	       err_set(e, ERR_USAGE, "store '%s' holds %zu images, now there are %zu in '%s'; use another store",
		       store_path(c->store), n, c->ninputs, c->config->images);
}

const char *camp_identity(struct arena *a, const struct device_caps *caps, const struct camp_target *t, int opt_level)
{
	bool native = opt_level >= 3;

	if (native && t->cls == DEVICE_GPU)
		return arena_printf(a, "%s | schedule gpu, groups of %u, %llu bytes, %s", caps->identity, t->max_group,
				    (unsigned long long)t->local_memory, dtype_name(t->precision));
	return arena_printf(a, "%s | schedule cpu, %d lanes, %s", caps->identity, native ? t->lanes : 1, dtype_name(t->precision));
}

static const char *identity(const struct camp *c, size_t d)
{
	return camp_identity(c->a, pool_caps(c->pool, d), &c->variant[c->device[d].variant].target, c->config->opt_level);
}

/* What a later run on another day needs to do the same, and the configuration does not say. */
static bool record_how(struct camp *c, struct err *e)
{
	const struct camp_model *m = c->model;
	bool ok = store_set(c->store, "model-path", file_absolute(c->a, m->file), e) &&
		  store_set(c->store, "preprocess", preprocess_text(c->a, &m->preprocess), e) &&
		  store_set(c->store, "output", m->graph->outputs.v[m->output]->name, e) &&
		  store_set(c->store, "scores", m->probabilities ? "probabilities" : "logits", e);

	for (size_t d = 0; ok && d < c->ndevices; d++) {
		const struct camp_target *t = &c->variant[c->device[d].variant].target;

		if (!c->device[d].dead)
			ok = store_set(c->store, arena_printf(c->a, "target %s", c->device[d].name),
				       arena_printf(c->a, "%s %d %s", t->cls == DEVICE_GPU ? "gpu" : "cpu", t->lanes, dtype_name(t->precision)), e);
	}
	return ok;
}

/* What a campaign goes on with must be what it was begun with. */
static bool record_model(struct camp *c, struct err *e)
{
	const struct camp_model *m = c->model;
	const struct store_model model = {.name = m->name, .file = m->file, .hash = m->hash};
	const struct store_file files[] = {
	    {"the model's side-car", m->sidecar, m->sidecar_hash},
	    {"the names of the classes", m->names_file ? m->names_file : m->sidecar, m->names_hash},
	    {"the model with its external data", m->file, m->weights},
	};
	bool ok = store_put_model(c->store, &model, e);

	for (size_t i = 0; ok && i < sizeof files / sizeof *files; i++)
		ok = store_put_file(c->store, &files[i], e);
	return ok;
}

bool camp_record_device(struct camp *c, size_t d, const char *error, struct err *e)
{
	struct store_device *row = &c->device[d].row;

	row->error = error;
	return store_put_device(c->store, row, e);
}

/* What it is, or that it is not there. */
static bool record_opened(struct camp *c, size_t d, struct err *e)
{
	const char *error = pool_device_error(c->pool, d);
	const struct device_caps *caps = error ? NULL : pool_caps(c->pool, d);

	c->device[d].row = (struct store_device){.name = c->device[d].name,
						 .backend = caps ? arena_strdup(c->a, caps->backend) : "",
						 .identity = caps ? identity(c, d) : "",
						 .describe = caps ? camp_describe(c->a, c->config, c->device[d].name, caps) : ""};
	return camp_record_device(c, d, error, e);
}

/* What a campaign is, to be kept and compared when it goes on. Mutants found equivalent are counted otherwise without reuse. */
static const char *configuration(const struct camp *c)
{
	return arena_printf(c->a, "%s%s", config_text(c->a, c->config), c->options->no_reuse ? "no-reuse: true\n" : "");
}

static bool record_facts(struct camp *c, struct err *e)
{
	if (!store_configure(c->store, configuration(c), e) || !record_model(c, e) || !same_number_of_images(c, e))
		return false;
	for (size_t i = 0; i < c->ninputs; i++) {
		struct store_image im = {
		    .index = (int64_t)i, .name = c->input[i].name, .hash = c->input[i].hash, .label = c->input[i].label,
		    .path = file_absolute(c->a, c->input[i].path), .file_hash = c->input[i].file_hash};

		if (!store_put_image(c->store, &im, e))
			return false;
	}
	for (size_t d = 0; d < c->ndevices; d++)
		if (!record_opened(c, d, e))
			return false;
	return record_how(c, e);
}

static bool record_mutant(struct camp *c, const struct mutant *m, struct err *e)
{
	struct arena *a = arena_new(c->a);
	struct store_mutant row = {.id = m->id,
				   .op = m->op->name,
				   .category = mut_category_name(m->op->category),
				   .target = m->target,
				   .ordinal = m->all ? "all" : arena_printf(a, "%u", m->ordinal),
				   .variant = m->op->variant[m->variant],
				   .sites = (int64_t)m->sites};
	struct camp_prediction bounds;
	char *diff = NULL;
	bool ok = !m->sites || camp_ir_diff(a, &c->variant[0].program, m, &diff, NULL) || !diff;

	row.diff = diff;
	if (camp_predict(a, &c->variant[0].program, m, &bounds, NULL) && bounds.known) {
		row.bounds = lir_bounds_name(bounds.bounds.kind);
		row.bounds_text = camp_prediction_text(a, &bounds);
	}
	ok = ok && store_put_mutant(c->store, &row, e);
	arena_free(a);
	return ok;
}

/* The campaign's own suppressions take the place of those of the last run; the command's stay. */
static bool record_suppressions(struct camp *c, struct err *e)
{
	const struct config_campaign *f = c->config;
	bool ok = store_unsuppress_all(c->store, "campaign", e);

	for (size_t i = 0; ok && i < f->nsuppress; i++)
		ok = store_suppress(c->store, f->suppress[i].mutant, f->suppress[i].reason, "campaign", e);
	return ok && store_apply_suppressions(c->store, e);
}

static bool warn_of_stale(struct camp *c, struct err *e)
{
	struct store_iter *it = store_suppressions(c->store);
	struct store_suppression s;

	while (store_next_suppression(it, &s))
		if (!s.mutants && !c->options->only_mutant)
			log_warn("the suppression '%s' matches no mutant (its reason was: %s)", s.glob, s.reason);
	return store_iter_end(it, e);
}

static bool record(struct camp *c, struct err *e)
{
	bool ok;

	camp_tell(c, "recording the plan");
	camp_expect(c, c->nmutants);
	if (!store_begin(c->store, e))
		return false;
	ok = record_facts(c, e) && camp_context(c, e) && camp_originals(c, e);
	for (size_t i = 0; ok && i < c->nmutants; i++) {
		ok = camp_go_on(c, e) && record_mutant(c, &c->mutant[i], e);
		c->progress.phase_done++;
		camp_tell(c, NULL);
	}
	ok = ok && record_suppressions(c, e);
	if (ok)
		return store_commit(c->store, e) && warn_of_stale(c, e);
	store_rollback(c->store);
	return false;
}

static bool prepare(struct camp *c, struct err *e)
{
	if (!load_model(c, e) || !camp_go_on(c, e) || !load_inputs(c, e) || !camp_go_on(c, e) || !open_devices(c, e) || !camp_go_on(c, e) ||
	    !compile(c, e) || !camp_go_on(c, e))
		return false;
	return choose_chunk(c, e) && list_mutants(c, e) && camp_go_on(c, e);
}

bool camp_prepare(struct camp *c, const char *store_path, struct err *e)
{
	if (!prepare(c, e))
		return false;
	c->recording = true; /* until it is known that the store is this campaign's */
	if (!store_open(store_path, STORE_WRITE, &c->store, e) || !record(c, e)) /* opened late: a mistake above leaves no file */
		return false;
	c->recording = false;
	c->progress.jobs = c->nmutants * c->ndevices;
	return true;
}

void camp_end(struct camp *c)
{
	if (c->pool)
		pool_close(c->pool);
	store_close(c->store);
}

bool camp_list(struct arena *a, const struct config_campaign *config, const struct camp_run_options *o, struct camp_plan *out,
	       struct err *e)
{
	struct camp c = {.a = a, .config = config, .options = o};
	bool ok = prepare(&c, e);

	*out = (struct camp_plan){.mutant = c.mutant, .nmutants = c.nmutants, .ndevices = c.ndevices, .nimages = c.ninputs};
	for (size_t i = 0; ok && i < c.nmutants; i++)
		out->without_site += !c.mutant[i].sites;
	ok = ok && (!o->estimate || camp_estimate(&c, o->history, &out->cost, e));
	camp_end(&c);
	return ok;
}
