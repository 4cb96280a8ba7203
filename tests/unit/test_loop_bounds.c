/* test_loop_bounds.c: which accesses are proved in range, which leave, and that the interpreter agrees
 *
 * MUTATENN_FUZZ_ROUNDS sets how many random functions are tried (default 4000), MUTATENN_FUZZ_SEED the first one's seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "fuzz_func.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_bounds bounds_of(struct arena *a, const char *text)
{
	struct lir_func *f;
	struct err e = {0};
	struct lir_bounds b;

	cr_assert(lir_parse(a, "test", text, strlen(text), &f, &e), "%s", err_text(&e));
	lir_bounds(f, &b);
	if (b.buffer) /* the function's, which goes away with the arena */
		b.buffer = NULL;
	return b;
}

static void expect(const char *body, enum lir_bounds_kind kind, const char *text)
{
	struct arena *a = arena_new(NULL);
	char func[2048];
	struct lir_bounds b;

	snprintf(func, sizeof func, "func f(x: f32[4, 8], n: i64[16], v: f32[3, 2] strides [8, 1] offset 2 elements 20, out y: f32[8]) {\n%s\n}\n", body);
	b = bounds_of(a, func);
	cr_expect_eq(b.kind, kind, "%s: %s instead of %s: %s", body, lir_bounds_name(b.kind), lir_bounds_name(kind), b.text);
	cr_expect_str_eq(b.text, text, "%s", body);
	arena_free(a);
}

TEST(bounds, loops_and_sums_of_their_variables_are_proved)
{
	expect("for i in 0..4 serial { for j in 0..2 serial { y[i * 2 + j] = x[i, j + 6] } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for p in 0..32 serial { y[p % 8] = x[p / 8, p % 8] }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 2..+6 serial { y[i - 2] = x[0, 9 - i] }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..3 serial { y[i] = v[i, 1] }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..0 serial { y[i + 100] = 0.0 }", LIR_BOUNDS_IN_RANGE, "");
}

TEST(bounds, guards_are_taken_into_account)
{
	expect("for i in 0..20 serial { if i >= 4 && i < 12 { y[i - 4] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..20 serial { if i < 4 || i > 11 { y[0] = 1.0 } else { y[i - 4] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { y[i] = select(i - 3 >= 0, x[0, i - 3], 0.0) }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { let k = i >= 2 && !(i > 5)\ny[i] = select(k, x[i - 2, 0], 0.0) }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..16 serial { if i < 8 { if cast(f32, i) + 0.5 < 8.0 { y[i] = 0.0 } } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..16 serial { if i * 1 != 16 { if i < 9 && i != 8 { y[i] = 0.0 } } }", LIR_BOUNDS_IN_RANGE, "");
}

TEST(bounds, indices_from_data_are_proved_when_they_are_clamped)
{
	expect("let i = n[0]\ny[max(min(i, 7), 0)] = 0.0", LIR_BOUNDS_IN_RANGE, "");
	expect("let i = n[0]\nlet j = select(i < 0, i + 8, i)\nif j >= 0 && j < 8 { y[j] = 0.0 }", LIR_BOUNDS_IN_RANGE, "");
	expect("let i = n[0]\ny[(i % 8 + 8) % 8] = 0.0", LIR_BOUNDS_IN_RANGE, "");
	expect("alloc c: i64[]\nc[] = 0\nfor i in 0..16 serial { if n[i] > 3 { c[] = c[] + 1 } }\nlet k = c[]\nif k < 8 { y[k] = 0.0 }", LIR_BOUNDS_IN_RANGE, "");
	expect("y[n[0]] = 0.0", LIR_BOUNDS_MAY_LEAVE, "a write to 'y' out of bounds: index that is not known in dim 0 of size 8");
	expect("alloc c: i64[]\nc[] = 0\nfor i in 0..16 serial { if n[i] > 3 { c[] = c[] - 1 } }\nlet k = c[]\nif k < 8 { y[k] = 0.0 }", LIR_BOUNDS_MAY_LEAVE,
	       "a write to 'y' out of bounds: index that is not known in dim 0 of size 8");
}

TEST(bounds, bounds_that_depend_on_other_variables_are_related)
{
	expect("for t in 0..3 serial { for i in 0..min(3, 8 - t * 3) serial { y[t * 3 + i] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for t in 0..8 serial { for i in t..+8 - t serial { y[i] = 0.0 } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { for j in 0..8 serial { if j >= i { y[j - i] = 0.0 } } }", LIR_BOUNDS_IN_RANGE, "");
	expect("for i in 0..8 serial { let m = select(i < 0, 0 - i, i)\ny[select(m > 7, 14 - m, m)] = 0.0 }", LIR_BOUNDS_IN_RANGE, "");
}

