/* golden_mutate.c: what every mutation operator does, as a text that people review
 *
 * usage: golden_mutate FOLDER [--update]
 *
 * Subjects: FOLDER/subject.lir for loop operators, a small network built here for graph operators, both together for counting.
 * For every operator: how many sites, and for each of its variants the difference that its first mutant makes.
 * FOLDER/operators.expect holds the text. Apart from the text it is checked, for every row of operators.def, that
 *   - where there is nothing to mutate there is one row without a site,
 *   - every variant occurs, no mutant equals the original, its IR verifies, and its id reads back as the same mutant,
 *   - the sites counted beforehand are those listed, and the same seed draws the same sample.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/diff.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "compile/compile.h"
#include "mutate/mutate.h"

static int wrong;

#define CHECK(x, ...) ((x) ? (void)0 : (void)(wrong++, fprintf(stderr, __VA_ARGS__), fputc('\n', stderr)))

/* ---- subjects ---- */

static struct gir_value *weights(struct gir_graph *g, const char *name, int nd, const int64_t *dim)
{
	struct tensor *t = tensor_new(g->arena, DT_F32, nd, dim);

	for (int64_t i = 0; i < tensor_elements(t); i++)
		((float *)t->data)[i] = 0.25f * (float)(i % 7) - 0.5f;
	return gir_const(g, name, t);
}

static struct gir_value *node(struct gir_graph *g, const char *name, enum gir_op op, uint32_t nin, struct gir_value **in)
{
	struct gir_value *out = gir_value(g, name);

	gir_append(g, gir_node(g, name, op, nin, in, 1, &out));
	return out;
}

#define NODE(name, op, ...)                                                                                                        \
	node(g, name, op, sizeof((struct gir_value *[]){__VA_ARGS__}) / sizeof(void *), (struct gir_value *[]){__VA_ARGS__})

static struct gir_graph *network(struct arena *a)
{
	struct gir_graph *g = gir_new(a, "subject", 13);
	struct gir_value *x = gir_value_typed(g, "x", DT_F32, 4, (int64_t[]){1, 4, 8, 8}), *y, *z;
	int64_t c = 4;

	vec_push(a, &g->inputs, x);
	x = NODE("conv", GIR_CONV, x, weights(g, "conv.w", 4, (int64_t[]){4, 4, 3, 3}), weights(g, "conv.b", 1, &c));
	gir_set_ints(g, x->producer, "pads", (int64_t[]){0, 0, 2, 2}, 4);
	gir_set_ints(g, x->producer, "kernel_shape", (int64_t[]){3, 3}, 2);
	x = NODE("wide", GIR_CONV, x, weights(g, "wide.w", 4, (int64_t[]){4, 4, 3, 3}));
	gir_set_string(g, x->producer, "auto_pad", "SAME_UPPER");
	gir_set_ints(g, x->producer, "dilations", (int64_t[]){1, 2}, 2);
	x = NODE("swap", GIR_CONV, x, weights(g, "swap.w", 4, (int64_t[]){4, 4, 3, 3}));
	gir_set_ints(g, x->producer, "pads", (int64_t[]){2, 1, 0, 1}, 4);
	gir_set_ints(g, x->producer, "kernel_shape", (int64_t[]){3, 3}, 2);
	x = NODE("bn", GIR_BATCHNORMALIZATION, x, weights(g, "bn.s", 1, &c), weights(g, "bn.b", 1, &c), weights(g, "bn.m", 1, &c),
		 weights(g, "bn.v", 1, &c));
	x = NODE("relu", GIR_RELU, x);
	y = NODE("sigmoid", GIR_SIGMOID, x);
	z = NODE("tanh", GIR_TANH, x);
	x = NODE("add", GIR_ADD, y, z);
	x = NODE("sub", GIR_SUB, x, y);
	x = NODE("mul", GIR_MUL, x, z);
	x = NODE("div", GIR_DIV, x, y);
	x = NODE("clip", GIR_CLIP, x);
	x = NODE("exp", GIR_EXP, x);
	x = NODE("maxpool", GIR_MAXPOOL, x);
	gir_set_ints(g, x->producer, "kernel_shape", (int64_t[]){2, 2}, 2);
	x = NODE("avgpool", GIR_AVERAGEPOOL, x);
	gir_set_ints(g, x->producer, "kernel_shape", (int64_t[]){3, 3}, 2);
	gir_set_ints(g, x->producer, "pads", (int64_t[]){1, 1, 1, 1}, 4);
	x = NODE("flatten", GIR_FLATTEN, x);
	gir_set_int(g, x->producer, "axis", 2);
	x = NODE("gemm", GIR_GEMM, x, weights(g, "gemm.w", 2, (int64_t[]){49, 4}), weights(g, "gemm.b", 1, &c));
	x = NODE("square", GIR_GEMM, x, weights(g, "square.w", 2, (int64_t[]){4, 4}), weights(g, "square.c", 2, (int64_t[]){4, 4}));
	vec_push(a, &g->outputs, x);
	return g;
}

