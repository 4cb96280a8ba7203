/* camp_program.c: the original's program, a mutant's program, and what differs between them */
#include <string.h>

#include "base/arena.h"
#include "base/diff.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "campaign/campaign_internal.h"

static bool is_pass(const char *name)
{
	for (size_t k = 0; gir_passes[k]; k++)
		if (!strcmp(gir_passes[k]->name, name))
			return true;
	return false;
}

/* Of the definition; the built-in devices' is f32. */
static enum dtype precision_of(const struct config_campaign *c, const char *device)
{
	const struct config_device *def = config_device_find(c, device);
	enum dtype t = DT_F32;

	if (def && def->precision)
		dtype_parse(def->precision, &t);
	return t;
}

const char *camp_describe(struct arena *a, const struct config_campaign *c, const char *device, const struct device_caps *caps)
{
	enum dtype t = precision_of(c, device);

	return arena_printf(a, "%s%s%s", caps->describe, t == DT_F32 ? "" : ", ", t == DT_F32 ? "" : dtype_name(t));
}

struct fill camp_fill(const struct config_campaign *c)
{
	unsigned kind;
	uint64_t seed;

	if (!config_fill_parse(c->fill, &kind, &seed, NULL)) /* checked when it was read */
		kind = FILL_NAN;
	return (struct fill){(enum fill_kind)kind, seed};
}

/* A device that is not there counts for its class too, as far as its backend tells: a campaign must not change its schedule when
 * the device is back. */
static enum device_class class_of(const struct pool *p, size_t d)
{
	const char *backend = pool_backend(p, d);

	if (!pool_device_error(p, d))
		return pool_caps(p, d)->cls;
	return !strcmp(backend, "vulkan") || !strcmp(backend, "cuda") ? DEVICE_GPU : DEVICE_CPU;
}

bool camp_targets(const struct pool *p, const struct config_campaign *c, struct camp_target *out, struct err *e)
{
	int lanes[2] = {16, 16};
	bool seen[2] = {false, false}, portable;
	uint32_t max_group = LIR_MAX_GROUP;
	uint64_t local = CAMP_LOCAL_MEMORY;

	for (size_t d = 0; d < c->ndevices; d++) {
		const struct device_caps *caps = pool_caps(p, d);

		seen[class_of(p, d)] = true;
		if (pool_device_error(p, d))
			continue;
		if (caps->lanes < lanes[caps->cls])
			lanes[caps->cls] = caps->lanes;
		if (caps->cls == DEVICE_GPU && caps->max_group < max_group)
			max_group = caps->max_group;
		if (caps->cls == DEVICE_GPU && caps->local_memory < local)
			local = caps->local_memory;
	}
	portable = c->schedule == SCHEDULE_PORTABLE || (c->schedule == SCHEDULE_AUTO && seen[DEVICE_CPU] && seen[DEVICE_GPU]);
	for (size_t d = 0; d < c->ndevices; d++) {
		const struct device_caps *caps = pool_caps(p, d);

		out[d] = CAMP_TARGET_HOST;
		if (pool_device_error(p, d))
			continue;
		out[d] = (struct camp_target){.cls = portable ? DEVICE_CPU : caps->cls,
					      .lanes = portable ? 1 : lanes[caps->cls],
					      .max_group = portable ? 0 : max_group,
					      .local_memory = portable ? 0 : local,
					      .precision = precision_of(c, c->devices[d]),
					      .dialect = caps->dialect,
					      .fill = camp_fill(c)};
		if (!(caps->types >> out[d].precision & 1))
			return err_set(e, ERR_UNSUPPORTED, "device '%s' cannot compute with %s", c->devices[d],
				       dtype_name(out[d].precision));
	}
	return true;
}

bool camp_in_order(const char *dialect)
{
	return !strcmp(dialect, "c") || !strcmp(dialect, "opencl-c-cpu");
}

bool camp_same_functions(const struct camp_target *a, const struct camp_target *b)
{
	return a->cls == b->cls && a->lanes == b->lanes && a->precision == b->precision;
}

/* Everything of a program that decides its results: kernels, wiring, shapes, constants; not names. */
static struct hash identity(const struct bundle *b)
{
	struct hasher *h = hasher_new();

