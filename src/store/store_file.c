/* store_file.c: opening and closing the file, one writer at a time, the facts about the whole campaign */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/str.h"

#define LOCK_TRIES 5
#define BUSY_MS 10000 /* how long to wait for a reader that is just opening or closing */

bool store_is_written(const char *path)
{
	struct str name = {0};
	bool written;
	int fd;

	str_addf(&name, "%s.lock", path);
	fd = open(name.s, O_RDONLY | O_CLOEXEC);
	str_free(&name);
	if (fd < 0)
		return false;
	written = flock(fd, LOCK_SH | LOCK_NB) != 0; /* held for a moment at most: a writer tries more than once */
	close(fd);
	return written;
}

/* Somebody may be looking whether there is a lock. */
static bool take_lock(int fd)
{
	bool ok = !flock(fd, LOCK_EX | LOCK_NB);

	for (int i = 0; !ok && i < LOCK_TRIES; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		ok = !flock(fd, LOCK_EX | LOCK_NB);
	}
	return ok;
}

/* SQLite's own locks end with a transaction; a campaign is one writer from its first to its last. The lock is a file beside
 * the store, removed by its owner: so a lock on a file that is no longer there is no lock, and is tried again. */
static bool lock(struct store *s, struct err *e)
{
	struct str path = {0};
	struct stat mine, there;
	bool again = true, ok = false;

	str_addf(&path, "%s.lock", s->path);
	while (again && !ok) {
		again = false;
		s->lock_fd = open(path.s, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		if (s->lock_fd < 0) {
			err_set(e, ERR_STORE, "cannot write to store '%s': '%s': %s", s->path, path.s, strerror(errno));
		} else if (!take_lock(s->lock_fd)) {
			err_set(e, ERR_STORE, "store '%s' is being written by another process", s->path);
		} else {
			ok = !fstat(s->lock_fd, &mine) && !stat(path.s, &there) && mine.st_ino == there.st_ino &&
			     mine.st_dev == there.st_dev;
			again = !ok;
		}
		if (!ok && s->lock_fd >= 0) {
			close(s->lock_fd);
			s->lock_fd = -1;
		}
	}
	str_free(&path);
	return ok;
}

static void unlock(struct store *s)
{
	struct str path = {0};

	if (s->lock_fd < 0)
		return;
	str_addf(&path, "%s.lock", s->path);
	unlink(path.s);
	close(s->lock_fd);
	str_free(&path);
}

static bool pragma_number(struct store *s, const char *sql, int64_t *out, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*out = sqlite3_column_int64(st, 0);
	else
		store_fail(s, "open it", e);
	sqlite3_finalize(st);
	return rc == SQLITE_ROW;
}

/* Nothing in a file of others is trusted. */
static void protect(struct store *s)
{
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
}

static int64_t oldest_version(void)
{
	return store_steps[0].version;
}

/* What lies there: nothing yet (version 0), or a store that this program can write or read; anything else is an error. */
static bool recognise(struct store *s, int64_t *version, struct err *e)
{
	int64_t application, tables;

	if (!pragma_number(s, "PRAGMA application_id", &application, e) || !pragma_number(s, "PRAGMA user_version", version, e) ||
	    !pragma_number(s, "SELECT count(*) FROM sqlite_schema", &tables, e))
		return false;
	if (!application && !*version && !tables && s->mode == STORE_WRITE)
		return true;
	if (!application && !*version && !tables)
		return err_set(e, ERR_STORE, "'%s' is not a store: nothing is in it, or it was copied without its journal '%s-wal'", s->path, s->path);
	if (application != STORE_APPLICATION)
		return err_set(e, ERR_STORE, "'%s' is not a store", s->path);
	if (*version > STORE_VERSION)
		return err_set(e, ERR_STORE, "store '%s' was written by a newer mutatenn: it has version %lld, this program knows up to %d",
			       s->path, (long long)*version, STORE_VERSION);
	if (*version < oldest_version())
		return err_set(e, ERR_STORE, "store '%s' has version %lld, the oldest that this program can bring up to date is %lld",
			       s->path, (long long)*version, (long long)oldest_version());
	return true;
}

static bool put_outcomes(struct store *s, struct err *e)
{
	for (int o = 0; o < OUTCOME_COUNT; o++)
		if (!store_run(s, e, "INSERT OR REPLACE INTO outcomes VALUES(?, ?, ?, ?, ?)", "tiiit", outcome_name(o), (int64_t)o,
			       (int64_t)(outcome_class(o) == OUTCOME_CLASS_COUNTED), (int64_t)outcome_kills(o), outcome_help(o)))
			return false;
	return true;
}

static bool put_origin(struct store *s, struct err *e)
{
	char now[32];
	time_t t = time(NULL);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return store_set(s, "tool-version", MUTATENN_VERSION, e) && store_set(s, "created", now, e);
}

/* Makes a store of nothing (version 0) or of an older one, whole or not at all. */
static bool bring_up_to_date(struct store *s, int64_t version, struct err *e)
{
	char pragma[96];
	bool ok = true;

	snprintf(pragma, sizeof pragma, "PRAGMA application_id = %d; PRAGMA user_version = %d", STORE_APPLICATION, STORE_VERSION);
	if (!store_begin(s, e))
		return false;
	for (const struct store_step *step = store_steps; ok && step->sql; step++)
		ok = step->version <= version || store_exec(s, step->sql, e);
	ok = ok && store_exec(s, store_views, e) && store_exec(s, pragma, e) && put_outcomes(s, e) && (version || put_origin(s, e));
	if (ok)
		return store_commit(s, e);
	store_rollback(s);
	return false;
}

/* A campaign that goes on must not build on damaged pages. */
static bool sound(struct store *s, struct err *e)
{
	sqlite3_stmt *st = NULL;
	bool ok = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;

	if (!ok)
		store_fail(s, "check it", e);
	else if (strcmp(store_text(st, 0), "ok") != 0)
		ok = store_damaged(s, store_text(st, 0), e);
	sqlite3_finalize(st);
	return ok;
}

static bool prepare_writing(struct store *s, int64_t version, struct err *e)
{
	struct stat st;

	if (stat(s->path, &st))
		return err_set(e, ERR_STORE, "store '%s': %s", s->path, strerror(errno));
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return (!version || sound(s, e)) &&
	       store_exec(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", e) &&
	       (version == STORE_VERSION || bring_up_to_date(s, version, e));
}

/* A reader leaves an older store as it is and reads a temporary copy that is brought up to date; SQLite removes it. */
static bool read_a_copy(struct store *s, int64_t version, struct err *e)
{
	sqlite3 *file = s->db;
	sqlite3_backup *b;
	bool ok;

	s->db = NULL;
	if (sqlite3_open_v2("", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
		ok = store_fail(s, "copy it to read it", e);
	} else {
		b = sqlite3_backup_init(s->db, "main", file, "main");
		if (b)
			sqlite3_backup_step(b, -1);
		ok = b && sqlite3_backup_finish(b) == SQLITE_OK;
		if (!ok)
			store_fail(s, "copy it to read it", e);
	}
	sqlite3_close(file);
	if (ok)
		protect(s);
	return ok && bring_up_to_date(s, version, e);
}

/* A name that SQLite takes for a file, whatever it looks like. */
static void file_name(struct store *s, struct str *out, bool uri)
{
	const char *p = s->path;

	if (uri)
		str_add(out, "file:");
	if (*p != '/')
		str_add(out, "./");
	for (; *p; p++) {
		if (uri && strchr("%?#", *p))
			str_addf(out, "%%%02X", (unsigned char)*p);
		else
			str_addc(out, *p);
	}
	if (uri)
		str_add(out, "?immutable=1");
}

static int connect(struct store *s, int flags)
{
	struct str name = {0};
	int rc;

	sqlite3_close(s->db);
	s->db = NULL;
	file_name(s, &name, flags & SQLITE_OPEN_URI);
	rc = sqlite3_open_v2(name.s, &s->db, flags, NULL);
	str_free(&name);
	if (rc != SQLITE_OK)
		return rc;
	protect(s);
	if (s->mode == STORE_READ)
		sqlite3_exec(s->db, "PRAGMA query_only = ON", NULL, NULL, NULL);
	return SQLITE_OK;
}

/* A finished store in a folder that may not be written has no shared-memory file and none can be made; nobody can be writing
 * it either, when there is no journal. */
static bool only_readable(struct store *s)
{
	struct str wal = {0};
	bool yes;

	str_addf(&wal, "%s-wal", s->path);
	yes = access(wal.s, F_OK) != 0;
	str_free(&wal);
	return yes;
}

static bool open_file(struct store *s, struct err *e)
{
	/* a reader that may not write at all would leave its shared memory and an empty journal beside the store */
	int flags = s->mode == STORE_WRITE ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE;
	struct err first = {0};
	int64_t version = 0;
	int rc;

	if (connect(s, flags) != SQLITE_OK)
		return store_fail(s, "open it", e);
	if (s->mode == STORE_WRITE)
		return recognise(s, &version, e) && prepare_writing(s, version, e);
	if (recognise(s, &version, &first)) {
		err_free(&first);
		return version == STORE_VERSION || read_a_copy(s, version, e);
	}
	rc = sqlite3_errcode(s->db) & 0xff;
	if ((rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY) &&
	    connect(s, SQLITE_OPEN_READONLY | (only_readable(s) ? SQLITE_OPEN_URI : 0)) == SQLITE_OK) {
		err_free(&first);
		return recognise(s, &version, e) && (version == STORE_VERSION || read_a_copy(s, version, e));
	}
	err_set(e, first.code, "%s", err_text(&first));
	err_free(&first);
	return false;
}

static void disconnect(struct store *s)
{
	for (size_t i = 0; i < STORE_STATEMENTS; i++) {
		sqlite3_finalize(s->cache[i].st);
		s->cache[i].st = NULL;
	}
	if (s->db && s->in_transaction)
		store_rollback(s);
	sqlite3_close(s->db);
	s->db = NULL;
}

/* Of a store that could not be made (a full disk). */
static void remove_files(struct store *s)
{
	static const char *const ends[] = {"-wal", "-shm", ""};
	struct str name = {0};

	disconnect(s);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		str_clear(&name);
		str_addf(&name, "%s%s", s->path, ends[i]);
		unlink(name.s);
	}
	str_free(&name);
}

bool store_open(const char *path, enum store_mode mode, struct store **out, struct err *e)
{
	struct store *s;
	struct stat st;
	bool ok, is_new;

	if (!*path)
		return err_set(e, ERR_USAGE, "a store needs a file name");
	if (stat(path, &st) ? mode == STORE_READ : !S_ISREG(st.st_mode))
		return err_set(e, ERR_STORE, "cannot open store '%s': %s", path,
			       file_exists(path) ? "not a regular file" : strerror(errno));
	if (!(s = calloc(1, sizeof *s)) || !(s->path = strdup(path)))
		abort();
	s->mode = mode;
	s->lock_fd = -1;
	ok = mode == STORE_READ || lock(s, e);
	is_new = ok && mode == STORE_WRITE && !file_exists(path);
	if (!ok || !open_file(s, e)) {
		if (is_new)
			remove_files(s);
		store_close(s);
		return false;
	}
	*out = s;
	return true;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	disconnect(s);
	unlock(s);
	free(s->path);
	free(s);
}

const char *store_path(const struct store *s)
{
	return s->path;
}

bool store_set(struct store *s, const char *name, const char *value, struct err *e)
{
	return store_put_begin(s, e) &&
	       store_put_end(s, store_run(s, e, "INSERT OR REPLACE INTO meta VALUES(?, ?)", "tt", name, value), e);
}

bool store_get(struct store *s, struct arena *a, const char *name, char **out, struct err *e)
{
	sqlite3_stmt *st = store_statement(s, "SELECT value FROM meta WHERE name = ?", e);
	int rc;

	*out = NULL;
	if (!st)
		return false;
	rc = store_bind(st, "t", name) ? sqlite3_step(st) : SQLITE_NOMEM;
	if (rc == SQLITE_ROW)
		*out = arena_strdup(a, store_text(st, 0));
	else if (rc != SQLITE_DONE)
		store_fail(s, "read it", e);
	sqlite3_reset(st);
	return rc == SQLITE_ROW || rc == SQLITE_DONE;
}

bool store_configuration(struct store *s, struct arena *a, char **out, struct err *e)
{
	return store_get(s, a, "configuration", out, e);
}

static size_t line_length(const char *s)
{
	return strcspn(s, "\n");
}

bool store_is_place(const char *line)
{
	static const char *const key[] = {"model: ", "images: ", "labels: "};

	for (size_t i = 0; i < sizeof key / sizeof *key; i++)
		if (!strncmp(line, key[i], strlen(key[i])))
			return true;
	return false;
}

static const char *past_places(const char *text)
{
	while (store_is_place(text)) {
		text += line_length(text);
		text += *text != 0;
	}
	return text;
}

/* Names the first line in which two configurations differ, but for places; true where there is none. */
static bool same_but_places(struct store *s, struct arena *a, const char *old, const char *new, struct err *e)
{
	const char *now = new;
	int no, nn, key, old_key;

	for (;;) {
		old = past_places(old);
		new = past_places(new);
		no = (int)line_length(old);
		nn = (int)line_length(new);
		if (!*old && !*new)
			return true;
		if (no != nn || strncmp(old, new, (size_t)no) || !*old || !*new)
			break;
		old += no + (old[no] != 0);
		new += nn + (new[nn] != 0);
	}
	key = (int)strcspn(new, ":\n");
	old_key = (int)strcspn(old, ":\n");
	if (key == old_key && !strncmp(old, new, (size_t)key))
		return err_set(e, ERR_USAGE,
			       "store '%s' was made with another configuration: '%.*s' differs: '%.*s' in the store, '%.*s' now; use "
			       "another store",
			       s->path, key, new, no, old, nn, new);
	if (!*new || (*old && strstr(now, arena_printf(a, "\n%.*s:", old_key, old)) == NULL))
		return err_set(e, ERR_USAGE, "store '%s' was made with another configuration: '%.*s' is in the store only; use another store",
			       s->path, no, old);
	return err_set(e, ERR_USAGE, "store '%s' was made with another configuration: '%.*s' is new; use another store", s->path, nn, new);
}

bool store_configure(struct store *s, const char *text, struct err *e)
{
	struct arena *a = arena_new(NULL);
	char *old;
	bool ok = store_configuration(s, a, &old, e);

	if (ok && !old)
		ok = store_set(s, "configuration", text, e);
	else if (ok)
		ok = same_but_places(s, a, old, text, e);
	arena_free(a);
	return ok;
}
