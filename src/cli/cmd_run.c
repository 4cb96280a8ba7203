/* cmd_run.c: a campaign */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_progress.h"
#include "cli/cli_stop.h"
#include "cli/cli_times.h"
#include "report/report.h"

static const struct cli_option options[] = {
        {"model", CLI_TEXT, "FILE", "the ONNX model (without a campaign file)"},
        {"images", CLI_TEXT, "PATH", "a folder of pictures, a picture, or a .npy"},
        {"labels", CLI_TEXT, "FILE", "CSV of true classes (default: labels.csv beside the pictures)"},
        {"mutations", CLI_LIST, "WHAT", "presets or operator globs (default: mutatenn-paper)"},
        {"sites", CLI_TEXT, "WHICH", "each, all, 3, 1-5, 'sample 50' or 'sample 2%' (a kill rate to within 2 points), for all of --mutations"},
        {"store", CLI_TEXT, "FILE", "where the results go (default: the campaign file's `store`, else CAMPAIGN.db or MODEL.db)"},
        {"mutant", CLI_TEXT, "ID", "run this mutant alone"},
        {"shard", CLI_TEXT, "K/N", "run the K-th of N parts of the mutants; 'mutatenn merge' makes one store of N"},
        {"plan", CLI_FLAG, NULL, "print the mutants that would run, what that takes in time and disk, and stop"},
        {"no-reuse", CLI_FLAG, NULL, "compile and run every mutant's whole program, nothing of the original or of others reused, what is equivalent not left out: slow, for checking"},
        {"fill", CLI_TEXT, "WHAT", "what mutants find where nobody wrote: nan (default), zero, random(7), stale"},
        {"sanitize", CLI_FLAG, NULL, "check in mutated kernels that no access leaves its buffer and nothing is read before it is written"},
        {"memory", CLI_TEXT, "SIZE", "for the original's tensors, in all runners together: 512M, 8G (default: half of this machine's, 4G for each runner at most); with less, images are done in batches"},
        {"max-time", CLI_TEXT, "TIME", "stop cleanly after so long: 90s, 45m, 2h, 1d; exit status 1 when something is left, and the same command goes on from there"},
        CLI_OPT_FAIL_UNDER, CLI_OPT_CRITERION,
        CLI_OPT_DEVICE, CLI_OPT_DEFINITIONS, CLI_OPT_LEVEL, CLI_OPT_DISABLE, CLI_OPT_ENABLE, CLI_OPT_BATCH,
        {"threads", CLI_INT, "N", "threads per run (default: 1 on this machine's processor, with a runner for each core; else number of cores)"}, CLI_OPT_PREPROCESS, CLI_OPT_OUTPUT,
        CLI_OPT_SEED, {"json", CLI_FLAG, NULL, "print what was done and where the time went as JSON, in place of the report"}, CLI_OPT_QUIET, {"progress", CLI_TEXT, "HOW", "auto, screen, lines or none (default: a screen on a terminal, lines on a dumb one)"}, {"keys", CLI_FLAG, NULL, "print what may stand in a campaign file, as Markdown, and stop"}, CLI_OPT_END};

static bool set_mutations(const struct cli_args *args, struct config_campaign *c, struct err *e)
{
	static const char *const paper[] = {"mutatenn-paper"};
	const struct cli_value *v = cli_get(args, "mutations");
	const char *const *name = v->n ? v->list : paper, *sites = cli_text(args, "sites", NULL);

	if (!v->n && c->nmutations && !sites)
		return true;
	c->nmutations = v->n ? v->n : 1;
	c->mutations = ARENA_ARRAY(args->a, struct config_mutation, c->nmutations);
	for (size_t i = 0; i < c->nmutations; i++) {
		struct config_mutation *m = &c->mutations[i];

		if (mut_preset_find(name[i]))
			m->preset = arena_strdup(args->a, name[i]);
		else
			m->op = arena_strdup(args->a, name[i]);
		if (sites && !config_sites_parse(sites, m, e))
			return false;
		m->sites_text = arena_strdup(args->a, sites);
	}
	return true;
}

static void override_text(const struct cli_args *args, const char *option, char **field)
{
	if (cli_get(args, option)->given)
		*field = arena_strdup(args->a, cli_text(args, option, NULL));
}

