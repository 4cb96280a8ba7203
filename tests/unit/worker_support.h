/* worker_support.h: bundles with hand-written kernels for the tests of the pool and its workers */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "value/value.h"
#include "worker/worker.h"

#define N 1000 /* elements of every tensor of the test program */

/* y1 = x * 2; y2 = max(y1, 0); y = y2 + c, the last reading a constant c[i] = i. source: three kernels, NULL for the right one. */
struct bundle *test_bundle(struct arena *a, const char *const source[3]);
extern const char *const test_kernel[3];
/* A bundle of one launch of `source`: y = f(x). */
struct bundle *test_single(struct arena *a, const char *source);
/* n images: x[i] = (i % 17 - 8) * (image + 1) */
struct pool_input *test_inputs(struct arena *a, size_t n);
float test_expected(size_t image, int64_t i);

struct pool *test_pool(const char *cc); /* one device; its cache is a folder of the test's own */
struct pool *test_pool_of(const char *const *worker, size_t n, int runners);
struct pool_result test_run(struct pool *p, struct arena *a, struct pool_job job); /* alone */
/* Only a timed run without dumps may write the output where the first tensor lay: b's output is 0 when it does. Closes the pool. */
void test_slots_are_shared_in_timed_runs_only(struct pool *p, struct arena *a, struct bundle *b);
bool have_compiler(const char *cc);
