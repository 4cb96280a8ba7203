/* cmd_diff.c: two devices, or mutant and original, tensor by tensor */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "cli/cli.h"
#include "cli/cli_diff.h"
#include "cli/cli_json.h"

static const struct cli_option options[] = {
        CLI_OPT_DEVICE, {"mutant", CLI_TEXT, "ID", "run this mutant on the second device, or on the only one, against the original on the first"},
        {"both", CLI_FLAG, NULL, "with --mutant and two devices: the mutant on both"},
        {"alone", CLI_FLAG, NULL, "also run each kernel of B alone on A's tensors: the error that a layer adds, not the one that reaches it"},
        {"tolerance", CLI_NUMBER, "X", "a layer is bad when its largest difference is more than X of its largest value (default: 1e-4, with f16 0.02, with "
                                       "bf16 0.1); when given, a bad layer makes the exit status 3"},
        {"all", CLI_FLAG, NULL, "list equal tensors too"},
        {"html", CLI_TEXT, "FILE", "write a page with a chart"},
        {"dump", CLI_TEXT, "DIR", "write every tensor of both as .npy, and DIR/index.json"},
        {"schedule", CLI_TEXT, "WHICH", "auto, portable or native: as in a campaign file (default: auto)"},
        CLI_OPT_DEFINITIONS, CLI_OPT_LEVEL, CLI_OPT_DISABLE, CLI_OPT_ENABLE, CLI_OPT_BATCH, CLI_OPT_THREADS, CLI_OPT_PREPROCESS, CLI_OPT_OUTPUT, CLI_OPT_JSON, CLI_OPT_QUIET,
        CLI_OPT_END};

static bool set_schedule(const struct cli_args *args, struct config_campaign *c, struct err *e)
{
	static const char *const names[] = {"auto", "portable", "native"};
	const char *text = cli_text(args, "schedule", "auto");

	for (int i = 0; i < 3; i++)
		if (!strcmp(names[i], text)) {
			c->schedule = (enum config_schedule)i;
			return true;
		}
	return err_set(e, ERR_USAGE, "--schedule takes 'auto', 'portable' or 'native', not '%s'", text);
}

/* Which device each side runs on. One that is named twice is opened once: does it repeat itself? */
static bool choose_sides(const struct cli_args *args, struct config_campaign *c, struct camp_diff_side side[2], struct err *e)
{
	const char *mutant = cli_text(args, "mutant", NULL);

	if (c->ndevices > 2)
		return err_set(e, ERR_USAGE, "diff compares two devices, %zu are named; 'mutatenn compare' compares all of a campaign", c->ndevices);
	if (c->ndevices < 2 && !mutant)
		return err_set(e, ERR_USAGE, "nothing to compare with '%s': name a second --device, or a --mutant", c->devices[0]);
	if (cli_flag(args, "both") && (!mutant || c->ndevices < 2))
		return err_set(e, ERR_USAGE, "--both needs a --mutant and two devices");
	side[0] = (struct camp_diff_side){.device = 0, .mutant = cli_flag(args, "both") ? mutant : NULL};
	side[1] = (struct camp_diff_side){.device = c->ndevices - 1, .mutant = mutant};
	if (c->ndevices == 2 && !strcmp(c->devices[0], c->devices[1])) {
		c->ndevices = 1;
		side[1].device = 0;
	}
	return true;
}

static bool one_input(const struct cli_args *args, const struct camp_model *m, struct camp_input **in, struct err *e)
{
	size_t n;

	if (!camp_inputs(args->a, m, args->positional + 1, 1, NULL, in, &n, e))
		return false;
	if (n != 1)
		return err_set(e, ERR_USAGE, "diff looks at one input, '%s' holds %zu: name one of them, such as '%s'", args->positional[1], n, (*in)->path);
	if (m->assumed_preprocess && !input_is_npy((*in)->path))
		log_warn("'%s' has no side-car and no --preprocess is given: assuming the preset 'torchvision'", m->file);
	return true;
}

static bool tell(const struct cli_args *args, const struct cli_diff *d, struct err *e)
{
	const char *dir = cli_text(args, "dump", NULL), *html = cli_text(args, "html", NULL);

	if ((dir && !cli_diff_dump(args->a, d, dir, e)) || (html && !cli_diff_html(d, html, e)))
		return false;
	if (cli_flag(args, "json"))
		return cli_print_json(cli_diff_json(d, NULL), e);
	cli_diff_print(args->a, d);
	return true;
}