static struct mut_subject everything(struct arena *a, const char *folder)
{
	static const char *const files[] = {"subject.lir", "group.lir"};
	struct lir_func **f = ARENA_ARRAY(a, struct lir_func *, 2);
	struct mut_subject s = {.graph = network(a), .func = f, .nfuncs = 2};
	struct bytes text;
	struct err e = {0};
	bool ok = comp_infer(s.graph, &e);

	for (int i = 0; ok && i < 2; i++) {
		const char *path = file_join(a, folder, files[i]);

		ok = file_read(a, path, 0, &text, &e) && lir_parse(a, path, (const char *)text.p, text.n, &f[i], &e);
	}
	if (!ok) {
		fprintf(stderr, "%s\n", err_text(&e));
		exit(2);
	}
	return s;
}

static struct mut_subject nothing(struct arena *a)
{
	struct lir_func **f = ARENA_ARRAY(a, struct lir_func *, 1);
	struct mut_subject s = {.graph = gir_new(a, "nothing", 13), .func = f, .nfuncs = 1};
	static const char text[] = "func \"nothing\" (in0: f32[1], out out0: f32[1]) {\n}\n";
	struct err e = {0};

	if (!lir_parse(a, "nothing", text, sizeof text - 1, f, &e)) {
		fprintf(stderr, "%s\n", err_text(&e));
		exit(2);
	}
	return s;
}

/* ---- one mutant ---- */

static void print_func(struct str *s, const struct lir_func *f)
{
	lir_print(s, f);
}

static void show_loop(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct str *out)
{
	struct str before = {0}, after = {0};
	struct lir_func **func, *again;
	struct err e = {0};
	size_t i = 0;

	if (!mut_apply_loop(a, s, m, &func, &e)) {
		CHECK(false, "%s: %s", m->id, err_text(&e));
		return;
	}
	while (i + 1 < s->nfuncs && !func[i])
		i++;
	print_func(&before, s->func[i]);
	print_func(&after, func[i]);
	CHECK(strcmp(before.s, after.s), "%s: changes nothing", m->id);
	CHECK(lir_verify(func[i], &e) && lir_parse(a, m->id, after.s, after.n, &again, &e), "%s: %s", m->id, err_text(&e));
	text_diff(out, "original", before.s, "mutant", after.s, 0);
	str_free(&before);
	str_free(&after);
}

static void show_graph(struct arena *a, const struct mut_subject *s, const struct mutant *m, struct str *out)
{
	struct str before = {0}, after = {0};
	struct gir_graph *g;
	struct err e = {0};

	if (!mut_apply_graph(a, s, m, &g, &e)) {
		CHECK(false, "%s: %s", m->id, err_text(&e));
		return;
	}
	CHECK(comp_infer(g, &e) && gir_verify(g, &e), "%s: %s", m->id, err_text(&e));
	gir_print(&before, s->graph, false);
	gir_print(&after, g, false);
	CHECK(strcmp(before.s, after.s), "%s: changes nothing", m->id);
	text_diff(out, "original", before.s, "mutant", after.s, 0);
	str_free(&before);
	str_free(&after);
	err_free(&e);
}

/* Only what is different: no heads of the diff. */
static void add_changes(struct str *out, const char *diff)
{
	while (*diff) {
		size_t n = strcspn(diff, "\n");

		if (strncmp(diff, "---", 3) && strncmp(diff, "+++", 3) && *diff != '@')
			str_addf(out, "    %.*s\n", (int)n, diff);
		diff += n + (diff[n] == '\n');
	}
}

static void check_id(struct arena *a, const struct mut_subject *s, const struct mutant *m)
{
	struct mutant again;
	struct err e = {0};

	CHECK(mut_parse(a, s, m->id, &again, &e) && again.op == m->op && again.ordinal == m->ordinal &&
		  again.variant == m->variant && again.all == m->all && !strcmp(again.target, m->target),
	      "%s: does not read back: %s", m->id, err_text(&e));
}

/* ---- one operator ---- */

static struct mutant *list(struct arena *a, const struct mut_subject *s, const char *name, enum mut_pick pick, uint64_t count,
			   uint64_t seed, size_t *n)
{
	struct mut_spec spec = {.operator_glob = name, .pick = pick, .count = count};
	struct mutant *m = NULL;
	struct err e = {0};

	CHECK(mut_list(a, s, &spec, 1, seed, &m, n, &e), "%s: %s", name, err_text(&e));
	return m;
}

