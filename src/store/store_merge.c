/* store_merge.c: stores of the shards of one campaign as one store
 *
 * Each is copied beside the new store and brought into it by SQL: what is known by name (mutants, devices) gets the new store's numbers.
 * Nothing is decided silently: what two stores say differently is an error that names both and the place.
 */
#include "store/store_internal.h"

#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/str.h"

struct merge {
	struct arena *a;
	struct store *to;
	const char *first, *now; /* files, for messages */
	bool empty;              /* nothing was merged yet */
};

/* ---- what must be the same ---- */

/* Names the first row of a query of up to four texts; true: there is none. */
static bool none(struct merge *m, const char *sql, const char *message, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(m->to->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW) {
		struct str t = {0};

		for (const char *p = message; *p; p++)
			if (*p == '$' && p[1] >= '0' && p[1] <= '3')
				str_add(&t, store_text(st, *++p - '0'));
			else
				str_addc(&t, *p);
		err_set(e, ERR_USAGE, "'%s' and '%s' are not of one campaign: %s", m->first, m->now, str_text(&t));
		str_free(&t);
	} else if (rc != SQLITE_DONE) {
		store_fail(m->to, "merge into it", e);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE;
}

/* What may differ: which mutants and devices, and where things lie. */
static bool may_differ(const char *line)
{
	static const char *const keys[] = {"devices:", "device ", "mutation "};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (!strncmp(line, keys[i], strlen(keys[i])))
			return true;
	return store_is_place(line);
}

static bool has_line(const char *text, const char *line, size_t n)
{
	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n')
		if (strcspn(p, "\n") == n && !memcmp(p, line, n))
			return true;
	return false;
}

static bool same_lines(struct merge *m, const char *a, const char *b, const char *in_a, struct err *e)
{
	for (const char *p = a; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t n = strcspn(p, "\n");

		if (n && !may_differ(p) && !has_line(b, p, n))
			return err_set(e, ERR_USAGE, "'%s' and '%s' are not of one campaign: '%.*s' is in the configuration of '%s' only", m->first, m->now,
				       (int)(n < 200 ? n : 200), p, in_a);
	}
	return true;
}

static bool same_configuration(struct merge *m, struct store *other, struct err *e)
{
	char *mine, *theirs;

	return store_configuration(m->to, m->a, &mine, e) && store_configuration(other, m->a, &theirs, e) &&
	       same_lines(m, mine ? mine : "", theirs ? theirs : "", m->first, e) && same_lines(m, theirs ? theirs : "", mine ? mine : "", m->now, e);
}

static bool agree(struct merge *m, struct err *e)
{
	return none(m, "SELECT a.name, b.name FROM main.models a, other.models b WHERE a.hash IS NOT b.hash LIMIT 1",
		    "model '$0' has another hash than '$1'", e) &&
	       none(m, "SELECT b.name FROM other.images b LEFT JOIN main.images a ON a.image = b.image"
		       " WHERE a.name IS NOT b.name OR a.hash IS NOT b.hash LIMIT 1", "image '$0' is only in one, or is another picture", e) &&
	       none(m, "SELECT a.name, a.label, b.label FROM main.images a JOIN other.images b ON a.image = b.image"
		       " WHERE a.label >= 0 AND b.label >= 0 AND a.label <> b.label LIMIT 1",
		    "image '$0' is of class $1 in one and $2 in the other", e) &&
	       none(m, "SELECT a.name FROM main.images a WHERE a.image NOT IN (SELECT image FROM other.images) LIMIT 1", "image '$0' is only in one", e) &&
	       none(m, "SELECT a.name, a.identity, b.identity FROM main.devices a JOIN other.devices b ON a.name = b.name"
		       " WHERE a.identity <> '' AND b.identity <> '' AND a.identity <> b.identity LIMIT 1",
		    "device '$0' is '$1' in one and '$2' in the other", e) &&
	       none(m, "SELECT substr(a.name, 10) FROM main.meta a JOIN other.meta b ON a.name = b.name" /* "original DEVICE" */
		       " WHERE a.name GLOB 'original *' AND a.value <> b.value LIMIT 1",
		    "the original's kernels on '$0' are others; different versions of this program made them, perhaps", e) &&
	       none(m, "SELECT a.id FROM main.mutants a JOIN other.mutants b ON a.id = b.id WHERE a.op <> b.op OR a.target <> b.target LIMIT 1",
		    "mutant '$0' has another operator or target", e) &&
	       none(m, "SELECT d.name, i.name FROM other.baselines b JOIN other.devices o ON o.device = b.device JOIN main.devices d ON d.name = o.name"
		       " JOIN main.baselines a ON a.device = d.device AND a.image = b.image JOIN main.images i ON i.image = a.image"
		       " WHERE a.digest IS NOT b.digest LIMIT 1",
		    "the original gives other scores on '$0' for image '$1'", e) &&
	       none(m, "SELECT m.id, d.name, a.outcome, b.outcome FROM other.results b JOIN other.mutants n ON n.mutant = b.mutant"
		       " JOIN other.devices o ON o.device = b.device JOIN main.mutants m ON m.id = n.id JOIN main.devices d ON d.name = o.name"
		       " JOIN main.results a ON a.mutant = m.mutant AND a.device = d.device"
		       " WHERE a.outcome <> 'tool-error' AND b.outcome <> 'tool-error'"
		       " AND (a.outcome <> b.outcome OR a.killed <> b.killed OR a.code IS NOT b.code) LIMIT 1",
		    "mutant '$0' on '$1' is '$2' in one and '$3' in the other, or has other code", e);
}

/* ---- bringing it in ---- */

/* The columns of a table as they are put, and as they are taken: numbers of mutants and devices become the new store's. */
static bool columns(struct merge *m, const char *table, const char *number, struct str *put, struct str *take, struct err *e)
{
	const char *sql = arena_printf(m->a, "SELECT name FROM pragma_table_info('%s')", table);
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(m->to->db, sql, -1, &st, NULL);

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		const char *name;

		if ((rc = sqlite3_step(st)) != SQLITE_ROW)
			break;
		name = store_text(st, 0);
		if (number && !strcmp(name, number)) /* given anew */
			continue;
		str_addf(put, "%s%s", put->n ? ", " : "", name);
		if (!strcmp(name, "mutant"))
			str_addf(take, "%s(SELECT x.mutant FROM main.mutants x JOIN other.mutants y ON x.id = y.id WHERE y.mutant = t.mutant)", take->n ? ", " : "");
		else if (!strcmp(name, "device"))
			str_addf(take, "%s(SELECT x.device FROM main.devices x JOIN other.devices y ON x.name = y.name WHERE y.device = t.device)",
				 take->n ? ", " : "");
		else
			str_addf(take, "%st.%s", take->n ? ", " : "", name);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE || store_fail(m->to, "merge into it", e);
}

static bool bring(struct merge *m, const char *table, const char *number, const char *order, struct err *e)
{
	struct str put = {0}, take = {0};
	bool ok = columns(m, table, number, &put, &take, e) &&
		  store_exec(m->to, arena_printf(m->a, "INSERT OR %s INTO main.%s(%s) SELECT %s FROM other.%s t ORDER BY %s",
						 m->empty && !strcmp(table, "meta") ? "REPLACE" : "IGNORE", table, str_text(&put), str_text(&take), table, order),
			     e);

	str_free(&put);
	str_free(&take);
	return ok;
}

static bool bring_all(struct merge *m, struct err *e)
{
	static const struct {
		const char *table, *number, *order;
	} tables[] = {{"meta", NULL, "1"},         {"models", "model", "model"}, {"images", NULL, "image"},     {"devices", "device", "device"},
		      {"mutants", "mutant", "mutant"}, {"classes", NULL, "1"},     {"layers", "layer", "layer"},  {"kernels", NULL, "1, 2"},
		      {"baselines", NULL, "1, 2"}, {"results", NULL, "1, 2"},    {"image_results", NULL, "1, 2, 3"}, {"logits", NULL, "1, 2, 3"},
		      {"sources", NULL, "1, 2"},   {"files", NULL, "1"},         {"originals", NULL, "1, 2"},   {"operators", NULL, "1"},
		      {"suppressions", "suppression", "suppression"}};

	/* a device that one could not reach works where another did; a failure of ours is no result */
	if (!store_exec(m->to, "UPDATE main.devices SET (identity, describe, backend, error) = (SELECT identity, describe, backend, error FROM other.devices o"
			       " WHERE o.name = main.devices.name) WHERE identity = '' AND name IN (SELECT name FROM other.devices);"
			       "DELETE FROM main.results WHERE outcome = 'tool-error' AND EXISTS (SELECT 1 FROM other.results b"
			       " JOIN other.mutants n ON n.mutant = b.mutant JOIN other.devices o ON o.device = b.device"
			       " WHERE b.outcome <> 'tool-error' AND n.id = (SELECT id FROM main.mutants WHERE mutant = main.results.mutant)"
			       " AND o.name = (SELECT name FROM main.devices WHERE device = main.results.device));"
			       "DELETE FROM other.results WHERE outcome = 'tool-error' AND EXISTS (SELECT 1 FROM main.results b"
			       " JOIN main.mutants n ON n.mutant = b.mutant JOIN main.devices o ON o.device = b.device"
			       " WHERE n.id = (SELECT id FROM other.mutants WHERE mutant = other.results.mutant)"
			       " AND o.name = (SELECT name FROM other.devices WHERE device = other.results.device))", e))
		return false;
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		if (!bring(m, tables[i].table, tables[i].number, tables[i].order, e))
			return false;
	return store_apply_suppressions(m->to, e);
}

/* A copy: it may be of an older version, or be written to. */
static bool attach(struct merge *m, struct store *other, struct err *e)
{
	sqlite3_backup *b;

	if (!store_exec(m->to, "ATTACH '' AS other", e))
		return false;
	b = sqlite3_backup_init(m->to->db, "other", other->db, "main");
	if (b)
		sqlite3_backup_step(b, -1);
	return (b && sqlite3_backup_finish(b) == SQLITE_OK) || store_fail(m->to, "copy a store to merge it", e);
}

static bool merge_one(struct merge *m, const char *path, struct err *e)
{
	struct store *other;
	bool ok;

	m->now = path;
	if (!store_open(path, STORE_READ, &other, e))
		return false;
	ok = attach(m, other, e) && (m->empty || (same_configuration(m, other, e) && agree(m, e)));
	if (ok && (ok = store_begin(m->to, e))) {
		ok = bring_all(m, e);
		if (ok)
			ok = store_commit(m->to, e);
		else
			store_rollback(m->to);
	}
	store_close(other);
	ok = store_exec(m->to, "DETACH other", ok ? e : NULL) && ok;
	m->empty = false;
	return ok;
}

bool store_merge(const char *const *path, size_t n, const char *out, struct err *e)
{
	struct merge m = {.a = arena_new(NULL), .first = path[0], .empty = true};
	bool ok;

	if (file_exists(out))
		ok = err_set(e, ERR_USAGE, "'%s' is there already; merge into a new store", out);
	else if ((ok = store_open(out, STORE_WRITE, &m.to, e))) {
		for (size_t i = 0; ok && i < n; i++)
			ok = merge_one(&m, path[i], e);
		store_close(m.to);
		if (!ok)
			unlink(out);
	}
	arena_free(m.a);
	return ok;
}
