/* config_keys.c: the reference of all keys, as Markdown, from the schemas, the defaults, the limits and config_keys.def */
#include "config/config_internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/str.h"

enum section { CAMPAIGN, MUTATION, SUPPRESSION, DEVICE, SIDECAR };

static const struct key {
	enum section section;
	const char *key, *fallback, *help;
} keys[] = {
#define KEY(section, key, fallback, help) {section, key, fallback, help},
#include "config/config_keys.def"
#undef KEY
};
#define NKEYS (sizeof keys / sizeof *keys)

static const struct key *find(enum section s, const char *key)
{
	for (size_t i = 0; i < NKEYS; i++)
		if (keys[i].section == s && !strcmp(keys[i].key, key))
			return &keys[i];
	return NULL;
}

static const struct config_limit *limit_of(const struct config_limit *limits, const char *key)
{
	for (; limits && limits->key; limits++)
		if (!strcmp(limits->key, key))
			return limits;
	return NULL;
}

static void put_words(struct str *s, const struct cyaml_schema_value *v)
{
	for (uint32_t i = 0; i < v->enumeration.count; i++)
		str_addf(s, "%s`%s`", !i ? "" : i + 1 < v->enumeration.count ? ", " : " or ", v->enumeration.strings[i].str);
}

/* What may stand there. */
static void put_kind(struct str *s, const struct cyaml_schema_value *v, const struct config_limit *l)
{
	switch (v->type) {
	case CYAML_SEQUENCE:
		if (v->sequence.entry->type == CYAML_ENUM) {
			str_add(s, "list of ");
			put_words(s, v->sequence.entry);
		} else {
			str_add(s, v->sequence.entry->type == CYAML_MAPPING ? "list of mappings" : "list of texts");
		}
		break;
	case CYAML_ENUM: put_words(s, v); break;
	case CYAML_BOOL: str_add(s, "`true` or `false`"); break;
	case CYAML_INT:
	case CYAML_UINT:
	case CYAML_FLOAT:
		str_add(s, v->type == CYAML_FLOAT ? "number" : "whole number");
		if (l)
			str_addf(s, ", %.10g to %.10g", l->low, l->high);
		break;
	default: str_add(s, "text");
	}
}

static void put_default(struct str *s, const struct key *k, const cyaml_schema_field_t *f, const void *defaults)
{
	if (!(f->value.flags & CYAML_FLAG_OPTIONAL))
		str_add(s, "**required**");
	else if (*k->fallback)
		str_add(s, k->fallback);
	else if (f->value.type == CYAML_BOOL)
		str_add(s, config_number(f, defaults) != 0 ? "`true`" : "`false`");
	else if (f->value.type == CYAML_ENUM)
		str_addf(s, "`%s`", f->value.enumeration.strings[(int)config_number(f, defaults)].str);
	else
		str_addf(s, "%.10g", config_number(f, defaults));
}

static bool put_table(struct str *s, enum section section, const cyaml_schema_field_t *fields, const struct config_limit *limits,
		      const void *defaults, struct err *e)
{
	size_t rows = 0, n = 0;

	str_add(s, "| key | value | default | meaning |\n|---|---|---|---|\n");
	for (const cyaml_schema_field_t *f = fields; f->key; f++, n++) {
		const struct key *k = find(section, f->key);
		bool number = f->value.type == CYAML_INT || f->value.type == CYAML_UINT || f->value.type == CYAML_FLOAT ||
			      f->value.type == CYAML_ENUM || f->value.type == CYAML_BOOL;

		if (!k)
			return err_set(e, ERR_BAD_IR, "key '%s' has no row in config_keys.def", f->key);
		if (f->value.flags & CYAML_FLAG_OPTIONAL && !number && !*k->fallback)
			return err_set(e, ERR_BAD_IR, "key '%s' has no default in config_keys.def", f->key);
		str_addf(s, "| `%s` | ", f->key);
		put_kind(s, &f->value, limit_of(limits, f->key));
		str_add(s, " | ");
		put_default(s, k, f, defaults);
		str_addf(s, " | %s |\n", k->help);
	}
	for (size_t i = 0; i < NKEYS; i++)
		rows += keys[i].section == section;
	return rows == n || err_set(e, ERR_BAD_IR, "config_keys.def has %zu rows for a table of %zu keys", rows, n);
}

bool config_keys_markdown(struct str *s, struct err *e)
{
	struct arena *a = arena_new(NULL);
	const struct config_sidecar sidecar = {0};
	const struct config_mutation mutation = {0};
	const struct config_suppression suppression = {0};
	const struct config_device device = {0};
	bool ok;

	str_add(s, "## A campaign\n\n"
		   "`mutatenn run CAMPAIGN.yaml`. Relative paths count from the file's folder; options of the command line win "
		   "over the file.\n\n");
	ok = put_table(s, CAMPAIGN, config_campaign_fields, config_campaign_limits, config_campaign_defaults(a), e);
	str_add(
	    s, "\n### Mutations\n\n"
	       "`mutations:` is a list; each entry is one of these. The order decides the order of the mutants, nothing else.\n\n");
	ok = ok && put_table(s, MUTATION, config_mutation_fields, NULL, &mutation, e);
	str_add(s, "\n### Suppressions\n\n"
		   "`suppress:` is a list; each entry is one of these. Such mutants are run and shown with the reason, and are in no rate, "
		   "no threshold and no acceptance set. `mutatenn suppress` does the same to a store.\n\n");
	ok = ok && put_table(s, SUPPRESSION, config_suppression_fields, NULL, &suppression, e);
	str_add(s, "\n### Devices\n\n"
		   "`device-definitions:` in a campaign, or alone in a file for `--devices-file`.\n\n");
	ok = ok && put_table(s, DEVICE, config_device_fields, config_device_limits, &device, e);
	str_add(s, "\n## A model's side-car\n\n"
		   "`net.yaml` beside `net.onnx`: what is true of the model wherever it is used. A campaign and the command line "
		   "win over it.\n\n");
	ok = ok && put_table(s, SIDECAR, config_sidecar_fields, config_sidecar_limits, &sidecar, e);
	arena_free(a);
	return ok;
}
