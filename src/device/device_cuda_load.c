/* device_cuda_load.c: finds CUDA's driver and compiler libraries
 *
 * The driver's library comes with the driver; the compiler's with the CUDA toolkit, with Debian's nvidia-cuda-toolkit or with
 * Python packages, whose folders only LD_LIBRARY_PATH knows.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "device/device_cuda_api.h"

/* Behind what the loader's own search finds: Windows' subsystem for Linux, containers. */
static const char *const driver_places[] = {"", "/usr/lib/wsl/lib/", "/usr/local/nvidia/lib64/"};

static const char *const nvrtc_places[] = {"", "$CUDA_PATH/lib64/", "$CUDA_HOME/lib64/", "/usr/local/cuda/lib64/",
					   "/opt/cuda/lib64/"};

static const struct {
	int major;
	const char *file;
} nvrtc_files[] = {{13, "libnvrtc.so.13"}, {12, "libnvrtc.so.12"}, {11, "libnvrtc.so.11.2"}, {0, "libnvrtc.so"}};

/* "$NAME/rest" with the variable's value; false when it has none. */
static bool expand(const char *place, const char *file, char *out, size_t size)
{
	const char *slash = strchr(place, '/'), *value;
	char name[32];

	if (*place != '$')
		return snprintf(out, size, "%s%s", place, file) < (int)size;
	snprintf(name, sizeof name, "%.*s", (int)(slash - place - 1), place + 1);
	value = getenv(name);
	return value && *value && snprintf(out, size, "%s%s%s", value, slash, file) < (int)size;
}

static void *find(const char *const *place, size_t nplaces, const char *file)
{
	char path[4096];
	void *library = NULL;

	for (size_t i = 0; i < nplaces && !library; i++)
		if (expand(place[i], file, path, sizeof path))
			library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	return library;
}

bool cuda_load_driver(struct cuda_driver *out, struct err *e)
{
	void *library = find(driver_places, sizeof driver_places / sizeof *driver_places, "libcuda.so.1");

	if (!library)
		return err_set(e, ERR_DEVICE,
			       "'libcuda.so.1' is not there: the NVIDIA driver is not installed (Debian package 'libcuda1')");
#define FIND(f, symbol, args)                                                                                                      \
	if (!(*(void **)&out->f = dlsym(library, symbol)))                                                                         \
		return err_set(e, ERR_DEVICE, "the NVIDIA driver is too old: 'libcuda.so.1' has no '%s'", symbol);
	CUDA_DRIVER(FIND)
#undef FIND
	return true;
}

bool cuda_load_nvrtc(int major, struct cuda_nvrtc *out, struct err *e)
{
	size_t n = sizeof nvrtc_files / sizeof *nvrtc_files;
	void *library = NULL;

	/* What a newer compiler makes, an older driver refuses: its own first, then older ones, then the rest. */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < n && !library; i++)
			if (pass || !major || nvrtc_files[i].major <= major)
				library = find(nvrtc_places, sizeof nvrtc_places / sizeof *nvrtc_places, nvrtc_files[i].file);
	if (!library)
		return err_set(e, ERR_DEVICE,
			       "'libnvrtc.so' is not there: the CUDA toolkit's compiler library is not installed (Debian package "
			       "'nvidia-cuda-toolkit', or CUDA_HOME says where it is)");
#define FIND(f, args)                                                                                                              \
	if (!(*(void **)&out->f = dlsym(library, #f)))                                                                             \
		return err_set(e, ERR_DEVICE, "CUDA's 'libnvrtc.so' is older than 11.2: it has no '%s'", #f);
	CUDA_COMPILER(FIND)
#undef FIND
	*(void **)&out->nvrtcGetErrorString = dlsym(library, "nvrtcGetErrorString");
	*(void **)&out->nvrtcSetFlowCallback = dlsym(library, "nvrtcSetFlowCallback");
	return out->nvrtcGetErrorString || err_set(e, ERR_DEVICE, "'libnvrtc.so' is not CUDA's");
}
