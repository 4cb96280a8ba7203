/* camp_check.c: an acceptance set on a device - is everything what it was made of, and does the original still give what it gave
 *
 * Judged like a mutant: what differs by no more than the tolerance is tolerated, and an image fails when a criterion of the set would
 * call it killed.
 */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "campaign/campaign_internal.h"

static const char *manifest(struct arena *a, const char *dir)
{
	return file_join(a, dir, "manifest.json");
}

static bool check_file(const char *path, struct hash want, struct err *e)
{
	char hex[2][HASH_HEX];
	struct bytes b;
	struct hash h;

	if (!file_map(path, &b, e))
		return err_in(e, "the set's image");
	h = hash_bytes(b.p, b.n);
	file_unmap(b);
	return hash_eq(h, want) || err_set(e, ERR_IO, "image '%s' is not the set's any more: its hash is %s, the manifest has %s", path,
					   hash_hex(h, hex[0]), hash_hex(want, hex[1]));
}

bool camp_check_load(struct arena *a, const char *dir, const struct camp_check_options *o, struct camp_check *out, struct camp_model **model,
                     struct camp_input **input, struct err *e)
{
	const struct select_set *s = &out->set;
	const char **path;
	size_t n;

	*out = (struct camp_check){0};
	if (!file_is_dir(dir))
		return err_set(e, ERR_USAGE, "'%s' is not a folder; 'mutatenn select STORE --out %s' makes an acceptance set", dir, dir);
	if (!select_manifest_read(a, manifest(a, dir), &out->set, e) || !camp_recall_model(a, &out->set, "the set's model", dir, o->model, model, e))
		return false;
	path = ARENA_ARRAY(a, const char *, s->nimages);
	for (size_t i = 0; i < s->nimages; i++) {
		path[i] = file_join(a, dir, s->image[i].file);
		if (!check_file(path[i], s->image[i].hash, e))
			return false;
	}
	if (!camp_inputs(a, *model, path, s->nimages, NULL, input, &n, e))
		return false;
	for (size_t i = 0; i < s->nimages; i++)
		if (!hash_eq((*input)[i].hash, s->image[i].input))
			return err_set(e, ERR_IO, "image '%s' gives another input than when the set was made: this mutatenn preprocesses it otherwise", path[i]);
	return true;
}

/* The recorded device that this one is; else the one of its name; else the first. */
static size_t counterpart(const struct camp_check *k)
{
	size_t found = 0;

	for (size_t d = k->set.ndevices; d--;)
		if (!strcmp(k->set.device[d].name, k->device))
			found = d;
	for (size_t d = k->set.ndevices; d--;)
		if (!strcmp(k->set.device[d].identity, k->identity) && (strcmp(k->set.device[found].identity, k->identity) || d == found))
			found = d;
	return found;
}

/* The functions of the recorded device of that name or, below level 3, anybody's: they do not depend on it. */
static struct camp_target target_for(const struct select_set *s, const char *device, const struct camp_target *t)
{
	struct camp_target out = *t;

	for (size_t d = 0; d < s->ndevices; d++) {
		if (strcmp(s->device[d].name, device))
			continue;
		out.cls = !strcmp(s->device[d].cls, "gpu") ? DEVICE_GPU : DEVICE_CPU;
		out.lanes = s->device[d].lanes;
	}
	return out;
}

static bool expected_scores(struct arena *a, const struct camp_model *m, const char *dir, const struct select_expected *x, const float **out,
                            struct err *e)
{
	const char *path = file_join(a, dir, x->scores);
	struct tensor *t;

	if (!npy_read(a, path, &t, e))
		return false;
	if (t->dtype != DT_F32 || tensor_elements(t) != m->classes)
		return err_set(e, ERR_PARSE, "'%s' holds no f32 scores of %lld classes", path, (long long)m->classes);
	if (!hash_eq(hash_bytes(t->data, tensor_bytes(t)), x->digest))
		return err_set(e, ERR_IO, "'%s' is not what the manifest was written with: its digest is another", path);
	*out = t->data;
	return true;
}

