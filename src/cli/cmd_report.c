/* cmd_report.c: what a store says */
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "report/report.h"

static const struct cli_option options[] = {
        {"json", CLI_TEXT, "FILE", "write JSON; - is standard output"},
        {"csv", CLI_TEXT, "FILE", "write CSV, a row per mutant and device"},
        {"html", CLI_TEXT, "FILE", "write a page for a browser"},
        {"stryker", CLI_TEXT, "FILE", "write mutation-testing-report-schema JSON, for Stryker's viewers"},
        {"sarif", CLI_TEXT, "FILE", "write SARIF 2.1.0, for code hosts: survivors, and mutants that devices disagree on"},
        {"junit", CLI_TEXT, "FILE", "write JUnit XML, for CI: a suite per device, a case per mutant"},
        {"images", CLI_FLAG, NULL, "JSON with every image's labels and metrics"},
        {"all", CLI_FLAG, NULL, "table with a line for every mutant"},
        CLI_OPT_FAIL_UNDER, CLI_OPT_CRITERION, CLI_OPT_END};

#define FORMATS 5

static bool files(const struct cli_args *args, struct report_file *out, size_t *n, struct err *e)
{
	static const struct {
		const char *option;
		enum report_format format;
	} formats[FORMATS] = {{"json", REPORT_JSON}, {"csv", REPORT_CSV}, {"stryker", REPORT_STRYKER}, {"sarif", REPORT_SARIF}, {"junit", REPORT_JUNIT}};

	const char *html = cli_text(args, "html", NULL);

	*n = 0;
	for (size_t i = 0; i < FORMATS; i++) {
		const char *path = cli_text(args, formats[i].option, NULL);

		if (!cli_spares(args, formats[i].option, args->positional[0], e))
			return false;
		if (!path)
			continue;
		for (size_t k = 0; k < *n; k++)
			if (file_same(args->a, out[k].out, path))
				return err_set(e, ERR_USAGE, "two reports cannot both be written to '%s'", path);
		out[(*n)++] = (struct report_file){formats[i].format, path};
	}
	if (!cli_spares(args, "html", args->positional[0], e))
		return false;
	for (size_t k = 0; html && k < *n; k++)
		if (file_same(args->a, out[k].out, html))
			return err_set(e, ERR_USAGE, "two reports cannot both be written to '%s'", html);
	if (!*n && !html)
		out[(*n)++] = (struct report_file){REPORT_TABLE, "-"};
	return true;
}

static bool check_rate(struct store *s, const struct report_options *o, int *status, struct err *e)
{
	int64_t counted;
	double percent;

	if (!o->threshold)
		return true;
	if (!report_kill_rate(s, o->criterion, &percent, &counted, e))
		return false;
	if (percent < o->fail_under) {
		log_warn("%.1f %% killed by %s, under the threshold of %.1f %%", percent, store_criterion_name(o->criterion), o->fail_under);
		*status = 3;
	}
	return true;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct report_options o = {.images = cli_flag(args, "images"), .all_mutants = cli_flag(args, "all"), .colour = cli_colour(STDOUT_FILENO)};
	struct report_file file[FORMATS];
	struct store *s;
	size_t n;
	bool ok;

	if (!files(args, file, &n, e) || !cli_fail_under(args, &o.threshold, &o.fail_under, e) || !cli_criterion(args, &o.criterion, e) ||
	    !store_open(args->positional[0], STORE_READ, &s, e))
		return false;
	ok = report_write_all(s, file, n, &o, e);
	if (ok && cli_get(args, "html")->given)
		ok = report_html(s, cli_text(args, "html", NULL), e);
	ok = ok && check_rate(s, &o, status, e);
	store_close(s);
	return ok;
}

const struct cli_command cmd_report = {
        .name = "report",
        .summary = "what a campaign found: table, page, JSON, CSV, SARIF, JUnit",
        .usage = "STORE",
        .description = "Reads a store, also while a campaign writes it. Every mutant is there: those that crashed, hung, had no site or did not run "
                       "are rows like the others. Rates carry 95 % Wilson intervals. Each file is written whole or not at all; several may be asked for "
                       "at once, and all show the same moment of a campaign that is running.",
        .options = options,
        .examples = "  mutatenn report out.db\n"
                    "  mutatenn report out.db --html report.html\n"
                    "  mutatenn report out.db --json report.json --csv report.csv\n"
                    "  mutatenn report out.db --stryker mutation.json --sarif out.sarif\n"
                    "  mutatenn report out.db --junit junit.xml --fail-under 80\n",
        .min_positional = 1,
        .max_positional = 1,
        .run = run,
};