static void override_list(const struct cli_args *args, const char *option, char ***field, size_t *n)
{
	const struct cli_value *v = cli_get(args, option);

	if (!v->n)
		return;
	*field = ARENA_ARRAY(args->a, char *, v->n);
	for (size_t i = 0; i < v->n; i++)
		(*field)[i] = arena_strdup(args->a, v->list[i]);
	*n = v->n;
}

/* What does not fit an int does not fit the limits either, which are checked later. */
static int narrow(int64_t v)
{
	return v < INT_MIN ? INT_MIN : v > INT_MAX ? INT_MAX : (int)v;
}

/* What the command line says wins over the file. */
static bool override(const struct cli_args *args, struct config_campaign *c, struct err *e)
{
	struct config_campaign given;
	bool threshold;
	int criterion = -1;
	double percent;

	override_text(args, "model", &c->model);
	override_text(args, "images", &c->images);
	override_text(args, "labels", &c->labels);
	override_text(args, "preprocess", &c->preprocess);
	override_text(args, "output", &c->output);
	override_text(args, "store", &c->store);
	override_text(args, "fill", &c->fill);
	if (cli_get(args, "memory")->given && (!config_bytes_parse(cli_text(args, "memory", ""), &c->memory, e) || !c->memory))
		return err_set(e, ERR_USAGE, "--memory takes a size: 512M, 8G; not '%s'", cli_text(args, "memory", ""));
	c->opt_level = narrow(cli_int(args, "opt-level", c->opt_level));
	c->batch = narrow(cli_int(args, "batch", c->batch));
	c->sanitize = c->sanitize || cli_flag(args, "sanitize");
	c->threads = narrow(cli_int(args, "threads", c->threads));
	c->seed = (uint64_t)cli_int(args, "seed", (int64_t)c->seed);
	if (!cli_fail_under(args, &threshold, &percent, e) || !cli_criterion(args, &criterion, e))
		return false;
	if (threshold)
		c->fail_under = percent;
	if (criterion >= 0)
		c->fail_under_criterion = arena_strdup(args->a, store_criterion_name(criterion));
	if (!cli_devices(args, &given, e))
		return false;
	if (cli_get(args, "device")->n || !c->ndevices) {
		c->devices = given.devices;
		c->ndevices = given.ndevices;
	}
	if (given.ndefinitions) {
		c->definitions = given.definitions;
		c->ndefinitions = given.ndefinitions;
	}
	override_list(args, "disable-pass", &c->disable_pass, &c->ndisable_pass);
	override_list(args, "enable-pass", &c->enable_pass, &c->nenable_pass);
	return set_mutations(args, c, e);
}

/* What newcomers hand over instead. */
static bool read_campaign(struct arena *a, const char *file, struct config_campaign *c, struct err *e)
{
	const char *dot = strrchr(file, '.');

	if (dot && !strcmp(dot, ".onnx"))
		return err_set(e, ERR_USAGE, "'%s' is a model, not a campaign file: give it with --model, and pictures with --images", file);
	if (!file_exists(file))
		return err_set(e, ERR_IO, "there is no campaign file '%s'; 'mutatenn init %s' writes one", file, file);
	if (config_campaign_read(a, file, c, e))
		return true;
	if (e->code == ERR_PARSE) /* it can be read and is not right: the user's mistake, as a wrong option is */
		e->code = ERR_USAGE;
	return false;
}

static bool configure(const struct cli_args *args, struct config_campaign *c, const char **store, struct err *e)
{
	config_campaign_default(c);
	if (args->npositional && !read_campaign(args->a, args->positional[0], c, e))
		return false;
	if (!override(args, c, e))
		return false;
	if (!c->model || !c->images)
		return err_set(e, ERR_USAGE, "give a campaign file ('mutatenn init' writes one), or --model and --images; see 'mutatenn run --help'");
	if (!config_campaign_check(c, e))
		return false;
	if (cli_get(args, "store")->given)
		*store = cli_text(args, "store", NULL);
	else if (c->store)
		*store = config_path(args->a, c, c->store);
	else
		*store = arena_printf(args->a, "%s.db", file_stem(args->a, args->npositional ? args->positional[0] : c->model));
	return true;
}

static bool print_report(const char *store, const struct config_campaign *c, struct err *e)
{
	struct report_options o = {.colour = cli_colour(STDOUT_FILENO)};
	struct store *s;
	bool ok;

	if (!store_open(store, STORE_READ, &s, e))
		return false;
	for (int k = 0; c->fail_under_criterion && k < STORE_CRITERIA; k++)
		if (!strcmp(c->fail_under_criterion, store_criterion_name(k)))
			o.criterion = k;
	ok = report_write(s, REPORT_TABLE, &o, "-", e);
	store_close(s);
	return ok;
}

