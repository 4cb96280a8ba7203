/* device_opencl_icd.c: what is wrong with the drivers (ICDs) that are installed
 *
 * The loader leaves out a driver that it cannot load, without a word: then none seems to be installed.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "device/device_opencl.h"

#define VENDORS "/etc/OpenCL/vendors"
#define MAX_FILES 64

static int is_icd(const struct dirent *f)
{
	size_t n = strlen(f->d_name);

	return n > 4 && !strcmp(f->d_name + n - 4, ".icd");
}

/* Its file holds the library's name. */
static void look_at(struct arena *a, const char *path, struct str *out)
{
	struct err e = {0};
	struct bytes b;
	const char *library;

	if (!file_read(a, path, 0, &b, &e)) {
		str_addf(out, "%s%s", out->n ? "; " : "", err_text(&e));
		err_free(&e);
		return;
	}
	library = arena_printf(a, "%.*s", (int)strcspn((const char *)b.p, " \t\r\n"), (const char *)b.p);
	/* it stays: drivers have threads and exit handlers */
	if (!dlopen(library, RTLD_LAZY | RTLD_LOCAL))
		str_addf(out, "%sthe driver that '%s' names cannot be loaded: %s", out->n ? "; " : "", path, dlerror());
}

const char *cl_broken_drivers(struct arena *a, size_t *installed)
{
	const char *vendors = getenv("OCL_ICD_VENDORS"), *text;
	struct dirent **file;
	struct str out = {0};
	int n;

	if (!vendors || !*vendors)
		vendors = VENDORS;
	*installed = 0;
	if (!file_is_dir(vendors) || (n = scandir(vendors, &file, is_icd, alphasort)) < 0)
		return "";
	for (int i = 0; i < n; i++) {
		if (i < MAX_FILES)
			look_at(a, file_join(a, vendors, file[i]->d_name), &out);
		free(file[i]);
	}
	free(file);
	*installed = (size_t)n;
	text = arena_strdup(a, str_text(&out));
	str_free(&out);
	return text;
}
