/* test_mutate.c: which mutants are listed - sites, ids, selection, samples. What each operator does: tests/golden/mutate */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "mutate/mutate.h"
#include "test_support.h"

/* Two kernels, one with a name that ids must escape; `skip` has 3 sites in program order: 0 in a/b%, 1 and 2 in late. */
static const char first_text[] = "func \"a/b%\" (in0: f32[4], out out0: f32[4]) {\n"
				 "  for i in 0..4 serial {\n"
				 "    out0[i] = select(i < 2, in0[i], 0.5)\n"
				 "  }\n"
				 "}\n";
static const char late_text[] = "func late(in0: f32[4], out out0: f32[4]) {\n"
				"  for i in 0..4 serial {\n"
				"    if i < 3 {\n"
				"      out0[i] = in0[i] + 1.0\n"
				"    } else {\n"
				"      out0[i] = 0.0\n"
				"    }\n"
				"  }\n"
				"}\n";
static const char graph_text[] = "graph \"net\" opset 13 {\n"
				 "  input \"x\": f32[1,2]\n"
				 "  \"r/1\" = Relu(\"x\") -> \"a\": f32[1,2]\n"
				 "  \"r2\" = Relu(\"a\") -> \"b\": f32[1,2]\n"
				 "  \"sum\" = Add(\"a\", \"b\") -> \"y\": f32[1,2]\n"
				 "  output \"y\"\n"
				 "}\n";

static struct mut_subject subject(struct arena *a)
{
	struct lir_func **f = ARENA_ARRAY(a, struct lir_func *, 2);
	struct mut_subject s = {.func = f, .nfuncs = 2};
	struct err e = {0};

	cr_assert(lir_parse(a, "first", first_text, sizeof first_text - 1, &f[0], &e), "%s", err_text(&e));
	cr_assert(lir_parse(a, "late", late_text, sizeof late_text - 1, &f[1], &e), "%s", err_text(&e));
	cr_assert(gir_parse(a, "graph", graph_text, sizeof graph_text - 1, &s.graph, &e), "%s", err_text(&e));
	return s;
}

/* The ids of what the specs list, each with its number of sites: "id=1 id=1 ". */
static const char *listed_with(struct arena *a, const struct mut_subject *s, const struct mut_spec *spec, size_t n, uint64_t seed)
{
	struct mutant *m;
	struct str text = {0};
	struct err e = {0};
	const char *out;
	size_t k;

	cr_assert(mut_list(a, s, spec, n, seed, &m, &k, &e), "%s", err_text(&e));
	for (size_t i = 0; i < k; i++)
		str_addf(&text, "%s=%llu ", m[i].id, (unsigned long long)m[i].sites);
	out = arena_strdup(a, text.s ? text.s : "");
	str_free(&text);
	return out;
}

static const char *listed(struct arena *a, const struct mut_subject *s, struct mut_spec spec)
{
	return listed_with(a, s, &spec, 1, 1);
}

#define LISTED(want, ...) cr_expect_str_eq(listed(a, &s, (struct mut_spec){__VA_ARGS__}), want)

TEST(mutate, each_lists_one_mutant_per_site_and_variant_in_program_order)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);

	LISTED("loop.store.skip/a%2Fb%25/0/skip=1 loop.store.skip/late/0/skip=1 loop.store.skip/late/1/skip=1 ",
	       .operator_glob = "loop.store.skip");
	LISTED("loop.guard/late/0/always=1 loop.guard/late/0/never=1 ", .operator_glob = "loop.guard");
	LISTED("graph.replace.relu/r%2F1/0/to-exp=1 graph.replace.relu/r2/0/to-exp=1 ", .operator_glob = "graph.replace.relu",
	       .variant_glob = "to-exp");
	LISTED("input.flip/input/0/horizontal=1 input.flip/input/0/vertical=1 ", .operator_glob = "input.flip");
	cr_expect_eq(mut_count_sites(&s, mut_find("loop.store.skip")), 3);
	cr_expect_eq(mut_count_sites(&s, mut_find("loop.threshold")), 2);
	arena_free(a);
}

