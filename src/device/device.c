/* device.c: the table of backends in this build */
#include <stdio.h>
#include <string.h>

#include "device/device_internal.h"

const struct device_ops *const device_backends[] = {
    &device_cpu,
#ifdef HAVE_OPENCL
    &device_opencl,
#endif
#ifdef HAVE_VULKAN
    &device_vulkan,
#endif
    &device_cuda, &device_null, /* need nothing to build */
    NULL,
};

const struct device_ops *device_find(const char *backend)
{
	for (const struct device_ops *const *d = device_backends; *d; d++)
		if (!strcmp((*d)->name, backend))
			return *d;
	return NULL;
}

bool device_is_selected(const char *select, unsigned p, unsigned n, const char *name)
{
	char both[32], number[16];

	if (!select || !*select)
		return true;
	snprintf(both, sizeof both, "%u:%u", p, n);
	snprintf(number, sizeof number, "%u", n);
	if (!strcmp(select, both) || !strcmp(select, number))
		return true;
	return *select == '!' ? !strstr(name, select + 1) : strstr(name, select) != NULL;
}
