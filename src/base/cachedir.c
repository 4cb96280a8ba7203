/* cachedir.c: see cachedir.h
 *
 * Nobody keeps count for all processes. Each looks at the whole folder when it has added an eighth of the limit, and at one new file in
 * SELDOM of any size, so that many short processes look often enough and none pays for it with more than a constant per file.
 */
#include "base/cachedir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"

#define SELDOM 256
#define OLD_TEMP_S 3600 /* left behind by a process that was killed */

struct on_disk {
	struct hash name;
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

static const char *name_of(struct arena *a, const struct cachedir *c, struct hash name)
{
	char hex[HASH_HEX];

	return arena_printf(a, "%s%s", hash_hex(name, hex), c->suffix);
}

static const char *path_of(struct arena *a, const struct cachedir *c, struct hash name)
{
	return file_join(a, c->dir, name_of(a, c, name));
}

static bool ours(const struct cachedir *c, const char *file, struct hash *name)
{
	char hex[HASH_HEX] = "";
	size_t n = strlen(file);

	if (n != HASH_HEX - 1 + strlen(c->suffix) || strcmp(file + HASH_HEX - 1, c->suffix))
		return false;
	memcpy(hex, file, HASH_HEX - 1);
	return hash_parse(hex, name);
}

/* All files there; what killed processes left half written goes. */
static size_t list(struct arena *a, const struct cachedir *c, DIR *d, struct on_disk **out)
{
	struct on_disk *all = NULL;
	size_t n = 0, cap = 0;

	for (struct dirent *f; (f = readdir(d));) {
		struct stat st;
		struct hash name;

		if (fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
			continue;
		if (!ours(c, f->d_name, &name)) {
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
		all[n++] = (struct on_disk){.name = name, .size = (uint64_t)st.st_size, .used = st.st_mtim};
	}
	*out = all;
	return n;
}

/* Looks at what is there, and makes room for `more` bytes: others write here too. */
static void look(struct cachedir *c, uint64_t more)
{
	struct arena *a = arena_new(NULL);
	DIR *d = opendir(c->dir);
	struct on_disk *all = NULL;
	size_t n = d ? list(a, c, d, &all) : 0;

	c->total = c->added = 0;
	for (size_t i = 0; i < n; i++)
		c->total += all[i].size;
	if (n && c->total + more > c->limit) {
		qsort(all, n, sizeof *all, longer_unused);
		for (size_t i = 0; i < n && c->total + more > c->limit / 4 * 3; i++)
			if (!unlinkat(dirfd(d), name_of(a, c, all[i].name), 0))
				c->total -= all[i].size;
	}
	if (d)
		closedir(d);
	arena_free(a);
}

void cachedir_trim(struct cachedir *c)
{
	if (c->dir)
		look(c, 0);
}

int cachedir_open(const struct cachedir *c, struct hash name, uint64_t *size)
{
	struct arena *a;
	struct stat st;
	int fd;

	if (!c->dir)
		return -1;
	a = arena_new(NULL);
	fd = open(path_of(a, c, name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	arena_free(a);
	if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	if (fd >= 0) {
		*size = (uint64_t)st.st_size;
		futimens(fd, NULL);
	}
	return fd;
}

bool cachedir_has(const struct cachedir *c, struct hash name, uint64_t size)
{
	struct arena *a;
	struct stat st;
	bool yes;

	if (!c->dir)
		return false;
	a = arena_new(NULL);
	yes = !lstat(path_of(a, c, name), &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
	arena_free(a);
	return yes;
}

void cachedir_put(struct cachedir *c, struct hash name, const void *p, size_t n, const void *end, size_t nend)
{
	static atomic_uint count; /* threads of one process, and several caches on one folder */
	uint64_t size = (uint64_t)n + nend;
	const char *path, *temp;
	struct arena *a;
	int fd;

	if (!c->dir || size > c->limit / 2)
		return;
	if (c->total + size > c->limit || c->added + size > c->limit / 8 || name.lo % SELDOM == 0)
		look(c, size);
	a = arena_new(NULL);
	path = path_of(a, c, name);
	temp = arena_printf(a, "%s.%ld.%u.tmp", path, (long)getpid(), count++);
	unlink(temp);
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd >= 0) {
		bool ok = fd_write_all(fd, p, n) && fd_write_all(fd, end, nend);

		if (!close(fd) && ok && !rename(temp, path)) {
			c->total += size;
			c->added += size;
		} else {
			unlink(temp);
		}
	}
	arena_free(a);
}

void cachedir_drop(const struct cachedir *c, struct hash name)
{
	struct arena *a;

	if (!c->dir)
		return;
	a = arena_new(NULL);
	unlink(path_of(a, c, name));
	arena_free(a);
}
