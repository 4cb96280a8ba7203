/* cmd_operators.c: the catalogue of mutation operators, also as the Markdown page of docs/ */
#include <fnmatch.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/near.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_example.h"
#include "cli/cli_json.h"

static const struct cli_option options[] = {
    {"operator", CLI_TEXT, "GLOB", "only these operators"},
    {"markdown", CLI_FLAG, NULL, "as a Markdown document (docs/operators.md is made this way)"},
    CLI_OPT_JSON,
    CLI_OPT_END};

static const char *kind_name(enum mut_kind k)
{
	static const char *const names[] = {"graph", "loop", "input"};

	return names[k];
}

static const char intro[] =
    "# Mutation operators\n\n"
    "Made by `mutatenn operators --markdown` from the operators' own tables.\n\n"
    "An operator plants one kind of fault. Wherever it applies is a *site*, and how it applies a *variant*: a mutant is one "
    "operator at one\n"
    "site, or at all of them, in one variant. `mutatenn mutants MODEL` lists them, `mutatenn show MODEL ID` shows one, a "
    "campaign's\n"
    "[`mutations`](configuration.md#mutations) select them.\n\n"
    "Operators work on the *graph*, which is the network as imported; on *loops*, which is what the compiler made of it, with "
    "every bound, guard\n"
    "and store ([the loop IR](loop-ir.md)); or on the *input*, the way from a picture to a tensor. The first six categories carry "
    "the names of\n"
    "[arXiv 2306.01697](https://arxiv.org/abs/2306.01697). How many sites real models have: [sites.md](sites.md).\n\n"
    "Below each table: what the operators do to one line of an example, before (-) and after (+), in their first variant; `mutatenn operators NAME`\n"
    "shows every variant.\n";

static const char *pick_text(struct arena *a, const struct mut_spec *s)
{
	switch (s->pick) {
	case MUT_ALL: return "all";
	case MUT_SAMPLE: return arena_printf(a, "sample %llu", (unsigned long long)s->count);
	case MUT_RANGE: return arena_printf(a, "%llu-%llu", (unsigned long long)s->first + 1, (unsigned long long)s->last + 1);
	default: return "each";
	}
}

static void print_presets(struct arena *a)
{
	printf("\n## Presets\n\nOperators and variants are patterns as of file names: `*` is any text, `[*]` a star.\n\n");
	for (size_t i = 0; mut_presets[i]; i++) {
		printf("### %s\n\nIt holds %s.\n\n| row | operator | variant | sites |\n|---|---|---|---|\n", mut_presets[i]->name,
		       mut_presets[i]->summary);
		for (size_t k = 0; k < mut_presets[i]->n; k++) {
			const struct mut_spec *s = &mut_presets[i]->spec[k];

			printf("| %s | `%s` | `%s` | %s |\n", s->label ? s->label : arena_printf(a, "%zu", k + 1), s->operator_glob,
			       s->variant_glob ? s->variant_glob : "*", pick_text(a, s));
		}
		fputs(mut_presets[i + 1] ? "\n" : "", stdout);
	}
}

/* One operator on the example: each variant, or the first that has a site there. */
static bool print_examples(struct arena *a, const struct mut_subject *s, const struct mut_op *op, bool markdown, struct err *e)
{
	bool found = false;

	for (unsigned v = 0; op->variant[v] && !(markdown && found); v++) {
		struct str diff = {0};
		bool ok = cli_example_diff(a, s, op, v, &diff, &found, e);

		if (ok && found && markdown)
			printf("\n**`%s`**, `%s`\n\n```diff\n%s```\n", op->name, op->variant[v], str_text(&diff));
		else if (ok && !markdown)
			printf("\n%s\n%s", op->variant[v], found ? str_text(&diff) : "(no site in the example)\n");
		str_free(&diff);
		if (!ok)
			return false;
	}
	return true;
}

static bool print_one(struct arena *a, const char *name, struct err *e)
{
	const struct mut_op *op = mut_find(name);
	struct near near = near_new(name);
	struct mut_subject *s;

	for (size_t i = 0; mut_ops[i]; i++)
		near_try(&near, mut_ops[i]->name);
	if (!op)
		return err_set(e, ERR_USAGE, "no mutation operator is called '%s'%s; 'mutatenn operators' lists them", name, near_text(&near));
	s = cli_example(a, e);
	if (!s)
		return false;
	printf("%s\n%s\nimitates: %s\ncategory: %s; works on: %s\n\nin an example, per variant:\n", op->name, op->summary, op->imitates,
	       mut_category_name(op->category), kind_name(op->kind));
	return print_examples(a, s, op, false, e);
}

static bool print_markdown(struct arena *a, const char *glob, struct err *e)
{
	struct mut_subject *s = cli_example(a, e);

	if (!s)
		return false;
	printf("%s", intro);
	for (int c = 0; c < MUT_CAT_COUNT; c++) {
		printf("\n## %s\n\n| operator | works on | variants | what it does | what real fault it imitates "
		       "|\n|---|---|---|---|---|\n",
		       mut_category_name((enum mut_category)c));
		for (size_t i = 0; mut_ops[i]; i++) {
			const struct mut_op *op = mut_ops[i];

			if ((int)op->category != c || fnmatch(glob, op->name, 0))
				continue;
			printf("| `%s` | %s | ", op->name, kind_name(op->kind));
			for (size_t v = 0; op->variant[v]; v++)
				printf("%s`%s`", v ? " " : "", op->variant[v]);
			printf(" | %s | %s |\n", op->summary, op->imitates);
		}
		for (size_t i = 0; mut_ops[i]; i++)
			if ((int)mut_ops[i]->category == c && !fnmatch(glob, mut_ops[i]->name, 0) && !print_examples(a, s, mut_ops[i], true, e))
				return false;
	}
	print_presets(a);
	return true;
}

static json_t *json_op(const struct mut_op *op)
{
	json_t *variants = json_array();

	for (size_t v = 0; op->variant[v]; v++)
		json_array_append_new(variants, json_string(op->variant[v]));
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o}", "name", op->name, "kind", kind_name(op->kind), "category",
			 mut_category_name(op->category), "summary", op->summary, "imitates", op->imitates, "variants", variants);
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	const char *glob = cli_text(args, "operator", "*");
	json_t *list;

	(void)status;
	if (args->npositional)
		return print_one(args->a, args->positional[0], e);
	if (cli_flag(args, "markdown"))
		return print_markdown(args->a, glob, e);
	list = json_array();
	for (size_t i = 0; mut_ops[i]; i++) {
		if (fnmatch(glob, mut_ops[i]->name, 0))
			continue;
		json_array_append_new(list, json_op(mut_ops[i]));
		if (!cli_flag(args, "json"))
			printf("%-30s %s\n", mut_ops[i]->name, mut_ops[i]->summary);
	}
	if (!json_array_size(list)) {
		json_decref(list);
		return err_set(e, ERR_USAGE, "no operator matches '%s'", glob);
	}
	if (cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:o}", "operators", list), e);
	json_decref(list);
	return true;
}

const struct cli_command cmd_operators = {
    .name = "operators",
    .summary = "the catalogue of mutation operators",
    .usage = "[NAME]",
    .description = "Lists every mutation operator: what it changes and what real fault it stands for. With NAME, what each variant of that operator changes "
		   "in an example, before and after.",
    .max_positional = 1,
    .options = options,
    .examples = "  mutatenn operators\n  mutatenn operators loop.cond.lt-to-le\n  mutatenn operators --operator 'loop.cond.*' --json\n",
    .run = run,
};
