/* file.c: whole files, atomically */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define DEFAULT_LIMIT ((size_t)8 << 30)

static bool read_fd(int fd, size_t limit, struct str *out)
{
	char buf[1 << 16];
	ssize_t n;

	while ((n = read(fd, buf, sizeof buf)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if ((size_t)n > limit - out->n) {
			errno = EFBIG;
			return false;
		}
		str_addn(out, buf, (size_t)n);
	}
	return true;
}

bool fd_read_all(int fd, void *to, size_t n)
{
	uint8_t *p = to;

	while (n) {
		ssize_t k = read(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (!k)
			errno = EIO;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

bool file_read(struct arena *a, const char *path, size_t limit, struct bytes *out, struct err *e)
{
	bool std = !strcmp(path, "-");
	int fd = std ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	struct str s = {0};
	bool ok = false;

	if (fd < 0)
		return err_set(e, ERR_IO, "cannot open '%s': %s", path, strerror(errno));
	if (read_fd(fd, limit ? limit : DEFAULT_LIMIT, &s)) {
		out->p = (uint8_t *)arena_strndup(a, str_text(&s), s.n);
		out->n = s.n;
		ok = true;
	} else {
		err_set(e, ERR_IO, "cannot read '%s': %s", path, strerror(errno));
	}
	str_free(&s);
	if (!std)
		close(fd);
	return ok;
}

bool file_map(const char *path, struct bytes *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer is refused, not waited for */
	struct stat st;
	void *p = NULL;

	if (fd < 0)
		return err_set(e, ERR_IO, "cannot open '%s': %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, ERR_IO, "cannot read '%s': not a regular file", path);
	}
	if (st.st_size > 0)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return err_set(e, ERR_IO, "cannot map '%s': %s", path, strerror(errno));
	*out = (struct bytes){p, (size_t)st.st_size};
	return true;
}

void file_unmap(struct bytes b)
{
	if (b.p)
		munmap((void *)b.p, b.n);
}

bool file_exists(const char *path)
{
	return !access(path, F_OK);
}

bool file_is_dir(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool file_mkdirs(const char *path, struct err *e)
{
	struct str s = {0};
	bool ok = true;

	str_add(&s, path);
	for (char *p = s.s + 1; ok && *path; p++) {
		char c = *p;

		if (c && c != '/')
			continue;
		*p = 0;
		if (mkdir(s.s, 0777) && errno != EEXIST)
			ok = err_set(e, ERR_IO, "cannot make folder '%s': %s", s.s, strerror(errno));
		*p = c;
		if (!c)
			break;
	}
	if (ok && !file_is_dir(path))
		ok = err_set(e, ERR_IO, "'%s' is not a folder", path);
	str_free(&s);
	return ok;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

bool file_list(struct arena *a, const char *dir, char ***names, size_t *n, struct err *e)
{
	DIR *d = opendir(dir);
	size_t cap = 0, count = 0;
	struct dirent *ent;
	char **v = NULL;

	if (!d)
		return err_set(e, ERR_IO, "cannot open folder '%s': %s", dir, strerror(errno));
	while ((ent = readdir(d))) {
		struct stat st;

		if (ent->d_name[0] == '.' || fstatat(dirfd(d), ent->d_name, &st, 0) || !S_ISREG(st.st_mode))
			continue;
		if (count == cap && !(v = realloc(v, (cap = cap ? cap * 2 : 64) * sizeof *v)))
			abort();
		v[count++] = arena_strdup(a, ent->d_name);
	}
	closedir(d);
	if (count)
		qsort(v, count, sizeof *v, by_name);
	*names = arena_memdup(a, v, count * sizeof *v);
	*n = count;
	free(v);
	return true;
}

bool file_new_folder(const char *path, struct err *e)
{
	struct dirent *ent;
	bool empty = true;
	DIR *d;

	if (!*path)
		return err_set(e, ERR_USAGE, "a folder must have a name");
	if (!file_exists(path))
		return file_mkdirs(path, e);
	if (!file_is_dir(path))
		return err_set(e, ERR_USAGE, "'%s' is not a folder", path);
	if (!(d = opendir(path)))
		return err_set(e, ERR_IO, "cannot open folder '%s': %s", path, strerror(errno));
	while (empty && (ent = readdir(d)))
		empty = !strcmp(ent->d_name, ".") || !strcmp(ent->d_name, "..");
	closedir(d);
	return empty || err_set(e, ERR_USAGE, "folder '%s' is not empty; give a new one", path);
}

const char *file_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *file_join(struct arena *a, const char *dir, const char *name)
{
	size_t n = strlen(dir);

	return arena_printf(a, "%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

char *file_stem(struct arena *a, const char *path)
{
	const char *base = file_base(path), *dot = strrchr(base, '.');

	return arena_strndup(a, base, dot && dot != base ? (size_t)(dot - base) : strlen(base));
}

char *file_absolute(struct arena *a, const char *path)
{
	char *real = realpath(path, NULL), *copy = arena_strdup(a, real ? real : path);

	free(real);
	return copy;
}

char *file_dir(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return arena_strdup(a, ".");
	return arena_strndup(a, path, slash == path ? 1 : (size_t)(slash - path));
}

bool file_same(struct arena *a, const char *p, const char *q)
{
	if (!strcmp(p, q) || !strcmp(file_absolute(a, p), file_absolute(a, q)))
		return true;
	return !strcmp(file_base(p), file_base(q)) && !strcmp(file_absolute(a, file_dir(a, p)), file_absolute(a, file_dir(a, q)));
}

bool file_private_dir(const char *path, struct err *e)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(e, ERR_IO, "cannot make folder '%s': %s", path, strerror(errno));
	if (lstat(path, &st))
		return err_set(e, ERR_IO, "cannot read folder '%s': %s", path, strerror(errno));
	return (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH))) ||
	       err_set(e, ERR_IO, "'%s' may be somebody else's: it must be a folder of this user's that nobody else can write to", path);
}

bool file_cache_dir(struct arena *a, const char *sub, char **out, struct err *e)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *root;

	if (xdg && *xdg == '/')
		root = file_join(a, xdg, "mutatenn");
	else if (home && *home == '/')
		root = file_join(a, home, ".cache/mutatenn");
	else if (!file_private_dir(root = arena_printf(a, "/tmp/mutatenn-%ld", (long)geteuid()), e)) /* what lies there is run */
		return err_in(e, "neither XDG_CACHE_HOME nor HOME says where the cache is");
	*out = file_join(a, root, sub);
	return file_mkdirs(*out, e);
}