TEST(mutate, a_threshold_is_scaled_only_where_that_can_change_something)
{
	static const char text[] = "func zero(in0: f32[4], out out0: f32[4]) {\n"
				   "  for i in 0..4 serial {\n"
				   "    out0[i] = select(i >= 0, select(in0[i] < 0.0, in0[i], 1.0), 0.5)\n"
				   "  }\n"
				   "}\n";
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct lir_func *f;
	struct err e = {0};

	cr_assert(lir_parse(a, "zero", text, sizeof text - 1, &f, &e), "%s", err_text(&e));
	s.func = &f;
	s.nfuncs = 1;
	LISTED("loop.threshold/zero/0/left/2=1 ", .operator_glob = "loop.threshold", .variant_glob = "left[*/]2");
	LISTED("loop.threshold/*/all/left+10%=0 ", .operator_glob = "loop.threshold", .variant_glob = "*10%");
	LISTED("loop.threshold/zero/0/right+1=1 loop.threshold/zero/1/right+1=1 ", .operator_glob = "loop.threshold", .variant_glob = "right+1");
	arena_free(a);
}

TEST(mutate, all_is_one_mutant_and_its_first_variant_unless_others_are_named)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);

	LISTED("loop.store.skip/*/all/skip=3 ", .operator_glob = "loop.store.skip", .pick = MUT_ALL);
	LISTED("loop.bound.extent/*/all/+1=2 ", .operator_glob = "loop.bound.extent", .pick = MUT_ALL);
	LISTED("loop.bound.extent/*/all/+1=2 loop.bound.extent/*/all/-1=2 ", .operator_glob = "loop.bound.extent",
	       .variant_glob = "[+-]1", .pick = MUT_ALL);
	arena_free(a);
}

TEST(mutate, ranges_count_places_over_the_whole_program)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);

	LISTED("loop.store.skip/late/0/skip=1 loop.store.skip/late/1/skip=1 ", .operator_glob = "loop.store.skip",
	       .pick = MUT_RANGE, .first = 1, .last = 9);
	LISTED("loop.store.skip/a%2Fb%25/0/skip=1 ", .operator_glob = "loop.store.skip", .pick = MUT_RANGE);
	LISTED("loop.store.skip/*/7/skip=0 ", .operator_glob = "loop.store.skip", .pick = MUT_RANGE, .first = 7, .last = 9);
	arena_free(a);
}

TEST(mutate, targets_limit_every_kind_of_selection)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);

	LISTED("loop.store.skip/a%2Fb%25/0/skip=1 ", .operator_glob = "loop.store.skip", .target_glob = "a/*");
	LISTED("loop.store.skip/late/all/skip=2 ", .operator_glob = "loop.store.skip", .pick = MUT_ALL, .target_glob = "late");
	LISTED("loop.store.skip/a%2Fb%25/all/skip=1 loop.store.skip/late/all/skip=2 ", .operator_glob = "loop.store.skip",
	       .pick = MUT_ALL, .target_glob = "*");
	LISTED("graph.replace.relu/r2/all/to-sigmoid=1 ", .operator_glob = "graph.replace.relu", .pick = MUT_ALL,
	       .target_glob = "r[2-9]");
	LISTED("loop.store.skip/none/all/skip=0 ", .operator_glob = "loop.store.skip", .pick = MUT_ALL, .target_glob = "none");
	arena_free(a);
}

TEST(mutate, what_has_no_site_is_one_row_that_hides_no_other_mutant)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mut_spec spec[] = {{.operator_glob = "loop.store.skip", .target_glob = "none"},
				  {.operator_glob = "loop.store.skip", .pick = MUT_RANGE, .first = 9, .last = 9},
				  {.operator_glob = "loop.store.skip", .pick = MUT_ALL}};

	LISTED("loop.arith.fma/*/all/split=0 ", .operator_glob = "loop.arith.fma");
	LISTED("loop.arith.fma/*/all/no-sum=0 ", .operator_glob = "loop.arith.fma", .variant_glob = "no-sum", .pick = MUT_ALL);
	LISTED("graph.replace.pool/*/all/max-average=0 ", .operator_glob = "graph.replace.pool", .pick = MUT_SAMPLE, .count = 3);
	cr_expect_str_eq(listed_with(a, &s, spec, 3, 1),
			 "loop.store.skip/none/all/skip=0 loop.store.skip/*/9/skip=0 loop.store.skip/*/all/skip=3 ");
	arena_free(a);
}

