/* cmd_report.c: what a store says */
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "report/report.h"

static const struct cli_option options[] = {
        {"json", CLI_TEXT, "FILE", "write JSON; - is standard output"},
        {"csv", CLI_TEXT, "FILE", "write CSV, a row per mutant and device; - is standard output"},
        {"html", CLI_TEXT, "FILE", "write a page for a browser; - is standard output"},
        {"images", CLI_FLAG, NULL, "JSON with every image's labels and metrics"},
        {"all", CLI_FLAG, NULL, "table with a line for every mutant"},
        CLI_OPT_END};

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct report_options o = {.images = cli_flag(args, "images"), .all_mutants = cli_flag(args, "all")};
	const char *json = cli_text(args, "json", NULL), *csv = cli_text(args, "csv", NULL), *html = cli_text(args, "html", NULL);
	struct store *s;
	bool ok = true;

	(void)status;
	if (!store_open(args->positional[0], STORE_READ, &s, e))
		return false;
	if (json)
		ok = report_write(s, REPORT_JSON, &o, json, e);
	if (ok && csv)
		ok = report_write(s, REPORT_CSV, &o, csv, e);
	if (ok && html)
		ok = report_html(s, html, e);
	if (ok && !json && !csv && !html)
		ok = report_write(s, REPORT_TABLE, &o, "-", e);
	store_close(s);
	return ok;
}

const struct cli_command cmd_report = {
        .name = "report",
        .summary = "what a campaign found: table, page, JSON, CSV",
        .usage = "STORE",
        .description = "Reads a store, also while a campaign writes it. Every mutant is there: those that crashed, hung, had no site or did not run "
                       "are rows like the others. Rates carry 95 % Wilson intervals.",
        .options = options,
        .examples = "  mutatenn report out.db\n  mutatenn report out.db --html report.html\n  mutatenn report out.db --json report.json --csv report.csv\n",
        .min_positional = 1,
        .max_positional = 1,
        .run = run,
};
