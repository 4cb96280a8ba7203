/* report_html.h: what the parts of the HTML report share
 *
 * The page holds three kinds of JSON blocks: `rows` and `details` for each chunk of mutants (details of later chunks lie in files
 * beside it), and one `meta`. docs/report.md says what stands in them; html/ holds the scripts that read them.
 */
#pragma once
#include "base/file.h"
#include "base/map.h"
#include "base/vec.h"
#include "report/report_compare.h"
#include "report/report_script.h"

#define HTML_FORMAT 1
#define HTML_TOP 5                              /* labels shown of an answer */
#define HTML_STRIP 512                          /* images whose outcomes a mutant shows one by one */
#define HTML_CHUNK_MUTANTS 256
#define HTML_CHUNK_BYTES ((size_t)512 << 10)
#define HTML_INLINE_BYTES ((size_t)6 << 20)     /* of details within the page; what follows goes to files beside it */
#define HTML_THUMBNAIL_BYTES ((size_t)4 << 20)  /* of pictures within the page */
#define HTML_MAX_ANSWERS 60000                  /* of the originals within the page: images x devices */
#define HTML_MAX_CLASS (1 << 24)

struct html_target {
	char *name;
	int64_t layer; /* -1: none, or several */
};

struct html_image { /* per device and image of the comparison: how often it told */
	int64_t kills, only;
};

struct html {
	struct store *s;
	struct arena *a;
	struct report_data data;
	struct cmp cmp;
	struct map *op, *target, *layer; /* name -> place + 1 */
	VEC(struct html_target) targets;
	VEC(uint8_t) shown; /* by class: some answer in the page names it */
	struct html_image *told; /* nsides x nimages */
	char *folder;            /* of the files beside the page; NULL: standard output, which has none */
	size_t max_images;       /* shown of one mutant */
	char token[HASH_HEX];    /* files beside the page carry it */
};

/* report_html_mutant.c: appends one row and its details. */
bool html_mutant(struct html *h, const struct store_mutant *m, struct str *row, struct str *detail, struct err *e);
/* report_html_meta.c: everything else, once all mutants are written. */
bool html_meta(struct html *h, struct str *t, struct err *e);
bool html_layers(struct html *h, struct err *e); /* fills h->layer */

/* "[labels],[probabilities]" of an answer's first HTML_TOP. */
void html_answer(struct html *h, const struct store_answer *x, struct str *t);

/* Made at build time of html/ and D3 (tools/embed_html): what stands before the data and what behind them. */
extern const char report_html_head[], report_html_tail[];
extern const unsigned long report_html_head_size, report_html_tail_size;
