/* child_blobs.c: the blobs a worker holds in memory, and those it keeps on disk for its next life
 *
 * On disk they lie in a folder of bounded size (base/cachedir.h), and are believed only when their length and hash are right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "worker/child.h"

#define MAX_BLOB ((uint64_t)1 << 38)
#define MAX_COPIES 32 /* of small blobs for children, beyond those that one needs */

/* ---- memory ------------------------------------------------------------------------------------------------ */

struct blob *worker_blob(struct worker *w, struct hash h)
{
	return map_get_hash(w->blob, h);
}

static void copy_free(struct worker *w, struct blob *b)
{
	struct blob **at = &w->copies;

	if (!b->copy)
		return;
	while (*at != b)
		at = &(*at)->next_copy;
	*at = b->next_copy;
	chunk_release(&w->mem, b->copy_chunk);
	b->copy = NULL;
	w->ncopies--;
}

/* Those that the longest have not been lent; the list has the newest first. */
static void trim_copies(struct worker *w)
{
	while (w->ncopies > MAX_COPIES) {
		struct blob *oldest = NULL;

		for (struct blob *b = w->copies; b; b = b->next_copy)
			if (b->lent <= w->mem.forks && (!oldest || b->lent <= oldest->lent))
				oldest = b;
		if (!oldest)
			return;
		copy_free(w, oldest);
	}
}

uint8_t *blob_lend(struct worker *w, struct blob *b)
{
	b->lent = w->mem.forks + 1;
	if (!chunk_shared(b->chunk)) {
		chunk_lend(&w->mem, b->chunk);
		return b->data;
	}
	if (!b->copy) {
		trim_copies(w);
		if (!(b->copy = mem_alloc(&w->mem, b->size, true, &b->copy_chunk)))
			return NULL;
		memcpy(b->copy, b->data, b->size);
		chunk_close(b->copy_chunk);
		b->next_copy = w->copies;
		w->copies = b;
		w->ncopies++;
	}
	chunk_lend(&w->mem, b->copy_chunk);
	return b->copy;
}

static void blob_free(struct worker *w, struct blob *b)
{
	map_del_hash(w->blob, b->hash);
	copy_free(w, b);
	chunk_release(&w->mem, b->chunk);
	free(b);
}

/* With room for its bytes; takes the place of one of the same hash. */
static struct blob *blob_new(struct worker *w, struct hash h, uint64_t size, struct err *e)
{
	struct blob *b, *old;

	if (size > MAX_BLOB) {
		err_set(e, ERR_PARSE, "a blob of %llu bytes is too large", (unsigned long long)size);
		return NULL;
	}
	if (!(b = calloc(1, sizeof *b)) || !(b->data = mem_alloc(&w->mem, size, false, &b->chunk))) {
		free(b);
		err_set(e, ERR_IO, "no memory for a tensor of %llu bytes", (unsigned long long)size);
		return NULL;
	}
	b->size = size;
	b->hash = h;
	if ((old = worker_blob(w, h)))
		blob_free(w, old);
	map_put_hash(w->blob, h, b);
	return b;
}

void blob_drop(struct worker *w, struct blob *b)
{
	blob_free(w, b);
}

static bool take_data(struct worker *w, uint8_t *to, size_t n, struct err *e)
{
	uint8_t raw[WIRE_HEAD];
	struct wire_head h;

	for (size_t at = 0; at < n; at += h.len) {
		if (!worker_read(w, raw, sizeof raw, false, e) || !wire_head_parse(raw, &h, e))
			return false;
		if (h.type != WIRE_DATA || !h.len || h.len > n - at)
			return err_set(e, ERR_PARSE, "a blob's data were expected");
		if (!worker_read(w, to + at, h.len, false, e))
			return false;
	}
	return true;
}

/* ---- disk -------------------------------------------------------------------------------------------------- */

static void keep(struct cachedir *c, const struct blob *b)
{
	if (b->size >= WIRE_ASK_SIZE && !cachedir_has(c, b->hash, b->size))
		cachedir_put(c, b->hash, b->data, b->size, NULL, 0);
}

/* From disk into memory. */
static bool recall(struct worker *w, struct hash h, uint64_t size)
{
	struct blob *b = NULL;
	uint64_t there = 0;
	bool ok = false;
	int fd = cachedir_open(&w->cache, h, &there);

	if (fd < 0)
		return false;
	if (there == size && (b = blob_new(w, h, size, NULL)))
		ok = fd_read_all(fd, b->data, size) && hash_eq(hash_bytes(b->data, size), h);
	close(fd);
	if (!ok)
		cachedir_drop(&w->cache, h);
	if (b && !ok)
		blob_free(w, b);
	if (ok)
		chunk_close(b->chunk);
	return ok;
}

/* ---- messages ---------------------------------------------------------------------------------------------- */

bool blobs_open_cache(struct worker *w, uint64_t limit)
{
	struct err e = {0};
	char *dir = NULL;

	if (!limit)
		return false;
	if (!file_cache_dir(w->arena, "blobs", &dir, &e)) {
		fprintf(stderr, "mutatenn-worker: blobs are not kept: %s\n", err_text(&e));
		err_free(&e);
		return false;
	}
	w->cache = (struct cachedir){.dir = dir, .suffix = "", .limit = limit};
	cachedir_trim(&w->cache);
	return true;
}

bool blobs_answer(struct worker *w, const Wire__Have *m, struct err *e)
{
	uint8_t *held = calloc(m->n_hash ? m->n_hash : 1, 1);
	Wire__Held r = WIRE__HELD__INIT;
	bool ok;

	if (!held)
		return err_set(e, ERR_IO, "out of memory");
	for (size_t i = 0; i < m->n_hash && w->cache.dir; i++) {
		struct hash h = wire_hash_get(m->hash[i]);
		struct blob *b = worker_blob(w, h);

		held[i] = (b && b->size == m->size[i]) || recall(w, h, m->size[i]);
	}
	r.id = m->id;
	r.held = (ProtobufCBinaryData){.len = m->n_hash, .data = held};
	ok = worker_send(w, WIRE_HELD, &r, e);
	free(held);
	return ok;
}

bool blobs_take(struct worker *w, const Wire__Blob *m, struct err *e)
{
	struct blob *b = blob_new(w, wire_hash_get(m->hash), m->size, e);

	if (!b || !take_data(w, b->data, b->size, e))
		return false;
	if (!hash_eq(hash_bytes(b->data, b->size), b->hash))
		return err_set(e, ERR_PARSE, "a blob does not have the hash it was sent with");
	chunk_close(b->chunk);
	keep(&w->cache, b);
	return true;
}

void blobs_drop(struct worker *w, const Wire__Drop *m)
{
	for (size_t i = 0; i < m->n_hash; i++) {
		struct blob *b = worker_blob(w, wire_hash_get(m->hash[i]));

		if (b)
			blob_free(w, b);
	}
}

void blobs_close(struct worker *w)
{
	void *b;

	struct arena *a = arena_new(NULL);
	struct blob **all = ARENA_ARRAY(a, struct blob *, map_count(w->blob));
	size_t n = 0;

	for (size_t it = 0; map_next(w->blob, &it, NULL, &b);)
		all[n++] = b;
	while (n)
		blob_free(w, all[--n]);
	arena_free(a);
}
