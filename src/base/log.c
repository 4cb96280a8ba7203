#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static enum log_level limit = LOG_INFO;
static void (*hook)(void);

void log_set_level(enum log_level level)
{
	limit = level;
}

enum log_level log_level(void)
{
	return limit;
}

void log_set_hook(void (*before)(void))
{
	hook = before;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const prefix[] = {"mutatenn: ", "mutatenn: warning: ", "", ""};
	va_list ap;

	if (level > limit)
		return;
	if (hook)
		hook();
	fputs(prefix[level], stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}
