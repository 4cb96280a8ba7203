/* config_campaign.c: the keys of a campaign, their defaults and their limits */
#include "config/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/str.h"

/* What is read as text or list and turned into something else afterwards. */
struct raw {
	struct config_campaign c;
	unsigned *criteria;
	size_t ncriteria;
	char *memory, *mutant_memory;
};

static const cyaml_strval_t schedule_names[] = {{"auto", SCHEDULE_AUTO}, {"portable", SCHEDULE_PORTABLE}, {"native", SCHEDULE_NATIVE}};
static const cyaml_strval_t criteria_names[] = {{"label", CONFIG_LABEL}, {"topk", CONFIG_TOPK}, {"numeric", CONFIG_NUMERIC}};

const cyaml_schema_field_t config_mutation_fields[] = {
    TEXT_FIELD("preset", CYAML_FLAG_OPTIONAL, struct config_mutation, preset),
    TEXT_FIELD("operator", CYAML_FLAG_OPTIONAL, struct config_mutation, op),
    TEXT_FIELD("variant", CYAML_FLAG_OPTIONAL, struct config_mutation, variant),
    TEXT_FIELD("target", CYAML_FLAG_OPTIONAL, struct config_mutation, target),
    TEXT_FIELD("sites", CYAML_FLAG_OPTIONAL, struct config_mutation, sites_text),
    CYAML_FIELD_END,
};

static const struct cyaml_schema_value mutation_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_mutation, config_mutation_fields)};
const cyaml_schema_field_t config_suppression_fields[] = {
    TEXT_FIELD("mutant", 0, struct config_suppression, mutant),
    TEXT_FIELD("reason", 0, struct config_suppression, reason),
    CYAML_FIELD_END,
};
static const struct cyaml_schema_value suppression_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_suppression, config_suppression_fields)};
static const struct cyaml_schema_value criterion_schema = {CYAML_VALUE_ENUM(CYAML_FLAG_STRICT, unsigned, criteria_names, 3)};

#define OPT CYAML_FLAG_OPTIONAL

const cyaml_schema_field_t config_campaign_fields[] = {
    TEXT_FIELD("model", 0, struct raw, c.model),
    TEXT_FIELD("images", 0, struct raw, c.images),
    TEXT_FIELD("labels", OPT, struct raw, c.labels),
    TEXT_LIST_FIELD("devices", 0, struct raw, c.devices, c.ndevices, 1, 256),
    CYAML_FIELD_SEQUENCE_COUNT("device-definitions", CYAML_FLAG_POINTER | OPT, struct raw, c.definitions, c.ndefinitions,
			       &config_device_schema, 1, 256),
    CYAML_FIELD_INT("opt-level", OPT, struct raw, c.opt_level),
    CYAML_FIELD_ENUM("schedule", OPT | CYAML_FLAG_STRICT, struct raw, c.schedule, schedule_names, 3),
    TEXT_LIST_FIELD("disable-pass", OPT, struct raw, c.disable_pass, c.ndisable_pass, 0, 64),
    TEXT_LIST_FIELD("enable-pass", OPT, struct raw, c.enable_pass, c.nenable_pass, 0, 64),
    CYAML_FIELD_SEQUENCE_COUNT("mutations", CYAML_FLAG_POINTER, struct raw, c.mutations, c.nmutations, &mutation_schema, 1, 1000),
    CYAML_FIELD_SEQUENCE_COUNT("suppress", CYAML_FLAG_POINTER | OPT, struct raw, c.suppress, c.nsuppress, &suppression_schema, 0, 1000),
    CYAML_FIELD_SEQUENCE_COUNT("criteria", CYAML_FLAG_POINTER | OPT, struct raw, criteria, ncriteria, &criterion_schema, 1, 3),
    CYAML_FIELD_INT("batch", OPT, struct raw, c.batch),
    CYAML_FIELD_INT("threads", OPT, struct raw, c.threads),
    CYAML_FIELD_UINT("seed", OPT, struct raw, c.seed),
    CYAML_FIELD_INT("top-k", OPT, struct raw, c.top_k),
    TEXT_FIELD("preprocess", OPT, struct raw, c.preprocess),
    TEXT_FIELD("output", OPT, struct raw, c.output),
    CYAML_FIELD_ENUM("scores", OPT | CYAML_FLAG_STRICT, struct raw, c.scores, config_scores_names, 3),
    TEXT_FIELD("store", OPT, struct raw, c.store),
    CYAML_FIELD_FLOAT("time-limit-factor", OPT, struct raw, c.time_limit_factor),
    CYAML_FIELD_FLOAT("time-limit-min", OPT, struct raw, c.time_limit_min),
    TEXT_FIELD("fill", OPT, struct raw, c.fill),
    CYAML_FIELD_FLOAT("fail-under", OPT, struct raw, c.fail_under),
    TEXT_FIELD("memory", OPT, struct raw, memory),
    TEXT_FIELD("mutant-memory", OPT, struct raw, mutant_memory),
    CYAML_FIELD_INT("sample", OPT, struct raw, c.image_sample),
    CYAML_FIELD_FLOAT("tolerance", OPT, struct raw, c.tolerance),
    CYAML_FIELD_INT("controls", OPT, struct raw, c.controls),
    CYAML_FIELD_INT("control-mutants", OPT, struct raw, c.control_mutants),
    CYAML_FIELD_INT("repeat", OPT, struct raw, c.repeat),
    CYAML_FIELD_BOOL("logits", OPT, struct raw, c.keep_logits),
    CYAML_FIELD_BOOL("sanitize", OPT, struct raw, c.sanitize),
    CYAML_FIELD_END,
};

