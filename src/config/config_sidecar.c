/* config_sidecar.c: MODEL.yaml, a model's own facts */
#include "config/config_internal.h"

#include <string.h>

#include "base/arena.h"
#include "base/file.h"

const cyaml_strval_t config_scores_names[3] = {
    {"auto", SCORES_AUTO}, {"logits", SCORES_LOGITS}, {"probabilities", SCORES_PROBABILITIES}};

const cyaml_schema_field_t config_sidecar_fields[] = {
    TEXT_FIELD("preprocess", CYAML_FLAG_OPTIONAL, struct config_sidecar, preprocess),
    CYAML_FIELD_INT("label-offset", CYAML_FLAG_OPTIONAL, struct config_sidecar, label_offset),
    TEXT_FIELD("labels", CYAML_FLAG_OPTIONAL, struct config_sidecar, labels),
    TEXT_FIELD("output", CYAML_FLAG_OPTIONAL, struct config_sidecar, output),
    CYAML_FIELD_ENUM("scores", CYAML_FLAG_OPTIONAL | CYAML_FLAG_STRICT, struct config_sidecar, scores, config_scores_names, 3),
    CYAML_FIELD_END,
};

static const struct cyaml_schema_value schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_sidecar, config_sidecar_fields)};

const struct config_limit config_sidecar_limits[] = {{"label-offset", -1e6, 1e6}, {NULL, 0, 0}};

bool config_sidecar_read(struct arena *a, const char *path, struct config_sidecar *out, struct err *e)
{
	struct yaml_file f;
	void *p;

	if (!yaml_load(a, path, &schema, &f, &p, e))
		return false;
	*out = *(struct config_sidecar *)p;
	out->scores_given = yaml_given(&f, "scores");
	if ((double)out->label_offset < config_sidecar_limits[0].low || (double)out->label_offset > config_sidecar_limits[0].high) {
		err_set(e, ERR_PARSE, "'label-offset' is out of range");
		return yaml_place(&f, "label-offset", e);
	}
	if (out->labels && out->labels[0] != '/')
		out->labels = file_join(a, file_dir(a, path), out->labels);
	return true;
}

char *config_sidecar_path(struct arena *a, const char *model)
{
	const char *base = file_base(model), *dot = strrchr(base, '.');
	size_t n = dot && dot != base ? (size_t)(dot - model) : strlen(model);
	char *path = arena_printf(a, "%.*s.yaml", (int)n, model);

	return strcmp(path, model) && file_exists(path) ? path : NULL;
}
