/* cli_example.c: a network and a kernel in which every mutation operator has a site: what each changes, shown on them
 *
 * Small enough to be read; nothing is computed with them, so the weights are only hashes.
 */
#include "cli/cli_example.h"

#include <string.h>

#include "base/arena.h"
#include "base/diff.h"
#include "base/err.h"
#include "base/str.h"
#include "compile/compile.h"

static const char network[] =
	"graph \"example\" opset 13 {\n"
	"  input \"x\": f32[1,4,8,8]\n"
	"  const \"conv.w\": f32[4,4,3,3] = hash \"906caf44aa718ae0cfee9cded81ccc33\"\n"
	"  const \"conv.b\": f32[4] = {-0.5, -0.25, 0, 0.25}\n"
	"  const \"wide.w\": f32[4,4,3,3] = hash \"906caf44aa718ae0cfee9cded81ccc33\"\n"
	"  const \"swap.w\": f32[4,4,3,3] = hash \"906caf44aa718ae0cfee9cded81ccc33\"\n"
	"  const \"bn.s\": f32[4] = {-0.5, -0.25, 0, 0.25}\n"
	"  const \"bn.b\": f32[4] = {-0.5, -0.25, 0, 0.25}\n"
	"  const \"bn.m\": f32[4] = {-0.5, -0.25, 0, 0.25}\n"
	"  const \"bn.v\": f32[4] = {-0.5, -0.25, 0, 0.25}\n"
	"  const \"gemm.w\": f32[49,4] = hash \"f836cb9cbcb60cceb4867c67c05c15cf\"\n"
	"  const \"gemm.b\": f32[4] = {-0.5, -0.25, 0, 0.25}\n"
	"  const \"square.w\": f32[4,4] = hash \"d4e3b5b591476ef2d2f8771b89cd8a11\"\n"
	"  const \"square.c\": f32[4,4] = hash \"d4e3b5b591476ef2d2f8771b89cd8a11\"\n"
	"  \"conv\" = Conv(\"x\", \"conv.w\", \"conv.b\") {pads = [0,0,2,2], kernel_shape = [3,3]} -> \"conv\": f32[1,4,8,8]\n"
	"  \"wide\" = Conv(\"conv\", \"wide.w\") {auto_pad = \"SAME_UPPER\", dilations = [1,2]} -> \"wide\": f32[1,4,8,8]\n"
	"  \"swap\" = Conv(\"wide\", \"swap.w\") {pads = [2,1,0,1], kernel_shape = [3,3]} -> \"swap\": f32[1,4,8,8]\n"
	"  \"bn\" = BatchNormalization(\"swap\", \"bn.s\", \"bn.b\", \"bn.m\", \"bn.v\") -> \"bn\": f32[1,4,8,8]\n"
	"  \"relu\" = Relu(\"bn\") -> \"relu\": f32[1,4,8,8]\n"
	"  \"sigmoid\" = Sigmoid(\"relu\") -> \"sigmoid\": f32[1,4,8,8]\n"
	"  \"tanh\" = Tanh(\"relu\") -> \"tanh\": f32[1,4,8,8]\n"
	"  \"add\" = Add(\"sigmoid\", \"tanh\") -> \"add\": f32[1,4,8,8]\n"
	"  \"sub\" = Sub(\"add\", \"sigmoid\") -> \"sub\": f32[1,4,8,8]\n"
	"  \"mul\" = Mul(\"sub\", \"tanh\") -> \"mul\": f32[1,4,8,8]\n"
	"  \"div\" = Div(\"mul\", \"sigmoid\") -> \"div\": f32[1,4,8,8]\n"
	"  \"clip\" = Clip(\"div\") -> \"clip\": f32[1,4,8,8]\n"
	"  \"exp\" = Exp(\"clip\") -> \"exp\": f32[1,4,8,8]\n"
	"  \"maxpool\" = MaxPool(\"exp\") {kernel_shape = [2,2]} -> \"maxpool\": f32[1,4,7,7]\n"
	"  \"avgpool\" = AveragePool(\"maxpool\") {kernel_shape = [3,3], pads = [1,1,1,1]} -> \"avgpool\": f32[1,4,7,7]\n"
	"  \"flatten\" = Flatten(\"avgpool\") {axis = 2} -> \"flatten\": f32[4,49]\n"
	"  \"gemm\" = Gemm(\"flatten\", \"gemm.w\", \"gemm.b\") -> \"gemm\": f32[4,4]\n"
	"  \"square\" = Gemm(\"gemm\", \"square.w\", \"square.c\") -> \"square\": f32[4,4]\n"
	"  output \"square\"\n"
	"}\n";

