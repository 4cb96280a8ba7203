/* cli_screen.h: some lines at the end of a terminal that are written over again and again */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct str;

struct cli_screen {
	FILE *f;              /* stdout or stderr */
	int width[64];        /* of the lines that stand there */
	int lines, columns;   /* how many; the terminal's width then */
};

/* Whether fd is a terminal that can be written over. */
bool cli_can_write_over(int fd);
/* Its size; 80 x 24 where that is not known. */
void cli_terminal_size(int fd, int *columns, int *rows);
/* Lines of text, each ended by a newline, each cut to the width, as many as fit; a line may begin with \001 and a letter: its colour,
 * which is used when colour is. Control characters become '?'. The cursor is left at the start of the line behind the last. */
void cli_screen_show(struct cli_screen *s, const char *text, bool colour);
/* Takes them away. */
void cli_screen_clear(struct cli_screen *s);
