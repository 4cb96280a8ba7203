/* base/err.h: how a function says why it failed
 *
 * Functions that can fail return bool and take `struct err *` last. The place that knows sets the error;
 * each caller may prepend where it was. Messages are lower case, without a full stop, names in quotes.
 * Passing NULL is allowed and drops the text. An err starts as `struct err e = {0};` and is released by
 * err_free (which leaves it reusable).
 */
#pragma once
#include <stdarg.h>
#include <stdbool.h>

/* USAGE is the caller's mistake (exit status 2); every other code is a failure (exit status 1). */
#define ERR_CODES(X) X(NONE) X(USAGE) X(IO) X(PARSE) X(UNSUPPORTED) X(BAD_IR) X(DEVICE) X(TIMEOUT) X(STORE) X(CANCELLED)

enum err_code {
#define X(id) ERR_##id,
	ERR_CODES(X)
#undef X
};

struct err {
	enum err_code code;
	char *text; /* owned; NULL when nothing was set */
};

/* Replaces what e held. Always returns false, so that `return err_set(...)` reads well. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prepends "fmt: " to the text, keeps the code. Always returns false. */
bool err_in(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "" when nothing was set. */
const char *err_text(const struct err *e);
const char *err_code_name(enum err_code code);

/* 0 for ERR_NONE, 2 for ERR_USAGE, 1 otherwise. */
int err_exit_status(const struct err *e);
void err_free(struct err *e);
