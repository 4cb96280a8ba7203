/* cmd_reproduce.c: a mutant or a difference of devices as a program for a bug report */
#include <stdio.h>

#include "base/arena.h"
#include "base/log.h"
#include "campaign/campaign.h"
#include "cli/cli.h"

static const struct cli_option options[] = {
        {"out", CLI_TEXT, "DIR", "the folder to write, a new one: required"},
        {"device", CLI_TEXT, "NAME", "device of the campaign (default: host-gcc)"},
        {"against", CLI_TEXT, "NAME", "another device of the campaign: the same program on both"},
        {"image", CLI_TEXT, "NAME", "of the campaign (default: the first that shows the verdict)"},
        {"whole", CLI_FLAG, NULL, "the whole program, not only the launch whose result differs first"},
        {"model", CLI_TEXT, "FILE", "where the model is now (default: where it was)"},
        CLI_OPT_DEFINITIONS, CLI_OPT_QUIET, CLI_OPT_END};

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct camp_repro_options o = {.mutant = args->positional[1], .device = cli_text(args, "device", "host-gcc"),
	                               .against = cli_text(args, "against", NULL), .image = cli_text(args, "image", NULL),
	                               .model = cli_text(args, "model", NULL), .dir = cli_text(args, "out", NULL), .whole = cli_flag(args, "whole")};
	const char *file = cli_text(args, "devices-file", NULL);
	struct config_campaign c;
	struct camp_repro r;
	struct store *s;
	bool ok;

	(void)status;
	if (cli_flag(args, "quiet"))
		log_set_level(LOG_ERROR);
	if (!o.dir)
		return err_set(e, ERR_USAGE, "say where to: --out DIR");
	config_campaign_default(&c);
	if (file && !config_devices_read(args->a, file, &c.definitions, &c.ndefinitions, e))
		return false;
	o.config = &c;
	if (!store_open(args->positional[0], STORE_READ, &s, e))
		return false;
	ok = camp_reproduce(args->a, s, &o, &r, e);
	if (ok) {
		printf("%s%s on image '%s'%s%s, in '%s': ./build.sh && ./reproduce\n", r.launch ? "launch " : "the whole program", r.launch ? r.launch : "",
		       cli_shown(args->a, r.image), r.ended ? ", ended: " : "", r.ended ? r.ended : "", o.dir);
		if (!r.as_stored)
			log_warn("it does not give what the campaign saw: the device or its compiler has changed since");
	}
	store_close(s);
	return ok;
}

const struct cli_command cmd_reproduce = {
        .name = "reproduce",
        .summary = "a mutant as a program that stands alone, for a bug report",
        .usage = "STORE MUTANT",
        .description = "Runs a mutant of a campaign once more and writes a folder that shows what it does without this program: the kernels, original and "
                       "mutant, their inputs, what came out, and a small host program with its build line. Without --whole it holds the one launch whose "
                       "result differs first.\n\nWith --against the same mutant, or `original`, is compared on two devices: the first launch that "
                       "gives other bits from the same inputs.",
        .options = options,
        .examples = "  mutatenn reproduce out.db 'input.flip/input/0/horizontal' --out flipped\n"
                    "  mutatenn reproduce out.db original --device board --against host-gcc \\\n"
                    "    --devices-file boards.yaml --out differs\n",
        .min_positional = 2,
        .max_positional = 2,
        .run = run,
};
