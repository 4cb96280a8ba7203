/* faults.c: a library to preload that makes one call on the files of a store fail, or writes down all of them
 *
 * The files are those whose path begins with $FAULT_FILE; calls on them are counted from 1, those that read apart from those that
 * change something.
 *
 *     FAULT_AT=n FAULT_KIND=enospc | eio | short | kill    what happens to the n-th call that changes something; `short`: a write
 *                                                          writes half of it, other calls are left alone
 *     FAULT_FROM=1                                         ... and to all after it (a disk that stays full)
 *     FAULT_READ=n                                         the n-th call that reads gives EIO
 *     FAULT_COUNT=file                                     gets "changes reads\n" at the end of the process
 *     FAULT_TRACE=file                                     every change in order, as struct event and its bytes; writes to
 *                                                          $FAULT_ACK are events, too
 */
#undef _FILE_OFFSET_BITS /* both names of each call are ours */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define FDS 4096
#define API __attribute__((visibility("default")))

enum what { WRITE = 'W', SYNC = 'S', TRUNCATE = 'T', CREATE = 'C', UNLINK = 'U', DIRECTORY = 'D', ACK = 'A' };

struct event {               /* little endian, as it lies here */
	uint32_t what, name; /* bytes of the file's name after $FAULT_FILE, which follow */
	uint64_t at, n;      /* n bytes follow the name of a write */
};

static const char *file, *ack;
static char dir[4096];
static char *name[FDS]; /* per descriptor: what follows $FAULT_FILE; "/" is the folder, "!" the ack */
static long changes, reads, at, read_at;
static int from, trace = -1;
static const char *kind = "", *count;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_read)(int, void *, size_t);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_ftruncate)(int, off_t), (*real_unlink)(const char *),
    (*real_close)(int);
static int (*real_open)(const char *, int, ...), (*real_fallocate)(int, off_t, off_t);

static void *real(const char *symbol)
{
	void *p = dlsym(RTLD_NEXT, symbol);

	if (!p)
		abort();
	return p;
}

