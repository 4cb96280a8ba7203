/* cmd_init.c: three questions, and a campaign file that explains itself */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "value/value.h"

#define SAMPLE_ERROR 0.05 /* of a rate, either way, at 95 % */

static const struct cli_option options[] = {{"model", CLI_TEXT, "FILE", "the ONNX model"},
                                            {"images", CLI_TEXT, "PATH", "a folder of pictures or .npy tensors"},
                                            {"device", CLI_LIST, "NAME", "device to use; may be repeated (default: asked for on a terminal, else host-gcc and host-clang)"},
                                            CLI_OPT_DEFINITIONS,
                                            {"force", CLI_FLAG, NULL, "write over a file that is there"},
                                            CLI_OPT_QUIET,
                                            CLI_OPT_END};

struct answers {
	const char *file, *model, *images;
	const char **device;
	size_t ndevices;
};

/* ---- the three questions ---- */

static bool on_terminal(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

/* An empty line takes what is offered. */
static bool ask(struct arena *a, const char *question, const char *offer, const char **out, struct err *e)
{
	char line[4096];

	fprintf(stderr, offer ? "%s [%s]: " : "%s: ", question, offer);
	if (!fgets(line, sizeof line, stdin))
		return err_set(e, ERR_CANCELLED, "no answer; nothing was written");
	line[strcspn(line, "\n")] = 0;
	*out = *line ? arena_strdup(a, line) : offer;
	return *out || err_set(e, ERR_USAGE, "no answer; nothing was written");
}

/* Again until it is there: who mistypes the first answer must not be told so after the last. */
static bool ask_path(struct arena *a, const char *question, const char *offer, bool folder, const char **out, struct err *e)
{
	for (;;) {
		if (!ask(a, question, offer, out, e))
			return false;
		if (file_exists(*out) && (folder || !file_is_dir(*out)))
			return true;
		log_line(LOG_WARN, file_exists(*out) ? "'%s' is a folder" : "there is no '%s'", *out);
	}
}

/* The only file here that ends so; NULL when there are several. */
static const char *only_file(struct arena *a, const char *suffix)
{
	const char *found = NULL;
	char **name;
	size_t n;

	if (!file_list(a, ".", &name, &n, NULL))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(name[i]), k = strlen(suffix);

		if (len <= k || strcmp(name[i] + len - k, suffix))
			continue;
		if (found)
			return NULL;
		found = name[i];
	}
	return found;
}

/* Names of the built-in devices that work here, into known; those that need no other machine, as an offer. */
static bool working_devices(struct arena *a, struct str *known, const char **offer, struct err *e)
{
	struct pool_device dev[32] = {{0}};
	struct pool *pool;
	struct str best = {0};
	size_t n = 0;

	for (; camp_builtin_devices[n] && n < 32; n++)
		if (!camp_device(a, camp_builtin_devices[n], NULL, &dev[n], e))
			return false;
	if (!pool_open(dev, n, &pool, e))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (pool_device_error(pool, i))
			continue;
		str_addf(known, "#   %-14s %s\n", dev[i].name, pool_caps(pool, i)->describe);
		if (!strncmp(dev[i].name, "host-", 5))
			str_addf(&best, "%s%s", best.n ? "," : "", dev[i].name);
	}
	*offer = best.n ? arena_strdup(a, str_text(&best)) : NULL;
	str_free(&best);
	pool_close(pool);
	return true;
}

static void split(struct arena *a, const char *text, struct answers *out)
{
	char *rest = arena_strdup(a, text), *word;

	out->device = ARENA_ARRAY(a, const char *, strlen(text) + 1);
	while ((word = strsep(&rest, ", ")))
		if (*word)
			out->device[out->ndevices++] = word;
}