/* What is printed at the end. */
static bool print_end(const struct cli_args *args, const char *store, const struct config_campaign *c, const struct camp_summary *sum, struct err *e)
{
	return cli_flag(args, "json") ? cli_print_summary(sum, store, e) : print_report(store, c, e);
}

/* "40 s", "12 min", "3.5 h" */
static const char *time_text(struct arena *a, double s)
{
	if (s < 1)
		return "1 s";
	return s < 120 ? arena_printf(a, "%.0f s", s) : s < 7200 ? arena_printf(a, "%.0f min", s / 60) : arena_printf(a, "%.1f h", s / 3600);
}

static void print_cost(struct arena *a, const struct camp_plan *p, const char *store)
{
	const struct camp_cost *x = &p->cost;

	if (x->done)
		printf("done already: %llu of %llu jobs\n", (unsigned long long)x->done, (unsigned long long)x->jobs);
	printf("time: about %s to %s, as\n", time_text(a, x->low_s), time_text(a, x->high_s));
	for (size_t d = 0; d < p->ndevices; d++) {
		const struct camp_device_cost *c = &x->device[d];

		if (!c->known)
			printf("  %s: unknown\n", c->name);
		else if (c->history)
			printf("  %s: %.3g s to build and %.3g s to run a mutant, the mean of %llu in '%s'\n", c->name, c->build_s, c->image_s,
			       (unsigned long long)c->of, store);
		else
			printf("  %s: %.3g s to build and %.3g ms to run a mutant on an image, the mean of %llu tried just now; the original %.3g ms%s\n", c->name,
			       c->build_s, c->image_s * 1e3, (unsigned long long)c->of, c->original_s * 1e3,
			       c->cached ? "; their kernels were in the cache" : "");
	}
	printf("disk: at most %.1f MB in '%s'\n", (double)x->bytes / 1e6, store);
}

static bool print_plan(const struct cli_args *args, const struct config_campaign *c, struct camp_run_options *o, const char *store, struct err *e)
{
	struct camp_plan p;

	o->estimate = true;
	o->history = store;
	if (!camp_list(args->a, c, o, &p, e))
		return false;
	for (size_t i = 0; i < p.nmutants; i++)
		printf("%8llu  %s\n", (unsigned long long)p.mutant[i].sites, p.mutant[i].id);
	printf("\n%zu mutant%s (%zu without a site), %zu device%s, %zu image%s: %zu jobs\n", p.nmutants, p.nmutants == 1 ? "" : "s", p.without_site,
	       p.ndevices, p.ndevices == 1 ? "" : "s", p.nimages, p.nimages == 1 ? "" : "s", (p.nmutants - p.without_site) * p.ndevices);
	print_cost(args->a, &p, store);
	return true;
}

/* "90s", "45m", "1.5h", "2d"; without a unit seconds. */
static bool duration(const char *text, double *seconds, struct err *e)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {0, 1}};
	char *end;

	*seconds = strtod(text, &end);
	for (size_t i = 0; end != text && i < sizeof units / sizeof *units; i++)
		if (*end == units[i].unit && (!*end || !end[1])) {
			*seconds *= units[i].seconds;
			if (*seconds > 0 && *seconds < 1e9)
				return true;
		}
	return err_set(e, ERR_USAGE, "--max-time: '%s' is no time; give it as 90s, 45m, 2h or 1d", text);
}

