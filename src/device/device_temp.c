/* device_temp.c: temporary folders of compilers - one per kernel, and those that killed workers could not remove */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "device/device_internal.h"

#define PREFIX "mutatenn-cc-"
#define STALE_S 3600 /* no compiler is given this long */

static const char *parent(void)
{
	const char *tmp = getenv("TMPDIR");

	return tmp && *tmp ? tmp : "/tmp";
}

bool temp_make(struct arena *a, char **out, struct err *e)
{
	*out = file_join(a, parent(), PREFIX "XXXXXX");
	return mkdtemp(*out) || err_set(e, ERR_IO, "cannot make the folder '%s': %s", *out, strerror(errno));
}

void temp_remove(const char *dir)
{
	struct arena *a = arena_new(NULL);
	char **name;
	size_t n;

	if (file_list(a, dir, &name, &n, NULL))
		for (size_t i = 0; i < n; i++)
			unlink(file_join(a, dir, name[i]));
	rmdir(dir);
	arena_free(a);
}

void temp_sweep(void)
{
	struct arena *a = arena_new(NULL);
	DIR *d = opendir(parent());
	struct dirent *ent;
	struct stat st;

	while (d && (ent = readdir(d)))
		if (!strncmp(ent->d_name, PREFIX, strlen(PREFIX)) && !fstatat(dirfd(d), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    S_ISDIR(st.st_mode) && st.st_uid == geteuid() && st.st_mtime < time(NULL) - STALE_S)
			temp_remove(file_join(a, parent(), ent->d_name));
	if (d)
		closedir(d);
	arena_free(a);
}