static bool compare(const struct cli_args *args, const struct camp_model *m, const struct config_campaign *c, struct pool *pool, struct camp_diff_side side[2],
                    const struct camp_input *in, struct camp_diff *out, struct err *e)
{
	const struct cli_value *tolerance = cli_get(args, "tolerance");
	struct camp_diff_options o = {.tolerance = tolerance->given ? tolerance->f : -1,
	                              .alone = cli_flag(args, "alone")};
	struct camp_target target[2];
	struct cli_diff d = {.diff = out, .model = m, .input = in->name, .alone = o.alone, .all = cli_flag(args, "all")};

	if (!cli_level(args, &o.level, e) || !camp_targets(pool, c, target, e))
		return false;
	for (int s = 0; s < 2; s++) {
		side[s].target = target[side[s].device];
		d.device[s] = c->devices[side[s].device];
		d.describe[s] = pool_caps(pool, side[s].device)->describe;
		d.mutant[s] = side[s].mutant;
	}
	return camp_diff(args->a, pool, m, side, &o, in, out, e) && tell(args, &d, e);
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	const struct cli_value *tolerance = cli_get(args, "tolerance");
	int64_t level = cli_int(args, "opt-level", 2);
	struct camp_diff_side side[2];
	struct camp_target first;
	struct config_campaign c;
	struct camp_input *in;
	struct camp_model *m;
	struct camp_diff out;
	struct pool *pool;
	bool ok;

	if (cli_flag(args, "quiet"))
		log_set_level(LOG_ERROR);
	if (tolerance->given && !(tolerance->f >= 0))
		return err_set(e, ERR_USAGE, "--tolerance takes 0 or more, not '%s'", tolerance->text);
	if (level < 0 || level > 3)
		return err_set(e, ERR_USAGE, "--opt-level takes 0 to 3, not %lld", (long long)level);
	if (!cli_spares(args, "html", args->positional[0], e) || !cli_spares(args, "html", args->positional[1], e))
		return false;
	if (!cli_devices(args, &c, e) || !set_schedule(args, &c, e) || !choose_sides(args, &c, side, e) || !cli_model(args, args->positional[0], &m, e) ||
	    !one_input(args, m, &in, e) || !cli_pool(args, &c, &pool, &first, e))
		return false;
	ok = compare(args, m, &c, pool, side, in, &out, e);
	pool_close(pool);
	if (ok && tolerance->given && out.first_bad)
		*status = 3;
	return ok;
}

const struct cli_command cmd_diff = {
        .name = "diff",
        .summary = "every layer of two devices, or of mutant and original, side by side",
        .usage = "MODEL INPUT",
        .description = "Runs the model on INPUT, a picture or a .npy tensor, on two devices - or a mutant against the original - and compares every tensor "
                       "that a kernel writes. The kernels are those that a campaign runs: nothing is unfused for looking at it. Names the first tensor that "
                       "differs and the first bad layer, in the order of execution.\n\n"
                       "Of each tensor: the largest difference, absolute and relative to the larger of the two numbers, the squared error over the squared "
                       "values, the most representable numbers between two elements (of the coarser type), how many more NaN and Inf B has. The bar is "
                       "the largest difference over A's largest value, on a logarithmic scale. '!' marks a bad layer, '*' a kernel that the mutation "
                       "changed.\n\n"
                       "An error travels: behind the layer that is wrong all others are. --alone feeds every kernel of B with A's tensors, so "
                       "that each shows only the error that it adds itself.",
        .options = options,
        .examples = "  mutatenn diff demo/model.onnx demo/images/03_triangle.png \\\n"
                    "    --device host-gcc --device host-clang\n"
                    "  mutatenn diff net.onnx cat.jpg --mutant 'loop.cond.lt-to-le/*/all/swap'\n"
                    "  mutatenn diff net.onnx cat.jpg --device host-gcc,board --alone \\\n"
                    "    --devices-file boards.yaml --html layers.html --dump tensors/\n",
        .min_positional = 2,
        .max_positional = 2,
        .run = run,
};
