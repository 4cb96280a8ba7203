/* cmd_completion.c: scripts with which bash, zsh and fish complete commands, options and their values, from the commands' tables */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "codegen/codegen.h"
#include "graph/graph.h"

/* ---- what may stand behind an option --------------------------------------------------------------------- */

enum kind { ANYTHING, FILES, FOLDERS, WORDS };

struct values {
	enum kind kind;
	const char *words; /* between blanks */
	bool list;         /* several, with commas between them */
};

static void add_names(struct str *t, const char *name)
{
	if (t->n)
		str_addc(t, ' ');
	str_add(t, name);
}

static void operators(struct str *t)
{
	for (size_t i = 0; mut_ops[i]; i++)
		add_names(t, mut_ops[i]->name);
}

static void presets(struct str *t)
{
	for (size_t i = 0; mut_presets[i]; i++)
		add_names(t, mut_presets[i]->name);
}

static void mutations(struct str *t)
{
	presets(t);
	operators(t);
}

static void devices(struct str *t)
{
	for (size_t i = 0; camp_builtin_devices[i]; i++)
		add_names(t, camp_builtin_devices[i]);
}

static void dialects(struct str *t)
{
	for (size_t i = 0; codegen_dialects[i]; i++)
		add_names(t, codegen_dialects[i]);
}

static void passes(struct str *t)
{
	for (size_t i = 0; gir_passes[i]; i++)
		add_names(t, gir_passes[i]->name);
}

static void asked_passes(struct str *t)
{
	for (size_t i = 0; gir_passes[i]; i++)
		if (gir_passes[i]->asked)
			add_names(t, gir_passes[i]->name);
}

static void criteria(struct str *t)
{
	for (int c = 0; c < STORE_CRITERIA; c++)
		add_names(t, store_criterion_name(c));
}

/* Options whose values are known; the others go by what the help calls their value. */
static const struct {
	const char *option;
	void (*names)(struct str *t);
	const char *words;
} known[] = {
    {"device", devices, NULL},
    {"dialect", dialects, NULL},
    {"disable-pass", passes, NULL},
    {"enable-pass", asked_passes, NULL},
    {"mutations", mutations, NULL},
    {"operator", operators, NULL},
    {"preset", presets, NULL},
    {"criterion", criteria, NULL},
    {"opt-level", NULL, "0 1 2 3"},
    {"fill", NULL, "nan zero stale"},
    {"preprocess", NULL, "torchvision keras-tf caffe unit none"},
    {"sites", NULL, "each all"},
    {"progress", NULL, "auto screen lines none"},
};

static struct values values_of(struct arena *a, const struct cli_option *o)
{
	struct values v = {.list = o->kind == CLI_LIST};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct str t = {0};

		if (strcmp(known[i].option, o->name))
			continue;
		if (known[i].names)
			known[i].names(&t);
		v.kind = WORDS;
		v.words = known[i].words ? known[i].words : arena_strdup(a, str_text(&t));
		str_free(&t);
		return v;
	}
	if (o->arg && (!strcmp(o->arg, "FILE") || !strcmp(o->arg, "PATH")))
		v.kind = FILES;
	else if (o->arg && !strcmp(o->arg, "DIR"))
		v.kind = FOLDERS;
	return v;
}

static const char shells[] = "bash zsh fish";

/* What a command's arguments are. */
static struct values arguments_of(const struct cli_command *c)
{
	if (!strcmp(c->name, "completion"))
		return (struct values){.kind = WORDS, .words = shells};
	return (struct values){.kind = !*c->usage || !strcmp(c->name, "fetch") ? ANYTHING : FILES};
}

/* Text inside '...' of any of the shells; `more` are characters that its completion system needs a backslash in front of. */
static void quoted(const char *text, const char *more)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", stdout);
		else if (strchr(more, *text))
			printf("\\%c", *text);
		else
			putchar(*text == '\n' ? ' ' : *text);
	}
}

/* ---- bash ------------------------------------------------------------------------------------------------ */