static bool collect(const struct cli_args *args, struct answers *out, struct str *known, struct err *e)
{
	const struct cli_value *devices = cli_get(args, "device");
	const char *offer, *text;
	bool terminal = on_terminal();

	out->model = cli_text(args, "model", NULL);
	out->images = cli_text(args, "images", NULL);
	if (!terminal && (!out->model || !out->images))
		return err_set(e, ERR_USAGE, "there is no terminal to ask on: give --model and --images, and --device if not host-gcc and host-clang");
	if (!out->model && !ask_path(args->a, "Model (an ONNX file)", only_file(args->a, ".onnx"), false, &out->model, e))
		return false;
	if (!out->images && !ask_path(args->a, "Pictures (a folder)", file_is_dir("images") ? "images" : NULL, true, &out->images, e))
		return false;
	if (!working_devices(args->a, known, &offer, e))
		return false;
	if (devices->n) {
		out->device = devices->list;
		out->ndevices = devices->n;
		return true;
	}
	if (terminal) {
		fprintf(stderr, "Devices that work here:\n%s", str_text(known));
		if (!ask(args->a, "Devices (separated by commas)", offer, &text, e))
			return false;
		split(args->a, text, out);
	} else if (offer) {
		split(args->a, offer, out);
	}
	return out->ndevices || err_set(e, ERR_DEVICE, "no device works here: see 'mutatenn devices'");
}

/* ---- the file ---- */

/* Paths in a campaign file count from its folder. */
static const char *path_from(struct arena *a, const char *file, const char *path)
{
	return !strcmp(file_dir(a, file), ".") ? path : file_absolute(a, path);
}

static void quoted(struct str *s, const char *text)
{
	str_addc(s, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			str_addc(s, '\\');
		str_addc(s, *text);
	}
	str_addc(s, '"');
}

static bool population(struct arena *a, struct camp_program *p, const char *glob, int64_t *out, struct err *e)
{
	struct mut_spec spec = {.operator_glob = glob, .pick = MUT_EACH};
	struct arena *scratch = arena_new(a);
	struct mutant *m;
	size_t n = 0;
	bool ok = mut_list(scratch, &p->subject, &spec, 1, 1, &m, &n, e);

	*out = 0;
	for (size_t i = 0; i < n && ok; i++)
		*out += m[i].sites > 0; /* an operator without a site has a row, too */
	arena_free(scratch);
	return ok;
}

static bool sample_of(struct arena *a, struct camp_program *p, const char *glob, struct str *s, struct err *e)
{
	int64_t all, n;

	if (!population(a, p, glob, &all, e))
		return false;
	n = leveugle(all, SAMPLE_ERROR);
	str_addf(s, "  - operator: %s\n", glob);
	if (n < all)
		str_addf(s, "    sites: sample %lld           # of %lld mutants: every rate is known to 5 points either way (95 %%, Leveugle 2009)\n", (long long)n,
		         (long long)all);
	else
		str_addf(s, "    sites: each                 # all %lld\n", (long long)all);
	return true;
}

static bool definitions(const struct cli_args *args, struct str *s, struct err *e)
{
	const char *file = cli_text(args, "devices-file", NULL);
	struct bytes text;

	if (!file)
		return true;
	if (!file_read(args->a, file, 1 << 20, &text, e))
		return false;
	str_addf(s, "\n# From %s.\n%s%s", file_base(file), (const char *)text.p, text.n && text.p[text.n - 1] == '\n' ? "" : "\n");
	return true;
}

