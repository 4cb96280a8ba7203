/* cli_json.h: printing JSON */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct err;

/* Prints, indented, with a newline, and releases j. */
bool cli_print_json(json_t *j, struct err *e);
