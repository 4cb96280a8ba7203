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

/* Where a report goes: what is in `text` is written and forgotten now and then. */
struct file_out;
struct report_out {
	struct str text;
	struct file_out *file; /* NULL: all of it stays in text */
};
bool report_flush(struct report_out *out); /* false, without a word: the file cannot be written; file_out_end says why */
bool report_drain(struct report_out *out); /* between two mutants; false: going on is of no use */

bool report_table(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e);
/* How many were killed, and what to look at next. (report_table_summary.c) */
bool report_table_summary(struct store *s, const struct report_data *d, const struct report_options *o, struct str *t, struct err *e);
bool report_json(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e);
bool report_csv(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e);
bool report_stryker(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e);
bool report_sarif(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e);
bool report_junit(struct store *s, const struct report_data *d, const struct report_options *o, struct report_out *out, struct err *e);

/* A device took the mutant for killed, by criterion c, and another one ran it and did not; or the like: see docs/exports.md. */
bool report_disagrees(const struct store_pair *p);

/* ---- where in the original's text a mutant is (report_place.c) ------------------------------------------- */

struct report_place {
	const char *kind;                /* of the source: "graph", "loop", "input"; NULL: the mutant has no place */
	char *name;                      /* of the source */
	int line, column;                /* from 1; columns in characters */
	int end_line, end_column;        /* the first behind it */
	char *replacement;               /* what stands there instead */
	size_t places;                   /* changed in all; the above is the first */
};
/* From the mutant's diff; in `a`. */
void report_place(struct arena *a, const struct store_mutant *m, struct report_place *out);
/* "graph.gir", "kernels/NAME.lir", "input.txt": names as paths, '/' and '%' in them as %2F and %25. */
char *report_source_path(struct arena *a, const char *kind, const char *name);

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
void report_quote(struct str *t, const char *text);            /* as a JSON string; NULL: null */
