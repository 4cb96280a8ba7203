/* config_device.c: definitions of devices */
#include "config/config_internal.h"

#include <string.h>

#include "base/arena.h"

#define DEFAULT_RECONNECT 60
#define DEFAULT_BLOB_CACHE ((uint64_t)2 << 30)

const cyaml_schema_field_t config_device_fields[] = {
    TEXT_FIELD("name", 0, struct config_device, name),
    TEXT_FIELD("backend", CYAML_FLAG_OPTIONAL, struct config_device, backend),
    TEXT_FIELD("select", CYAML_FLAG_OPTIONAL, struct config_device, select),
    TEXT_LIST_FIELD("worker", CYAML_FLAG_OPTIONAL, struct config_device, worker, nworker, 1, 256),
    TEXT_LIST_FIELD("builder", CYAML_FLAG_OPTIONAL, struct config_device, builder, nbuilder, 1, 256),
    TEXT_FIELD("cc", CYAML_FLAG_OPTIONAL, struct config_device, cc),
    TEXT_LIST_FIELD("cflags", CYAML_FLAG_OPTIONAL, struct config_device, cflags, ncflags, 0, 256),
    TEXT_FIELD("precision", CYAML_FLAG_OPTIONAL, struct config_device, precision),
    TEXT_FIELD("denormals", CYAML_FLAG_OPTIONAL, struct config_device, denormals),
    TEXT_LIST_FIELD("env", CYAML_FLAG_OPTIONAL, struct config_device, env, nenv, 0, 256),
    CYAML_FIELD_INT("threads", CYAML_FLAG_OPTIONAL, struct config_device, threads),
    CYAML_FIELD_INT("builders", CYAML_FLAG_OPTIONAL, struct config_device, builders),
    CYAML_FIELD_INT("build-together", CYAML_FLAG_OPTIONAL, struct config_device, build_together),
    CYAML_FIELD_INT("runners", CYAML_FLAG_OPTIONAL, struct config_device, runners),
    CYAML_FIELD_INT("count", CYAML_FLAG_OPTIONAL, struct config_device, count),
    CYAML_FIELD_INT("start-timeout", CYAML_FLAG_OPTIONAL, struct config_device, start_timeout),
    TEXT_FIELD("blob-cache", CYAML_FLAG_OPTIONAL, struct config_device, blob_cache_text),
    CYAML_FIELD_INT("reconnect", CYAML_FLAG_OPTIONAL, struct config_device, reconnect),
    CYAML_FIELD_END,
};

const struct cyaml_schema_value config_device_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_device, config_device_fields)};

const struct config_limit config_device_limits[] = {{"threads", 0, 1024}, {"builders", 0, 1024},       {"runners", 0, 1024},
						    {"count", 0, 1024},   {"start-timeout", 0, 86400}, {"reconnect", 0, 86400},
						    {"build-together", 0, 64},
						    {NULL, 0, 0}};

