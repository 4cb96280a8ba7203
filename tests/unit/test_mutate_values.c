/* test_mutate_values.c: what every loop mutation operator does to the numbers, worked out by hand, by the interpreter
 *
 * A new variant of a loop operator needs a row. in0 is {1, 2, 3, 4}, in1 is {10, 20, 30, 40}; out0 begins as {-1, -1, -1, -1}.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "mutate/mutate.h"
#include "test_support.h"

#define COPY "for i in 0..4 serial {\n out0[i] = in0[i]\n }\n"
#define SOME "for i in 1..+2 serial {\n out0[i] = in0[i]\n }\n"
#define LAUNCH "for i in 0..2 parallel {\n out0[i] = in0[i]\n }\n"
#define GUARD "for i in 0..4 serial {\n if i < 2 {\n out0[i] = in0[i]\n }\n }\n"
#define INSIDE "out0[1] = in0[2]\n"
#define STORE "for i in 0..4 serial {\n out0[i] = in0[i] / 8.0\n }\n"
#define SUM "for i in 0..4 serial {\n out0[i] = in0[i] + 2.0\n }\n"
#define PRODUCT "for i in 0..4 serial {\n out0[i] = in0[i] * 2.0\n }\n"
#define FMA "for i in 0..4 serial {\n out0[i] = fma(in0[i], in1[i], in1[i])\n }\n"
#define CONSTANT "for i in 0..4 serial {\n out0[i] = 3.0\n }\n"
#define COMPARE "for i in 0..4 serial {\n out0[i] = select(in0[i] < 2.0, 1.0, 0.0)\n }\n"
#define NEAR "for i in 0..4 serial {\n out0[i] = select(in0[i] < 2.1, 1.0, 0.0)\n }\n"
#define INDEX "for i in 0..4 serial {\n out0[i] = select(i < 2, 1.0, 0.0)\n }\n"
#define SPLIT "for i in 0..4 serial {\n out0[i] = fma(1.00024414:f32, 1.00024414:f32, -1.00048828:f32)\n }\n"

#define TURN                                                                                                                       \
	"alloc s: f32[4] shared\n for t in 0..4 thread {\n s[t] = in0[t]\n }\n for u in 0..4 thread {\n out0[u] = s[3 - u]\n }\n"

/* out: four numbers; or the start of the interpreter's fault. */
static const struct {
	const char *op, *variant, *body, *out;
} row[] = {
    {"loop.guard", "always", GUARD, "1 2 3 4"},
    {"loop.guard", "never", GUARD, "-1 -1 -1 -1"},

    {"loop.threshold", "left+1", COMPARE, "0 0 0 0"},
    {"loop.threshold", "left-1", COMPARE, "1 1 0 0"},
    {"loop.threshold", "left+0.5", NEAR, "1 0 0 0"},
    {"loop.threshold", "left-0.5", COMPARE, "1 1 0 0"},
    {"loop.threshold", "left+10%", NEAR, "1 0 0 0"},
    {"loop.threshold", "left-10%", COMPARE, "1 1 0 0"},
    {"loop.threshold", "left*2", COMPARE, "0 0 0 0"},
    {"loop.threshold", "left/2", COMPARE, "1 1 1 0"},
    {"loop.threshold", "right+1", COMPARE, "1 1 0 0"},
    {"loop.threshold", "right-1", COMPARE, "0 0 0 0"},
    {"loop.threshold", "right+0.5", COMPARE, "1 1 0 0"},
    {"loop.threshold", "right-0.5", NEAR, "1 0 0 0"},
    {"loop.threshold", "right+10%", COMPARE, "1 1 0 0"},
    {"loop.threshold", "right-10%", NEAR, "1 0 0 0"},
    {"loop.threshold", "right*2", COMPARE, "1 1 1 0"},
    {"loop.threshold", "right/2", COMPARE, "0 0 0 0"},
    /* of integers: fractions are not cut off, halves are */
    {"loop.threshold", "right+0.5", INDEX, "1 1 1 0"},
    {"loop.threshold", "left-0.5", INDEX, "1 1 1 0"},
    {"loop.threshold", "right+10%", INDEX, "1 1 1 0"},
    {"loop.threshold", "left/2", INDEX, "1 1 1 1"},

    {"loop.bound.min", "+1", SOME, "-1 -1 3 4"},
    {"loop.bound.min", "-1", SOME, "1 2 -1 -1"},
    {"loop.bound.extent", "+1", SOME, "-1 2 3 4"},
    {"loop.bound.extent", "-1", SOME, "-1 2 -1 -1"},
    {"loop.bound.extent", "half", SOME, "-1 2 -1 -1"},
    {"loop.bound.extent", "double", SOME, "a read of 'in0' out of bounds: index 4"},
    {"loop.launch.extent", "+1", LAUNCH, "1 2 3 -1"},
    {"loop.launch.extent", "-1", LAUNCH, "1 -1 -1 -1"},
    {"loop.launch.extent", "half", LAUNCH, "1 -1 -1 -1"},
    {"loop.launch.extent", "double", LAUNCH, "1 2 3 4"},
    {"loop.index.load", "+1", INSIDE, "-1 4 -1 -1"},
    {"loop.index.load", "-1", INSIDE, "-1 2 -1 -1"},
    {"loop.index.load", "+1", COPY, "a read of 'in0' out of bounds: index 4"},
    {"loop.index.store", "+1", INSIDE, "-1 -1 3 -1"},
    {"loop.index.store", "-1", INSIDE, "3 -1 -1 -1"},
    {"loop.index.store", "-1", COPY, "a write to 'out0' out of bounds: index -1"},

    /* halves 0x3c00 0x4000 0x4200 0x4400 in the first eight bytes: 0x40003c00 and 0x44004200 as f32 */
    {"loop.store.narrow", "f16", COPY, "2.0036621 513.03125 -1 -1"},
    /* integers 1 to 4: denormal f32 */
    {"loop.store.narrow", "i32", COPY, "1.40129846e-45 2.80259693e-45 4.20389539e-45 5.60519386e-45"},
    /* 0x00020001 and 0x00040003 */
    {"loop.store.narrow", "i16", COPY, "1.83672394e-40 3.67346189e-40 -1 -1"},
    /* 0x04030201 */
    {"loop.store.narrow", "i8", COPY, "1.53998961e-36 -1 -1 -1"},
    {"loop.store.round-trip", "f16", "out0[0] = 2049.0\n out0[1] = 0.1\n", "2048 0.1 -1 -1"},
    {"loop.store.round-trip", "i32", "out0[0] = -1.75\n", "-1 -1 -1 -1"},
    {"loop.store.round-trip", "i16", "out0[0] = 40000.0\n", "-25536 -1 -1 -1"},
    {"loop.store.round-trip", "i8", "out0[0] = 200.0\n", "-56 -1 -1 -1"},

    {"loop.store.value", "-1e-8", "out0[0] = 1e-7\n", "9e-08 -1 -1 -1"},
    {"loop.store.value", "*1.00000001", COPY, "1 2 3 4"}, /* 1.00000001 is 1 in f32: an equivalent mutant of the published set */
    {"loop.store.value", "+1e-3", STORE, "0.126 0.251 0.376 0.501"},
    {"loop.store.value", "-1e-3", STORE, "0.124 0.249 0.374 0.499"},
    {"loop.store.value", "*1.001", STORE, "0.125125 0.25025 0.375375 0.5005"},
    {"loop.store.value", "div1.001", STORE, "0.124875125 0.24975025 0.374625375 0.4995005"},
    {"loop.store.value", "+1", STORE, "1.125 1.25 1.375 1.5"},
    {"loop.store.value", "-1", STORE, "-0.875 -0.75 -0.625 -0.5"},
    {"loop.store.value", "*2", STORE, "0.25 0.5 0.75 1"},
    {"loop.store.value", "div2", STORE, "0.0625 0.125 0.1875 0.25"},
    {"loop.store.value", "negate", STORE, "-0.125 -0.25 -0.375 -0.5"},
    {"loop.store.value", "zero", STORE, "0 0 0 0"},
    {"loop.sync.barrier", "drop", TURN, "a race: two work-items touch element 3 of 's'"},
    {"loop.store.skip", "skip", COPY, "-1 -1 -1 -1"},

    {"loop.arith.operator", "to-add", PRODUCT, "3 4 5 6"},
    {"loop.arith.operator", "to-sub", SUM, "-1 0 1 2"},
    {"loop.arith.operator", "to-mul", SUM, "2 4 6 8"},
    {"loop.arith.operator", "to-div", SUM, "0.5 1 1.5 2"},
    {"loop.arith.operator", "to-min", SUM, "1 2 2 2"},
    {"loop.arith.operator", "to-max", SUM, "2 2 3 4"},
    {"loop.arith.fma", "no-product", FMA, "10 20 30 40"},
    {"loop.arith.fma", "no-sum", FMA, "10 40 90 160"},
    {"loop.arith.fma", "subtract", FMA, "0 -20 -60 -120"},
    /* (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24: the last term is lost when the product is rounded */
    {"loop.arith.fma", "split", SPLIT, "0 0 0 0"},
    {"loop.arith.constant", "zero", CONSTANT, "0 0 0 0"},
    {"loop.arith.constant", "negate", CONSTANT, "-3 -3 -3 -3"},
    {"loop.arith.constant", "next", CONSTANT, "4 4 4 4"},
    {"loop.arith.constant", "double", CONSTANT, "6 6 6 6"},

    /* what must change nothing: -0.0 stays what it is, so does its sign; only what does not depend on each other is exchanged */
    {"control.commute", "once", SUM, "3 4 5 6"},
    {"control.commute", "once", PRODUCT, "2 4 6 8"},
    {"control.add-zero", "once", "out0[0] = 1.0 / -0.0\n out0[1] = -0.0\n out0[2] = in0[3]\n", "-inf -0 4 -1"},
    {"control.reorder", "once", "alloc t: f32[4]\n t[0] = in0[1]\n out0[0] = in0[2]\n out0[1] = t[0]\n", "3 2 -1 -1"},
};
#define ROWS (sizeof row / sizeof *row)

