/* cli_threshold.c: options of commands that print rates, and what a terminal can bear */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/str.h"
#include "cli/cli.h"
#include "store/store.h"

bool cli_fail_under(const struct cli_args *args, bool *given, double *percent, struct err *e)
{
	const struct cli_value *v = cli_get(args, "fail-under");

	*given = v->given;
	*percent = v->f;
	return !v->given || (v->f >= 0 && v->f <= 100) || err_set(e, ERR_USAGE, "--fail-under takes 0 to 100, not '%s'", v->text);
}

bool cli_criterion(const struct cli_args *args, int *criterion, struct err *e)
{
	const char *name = cli_text(args, "criterion", NULL);

	for (int c = 0; name && c < STORE_CRITERIA; c++)
		if (!strcmp(name, store_criterion_name(c))) {
			*criterion = c;
			return true;
		}
	return !name || err_set(e, ERR_USAGE, "--criterion takes label, topk or numeric, not '%s'", name);
}

bool cli_criteria(const struct cli_args *args, unsigned *out, struct err *e)
{
	const struct cli_value *v = cli_get(args, "criterion");
	unsigned bit;

	*out = 0;
	for (size_t i = 0; i < v->n; i++) {
		if (!store_criterion_parse(v->list[i], &bit))
			return err_set(e, ERR_USAGE, "'%s' is not a criterion; there are label, topk and numeric", v->list[i]);
		*out |= bit;
	}
	return true;
}

char *cli_criteria_text(struct arena *a, unsigned criteria)
{
	char *text = arena_strdup(a, "");

	for (int c = 0; c < STORE_CRITERIA; c++)
		if (criteria >> c & 1)
			text = arena_printf(a, "%s%s%s", text, *text ? ", " : "", store_criterion_name(c));
	return text;
}

const char *cli_shown(struct arena *a, const char *name)
{
	char *clean = arena_strdup(a, name ? name : "");

	text_clean(clean);
	return clean;
}

bool cli_colour(int fd)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fd) && !(no && *no) && term && *term && strcmp(term, "dumb");
}