TEST(mutate, a_mutant_that_two_specs_want_is_listed_once)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mut_spec spec[] = {{.operator_glob = "loop.guard", .variant_glob = "never"}, {.operator_glob = "loop.gu*"}};

	cr_expect_str_eq(listed_with(a, &s, spec, 2, 1), "loop.guard/late/0/never=1 loop.guard/late/0/always=1 ");
	arena_free(a);
}

TEST(mutate, what_a_sample_left_out_a_later_spec_may_list)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mut_spec spec[] = {{.operator_glob = "loop.threshold", .pick = MUT_SAMPLE, .count = 5},
				  {.operator_glob = "loop.threshold"}};
	const char *both = listed_with(a, &s, spec, 2, 3), *all = listed(a, &s, spec[1]);

	cr_expect_eq(strlen(both), strlen(all), "%s", both);
	arena_free(a);
}

TEST(mutate, the_seed_decides_which_mutants_are_drawn)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mut_spec spec = {.operator_glob = "loop.*", .pick = MUT_SAMPLE, .count = 12};
	struct mutant *m;
	size_t n, sites = 0;
	struct err e = {0};
	const char *one = listed_with(a, &s, &spec, 1, 1);

	cr_expect_str_eq(one, listed_with(a, &s, &spec, 1, 1));
	cr_expect_str_neq(one, listed_with(a, &s, &spec, 1, 2));
	cr_assert(mut_list(a, &s, &spec, 1, 1, &m, &n, &e));
	for (size_t i = 0; i < n; i++)
		sites += m[i].sites;
	cr_expect_eq(sites, 12);
	spec.count = 1000000;
	cr_assert(mut_list(a, &s, &spec, 1, 1, &m, &n, &e));
	spec.pick = MUT_EACH;
	cr_assert(mut_list(a, &s, &spec, 1, 1, &m, &sites, &e));
	cr_expect_eq(n, sites, "a sample of more than there are is all");
	arena_free(a);
}

/* Bytes that listing leaves in the arena. */
static size_t kept_by(struct arena *a, const struct mut_subject *s, const struct mut_spec *spec, size_t nspecs)
{
	size_t before = arena_live_bytes(), n;
	struct mutant *m;
	struct err e = {0};

	cr_assert(mut_list(a, s, spec, nspecs, 1, &m, &n, &e), "%s", err_text(&e));
	return arena_live_bytes() - before;
}

TEST(mutate, what_a_sample_does_not_draw_leaves_nothing_behind)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mut_spec one = {.operator_glob = "loop.store.*", .pick = MUT_SAMPLE, .count = 1}, all = {.operator_glob = "loop.store.*"};
	struct mut_spec after[] = {one, {.operator_glob = "loop.*", .pick = MUT_SAMPLE, .count = 1}};
	size_t of_one = kept_by(a, &s, &one, 1);
	struct mutant *m;
	struct err e = {0};
	size_t n;

	cr_assert(mut_list(a, &s, &all, 1, 1, &m, &n, &e));
	cr_expect_gt(n, 10);
	cr_expect_gt(kept_by(a, &s, &all, 1), n * sizeof *m);
	cr_expect_lt(of_one, 10 * sizeof *m, "%zu bytes", of_one); /* the one, its id, and rows of operators without a site */
	cr_expect_lt(kept_by(a, &s, after, 2), 100 * sizeof *m, "after another list, either");
	arena_free(a);
}

