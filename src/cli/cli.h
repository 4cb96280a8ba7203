/* cli/cli.h: sub-commands, their options, and what they share
 *
 * A command is a file cmd_NAME.c with one `const struct cli_command` and a row in commands.def. Its options are a table: help
 * text and man pages come from it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct arena;

enum cli_arg { CLI_FLAG, CLI_TEXT, CLI_INT, CLI_NUMBER, CLI_LIST }; /* LIST: may be repeated, and comma-separated */

struct cli_option {
	const char *name;                 /* without dashes */
	enum cli_arg kind;
	const char *arg;                  /* what the help calls its value; NULL for flags */
	const char *help;
};

/* The values given, by position in the command's table. */
struct cli_value {
	bool given;
	const char *text;                 /* the last one */
	int64_t i;
	double f;
	const char **list;
	size_t n;
};

struct cli_args {
	struct arena *a;
	const struct cli_command *command;
	struct cli_value *value;          /* per option, in table order */
	const char **positional;
	size_t npositional;
};

struct cli_command {
	const char *name, *summary;
	const char *usage;                /* "MODEL INPUT..." */
	const char *description;          /* paragraphs separated by blank lines */
	const struct cli_option *options; /* ends with a NULL name */
	const char *examples;             /* lines */
	size_t min_positional, max_positional; /* max 0: no limit */
	bool builds_anew;                 /* kernels of an earlier run are not taken from the cache */
	bool all_passes;                  /* also those that run only when they are named: nothing is mutated, speed counts */
	/* *status: exit status on success (0 or 3). On false the caller prints e, which decides the status. */
	bool (*run)(const struct cli_args *args, int *status, struct err *e);
};

extern const struct cli_command *const cli_commands[]; /* NULL-terminated */
const struct cli_command *cli_find(const char *name);

/* The value of an option of the table by its name; asserts that it exists. */
const struct cli_value *cli_get(const struct cli_args *args, const char *option);
bool cli_flag(const struct cli_args *args, const char *option);
const char *cli_text(const struct cli_args *args, const char *option, const char *otherwise);
int64_t cli_int(const struct cli_args *args, const char *option, int64_t otherwise);

bool cli_parse(struct arena *a, const struct cli_command *c, int argc, char **argv, struct cli_args *out, struct err *e);
void cli_help(const struct cli_command *c);      /* to standard output */
void cli_help_all(void);
void cli_man(const struct cli_command *c);       /* roff; NULL: mutatenn(1) itself */

/* Options that several commands have, to be put into their tables. */
#define CLI_OPT_DEVICE {"device", CLI_LIST, "NAME", "device to use; may be repeated (default: host-gcc)"}
#define CLI_OPT_LEVEL {"opt-level", CLI_INT, "0..3", "how much the compiler optimises (default: 2)"}
#define CLI_OPT_DISABLE {"disable-pass", CLI_LIST, "PASS", "leave out a pass of that level"}
#define CLI_OPT_ENABLE {"enable-pass", CLI_LIST, "PASS", "run a pass that runs only when it is named: winograd"}
#define CLI_OPT_BATCH {"batch", CLI_INT, "N", "bind a symbolic batch dimension (default: 1)"}
#define CLI_OPT_THREADS {"threads", CLI_INT, "N", "threads per run (default: number of cores)"}
#define CLI_OPT_SEED {"seed", CLI_INT, "N", "seed of everything random (default: 1)"}
#define CLI_OPT_JSON {"json", CLI_FLAG, NULL, "print JSON for scripts"}
#define CLI_OPT_QUIET {"quiet", CLI_FLAG, NULL, "print only errors and the result"}
#define CLI_OPT_PREPROCESS                                                                                             \
	{"preprocess", CLI_TEXT, "SPEC", "a preset, or resize=256,crop=224,mean=R:G:B,std=R:G:B,... (default: the model's side-car)"}
#define CLI_OPT_OUTPUT {"output", CLI_TEXT, "NAME", "the model's output that holds the scores"}
#define CLI_OPT_DIALECT {"dialect", CLI_TEXT, "NAME", "source in c, opencl-c, opencl-c-cpu, cuda-c, glsl or glsl-cpu, whatever devices there are"}
#define CLI_OPT_FAIL_UNDER {"fail-under", CLI_NUMBER, "PERCENT", "exit status 3 when fewer mutants are killed"}
#define CLI_OPT_CRITERION {"criterion", CLI_TEXT, "NAME", "what counts as killed: label (default), topk or numeric"}
#define CLI_OPT_DEFINITIONS {"devices-file", CLI_TEXT, "FILE", "YAML file with device-definitions"}
#define CLI_OPT_END {NULL, CLI_FLAG, NULL, NULL}

/* That the file an option names is not the input: writing it would replace what it is made of. True when the option is not given. */
bool cli_spares(const struct cli_args *args, const char *option, const char *input, struct err *e);

/* ---- cli_session.c: what most commands start with; options as in the tables above ---- */
struct camp_model;
struct camp_level;
struct camp_program;
struct camp_target;
struct pool;
struct config_campaign;

/* Names of --device (default host-gcc), and definitions of --devices-file, as a configuration. */
bool cli_devices(const struct cli_args *args, struct config_campaign *out, struct err *e);
bool cli_model(const struct cli_args *args, const char *file, struct camp_model **out, struct err *e);
/* Opens the devices; every one must work. t: of the first among them. */
bool cli_pool(const struct cli_args *args, const struct config_campaign *c, struct pool **out, struct camp_target *t, struct err *e);
/* --opt-level, --disable-pass and --enable-pass, where the command has it; lists point into args. */
bool cli_level(const struct cli_args *args, struct camp_level *out, struct err *e);
/* Compiles the model at that level for the target. */
bool cli_program(const struct cli_args *args, const struct camp_model *m, const struct camp_target *t, struct camp_program *out, struct err *e);
/* Whether devices must be opened to know what to print: their class and dialect count when one is named, their vectors at level 3;
 * --dialect, checked here, needs none and sets t. */
bool cli_asks_devices(const struct cli_args *args, struct camp_target *t, bool *ask, struct err *e);
/* For commands that only look: level 3 asks the devices for their vector width, lower levels need no device. No kernel's text is made. */
bool cli_program_only(const struct cli_args *args, const struct camp_model *m, struct camp_program *out, struct err *e);

/* ---- cli_threshold.c: --fail-under and --criterion; colour ---- */

bool cli_fail_under(const struct cli_args *args, bool *given, double *percent, struct err *e);
bool cli_criterion(const struct cli_args *args, int *criterion, struct err *e); /* left alone when not given */
bool cli_criteria(const struct cli_args *args, unsigned *out, struct err *e); /* a list, as STORE_KILL_*; 0: not given */
char *cli_criteria_text(struct arena *a, unsigned criteria); /* "label, topk" */
/* A name from a file, fit for a terminal: see text_clean. NULL: "". */
const char *cli_shown(struct arena *a, const char *name);
/* Whether what goes to fd may be coloured: a terminal that is not dumb, and NO_COLOR is not set. */
bool cli_colour(int fd);

/* ---- cli_keys.c ---- */

/* The reference of campaign, device and side-car files as Markdown, to standard output. */
bool cli_print_keys(struct arena *a, struct err *e);