static const char bash_head[] =
    "# bash completion of mutatenn: source <(mutatenn completion bash)\n"
    "_mutatenn_words() { # the word is one of these\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\")\n"
    "}\n"
    "_mutatenn_list() { # ... or the last of several with commas between them\n"
    "    local done=\n"
    "    [[ $cur == *,* ]] && done=${cur%,*},\n"
    "    mapfile -t COMPREPLY < <(compgen -P \"$done\" -W \"$1\" -- \"${cur##*,}\")\n"
    "}\n"
    "_mutatenn_files() {\n"
    "    compopt -o filenames 2>/dev/null\n"
    "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n"
    "}\n"
    "_mutatenn() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} option= command=${COMP_WORDS[1]}\n"
    "    COMPREPLY=()\n"
    "    # bash takes '=' for a word of its own: --name=value are three\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur= option=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    elif [[ ${COMP_WORDS[COMP_CWORD-1]} == = ]]; then\n"
    "        option=${COMP_WORDS[COMP_CWORD-2]}\n"
    "    elif [[ ${COMP_WORDS[COMP_CWORD-1]} == --* ]]; then\n"
    "        option=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    fi\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        _mutatenn_words '--help --version help";

static void bash_action(const struct values *v, const char *otherwise)
{
	if (v->kind == WORDS) {
		printf("_mutatenn_%s '", v->list ? "list" : "words");
		quoted(v->words, "");
		printf("'; return ;;\n");
	} else if (v->kind == ANYTHING) {
		printf("%s ;;\n", otherwise);
	} else {
		printf("_mutatenn_files %s; return ;;\n", v->kind == FILES ? "-f" : "-d");
	}
}

static void bash(struct arena *a)
{
	fputs(bash_head, stdout);
	for (size_t i = 0; cli_commands[i]; i++)
		printf(" %s", cli_commands[i]->name);
	printf("'\n        return\n    fi\n    case $command$option in\n");
	for (size_t i = 0; cli_commands[i]; i++)
		for (const struct cli_option *o = cli_commands[i]->options; o->name; o++) {
			struct values v = values_of(a, o);

			if (o->kind == CLI_FLAG)
				continue;
			printf("    %s--%s) ", cli_commands[i]->name, o->name);
			bash_action(&v, "return");
		}
	printf("    esac\n    case $command in\n");
	for (size_t i = 0; cli_commands[i]; i++) {
		struct values v = arguments_of(cli_commands[i]);

		printf("    %s)\n        if [[ $cur == -* ]]; then\n            _mutatenn_words '--help", cli_commands[i]->name);
		for (const struct cli_option *o = cli_commands[i]->options; o->name; o++)
			printf(" --%s", o->name);
		printf("'\n            return\n        fi\n        ");
		bash_action(&v, "return");
	}
	printf("    help)\n        _mutatenn_words '");
	for (size_t i = 0; cli_commands[i]; i++)
		printf("%s%s", i ? " " : "", cli_commands[i]->name);
	printf("' ;;\n    esac\n}\ncomplete -F _mutatenn mutatenn\n");
}

/* ---- zsh ------------------------------------------------------------------------------------------------- */

static void zsh_action(const struct values *v, const char *name)
{
	if (v->kind == WORDS && v->list)
		printf(":%s:_values -s , %s %s", name, name, v->words);
	else if (v->kind == WORDS) {
		printf(":%s:(", name);
		quoted(v->words, "()");
		putchar(')');
	} else {
		printf(":%s:%s", name, v->kind == FILES ? "_files" : v->kind == FOLDERS ? "_files -/" : " ");
	}
}

static void zsh_command(struct arena *a, const struct cli_command *c)
{
	struct values v = arguments_of(c);

	printf("        %s)\n            _arguments -s '--help[this text]'", c->name);
	for (const struct cli_option *o = c->options; o->name; o++) {
		struct values of = values_of(a, o);

		printf(" \\\n                '%s--%s%s[", o->kind == CLI_LIST ? "*" : "", o->name, o->kind == CLI_FLAG ? "" : "=");
		quoted(o->help, "[]:\\");
		putchar(']');
		if (o->kind != CLI_FLAG)
			zsh_action(&of, o->arg);
		putchar('\'');
	}
	if (*c->usage) {
		printf(" \\\n                '*");
		zsh_action(&v, "argument");
		putchar('\'');
	}
	printf(" ;;\n");
}

static void zsh(struct arena *a)
{
	printf("#compdef mutatenn\n# zsh completion of mutatenn: in a folder of $fpath as _mutatenn, or source <(mutatenn completion zsh)\n"
	       "_mutatenn() {\n    local curcontext=$curcontext state line\n    local -a commands\n    commands=(\n");
	for (size_t i = 0; cli_commands[i]; i++) {
		printf("        '%s:", cli_commands[i]->name);
		quoted(cli_commands[i]->summary, ":\\");
		printf("'\n");
	}
	printf("        'help:the text of --help'\n    )\n"
	       "    _arguments -C '(- *)--help[this text]' '(- *)--version[the version]' '1: :->command' '*:: :->arguments'\n"
	       "    case $state in\n    command)\n        _describe command commands ;;\n    arguments)\n        case $words[1] in\n");
	for (size_t i = 0; cli_commands[i]; i++)
		zsh_command(a, cli_commands[i]);
	printf("        help)\n            _describe command commands ;;\n        esac ;;\n    esac\n}\n"
	       "if [[ $funcstack[1] = _mutatenn ]]; then\n    _mutatenn \"$@\"\nelse\n    compdef _mutatenn mutatenn\nfi\n");
}