TEST(mutate, what_an_earlier_list_has_is_neither_counted_nor_drawn_again)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mut_spec spec[] = {{.operator_glob = "loop.store.*"}, {.operator_glob = "loop.*", .pick = MUT_SAMPLE, .count = 1000000}, {.operator_glob = "loop.*"}};
	struct mut_drawn drawn[3];
	struct mutant *m, *every;
	struct err e = {0};
	size_t n, k, stores;

	cr_assert(mut_list(a, &s, &spec[2], 1, 1, &every, &k, &e) && mut_list(a, &s, spec, 1, 1, &m, &stores, &e));
	cr_assert(mut_list_drawn(a, &s, spec, 3, 1, &m, &n, drawn, &e), "%s", err_text(&e));
	cr_expect_eq(n, k, "%zu and %zu", n, k);
	cr_expect_eq(drawn[1].of, drawn[1].drawn);
	cr_expect_leq(drawn[1].of, n - stores);
	arena_free(a);
}

/* Every mutant is drawn about as often: 4000 samples of 1 of 4. Chi-square with 3 degrees of freedom is below 16.27 in 99.9 %. */
TEST(mutate, a_sample_prefers_no_mutant)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mut_spec spec = {.operator_glob = "loop.bound.min", .pick = MUT_SAMPLE, .count = 1};
	double drawn[4] = {0}, chi = 0;
	struct mutant *m;
	struct err e = {0};
	size_t n;

	for (uint64_t seed = 0; seed < 4000; seed++) {
		cr_assert(mut_list(a, &s, &spec, 1, seed, &m, &n, &e) && n == 1);
		drawn[(strcmp(m->target, "late") ? 0 : 2) + m->variant]++;
	}
	for (int i = 0; i < 4; i++)
		chi += (drawn[i] - 1000) * (drawn[i] - 1000) / 1000;
	cr_expect_lt(chi, 16.27);
	arena_free(a);
}

TEST(mutate, ids_mean_the_same_after_the_program_was_printed_and_parsed)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a), again = subject(a);
	struct lir_func *f[2];
	struct mut_spec every = {.operator_glob = "*"};
	struct mutant *m, back;
	struct err e = {0};
	size_t n;

	for (int k = 0; k < 2; k++) {
		struct str text = {0};

		lir_print(&text, s.func[k]);
		cr_assert(lir_parse(a, "again", text.s, text.n, &f[k], &e), "%s", err_text(&e));
		str_free(&text);
	}
	again.func = f;
	cr_expect_str_eq(listed(a, &s, every), listed(a, &again, every));
	cr_assert(mut_list(a, &s, &every, 1, 1, &m, &n, &e));
	for (size_t i = 0; i < n; i++) {
		cr_assert(mut_parse(a, &again, m[i].id, &back, &e), "%s", err_text(&e));
		cr_expect(back.op == m[i].op && back.variant == m[i].variant && back.ordinal == m[i].ordinal &&
			      back.all == m[i].all && back.sites == m[i].sites && !strcmp(back.target, m[i].target),
			  "%s", m[i].id);
	}
	arena_free(a);
}

TEST(mutate, an_id_that_does_not_fit_is_refused_with_the_part_that_does_not)
{
	static const char *const bad[][2] = {
	    {"", "ids are"},
	    {"loop.guard", "ids are"},
	    {"loop.guard/late/0", "ids are"},
	    {"loop.gard/late/0/never", "'loop.gard'"},
	    {"loop.guard/late/x/never", "'x'"},
	    {"loop.guard/late/-1/never", "'-1'"},
	    {"loop.guard/late//never", "ordinal"},
	    {"loop.guard/late/4294967296/never", "4294967296"},
	    {"loop.guard/late/0/sometimes", "'sometimes'"},
	    {"loop.guard/late/0/never/", "'never/'"},
	    {"loop.guard/late/1/never", "'late' has no such site"},
	    {"loop.guard/early/0/never", "'early' has no such site"},
	    {"loop.guard/early/all/never", "'early' has no such site"},
	    {"loop.guard/*/0/never", "'*' has no such site"},
	    {"loop.store.skip/a/b%25/0/skip", "'b%25'"},
	    {"graph.replace.relu/r2/1/to-exp", "node 'r2' has no such site"},
	    {"graph.replace.relu/r2/0/to-relu", "node 'r2' has no such site"},
	};
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mutant m;
	struct err e = {0};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		cr_expect(!mut_parse(a, &s, bad[i][0], &m, &e), "'%s' is taken", bad[i][0]);
		cr_expect(strstr(err_text(&e), bad[i][1]), "'%s': %s", bad[i][0], err_text(&e));
	}
	err_free(&e);
	arena_free(a);
}

