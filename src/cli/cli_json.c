/* cli_json.c: printing JSON */
#include "cli/cli_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/str.h"
#include "store/store.h"

json_t *cli_json_text(const char *text)
{
	struct str clean = {0};
	json_t *j = text ? json_string(text) : json_null();

	if (j)
		return j;
	for (; *text; text++)
		str_addc(&clean, (unsigned char)*text < 0x80 ? *text : '?');
	j = json_string(str_text(&clean));
	str_free(&clean);
	return j;
}

json_t *cli_json_number(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

json_t *cli_json_criteria(unsigned criteria)
{
	json_t *list = json_array();

	for (int c = 0; c < STORE_CRITERIA; c++)
		if (criteria >> c & 1)
			json_array_append_new(list, json_string(store_criterion_name(c)));
	return list;
}

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

static int append(const char *text, size_t n, void *out)
{
	str_addn(out, text, n);
	return 0;
}

void cli_json_quote(struct str *out, const char *text)
{
	const char *end = text;
	json_t *j;

	while (end && *end >= ' ' && *end <= '~' && *end != '"' && *end != '\\')
		end++;
	if (end && !*end) { /* nearly all: names and ids */
		str_addc(out, '"');
		str_addn(out, text, (size_t)(end - text));
		str_addc(out, '"');
		return;
	}
	j = cli_json_text(text);
	json_dump_callback(j, append, out, JSON_ENCODE_ANY);
	json_decref(j);
}
