/* test_loop_interp.c: the interpreter against numbers worked out elsewhere (numpy 1.24, and x86 instructions) */
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "loop/loop.h"
#include "test_support.h"

static struct lir_interp_result run(const struct lir_func *f, void *const *param, const struct lir_interp_options *o)
{
	struct lir_interp_result r;
	struct err e = {0};

	cr_assert(lir_interp(f, param, o, &r, &e), "%s", err_text(&e));
	return r;
}

/* y[k,h,w] = sum x[c,h+r-pad,w+q-pad] * v[k,c,r,q], guarded at the edges */
static struct lir_func *conv(struct arena *a, int64_t c, int64_t k, int64_t size, int64_t r)
{
	struct lir_builder b;
	struct lir_buffer *x, *v, *y, *acc;
	struct lir_nest n;
	struct lir_expr *ic, *ir, *iq, *h, *w, *in;

	lir_begin(&b, a, "conv");
	x = lir_param(&b, "x", DT_F32, 3, (int64_t[]){c, size, size}, false);
	v = lir_param(&b, "v", DT_F32, 4, (int64_t[]){k, c, r, r}, false);
	y = lir_param(&b, "y", DT_F32, 3, (int64_t[]){k, size, size}, true);
	n = lir_nest_over(&b, 3, y->dim);
	acc = lir_alloc(&b, "acc", DT_F32, 0, NULL);
	lir_store(&b, acc, NULL, lir_imm(&b, DT_F32, 0));
	ic = lir_for(&b, "c", c, LIR_SERIAL);
	ir = lir_for(&b, "r", r, LIR_SERIAL);
	iq = lir_for(&b, "q", r, LIR_SERIAL);
	h = lir_sub(&b, lir_add(&b, n.index[1], ir), lir_int(&b, r / 2));
	w = lir_sub(&b, lir_add(&b, n.index[2], iq), lir_int(&b, r / 2));
	in = lir_and(&b, lir_and(&b, lir_ge(&b, h, lir_int(&b, 0)), lir_lt(&b, h, lir_int(&b, size))),
		     lir_and(&b, lir_ge(&b, w, lir_int(&b, 0)), lir_lt(&b, w, lir_int(&b, size))));
	lir_store(&b, acc, NULL,
		  lir_add(&b, lir_load(&b, acc, NULL),
			  lir_mul(&b, lir_select(&b, in, lir_load(&b, x, (struct lir_expr *[]){ic, h, w}), lir_imm(&b, DT_F32, 0)),
				  lir_load(&b, v, (struct lir_expr *[]){n.index[0], ic, ir, iq}))));
	lir_end(&b);
	lir_end(&b);
	lir_end(&b);
	lir_store(&b, y, n.index, lir_load(&b, acc, NULL));
	lir_nest_end(&b, &n);
	return lir_finish(&b);
}

TEST(loop_interp, a_guarded_convolution_gives_the_sums_worked_out_by_hand)
{
	struct arena *a = arena_new(NULL);
	float x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, v[9] = {1, 0, -1, 2, 0, -2, 1, 0, -1}, y[9];
	/* scipy.signal.correlate2d(x, v, 'same') */
	static const float want[9] = {-9, -6, 9, -20, -8, 20, -21, -6, 21};
	struct lir_interp_result r = run(conv(a, 1, 1, 3, 3), (void *[]){x, v, y}, NULL);

	cr_expect_eq(r.fault, LIR_OK);
	cr_expect_eq(r.unwritten, 0u);
	cr_expect_eq(r.steps, 3u + 9 + 9 * (1 + 3 + 9));
	for (int i = 0; i < 9; i++)
		cr_expect_eq(y[i], want[i], "y[%d] = %g", i, y[i]);
	arena_free(a);
}

TEST(loop_interp, a_convolution_runs_fast_enough_to_fold_constants)
{
	struct arena *a = arena_new(NULL);
	int64_t c = 16, k = 16, size = 32;
	float *x = arena_calloc(a, (size_t)(c * size * size), 4), *v = arena_calloc(a, (size_t)(k * c * 9), 4);
	float *y = arena_calloc(a, (size_t)(k * size * size), 4);
	struct timespec t0, t1;
	double s;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
	run(conv(a, c, k, size, 3), (void *[]){x, v, y}, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
	s = (double)(t1.tv_sec - t0.tv_sec) + 1e-9 * (double)(t1.tv_nsec - t0.tv_nsec);
	cr_log_info("%.3g multiply-adds per second", (double)(k * c * size * size * 9) / s);
	cr_expect_lt(s, 5.0, "%.3g multiply-adds per second", (double)(k * c * size * size * 9) / s);
	arena_free(a);
}
