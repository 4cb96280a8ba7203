/* store_internal.h: the connection, prepared statements, rows */
#pragma once
#include <sqlite3.h>
#include <sys/types.h>

#include "base/err.h"
#include "store/store.h"

#define STORE_APPLICATION 0x4d54544e /* "MTTN" */
#define STORE_VERSION 3
#define STORE_STATEMENTS 64

struct store {
	sqlite3 *db;
	char *path;
	enum store_mode mode;
	bool in_transaction; /* between store_begin and its end */
	int lock_fd;         /* -1: none */
	dev_t dev;           /* what path was when it was opened: */
	ino_t ino;           /* a store removed while in use must not swallow results */
	struct {
		const char *sql; /* a literal: compared by address */
		sqlite3_stmt *st;
	} cache[STORE_STATEMENTS];
};

/* What makes a store of the version before into one of this version; ends with a NULL sql. (schema.c) */
struct store_step {
	int version;
	const char *sql;
};
extern const struct store_step store_steps[];
extern const char store_views[];

/* A line of the configuration that says where something lies, not what it is: models, images and labels are known by what is in them
 * (store_put_model, store_put_image), so that a campaign goes on after its folder has moved, and shards of several machines merge. */
bool store_is_place(const char *line);

/* Says what SQLite said; returns false. */
bool store_fail(struct store *s, const char *doing, struct err *e);
bool store_damaged(struct store *s, const char *what, struct err *e);
bool store_exec(struct store *s, const char *sql, struct err *e);

/* A reset statement of this literal text, kept for the next time. NULL: error. */
sqlite3_stmt *store_statement(struct store *s, const char *sql, struct err *e);

/* Binds parameters 1..: t const char *, i int64_t, d double, h struct hash, b (const void *, int64_t bytes). Text and blobs
 * must live until the statement is reset; NULL binds NULL, so does a zero hash. */
bool store_bind(sqlite3_stmt *st, const char *types, ...);
/* store_statement, store_bind, step to the end, reset. */
bool store_run(struct store *s, struct err *e, const char *sql, const char *types, ...);
/* The first column of the first row as a number; found is false without a row. */
bool store_number(struct store *s, struct err *e, int64_t *out, bool *found, const char *sql, const char *types, ...);

/* A put is a savepoint: its own transaction, or part of the open one. */
bool store_put_begin(struct store *s, struct err *e);
/* ok false: rolls back and returns false. */
bool store_put_end(struct store *s, bool ok, struct err *e);

/* Column c as text, "" where it is NULL; as text or NULL; as a hash, zero where it is none. */
const char *store_text(sqlite3_stmt *st, int c);
const char *store_text_or_null(sqlite3_stmt *st, int c);
struct hash store_hash(sqlite3_stmt *st, int c);

/* For iterators: parameters are texts. The next row, NULL at the end. */
struct store_iter *store_iterate(struct store *s, const char *sql, const char *types, const char *p1, const char *p2);
sqlite3_stmt *store_step(struct store_iter *it);
