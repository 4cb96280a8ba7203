#include "base/vec.h"

#include <string.h>

#include "base/arena.h"

void *vec_grow(struct arena *a, void *old, size_t n, size_t *cap, size_t size)
{
	void *p;

	*cap = *cap ? *cap * 2 : 8;
	p = arena_calloc(a, *cap, size);
	if (n)
		memcpy(p, old, n * size);
	return p;
}
