/* store_sql.c: the few things done with SQLite everywhere in this room: statements, parameters, columns, savepoints */
#include "store/store_internal.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

bool store_damaged(struct store *s, const char *what, struct err *e)
{
	return err_set(e, ERR_STORE, "store '%s' is damaged: %s; \"sqlite3 '%s' .recover\" writes what can still be read", s->path, what,
		       s->path);
}

bool store_fail(struct store *s, const char *doing, struct err *e)
{
	int code = s->db ? sqlite3_extended_errcode(s->db) : SQLITE_NOMEM;
	int os = s->db ? sqlite3_system_errno(s->db) : 0;

	switch (code & 0xff) {
	case SQLITE_FULL: return err_set(e, ERR_STORE, "store '%s': cannot %s: no space left", s->path, doing);
	case SQLITE_READONLY: return err_set(e, ERR_STORE, "store '%s': cannot %s: it is not writable", s->path, doing);
	case SQLITE_NOTADB: return err_set(e, ERR_STORE, "'%s' is not a store", s->path);
	case SQLITE_CORRUPT: return store_damaged(s, sqlite3_errmsg(s->db), e);
	case SQLITE_BUSY: return err_set(e, ERR_STORE, "store '%s': cannot %s: another program locks it", s->path, doing);
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (os)
			return err_set(e, ERR_STORE, "store '%s': cannot %s: %s", s->path, doing, strerror(os));
	}
	return err_set(e, ERR_STORE, "store '%s': cannot %s: %s", s->path, doing, s->db ? sqlite3_errmsg(s->db) : "out of memory");
}

bool store_exec(struct store *s, const char *sql, struct err *e)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || store_fail(s, "change it", e);
}

sqlite3_stmt *store_statement(struct store *s, const char *sql, struct err *e)
{
	size_t i = 0;

	for (; i < STORE_STATEMENTS && s->cache[i].sql; i++)
		if (s->cache[i].sql == sql)
			return s->cache[i].st;
	assert(i < STORE_STATEMENTS);
	if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->cache[i].st, NULL) != SQLITE_OK) {
		store_fail(s, "read it", e);
		return NULL;
	}
	s->cache[i].sql = sql;
	return s->cache[i].st;
}

static int bind_one(sqlite3_stmt *st, int i, char type, va_list *ap)
{
	char hex[HASH_HEX];
	struct hash h;
	const void *p;

	switch (type) {
	case 't': return sqlite3_bind_text(st, i, va_arg(*ap, const char *), -1, SQLITE_STATIC);
	case 'i': return sqlite3_bind_int64(st, i, va_arg(*ap, int64_t));
	case 'd': return sqlite3_bind_double(st, i, va_arg(*ap, double));
	case 'h':
		h = va_arg(*ap, struct hash);
		if (hash_is_zero(h))
			return sqlite3_bind_null(st, i);
		return sqlite3_bind_text(st, i, hash_hex(h, hex), -1, SQLITE_TRANSIENT);
	case 'b':
		p = va_arg(*ap, const void *);
		return sqlite3_bind_blob64(st, i, p, (sqlite3_uint64)va_arg(*ap, int64_t), SQLITE_STATIC);
	}
	assert(!"a known parameter type");
	return SQLITE_MISUSE;
}

static bool bind_all(sqlite3_stmt *st, const char *types, va_list *ap)
{
	for (int i = 0; types[i]; i++)
		if (bind_one(st, i + 1, types[i], ap) != SQLITE_OK)
			return false;
	return true;
}

bool store_bind(sqlite3_stmt *st, const char *types, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, types);
	ok = bind_all(st, types, &ap);
	va_end(ap);
	return ok;
}

static void done(sqlite3_stmt *st)
{
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
}

bool store_run(struct store *s, struct err *e, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st = store_statement(s, sql, e);
	va_list ap;
	bool ok;

	if (!st)
		return false;
	va_start(ap, types);
	ok = bind_all(st, types, &ap) && sqlite3_step(st) == SQLITE_DONE;
	va_end(ap);
	if (!ok)
		store_fail(s, "write to it", e);
	done(st);
	return ok;
}

bool store_number(struct store *s, struct err *e, int64_t *out, bool *found, const char *sql, const char *types, ...)
{
	sqlite3_stmt *st = store_statement(s, sql, e);
	int rc = SQLITE_ERROR;
	va_list ap;

	if (!st)
		return false;
	va_start(ap, types);
	if (bind_all(st, types, &ap))
		rc = sqlite3_step(st);
	va_end(ap);
	*found = rc == SQLITE_ROW;
	*out = *found ? sqlite3_column_int64(st, 0) : 0;
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		store_fail(s, "read it", e);
	done(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

/* Is the file that is written to still the one that people see? */
static bool still_there(struct store *s, struct err *e)
{
	struct stat st;

	if (!stat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		return true;
	return err_set(e, ERR_STORE, "store '%s' was removed or replaced while it was in use", s->path);
}

bool store_put_begin(struct store *s, struct err *e)
{
	assert(s->mode == STORE_WRITE);
	if (s->in_transaction && sqlite3_get_autocommit(s->db))
		return err_set(e, ERR_STORE, "store '%s': the transaction was rolled back by an earlier error", s->path);
	return still_there(s, e) && store_exec(s, "SAVEPOINT put", e);
}

bool store_put_end(struct store *s, bool ok, struct err *e)
{
	if (ok && sqlite3_exec(s->db, "RELEASE put", NULL, NULL, NULL) != SQLITE_OK)
		ok = store_fail(s, "write to it", e);
	/* some errors have rolled back everything already */
	if (!ok && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK TO put; RELEASE put", NULL, NULL, NULL);
	return ok;
}

bool store_begin(struct store *s, struct err *e)
{
	assert(!s->in_transaction);
	if (s->mode == STORE_WRITE && !still_there(s, e))
		return false;
	s->in_transaction = store_exec(s, s->mode == STORE_WRITE ? "BEGIN IMMEDIATE" : "BEGIN", e);
	return s->in_transaction;
}

bool store_commit(struct store *s, struct err *e)
{
	bool ok;

	assert(s->in_transaction);
	if (sqlite3_get_autocommit(s->db))
		ok = err_set(e, ERR_STORE, "store '%s': the transaction was rolled back by an earlier error", s->path);
	else
		ok = store_exec(s, "COMMIT", e);
	if (!ok)
		store_rollback(s);
	s->in_transaction = false;
	return ok;
}

void store_rollback(struct store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	s->in_transaction = false;
}

const char *store_text_or_null(sqlite3_stmt *st, int c)
{
	return (const char *)sqlite3_column_text(st, c);
}

const char *store_text(sqlite3_stmt *st, int c)
{
	const char *t = store_text_or_null(st, c);

	return t ? t : "";
}

struct hash store_hash(sqlite3_stmt *st, int c)
{
	struct hash h = {0};

	if (!hash_parse(store_text(st, c), &h))
		h = (struct hash){0};
	return h;
}
