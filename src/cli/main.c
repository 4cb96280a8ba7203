/* main.c: find the sub-command, run it, say what went wrong */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/near.h"
#include "cli/cli.h"
#include "cli/cli_stop.h"

#define CMD(id, summary) extern const struct cli_command cmd_##id;
#include "cli/commands.def"
#undef CMD

const struct cli_command *const cli_commands[] = {
#define CMD(id, summary) &cmd_##id,
#include "cli/commands.def"
#undef CMD
        NULL};

const struct cli_command *cli_find(const char *name)
{
	for (size_t i = 0; cli_commands[i]; i++)
		if (!strcmp(cli_commands[i]->name, name))
			return cli_commands[i];
	return NULL;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

/* A full disk behind standard output is a failure like others; a reader who has had enough (`| head`) needs no message. */
static int written(int status)
{
	struct pollfd out = {.fd = STDOUT_FILENO};

	if (!fflush(stdout) && !ferror(stdout))
		return status;
	if (poll(&out, 1, 0) != 1 || !(out.revents & POLLERR))
		log_error("cannot write to standard output");
	return status ? status : 1;
}

static int run(const struct cli_command *c, int argc, char **argv)
{
	struct arena *a = arena_new(NULL);
	struct cli_args args;
	struct err e = {0};
	int status = 0;

	if (!cli_parse(a, c, argc, argv, &args, &e) || !c->run(&args, &status, &e)) {
		log_error("%s", err_text(&e));
		status = err_exit_status(&e);
	}
	err_free(&e);
	arena_free(a);
	return written(status);
}

static int unknown(const char *command)
{
	struct near n = near_new(command);

	for (size_t i = 0; cli_commands[i]; i++)
		near_try(&n, cli_commands[i]->name);
	log_error("'%s' is not a command%s; 'mutatenn --help' lists them", command, near_text(&n));
	return 2;
}

static int help(const char *command)
{
	const struct cli_command *c = command ? cli_find(command) : NULL;

	if (command && !c)
		return unknown(command);
	if (c)
		cli_help(c);
	else
		cli_help_all();
	return written(0);
}

int main(int argc, char **argv)
{
	const struct cli_command *c;

	if (argc < 2) {
		cli_help_all();
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help(argc > 2 ? argv[2] : NULL);
	if (!strcmp(argv[1], "--version")) {
		printf("mutatenn %s\n", MUTATENN_VERSION);
		return written(0);
	}
	if (!strcmp(argv[1], "--man")) { /* for the build: man pages from the tables */
		cli_man(argc > 2 ? cli_find(argv[2]) : NULL);
		return written(0);
	}
	c = cli_find(argv[1]);
	if (!c)
		return unknown(argv[1]);
	if (wants_help(argc - 2, argv + 2))
		return help(c->name);
	cli_stop_install();
	return run(c, argc - 2, argv + 2);
}
