/* device.c: the table of backends in this build */
#include <string.h>

#include "device/device.h"

const struct device_ops *const device_backends[] = {
    &device_cpu,
#ifdef HAVE_OPENCL
    &device_opencl,
#endif
    &device_cuda, /* needs nothing to build */
    NULL,
};

const struct device_ops *device_find(const char *backend)
{
	for (const struct device_ops *const *d = device_backends; *d; d++)
		if (!strcmp((*d)->name, backend))
			return *d;
	return NULL;
}
