/* store_context.c: what stands around the verdicts in a report - small pictures, class names, layers, kernels, source */
#include "store/store_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool store_put_thumbnail(struct store *s, int64_t image, const void *jpeg, size_t n, struct err *e)
{
	if (n > STORE_MAX_THUMBNAIL)
		return err_set(e, ERR_STORE, "a thumbnail of %zu bytes is more than a store holds", n);
	return store_put_begin(s, e) && store_put_end(s, store_run(s, e, "UPDATE images SET thumbnail = ? WHERE image = ?", "bi", jpeg, (int64_t)n, image), e);
}

bool store_has_thumbnail(struct store *s, int64_t image, bool *has, struct err *e)
{
	int64_t one;

	return store_number(s, e, &one, has, "SELECT 1 FROM images WHERE image = ? AND thumbnail IS NOT NULL", "i", image);
}

struct store_iter *store_thumbnails(struct store *s)
{
	return store_iterate(s, "SELECT image, thumbnail FROM images WHERE thumbnail IS NOT NULL ORDER BY image", "", NULL, NULL);
}

bool store_next_thumbnail(struct store_iter *it, int64_t *image, const void **jpeg, size_t *n)
{
	sqlite3_stmt *st = store_step(it);

	if (!st)
		return false;
	*image = sqlite3_column_int64(st, 0);
	*jpeg = sqlite3_column_blob(st, 1);
	*n = *jpeg ? (size_t)sqlite3_column_bytes(st, 1) : 0;
	return true;
}

bool store_put_class(struct store *s, int64_t index, const char *name, struct err *e)
{
	return store_put_begin(s, e) &&
	       store_put_end(s, store_run(s, e, "INSERT OR REPLACE INTO classes(class, name) VALUES(?, ?)", "it", index, name), e);
}

struct store_iter *store_classes(struct store *s)
{
	return store_iterate(s, "SELECT class, name FROM classes ORDER BY class", "", NULL, NULL);
}

bool store_next_class(struct store_iter *it, int64_t *index, const char **name)
{
	sqlite3_stmt *st = store_step(it);

	if (!st)
		return false;
	*index = sqlite3_column_int64(st, 0);
	*name = store_text(st, 1);
	return true;
}

bool store_put_layer(struct store *s, const struct store_layer *l, struct err *e)
{
	return store_put_begin(s, e) &&
	       store_put_end(s,
		   store_run(s, e, "INSERT OR REPLACE INTO layers(layer, node, op, shape, macs) VALUES(?, ?, ?, ?, ?)", "itttd", l->index,
			     l->node, l->op, l->shape, l->macs),
		   e);
}

struct store_iter *store_layers(struct store *s)
{
	return store_iterate(s, "SELECT layer, node, op, shape, macs FROM layers ORDER BY layer", "", NULL, NULL);
}

bool store_next_layer(struct store_iter *it, struct store_layer *out)
{
	sqlite3_stmt *st = store_step(it);

	if (!st)
		return false;
	*out = (struct store_layer){sqlite3_column_int64(st, 0), store_text(st, 1), store_text(st, 2), store_text(st, 3),
				    sqlite3_column_double(st, 4)};
	return true;
}

/* A time that was measured is not lost when the launch is put again without one. */
bool store_put_kernel(struct store *s, const struct store_kernel *k, struct err *e)
{
	return store_put_begin(s, e) &&
	       store_put_end(s,
		   store_run(s, e,
			     "INSERT INTO kernels(device, launch, name, node, flops, seconds)"
			     " SELECT device, ?2, ?3, ?4, ?5, iif(?6 < 0, NULL, ?6) FROM devices WHERE name = ?1"
			     " ON CONFLICT(device, launch) DO UPDATE SET name = excluded.name, node = excluded.node, flops = excluded.flops,"
			     " seconds = coalesce(excluded.seconds, seconds)",
			     "tittdd", k->device, k->launch, k->name, k->node, k->flops, isfinite(k->seconds) ? k->seconds : -1.0),
		   e);
}

bool store_has_times(struct store *s, const char *device, bool *has, struct err *e)
{
	int64_t one;

	return store_number(s, e, &one, has,
			    "SELECT 1 FROM kernels WHERE device = (SELECT device FROM devices WHERE name = ?) AND seconds IS NOT NULL LIMIT 1",
			    "t", device);
}

struct store_iter *store_kernels(struct store *s, const char *device)
{
	return store_iterate(s,
			     "SELECT d.name, k.launch, k.name, k.node, k.flops, k.seconds FROM kernels k JOIN devices d ON d.device = k.device"
			     " WHERE ?1 IS NULL OR d.name = ?1 ORDER BY k.device, k.launch",
			     "t", device, NULL);
}

bool store_next_kernel(struct store_iter *it, struct store_kernel *out)
{
	sqlite3_stmt *st = store_step(it);

	if (!st)
		return false;
	*out = (struct store_kernel){store_text(st, 0), sqlite3_column_int64(st, 1), store_text(st, 2), store_text(st, 3),
				     sqlite3_column_double(st, 4),
				     sqlite3_column_type(st, 5) == SQLITE_NULL ? -1 : sqlite3_column_double(st, 5)};
	return true;
}

/* Whole lines of it, and a last one that says what is missing. NULL: it is short enough. */
static char *cut(const char *diff)
{
	size_t n = strlen(diff), keep = STORE_MAX_SOURCE - 80;
	char *text;

	if (n <= STORE_MAX_SOURCE)
		return NULL;
	while (keep && diff[keep - 1] != '\n')
		keep--;
	if (!(text = malloc(STORE_MAX_SOURCE + 1)))
		abort();
	memcpy(text, diff, keep);
	snprintf(text + keep, STORE_MAX_SOURCE + 1 - keep, "... %zu more bytes of this diff were not kept\n", n - keep);
	return text;
}

bool store_put_source(struct store *s, const char *mutant, const char *dialect, const char *diff, struct err *e)
{
	char *shorter = cut(diff);
	bool ok = store_put_begin(s, e) &&
		  store_put_end(s,
		      store_run(s, e,
				"INSERT OR REPLACE INTO sources(mutant, dialect, diff) SELECT mutant, ?, ? FROM mutants WHERE id = ?", "ttt",
				dialect, shorter ? shorter : diff, mutant),
		      e);

	free(shorter);
	return ok;
}

struct store_iter *store_sources(struct store *s, const char *mutant)
{
	return store_iterate(s,
			     "SELECT dialect, diff FROM sources WHERE mutant = (SELECT mutant FROM mutants WHERE id = ?) ORDER BY dialect",
			     "t", mutant, NULL);
}

bool store_next_source(struct store_iter *it, const char **dialect, const char **diff)
{
	sqlite3_stmt *st = store_step(it);

	if (!st)
		return false;
	*dialect = store_text(st, 0);
	*diff = store_text(st, 1);
	return true;
}