static const struct cyaml_schema_value schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw, config_campaign_fields)};

const struct config_limit config_campaign_limits[] = {
    {"opt-level", 0, 3},           {"batch", 1, 1024},           {"threads", 0, 1024},   {"top-k", 1, 1000},
    {"time-limit-factor", 1, 1e6}, {"time-limit-min", 0, 86400}, {"fail-under", 0, 100}, {"sample", 0, 1e9},
    {"tolerance", 0, 1e30},        {"controls", 0, 1e9},         {"repeat", 1, 1000},
    {"control-mutants", 0, 1000},  {NULL, 0, 0},
};

void config_campaign_default(struct config_campaign *c)
{
	*c = (struct config_campaign){
	    .opt_level = 2,
	    .criteria = CONFIG_LABEL | CONFIG_TOPK | CONFIG_NUMERIC,
	    .fail_under_criterion = "label",
	    .batch = 1,
	    .seed = 1,
	    .top_k = 5,
	    .time_limit_factor = 10,
	    .time_limit_min = 2,
	    .fail_under = -1,
	    .controls = 50,
	    .control_mutants = 6,
	    .repeat = 3,
	    .keep_logits = true,
	};
}

const void *config_campaign_defaults(struct arena *a)
{
	struct raw *r = ARENA_NEW(a, struct raw);

	config_campaign_default(&r->c);
	return r;
}

static bool whole(const char *t, char **end, int64_t *out)
{
	if (!isdigit((unsigned char)*t))
		return false;
	errno = 0;
	*out = strtoll(t, end, 10);
	return !errno && *out >= 1;
}

bool config_sites_parse(const char *text, struct config_mutation *m, struct err *e)
{
	char *end = NULL;

	m->sites = SITES_EACH;
	m->first = m->last = m->sample = 0;
	m->sample_error = 0;
	if (!strcmp(text, "each"))
		return true;
	if (!strcmp(text, "all")) {
		m->sites = SITES_ALL;
		return true;
	}
	if (!strncmp(text, "sample ", 7) && whole(text + 7, &end, &m->sample) && !*end) {
		m->sites = SITES_SAMPLE;
		return true;
	}
	m->sample = 0;
	if (!strncmp(text, "sample ", 7) && str_parse_per_cent(text + 7, &m->sample_error)) {
		m->sites = SITES_SAMPLE;
		return true;
	}
	if (whole(text, &end, &m->first)) {
		m->sites = SITES_RANGE;
		m->last = m->first;
		if (!*end || (*end == '-' && whole(end + 1, &end, &m->last) && !*end && m->last >= m->first))
			return true;
	}
	return err_set(e, ERR_USAGE, "'%s' are no sites: each, all, a number, a range like 1-5, sample 50, or sample 2%%", text);
}