__attribute__((constructor)) static void begin(void)
{
	const char *n = getenv("FAULT_AT"), *r = getenv("FAULT_READ"), *t = getenv("FAULT_TRACE"), *k = getenv("FAULT_KIND");
	char *slash;

	*(void **)&real_pwrite = real("pwrite");
	*(void **)&real_pread = real("pread");
	*(void **)&real_write = real("write");
	*(void **)&real_read = real("read");
	*(void **)&real_fsync = real("fsync");
	*(void **)&real_fdatasync = real("fdatasync");
	*(void **)&real_ftruncate = real("ftruncate");
	*(void **)&real_fallocate = real("posix_fallocate");
	*(void **)&real_unlink = real("unlink");
	*(void **)&real_close = real("close");
	*(void **)&real_open = real("open");
	file = getenv("FAULT_FILE");
	ack = getenv("FAULT_ACK");
	count = getenv("FAULT_COUNT");
	at = n ? atol(n) : 0;
	read_at = r ? atol(r) : 0;
	from = getenv("FAULT_FROM") != NULL;
	kind = k ? k : "";
	if (file) {
		snprintf(dir, sizeof dir, "%s", file);
		if ((slash = strrchr(dir, '/')))
			*slash = 0;
	}
	if (t)
		trace = real_open(t, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

__attribute__((destructor)) static void end(void)
{
	char text[64];
	int fd;

	if (!count || !(changes + reads) || (fd = real_open(count, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
		return;
	if (real_write(fd, text, (size_t)snprintf(text, sizeof text, "%ld %ld\n", changes, reads)) < 0)
		abort();
	real_close(fd);
}

static const char *of_store(const char *path)
{
	char clean[4096];
	size_t n = 0;

	if (!file || !path)
		return NULL;
	for (const char *p = path; *p && n < sizeof clean - 1; p++) /* "a/./b" */
		if (!(p[0] == '.' && p[1] == '/' && (p == path || p[-1] == '/')) && !(p[0] == '/' && p > path && p[-1] == '/') &&
		    !(p > path && p[0] == '/' && p[-1] == '.' && (p - 1 == path || p[-2] == '/')))
			clean[n++] = *p;
	clean[n] = 0;
	if (!strncmp(clean, file, strlen(file)))
		return path + strlen(path) - (strlen(clean) - strlen(file));
	if (!strcmp(clean, dir))
		return "/";
	return ack && !strcmp(path, ack) ? "!" : NULL;
}

static const char *known(int fd)
{
	return fd >= 0 && fd < FDS ? name[fd] : NULL;
}

static void tell(enum what what, const char *which, uint64_t where, const void *p, uint64_t n)
{
	struct event e = {what, (uint32_t)strlen(which), where, n};

	if (trace < 0)
		return;
	if (real_write(trace, &e, sizeof e) != sizeof e || real_write(trace, which, e.name) != (ssize_t)e.name ||
	    (p && real_write(trace, p, n) != (ssize_t)n))
		abort();
}

/* The next call that changes something: 0, or what it shall fail with; -1: shortened. */
static int next_change(const char *which)
{
	if (!strcmp(which, "!") || !strcmp(which, "/"))
		return 0;
	changes++;
	if (!at || (from ? changes < at : changes != at))
		return 0;
	if (!strcmp(kind, "kill"))
		raise(SIGKILL);
	if (!strcmp(kind, "short"))
		return -1;
	return !strcmp(kind, "eio") ? EIO : ENOSPC;
}

static bool fails_to_read(const char *which)
{
	return which && strcmp(which, "!") && strcmp(which, "/") && ++reads == read_at;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

static int do_open(const char *path, int flags, mode_t mode)
{
	const char *which = of_store(path);
	int fault = which && (flags & O_CREAT) ? next_change(which) : 0, fd;
	bool absent = which && (flags & O_CREAT) && access(path, F_OK);

	if (fault > 0)
		return fail(fault);
	fd = real_open(path, flags, mode);
	if (fd < 0 || fd >= FDS || !which)
		return fd;
	free(name[fd]);
	name[fd] = strdup(which);
	if (absent)
		tell(CREATE, which, 0, NULL, 0);
	return fd;
}

#define OPEN(symbol)                                                                                                               \
	API int symbol(const char *path, int flags, ...)                                                                           \
	{                                                                                                                          \
		va_list ap;                                                                                                        \
		mode_t mode = 0;                                                                                                   \
                                                                                                                                   \
		va_start(ap, flags);                                                                                               \
		if (flags & (O_CREAT | __O_TMPFILE))                                                                               \
			mode = va_arg(ap, mode_t);                                                                                 \
		va_end(ap);                                                                                                        \
		return do_open(path, flags, mode);                                                                                 \
	}
OPEN(open)
OPEN(open64)

API int close(int fd)
{
	if (known(fd)) {
		free(name[fd]);
		name[fd] = NULL;
	}
	return real_close(fd);
}

static ssize_t do_pwrite(int fd, const void *p, size_t n, off_t where)
{
	const char *which = known(fd);
	int fault = which ? next_change(which) : 0;
	ssize_t done;

	if (fault > 0)
		return fail(fault);
	done = real_pwrite(fd, p, fault && n > 1 ? n / 2 : n, where);
	if (which && done > 0)
		tell(WRITE, which, (uint64_t)where, p, (uint64_t)done);
	return done;
}

API ssize_t pwrite(int fd, const void *p, size_t n, off_t where)
{
	return do_pwrite(fd, p, n, where);
}

API ssize_t pwrite64(int fd, const void *p, size_t n, off_t where)
{
	return do_pwrite(fd, p, n, where);
}

API ssize_t write(int fd, const void *p, size_t n)
{
	const char *which = known(fd);

	if (which && !strcmp(which, "!"))
		tell(ACK, which, 0, p, n);
	return real_write(fd, p, n);
}

API ssize_t pread(int fd, void *p, size_t n, off_t where)
{
	return fails_to_read(known(fd)) ? fail(EIO) : real_pread(fd, p, n, where);
}

API ssize_t pread64(int fd, void *p, size_t n, off_t where)
{
	return fails_to_read(known(fd)) ? fail(EIO) : real_pread(fd, p, n, where);
}

static int do_sync(int fd, int (*sync)(int))
{
	const char *which = known(fd);
	int fault = which ? next_change(which) : 0, r;

	if (fault > 0)
		return fail(fault);
	r = sync(fd);
	if (!r && which)
		tell(strcmp(which, "/") ? SYNC : DIRECTORY, which, 0, NULL, 0);
	return r;
}

API int fsync(int fd)
{
	return do_sync(fd, real_fsync);
}

API int fdatasync(int fd)
{
	return do_sync(fd, real_fdatasync);
}

static int do_ftruncate(int fd, off_t size)
{
	const char *which = known(fd);
	int fault = which ? next_change(which) : 0, r;

	if (fault > 0)
		return fail(fault);
	r = real_ftruncate(fd, size);
	if (!r && which)
		tell(TRUNCATE, which, (uint64_t)size, NULL, 0);
	return r;
}

API int ftruncate(int fd, off_t size)
{
	return do_ftruncate(fd, size);
}

API int ftruncate64(int fd, off_t size)
{
	return do_ftruncate(fd, size);
}

API int unlink(const char *path)
{
	const char *which = of_store(path);
	int fault = which ? next_change(which) : 0, r;

	if (fault > 0)
		return fail(fault);
	r = real_unlink(path);
	if (!r && which)
		tell(UNLINK, which, 0, NULL, 0);
	return r;
}
