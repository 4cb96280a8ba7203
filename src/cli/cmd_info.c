/* cmd_info.c: what a model is made of */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "cli/cli.h"
#include "cli/cli_json.h"

static const struct cli_option options[] = {
        CLI_OPT_LEVEL, CLI_OPT_DISABLE, CLI_OPT_BATCH, CLI_OPT_OUTPUT, CLI_OPT_DEVICE, CLI_OPT_DIALECT, CLI_OPT_DEFINITIONS,
        {"graph", CLI_FLAG, NULL, "print the graph after the passes"},
        {"loops", CLI_FLAG, NULL, "print the loop IR of every kernel"},
        {"source", CLI_FLAG, NULL, "print the source of every kernel"},
        CLI_OPT_JSON, CLI_OPT_END};

static json_t *json_value(struct arena *a, const struct gir_value *v)
{
	return json_pack("{s:s,s:s,s:s}", "name", v->name, "type", dtype_name(v->dtype), "shape", dims_text(a, v->dim, v->nd));
}

/* Operator -> how many nodes, in the order of the table. */
static json_t *json_operators(const struct gir_graph *g)
{
	json_t *o = json_object();

	for (size_t i = 0; i < g->nodes.n; i++) {
		const char *name = gir_op_info(g->nodes.v[i]->op)->name;
		json_t *old = json_object_get(o, name);

		json_object_set_new(o, name, json_integer(1 + (old ? json_integer_value(old) : 0)));
	}
	return o;
}

static json_t *describe(const struct cli_args *args, const struct camp_model *m, const struct camp_program *p)
{
	json_t *inputs = json_array(), *outputs = json_array(), *passes = json_array(), *kernels = json_array();
	const char *pass[64];
	size_t n = comp_passes(&p->options, pass, 64);

	for (size_t i = 0; i < m->graph->inputs.n; i++)
		json_array_append_new(inputs, json_value(args->a, m->graph->inputs.v[i]));
	for (size_t i = 0; i < m->graph->outputs.n; i++)
		json_array_append_new(outputs, json_value(args->a, m->graph->outputs.v[i]));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(passes, json_string(pass[i]));
	for (uint32_t k = 0; k < p->program->nkernels; k++)
		json_array_append_new(kernels, json_string(p->program->kernel[k].func->name));
	return json_pack("{s:s,s:i,s:i,s:o,s:I,s:f,s:o,s:o,s:i,s:o,s:i,s:o}", "model", m->name, "opset", m->graph->opset, "nodes",
	                 (int)m->graph->nodes.n, "operators", json_operators(m->graph), "parameters", (json_int_t)comp_parameters(m->graph), "macs",
	                 comp_macs(m->graph), "inputs", inputs, "outputs", outputs, "opt_level", p->options.opt_level, "passes", passes,
	                 "distinct_kernels", (int)p->bundle->nkernels, "kernels", kernels);
}

static void print_list(const char *what, json_t *list)
{
	size_t i;
	json_t *v;

	printf("%-11s", what);
	json_array_foreach(list, i, v) printf("%s %s", json_string_value(json_object_get(v, "name")), json_string_value(json_object_get(v, "type"))),
	        printf(" %s%s", json_string_value(json_object_get(v, "shape")), i + 1 < json_array_size(list) ? ", " : "");
	printf("\n");
}

static void print_text(json_t *j)
{
	const char *name;
	size_t i;
	json_t *v;

	printf("model      %s (opset %lld)\n", json_string_value(json_object_get(j, "model")), json_integer_value(json_object_get(j, "opset")));
	print_list("inputs", json_object_get(j, "inputs"));
	print_list("outputs", json_object_get(j, "outputs"));
	printf("parameters %lld\nMACs       %.0f\nnodes      %lld:", json_integer_value(json_object_get(j, "parameters")),
	       json_real_value(json_object_get(j, "macs")), json_integer_value(json_object_get(j, "nodes")));
	json_object_foreach(json_object_get(j, "operators"), name, v) printf(" %s %lld", name, json_integer_value(v));
	printf("\npasses     (opt-level %lld)", json_integer_value(json_object_get(j, "opt_level")));
	json_array_foreach(json_object_get(j, "passes"), i, v) printf(" %s", json_string_value(v));
	printf("\nkernels    %zu launches of %lld distinct kernels\n", json_array_size(json_object_get(j, "kernels")),
	       json_integer_value(json_object_get(j, "distinct_kernels")));
}

static bool print_code(const struct cli_args *args, struct comp_program *p, const char *dialect, struct err *e)
{
	struct str s = {0};

	if (cli_flag(args, "graph"))
		gir_print(&s, p->graph, false);
	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct comp_text *text;

		if (cli_flag(args, "loops"))
			lir_print(&s, p->kernel[k].func);
		if (!cli_flag(args, "source"))
			continue;
		if (!comp_source(p, k, dialect, &text, e))
			return false;
		str_addf(&s, "/* %s */\n%s\n", p->kernel[k].func->name, text->source);
	}
	fputs(str_text(&s), stdout);
	str_free(&s);
	return true;
}

static bool run(const struct cli_args *args, int *status, struct err *e)
{
	struct camp_program p;
	struct camp_model *m;
	json_t *j;

	(void)status;
	if (!cli_model(args, args->positional[0], &m, e) || !cli_program_only(args, m, &p, e) ||
	    !camp_program_render(args->a, &p, p.dialect, &p, e))
		return false;
	j = describe(args, m, &p);
	if (cli_flag(args, "json"))
		return cli_print_json(j, e);
	print_text(j);
	json_decref(j);
	return print_code(args, p.program, p.dialect, e);
}

const struct cli_command cmd_info = {
        .name = "info",
        .summary = "operators, shapes, parameters, MACs, passes and kernels of a model",
        .usage = "MODEL",
        .description = "Imports the model, compiles it at the given level, and says what is in it. Nothing is run.",
        .options = options,
        .examples = "  mutatenn info demo/model.onnx\n  mutatenn info demo/model.onnx --opt-level 3 --loops | less\n",
        .min_positional = 1,
        .max_positional = 1,
        .all_passes = true,
        .run = run,
};