static bool compose(const struct cli_args *args, const struct answers *x, const struct str *known, struct camp_program *p, struct str *s, struct err *e)
{
	str_addf(s,
	         "# A mutation campaign.\n#   mutatenn run %s --plan    what would run, and stop\n#   mutatenn run %s           run; killed at any moment, the same "
	         "command goes on\n# Every key: 'mutatenn run --keys'. What a key says here, an option of the command line overrides.\n\nmodel: ",
	         file_base(x->file), file_base(x->file));
	quoted(s, path_from(args->a, x->file, x->model));
	str_add(s, "\n# A folder. labels.csv in it (columns file, class_index) says what is right; then accuracy is reported, too.\nimages: ");
	quoted(s, path_from(args->a, x->file, x->images));
	str_add(s, "\n# sample: 32                   # use only so many of the pictures, drawn by the seed: time grows with each\n\n# The same mutants run on every device. "
	           "Here work:\n");
	str_add(s, str_text(known));
	str_add(s, "devices: [");
	for (size_t i = 0; i < x->ndevices; i++)
		str_addf(s, "%s%s", i ? ", " : "", x->device[i]);
	str_add(s, "]\n");
	if (!definitions(args, s, e))
		return false;
	str_add(s, "\n# 0: as imported, 1: folded, 2: fused, 3: blocked layouts, vectors and tiles. Faults of the loops are of the code that this level makes.\nopt-level: 2\n\n"
	           "# Which faults; 'mutatenn operators' lists them, 'mutatenn mutants MODEL --count' says where they apply.\nmutations:\n"
	           "  - preset: mutatenn-paper      # 22 faults of a published study, each at all its places at once: coarse, quick to look at\n");
	if (!sample_of(args->a, p, "loop.*", s, e) || !sample_of(args->a, p, "graph.*", s, e))
		return false;
	str_add(s, "  - operator: input.*           # faults in front of the network\n\n"
	           "# When is a fault noticed? label: another first class; topk: other classes among the best, or another order; numeric: any score differs by\n"
	           "# more than the device's own noise. Reports show all; the first is what fail-under is about.\ncriteria: [label, topk, numeric]\n"
	           "# fail-under: 60               # exit status 3 when fewer per cent are killed: for CI\n\n"
	           "seed: 1                         # of all that is drawn: the same seed, the same mutants and pictures\n");
	return true;
}

/* ---- is it right? ---- */

static bool validate(const struct cli_args *args, const char *file, struct camp_plan *plan, struct err *e)
{
	struct camp_run_options o = {0};
	struct config_campaign c;

	return config_campaign_read(args->a, file, &c, e) && camp_list(args->a, &c, &o, plan, e);
}

static bool write_file(const struct cli_args *args, const struct answers *x, const struct str *text, struct camp_plan *plan, struct err *e)
{
	const char *draft = arena_printf(args->a, "%s.new", x->file);
	bool ok = file_write(draft, text->s, text->n, e) && validate(args, draft, plan, e);

	if (ok && rename(draft, x->file))
		ok = err_set(e, ERR_IO, "cannot write '%s'", x->file);
	if (!ok)
		unlink(draft);
	return ok;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct answers x = {.file = args->npositional ? args->positional[0] : "campaign.yaml"};
	struct camp_target target = CAMP_TARGET_HOST;
	struct str text = {0}, known = {0};
	struct camp_program p;
	struct camp_model *m;
	struct camp_plan plan;
	bool ok;

	(void)status;
	if (file_is_dir(x.file))
		x.file = file_join(args->a, x.file, "campaign.yaml");
	if (file_exists(x.file) && !cli_flag(args, "force"))
		return err_set(e, ERR_USAGE, "'%s' is there already: give --force to write over it, or another name", x.file);
	ok = collect(args, &x, &known, e) && cli_model(args, x.model, &m, e) && camp_program_lower(args->a, m, &(struct camp_level){.opt_level = 2}, &target, &p, e) &&
	     compose(args, &x, &known, &p, &text, e) && write_file(args, &x, &text, &plan, e);
	if (ok && !cli_flag(args, "quiet"))
		printf("wrote %s: %zu mutants on %zu device%s and %zu picture%s\nnext:\n  mutatenn run %s --plan\n  mutatenn run %s\n", x.file, plan.nmutants,
		       plan.ndevices, plan.ndevices == 1 ? "" : "s", plan.nimages, plan.nimages == 1 ? "" : "s", x.file, x.file);
	str_free(&text);
	str_free(&known);
	return ok;
}

const struct cli_command cmd_init = {
        .name = "init",
        .summary = "three questions, and a campaign file that explains itself",
        .usage = "[FILE]",
        .description = "Writes a campaign file (default: campaign.yaml; a folder: campaign.yaml in it) with the keys that matter and the reason of each, samples "
                       "as large as five points of error need, and the devices that work on this machine. On a terminal it asks for what is not given: "
                       "model, pictures, devices. The file is written only when the campaign can be planned with it.",
        .options = options,
        .examples = "  mutatenn init photos.yaml --model net.onnx --images photos \\\n"
                    "    --device host-gcc,host-clang\n",
        .max_positional = 1,
        .run = run,
};