static bool check_mutations(struct arena *a, const struct config_campaign *c, const char **key, struct err *e)
{
	*key = "mutations";
	if (!c->nmutations)
		return err_set(e, ERR_USAGE, "'mutations' is missing: a preset or an operator");
	for (size_t i = 0; i < c->nmutations; i++) {
		const struct config_mutation *m = &c->mutations[i];
		struct config_mutation parsed;

		*key = arena_printf(a, "mutations[%zu]", i + 1);
		if (!m->preset == !m->op)
			return err_set(e, ERR_USAGE, "'%s' needs a preset or an operator%s", *key, m->op ? ", not both" : "");
		*key = arena_printf(a, "mutations[%zu].sites", i + 1);
		if (m->sites_text && !config_sites_parse(m->sites_text, &parsed, e))
			return false;
		*key = arena_printf(a, "mutations[%zu].%s", i + 1, m->variant ? "variant" : "target");
		if (m->preset && (m->variant || m->target))
			return err_set(e, ERR_USAGE, "'%s' goes with an operator, not with a preset", *key);
	}
	return true;
}

static bool check_devices(struct arena *a, const struct config_campaign *c, const char **key, struct err *e)
{
	*key = "devices";
	if (!c->ndevices)
		return err_set(e, ERR_USAGE, "'devices' is missing");
	for (size_t i = 0; i < c->ndevices; i++) {
		*key = arena_printf(a, "devices[%zu]", i + 1);
		if (!config_name_ok(c->devices[i]))
			return err_set(e, ERR_USAGE, "'%s' is not the name of a device", c->devices[i]);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(c->devices[i], c->devices[j]))
				return err_set(e, ERR_USAGE, "device '%s' is listed twice", c->devices[i]);
	}
	return config_device_check(a, c->definitions, c->ndefinitions, key, e);
}

static bool check_numbers(const struct config_campaign *c, const char **key, struct err *e)
{
	*key = "criteria";
	if (!c->criteria || c->criteria > (CONFIG_LABEL | CONFIG_TOPK | CONFIG_NUMERIC))
		return err_set(e, ERR_USAGE, "'criteria' must name label, topk or numeric");
	for (const struct config_limit *l = config_campaign_limits; l->key; l++) {
		const struct raw r = {.c = *c};
		double value = config_number(config_field(config_campaign_fields, l->key), &r);

		*key = l->key;
		if (!(value >= l->low && value <= l->high) && !(c->fail_under < 0 && !strcmp(l->key, "fail-under"))) /* not given */
			return err_set(e, ERR_USAGE, "'%s' must be %.10g to %.10g, not %.10g", l->key, l->low, l->high, value);
	}
	return true;
}

bool config_fill_parse(const char *text, unsigned *kind, uint64_t *seed, struct err *e)
{
	static const char *const words[] = {"nan", "zero", "random", "stale"};
	char *end;

	*seed = 0;
	for (*kind = 0; *kind < sizeof words / sizeof *words; ++*kind) {
		size_t n = strlen(words[*kind]);

		if (!text || (!strcmp(text, words[*kind]) && *kind != 2))
			return true;
		if (*kind != 2 || strncmp(text, "random(", n + 1) != 0 || !isdigit((unsigned char)text[n + 1]))
			continue;
		errno = 0;
		*seed = strtoull(text + n + 1, &end, 10);
		if (!errno && !strcmp(end, ")"))
			return true;
	}
	return err_set(e, ERR_USAGE, "'%s' is no fill: nan, zero, stale, or random(7) with any number", text);
}

/* One line each, as the store wants them. */
static bool check_suppressions(struct arena *a, const struct config_campaign *c, const char **key, struct err *e)
{
	for (size_t i = 0; i < c->nsuppress; i++) {
		*key = arena_printf(a, "suppress[%zu].mutant", i + 1);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(c->suppress[i].mutant, c->suppress[j].mutant))
				return err_set(e, ERR_USAGE, "'%s' is suppressed twice", c->suppress[i].mutant);
		if (!c->suppress[i].mutant[0] || strpbrk(c->suppress[i].mutant, "\r\n\t"))
			return err_set(e, ERR_USAGE, "'%s' must be a glob of mutant ids, one line", *key);
		*key = arena_printf(a, "suppress[%zu].reason", i + 1);
		if (!c->suppress[i].reason[strspn(c->suppress[i].reason, " ")] || strpbrk(c->suppress[i].reason, "\r\n\t") || strlen(c->suppress[i].reason) > 4096)
			return err_set(e, ERR_USAGE, "'%s' must say why, in one line of at most 4096 bytes", *key);
	}
	return true;
}