TEST(mutate, an_operator_or_variant_that_does_not_exist_is_refused)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mutant *m;
	struct err e = {0};
	size_t n;

	cr_expect(!mut_list(a, &s, &(struct mut_spec){.operator_glob = "loop.nope*"}, 1, 1, &m, &n, &e) &&
		  strstr(err_text(&e), "'loop.nope*'"));
	cr_expect(!mut_list(a, &s, &(struct mut_spec){.operator_glob = "loop.guard", .variant_glob = "x"}, 1, 1, &m, &n, &e) &&
		  strstr(err_text(&e), "variant x"));
	err_free(&e);
	arena_free(a);
}

/* Which of the two kernels a mutant changes. */
static void changed_kernels(struct arena *a, const struct mut_subject *s, const char *id, bool *first, bool *late)
{
	struct lir_func **f;
	struct mutant m;
	struct err e = {0};

	cr_assert(mut_parse(a, s, id, &m, &e) && mut_apply_loop(a, s, &m, &f, &e), "%s", err_text(&e));
	*first = f[0] != NULL;
	*late = f[1] != NULL;
}

TEST(mutate, a_mutant_changes_its_target_and_nothing_else)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct hash before[2] = {lir_hash(s.func[0]), lir_hash(s.func[1])};
	struct gir_graph *g;
	struct mutant m;
	struct err e = {0};
	bool first, late;

	changed_kernels(a, &s, "loop.store.skip/late/all/skip", &first, &late);
	cr_expect(!first && late);
	changed_kernels(a, &s, "loop.store.skip/a%2Fb%25/0/skip", &first, &late);
	cr_expect(first && !late);
	changed_kernels(a, &s, "loop.store.skip/*/all/skip", &first, &late);
	cr_expect(first && late);
	changed_kernels(a, &s, "loop.guard/*/all/never", &first, &late);
	cr_expect(!first && late, "a kernel without a site stays the original's");
	for (int k = 0; k < 2; k++)
		cr_expect(hash_eq(before[k], lir_hash(s.func[k])), "the original changed");

	cr_assert(mut_parse(a, &s, "graph.replace.relu/r2/all/to-exp", &m, &e) && mut_apply_graph(a, &s, &m, &g, &e), "%s",
		  err_text(&e));
	cr_expect(g->nodes.v[0]->op == GIR_RELU && g->nodes.v[1]->op == GIR_EXP);
	cr_assert(mut_parse(a, &s, "graph.replace.relu/*/all/to-exp", &m, &e) && m.sites == 2 && mut_apply_graph(a, &s, &m, &g, &e),
		  "%s", err_text(&e));
	cr_expect(g->nodes.v[0]->op == GIR_EXP && g->nodes.v[1]->op == GIR_EXP && s.graph->nodes.v[0]->op == GIR_RELU);
	arena_free(a);
}

TEST(mutate, presets_name_operators_and_variants_that_exist)
{
	struct arena *a = arena_new(NULL);
	struct mut_subject s = subject(a);
	struct mutant *m;
	struct err e = {0};
	size_t n;

	for (size_t i = 0; mut_presets[i]; i++) {
		cr_assert(mut_list(a, &s, mut_presets[i]->spec, mut_presets[i]->n, 1, &m, &n, &e), "%s", err_text(&e));
		cr_expect_eq(mut_preset_find(mut_presets[i]->name), mut_presets[i]);
		if (!strcmp(mut_presets[i]->name, "mutatenn-paper")) {
			cr_expect_eq(n, 22);
			for (size_t k = 0; k < n; k++)
				cr_expect(m[k].label && m[k].all);
		}
	}
	cr_expect_null(mut_preset_find("nope"));
	arena_free(a);
}