static struct mut_subject kernel(struct arena *a, const char *body)
{
	struct lir_func **f = ARENA_ARRAY(a, struct lir_func *, 1);
	const char *text = arena_printf(a, "func k(in0: f32[4], in1: f32[4], out out0: f32[4])%s {\n%s}\n", strstr(body, "thread") ? " group 4" : "", body);
	struct err e = {0};

	cr_assert(lir_parse(a, "kernel", text, strlen(text), f, &e), "%s: %s", err_text(&e), text);
	return (struct mut_subject){.graph = gir_new(a, "none", 13), .func = f, .nfuncs = 1};
}

/* Runs f and compares; what is wrong, or NULL. */
static const char *differs(struct arena *a, const struct lir_func *f, const char *want)
{
	float in0[] = {1, 2, 3, 4}, in1[] = {10, 20, 30, 40}, out[] = {-1, -1, -1, -1};
	void *param[] = {in0, in1, out};
	struct lir_interp_options o = {.max_steps = 1000, .outputs_initialised = true, .races = f->group > 0};
	struct lir_interp_result r;
	struct err e = {0};
	const char *p = want;
	char *end;

	if (!lir_interp(f, param, &o, &r, &e))
		return arena_strdup(a, err_text(&e));
	if (r.fault || (*want >= 'a' && *want <= 'z'))
		return strncmp(r.text, want, strlen(want)) ? arena_printf(a, "'%s', not '%s'", r.text, want) : NULL;
	for (int i = 0; i < 4; i++, p = end) {
		double w = strtod(p, &end);

		if (fabs(out[i] - w) > 2e-7 * fabs(w))
			return arena_printf(a, "%.9g %.9g %.9g %.9g, not %s", out[0], out[1], out[2], out[3], want);
	}
	return NULL;
}

