/* yaml_scan.c: a YAML text against a libcyaml schema, before libcyaml reads it
 *
 * libcyaml reports an unknown key at the line of the mapping around it, takes "12x" for 12 and what it does not know for
 * true. This walk over libyaml's events judges strictly and says file, line and key. It descends only where the schema does,
 * so deep nesting ends at once; aliases are refused, so nothing can be expanded.
 */
#include "config/config_internal.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/map.h"
#include "base/near.h"

#define MAX_DEPTH 16

struct scan {
	struct arena *a;
	struct yaml_file *f;
	yaml_parser_t parser;
	yaml_event_t event;
	struct err *e;
	int depth;
};

static int event_line(const struct scan *s)
{
	return (int)s->event.start_mark.line + 1;
}

static bool bad(struct scan *s, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static bool bad(struct scan *s, int line, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	text = arena_vprintf(s->a, fmt, ap);
	va_end(ap);
	return err_set(s->e, ERR_PARSE, "%s:%d: %s", s->f->path, line, text);
}

static bool next(struct scan *s)
{
	yaml_event_delete(&s->event);
	if (!yaml_parser_parse(&s->parser, &s->event)) {
		const yaml_parser_t *p = &s->parser;
		int line = (int)(p->problem_mark.line ? p->problem_mark.line : p->context_mark.line) + 1;

		memset(&s->event, 0, sizeof s->event);
		return bad(s, line, "not YAML: %s%s%s", p->context ? p->context : "", p->context ? ": " : "",
			   p->problem ? p->problem : "unreadable");
	}
	if (s->event.type == YAML_ALIAS_EVENT)
		return bad(s, event_line(s), "aliases ('*%s') are not allowed", (const char *)s->event.data.alias.anchor);
	return true;
}

static bool unknown_key(struct scan *s, int line, const char *key, const struct cyaml_schema_field *field)
{
	struct near n = near_new(key);

	for (; field->key; field++)
		near_try(&n, field->key);
	return bad(s, line, "'%s' is not a key here%s", key, near_text(&n));
}

/* A decimal number without leading zeros: then libcyaml, which knows octal, reads the same. */
static bool is_whole(const char *t, bool negative_allowed)
{
	if (*t == '-' && negative_allowed)
		t++;
	if (!isdigit((unsigned char)*t) || (*t == '0' && t[1]))
		return false;
	return strspn(t, "0123456789") == strlen(t);
}

static bool int_fits(const char *t, const struct cyaml_schema_value *v)
{
	int bits = (int)v->data_size * 8;
	bool is_signed = v->type == CYAML_INT;

	errno = 0;
	if (is_signed) {
		long long x = strtoll(t, NULL, 10), max = bits == 64 ? INT64_MAX : (1LL << (bits - 1)) - 1;

		return !errno && x <= max && x >= -max - 1;
	}
	return strtoull(t, NULL, 10) <= (bits == 64 ? UINT64_MAX : (1ULL << bits) - 1) && !errno;
}

static bool is_number(const char *t)
{
	char *end;
	double x;

	if (t[strspn(t, "0123456789+-.eE")])
		return false; /* no hexadecimal, no inf */
	x = strtod(t, &end);
	return end != t && !*end && isfinite(x);
}

static bool is_bool(const char *t)
{
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(t, words[i]))
			return true;
	return false;
}

static char *enum_words(struct scan *s, const struct cyaml_schema_value *v)
{
	char *text = "";

	for (uint32_t i = 0; i < v->enumeration.count; i++)
		text = arena_printf(s->a, "%s%s'%s'", text, i ? ", " : "", v->enumeration.strings[i].str);
	return text;
}

static bool is_enum(const char *t, const struct cyaml_schema_value *v)
{
	for (uint32_t i = 0; i < v->enumeration.count; i++)
		if (!strcmp(t, v->enumeration.strings[i].str))
			return true;
	return false;
}

static bool scan_scalar(struct scan *s, const struct cyaml_schema_value *v, const char *path)
{
	int line = event_line(s);
	const char *t = (const char *)s->event.data.scalar.value;

	if (strlen(t) != s->event.data.scalar.length)
		return bad(s, line, "'%s' holds a NUL character", path);
	if (!*t)
		return bad(s, line, "'%s' has no value", path);
	switch (v->type) {
	case CYAML_INT:
	case CYAML_UINT:
		if (!is_whole(t, v->type == CYAML_INT))
			return bad(s, line, "'%s' must be a whole number, not '%.80s'", path, t);
		return int_fits(t, v) || bad(s, line, "'%s' is out of range: %.80s", path, t);
	case CYAML_FLOAT: return is_number(t) || bad(s, line, "'%s' must be a number, not '%.80s'", path, t);
	case CYAML_BOOL: return is_bool(t) || bad(s, line, "'%s' must be true or false, not '%.80s'", path, t);
	case CYAML_ENUM: return is_enum(t, v) || bad(s, line, "'%s' must be one of %s, not '%.80s'", path, enum_words(s, v), t);
	default:
		return s->event.data.scalar.length <= v->string.max ||
		       bad(s, line, "'%s' is longer than %u bytes", path, v->string.max);
	}
}

