/* camp_repro_side.c: what the buffers of a side held, and whether two sides launch the same */
#include <string.h>

#include "campaign/camp_repro_internal.h"

const void *repro_value(const struct side *s, uint32_t b)
{
	const struct bundle_buffer *buf = &s->bundle->buffer[b];
	const struct pool_image *im = s->r.image;

	if (buf->role == BUF_CONST)
		return buf->data;
	if (buf->role == BUF_INPUT)
		return s->input->data;
	for (size_t i = 0; im && i < im->ndump; i++)
		if (!strcmp(im->dump[i].name, buf->name))
			return im->dump[i].value.data;
	return NULL;
}

size_t repro_bytes(const struct bundle_buffer *b)
{
	int64_t n = 0;

	dims_elements(b->dim, b->nd, &n);
	return (size_t)n * dtype_size(b->dtype);
}

bool repro_same_launches(const struct bundle *a, const struct bundle *b)
{
	if (a->nlaunches != b->nlaunches)
		return false;
	for (uint32_t i = 0; i < a->nlaunches; i++) {
		const struct bundle_launch *l = &a->launch[i], *k = &b->launch[i];

		if (strcmp(l->name, k->name) || l->nargs != k->nargs || l->nout != k->nout)
			return false;
		for (uint32_t j = 0; j < l->nargs; j++)
			if (strcmp(a->buffer[l->arg[j]].name, b->buffer[k->arg[j]].name) ||
			    repro_bytes(&a->buffer[l->arg[j]]) != repro_bytes(&b->buffer[k->arg[j]]))
				return false;
	}
	return true;
}
