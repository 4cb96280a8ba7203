/* cmd_check.c: an acceptance set on a device: pass or fail in one line */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"

static const struct cli_option options[] = {
        {"model", CLI_TEXT, "FILE", "where the model is now (default: where it was)"},
        CLI_OPT_DEVICE, CLI_OPT_DEFINITIONS, CLI_OPT_THREADS,
        {"criterion", CLI_LIST, "NAME", "judge by label, topk or numeric; may be repeated (default: what the set was selected by)"},
        {"tolerance", CLI_NUMBER, "X", "largest difference of a score, in place of the set's; 0: every bit counts"},
        {"junit", CLI_TEXT, "FILE", "write JUnit XML too, a test for each image; - is standard output"},
        CLI_OPT_JSON, CLI_OPT_QUIET, CLI_OPT_END};

static char *describe(const struct cli_args *args, const struct camp_check *k, const struct camp_check_image *im)
{
	const struct store_answer *x = &im->result.answer;

	if (!x->k)
		return arena_strdup(args->a, outcome_name(im->result.outcome));
	if (im->result.outcome == OUTCOME_NAN)
		return arena_printf(args->a, "%s: scores are no numbers; class %d (%.1f %%) is expected", outcome_name(im->result.outcome), im->expected->label[0],
		                    (double)im->expected->probability[0] * 100);
	if (x->label[0] != im->expected->label[0])
		return arena_printf(args->a, "%s: class %d (%.1f %%) where %d (%.1f %%) is expected", outcome_name(im->result.outcome), x->label[0],
		                    (double)x->probability[0] * 100, im->expected->label[0], (double)im->expected->probability[0] * 100);
	return arena_printf(args->a, "%s: a score differs by %.3g, tolerance %.3g; first class %d as expected", outcome_name(im->result.outcome),
	                    im->result.max_abs, im->tolerance, x->label[0]);
}

static void print_text(const struct cli_args *args, const struct camp_check *k)
{
	size_t n = k->set.nimages;

	printf("%s: '%s' gives what is expected on %zu of %zu images (%s)", k->nfailed ? "FAIL" : "PASS", k->device, n - k->nfailed, n,
	       cli_criteria_text(args->a, k->criteria));
	if (k->ndrifted)
		printf("; %zu differ%s within tolerance, by %.3g at most", k->ndrifted, k->ndrifted == 1 ? "s" : "", k->worst);
	printf("%s%s\n", k->ended ? "; ended: " : "", k->ended ? k->ended : "");
	for (size_t i = 0; i < n; i++)
		if (!k->image[i].pass)
			printf("  %s  %s\n", cli_shown(args->a, k->image[i].image->name), describe(args, k, &k->image[i]));
}

static json_t *top_json(int k, const int32_t *label, const float *probability)
{
	json_t *list = json_array();

	for (int i = 0; i < k; i++)
		json_array_append_new(list, json_pack("{s:i,s:o}", "index", label[i], "probability", cli_json_number(probability[i])));
	return list;
}

static bool print_json(const struct cli_args *args, const struct camp_check *k, struct err *e)
{
	json_t *images = json_array();

	for (size_t i = 0; i < k->set.nimages; i++) {
		const struct camp_check_image *im = &k->image[i];
		const struct store_answer *x = &im->result.answer;

		json_array_append_new(images, json_pack("{s:o,s:b,s:s,s:o,s:o,s:o,s:o}", "image", cli_json_text(im->image->name), "pass", (int)im->pass,
		                                        "outcome", outcome_name(im->result.outcome), "max_abs", x->k ? cli_json_number(im->result.max_abs) : json_null(),
		                                        "tolerance", cli_json_number(im->tolerance), "top", top_json(x->k, x->label, x->probability), "expected",
		                                        top_json(im->expected->k, im->expected->label, im->expected->probability)));
	}
	return cli_print_json(json_pack("{s:b,s:o,s:o,s:b,s:o,s:o,s:o,s:i,s:o,s:o}", "pass", !k->nfailed, "device", cli_json_text(k->device), "against",
	                                cli_json_text(k->against->name), "same_identity", (int)k->same_identity, "identity", cli_json_text(k->identity),
	                                "expected_identity", cli_json_text(k->against->identity), "criteria", cli_json_criteria(k->criteria), "failed", (int)k->nfailed, "ended",
	                                cli_json_text(k->ended), "images", images), e);
}

