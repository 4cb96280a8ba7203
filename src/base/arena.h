/* base/arena.h: memory that is freed together
 *
 * An arena owns everything allocated from it and every child arena. Out of memory aborts the process, so a
 * size that comes from outside must be checked before it is passed here. Not thread-safe.
 */
#pragma once
#include <stdarg.h>
#include <stddef.h>

struct arena;

/* parent may be NULL; freeing the parent frees its children. */
struct arena *arena_new(struct arena *parent);
void arena_free(struct arena *a); /* NULL is allowed */

/* Aligned to 64 bytes when size >= 64, else to 16. Size 0 gives a valid pointer. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* n * size with the product checked (aborts on overflow); zeroed. */
void *arena_calloc(struct arena *a, size_t n, size_t size);
void *arena_memdup(struct arena *a, const void *p, size_t size);
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap);

/* Bytes handed out by all live arenas of this process; for tests. */
size_t arena_live_bytes(void);

#define ARENA_NEW(a, T) ((T *)arena_zalloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_calloc((a), (n), sizeof(T)))
