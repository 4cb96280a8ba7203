/* config_field.c: the field of a key, and what it holds */
#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "config/config_internal.h"

const cyaml_schema_field_t *config_field(const cyaml_schema_field_t *fields, const char *key)
{
	for (; fields->key; fields++)
		if (!strcmp(fields->key, key))
			return fields;
	return NULL;
}

double config_number(const cyaml_schema_field_t *f, const void *at)
{
	const char *p = (const char *)at + f->data_offset;
	size_t n = f->value.data_size;
	union {
		int32_t i32;
		int64_t i64;
		uint64_t u64;
		double f64;
		bool b;
	} v = {0};

	assert(n <= sizeof v);
	memcpy(&v, p, n);
	switch (f->value.type) {
	case CYAML_FLOAT: return v.f64;
	case CYAML_BOOL: return v.b;
	case CYAML_UINT: return n == 4 ? (double)(uint32_t)v.i32 : (double)v.u64;
	default: return n == 4 ? v.i32 : (double)v.i64;
	}
}

bool config_bytes_parse(const char *text, uint64_t *out, struct err *e)
{
	return str_parse_bytes(text, out) ||
	       err_set(e, ERR_USAGE, "'%s' is no size: a number of bytes, or with K, M, G or T like 512M", text);
}
