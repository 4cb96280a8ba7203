/* base/vec.h: growing arrays in an arena
 *
 *     VEC(struct gir_node *) nodes = {0};
 *     vec_push(arena, &nodes, node);
 *     for (size_t i = 0; i < nodes.n; i++) use(nodes.v[i]);
 *
 * Growing copies into a new block of the same arena (amortised constant time); the old block stays until the arena goes.
 */
#pragma once
#include <stddef.h>

struct arena;

#define VEC(T)                                                                                                         \
	struct {                                                                                                       \
		T *v;                                                                                                  \
		size_t n, cap;                                                                                         \
	}

#define vec_push(a, vec, item)                                                                                         \
	((void)((vec)->n == (vec)->cap                                                                                 \
	            ? ((vec)->v = vec_grow((a), (vec)->v, (vec)->n, &(vec)->cap, sizeof *(vec)->v), 0)                 \
	            : 0),                                                                                              \
	 (void)((vec)->v[(vec)->n++] = (item)))

/* Used by vec_push only. */
void *vec_grow(struct arena *a, void *old, size_t n, size_t *cap, size_t size);
