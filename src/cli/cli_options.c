/* cli_options.c: the command line against a command's table */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/near.h"
#include "base/vec.h"
#include "cli/cli.h"

static size_t count_options(const struct cli_command *c)
{
	size_t n = 0;

	while (c->options[n].name)
		n++;
	return n;
}

const struct cli_value *cli_get(const struct cli_args *args, const char *option)
{
	for (size_t i = 0; args->command->options[i].name; i++)
		if (!strcmp(args->command->options[i].name, option))
			return &args->value[i];
	assert(!"an option that is not in the command's table");
	return NULL;
}

bool cli_flag(const struct cli_args *args, const char *option)
{
	return cli_get(args, option)->given;
}

const char *cli_text(const struct cli_args *args, const char *option, const char *otherwise)
{
	const struct cli_value *v = cli_get(args, option);

	return v->given ? v->text : otherwise;
}

int64_t cli_int(const struct cli_args *args, const char *option, int64_t otherwise)
{
	const struct cli_value *v = cli_get(args, option);

	return v->given ? v->i : otherwise;
}

static bool parse_number(const struct cli_option *o, struct cli_value *v, struct err *e)
{
	char *end;

	errno = 0;
	if (o->kind == CLI_INT)
		v->i = strtoll(v->text, &end, 10);
	else
		v->f = strtod(v->text, &end);
	if (errno || end == v->text || *end)
		return err_set(e, ERR_USAGE, "--%s takes a number, not '%s'", o->name, v->text);
	return true;
}

static void add_list(struct arena *a, struct cli_value *v, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, ",");
		const char **grown = ARENA_ARRAY(a, const char *, v->n + 1);

		if (v->n)
			memcpy(grown, v->list, v->n * sizeof *grown);
		v->list = grown;
		if (n)
			v->list[v->n++] = arena_strndup(a, text, n);
		text += n + (text[n] == ',');
	}
}

/* --name, --name=value, --name value; returns how many words were used, 0 on error. */
static int parse_option(struct arena *a, const struct cli_command *c, char **argv, int left, struct cli_value *values, struct err *e)
{
	const char *word = argv[0] + 2, *eq = strchr(word, '=');
	size_t n = eq ? (size_t)(eq - word) : strlen(word);
	const struct cli_option *o = c->options;
	struct cli_value *v;

	while (o->name && (strlen(o->name) != n || memcmp(o->name, word, n)))
		o++;
	if (!o->name) {
		struct near near = near_new(arena_strndup(a, word, n));

		for (o = c->options; o->name; o++)
			near_try(&near, o->name);
		err_set(e, ERR_USAGE, "'%.*s' is not an option of 'mutatenn %s'%s; see 'mutatenn %s --help'", (int)n + 2, argv[0], c->name,
		        near.best ? arena_printf(a, " (did you mean '--%s'?)", near.best) : "", c->name);
		return 0;
	}
	v = &values[o - c->options];
	v->given = true;
	if (o->kind == CLI_FLAG) {
		if (eq)
			err_set(e, ERR_USAGE, "--%s takes no value", o->name);
		return !eq;
	}
	if (!eq && left < 2) {
		err_set(e, ERR_USAGE, "--%s needs a value (%s)", o->name, o->arg);
		return 0;
	}
	v->text = eq ? eq + 1 : argv[1];
	if (o->kind == CLI_LIST) {
		add_list(a, v, v->text);
		if (strspn(v->text, ",") == strlen(v->text)) { /* --device "$DEVICE" of a script that has none set: not the default */
			err_set(e, ERR_USAGE, "--%s names nothing; leave it out for the default", o->name);
			return 0;
		}
	}
	if ((o->kind == CLI_INT || o->kind == CLI_NUMBER) && !parse_number(o, v, e))
		return 0;
	return eq ? 1 : 2;
}

bool cli_spares(const struct cli_args *args, const char *option, const char *input, struct err *e)
{
	const char *path = cli_text(args, option, NULL);

	return !path || !file_same(args->a, path, input) ||
	       err_set(e, ERR_USAGE, "--%s would replace '%s', which is read here; give another file", option, input);
}

bool cli_parse(struct arena *a, const struct cli_command *c, int argc, char **argv, struct cli_args *out, struct err *e)
{
	bool only_positional = false;
	VEC(const char *) pos = {0};

	*out = (struct cli_args){.a = a, .command = c, .value = ARENA_ARRAY(a, struct cli_value, count_options(c) + 1)};
	for (int i = 0; i < argc;) {
		int used = 1;

		if (!only_positional && !strcmp(argv[i], "--"))
			only_positional = true;
		else if (!only_positional && !strncmp(argv[i], "--", 2))
			used = parse_option(a, c, argv + i, argc - i, out->value, e);
		else if (!only_positional && argv[i][0] == '-' && argv[i][1])
			return err_set(e, ERR_USAGE, "'%s' is not an option; options are written --name", argv[i]);
		else
			vec_push(a, &pos, argv[i]);
		if (!used)
			return false;
		i += used;
	}
	out->positional = pos.v;
	out->npositional = pos.n;
	if (pos.n < c->min_positional)
		return err_set(e, ERR_USAGE, "usage: mutatenn %s %s; examples: 'mutatenn %s --help'", c->name, c->usage, c->name);
	if (!*c->usage && pos.n)
		return err_set(e, ERR_USAGE, "'mutatenn %s' takes no arguments, only options: '%s'", c->name, pos.v[0]);
	if (c->max_positional && pos.n > c->max_positional)
		return err_set(e, ERR_USAGE, "'%s' is one word too many; usage: mutatenn %s %s", pos.v[c->max_positional], c->name, c->usage);
	return true;
}
