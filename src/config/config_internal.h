/* config_internal.h: YAML against a schema, with the place of every key */
#pragma once
#include <cyaml/cyaml.h>

#include "base/err.h"
#include "config/config.h"

struct arena;
struct map;

/* Where the keys of one file are: "mutations[1].sites" -> line. */
struct yaml_file {
	const char *path;
	struct map *line;
};

/* Reads path into a new structure of the schema in the arena; absent keys leave zeros. Errors name file, line and key. */
bool yaml_load(struct arena *a, const char *path, const struct cyaml_schema_value *schema, struct yaml_file *f, void **out,
	       struct err *e);
bool yaml_given(const struct yaml_file *f, const char *key);
/* "FILE:LINE" of a key, or FILE alone. */
const char *yaml_where(struct arena *a, const struct yaml_file *f, const char *key);
/* "FILE:LINE: " before the error, with the line of key (or FILE alone). Returns false. */
bool yaml_place(const struct yaml_file *f, const char *key, struct err *e);

/* Checks the text against the schema and fills f; used by yaml_load. */
bool yaml_scan(struct arena *a, const void *text, size_t n, const struct cyaml_schema_value *schema, struct yaml_file *f,
	       struct err *e);

/* Schemas shared by files. */
extern const struct cyaml_schema_value config_text_schema;   /* a string in a list */
extern const struct cyaml_schema_value config_device_schema; /* struct config_device in a list */
extern const cyaml_strval_t config_scores_names[3];

#define TEXT_FIELD(key, flags, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 1, 65536)
#define TEXT_LIST_FIELD(key, flags, type, member, count, min, max)                                                                 \
	CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | (flags), type, member, count, &config_text_schema, min, max)

/* The keys of a mapping, and what its numbers may be (ends with a NULL key). */
struct config_limit {
	const char *key;
	double low, high;
};
extern const cyaml_schema_field_t config_campaign_fields[], config_mutation_fields[], config_suppression_fields[], config_device_fields[],
    config_sidecar_fields[];
extern const struct config_limit config_campaign_limits[], config_device_limits[], config_sidecar_limits[];
/* A structure that config_campaign_fields describe, with the defaults. */
const void *config_campaign_defaults(struct arena *a);
const cyaml_schema_field_t *config_field(const cyaml_schema_field_t *fields, const char *key); /* NULL: no such key */
/* The number, flag or word that field f of the structure at `at` holds. */
double config_number(const cyaml_schema_field_t *f, const void *at);

/* The checks of devices; *key is set to the key that is wrong. */
bool config_device_check(struct arena *a, const struct config_device *d, size_t n, const char **key, struct err *e);
bool config_name_ok(const char *name);
/* Defaults of definitions that a file holds. */
void config_device_fill(struct arena *a, const struct yaml_file *f, struct config_device *d, size_t n);
