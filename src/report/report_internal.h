/* report_internal.h: what the formats share */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "base/str.h"
#include "report/report.h"

/* ---- what every format of a report says first ------------------------------------------------------------ */

struct report_group { /* an operator or a category, all devices together */
	char *name, *category;
	int64_t mutants;
	struct store_counts counts;
};

struct report_device {
	char *name, *backend, *identity, *describe, *error;
	char *noise; /* how the noise was measured, and its floor; NULL: the original was not run */
	struct store_counts counts;
	struct store_summary original;
};

struct report_suppression {
	char *glob, *reason, *source;
	int64_t mutants;
};

struct report_data {
	char *model, *model_file, *created, *tool;
	struct hash model_hash;
	int64_t images, mutants;
	struct report_device *device;
	size_t ndevices;
	struct report_group *op, *category;
	size_t nops, ncategories;
	struct store_counts all;
	struct report_suppression *suppression;
	size_t nsuppressions;
	int64_t suppressed; /* mutants */
};

bool report_gather(struct store *s, struct arena *a, struct report_data *out, struct err *e);

bool report_table(struct store *s, const struct report_data *d, const struct report_options *o, struct str *t, struct err *e);
bool report_json(struct store *s, const struct report_data *d, const struct report_options *o, struct str *t, struct err *e);
bool report_csv(struct store *s, struct str *t, struct err *e);

/* ---- text ------------------------------------------------------------------------------------------------ */

#define REPORT_COLUMNS 80

/* Text wrapped at REPORT_COLUMNS, every line after `indent` blanks; control characters become '?'. Ends with a newline. */
void report_wrap(struct str *t, int indent, const char *text);
/* Padded to width; longer ones lose their middle. */
void report_cell(struct str *t, int width, const char *text);
/* "37.5 % (13.7 .. 69.4)", "-" of nothing. */
void report_rate(struct str *t, int64_t part, int64_t whole);

/* ---- JSON ------------------------------------------------------------------------------------------------ */

json_t *report_string(const char *text);                       /* NULL: null; bytes that are not UTF-8 become '?' */
json_t *report_number(double x);                               /* null when not finite */
json_t *report_hash(struct hash h);                            /* null when zero */
json_t *report_share(const char *part, int64_t n, int64_t of); /* {part, "of", "rate", "low", "high"} */
/* Appends, indented by 2; takes the reference. */
void report_dump(struct str *t, json_t *j);
