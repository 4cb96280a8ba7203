/* lib_internal.h: shared by the files of the library's face */
#pragma once
#include "base/err.h"
#include "lib/mutatenn.h"

/* Moves the error e of the rooms below into out, which may be NULL. Returns ok. */
bool lib_end(bool ok, struct err *e, struct mutatenn_error *out);
