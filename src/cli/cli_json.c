/* cli_json.c: printing JSON */
#include "cli/cli_json.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

bool cli_print_json(json_t *j, struct err *e)
{
	char *text = json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(9));

	json_decref(j);
	if (!text)
		return err_set(e, ERR_IO, "the result cannot be written as JSON");
	puts(text);
	free(text);
	return true;
}