	hash_put_u64(h, b->nbuffers);
	for (uint32_t i = 0; i < b->nbuffers; i++) {
		const struct bundle_buffer *buf = &b->buffer[i];

		hash_put_u64(h, buf->role == BUF_CONST || buf->role == BUF_INPUT ? buf->role : BUF_TEMP);
		hash_put_u64(h, buf->dtype);
		hash_put_u64(h, (uint64_t)buf->nd);
		for (int d = 0; d < buf->nd; d++)
			hash_put_u64(h, (uint64_t)buf->dim[d]);
		hash_put_hash(h, buf->role == BUF_CONST ? buf->hash : (struct hash){0});
	}
	for (uint32_t i = 0; i < b->nlaunches; i++) {
		const struct bundle_launch *l = &b->launch[i];

		hash_put_hash(h, b->kernel[l->kernel].hash);
		for (uint32_t k = 0; k < l->nargs; k++)
			hash_put_u64(h, l->arg[k]);
	}
	for (uint32_t i = 0; i < b->noutputs; i++)
		hash_put_u64(h, b->output[i]);
	return hasher_end(h);
}

bool camp_program_render(struct arena *a, const struct camp_program *p, const char *dialect, struct camp_program *out,
			 struct err *e)
{
	if (out != p)
		*out = *p;
	out->dialect = dialect;
	if (!comp_bundle(a, p->program, dialect, &out->bundle, e))
		return false;
	out->identity = identity(out->bundle);
	return true;
}

/* To name what runs by its level, or not at this one, would change nothing and make another configuration. */
static bool may_be_enabled(const struct camp_level *l, struct err *e)
{
	for (size_t i = 0; i < l->nenabled; i++)
		for (size_t k = 0; gir_passes[k]; k++) {
			const struct gir_pass *p = gir_passes[k];

			if (strcmp(p->name, l->enabled[i]))
				continue;
			if (!p->asked)
				return err_set(e, ERR_USAGE, "the pass '%s' runs from opt-level %d on and is not one to enable", p->name, p->level);
			if (p->level > l->opt_level)
				return err_set(e, ERR_USAGE, "the pass '%s' can be enabled from opt-level %d on, this is opt-level %d", p->name, p->level,
					       l->opt_level);
		}
	return true;
}

static bool are_passes(const char *const *name, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (!is_pass(name[i]))
			return err_set(e, ERR_USAGE, "'%s' is not a pass; 'mutatenn info MODEL --opt-level 3' lists them", name[i]);
	return true;
}

bool camp_program_build(struct arena *a, const struct camp_model *m, const struct camp_level *l, const struct camp_target *t,
			struct camp_program *out, struct err *e)
{
	if (!camp_program_lower(a, m, l, t, out, e))
		return false;
	return camp_program_render(a, out, t->dialect, out, e) || err_in(e, "compiling '%s'", m->file);
}

bool camp_program_lower(struct arena *a, const struct camp_model *m, const struct camp_level *l, const struct camp_target *t,
			struct camp_program *out, struct err *e)
{
	struct lir_func **func;

	if (!are_passes(l->disabled, l->ndisabled, e) || !are_passes(l->enabled, l->nenabled, e) ||
	    !may_be_enabled(l, e))
		return false;
	*out = (struct camp_program){.options = {.opt_level = l->opt_level,
						 .disabled = l->disabled,
						 .ndisabled = l->ndisabled,
						 .enabled = l->enabled,
						 .nenabled = l->nenabled,
						 .cls = t->cls,
						 .lanes = t->lanes,
						 .max_group = t->max_group,
						 .local_memory = t->local_memory,
						 .fill = t->fill,
						 .precision = t->precision},
				     .dialect = t->dialect};
	out->options.plan = gir_plan_new(a);
	if (!comp_program(a, m->graph, &out->options, &out->program, e))
		return err_in(e, "compiling '%s'", m->file);
	gir_plan_replay(out->options.plan);
	func = ARENA_ARRAY(a, struct lir_func *, out->program->nkernels);
	for (uint32_t k = 0; k < out->program->nkernels; k++)
		func[k] = out->program->kernel[k].func;
	out->subject = (struct mut_subject){.graph = m->graph, .func = func, .nfuncs = out->program->nkernels};
	return true;
}

/* All that a change of loops can change: their wiring is the same. */
static bool same_kernels(const struct bundle *a, const struct bundle *b)
{
	for (uint32_t i = 0; i < a->nlaunches; i++)
		if (!hash_eq(a->kernel[a->launch[i].kernel].hash, b->kernel[b->launch[i].kernel].hash))
			return false;
	return true;
}

bool camp_mutate(struct arena *a, const struct camp_model *m, struct camp_program *p, const struct mutant *mutant,
		 struct bundle **bundle, struct comp_program **program, bool *same, struct err *e)
{
	struct gir_graph *graph;
	struct lir_func **func;
	double began = camp_now(), lowered;
	bool ok;