static enum outcome ended_as(enum pool_status s)
{
	switch (s) {
	case POOL_BUILD_FAILED: return OUTCOME_BUILD_FAILED;
	case POOL_CRASHED: return OUTCOME_CRASH;
	case POOL_HUNG: return OUTCOME_HANG;
	case POOL_OVERRUN: return OUTCOME_OVERRUN;
	default: return OUTCOME_NOT_RUN;
	}
}

static bool judge(struct arena *a, const struct camp_model *m, const char *dir, const struct pool_image *ran, enum pool_status status,
                  struct camp_check *k, struct camp_check_image *out, struct err *e)
{
	const float *want = NULL;

	if (!expected_scores(a, m, dir, out->expected, &want, e))
		return false;
	if (ran && ran->ran && ran->output) {
		camp_judge(a, m, want, camp_scores(a, m, ran->output), m->classes, out->expected->k, out->tolerance, &out->result);
		if (ran->status == POOL_OVERRUN)
			out->result.outcome = OUTCOME_OVERRUN;
	} else {
		out->result.outcome = ended_as(ran && ran->ran ? ran->status : status);
	}
	out->result.time_s = ran ? ran->time_s : 0;
	out->pass = ran && ran->ran && ran->output && !(outcome_kills(out->result.outcome) & k->criteria);
	if (out->pass && out->result.outcome != OUTCOME_IDENTICAL) {
		k->ndrifted++;
		k->worst = fmax(k->worst, out->result.max_abs);
	}
	k->nfailed += !out->pass;
	return true;
}

static bool judge_all(struct arena *a, const struct camp_model *m, const char *dir, const struct pool_result *r, const struct camp_check_options *o,
                      struct camp_check *k, struct err *e)
{
	size_t d = counterpart(k);

	k->against = &k->set.device[d];
	k->same_identity = !strcmp(k->against->identity, k->identity);
	k->image = ARENA_ARRAY(a, struct camp_check_image, k->set.nimages);
	if (r->status != POOL_DONE && r->status != POOL_OVERRUN)
		k->ended = arena_printf(a, "%s%s%s", r->text, r->launch ? " in kernel " : "", r->launch ? r->launch : "");
	for (size_t i = 0; i < k->set.nimages; i++) {
		struct camp_check_image *out = &k->image[i];

		out->image = &k->set.image[i];
		out->expected = &out->image->expected[d];
		out->tolerance = o->tolerance >= 0 ? o->tolerance : k->same_identity ? out->expected->noise : out->image->tolerance;
		if (!judge(a, m, dir, r->image && i < r->nimages ? &r->image[i] : NULL, r->status, k, out, e))
			return false;
	}
	return true;
}

static bool run(struct arena *a, struct pool *p, const struct bundle *b, const struct camp_input *in, size_t n, struct pool_result *r, struct err *e)
{
	struct pool_input *pi = ARENA_ARRAY(a, struct pool_input, n);
	struct pool_job job = {.bundle = b, .input = pi, .ninputs = n};
	bool got = false;

	for (size_t i = 0; i < n; i++)
		pi[i] = (struct pool_input){.name = in[i].name, .tensor = (const struct tensor *const *)&in[i].tensor, .ntensors = 1};
	if (!pool_submit(p, &job, e))
		return false;
	while (!got)
		if (!pool_wait(p, a, -1, &got, r, e))
			return false;
	return r->status != POOL_LOST || err_set(e, ERR_DEVICE, "%s", r->text);
}

bool camp_check_run(struct arena *a, struct pool *p, const char *device, const struct camp_target *t, const struct camp_model *model,
                    const struct camp_input *input, const char *dir, const struct camp_check_options *o, struct camp_check *out, struct err *e)
{
	const struct select_set *s = &out->set;
	struct camp_level level = camp_level_of(s);
	struct camp_target target = target_for(s, device, t);
	struct camp_program program;
	struct pool_result r;

	out->criteria = o->criteria ? o->criteria : s->criteria;
	out->device = arena_strdup(a, device);
	out->identity = camp_identity(a, pool_caps(p, 0), &target, s->opt_level);
	return camp_program_build(a, model, &level, &target, &program, e) &&
	       run(a, p, program.bundle, input, s->nimages, &r, e) && judge_all(a, model, dir, &r, o, out, e);
}
