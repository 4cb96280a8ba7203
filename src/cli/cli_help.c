/* cli_help.c: help texts and man pages, from the commands' tables */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define WIDTH 80

/* Words filled between the columns indent and WIDTH; `at` is where the cursor stands. */
static void fill(const char *text, int indent, int at)
{
	while (*text) {
		size_t n = strcspn(text, " \n");

		if (at + 1 + (int)n > WIDTH && at > indent) {
			printf("\n%*s", indent, "");
			at = indent;
		}
		if (n) {
			if (at > indent)
				putchar(' '), at++;
			printf("%.*s", (int)n, text);
			at += (int)n;
		}
		text += n;
		if (text[0] == '\n' && text[1] == '\n') {
			printf("\n\n%*s", indent, "");
			at = indent;
			text++;
		}
		text += *text != 0;
	}
	putchar('\n');
}

static void print_options(const struct cli_option *o)
{
	for (; o->name; o++) {
		int n = printf("  --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");

		if (n > 26)
			printf("\n%*s", 28, "");
		else
			printf("%*s", 28 - n, "");
		fill(o->help, 28, 28);
	}
	printf("  %-26s%s\n", "--help", "this text");
}

void cli_help(const struct cli_command *c)
{
	printf("usage: mutatenn %s [OPTIONS] %s\n\n", c->name, c->usage);
	fill(c->description, 0, 0);
	printf("\noptions:\n");
	print_options(c->options);
	if (c->examples)
		printf("\nexamples:\n%s", c->examples);
}

void cli_help_all(void)
{
	printf("mutatenn %s - mutation and differential testing of image classifiers on accelerators\n\n"
	       "usage: mutatenn COMMAND [OPTIONS] ARGUMENTS\n\ncommands:\n",
	       MUTATENN_VERSION);
	for (size_t i = 0; cli_commands[i]; i++)
		printf("  %-11s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
	printf("\n'mutatenn COMMAND --help' tells more. First steps:\n"
	       "  mutatenn devices\n"
	       "  mutatenn infer demo/model.onnx demo/images\n"
	       "  mutatenn run --model demo/model.onnx --images demo/images \\\n"
	       "               --mutations mutatenn-paper --store out.db\n"
	       "  mutatenn report out.db\n\n"
	       "exit status: 0 done, 1 failed, 2 misuse, 3 a threshold of the campaign was not met\n");
}

/* Text for roff: backslashes and leading dots and quotes are harmless, hyphens are minus signs. */
static void roff(const char *text)
{
	bool start = true;

	for (; *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else if (text[0] == '\n' && text[1] == '\n')
			fputs("\n.PP", stdout);
		else
			putchar(*text);
	}
}

static void man_options(const struct cli_option *o)
{
	printf("\n.SH OPTIONS\n");
	for (; o->name; o++) {
		printf(".TP\n.B \\-\\-");
		roff(o->name);
		if (o->arg)
			printf(" \\fI%s\\fR", o->arg);
		printf("\n");
		roff(o->help);
		printf("\n");
	}
}

static void man_command(const struct cli_command *c)
{
	printf(".TH MUTATENN\\-%s 1 \"\" \"mutatenn %s\"\n.SH NAME\nmutatenn\\-%s \\- ", c->name, MUTATENN_VERSION, c->name);
	roff(c->summary);
	printf("\n.SH SYNOPSIS\n.B mutatenn %s\n[OPTIONS] ", c->name);
	roff(c->usage);
	printf("\n.SH DESCRIPTION\n");
	roff(c->description);
	man_options(c->options);
	if (c->examples) {
		printf(".SH EXAMPLES\n.nf\n");
		roff(c->examples);
		printf(".fi\n");
	}
	printf(".SH SEE ALSO\n.BR mutatenn (1)\n");
}

void cli_man(const struct cli_command *c)
{
	if (c) {
		man_command(c);
		return;
	}
	printf(".TH MUTATENN 1 \"\" \"mutatenn %s\"\n.SH NAME\nmutatenn \\- mutation and differential testing of image classifiers on "
	       "accelerators\n.SH SYNOPSIS\n.B mutatenn\n\\fICOMMAND\\fR [OPTIONS] ARGUMENTS\n.SH COMMANDS\n",
	       MUTATENN_VERSION);
	for (size_t i = 0; cli_commands[i]; i++) {
		printf(".TP\n.BR mutatenn\\-%s (1)\n", cli_commands[i]->name);
		roff(cli_commands[i]->summary);
		printf("\n");
	}
	printf(".SH EXIT STATUS\n0 done, 1 failed, 2 misuse, 3 a threshold of the campaign was not met\n");
}