static bool check(struct arena *a, const struct config_campaign *c, const char **key, struct err *e)
{
	*key = "model";
	if (!c->model)
		return err_set(e, ERR_USAGE, "'model' is missing");
	*key = "images";
	if (!c->images)
		return err_set(e, ERR_USAGE, "'images' is missing");
	*key = "fill";
	if (!config_fill_parse(c->fill, &(unsigned){0}, &(uint64_t){0}, e))
		return false;
	return check_devices(a, c, key, e) && check_mutations(a, c, key, e) && check_suppressions(a, c, key, e) && check_numbers(c, key, e);
}

bool config_campaign_check(const struct config_campaign *c, struct err *e)
{
	struct arena *a = arena_new(NULL);
	const char *key;
	bool ok = check(a, c, &key, e);

	arena_free(a);
	return ok;
}

/* Keys that were not given take their defaults. */
static void fill_in(struct arena *a, struct raw *r, const struct yaml_file *f)
{
	struct config_campaign d, *c = &r->c;

	config_campaign_default(&d);
#define DEFAULT(key, member)                                                                                                       \
	if (!yaml_given(f, key))                                                                                                   \
	c->member = d.member
	DEFAULT("opt-level", opt_level);
	DEFAULT("batch", batch);
	DEFAULT("seed", seed);
	DEFAULT("top-k", top_k);
	DEFAULT("time-limit-factor", time_limit_factor);
	DEFAULT("time-limit-min", time_limit_min);
	DEFAULT("fail-under", fail_under);
	DEFAULT("controls", controls);
	DEFAULT("control-mutants", control_mutants);
	DEFAULT("repeat", repeat);
	DEFAULT("logits", keep_logits);
#undef DEFAULT
	c->scores_given = yaml_given(f, "scores");
	c->fail_under_criterion = d.fail_under_criterion;
	c->criteria = r->ncriteria ? 0 : d.criteria;
	for (size_t i = 0; i < r->ncriteria; i++)
		c->criteria |= r->criteria[i];
	for (int i = 0; r->ncriteria && i < 3; i++)
		if (criteria_names[i].val == r->criteria[0])
			c->fail_under_criterion = arena_strdup(a, criteria_names[i].str);
	config_device_fill(a, f, c->definitions, c->ndefinitions);
}

bool config_campaign_read(struct arena *a, const char *path, struct config_campaign *out, struct err *e)
{
	const char *key = NULL;
	struct yaml_file f;
	struct raw *r;
	void *p;

	if (!yaml_load(a, path, &schema, &f, &p, e))
		return false;
	r = p;
	fill_in(a, r, &f);
	r->c.file = arena_strdup(a, path);
	if (yaml_given(&f, "fail-under") && r->c.fail_under < 0) {
		err_set(e, ERR_PARSE, "'fail-under' must be 0 to 100");
		return yaml_place(&f, "fail-under", e);
	}
	if (r->memory && !config_bytes_parse(r->memory, &r->c.memory, e))
		return yaml_place(&f, "memory", e);
	if (r->mutant_memory && !config_bytes_parse(r->mutant_memory, &r->c.mutant_memory, e))
		return yaml_place(&f, "mutant-memory", e);
	if (!check(a, &r->c, &key, e))
		return yaml_place(&f, key, e);
	for (size_t i = 0; i < r->c.nmutations; i++) {
		struct config_mutation *m = &r->c.mutations[i];

		m->place = yaml_where(a, &f, arena_printf(a, "mutations[%zu].%s", i + 1, m->preset ? "preset" : "operator"));
		if (m->sites_text && !config_sites_parse(m->sites_text, m, e))
			return false;
	}
	*out = r->c;
	return true;
}

char *config_path(struct arena *a, const struct config_campaign *c, const char *path)
{
	if (!path || path[0] == '/' || !c->file || !strcmp(c->file, "-"))
		return arena_strdup(a, path);
	return file_join(a, file_dir(a, c->file), path);
}
