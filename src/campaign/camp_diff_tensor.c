/* camp_diff_tensor.c: two tensors of one name, in their logical layout, and how far apart they are */
#include <math.h>
#include <string.h>

#include "campaign/camp_diff_internal.h"

struct tensor *diff_logical(struct arena *a, const struct comp_buffer *b, const struct tensor *stored)
{
	const struct gir_value *v = b->value;
	size_t size = dtype_size(stored->dtype), inner = 1;
	const char *from = stored->data;
	struct tensor *t;

	if (!v || !v->block) {
		t = arena_memdup(a, stored, sizeof *t);
		return t;
	}
	t = tensor_new(a, stored->dtype, v->nd, v->dim);
	for (int d = 2; d < v->nd; d++)
		inner *= (size_t)v->dim[d];
	for (size_t n = 0; n < (size_t)v->dim[0]; n++)
		for (size_t c = 0; c < (size_t)v->dim[1]; c++)
			for (size_t i = 0; i < inner; i++) {
				size_t at = ((n * (size_t)stored->dim[1] + c / (size_t)v->block) * inner + i) * (size_t)v->block + c % (size_t)v->block;

				memcpy((char *)t->data + ((n * (size_t)v->dim[1] + c) * inner + i) * size, from + at * size, size);
			}
	return t;
}

static bool same_shape(const struct tensor *a, const struct tensor *b)
{
	return a->nd == b->nd && !memcmp(a->dim, b->dim, (size_t)a->nd * sizeof *a->dim);
}

double diff_relative(const struct distance *d)
{
	if (d->special_differs)
		return INFINITY;
	return d->max_abs > 0 ? d->max_abs / d->scale : 0;
}

void diff_compare(struct camp_diff_row *row, double tolerance)
{
	if (!row->a || !row->b) {
		row->state = row->a ? DIFF_ONLY_A : DIFF_ONLY_B;
	} else if (!same_shape(row->a, row->b)) {
		row->state = DIFF_SHAPE;
	} else {
		distance_tensor(row->a, row->b, &row->d);
		row->relative = diff_relative(&row->d);
		row->state = row->d.identical ? DIFF_EQUAL : row->relative <= tolerance ? DIFF_WITHIN : DIFF_BAD;
	}
}