static bool write_junit(const struct cli_args *args, const struct camp_check *k, struct err *e)
{
	const char *path = cli_text(args, "junit", NULL);
	struct str t = {0};
	bool ok;

	if (!path)
		return true;
	str_add(&t, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"");
	str_add_xml(&t, args->positional[0]);
	str_addf(&t, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\" skipped=\"0\">\n", k->set.nimages, k->nfailed);
	for (size_t i = 0; i < k->set.nimages; i++) {
		str_add(&t, "<testcase classname=\"");
		str_add_xml(&t, k->device);
		str_add(&t, "\" name=\"");
		str_add_xml(&t, k->image[i].image->name);
		str_addf(&t, "\" time=\"%.6f\"", k->image[i].result.time_s);
		if (k->image[i].pass) {
			str_add(&t, "/>\n");
			continue;
		}
		str_add(&t, ">\n<failure message=\"");
		str_add_xml(&t, describe(args, k, &k->image[i]));
		str_add(&t, "\"/>\n</testcase>\n");
	}
	str_add(&t, "</testsuite>\n</testsuites>\n");
	ok = file_write(path, t.s, t.n, e);
	str_free(&t);
	return ok;
}

static bool show(const struct cli_args *args, const struct camp_check *k, struct err *e)
{
	if (!k->same_identity)
		log_info("device '%s' is not what was recorded of '%s': now '%s', then '%s'; scores may differ as long as no order changes", k->device,
		         k->against->name, k->identity, k->against->identity);
	if (!write_junit(args, k, e))
		return false;
	if (cli_flag(args, "json"))
		return print_json(args, k, e);
	if (strcmp(cli_text(args, "junit", ""), "-"))
		print_text(args, k);
	return true;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct camp_check_options o = {.model = cli_text(args, "model", NULL), .tolerance = -1};
	const char *dir = args->positional[0];
	struct camp_check k;
	struct camp_model *model;
	struct camp_input *input;
	struct config_campaign c;
	struct camp_target target;
	struct pool *pool;
	bool ok;

	if (cli_flag(args, "quiet"))
		log_set_level(LOG_ERROR);
	if (cli_get(args, "tolerance")->given)
		o.tolerance = cli_get(args, "tolerance")->f;
	if (cli_get(args, "tolerance")->given && !(o.tolerance >= 0))
		return err_set(e, ERR_USAGE, "--tolerance takes 0 or more");
	if (cli_flag(args, "json") && !strcmp(cli_text(args, "junit", ""), "-"))
		return err_set(e, ERR_USAGE, "--json and --junit cannot both be written to standard output");
	if (!cli_spares(args, "junit", file_join(args->a, dir, "manifest.json"), e))
		return false;
	if (!cli_criteria(args, &o.criteria, e) || !cli_devices(args, &c, e))
		return false;
	if (c.ndevices != 1)
		return err_set(e, ERR_USAGE, "check runs on one device at a time");
	if (!camp_check_load(args->a, dir, &o, &k, &model, &input, e) || !cli_pool(args, &c, &pool, &target, e))
		return false;
	ok = camp_check_run(args->a, pool, c.devices[0], &target, model, input, dir, &o, &k, e) && show(args, &k, e);
	pool_close(pool);
	if (ok && k.nfailed)
		*status = 3;
	return ok;
}

const struct cli_command cmd_check = {
        .name = "check",
        .summary = "run an acceptance set on a device: pass or fail",
        .usage = "SET",
        .description = "Runs the original on the images of a set that 'mutatenn select' wrote and compares with what is expected, by the set's criteria. The "
                       "device that was recorded may differ by its own noise; another one, also the same after an update, may change scores as long "
                       "as the order of the best classes cannot change by it (--tolerance says otherwise). Every kernel is built anew: one in the cache would "
                       "be the old compiler's.\n\n"
                       "Exit status: 0 pass, 3 fail, 1 when it cannot be run (no such device, another model, a changed image), 2 misuse.",
        .options = options,
        .examples = "  mutatenn check acceptance --device host-gcc\n  mutatenn check acceptance --device host-clang --tolerance 0 --json\n"
                    "  mutatenn check acceptance --junit check.xml --quiet\n",
        .min_positional = 1,
        .max_positional = 1,
        .builds_anew = true,
        .run = run,
};
