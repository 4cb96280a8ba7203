/* yaml_load.c: libcyaml into an arena */
#include "config/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/map.h"

#define MAX_FILE ((size_t)1 << 20)

const struct cyaml_schema_value config_text_schema = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 65536)};

/* libcyaml's realloc, from an arena: the size stands before the block, blocks grow by doubling. */
static void *allocate(void *arena, void *p, size_t size)
{
	size_t room = 0, want;
	char *fresh;

	if (!size)
		return NULL;
	if (p)
		memcpy(&room, (char *)p - 16, sizeof room);
	if (size <= room)
		return p;
	want = p ? size * 2 : size;
	fresh = (char *)arena_zalloc(arena, want + 16) + 16;
	memcpy(fresh - 16, &want, sizeof want);
	return p ? memcpy(fresh, p, room) : fresh;
}

/* What the scan let through and libcyaml does not take; should not happen, must not be lost. */
static void keep_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	char *text = ctx;

	if (level >= CYAML_LOG_ERROR && !*text)
		vsnprintf(text, 256, fmt, args);
}

bool yaml_load(struct arena *a, const char *path, const struct cyaml_schema_value *schema, struct yaml_file *f, void **out,
	       struct err *e)
{
	char log[256] = "";
	cyaml_config_t config = {
	    .log_fn = keep_log,
	    .log_ctx = log,
	    .mem_fn = allocate,
	    .mem_ctx = a,
	    .log_level = CYAML_LOG_ERROR,
	    .flags = CYAML_CFG_NO_ALIAS,
	};
	struct bytes b;
	cyaml_err_t rc;

	f->path = arena_strdup(a, path);
	if (!file_read(a, path, MAX_FILE, &b, e) || !yaml_scan(a, b.p, b.n, schema, f, e))
		return false;
	*out = NULL;
	rc = cyaml_load_data(b.p, b.n, &config, schema, out, NULL);
	if (rc != CYAML_OK || !*out) {
		log[strcspn(log, "\n")] = 0;
		return err_set(e, ERR_PARSE, "%s: %s%s%s", path, cyaml_strerror(rc), *log ? ": " : "", log);
	}
	return true;
}

bool yaml_given(const struct yaml_file *f, const char *key)
{
	return map_has(f->line, key);
}

const char *yaml_where(struct arena *a, const struct yaml_file *f, const char *key)
{
	int line = key ? (int)(intptr_t)map_get(f->line, key) : 0;

	return line ? arena_printf(a, "%s:%d", f->path, line) : arena_strdup(a, f->path);
}

bool yaml_place(const struct yaml_file *f, const char *key, struct err *e)
{
	int line = key ? (int)(intptr_t)map_get(f->line, key) : 0;

	if (e)
		e->code = ERR_PARSE;
	return line ? err_in(e, "%s:%d", f->path, line) : err_in(e, "%s", f->path);
}