/* Names go into tables, file names and keys of JSON. */
bool config_name_ok(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= 64 && name[0] != '-' && name[0] != '.' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static bool cache_size(const char *text, uint64_t *out, struct err *e)
{
	*out = 0;
	return !strcmp(text, "0") || config_bytes_parse(text, out, e);
}

static bool check_one(struct arena *a, const struct config_device *d, const char *at, const char **key, struct err *e)
{
	*key = arena_printf(a, "%s.name", at);
	if (!d->name || !config_name_ok(d->name))
		return err_set(e, ERR_USAGE, "'%s' is not a name: letters, digits, '.', '_' and '-', at most 64",
			       d->name ? d->name : "");
	for (const struct config_limit *l = config_device_limits; l->key; l++) {
		double value = config_number(config_field(config_device_fields, l->key), d);

		*key = arena_printf(a, "%s.%s", at, l->key);
		if (value < l->low || value > l->high)
			return err_set(e, ERR_USAGE, "'%s' must be %.10g to %.10g, not %.10g", *key, l->low, l->high, value);
	}
	*key = arena_printf(a, "%s.denormals", at);
	if (d->denormals && strcmp(d->denormals, "keep") != 0 && strcmp(d->denormals, "flush") != 0)
		return err_set(e, ERR_USAGE, "'%s' must be 'keep' or 'flush', not '%s'", *key, d->denormals);
	*key = arena_printf(a, "%s.precision", at);
	if (d->precision && strcmp(d->precision, "f32") != 0 && strcmp(d->precision, "f16") != 0 && strcmp(d->precision, "bf16") != 0)
		return err_set(e, ERR_USAGE, "'%s' must be 'f32', 'f16' or 'bf16', not '%s'", *key, d->precision);
	*key = arena_printf(a, "%s.blob-cache", at);
	if (d->blob_cache_text && !cache_size(d->blob_cache_text, &(uint64_t){0}, e))
		return false;
	*key = arena_printf(a, "%s.count", at);
	if (d->count && d->runners)
		return err_set(e, ERR_USAGE, "'count' and 'runners' are the same: give one of them");
	for (size_t i = 0; i < d->nenv; i++) {
		const char *eq = strchr(d->env[i], '=');

		*key = arena_printf(a, "%s.env[%zu]", at, i + 1);
		if (!eq || eq == d->env[i])
			return err_set(e, ERR_USAGE, "'%s' must be NAME=value, not '%s'", *key, d->env[i]);
	}
	return true;
}

bool config_device_check(struct arena *a, const struct config_device *d, size_t n, const char **key, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		const char *at = arena_printf(a, "device-definitions[%zu]", i + 1);

		if (!check_one(a, &d[i], at, key, e))
			return false;
		for (size_t j = 0; j < i; j++) {
			*key = arena_printf(a, "%s.name", at);
			if (!strcmp(d[i].name, d[j].name))
				return err_set(e, ERR_USAGE, "device '%s' is defined twice", d[i].name);
		}
	}
	return true;
}

void config_device_fill(struct arena *a, const struct yaml_file *f, struct config_device *d, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!d[i].backend)
			d[i].backend = arena_strdup(a, "cpu");
		if (!yaml_given(f, arena_printf(a, "device-definitions[%zu].reconnect", i + 1)))
			d[i].reconnect = DEFAULT_RECONNECT;
		d[i].blob_cache = d[i].worker ? DEFAULT_BLOB_CACHE : 0;
		if (d[i].blob_cache_text)
			cache_size(d[i].blob_cache_text, &d[i].blob_cache, NULL); /* checked later */
		/* an empty list is a wish too */
		if (!d[i].cflags && yaml_given(f, arena_printf(a, "device-definitions[%zu].cflags", i + 1)))
			d[i].cflags = ARENA_ARRAY(a, char *, 1);
	}
}

struct device_file {
	struct config_device *device;
	size_t n;
};

static const cyaml_schema_field_t file_fields[] = {
    CYAML_FIELD_SEQUENCE_COUNT("device-definitions", CYAML_FLAG_POINTER, struct device_file, device, n, &config_device_schema, 1,
			       256),
    CYAML_FIELD_END,
};

static const struct cyaml_schema_value file_schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct device_file, file_fields)};

bool config_devices_read(struct arena *a, const char *path, struct config_device **out, size_t *n, struct err *e)
{
	struct yaml_file f;
	struct device_file *d;
	const char *key = NULL;
	void *p;

	if (!yaml_load(a, path, &file_schema, &f, &p, e))
		return false;
	d = p;
	config_device_fill(a, &f, d->device, d->n);
	if (!config_device_check(a, d->device, d->n, &key, e))
		return yaml_place(&f, key, e);
	*out = d->device;
	*n = d->n;
	return true;
}

const struct config_device *config_device_find(const struct config_campaign *c, const char *name)
{
	for (size_t i = 0; i < c->ndefinitions; i++)
		if (!strcmp(c->definitions[i].name, name))
			return &c->definitions[i];
	return NULL;
}