TEST(bounds, an_iteration_that_certainly_leaves_is_named)
{
	expect("for i in 0..9 serial { y[i] = 0.0 }", LIR_BOUNDS_LEAVES, "a write to 'y' out of bounds: index 8 in dim 0 of size 8 with i = 8");
	expect("for i in 0..9 serial { if i != 8 || n[0] > 3 { y[i] = 0.0 } }", LIR_BOUNDS_MAY_LEAVE,
	       "a write to 'y' out of bounds: index 0..8 in dim 0 of size 8");
	expect("for i in 0..8 serial { let k = i - 1\nif k >= 0 || i == 0 { y[i] = x[0, k] } }", LIR_BOUNDS_LEAVES,
	       "a read of 'x' out of bounds: index -1 in dim 1 of size 8 with i = 0");
	expect("y[ramp(1, 1, 8)] = broadcast(0.0, 8)", LIR_BOUNDS_LEAVES, "a write to 'y' out of bounds: index 8 in dim 0 of size 8");
	expect("for i in 0..n[0] serial { y[i] = 0.0 }", LIR_BOUNDS_MAY_LEAVE,
	       "a write to 'y' out of bounds: index that is not known in dim 0 of size 8");
}

TEST(bounds, the_memory_behind_a_view_has_bounds_too)
{
	struct arena *a = arena_new(NULL);
	struct lir_bounds b = bounds_of(a, "func f(v: f32[3, 2] strides [8, 1] offset 2 elements 19, out y: f32[]) {\n  y[] = v[2, 1]\n}\n");

	cr_expect_eq(b.kind, LIR_BOUNDS_LEAVES);
	cr_expect_eq(b.dim, -1);
	cr_expect_str_eq(b.text, "a read of 'v' out of bounds: element 19 of 19");
	arena_free(a);
}

/* ---- random functions ---- */

struct gen {
	struct lir_builder b;
	uint64_t state;
	struct lir_expr *var[12];
	int nvars;
	struct lir_buffer *x, *data, *y;
};

static int rnd(struct gen *g, int n)
{
	g->state = g->state * 6364136223846793005u + 1442695040888963407u;
	return (int)((g->state >> 33) % (uint64_t)n);
}

static struct lir_expr *number(struct gen *g, int low, int high)
{
	return lir_int(&g->b, low + rnd(g, high - low + 1));
}

static struct lir_expr *condition(struct gen *g, int depth);

static struct lir_expr *integer(struct gen *g, int depth)
{
	struct lir_builder *b = &g->b;
	struct lir_expr *i;

	if (depth == 0 || rnd(g, 5) == 0)
		return g->nvars && rnd(g, 4) ? g->var[rnd(g, g->nvars)] : number(g, -3, 9);
	switch (rnd(g, 11)) {
	case 0:
	case 1: return lir_add(b, integer(g, depth - 1), integer(g, depth - 1));
	case 2: return lir_sub(b, integer(g, depth - 1), integer(g, depth - 1));
	case 3: return lir_mul(b, integer(g, depth - 1), number(g, -2, 4));
	case 4: return lir_div(b, integer(g, depth - 1), number(g, 1, 5));
	case 5: return lir_mod(b, integer(g, depth - 1), number(g, 1, 9));
	case 6: return lir_min(b, integer(g, depth - 1), integer(g, depth - 1));
	case 7: return lir_max(b, integer(g, depth - 1), integer(g, depth - 1));
	case 8: return lir_select(b, condition(g, depth - 1), integer(g, depth - 1), integer(g, depth - 1));
	case 9: return lir_cast(b, DT_I64, lir_cast(b, rnd(g, 2) ? DT_I8 : DT_U8, integer(g, depth - 1)));
	default:
		i = lir_mod(b, lir_add(b, lir_mod(b, integer(g, depth - 1), lir_int(b, 8)), lir_int(b, 8)), lir_int(b, 8));
		return lir_load(b, g->data, &i);
	}
}

static struct lir_expr *condition(struct gen *g, int depth)
{
	static const enum lir_op op[] = {LIR_LT, LIR_LE, LIR_GT, LIR_GE, LIR_EQ, LIR_NE};
	struct lir_builder *b = &g->b;
	struct lir_expr *x;

	switch (depth ? rnd(g, 7) : 0) {
	case 1: return lir_and(b, condition(g, depth - 1), condition(g, depth - 1));
	case 2: return lir_or(b, condition(g, depth - 1), condition(g, depth - 1));
	case 3: return lir_not(b, condition(g, depth - 1));
	case 4:
		x = lir_cast(b, DT_F32, integer(g, depth - 1));
		return lir_binary(b, op[rnd(g, 6)], lir_add(b, x, lir_imm(b, DT_F32, (double)(rnd(g, 9) - 4) / 2)), lir_cast(b, DT_F32, number(g, 0, 8)));
	default: return lir_binary(b, op[rnd(g, 6)], integer(g, depth), rnd(g, 2) ? number(g, -1, 9) : integer(g, depth));
	}
}