static const char kernel[] =
	"func \"example\" (in0: f32[4, 16], in1: f32[16], out out0: f32[4, 16], out out1: f32[4, 16]) contract {\n"
	"  for i in 0..4 parallel {\n"
	"    alloc acc: f32[16]\n"
	"    for j in 0..16 serial {\n"
	"      if j < 8 {\n"
	"        out0[i, j] = max(in0[i, j], 0.0) + in1[j] * 2.5\n"
	"      } else {\n"
	"        out0[i, j] = select(j >= 12 && j <= 14, in0[i, j], 0.0)\n"
	"      }\n"
	"    }\n"
	"    if in0[i, 3] > 0.5 {\n"
	"      acc[ramp(0, 1, 16)] = fma(in0[i, ramp(0, 1, 16)], in1[ramp(0, 1, 16)], broadcast(1.5, 16))\n"
	"    } else {\n"
	"      acc[ramp(0, 1, 16)] = broadcast(select(i != 2, 1.0, select(i == 1, 3.0, in1[i] / 4.0)), 16)\n"
	"    }\n"
	"    out1[i, ramp(0, 1, 16)] = acc[ramp(0, 1, 16)] - min(in0[i, ramp(0, 1, 16)], in1[ramp(0, 1, 16)])\n"
	"  }\n"
	"}\n";

/* What only a group of work-items has: shared memory and barriers. */
static const char group[] =
	"func \"turn\" (in0: f32[8], out out0: f32[8]) group 8 {\n"
	"  alloc s: f32[8] shared\n"
	"  for t in 0..8 thread {\n"
	"    s[t] = in0[t]\n"
	"  }\n"
	"  for u in 0..8 thread {\n"
	"    out0[u] = s[7 - u]\n"
	"  }\n"
	"}\n";

struct mut_subject *cli_example(struct arena *a, struct err *e)
{
	struct mut_subject *s = ARENA_NEW(a, struct mut_subject);
	struct lir_func **f = ARENA_ARRAY(a, struct lir_func *, 2);

	*s = (struct mut_subject){.func = f, .nfuncs = 2};
	if (!gir_parse(a, "example", network, sizeof network - 1, &s->graph, e) || !comp_infer(s->graph, e) ||
	    !lir_parse(a, "example", kernel, sizeof kernel - 1, f, e) || !lir_parse(a, "example", group, sizeof group - 1, f + 1, e))
		return NULL;
	return s;
}

static bool print_both(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct str *before, struct str *after, struct err *e)
{
	struct lir_func **func;
	struct gir_graph *g;

	if (m->op->kind == MUT_LOOP) {
		if (!mut_apply_loop(a, s, m, &func, e))
			return false;
		for (size_t i = 0; i < s->nfuncs; i++) {
			if (!func[i]) /* untouched */
				continue;
			lir_print(before, s->func[i]);
			lir_print(after, func[i]);
		}
	} else {
		if (!mut_apply_graph(a, s, m, &g, e) || !comp_infer(g, e))
			return false;
		gir_print(before, s->graph, false);
		gir_print(after, g, false);
	}
	return true;
}

/* The lines of a unified diff without its heads. */
static void add_lines(struct str *out, const char *diff)
{
	while (*diff) {
		size_t n = strcspn(diff, "\n");

		if (strncmp(diff, "---", 3) && strncmp(diff, "+++", 3) && *diff != '@')
			str_addf(out, "%.*s\n", (int)n, diff);
		diff += n + (diff[n] == '\n');
	}
}

static bool add_mutant(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct str *out, struct err *e)
{
	struct str before = {0}, after = {0}, diff = {0};
	bool ok;

	if (m->op->kind == MUT_INPUT) {
		str_addf(out, "input: %s\n", mut_input_edit(m));
		return true;
	}
	ok = print_both(a, s, m, &before, &after, e);
	if (ok) {
		text_diff(&diff, "a", str_text(&before), "b", str_text(&after), 0);
		add_lines(out, str_text(&diff));
	}
	str_free(&before);
	str_free(&after);
	str_free(&diff);
	return ok;
}

bool cli_example_diff(struct arena *a, const struct mut_subject *s, const struct mut_op *op, unsigned variant, struct str *out, bool *found, struct err *e)
{
	struct mut_spec spec = {.operator_glob = op->name, .variant_glob = "*", .pick = MUT_EACH};
	struct arena *scratch = arena_new(a);
	struct mutant *m;
	size_t n;
	bool ok = mut_list(scratch, s, &spec, 1, 1, &m, &n, e);

	*found = false;
	for (size_t i = 0; ok && i < n && !*found; i++) {
		if (!m[i].sites || m[i].variant != variant)
			continue;
		*found = true;
		ok = add_mutant(scratch, s, &m[i], out, e);
	}
	arena_free(scratch);
	return ok;
}
