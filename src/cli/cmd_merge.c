/* cmd_merge.c: stores of shards as one */
#include "cli/cli.h"
#include "report/report.h"

static const struct cli_option options[] = {{"out", CLI_TEXT, "STORE", "the new store: required"}, CLI_OPT_QUIET, CLI_OPT_END};

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	const char *out = cli_text(args, "out", NULL);
	struct store *s;
	bool ok;

	(void)status;
	if (!out)
		return err_set(e, ERR_USAGE, "say where to: --out STORE");
	if (!store_merge(args->positional, args->npositional, out, e))
		return false;
	if (cli_flag(args, "quiet"))
		return true;
	if (!store_open(out, STORE_READ, &s, e))
		return false;
	ok = report_write(s, REPORT_TABLE, NULL, "-", e);
	store_close(s);
	return ok;
}

const struct cli_command cmd_merge = {
        .name = "merge",
        .summary = "stores of shards, or of other devices, as one",
        .usage = "STORE...",
        .description = "Makes a new store of stores that are parts of one campaign: the same model, images and configuration but for devices and mutants, as "
                       "'mutatenn run --shard K/N' makes them on several machines. What two stores say differently is an error that names it.",
        .options = options,
        .examples = "  mutatenn merge out.db --out merged.db\n  mutatenn merge monday.db tuesday.db --out both.db\n",
        .min_positional = 1,
        .run = run,
};
