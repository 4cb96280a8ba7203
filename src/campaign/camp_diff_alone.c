/* camp_diff_alone.c: each of B's kernels alone, on A's tensors: the error that it adds itself, not the one that reached it */
#include <string.h>

#include "campaign/camp_diff_internal.h"

/* A kernel to be run alone. */
struct alone {
	struct bundle bundle;
	struct pool_input input;
	const struct tensor **tensor;     /* one per input of the bundle */
	uint32_t launch;                  /* of B's program */
};

/* The opposite of diff_logical; lanes beyond the last channel become zeros. The logical tensor may be of another type. */
static struct tensor *stored_as(struct arena *a, const struct comp_buffer *b, const struct tensor *t)
{
	struct tensor *out = tensor_new(a, b->dtype, b->nd, b->dim);
	int64_t block = b->value && b->value->block ? b->value->block : 0, inner = 1, n = tensor_elements(t);

	for (int d = 2; block && d < t->nd; d++)
		inner *= t->dim[d];
	for (int64_t i = 0; i < n; i++) {
		int64_t at = i;

		if (block) {
			int64_t c = i / inner % t->dim[1];

			at = ((i / inner / t->dim[1] * b->dim[1] + c / block) * inner + i % inner) * block + c % block;
		}
		if (dtype_is_float(b->dtype))
			tensor_set_f64(out, at, tensor_get_f64(t, i));
		else
			tensor_set_i64(out, at, tensor_get_i64(t, i));
	}
	return out;
}

static bool fits(const struct comp_buffer *b, const struct tensor *logical)
{
	const int64_t *dim = b->value ? b->value->dim : b->dim;
	int nd = b->value ? b->value->nd : b->nd;

	return logical->nd == nd && !memcmp(logical->dim, dim, (size_t)nd * sizeof *dim) && dtype_is_float(logical->dtype) == dtype_is_float(b->dtype);
}

static bool stored_like(const struct comp_buffer *b, const struct tensor *t)
{
	return t->dtype == b->dtype && t->nd == b->nd && !memcmp(t->dim, b->dim, (size_t)t->nd * sizeof *t->dim);
}

/* What B's kernel reads there: A's tensor of that name where it has one of that shape, else B's own. */
static const struct tensor *fed(struct arena *a, const struct diff_run r[2], const struct map *row_of, const struct comp_buffer *b)
{
	const struct tensor *stored = map_get(r[0].dumped, b->name);
	const struct camp_diff_row *row = map_get(row_of, b->name);

	if (b->role == BUF_INPUT)
		return r[0].tensor;
	if (stored && stored_like(b, stored))
		return stored;
	if (row && row->a && fits(b, row->a))
		return stored_as(a, b, row->a);
	return map_get(r[1].dumped, b->name);
}

/* False: it reads nothing but constants, or nothing is known of what it reads. */
static bool cut_out(struct arena *a, const struct diff_run r[2], const struct map *row_of, uint32_t k, struct alone *out)
{
	const struct bundle *from = r[1].bundle;
	const struct bundle_launch *l = &from->launch[k];
	struct bundle *b = &out->bundle;

	*b = *from;
	out->launch = k;
	b->nbuffers = l->nargs;
	b->buffer = ARENA_ARRAY(a, struct bundle_buffer, l->nargs);
	b->nkernels = b->nlaunches = 1;
	b->kernel = &from->kernel[l->kernel];
	b->launch = arena_memdup(a, l, sizeof *l);
	b->launch->kernel = 0;
	b->launch->arg = ARENA_ARRAY(a, uint32_t, l->nargs);
	b->input = ARENA_ARRAY(a, uint32_t, l->nargs);
	b->output = ARENA_ARRAY(a, uint32_t, l->nargs);
	out->tensor = ARENA_ARRAY(a, const struct tensor *, l->nargs);
	b->ninputs = b->noutputs = 0;
	for (uint32_t i = 0; i < l->nargs; i++) {
		struct bundle_buffer *buf = &b->buffer[i];

		*buf = from->buffer[l->arg[i]];
		b->launch->arg[i] = i;
		if (i >= l->nargs - l->nout) {
			buf->role = BUF_OUTPUT;
			b->output[b->noutputs++] = i;
		} else if (buf->role != BUF_CONST) {
			buf->role = BUF_INPUT;
			out->tensor[b->ninputs] = fed(a, r, row_of, &r[1].program->buffer[l->arg[i]]);
			if (!out->tensor[b->ninputs])
				return false;
			b->input[b->ninputs++] = i;
		}
	}
	out->input = (struct pool_input){.name = l->name, .tensor = out->tensor, .ntensors = b->ninputs};
	return b->ninputs > 0;
}

/* The kernel's outputs against A's tensors. */
static void compare(struct arena *a, const struct diff_run *r, const struct map *row_of, const struct alone *k, const struct pool_image *im)
{
	const struct bundle_launch *l = &r->bundle->launch[k->launch];

	for (uint32_t i = 0; i < l->nout; i++) {
		const struct comp_buffer *b = &r->program->buffer[l->arg[l->nargs - l->nout + i]];
		struct camp_diff_row *row = map_get(row_of, b->name);
		struct tensor *t = diff_logical(a, b, &im->output[i]);

		if (!row || row->state > DIFF_BAD)
			continue;
		distance_tensor(row->a, t, &row->alone);
		row->alone_relative = diff_relative(&row->alone);
		row->has_alone = true;
	}
}

static bool wait_for(struct arena *a, struct pool *pool, const struct diff_run *r, const struct map *row_of, const struct alone *list, struct err *e)
{
	struct pool_result p;
	bool got = false;

	while (!got)
		if (!pool_wait(pool, a, -1, &got, &p, e))
			return false;
	if ((p.status == POOL_DONE || p.status == POOL_OVERRUN) && p.nimages && p.image[0].output)
		compare(a, r, row_of, &list[p.job], &p.image[0]);
	return true; /* what does not run alone has run in its program: the row stays without */
}

bool diff_alone(struct arena *a, struct pool *pool, const struct diff_run r[2], struct camp_diff *out, struct err *e)
{
	struct alone *list = ARENA_ARRAY(a, struct alone, r[1].bundle->nlaunches + 1);
	struct map *row_of = map_new(a);
	size_t n = 0;

	for (size_t i = 0; i < out->n; i++)
		map_put(row_of, out->row[i].tensor, &out->row[i]);
	for (uint32_t k = 0; k < r[1].bundle->nlaunches; k++) {
		struct pool_job job = {.id = n, .device = r[1].side->device, .input = &list[n].input, .ninputs = 1, .bundle = &list[n].bundle};

		if (!cut_out(a, r, row_of, k, &list[n]))
			continue;
		if (!pool_submit(pool, &job, e))
			return false;
		n++;
	}
	for (size_t i = 0; i < n; i++)
		if (!wait_for(a, pool, &r[1], row_of, list, e))
			return false;
	for (size_t i = 0; i < out->n && !out->first_alone; i++)
		if (out->row[i].has_alone && !out->row[i].alone.identical && out->row[i].alone_relative > out->tolerance)
			out->first_alone = &out->row[i];
	return true;
}
