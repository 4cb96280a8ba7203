/* file_out.c: files that are whole or not there: written as PATH.tmp.PID, named at the end */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"

struct file_out {
	struct str path, tmp; /* tmp "": written in place */
	int fd;
	int failed; /* errno; 0: not yet */
};

/* A pipe, a device, a terminal: renaming would put a file in its place. */
static bool in_place(const char *path)
{
	struct stat st;

	return !stat(path, &st) && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

struct file_out *file_out_begin(const char *path)
{
	struct file_out *f = calloc(1, sizeof *f);

	if (!f)
		abort();
	str_add(&f->path, path);
	if (!strcmp(path, "-")) {
		fflush(stdout);
		f->fd = STDOUT_FILENO;
	} else if (in_place(path)) {
		f->fd = open(path, O_WRONLY | O_CLOEXEC);
	} else {
		str_addf(&f->tmp, "%s.tmp.%ld", path, (long)getpid());
		f->fd = open(f->tmp.s, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	}
	f->failed = f->fd < 0 ? errno : 0;
	return f;
}

bool fd_write_all(int fd, const void *from, size_t n)
{
	const uint8_t *p = from;

	while (n) {
		ssize_t k = write(fd, p, n);

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

void file_out_add(struct file_out *f, const void *p, size_t n)
{
	if (!f->failed && !fd_write_all(f->fd, p, n))
		f->failed = errno;
}

bool file_out_failed(const struct file_out *f)
{
	return f->failed;
}

static void finish(struct file_out *f, bool keep)
{
	if (f->fd < 0 || f->fd == STDOUT_FILENO)
		return;
	if (keep && f->tmp.n && !f->failed && fsync(f->fd))
		f->failed = errno;
	if (close(f->fd) && !f->failed)
		f->failed = errno;
	if (keep && f->tmp.n && !f->failed && rename(f->tmp.s, f->path.s))
		f->failed = errno;
	if (f->tmp.n && (!keep || f->failed))
		unlink(f->tmp.s);
}

bool file_out_end(struct file_out *f, bool keep, struct err *e)
{
	bool standard = f->fd == STDOUT_FILENO, ok;

	finish(f, keep);
	ok = !f->failed || !keep ||
	     err_set(e, ERR_IO, "cannot write %s%s%s: %s", standard ? "" : "'", standard ? "to standard output" : f->path.s, standard ? "" : "'",
		     strerror(f->failed));
	str_free(&f->path);
	str_free(&f->tmp);
	free(f);
	return ok;
}

bool file_write(const char *path, const void *p, size_t n, struct err *e)
{
	struct file_out *f = file_out_begin(path);

	file_out_add(f, p, n);
	return file_out_end(f, true, e);
}
