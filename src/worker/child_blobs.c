/* child_blobs.c: the blobs a worker holds in memory, and those it keeps on disk for its next life
 *
 * On disk a blob is a file named by its hash. Several workers use one directory: files appear whole, are believed only when their
 * length and hash are right, and the longest unused go when there are too many bytes. Nothing is synced: what a power cut leaves
 * half written is a miss.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "worker/child.h"

#define MAX_BLOB ((uint64_t)1 << 38)
#define OLD_TEMP_S 3600 /* left behind by a worker that was killed */

/* ---- memory ------------------------------------------------------------------------------------------------ */

struct blob *worker_blob(struct worker *w, struct hash h)
{
	return map_get_hash(w->blob, h);
}

static void blob_free(struct worker *w, struct blob *b)
{
	map_del_hash(w->blob, b->hash);
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
	if (!(b = calloc(1, sizeof *b)) || !(b->data = mem_alloc(&w->mem, size, &b->chunk))) {
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

struct on_disk {
	char name[HASH_HEX];
	uint64_t size;
	struct timespec used;
};

static int longer_unused(const void *a, const void *b)
{
	const struct on_disk *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return (x->used.tv_nsec > y->used.tv_nsec) - (x->used.tv_nsec < y->used.tv_nsec);
}

/* All blobs there; what killed workers left half written goes. */
static size_t list(struct arena *a, DIR *d, struct on_disk **out)
{
	struct on_disk *all = NULL;
	size_t n = 0, cap = 0;

	for (struct dirent *f; (f = readdir(d));) {
		struct stat st;
		struct hash h;

		if (fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			continue;
		if (!hash_parse(f->d_name, &h)) {
			if (strstr(f->d_name, ".tmp") && st.st_mtime < time(NULL) - OLD_TEMP_S)
				unlinkat(dirfd(d), f->d_name, 0);
			continue;
		}
		if (n == cap) {
			struct on_disk *grown = ARENA_ARRAY(a, struct on_disk, cap = cap ? cap * 2 : 256);

			if (n)
				memcpy(grown, all, n * sizeof *all);
			all = grown;
		}
		all[n] = (struct on_disk){.size = (uint64_t)st.st_size, .used = st.st_mtim};
		memcpy(all[n++].name, f->d_name, HASH_HEX);
	}
	*out = all;
	return n;
}

/* Looks at what is there, and makes room for `more` bytes: others write here too. */
static void look(struct blob_cache *c, uint64_t more)
{
	struct arena *a = arena_new(NULL);
	DIR *d = opendir(c->dir);
	struct on_disk *all = NULL;
	size_t n = d ? list(a, d, &all) : 0;

	c->total = c->added = 0;
	for (size_t i = 0; i < n; i++)
		c->total += all[i].size;
	if (n && c->total + more > c->limit) {
		qsort(all, n, sizeof *all, longer_unused);
		for (size_t i = 0; i < n && c->total + more > c->limit / 4 * 3; i++)
			if (!unlinkat(dirfd(d), all[i].name, 0))
				c->total -= all[i].size;
	}
	if (d)
		closedir(d);
	arena_free(a);
}

static char *path_of(struct arena *a, const struct blob_cache *c, struct hash h)
{
	char hex[HASH_HEX];

	return file_join(a, c->dir, hash_hex(h, hex));
}

static bool read_file(int fd, uint8_t *to, size_t n)
{
	while (n) {
		ssize_t k = read(fd, to, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		to += k;
		n -= (size_t)k;
	}
	return true;
}

static bool write_file(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static void put_file(struct blob_cache *c, const struct blob *b, const char *path, const char *temp)
{
	int fd;
	bool ok;

	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	ok = write_file(fd, b->data, b->size);
	ok = !close(fd) && ok && !rename(temp, path);
	if (!ok) {
		unlink(temp);
		return;
	}
	c->total += b->size;
	c->added += b->size;
}

static void keep(struct blob_cache *c, const struct blob *b)
{
	struct arena *a;
	const char *path;
	struct stat st;

	if (!c->dir || b->size < WIRE_ASK_SIZE || b->size > c->limit / 2)
		return;
	a = arena_new(NULL);
	path = path_of(a, c, b->hash);
	if (lstat(path, &st) || (uint64_t)st.st_size != b->size) {
		if (c->total + b->size > c->limit || c->added + b->size > c->limit / 8)
			look(c, b->size);
		put_file(c, b, path, arena_printf(a, "%s.%ld.tmp", path, (long)getpid()));
	}
	arena_free(a);
}

/* From disk into memory. */
static bool recall(struct worker *w, struct hash h, uint64_t size)
{
	struct arena *a = arena_new(NULL);
	const char *path = path_of(a, &w->cache, h);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct blob *b = NULL;
	struct stat st;
	bool ok = false;

	if (fd >= 0) {
		if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size && (b = blob_new(w, h, size, NULL)))
			ok = read_file(fd, b->data, size) && hash_eq(hash_bytes(b->data, size), h);
		if (ok)
			futimens(fd, NULL); /* used just now */
		else
			unlink(path);
		close(fd);
	}
	if (b && !ok)
		blob_free(w, b);
	arena_free(a);
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
	w->cache = (struct blob_cache){.dir = dir, .limit = limit};
	look(&w->cache, 0);
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

	for (size_t it = 0; map_next(w->blob, &it, NULL, &b);) {
		chunk_release(&w->mem, ((struct blob *)b)->chunk);
		free(b);
	}
}
