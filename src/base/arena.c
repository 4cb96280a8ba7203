/* arena.c: bump allocation in growing blocks; large requests get a block of their own */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK 4096u
#define MAX_BLOCK (1u << 20)
#define BLOCK_ALIGN 64u

struct block {
	struct block *next;
	size_t size, used; /* of the bytes after the header */
};
#define HEADER ((sizeof(struct block) + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN)

struct arena {
	struct arena *parent, *child, *prev, *next;
	struct block *block; /* newest first; only the newest is filled */
	size_t grow;
	size_t live;
};

static size_t live_bytes;

static void *must(void *p)
{
	if (!p) {
		fputs("mutatenn: out of memory\n", stderr);
		abort();
	}
	return p;
}

struct arena *arena_new(struct arena *parent)
{
	struct arena *a = must(calloc(1, sizeof *a));

	a->grow = FIRST_BLOCK;
	a->parent = parent;
	if (parent) {
		a->next = parent->child;
		if (a->next)
			a->next->prev = a;
		parent->child = a;
	}
	return a;
}

static void free_tree(struct arena *a)
{
	while (a->child) {
		struct arena *c = a->child;

		a->child = c->next;
		free_tree(c);
	}
	while (a->block) {
		struct block *b = a->block;

		a->block = b->next;
		free(b);
	}
	live_bytes -= a->live;
	free(a);
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	if (a->prev)
		a->prev->next = a->next;
	else if (a->parent)
		a->parent->child = a->next;
	if (a->next)
		a->next->prev = a->prev;
	free_tree(a);
}

static struct block *new_block(struct arena *a, size_t size)
{
	struct block *b;

	if (size > SIZE_MAX - HEADER - BLOCK_ALIGN)
		must(NULL);
	size = (size + BLOCK_ALIGN - 1) / BLOCK_ALIGN * BLOCK_ALIGN;
	b = must(aligned_alloc(BLOCK_ALIGN, HEADER + size));
	b->size = size;
	b->used = 0;
	b->next = a->block;
	a->block = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
	size_t align = size >= BLOCK_ALIGN ? BLOCK_ALIGN : 16;
	struct block *b = a->block;
	size_t at = b ? (b->used + align - 1) / align * align : 0;

	if (!b || at > b->size || size > b->size - at) {
		if (size >= a->grow / 2) {
			struct block *top = a->block;

			b = new_block(a, size);
			if (top && top->used < top->size) { /* keep filling the old one */
				b->next = top->next;
				top->next = b;
				a->block = top;
			}
		} else {
			b = new_block(a, a->grow);
			if (a->grow < MAX_BLOCK)
				a->grow *= 2;
		}
		at = 0;
	}
	b->used = at + size;
	a->live += size;
	live_bytes += size;
	return (char *)b + HEADER + at;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		must(NULL);
	return arena_zalloc(a, total);
}

void *arena_memdup(struct arena *a, const void *p, size_t size)
{
	void *d = arena_alloc(a, size);

	return size ? memcpy(d, p, size) : d;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *d = arena_alloc(a, n + 1);

	if (n)
		memcpy(d, s, n);
	d[n] = 0;
	return d;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return s ? arena_strndup(a, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	char *s;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		abort();
	s = arena_alloc(a, (size_t)n + 1);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	return s;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return s;
}

size_t arena_live_bytes(void)
{
	return live_bytes;
}
