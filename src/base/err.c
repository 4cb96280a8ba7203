/* err.c: error text travels in a buffer to whoever can act on it */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *format(const char *fmt, va_list ap)
{
	va_list again;
	char *text;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0 || !(text = malloc((size_t)n + 1)))
		abort();
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	return text;
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	va_list ap;
	char *old;

	if (!e)
		return false;
	old = e->text; /* may be an argument of the new text */
	va_start(ap, fmt);
	e->text = format(fmt, ap);
	va_end(ap);
	e->code = code;
	free(old);
	return false;
}

bool err_in(struct err *e, const char *fmt, ...)
{
	char *where, *joined;
	size_t n;
	va_list ap;

	if (!e)
		return false;
	va_start(ap, fmt);
	where = format(fmt, ap);
	va_end(ap);
	n = strlen(where) + strlen(err_text(e)) + 3;
	if (!(joined = malloc(n)))
		abort();
	snprintf(joined, n, "%s: %s", where, err_text(e));
	free(where);
	free(e->text);
	e->text = joined;
	return false;
}

const char *err_text(const struct err *e)
{
	return e && e->text ? e->text : "";
}

const char *err_code_name(enum err_code code)
{
	static const char *const names[] = {
#define X(id) #id,
		ERR_CODES(X)
#undef X
	};
	return (unsigned)code < sizeof names / sizeof *names ? names[code] : "?";
}

int err_exit_status(const struct err *e)
{
	return e->code == ERR_NONE ? 0 : e->code == ERR_USAGE ? 2 : 1;
}

void err_free(struct err *e)
{
	free(e->text);
	*e = (struct err){0};
}
