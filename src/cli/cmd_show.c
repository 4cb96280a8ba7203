/* cmd_show.c: one mutant, as a diff */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/diff.h"
#include "base/map.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"

static const struct cli_option options[] = {
        CLI_OPT_DEVICE, CLI_OPT_DIALECT, CLI_OPT_DEFINITIONS, CLI_OPT_LEVEL, CLI_OPT_DISABLE, CLI_OPT_ENABLE, CLI_OPT_BATCH,
        {"ir", CLI_FLAG, NULL, "only the graph or loop IR"},
        {"source", CLI_FLAG, NULL, "only the device's source"},
        {"whole", CLI_FLAG, NULL, "whole kernels instead of diffs"},
        {"checks", CLI_FLAG, NULL, "the changed kernels as `run --sanitize` runs them, in loop IR"},
        {"build", CLI_FLAG, NULL, "build it on the device and print `code`, the identity that reports show"},
        CLI_OPT_JSON, CLI_OPT_END};

struct shown {
	const char *ir;                   /* diff */
	json_t *kernels;                  /* [{name, source, original, diff}] of the kernels that differ */
	struct str source;                /* diffs or whole kernels, for people */
	struct camp_prediction bounds;
};

/* Kernels of the mutant whose text the original does not have under the same name. */
static bool collect(const struct cli_args *args, struct camp_program *p, struct comp_program *q, struct shown *out, struct err *e)
{
	for (uint32_t k = 0; k < q->nkernels; k++) {
		const char *name = q->kernel[k].func->name, *source, *original = NULL;
		const struct comp_text *text, *before;
		uintptr_t at = (uintptr_t)map_get(p->program->kernel_by_name, name);
		struct str diff = {0};

		if (!comp_source(q, k, p->dialect, &text, e) || (at && !comp_source(p->program, (uint32_t)at - 1, p->dialect, &before, e)))
			return false;
		source = text->source;
		original = at ? before->source : NULL;
		if (original && !strcmp(original, source))
			continue;
		text_diff(&diff, "original", original ? original : "", name, source, 3);
		if (cli_flag(args, "whole"))
			str_addf(&out->source, "/* %s */\n%s\n", name, source);
		else
			str_add(&out->source, str_text(&diff));
		json_array_append_new(out->kernels, json_pack("{s:s,s:s,s:s?,s:s,s:b}", "name", name, "source", source, "original", original, "diff",
		                                              str_text(&diff), "contract", q->kernel[k].func->contract));
		str_free(&diff);
	}
	return true;
}

/* The identity of the built program, and of each built kernel by name. */
static bool build(const struct cli_args *args, struct pool *pool, const struct bundle *b, char code[static HASH_HEX], json_t *kernels, struct err *e)
{
	struct pool_job job = {.bundle = b, .build_only = true};
	struct pool_result r;
	bool got = false;
	json_t *k;
	size_t i;

	if (!pool_submit(pool, &job, e))
		return false;
	while (!got)
		if (!pool_wait(pool, args->a, -1, &got, &r, e))
			return false;
	if (r.status != POOL_DONE)
		return err_set(e, ERR_DEVICE, "%s%s%s", r.text, r.log ? "\n" : "", r.log ? r.log : "");
	hash_hex(r.code, code);
	json_array_foreach(kernels, i, k)
		for (uint32_t l = 0; l < b->nlaunches; l++)
			if (r.kernel_code && !strcmp(b->launch[l].name, json_string_value(json_object_get(k, "name")))) {
				char hex[HASH_HEX];

				json_object_set_new(k, "artefact", json_string(hash_hex(r.kernel_code[b->launch[l].kernel], hex)));
			}
	return true;
}

static bool print(const struct cli_args *args, const struct mutant *m, const struct shown *s, bool same, const char *code, struct err *e)
{
	const char *bounds = s->bounds.known ? lir_bounds_name(s->bounds.bounds.kind) : NULL, *where = camp_prediction_text(args->a, &s->bounds);
	bool all = !cli_flag(args, "ir") && !cli_flag(args, "source");

	if (cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:s,s:s,s:s,s:s,s:I,s:b,s:s,s:O,s:s?,s:s?,s:s?}", "id", m->id, "operator", m->op->name, "category",
		                                mut_category_name(m->op->category), "summary", m->op->summary, "sites", (json_int_t)m->sites, "no_effect",
		                                same, "ir", s->ir, "kernels", s->kernels, "code", code, "bounds", bounds, "bounds_text", where),
		                      e);
	if (all)
		printf("%s\n%s: %s\nimitates: %s\nsites changed: %llu\n", m->id, mut_category_name(m->op->category), m->op->summary, m->op->imitates,
		       (unsigned long long)m->sites);
	if (all && bounds)
		printf("buffers: %s%s%s\n", bounds, where ? ": " : "", where ? where : "");
	if (all)
		printf("\n");
	if (all || cli_flag(args, "ir"))
		printf("%s\n", s->ir);
	if (all || cli_flag(args, "source"))
		printf("%s\n", str_text(&s->source));
	if (same)
		printf("no effect: the program is the original's\n");
	if (code)
		printf("code %s\n", code);
	return true;
}