/* ---- fish ------------------------------------------------------------------------------------------------ */

static void fish_option(struct arena *a, const struct cli_command *c, const struct cli_option *o)
{
	struct values v = values_of(a, o);

	printf("complete -c mutatenn -n '__mutatenn_in %s' -l %s -d '", c->name, o->name);
	quoted(o->help, "");
	putchar('\'');
	if (o->kind == CLI_FLAG)
		;
	else if (v.kind == WORDS)
		printf(" -x -a '(__mutatenn_%s %s)'", v.list ? "list" : "words", o->name);
	else if (v.kind == FILES)
		printf(" -r -F");
	else
		printf(" -x%s", v.kind == FOLDERS ? " -a '(__fish_complete_directories)'" : "");
	putchar('\n');
}

static void fish(struct arena *a)
{
	printf("# fish completion of mutatenn: mutatenn completion fish | source\n"
	       "function __mutatenn_in # the command is this one\n    set -l words (commandline -opc)\n"
	       "    test (count $words) -ge 2; and test $words[2] = $argv[1]\nend\n"
	       "function __mutatenn_none # there is no command yet\n    test (count (commandline -opc)) -lt 2\nend\n"
	       "function __mutatenn_words # what an option may be\n    switch $argv[1]\n");
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct cli_option o = {.name = known[i].option};
		struct values v = values_of(a, &o);

		printf("        case %s\n            string split ' ' '%s'\n", o.name, v.words);
	}
	printf("    end\nend\n"
	       "function __mutatenn_list # several, with commas between them\n    set -l before (commandline -ct | string replace -r '^--[^=]*=' '' | "
	       "string match -r '^.*,')\n    __mutatenn_words $argv[1] | string replace -r '^' -- \"$before\"\nend\n"
	       "complete -c mutatenn -f\n"
	       "complete -c mutatenn -n __mutatenn_none -l help -d 'this text'\ncomplete -c mutatenn -n __mutatenn_none -l version -d 'the version'\n"
	       "complete -c mutatenn -n __mutatenn_none -a help -d 'the text of --help'\n");
	for (size_t i = 0; cli_commands[i]; i++) {
		const struct cli_command *c = cli_commands[i];
		struct values v = arguments_of(c);

		printf("complete -c mutatenn -n __mutatenn_none -a %s -d '", c->name);
		quoted(c->summary, "");
		printf("'\ncomplete -c mutatenn -n '__mutatenn_in %s' -l help -d 'this text'\n", c->name);
		printf("complete -c mutatenn -n '__mutatenn_in help' -a %s\n", c->name);
		for (const struct cli_option *o = c->options; o->name; o++)
			fish_option(a, c, o);
		if (v.kind == WORDS)
			printf("complete -c mutatenn -n '__mutatenn_in %s' -a '%s'\n", c->name, v.words);
		else if (v.kind == FILES)
			printf("complete -c mutatenn -n '__mutatenn_in %s' -F\n", c->name);
	}
}

/* ---- the command ----------------------------------------------------------------------------------------- */

static const struct cli_option options[] = {CLI_OPT_END};

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	const char *shell = args->positional[0];

	(void)status;
	if (!strcmp(shell, "bash"))
		bash(args->a);
	else if (!strcmp(shell, "zsh"))
		zsh(args->a);
	else if (!strcmp(shell, "fish"))
		fish(args->a);
	else
		return err_set(e, ERR_USAGE, "there is no completion for '%s'; for bash, zsh and fish there is", shell);
	return true;
}

const struct cli_command cmd_completion = {
    .name = "completion",
    .summary = "a script that completes commands, options and values in a shell",
    .usage = "bash|zsh|fish",
    .description = "Prints it. `make install` puts the three where the shells look for them; without that, the examples do for the shell at hand.",
    .options = options,
    .examples = "  mutatenn completion bash   # source <(mutatenn completion bash)\n"
		"  mutatenn completion zsh    # source <(mutatenn completion zsh)\n"
		"  mutatenn completion fish   # mutatenn completion fish | source\n",
    .min_positional = 1,
    .max_positional = 1,
    .run = run,
};
