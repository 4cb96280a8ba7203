/* test_worker_program.c: a program told by its differences to another is the program told as a whole */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "test_support.h"
#include "worker/wire.h"

/* x, w; y = f(x, w), z = g(y), r = h(z) */
static struct bundle *make(struct arena *a)
{
	static const struct bundle_buffer buffers[] = {
	    {.name = "x", .role = BUF_INPUT, .dtype = DT_F32, .nd = 1, .dim = {4}},
	    {.name = "w", .role = BUF_CONST, .dtype = DT_F32, .nd = 2, .dim = {2, 2}, .hash = {7, 7}},
	    {.name = "y", .role = BUF_TEMP, .dtype = DT_F32, .nd = 1, .dim = {4}},
	    {.name = "z", .role = BUF_OUTPUT, .dtype = DT_F32, .nd = 1, .dim = {4}},
	    {.name = "r", .role = BUF_OUTPUT, .dtype = DT_F32, .nd = 1, .dim = {4}},
	};
	static const uint32_t f[] = {0, 1, 2}, g[] = {2, 3}, h[] = {3, 4}, in[] = {0}, out[] = {3, 4};
	const struct bundle_launch launches[] = {
	    {.name = "f", .kernel = 0, .nargs = 3, .arg = arena_memdup(a, f, sizeof f), .nout = 1},
	    {.name = "g", .kernel = 1, .nargs = 2, .arg = arena_memdup(a, g, sizeof g), .nout = 1, .parallel = true},
	    {.name = "h", .kernel = 2, .nargs = 2, .arg = arena_memdup(a, h, sizeof h), .nout = 1},
	};
	struct bundle *b = ARENA_NEW(a, struct bundle);

	*b = (struct bundle){.buffer = ARENA_ARRAY(a, struct bundle_buffer, 8),
			     .kernel = ARENA_ARRAY(a, struct bundle_kernel, 8),
			     .launch = ARENA_ARRAY(a, struct bundle_launch, 8),
			     .nbuffers = 5,
			     .nkernels = 3,
			     .nlaunches = 3,
			     .ninputs = 1,
			     .noutputs = 2,
			     .input = arena_memdup(a, in, sizeof in),
			     .output = arena_memdup(a, out, sizeof out)};
	memcpy(b->buffer, buffers, sizeof buffers);
	memcpy(b->launch, launches, sizeof launches);
	return b;
}

static const struct prog_kernel original[8] = {
    {.artefact = {1, 1}, .code = {1, 2}}, {.artefact = {2, 1}, .code = {2, 2}}, {.artefact = {3, 1}, .code = {3, 2}}};

static void change(struct bundle *b, struct prog_kernel *id, int what, uint8_t *more)
{
	static const uint32_t k[] = {4, 5};

	switch (what) {
	case 0: break;
	case 1: id[1].code.lo++; break;
	case 2: id[1].artefact.lo++; break;
	case 3: b->buffer[1].hash.hi++; break;
	case 4: b->buffer[2].dim[0] = 5; break;
	case 5: b->buffer[2].name = "another"; break;
	case 6: b->launch[1].parallel = false; break;
	case 7: b->launch[1].arg[0] = 0; break;
	case 8: b->noutputs = 1, b->nlaunches = 2, b->nbuffers = 4; break;
	case 9: b->nkernels = 4, id[3] = (struct prog_kernel){.artefact = {9, 9}, .code = {9, 9}}, b->launch[2].kernel = 3; break;
	case 10: b->nkernels = 4, id[3] = (struct prog_kernel){.artefact = {9, 9}, .code = {9, 9}}, b->kernel[3].plain = 3, b->launch[2].kernel = 3; break;
	case 11:
		b->buffer[5] = b->buffer[4];
		b->buffer[5].name = "s";
		b->launch[3] = (struct bundle_launch){.name = "k", .kernel = 1, .nargs = 2, .arg = memcpy(more, k, sizeof k), .nout = 1};
		b->nbuffers = 6, b->nlaunches = 4;
		break;
	case 12: b->kernel[0].groups = 2, b->kernel[0].group = 3; break;
	case 13: b->buffer[0].role = BUF_CONST, b->buffer[0].hash = (struct hash){5, 5}, b->ninputs = 0; break;
	}
}
#define CHANGES 14

