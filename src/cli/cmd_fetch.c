/* cmd_fetch.c: models of the ONNX model hub */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/cli_json.h"
#include "cli/cli_progress.h"
#include "cli/cli_stop.h"
#include "cli/cli_view.h"
#include "fetch/fetch.h"

static const struct cli_option options[] = {
    {"list", CLI_FLAG, NULL, "list the models there are; with NAME those whose name has it in it"},
    {"out", CLI_TEXT, "DIR", "folder for the model (default: this one)"},
    {"opset", CLI_INT, "N", "of the models of that name the one of this opset (default: the newest)"},
    {"from", CLI_LIST, "URL",
     "https:// root of a mirror of the hub; of several the next is tried when one fails (default: $MUTATENN_HUB, else where "
     "the hub's files lie)"},
    {"manifest", CLI_TEXT, "FILE", "what another hub has: a file like the ONNX hub's ONNX_HUB_MANIFEST.json; with --from"},
    {"ca", CLI_TEXT, "FILE", "certificates to trust in place of the system's, as PEM"},
    {"stall", CLI_NUMBER, "SECONDS", "give up a connection that brings next to nothing for so long (default: 30)"},
    CLI_OPT_JSON,
    CLI_OPT_QUIET,
    CLI_OPT_END};

struct shown {
	double started, last;
	uint64_t first; /* bytes that were there */
	bool any, terminal;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool progress(const struct fetch_model *m, uint64_t done, void *user)
{
	struct shown *s = user;
	double t = now();
	struct str line = {0};

	if (!s->any) {
		s->any = true;
		s->started = t;
		s->first = done;
	}
	if (s->terminal && t - s->last >= 0.2) {
		double speed = t > s->started && done > s->first ? (double)(done - s->first) / (t - s->started) : 0;

		s->last = t;
		str_addf(&line, "%s: %.1f of %.1f MB (%d %%)", m->name, (double)done / 1e6, (double)m->bytes / 1e6,
			 (int)(100 * done / m->bytes));
		if (speed > 0) {
			str_addf(&line, ", %.1f MB/s, ", speed / 1e6);
			cli_add_time(&line, (double)(m->bytes - done) / speed);
			str_add(&line, " left");
		}
		cli_progress_line(str_text(&line));
		str_free(&line);
	}
	return !cli_stop_wanted();
}

static bool list(const struct fetch_model *model, size_t n, const char *part, bool json, struct err *e)
{
	json_t *all = json_array();
	size_t shown = 0;

	if (!json)
		printf("%-36s %-24s %5s %9s  %s\n", "name", "model", "opset", "MB", "inputs");
	for (size_t i = 0; i < n; i++) {
		const struct fetch_model *m = &model[i];

		if (part && !strcasestr(m->name, part) && !strcasestr(m->model, part))
			continue;
		shown++;
		if (json)
			json_array_append_new(all, json_pack("{s:s,s:s,s:i,s:I,s:s,s:s,s:s}", "name", m->name, "model", m->model,
							     "opset", m->opset, "bytes", (json_int_t)m->bytes, "sha256", m->sha256,
							     "path", m->path, "inputs", m->inputs));
		else
			printf("%-36s %-24s %5d %9.1f  %s\n", m->name, m->model, m->opset, (double)m->bytes / 1e6, m->inputs);
	}
	if (json)
		return cli_print_json(json_pack("{s:o}", "models", all), e);
	json_decref(all);
	return shown || err_set(e, ERR_USAGE, "no model's name has '%.100s' in it", part ? part : "");
}

/* Of the models that the hub calls the same as this one. */
static bool of_opset(const struct fetch_model *list, size_t n, int64_t opset, const struct fetch_model **m, struct err *e)
{
	struct str s = {0};

	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].model, (*m)->model) != 0)
			continue;
		if (list[i].opset == opset) {
			*m = &list[i];
			str_free(&s);
			return true;
		}
		str_addf(&s, "%s%d", s.n ? ", " : "", list[i].opset);
	}
	err_set(e, ERR_USAGE, "'%s' is not there with opset %lld, but with %s", (*m)->model, (long long)opset, str_text(&s));
	str_free(&s);
	return false;
}

