/* cmd_mutants.c: where a model can be mutated */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"
#include "onnx/onnx.h"

static const struct cli_option options[] = {
        {"operator", CLI_LIST, "GLOB", "only these operators (default: all)"},
        {"preset", CLI_TEXT, "NAME", "the mutants of a preset instead"},
        {"sites", CLI_TEXT, "WHICH", "each, all, 3, 1-5 or 'sample 50' (default: each)"},
        {"count", CLI_FLAG, NULL, "only the number of sites of each operator"},
        {"bounds", CLI_FLAG, NULL, "say of loop mutants whether their accesses stay in their buffers: in-range, may-leave, leaves"},
        {"export", CLI_TEXT, "DIR", "write graph mutants as ONNX files, and index.csv, to this new folder"},
        CLI_OPT_LEVEL, CLI_OPT_DISABLE, CLI_OPT_ENABLE, CLI_OPT_BATCH, CLI_OPT_SEED, CLI_OPT_DEVICE, CLI_OPT_DEFINITIONS, CLI_OPT_JSON, CLI_OPT_END};

/* The specifications that --operator, --preset and --sites stand for. */
static bool specs(const struct cli_args *args, struct mut_spec **out, size_t *n, struct err *e)
{
	const struct cli_value *globs = cli_get(args, "operator");
	size_t count = globs->n ? globs->n : 1;
	struct config_mutation *m = ARENA_ARRAY(args->a, struct config_mutation, count);
	const char *sites = cli_text(args, "sites", NULL);

	for (size_t i = 0; i < count; i++) {
		if (cli_get(args, "preset")->given)
			m[i].preset = arena_strdup(args->a, cli_text(args, "preset", NULL));
		else
			m[i].op = arena_strdup(args->a, globs->n ? globs->list[i] : "*");
		if (sites && !config_sites_parse(sites, &m[i], e))
			return false;
		m[i].sites_text = arena_strdup(args->a, sites);
	}
	return camp_specs(args->a, m, count, out, n, e);
}

static bool print_counts(const struct cli_args *args, const struct camp_program *p, struct err *e)
{
	const struct cli_value *globs = cli_get(args, "operator");
	json_t *list = json_array();

	for (size_t i = 0; mut_ops[i]; i++) {
		bool wanted = !globs->n;
		uint64_t n;

		for (size_t g = 0; g < globs->n; g++)
			wanted = wanted || !fnmatch(globs->list[g], mut_ops[i]->name, 0);
		if (!wanted)
			continue;
		n = mut_count_sites(&p->subject, mut_ops[i]);
		json_array_append_new(list, json_pack("{s:s,s:s,s:I}", "operator", mut_ops[i]->name, "category",
		                                      mut_category_name(mut_ops[i]->category), "sites", (json_int_t)n));
		if (!cli_flag(args, "json"))
			printf("%8llu  %s\n", (unsigned long long)n, mut_ops[i]->name);
	}
	if (cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:o}", "operators", list), e);
	json_decref(list);
	return true;
}

static bool export_one(const struct cli_args *args, struct camp_program *p, const struct mutant *m, const char *path, struct err *e)
{
	struct arena *a = arena_new(args->a);
	struct gir_graph *g;
	bool ok = mut_apply_graph(a, &p->subject, m, &g, e) && onnx_export(path, g, e);

	arena_free(a);
	return ok || err_in(e, "exporting '%s'", m->id);
}

static bool export_all(const struct cli_args *args, struct camp_program *p, const struct mutant *m, size_t n, struct err *e)
{
	const char *dir = cli_text(args, "export", NULL);
	struct str index = {0};
	size_t written = 0;
	bool ok = file_new_folder(dir, e); /* its index names all that is there */

	str_add(&index, "file,mutant,label,sites\n");
	for (size_t i = 0; ok && i < n; i++) {
		char name[64];

		if (m[i].op->kind != MUT_GRAPH || !m[i].sites)
			continue;
		snprintf(name, sizeof name, "mutant_%05zu.onnx", i);
		ok = export_one(args, p, &m[i], file_join(args->a, dir, name), e);
		str_addf(&index, "%s,", name);
		str_add_csv(&index, m[i].id);
		str_addc(&index, ',');
		str_add_csv(&index, m[i].label);
		str_addf(&index, ",%llu\n", (unsigned long long)m[i].sites);
		written++;
	}
	ok = ok && file_write(file_join(args->a, dir, "index.csv"), str_text(&index), index.n, e);
	str_free(&index);
	if (ok)
		log_info("%zu graph mutants written to '%s' (loop and input mutants have no ONNX form)", written, dir);
	return ok;
}

static void print_one(const struct mutant *m, const struct camp_prediction *bounds, struct arena *a)
{
	const char *where = camp_prediction_text(a, bounds);

	printf("%s%s", m->id, m->sites ? "" : "  (no site)");
	if (m->all)
		printf("  (%llu sites)", (unsigned long long)m->sites);
	if (bounds->known)
		printf("  %s%s%s", lir_bounds_name(bounds->bounds.kind), where ? ": " : "", where ? where : "");
	printf("\n");
}

