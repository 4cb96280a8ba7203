#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/str.h"

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
	struct str text = {0};
	va_list ap;

	if (level > limit)
		return;
	if (hook)
		hook();
	fputs(prefix[level], stderr);
	va_start(ap, fmt);
	str_vaddf(&text, fmt, ap);
	va_end(ap);
	for (const char *p = str_text(&text); *p; p++) { /* names come from files: none may steer the terminal */
		unsigned char c = (unsigned char)*p;

		if ((c < 32 && c != '\n' && c != '\t') || c == 127)
			fprintf(stderr, "\\x%02x", c);
		else
			fputc(c, stderr);
	}
	fputc('\n', stderr);
	str_free(&text);
}
