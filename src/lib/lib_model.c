/* lib_model.c: a model, what it answers, and its mutants */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "campaign/campaign.h"
#include "lib/lib_internal.h"

struct mutatenn_model {
	struct arena *a;
	struct camp_model *m;
};

struct mutatenn_model *mutatenn_model_open(const char *file, struct mutatenn_error *e)
{
	struct arena *a = arena_new(NULL);
	struct camp_model *m;
	struct err err = {0};
	struct mutatenn_model *out = NULL;

	if (lib_end(camp_model_load(a, file, &(struct camp_model_options){0}, &m, &err), &err, e)) {
		out = ARENA_NEW(a, struct mutatenn_model);
		*out = (struct mutatenn_model){.a = a, .m = m};
	} else {
		arena_free(a);
	}
	return out;
}

void mutatenn_model_close(struct mutatenn_model *m)
{
	if (m)
		arena_free(m->a);
}

int64_t mutatenn_model_classes(const struct mutatenn_model *m)
{
	return m->m->classes;
}

const char *mutatenn_model_class_name(const struct mutatenn_model *m, int64_t index)
{
	return camp_class_name(m->m, index);
}

/* ---- answers ---- */

static bool check_level(int level, struct err *e)
{
	return (level >= 0 && level <= 3) || err_set(e, ERR_USAGE, "opt-level takes 0 to 3, not %d", level);
}

static bool run(struct arena *a, const struct camp_model *m, struct pool *pool, const struct camp_target *t, int level, const struct camp_input *in,
                const float **scores, struct err *e)
{
	struct pool_input input = {.name = in->name, .tensor = (const struct tensor *const *)&in->tensor, .ntensors = 1};
	struct pool_job job = {.input = &input, .ninputs = 1};
	struct camp_program program;
	struct pool_result r;
	bool got = false;

	if (!camp_program_build(a, m, &(struct camp_level){.opt_level = level}, t, &program, e))
		return false;
	job.bundle = program.bundle;
	if (!pool_submit(pool, &job, e))
		return false;
	while (!got)
		if (!pool_wait(pool, a, -1, &got, &r, e))
			return false;
	if (r.status != POOL_DONE)
		return err_set(e, ERR_DEVICE, "%s%s%s", r.text, r.log ? "\n" : "", r.log ? r.log : "");
	*scores = camp_scores(a, m, r.image[0].output);
	return true;
}

static bool infer(struct arena *a, const struct camp_model *m, const char *device, int level, const char *file, const float **scores, struct err *e)
{
	char *name = arena_strdup(a, device);
	struct config_campaign c;
	struct pool_device dev;
	struct camp_target target;
	struct camp_input *in;
	struct pool *pool;
	size_t n;
	bool ok;

	config_campaign_default(&c);
	c.devices = &name;
	c.ndevices = 1;
	if (!check_level(level, e) || !camp_device(a, device, NULL, &dev, e) || !camp_inputs(a, m, &file, 1, NULL, &in, &n, e))
		return false;
	if (n != 1)
		return err_set(e, ERR_USAGE, "'%s' holds %zu inputs: give one of them", file, n);
	if (!pool_open(&dev, 1, &pool, e))
		return false;
	if (pool_device_error(pool, 0))
		ok = err_set(e, ERR_DEVICE, "device '%s' cannot be used: %s", device, pool_device_error(pool, 0));
	else
		ok = camp_targets(pool, &c, &target, e) && run(a, m, pool, &target, level, in, scores, e);
	pool_close(pool);
	return ok;
}

bool mutatenn_infer(struct mutatenn_model *m, const char *device, int opt_level, const char *input, struct mutatenn_top *top, size_t k, size_t *n,
                    struct mutatenn_error *e)
{
	struct arena *a = arena_new(NULL);
	struct store_answer x;
	const float *scores;
	struct err err = {0};
	bool ok = infer(a, m->m, device, opt_level, input, &scores, &err);

	*n = 0;
	if (ok && k) {
		camp_answer(a, m->m, scores, m->m->classes, k < (size_t)m->m->classes ? (int)k : (int)m->m->classes, &x);
		for (*n = 0; *n < (size_t)x.k; ++*n)
			top[*n] = (struct mutatenn_top){.index = x.label[*n], .probability = (double)x.probability[*n], .score = (double)scores[x.label[*n]]};
	}
	arena_free(a);
	return lib_end(ok, &err, e);
}

/* ---- mutants ---- */

static bool specs(struct arena *a, const char *what, const char *sites, struct mut_spec **out, size_t *n, struct err *e)
{
	struct config_mutation m = {.sites_text = arena_strdup(a, sites)};

	if (mut_preset_find(what))
		m.preset = arena_strdup(a, what);
	else
		m.op = arena_strdup(a, what);
	return (!sites || config_sites_parse(sites, &m, e)) && camp_specs(a, &m, 1, out, n, e);
}

static bool program_of(struct arena *a, const struct mutatenn_model *m, int level, struct camp_program *p, struct err *e)
{
	return check_level(level, e) && camp_program_lower(a, m->m, &(struct camp_level){.opt_level = level}, &CAMP_TARGET_HOST, p, e);
}

bool mutatenn_mutants(struct mutatenn_model *m, int opt_level, const char *what, const char *sites, uint64_t seed,
                      bool (*each)(const struct mutatenn_mutant *mutant, void *user), void *user, struct mutatenn_error *e)
{
	struct arena *a = arena_new(NULL);
	struct camp_program p;
	struct mut_spec *spec;
	struct mutant *list;
	struct err err = {0};
	size_t nspecs, n = 0;
	bool ok = program_of(a, m, opt_level, &p, &err) && specs(a, what, sites, &spec, &nspecs, &err) &&
	          mut_list(a, &p.subject, spec, nspecs, seed, &list, &n, &err), go = ok;

	for (size_t i = 0; i < n && go; i++) {
		struct mutatenn_mutant x = {.id = list[i].id,
		                            .op = list[i].op->name,
		                            .category = mut_category_name(list[i].op->category),
		                            .summary = list[i].op->summary,
		                            .sites = list[i].sites};

		go = each(&x, user);
	}
	arena_free(a);
	return lib_end(ok, &err, e);
}

char *mutatenn_show(struct mutatenn_model *m, int opt_level, const char *id, struct mutatenn_error *e)
{
	struct arena *a = arena_new(NULL);
	struct camp_program p;
	struct mutant mutant;
	struct err err = {0};
	char *text, *out = NULL;

	if (program_of(a, m, opt_level, &p, &err) && mut_parse(a, &p.subject, id, &mutant, &err) && camp_ir_diff(a, &p, &mutant, &text, &err))
		out = strdup(text);
	arena_free(a);
	lib_end(out != NULL, &err, e);
	return out;
}