static void random_access(struct gen *g)
{
	struct lir_expr *at[2] = {integer(g, 2), integer(g, 2)}, *v;
	struct lir_builder *b = &g->b;

	if (rnd(g, 2)) { /* guarded, more or less well */
		struct lir_expr *inside = lir_and(b, lir_ge(b, at[0], number(g, -1, 0)), lir_lt(b, at[0], number(g, 3, 5)));

		inside = rnd(g, 4) ? lir_and(b, inside, lir_and(b, lir_ge(b, at[1], lir_int(b, 0)), lir_lt(b, at[1], number(g, 6, 7)))) : inside;
		v = lir_select(b, inside, lir_load(b, g->x, at), lir_imm(b, DT_F32, 0));
	} else {
		at[0] = lir_max(b, lir_min(b, at[0], number(g, 2, 4)), number(g, -1, 0));
		at[1] = lir_mod(b, lir_add(b, lir_mod(b, at[1], lir_int(b, 6)), lir_int(b, 6)), number(g, 5, 7));
		v = lir_load(b, g->x, at);
	}
	at[0] = lir_int(b, rnd(g, 8));
	lir_store(b, g->y, at, v);
}

static void random_block(struct gen *g, int depth)
{
	struct lir_builder *b = &g->b;
	int kept = g->nvars;

	for (int n = 1 + rnd(g, 2); n > 0; n--) {
		g->nvars = kept;
		lir_scope(b);
		if (depth && rnd(g, 3)) {
			if (rnd(g, 2))
				g->var[g->nvars++] = lir_let(b, "l", integer(g, 2));
			if (rnd(g, 2)) {
				struct lir_expr *min = rnd(g, 2) ? lir_int(b, 0) : integer(g, 1), *extent = rnd(g, 3) ? number(g, 0, 6) : integer(g, 1);

				extent = lir_min(b, extent, lir_int(b, 6));
				g->var[g->nvars] = lir_for_expr(b, "i", min, extent, LIR_SERIAL);
				g->nvars++;
			} else {
				lir_if(b, condition(g, 2));
			}
			random_block(g, depth - 1);
			lir_end(b);
		} else {
			random_access(g);
		}
		lir_end(b);
	}
	g->nvars = kept;
}

static struct lir_func *random_func(struct arena *a, uint64_t seed)
{
	struct gen g = {.state = seed * 77 + 5};

	lir_begin(&g.b, a, "random");
	g.x = lir_param(&g.b, "x", DT_F32, 2, (int64_t[]){4, 6}, false);
	g.data = lir_param(&g.b, "n", DT_I64, 1, (int64_t[]){8}, false);
	g.y = lir_param(&g.b, "y", DT_F32, 1, (int64_t[]){8}, true);
	random_block(&g, 4);
	return lir_finish(&g.b);
}

/* Under several data: never outside when proved in range, always when certain to leave. */
static void expect_agrees(const struct lir_func *f, uint64_t seed, int *count)
{
	static const int64_t values[4][8] = {{0}, {1, 2, 3, 4, 5, 6, 7, 8}, {-1, -5, 100, 3, -128, 9, 255, 2}, {INT64_MAX, INT64_MIN, 7, -7, 1, 1, 0, 3}};
	struct lir_bounds b;
	struct str text = {0};

	lir_bounds(f, &b);
	lir_print(&text, f);
	for (int d = 0; d < 4; d++) {
		float x[24] = {0}, y[8] = {0};
		int64_t n[8];
		void *param[] = {x, n, y};
		struct lir_interp_options o = {.outputs_initialised = true};
		struct lir_interp_result r;
		struct err e = {0};
		bool left;

		memcpy(n, values[d], sizeof n);
		cr_assert(lir_interp(f, param, &o, &r, &e), "%s", err_text(&e));
		left = r.fault == LIR_FAULT_BOUNDS_READ || r.fault == LIR_FAULT_BOUNDS_WRITE;
		cr_expect(b.kind != LIR_BOUNDS_IN_RANGE || !left, "seed %llu is proved in range: %s\n%s", (unsigned long long)seed, r.text, str_text(&text));
		cr_expect(b.kind != LIR_BOUNDS_LEAVES || r.fault, "seed %llu must leave: %s\n%s", (unsigned long long)seed, b.text, str_text(&text));
	}
	count[b.kind]++;
	str_free(&text);
}

TEST(bounds, the_interpreter_agrees_on_random_functions)
{
	long first = fuzz_setting("MUTATENN_FUZZ_SEED", 1), rounds = fuzz_setting("MUTATENN_FUZZ_ROUNDS", 4000);
	int count[3] = {0};

	for (long seed = first; seed < first + rounds; seed++) {
		struct arena *a = arena_new(NULL);

		expect_agrees(random_func(a, (uint64_t)seed), (uint64_t)seed, count);
		arena_free(a);
	}
	cr_log_info("%d in range, %d may leave, %d leave", count[0], count[1], count[2]);
	cr_expect(rounds < 1000 || (count[0] > rounds / 10 && count[2] > rounds / 10), "%d in range, %d may leave, %d leave", count[0], count[1], count[2]);
}
