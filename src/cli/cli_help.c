/* cli_help.c: help texts and man pages, from the commands' tables */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define WIDTH 80

static const char first_steps[] = "  mutatenn devices\n"
				  "  mutatenn infer demo/model.onnx demo/images\n"
				  "  mutatenn run --model demo/model.onnx --images demo/images \\\n"
				  "               --mutations mutatenn-paper --store out.db\n"
				  "  mutatenn report out.db\n";
static const char exit_status[] = "0: done.\n\n1: failed: a file, a device, a disk; or a device's results are not complete.\n\n2: misuse: a wrong option, a name that does "
				  "not exist, a campaign file that is not right.\n\n3: done, and a threshold was not met: --fail-under, --tolerance, or a device that does not "
				  "pass a check.\n";
static const char *const files[][2] = {
    {"CAMPAIGN.yaml", "a campaign; every key: 'mutatenn run --keys'"},
    {"MODEL.yaml", "beside MODEL.onnx: preprocessing, class names, the output with the scores"},
    {"labels.csv", "in a folder of pictures: columns file and class_index"},
    {"~/.cache/mutatenn", "compiled kernels by content; may be removed at any time"},
    {NULL, NULL}};
static const char *const environment[][2] = {
    {"MUTATENN_WORKER", "the worker program, when it is not the mutatenn-worker beside this one or on PATH"},
    {"XDG_CACHE_HOME", "where the folder mutatenn for compiled kernels is made (default: ~/.cache)"},
    {"PATH", "finds compilers, and commands that reach other machines"},
    {"MUTATENN_KERNEL_CACHE", "size of that folder"},
    {"MUTATENN_HUB", "where 'mutatenn fetch' finds models"},
    {"NO_COLOR", "set: no colours"},
    {"https_proxy, no_proxy", "for 'mutatenn fetch'"},
    {NULL, NULL}};

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
	printf("\n'mutatenn COMMAND --help' tells more. First steps:\n%s\n"
	       "exit status: 0 done, 1 failed, 2 misuse, 3 a threshold was not met\n", first_steps);
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
	printf(".SH EXIT STATUS\n");
	roff(exit_status);
	printf(".SH SEE ALSO\n.BR mutatenn (1)\n");
}

static void man_list(const char *title, const char *const (*rows)[2])
{
	printf(".SH %s\n", title);
	for (; (*rows)[0]; rows++) {
		printf(".TP\n.B ");
		roff((*rows)[0]);
		printf("\n");
		roff((*rows)[1]);
		printf("\n");
	}
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
	printf(".SH EXIT STATUS\n");
	roff(exit_status);
	man_list("FILES", files);
	man_list("ENVIRONMENT", environment);
	printf(".SH EXAMPLES\n.nf\n");
	roff(first_steps);
	printf(".fi\n");
}
