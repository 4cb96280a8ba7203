/* camp_devices.c: from a device's name to how it is reached */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "campaign/campaign.h"

const char *const camp_builtin_devices[] = {"host-gcc", "host-clang", "pocl", "opencl", NULL};

static void from_config(const struct config_device *d, struct pool_device *out)
{
	*out = (struct pool_device){
	        .name = d->name, .backend = d->backend, .worker = (const char *const *)d->worker, .nworker = d->nworker, .cc = d->cc,
	        .cflags = (const char *const *)d->cflags, .ncflags = d->ncflags, .env = (const char *const *)d->env, .nenv = d->nenv, .threads = d->threads, .builders = d->builders,
	        .runners = d->count ? d->count : d->runners, .start_timeout_s = d->start_timeout, .reconnect_s = d->reconnect ? d->reconnect : -1};
}

bool camp_device(struct arena *a, const char *name, const struct config_campaign *c, struct pool_device *out, struct err *e)
{
	const struct config_device *d = c ? config_device_find(c, name) : NULL;
	struct str known = {0};

	(void)a;
	*out = (struct pool_device){.name = name, .backend = "cpu"};
	if (d) {
		from_config(d, out);
	} else if (!strcmp(name, "host-gcc")) {
		out->cc = "gcc";
	} else if (!strcmp(name, "host-clang")) {
		out->cc = "clang";
	} else if (!strcmp(name, "pocl")) {
		out->backend = "opencl";
		out->select = "Portable Computing Language";
	} else if (!strcmp(name, "opencl")) {
		out->backend = "opencl";
		out->select = "!Portable Computing Language";
	} else {
		for (size_t i = 0; camp_builtin_devices[i]; i++)
			str_addf(&known, "%s'%s'", i ? ", " : "", camp_builtin_devices[i]);
		for (size_t i = 0; c && i < c->ndefinitions; i++)
			str_addf(&known, ", '%s'", c->definitions[i].name);
		err_set(e, ERR_USAGE, "no device is called '%s'; known: %s; define others under device-definitions", name, str_text(&known));
		str_free(&known);
		return false;
	}
	if (c && c->memory)
		out->memory_limit = c->memory;
	if (c && c->threads && !out->threads)
		out->threads = c->threads;
	return true;
}