static void check_sample(struct arena *a, const struct mut_subject *s, const struct mut_op *op, size_t all)
{
	size_t n, k, other, same = 0;
	struct mutant *x = list(a, s, op->name, MUT_SAMPLE, 5, 7, &n), *y = list(a, s, op->name, MUT_SAMPLE, 5, 7, &k);
	struct mutant *z = list(a, s, op->name, MUT_SAMPLE, 5, 8, &other);

	CHECK(n == k && n == (all < 5 ? all : 5), "%s: a sample of 5 has %zu and %zu of %zu", op->name, n, k, all);
	for (size_t i = 0; i < n && i < k; i++) {
		CHECK(!strcmp(x[i].id, y[i].id), "%s: the same seed drew '%s' and '%s'", op->name, x[i].id, y[i].id);
		same += i < other && !strcmp(x[i].id, z[i].id);
	}
	CHECK(all < 40 || same < n, "%s: another seed draws the same", op->name);
}

/* No operator becomes itself; vectors have no rows and columns to exchange. */
static bool impossible(const struct mut_op *op, const char *variant)
{
	const char *last = strrchr(op->name, '.') + 1;

	if (!strcmp(op->name, "graph.insert.transpose.conv"))
		return !strcmp(variant, "before-2");
	if (!strcmp(op->name, "graph.insert.transpose.batch-norm"))
		return !strcmp(variant, "before-1") || !strcmp(variant, "before-2");
	if (!strcmp(op->name, "graph.replace.unary"))
		return !strcmp(variant, "to-exp"); /* the one of the subject */
	return !strncmp(op->name, "graph.replace.", 14) && !strncmp(variant, "to-", 3) && !strcmp(variant + 3, last);
}

static void one_operator(const struct mut_subject *s, const struct mut_subject *none, const struct mut_op *op, struct str *out)
{
	struct arena *a = arena_new(NULL);
	size_t n, empty, places = 0;
	struct mutant *m = list(a, s, op->name, MUT_EACH, 0, 1, &n), *no = list(a, none, op->name, MUT_EACH, 0, 1, &empty);
	uint64_t seen = 0;

	CHECK(op->kind == MUT_INPUT || (empty == 1 && no[0].sites == 0 && mut_count_sites(none, op) == 0),
	      "%s: %zu rows where there is nothing", op->name, empty);
	str_addf(out, "%s: %llu sites, %zu mutants\n", op->name, (unsigned long long)mut_count_sites(s, op), n);
	for (size_t i = 0; i < n; i++) {
		struct str diff = {0};

		CHECK(m[i].sites == 1, "%s: %llu sites", m[i].id, (unsigned long long)m[i].sites);
		check_id(a, s, &m[i]);
		places += !i || m[i].ordinal != m[i - 1].ordinal || strcmp(m[i].target, m[i - 1].target);
		if (op->kind == MUT_LOOP)
			show_loop(a, s, &m[i], &diff);
		else if (op->kind == MUT_GRAPH)
			show_graph(a, s, &m[i], &diff);
		else
			str_addf(&diff, "%s\n", mut_input_edit(&m[i]));
		if (!(seen >> m[i].variant & 1)) {
			str_addf(out, "  %s\n", m[i].id);
			add_changes(out, diff.s);
		}
		seen |= UINT64_C(1) << m[i].variant;
		str_free(&diff);
	}
	CHECK(op->kind == MUT_INPUT || places == mut_count_sites(s, op), "%s: %zu places are listed", op->name, places);
	for (unsigned v = 0; op->variant[v]; v++)
		CHECK((seen >> v & 1) != impossible(op, op->variant[v]), "%s: the subject has %s for '%s'", op->name,
		      seen >> v & 1 ? "a place" : "no place", op->variant[v]);
	check_sample(a, s, op, n);
	arena_free(a);
}

int main(int argc, char **argv)
{
	bool update = argc > 2 && !strcmp(argv[2], "--update");
	struct arena *a = arena_new(NULL);
	struct mut_subject s, none;
	struct bytes want = {0};
	struct str text = {0};
	struct err e = {0};
	const char *path;

	if (argc < 2) {
		fprintf(stderr, "usage: golden_mutate FOLDER [--update]\n");
		return 2;
	}
	s = everything(a, argv[1]);
	none = nothing(a);
	path = file_join(a, argv[1], "operators.expect");
	for (size_t i = 0; mut_ops[i]; i++)
		one_operator(&s, &none, mut_ops[i], &text);
	if (update)
		CHECK(file_write(path, text.s, text.n, &e), "%s", err_text(&e));
	else if (!file_read(a, path, 0, &want, &e))
		CHECK(false, "%s", err_text(&e));
	else if (want.n != text.n || memcmp(want.p, text.s, text.n)) {
		struct str d = {0};

		text_diff(&d, "expected", (const char *)want.p, "got", text.s, 2);
		CHECK(false, "%s", d.s);
		str_free(&d);
	}
	str_free(&text);
	err_free(&e);
	arena_free(a);
	return wrong != 0;
}