/* "2/5" */
static bool shard(const char *text, struct camp_run_options *o, struct err *e)
{
	unsigned k, n;
	char rest;

	if (!text)
		return true;
	if (sscanf(text, "%u/%u%c", &k, &n, &rest) != 2 || !n || k < 1 || k > n || n > 1000000)
		return err_set(e, ERR_USAGE, "--shard takes K/N, from 1/N to N/N, not '%s'", text);
	o->shard = k;
	o->shards = n;
	return true;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct camp_run_options o = {.only_mutant = cli_text(args, "mutant", NULL), .no_reuse = cli_flag(args, "no-reuse")};
	struct camp_hooks hooks = {0};
	struct camp_summary sum;
	struct config_campaign c;
	const char *store = NULL;
	bool ok;

	if (cli_flag(args, "keys"))
		return cli_print_keys(args->a, e);
	if (cli_flag(args, "json") && cli_flag(args, "plan"))
		return err_set(e, ERR_USAGE, "--plan prints text, there is no --json of it; 'mutatenn mutants --json' lists mutants for scripts");
	if (cli_flag(args, "quiet"))
		log_set_level(LOG_ERROR);
	if (cli_get(args, "max-time")->given && !duration(cli_text(args, "max-time", ""), &o.max_time_s, e))
		return false;
	if (!shard(cli_text(args, "shard", NULL), &o, e) || !configure(args, &c, &store, e))
		return false;
	if (cli_flag(args, "plan"))
		return print_plan(args, &c, &o, store, e);
	if (!cli_progress_start(&hooks, cli_text(args, "progress", NULL), cli_flag(args, "quiet"), e))
		return false;
	cli_stop_orderly(arena_printf(args->a, "\nmutatenn: stopped at once; the same command goes on from there ('%s')\n", store));
	if (o.max_time_s > 0)
		cli_stop_after(o.max_time_s, arena_printf(args->a, "\nmutatenn: the time is up; the same command goes on from there ('%s')\n", store));
	ok = camp_run(&c, store, &o, &hooks, &sum, e);
	cli_stop_done();
	cli_progress_end();
	if (!ok)
		return false;
	if (sum.out_of_time) {
		log_warn("the time is up: %llu of %llu are done; the same command goes on from there ('%s')", (unsigned long long)sum.done,
		         (unsigned long long)sum.jobs, store);
		*status = 1; /* not complete, so nothing is said of a threshold */
		return print_end(args, store, &c, &sum, e);
	}
	if (sum.stopped)
		return err_set(e, ERR_CANCELLED, "stopped after %llu of %llu; the same command goes on from there ('%s')", (unsigned long long)sum.done,
		               (unsigned long long)sum.jobs, store);
	if (!print_end(args, store, &c, &sum, e))
		return false;
	log_info("%llu mutants x devices in %.1f s (%llu were done before); launches run %llu, saved %llu; kernels built %llu, cached %llu; store '%s'",
	         (unsigned long long)sum.jobs, sum.elapsed_s, (unsigned long long)sum.resumed, (unsigned long long)sum.launches_run,
	         (unsigned long long)sum.launches_saved, (unsigned long long)sum.pool.kernels_built, (unsigned long long)sum.pool.kernels_cached, store);
	log_info("where the time went: %s", cli_times_text(args->a, &sum));
	if (sum.pool.blobs_sent + sum.pool.blobs_held)
		log_info("weights and pictures for devices with a blob cache: %llu (%.1f MB) sent, %llu (%.1f MB) found there",
		         (unsigned long long)sum.pool.blobs_sent, (double)sum.pool.blob_bytes_sent / 1e6,
		         (unsigned long long)sum.pool.blobs_held, (double)sum.pool.blob_bytes_held / 1e6);
	if (sum.nlost)
		return err_set(e, ERR_DEVICE, "device '%s'%s was lost, set aside or not there at all: its results are not complete; the same command tries what is missing again ('%s')",
		               sum.lost, sum.nlost > 1 ? arena_printf(args->a, " (and %zu more)", sum.nlost - 1) : "", store);
	if (sum.below) {
		log_warn("%.1f %% killed, under the threshold of %.1f %%", sum.killed_percent, c.fail_under);
		*status = 3;
	}
	return true;
}

const struct cli_command cmd_run = {
        .name = "run",
        .summary = "run a mutation campaign and store its verdicts",
        .usage = "[CAMPAIGN.yaml]",
        .description = "Plants the mutants one at a time, runs original and mutants on every device in worker processes, judges every image and keeps "
                       "the verdicts in a store. Killed at any moment, the same command goes on where it was. Prints the report at the end.\n\n"
                       "Without a campaign file, --model and --images say what to run. What is given here wins over the file.",
        .options = options,
        .examples = "  mutatenn run campaign.yaml --plan\n"
                    "  mutatenn run campaign.yaml\n"
                    "  mutatenn run --model demo/model.onnx --images demo/images \\\n"
                    "    --device host-gcc,host-clang\n"
                    "  mutatenn run --model net.onnx --images photos \\\n"
                    "    --mutations 'loop.*' --sites 'sample 200' --opt-level 3\n",
        .max_positional = 1,
        .run = run,
};