/* NULL: the usual ones. */
static const char *const *roots(const struct cli_args *args)
{
	const struct cli_value *given = cli_get(args, "from");
	const char *env = getenv("MUTATENN_HUB"), **out = ARENA_ARRAY(args->a, const char *, given->n + 2);

	for (size_t i = 0; i < given->n; i++)
		out[i] = given->list[i];
	if (!given->given)
		out[0] = env;
	else if (!given->n)
		out[0] = "";
	return *out ? out : NULL;
}

static bool get(const struct cli_args *args, const struct fetch_model *m, struct err *e)
{
	struct shown shown = {.terminal = !cli_flag(args, "quiet") && cli_on_terminal()};
	struct fetch_options o = {.from = roots(args),
				  .ca = cli_text(args, "ca", NULL),
				  .stall_s = cli_get(args, "stall")->given ? cli_get(args, "stall")->f : 0,
				  .progress = progress,
				  .user = &shown};
	const char *dir = cli_text(args, "out", "."), *file;
	bool fresh, ok;

	if (cli_get(args, "manifest")->given && !o.from)
		return err_set(e, ERR_USAGE, "--manifest says what there is, not where: give --from as well");
	if (cli_get(args, "stall")->given && !(o.stall_s >= 1 && o.stall_s <= 3600))
		return err_set(e, ERR_USAGE, "--stall takes 1 to 3600 seconds");
	if (!file_mkdirs(dir, e))
		return false;
	file = file_join(args->a, dir, arena_printf(args->a, "%s.onnx", m->name));
	cli_stop_orderly("\nmutatenn: stopped; the same command goes on from there\n");
	ok = fetch_get(m, file, &o, &fresh, e);
	cli_stop_done();
	cli_progress_end();
	if (ok && cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:s,s:s,s:I,s:s,s:b}", "name", m->name, "file", file, "bytes",
						(json_int_t)m->bytes, "sha256", m->sha256, "fetched", fresh),
				      e);
	if (ok)
		printf("%s\n", file);
	if (ok && !fresh)
		log_info("it was there already, with the right SHA-256");
	return ok;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	const char *name = args->npositional ? args->positional[0] : NULL, *manifest = cli_text(args, "manifest", NULL);
	const struct fetch_model *m;
	struct fetch_model *model;
	size_t n;

	(void)status;
	if (cli_flag(args, "quiet"))
		log_set_level(LOG_ERROR);
	if (manifest ? !fetch_manifest(args->a, manifest, &model, &n, e) : !fetch_hub(args->a, &model, &n, e))
		return false;
	if (cli_flag(args, "list"))
		return list(model, n, name, cli_flag(args, "json"), e);
	if (!name)
		return err_set(e, ERR_USAGE, "which model? 'mutatenn fetch --list' shows what there is");
	if (!fetch_find(model, n, name, &m, e))
		return false;
	if (cli_get(args, "opset")->given && !of_opset(model, n, cli_int(args, "opset", 0), &m, e))
		return false;
	return get(args, m, e);
}

const struct cli_command cmd_fetch = {
    .name = "fetch",
    .summary = "download a model of the ONNX model hub",
    .usage = "[NAME]",
    .description = "Writes NAME.onnx, whole and with the SHA-256 that the hub's manifest gives it, or nothing. Stopped or cut off, "
		   "the same command goes on "
		   "with what is there (NAME.onnx.part). Speaks https only; https_proxy and no_proxy are respected.\n\n"
		   "NAME is that of a file (resnet50-v1-12), what the hub calls the model (ResNet50: the newest opset), or the "
		   "beginning of one of them.",
    .options = options,
    .examples = "  mutatenn fetch --list resnet\n"
		"  mutatenn fetch mnist-12 --out models\n"
		"  mutatenn fetch ResNet50 --opset 7\n"
		"  mutatenn fetch net-1 --from https://hub.example/models \\\n"
		"    --manifest ONNX_HUB_MANIFEST.json\n",
    .max_positional = 1,
    .run = run,
};