	(void)m;
	*bundle = NULL;
	*program = p->program;
	*same = false;
	switch (mutant->op->kind) {
	case MUT_INPUT: return true;
	case MUT_LOOP:
		if (!mut_apply_loop(a, &p->subject, mutant, &func, e))
			return false;
		*program = comp_replace(a, p->program, func);
		break;
	case MUT_GRAPH:
		if (!mut_apply_graph(a, &p->subject, mutant, &graph, e) || !comp_program(a, graph, &p->options, program, e))
			return false;
		break;
	}
	lowered = camp_now();
	ok = comp_bundle(a, *program, p->dialect, bundle, e);
	p->lower_s += lowered - began;
	p->emit_s += camp_now() - lowered;
	if (!ok)
		return false;
	*same = mutant->op->kind == MUT_LOOP ? same_kernels(*bundle, p->bundle) : hash_eq(identity(*bundle), p->identity);
	return true;
}

static void diff_loops(struct str *out, const struct camp_program *p, struct lir_func *const *func)
{
	for (size_t k = 0; k < p->subject.nfuncs; k++) {
		struct str before = {0}, after = {0};

		if (!func[k])
			continue;
		lir_print(&before, p->subject.func[k]);
		lir_print(&after, func[k]);
		text_diff(out, p->subject.func[k]->name, str_text(&before), p->subject.func[k]->name, str_text(&after), 3);
		str_free(&before);
		str_free(&after);
	}
}

bool camp_ir_diff(struct arena *a, struct camp_program *p, const struct mutant *m, char **out, struct err *e)
{
	struct arena *scratch = arena_new(a);
	struct str text = {0};
	bool ok = true;

	if (m->op->kind == MUT_INPUT) {
		str_addf(&text, "input: %s\n", mut_input_edit(m));
	} else if (m->op->kind == MUT_LOOP) {
		struct lir_func **func;

		ok = mut_apply_loop(scratch, &p->subject, m, &func, e);
		if (ok)
			diff_loops(&text, p, func);
	} else {
		struct str before = {0}, after = {0};
		struct gir_graph *g;

		ok = mut_apply_graph(scratch, &p->subject, m, &g, e);
		if (ok && comp_infer(g, NULL)) {
			gir_print(&before, p->subject.graph, false);
			gir_print(&after, g, false);
			text_diff(&text, "graph", str_text(&before), "mutant", str_text(&after), 1);
		}
		str_free(&before);
		str_free(&after);
	}
	*out = arena_strndup(a, str_text(&text), text.n);
	str_free(&text);
	arena_free(scratch);
	return ok;
}

static bool add_preset(struct arena *a, const struct config_mutation *m, struct mut_spec **list, size_t *n, struct err *e)
{
	const struct mut_preset *p = mut_preset_find(m->preset);
	struct str known = {0};

	if (!p) {
		for (size_t i = 0; mut_presets[i]; i++)
			str_addf(&known, "%s'%s'", i ? ", " : "", mut_presets[i]->name);
		err_set(e, ERR_USAGE, "no preset of mutations is called '%s'; known: %s", m->preset, str_text(&known));
		str_free(&known);
		return false;
	}
	*list = arena_memdup(a, p->spec, p->n * sizeof **list);
	*n = p->n;
	return true;
}

static void set_pick(struct mut_spec *s, const struct config_mutation *m)
{
	static const enum mut_pick pick[] = {
	    [SITES_EACH] = MUT_EACH, [SITES_ALL] = MUT_ALL, [SITES_RANGE] = MUT_RANGE, [SITES_SAMPLE] = MUT_SAMPLE};

	s->pick = pick[m->sites];
	s->first = m->sites == SITES_RANGE ? (uint64_t)m->first - 1 : 0;
	s->last = m->sites == SITES_RANGE ? (uint64_t)m->last - 1 : 0;
	s->count = (uint64_t)m->sample;
	s->error = m->sample_error;
}

bool camp_specs(struct arena *a, const struct config_mutation *m, size_t n, struct mut_spec **out, size_t *count, struct err *e)
{
	VEC(struct mut_spec) all = {0};

	for (size_t i = 0; i < n; i++) {
		struct mut_spec one = {.operator_glob = m[i].op, .variant_glob = m[i].variant, .target_glob = m[i].target},
				*list = &one;
		size_t k = 1;

		if (m[i].preset && !add_preset(a, &m[i], &list, &k, e))
			return m[i].place ? err_in(e, "%s", m[i].place) : false;
		for (size_t s = 0; s < k; s++) {
			list[s].place = m[i].place;
			if (!m[i].preset || m[i].sites_text)
				set_pick(&list[s], &m[i]);
			vec_push(a, &all, list[s]);
		}
	}
	*out = all.v;
	*count = all.n;
	return true;
}
