/* cmd_suppress.c: mutants that do not count, each with a reason */
#include <stdio.h>

#include "base/arena.h"
#include "cli/cli.h"
#include "cli/cli_json.h"
#include "store/store.h"

static const struct cli_option options[] = {
        {"reason", CLI_TEXT, "TEXT", "why these mutants do not count: required"},
        {"remove", CLI_FLAG, NULL, "they count again"},
        CLI_OPT_JSON, CLI_OPT_END};

static bool list(const struct cli_args *args, struct store *s, struct err *e)
{
	struct store_iter *it = store_suppressions(s);
	struct store_suppression x;
	json_t *rows = json_array();
	size_t n = 0;
	bool ok;

	for (; store_next_suppression(it, &x); n++) {
		if (!cli_flag(args, "json"))
			printf("%s: %s\n  %lld mutant%s%s\n", x.glob, x.reason, (long long)x.mutants, x.mutants == 1 ? "" : "s",
			       x.mutants ? "" : ": it matches nothing");
		json_array_append_new(rows, json_pack("{s:o,s:o,s:o,s:I}", "glob", cli_json_text(x.glob), "reason", cli_json_text(x.reason), "source",
		                                      cli_json_text(x.source), "mutants", (json_int_t)x.mutants));
	}
	ok = store_iter_end(it, e);
	if (ok && cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:o}", "suppressions", rows), e);
	json_decref(rows);
	if (ok && !n)
		printf("No mutant is suppressed.\n");
	return ok;
}

static bool change(const struct cli_args *args, struct store *s, struct err *e)
{
	const char *glob = args->positional[1];
	bool found = true;

	if (!cli_flag(args, "remove"))
		return store_suppress(s, glob, cli_text(args, "reason", ""), "command", e);
	return store_unsuppress(s, glob, &found, e) &&
	       (found || err_set(e, ERR_USAGE, "store '%s' has no suppression '%s'; 'mutatenn suppress %s' lists them", store_path(s), glob, store_path(s)));
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	bool changes = args->npositional > 1;
	struct store *s;
	bool ok;

	(void)status;
	if (!changes && (cli_flag(args, "remove") || cli_get(args, "reason")->given))
		return err_set(e, ERR_USAGE, "say which mutants: usage: mutatenn suppress STORE GLOB --reason TEXT");
	if (changes && cli_flag(args, "remove") == cli_get(args, "reason")->given)
		return err_set(e, ERR_USAGE, "give either --reason TEXT or --remove");
	if (!store_open(args->positional[0], STORE_READ, &s, e)) /* for writing it would be made */
		return false;
	if (changes) {
		store_close(s);
		if (!store_open(args->positional[0], STORE_WRITE, &s, e))
			return false;
	}
	ok = (!changes || change(args, s, e)) && list(args, s, e);
	store_close(s);
	return ok;
}

const struct cli_command cmd_suppress = {
        .name = "suppress",
        .summary = "mutants that do not count, each with the reason",
        .usage = "STORE [GLOB]",
        .description = "Mutants whose id matches GLOB (* matches everything, also '/') keep their results and are shown with the reason in every report, "
                       "but are in no rate, no threshold and no acceptance set. Without GLOB it lists what is suppressed, and what matches nothing any "
                       "more. `suppress:` in a campaign file does the same for every run.",
        .options = options,
        .examples = "  mutatenn suppress out.db 'loop.cond.*/conv1/*' --reason 'proved elsewhere'\n"
                    "  mutatenn suppress out.db\n  mutatenn suppress out.db 'loop.cond.*/conv1/*' --remove\n",
        .min_positional = 1,
        .max_positional = 2,
        .run = run,
};