static bool scan_value(struct scan *s, const struct cyaml_schema_value *v, const char *path);

static bool scan_pair(struct scan *s, const struct cyaml_schema_value *v, const char *path)
{
	const struct cyaml_schema_field *field = v->mapping.fields;
	int line = event_line(s);
	const char *key;
	char *full;

	if (s->event.type != YAML_SCALAR_EVENT)
		return bad(s, line, "a key must be a word");
	key = arena_strdup(s->a, (const char *)s->event.data.scalar.value);
	for (; field->key && strcmp(field->key, key); field++)
		;
	if (!field->key)
		return unknown_key(s, line, key, v->mapping.fields);
	full = *path ? arena_printf(s->a, "%s.%s", path, key) : arena_strdup(s->a, key);
	if (map_has(s->f->line, full))
		return bad(s, line, "'%s' is given twice (first on line %d)", full, (int)(intptr_t)map_get(s->f->line, full));
	map_put(s->f->line, full, (void *)(intptr_t)line);
	return next(s) && scan_value(s, &field->value, full);
}

static bool scan_mapping(struct scan *s, const struct cyaml_schema_value *v, const char *path)
{
	int line = event_line(s);

	if (s->event.type != YAML_MAPPING_START_EVENT)
		return bad(s, line, *path ? "'%s' must be a mapping of keys" : "%sthe file must be a mapping of keys", path);
	for (;;) {
		if (!next(s))
			return false;
		if (s->event.type == YAML_MAPPING_END_EVENT)
			break;
		if (!scan_pair(s, v, path))
			return false;
	}
	for (const struct cyaml_schema_field *f = v->mapping.fields; f->key; f++) {
		char *full = *path ? arena_printf(s->a, "%s.%s", path, f->key) : arena_strdup(s->a, f->key);

		if (!(f->value.flags & CYAML_FLAG_OPTIONAL) && !map_has(s->f->line, full))
			return bad(s, line, "'%s' is missing", full);
	}
	return true;
}

static bool scan_sequence(struct scan *s, const struct cyaml_schema_value *v, const char *path)
{
	int line = event_line(s);
	uint32_t n = 0;

	if (s->event.type != YAML_SEQUENCE_START_EVENT)
		return bad(s, line, "'%s' must be a list, like [a, b]", path);
	for (;; n++) {
		char *entry;

		if (!next(s))
			return false;
		if (s->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (n == v->sequence.max)
			return bad(s, event_line(s), "'%s' has more than %u entries", path, v->sequence.max);
		entry = arena_printf(s->a, "%s[%u]", path, n + 1);
		map_put(s->f->line, entry, (void *)(intptr_t)event_line(s));
		if (!scan_value(s, v->sequence.entry, entry))
			return false;
	}
	if (n < v->sequence.min)
		return bad(s, line, "'%s' needs at least %u entr%s", path, v->sequence.min, v->sequence.min == 1 ? "y" : "ies");
	return true;
}

static bool scan_value(struct scan *s, const struct cyaml_schema_value *v, const char *path)
{
	bool ok;

	if (s->depth == MAX_DEPTH)
		return bad(s, event_line(s), "nested too deeply");
	s->depth++;
	if (v->type == CYAML_MAPPING)
		ok = scan_mapping(s, v, path);
	else if (v->type == CYAML_SEQUENCE)
		ok = scan_sequence(s, v, path);
	else if (s->event.type != YAML_SCALAR_EVENT)
		ok = bad(s, event_line(s), "'%s' must be a single value, not a %s", path,
			 s->event.type == YAML_SEQUENCE_START_EVENT ? "list" : "mapping");
	else
		ok = scan_scalar(s, v, path);
	s->depth--;
	return ok;
}

static bool scan_stream(struct scan *s, const struct cyaml_schema_value *schema)
{
	if (!next(s) || !next(s)) /* stream start; document start or stream end */
		return false;
	if (s->event.type == YAML_STREAM_END_EVENT)
		return bad(s, 1, "the file is empty");
	if (!next(s) || !scan_value(s, schema, "") || !next(s) || !next(s)) /* document end; stream end */
		return false;
	return s->event.type == YAML_STREAM_END_EVENT || bad(s, event_line(s), "the file holds more than one document");
}

bool yaml_scan(struct arena *a, const void *text, size_t n, const struct cyaml_schema_value *schema, struct yaml_file *f,
	       struct err *e)
{
	struct scan s = {.a = a, .f = f, .e = e};
	bool ok;

	f->line = map_new(a);
	if (!yaml_parser_initialize(&s.parser))
		abort();
	yaml_parser_set_input_string(&s.parser, text, n);
	ok = scan_stream(&s, schema);
	yaml_event_delete(&s.event);
	yaml_parser_delete(&s.parser);
	return ok;
}
