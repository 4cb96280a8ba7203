/* cli_json.h: printing JSON */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct err;
struct str;

/* Bytes that are not UTF-8 become '?'; NULL is null. */
json_t *cli_json_text(const char *text);
/* JSON knows no NaN and no infinity: null. */
json_t *cli_json_number(double x);

/* STORE_KILL_* as a list of names. */
json_t *cli_json_criteria(unsigned criteria);

/* Prints, indented, with a newline, and releases j. */
bool cli_print_json(json_t *j, struct err *e);

/* Appends a JSON string; bytes that are not UTF-8 become '?', NULL is null. */
void cli_json_quote(struct str *out, const char *text);