static void expect_same(const struct prog *p, const struct prog *q, int what)
{
	cr_assert(p->nbuffers == q->nbuffers && p->nkernels == q->nkernels && p->nlaunches == q->nlaunches && p->nargs == q->nargs &&
		  p->ninputs == q->ninputs && p->noutputs == q->noutputs && p->bytes == q->bytes, "change %d", what);
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct prog_buffer *x = &p->buffer[i], *y = &q->buffer[i];

		cr_expect(!strcmp(x->name, y->name) && x->role == y->role && x->dtype == y->dtype && x->nd == y->nd && !memcmp(x->dim, y->dim, sizeof x->dim) &&
			  x->bytes == y->bytes && hash_eq(x->hash, y->hash) && x->writer == y->writer, "change %d, buffer %u", what, i);
	}
	for (uint32_t i = 0; i < p->nkernels; i++)
		cr_expect(hash_eq(p->kernel[i].artefact, q->kernel[i].artefact) && hash_eq(p->kernel[i].code, q->kernel[i].code) &&
			  p->kernel[i].groups == q->kernel[i].groups && p->kernel[i].group == q->kernel[i].group && p->kernel[i].plain == q->kernel[i].plain,
			  "change %d, kernel %u", what, i);
	for (uint32_t i = 0; i < p->nlaunches; i++) {
		const struct prog_launch *x = &p->launch[i], *y = &q->launch[i];

		cr_expect(!strcmp(x->name, y->name) && x->kernel == y->kernel && x->nargs == y->nargs && x->nout == y->nout && x->first_arg == y->first_arg &&
			  x->parallel == y->parallel && x->constant == y->constant && !memcmp(x->arg, y->arg, x->nargs * sizeof *x->arg),
			  "change %d, launch %u", what, i);
	}
	cr_expect(!memcmp(p->output, q->output, p->noutputs * sizeof *p->output), "change %d", what);
}

TEST(program, told_by_its_differences_it_is_the_same)
{
	struct arena *a = arena_new(NULL);
	struct bundle *b = make(a);
	struct prog *base, *other, *whole, *made, *taken;
	size_t n, whole_n, nbase;
	uint8_t *bytes, *whole_bytes, *base_bytes;
	struct err e = {0};

	cr_assert(prog_make(a, b, original, NULL, &base_bytes, &nbase, &base, &e), "%s", err_text(&e));
	for (int what = 0; what < CHANGES; what++) {
		struct prog_base from = {b, original, base};
		struct bundle *m = make(a);
		struct prog_kernel id[8];
		uint32_t more[2];

		memcpy(id, original, sizeof id);
		change(m, id, what, (uint8_t *)more);
		cr_assert(prog_make(a, m, id, NULL, &whole_bytes, &whole_n, &whole, &e), "change %d: %s", what, err_text(&e));
		cr_assert(prog_make(a, m, id, &from, &bytes, &n, &made, &e), "change %d: %s", what, err_text(&e));
		cr_expect_lt(n, what ? whole_n : whole_n / 3, "change %d", what);
		cr_expect(hash_eq(made->code, whole->code), "change %d", what);
		cr_assert(prog_decode(a, bytes, n, base, &taken, &e), "change %d: %s", what, err_text(&e));
		expect_same(made, whole, what);
		expect_same(taken, whole, what);
		/* the differences say to what */
		cr_expect_not(prog_decode(a, bytes, n, NULL, &taken, &e));
		err_free(&e);
		if (what) {
			cr_assert(prog_decode(a, whole_bytes, whole_n, NULL, &other, &e));
			cr_expect_not(prog_decode(a, bytes, n, other, &taken, &e), "change %d", what);
			err_free(&e);
		}
	}
	arena_free(a);
}

/* Exact copies, so that a checker sees any overrun. */
TEST(program, broken_differences_are_refused_or_make_a_checked_program)
{
	struct arena *a = arena_new(NULL);
	struct bundle *b = make(a);
	struct prog *base, *p;
	uint8_t *bytes;
	size_t n;
	struct err e = {0};
	uint64_t state = 1, refused = 0;

	cr_assert(prog_make(a, b, original, NULL, &bytes, &n, &base, &e));
	for (int round = 0; round < 20000; round++) {
		struct prog_base from = {b, original, base};
		struct arena *scratch = arena_new(NULL);
		struct bundle *m = make(scratch);
		struct prog_kernel id[8];
		uint32_t more[2];

		memcpy(id, original, sizeof id);
		change(m, id, round % CHANGES, (uint8_t *)more);
		cr_assert(prog_encode(scratch, m, id, &from, &bytes, &n, &e));
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		bytes[(state >> 33) % n] = (uint8_t)(state >> 20);
		if (!prog_decode(scratch, bytes, n, base, &p, &e)) {
			refused++;
			cr_expect(*err_text(&e));
			err_free(&e);
		} else {
			for (uint32_t i = 0; i < p->nlaunches; i++)
				for (uint32_t k = 0; k < p->launch[i].nargs; k++)
					cr_assert(p->launch[i].kernel < p->nkernels && p->launch[i].arg[k] < p->nbuffers);
		}
		arena_free(scratch);
	}
	cr_expect_gt(refused, 1000u);
	arena_free(a);
}
