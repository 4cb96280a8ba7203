/* fuzz_labels.c: bytes as true classes (CSV), as class names, and as the manifest of another model hub
 *
 * The first byte chooses: 'l' labels, 'c' class names, 'h' a hub.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "fetch/fetch.h"
#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void labels(struct arena *a, const char *path, struct err *e)
{
	struct labels *l;

	if (!labels_read(a, path, &l, e)) {
		assert(strstr(err_text(e), path));
		return;
	}
	for (size_t i = 0; i < l->n; i++) {
		assert(!strchr(l->v[i].file, '/'));
		assert(labels_find(l, l->v[i].file) == l->v[i].class_index);
	}
}

static void class_names(struct arena *a, const char *path, struct err *e)
{
	char **name;
	size_t n;

	if (!class_names_read(a, path, &name, &n, e)) {
		assert(strstr(err_text(e), path));
		return;
	}
	for (size_t i = 0; i < n; i++)
		assert(*name[i] && !strchr(name[i], '\n'));
}

static void other_hub(struct arena *a, const char *path, struct err *e)
{
	const struct fetch_model *found;
	struct fetch_model *m;
	size_t n;

	if (!fetch_manifest(a, path, &m, &n, e)) {
		assert(strstr(err_text(e), path));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		assert(*m[i].name && *m[i].name != '.' && !strchr(m[i].name, '/') && !strstr(m[i].path, "..") && *m[i].path != '/');
		assert(m[i].bytes && strlen(m[i].sha256) == 64);
		assert(fetch_find(m, n, m[i].name, &found, NULL));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(NULL);
	struct err e = {0};
	char path[64];
	int fd = memfd_create("labels", MFD_CLOEXEC);

	if (size) {
		assert(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		if (*data == 'l')
			labels(a, path, &e);
		else if (*data == 'c')
			class_names(a, path, &e);
		else if (*data == 'h')
			other_hub(a, path, &e);
	}
	close(fd);
	err_free(&e);
	arena_free(a);
	return 0;
}