/* The first site's mutant. */
static const char *mutated(struct arena *a, const char *op, const char *variant, const char *body, const char *want)
{
	struct mut_subject s = kernel(a, body);
	struct lir_func **f;
	struct mutant m;
	struct err e = {0};
	const char *why;

	if (!mut_parse(a, &s, arena_printf(a, "%s/k/0/%s", op, variant), &m, &e) || !mut_apply_loop(a, &s, &m, &f, &e)) {
		why = arena_strdup(a, err_text(&e));
		err_free(&e);
		return why;
	}
	return differs(a, f[0], want);
}

TEST(mutate_values, every_variant_of_a_loop_operator_gives_the_numbers_worked_out_by_hand)
{
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < ROWS; i++) {
		const char *why = mutated(a, row[i].op, row[i].variant, row[i].body, row[i].out);

		cr_expect(!why, "%s %s: %s", row[i].op, row[i].variant, why);
		why = differs(a, kernel(a, row[i].body).func[0], row[i].out);
		cr_expect(why || !strcmp(row[i].variant, "*1.00000001") || !strncmp(row[i].op, "control.", 8), "%s %s: the original gives the same", row[i].op,
			  row[i].variant);
	}
	arena_free(a);
}

static const struct {
	const char *name, *sign, *out;
} compare[] = {{"lt", "<", "1 1 0 0"},  {"le", "<=", "1 1 1 0"}, {"gt", ">", "0 0 0 1"},
	       {"ge", ">=", "0 0 1 1"}, {"eq", "==", "0 0 1 0"}, {"ne", "!=", "1 1 0 1"}};

TEST(mutate_values, every_comparison_becomes_every_other)
{
	struct arena *a = arena_new(NULL);

	for (int i = 0; i < 6; i++)
		for (int k = 0; k < 6; k++) {
			const char *op = arena_printf(a, "loop.cond.%s-to-%s", compare[i].name, compare[k].name);
			const char *body =
			    arena_printf(a, "for i in 0..4 serial {\n out0[i] = select(i %s 2, 1.0, 0.0)\n }\n", compare[i].sign);
			const char *why = i == k ? NULL : mutated(a, op, "swap", body, compare[k].out);

			cr_expect(!why, "%s: %s", op, why);
		}
	arena_free(a);
}

TEST(mutate_values, no_variant_is_without_a_row)
{
	for (size_t i = 0; mut_ops[i]; i++)
		for (size_t v = 0; mut_ops[i]->kind == MUT_LOOP && mut_ops[i]->variant[v]; v++) {
			bool found = !strncmp(mut_ops[i]->name, "loop.cond.", 10);

			for (size_t k = 0; k < ROWS; k++)
				found = found ||
					(!strcmp(row[k].op, mut_ops[i]->name) && !strcmp(row[k].variant, mut_ops[i]->variant[v]));
			cr_expect(found, "%s %s", mut_ops[i]->name, mut_ops[i]->variant[v]);
		}
}
