/* cli_screen.c: see cli_screen.h
 *
 * Nothing but carriage return, "up", "erase to the end of the line" and "erase to the end of the screen" is asked of a terminal. One
 * that has become narrower has wrapped the lines that stand there: they are counted as it shows them.
 */
#include "cli/cli_screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"

#define MAX_LINES 64

bool cli_can_write_over(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && *term && strcmp(term, "dumb") != 0;
}

void cli_terminal_size(int fd, int *columns, int *rows)
{
	struct winsize w = {0};

	ioctl(fd, TIOCGWINSZ, &w);
	*columns = w.ws_col ? w.ws_col : 80;
	*rows = w.ws_row ? w.ws_row : 24;
}

/* Adds a line cut to `room` columns; returns its width. */
static int cut(struct str *t, const char *line, size_t n, int room)
{
	int w = 0;

	for (size_t i = 0; i < n; i++) {
		bool goes_on = ((unsigned char)line[i] & 0xc0) == 0x80;

		if (!goes_on && w++ >= room)
			return room;
		str_addc(t, (unsigned char)line[i] < 0x20 || line[i] == 0x7f ? '?' : line[i]);
	}
	return w;
}

static const char *escape(char colour)
{
	switch (colour) {
	case 'r': return "\033[31m";
	case 'g': return "\033[32m";
	case 'y': return "\033[33m";
	case 'b': return "\033[1m";
	case 'd': return "\033[2m";
	default: return "";
	}
}

/* To the first line that stands there. */
static void up(struct cli_screen *s, struct str *t, int columns)
{
	int lines = 0;

	for (int i = 0; i < s->lines; i++)
		lines += s->width[i] ? (s->width[i] + columns - 1) / columns : 1;
	if (lines)
		str_addf(t, "\033[%dA", lines);
	str_addc(t, '\r');
	if (columns != s->columns)
		str_add(t, "\033[J");
}

void cli_screen_show(struct cli_screen *s, const char *text, bool colour)
{
	int columns, rows;
	struct str t = {0};

	cli_terminal_size(fileno(s->f), &columns, &rows);
	up(s, &t, columns);
	s->columns = columns;
	s->lines = 0;
	while (*text && s->lines < MAX_LINES && s->lines < (rows > 1 ? rows - 1 : 1)) {
		size_t n = strcspn(text, "\n");
		const char *line = text, *with = "";

		text += n + (text[n] == '\n');
		if (n > 1 && line[0] == '\001') {
			with = colour ? escape(line[1]) : "";
			line += 2;
			n -= 2;
		}
		str_add(&t, with);
		s->width[s->lines++] = cut(&t, line, n, columns > 1 ? columns - 1 : 1);
		str_add(&t, *with ? "\033[0m" : "");
		str_add(&t, "\033[K\n");
	}
	str_add(&t, "\033[J");
	fputs(str_text(&t), s->f);
	fflush(s->f);
	str_free(&t);
}

void cli_screen_clear(struct cli_screen *s)
{
	struct str t = {0};
	int columns, rows;

	if (!s->lines)
		return;
	cli_terminal_size(fileno(s->f), &columns, &rows);
	up(s, &t, columns);
	str_add(&t, "\033[J");
	fputs(str_text(&t), s->f);
	fflush(s->f);
	str_free(&t);
	s->lines = 0;
}