static void json_field(struct str *out, const char *before, const char *key, const char *value)
{
	str_add(out, before);
	str_add(out, key);
	str_add(out, "\": ");
	cli_json_quote(out, value);
}

/* As cli_print_json would print it within the list. A tree of a million mutants is gigabytes. */
static void json_one(struct str *out, const struct mutant *m, const struct camp_prediction *bounds, struct arena *a)
{
	static const char first[] = "    {\n      \"", next[] = ",\n      \"";

	json_field(out, first, "id", m->id);
	json_field(out, next, "operator", m->op->name);
	json_field(out, next, "category", mut_category_name(m->op->category));
	json_field(out, next, "target", m->target);
	json_field(out, next, "variant", m->op->variant[m->variant]);
	str_addf(out, ",\n      \"sites\": %llu", (unsigned long long)m->sites);
	json_field(out, next, "label", m->label);
	if (bounds->known) {
		json_field(out, next, "bounds", lir_bounds_name(bounds->bounds.kind));
		json_field(out, next, "bounds_text", camp_prediction_text(a, bounds));
	}
	str_add(out, "\n    }");
}

/* A list that ends early is a whole document all the same, and says so. */
static void json_end(bool any, const struct err *failed)
{
	struct str text = {0};

	str_add(&text, any ? "\n  ]" : "]");
	if (failed)
		json_field(&text, ",\n  \"", "error", err_text(failed));
	str_add(&text, "\n}\n");
	fwrite(text.s, 1, text.n, stdout);
	str_free(&text);
}

static bool print_mutants(const struct cli_args *args, struct camp_program *p, const struct mutant *m, size_t n, struct err *e)
{
	bool json = cli_flag(args, "json"), predict = cli_flag(args, "bounds"), ok = true;
	struct str text = {0};

	if (json)
		fputs("{\n  \"mutants\": [", stdout);
	for (size_t i = 0; ok && i < n; i++) {
		struct arena *a = predict ? arena_new(args->a) : NULL;
		struct camp_prediction bounds = {0};

		ok = !predict || camp_predict(a, p, &m[i], &bounds, e);
		if (ok && json) {
			str_clear(&text);
			str_add(&text, i ? ",\n" : "\n");
			json_one(&text, &m[i], &bounds, a);
			fwrite(text.s, 1, text.n, stdout);
		} else if (ok) {
			print_one(&m[i], &bounds, a);
		}
		arena_free(a);
	}
	if (json)
		json_end(n > 0, ok ? NULL : e);
	str_free(&text);
	return ok;
}

/* What would be left out in silence. */
static bool fits(const struct cli_args *args, struct err *e)
{
	static const char *const pairs[][2] = {{"preset", "operator"}, {"count", "preset"}, {"count", "sites"}, {"count", "bounds"}, {"count", "export"},
					       {"export", "bounds"},   {"export", "json"}};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (cli_get(args, pairs[i][0])->given && cli_get(args, pairs[i][1])->given)
			return err_set(e, ERR_USAGE, "--%s does not go with --%s", pairs[i][0], pairs[i][1]);
	return true;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct camp_program p;
	struct camp_model *m;
	struct mut_spec *spec;
	struct mutant *mutant;
	size_t nspecs, n;

	(void)status;
	if (!fits(args, e))
		return false;
	if (!specs(args, &spec, &nspecs, e) || !cli_model(args, args->positional[0], &m, e) || !cli_program_only(args, m, &p, e))
		return false;
	if (cli_flag(args, "count"))
		return print_counts(args, &p, e);
	if (!mut_list(args->a, &p.subject, spec, nspecs, (uint64_t)cli_int(args, "seed", 1), &mutant, &n, e))
		return false;
	if (cli_get(args, "export")->given && !export_all(args, &p, mutant, n, e))
		return false;
	return cli_get(args, "export")->given || print_mutants(args, &p, mutant, n, e);
}

const struct cli_command cmd_mutants = {
        .name = "mutants",
        .summary = "the mutants of a model: sites and ids",
        .usage = "MODEL",
        .description = "Lists where the operators apply, one id per line: OPERATOR/NODE or KERNEL or input/ORDINAL or all/VARIANT. The ids are what "
                       "'show' and 'run --mutant' take. Nothing is built or run.\n\nWith --bounds each loop mutant's accesses are checked without running: "
                       "in-range (proved), may-leave (not proved), leaves (an iteration that certainly runs does), with the first such access.",
        .options = options,
        .examples = "  mutatenn mutants demo/model.onnx --operator 'loop.cond.*' --opt-level 3\n"
                    "  mutatenn mutants demo/model.onnx --count\n"
                    "  mutatenn mutants demo/model.onnx --operator 'loop.bound.*' --bounds\n"
                    "  mutatenn mutants demo/model.onnx --preset mutatenn-paper --export mutants/\n",
        .min_positional = 1,
        .max_positional = 1,
        .run = run,
};