/* What the mutant's kernels are with checks in them. */
static bool show_checks(const struct cli_args *args, struct camp_program *p, struct comp_program *q, struct err *e)
{
	json_t *list = json_array();
	bool any = false;

	if (!comp_instrument(q, p->program, LIR_CHECK_BOUNDS | LIR_CHECK_INIT | LIR_CHECK_TRIPS, e)) {
		json_decref(list);
		return false;
	}
	for (uint32_t k = 0; k < q->nkernels; k++) {
		const struct lir_instrumented *r = q->kernel[k].checks;
		struct str ir = {0};

		if (!r)
			continue;
		any = true;
		lir_print(&ir, r->func);
		json_array_append_new(list, json_pack("{s:s,s:s,s:i}", "name", q->kernel[k].func->name, "ir", str_text(&ir), "sites", (int)r->nsites));
		if (!cli_flag(args, "json"))
			printf("%s\n", str_text(&ir));
		str_free(&ir);
	}
	if (cli_flag(args, "json"))
		return cli_print_json(json_pack("{s:o}", "checks", list), e);
	json_decref(list);
	if (!any)
		printf("nothing to check: every access is proved to stay in its buffer and to find what was written\n");
	return true;
}

static bool show(const struct cli_args *args, const struct camp_model *model, struct camp_program *p, struct pool *pool, struct err *e)
{
	struct shown s = {.kernels = json_array()};
	struct comp_program *program;
	struct bundle *bundle;
	char *ir, code[HASH_HEX] = "";
	struct mutant m;
	bool same, ok;

	ok = mut_parse(args->a, &p->subject, args->positional[1], &m, e) && camp_ir_diff(args->a, p, &m, &ir, e) &&
	     camp_predict(args->a, p, &m, &s.bounds, e) &&
	     camp_mutate(args->a, model, p, &m, &bundle, &program, &same, e);
	if (ok && cli_flag(args, "checks") && bundle) {
		json_decref(s.kernels);
		return show_checks(args, p, program, e);
	}
	ok = ok && collect(args, p, program, &s, e);
	if (ok && pool)
		ok = build(args, pool, bundle ? bundle : p->bundle, code, s.kernels, e);
	if (ok) {
		s.ir = ir;
		ok = print(args, &m, &s, same, *code ? code : NULL, e);
	}
	json_decref(s.kernels);
	str_free(&s.source);
	return ok;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct config_campaign c;
	struct pool_device unused; /* only the name is looked at, unless something is built */
	struct pool *pool = NULL;
	struct camp_model *model;
	struct camp_program p;
	struct camp_target target = CAMP_TARGET_HOST;
	bool ask, ok;

	(void)status;
	if (!cli_model(args, args->positional[0], &model, e) || !cli_devices(args, &c, e))
		return false;
	for (size_t d = 0; d < c.ndevices; d++)
		if (!camp_device(args->a, c.devices[d], &c, &unused, e))
			return false;
	if (!cli_asks_devices(args, &target, &ask, e))
		return false;
	if (cli_flag(args, "build") && cli_text(args, "dialect", NULL))
		return err_set(e, ERR_USAGE, "--build is for a device's own dialect: leave out --dialect");
	if ((ask || cli_flag(args, "build")) && !cli_pool(args, &c, &pool, &target, e))
		return false;
	ok = cli_program(args, model, &target, &p, e) && show(args, model, &p, cli_flag(args, "build") ? pool : NULL, e);
	if (pool)
		pool_close(pool);
	return ok;
}

const struct cli_command cmd_show = {
        .name = "show",
        .summary = "one mutant as a diff: graph or loop IR, and the device's source",
        .usage = "MODEL MUTANT",
        .description = "Applies the mutant and prints what it changes, first in the graph or loop IR, then in the source that the device compiles. "
                       "MUTANT is an id as 'mutants' and 'report' print it.\n\nWith --build the program is built, not run, and `code` printed: the "
                       "same `code` that a campaign stores with the outcome of this mutant at this --opt-level.",
        .options = options,
        .examples = "  mutatenn show demo/model.onnx loop.index.load/dense/0/-1 --checks\n"
                    "  mutatenn show demo/model.onnx 'graph.replace.relu/*/all/to-sigmoid'\n"
                    "  mutatenn show net.onnx \"$(mutatenn mutants net.onnx | tail -1)\" --source\n"
                    "  mutatenn show demo/model.onnx 'loop.store.narrow/*/all/f16' --dialect glsl\n",
        .min_positional = 2,
        .max_positional = 2,
        .run = run,
};
