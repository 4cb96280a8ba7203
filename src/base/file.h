/* base/file.h: whole files, atomically */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;

struct bytes {
	const uint8_t *p;
	size_t n;
};

/* Reads all of path into the arena (a NUL follows the last byte, not counted). Refuses files over limit bytes (0: 8 GiB). "-" is standard input. */
bool file_read(struct arena *a, const char *path, size_t limit, struct bytes *out, struct err *e);

/* Maps a regular file read-only and privately. file_unmap with the same bytes. An empty file maps to {NULL,0}. */
bool file_map(const char *path, struct bytes *out, struct err *e);
void file_unmap(struct bytes b);

/* Writes path.tmp.<pid>, fsyncs, renames: path is never half-written. "-" is standard output; pipes and devices are written in place. */
bool file_write(const char *path, const void *p, size_t n, struct err *e);

/* The same piece by piece, for what is too large to be held: nothing is at path until the end. What goes wrong on the way is said
 * at the end. file_out_end frees it in any case; keep false: nothing is written. */
struct file_out;
struct file_out *file_out_begin(const char *path);
void file_out_add(struct file_out *f, const void *p, size_t n);
bool file_out_failed(const struct file_out *f); /* going on is of no use */
bool file_out_end(struct file_out *f, bool keep, struct err *e);

/* All n bytes, in as many calls as it takes. False: errno says why, EIO when the file ends before. */
bool fd_read_all(int fd, void *p, size_t n);
bool fd_write_all(int fd, const void *p, size_t n);

bool file_exists(const char *path);
bool file_is_dir(const char *path);
/* mkdir -p */
bool file_mkdirs(const char *path, struct err *e);

/* The same, for files that belong together: a folder that is there must be empty. */
bool file_new_folder(const char *path, struct err *e);

/* Regular files directly in dir, sorted by name (byte order), without "." files; names only. */
bool file_list(struct arena *a, const char *dir, char ***names, size_t *n, struct err *e);

const char *file_base(const char *path);                                /* after the last '/' */
char *file_join(struct arena *a, const char *dir, const char *name);    /* dir/name */
char *file_stem(struct arena *a, const char *path);                     /* base name without the last suffix */
char *file_absolute(struct arena *a, const char *path);                 /* without links and dots; a copy of path where there is no such file */
char *file_dir(struct arena *a, const char *path);                      /* "." when there is none */
bool file_same(struct arena *a, const char *p, const char *q);          /* both name one place, whether there is a file or not */

/* Made for this user alone when absent; refused when it is a link, another user's, or open to others. */
bool file_private_dir(const char *path, struct err *e);

/* $XDG_CACHE_HOME/mutatenn or ~/.cache/mutatenn or /tmp/mutatenn-<uid>; made when absent. */
bool file_cache_dir(struct arena *a, const char *sub, char **out, struct err *e);
