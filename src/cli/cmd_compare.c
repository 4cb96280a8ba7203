/* cmd_compare.c: device against device, mutant against original */
#include "cli/cli.h"
#include "report/report.h"

static const struct cli_option options[] = {CLI_OPT_JSON, {"out", CLI_TEXT, "FILE", "write to FILE instead of standard output"}, CLI_OPT_END};

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	(void)status;
	for (size_t i = 0; i < args->npositional; i++)
		if (!cli_spares(args, "out", args->positional[i], e))
			return false;
	return report_compare_paths(args->positional, args->npositional, cli_flag(args, "json") ? REPORT_JSON : REPORT_TABLE,
	                            cli_text(args, "out", "-"), e);
}

const struct cli_command cmd_compare = {
        .name = "compare",
        .summary = "mutant against original, device against device",
        .usage = "STORE...",
        .description = "For every mutant: how many images change against the original on each device, and how many differ between devices; for the "
                       "original too, so that a plain difference of two devices is not blamed on a mutant. Also reads a result folder of MutateNN.",
        .options = options,
        .examples = "  mutatenn compare out.db\n  mutatenn compare monday.db tuesday.db --json\n  mutatenn compare results/simple_run\n",
        .min_positional = 1,
        .run = run,
};
