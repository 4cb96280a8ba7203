/* lib_error.c: errors and the like */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "lib/lib_internal.h"

static enum mutatenn_code code_of(const struct err *e)
{
	switch (e->code) {
	case ERR_USAGE: return MUTATENN_MISUSE;
	case ERR_IO: return MUTATENN_IO;
	case ERR_PARSE: return MUTATENN_PARSE;
	case ERR_UNSUPPORTED: return MUTATENN_UNSUPPORTED;
	case ERR_DEVICE: return MUTATENN_DEVICE;
	case ERR_TIMEOUT: return MUTATENN_TIMEOUT;
	case ERR_STORE: return MUTATENN_STORE;
	case ERR_CANCELLED: return MUTATENN_CANCELLED;
	default: return MUTATENN_INTERNAL;
	}
}

bool lib_end(bool ok, struct err *e, struct mutatenn_error *out)
{
	if (out) {
		out->code = ok ? MUTATENN_OK : code_of(e);
		snprintf(out->text, sizeof out->text, "%s", ok ? "" : err_text(e));
	}
	err_free(e);
	return ok;
}

const char *mutatenn_version(void)
{
	return MUTATENN_VERSION;
}

void mutatenn_set_verbose(bool on)
{
	log_set_level(on ? LOG_INFO : LOG_ERROR);
}

void mutatenn_free(void *p)
{
	free(p);
}
