/* select/select.h: the acceptance set - the fewest images that keep every kill of a campaign
 *
 * A kill is (mutant, device, criterion). An image keeps it when the mutant was seen to be killed on that image; a kill that no
 * image is needed for (the mutant dies while it is loaded) is kept by any. docs/acceptance.md has the reasons and the proofs.
 * Everything is deterministic: budgets are counted in steps, never in seconds.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct arena;
struct err;
struct str;

/* ---- set cover (select_cover.c, select_exact.c) ---------------------------------------------------------- */

/* Which images (columns) keep which kills (rows). Equal rows are one with a weight. */
struct select_matrix;
#define SELECT_MAX_IMAGES 65536
#define SELECT_MAX_WORDS ((size_t)1 << 28) /* of all distinct rows: 2 GiB */

struct select_matrix *select_matrix_new(struct arena *a, size_t nimages);
size_t select_row_words(const struct select_matrix *m);
/* bits: select_row_words words, at least one bit, none at or beyond nimages. False: more than SELECT_MAX_WORDS. */
bool select_matrix_add(struct select_matrix *m, const uint64_t *bits, uint64_t weight, struct err *e);

struct select_cover {
	size_t *image; /* ascending */
	size_t n;
	size_t lower;            /* proved: no set of fewer images keeps everything */
	bool smallest;           /* n is the least */
	size_t essential;        /* images that some kill is lost without, whatever else is there */
	size_t greedy;           /* size of what greedy alone finds */
	double greedy_bound;     /* it is at most this many times the least: H(d) of the reduced problem */
	uint64_t distinct, left; /* distinct rows; of these what was left for the search after the reductions */
	uint64_t steps;          /* of the search */
	uint64_t kept, kills;    /* by weight; kept < kills only with a limit */
	uint64_t most;           /* proved: no set of so many images keeps more than this */
};
#define SELECT_STEPS ((uint64_t)2000000000) /* word operations: some seconds */

/* most_images 0: no limit, every kill is kept. steps 0: SELECT_STEPS. An empty matrix gives an empty set. */
void select_cover(struct arena *a, const struct select_matrix *m, size_t most_images, uint64_t steps, struct select_cover *out);

/* ---- the kills of a store (select_kills.c) --------------------------------------------------------------- */

struct select_options {
	unsigned criteria;         /* STORE_KILL_*; 0: all */
	const char *const *device; /* names; n 0: all */
	size_t ndevices;
	size_t most_images;
	uint64_t steps;
};

struct select_kill { /* that only one image keeps */
	const char *mutant, *device;
	unsigned criteria;
	size_t image;
};

struct select_result {
	size_t nimages; /* of the campaign */
	struct select_cover cover;
	uint64_t kills[STORE_CRITERIA], kept[STORE_CRITERIA];
	uint64_t anywhere; /* kills that no image is needed for */
	uint64_t lonely;   /* mutants that only one image kills on some device */
	uint64_t *alone;   /* per image of the campaign: kills that only it keeps */
	struct select_kill *kill;
	size_t nkills; /* the first SELECT_LISTED of them */
};
#define SELECT_LISTED 10000

/* Reads the store twice, row by row. Names of devices that the store has not are ERR_USAGE. */
bool select_from_store(struct arena *a, struct store *s, const struct select_options *o, struct select_result *out, struct err *e);
/* A line per mutant, device and criterion that is killed: how many images keep it, how many of the set, and which of all when it is
 * one. Appends CSV with a head line. */
bool select_kills_csv(struct store *s, const struct select_options *o, const struct select_result *r, const char *path, struct err *e);

/* ---- the set as a folder (select_manifest.c) ------------------------------------------------------------- */

#define SELECT_FORMAT "mutatenn-acceptance-set"
#define SELECT_VERSION 1

struct select_device {
	char *name, *backend, *identity, *describe;
	char *cls, *precision; /* "cpu" or "gpu"; "f32": the functions that it ran */
	int lanes;
};

struct select_expected { /* of one image on one device */
	int k;
	int32_t *label; /* best first */
	float *probability;
	struct hash digest; /* of the scores' bytes */
	char *scores;       /* their file, relative to the folder */
	double noise;       /* the device's own: what the recorded device may differ by */
	double margin;      /* half the least distance of neighbours among the k + 1 best scores: less cannot change their order */
};

struct select_image {
	char *name, *file; /* file: relative to the folder */
	struct hash hash, input; /* of the file's bytes; of the preprocessed tensor */
	int64_t label;     /* true class, -1 unknown */
	struct select_expected *expected; /* per device of the set */
	double tolerance;  /* on devices that are not the recorded ones: see docs/acceptance.md */
	uint64_t alone;    /* kills that of all images only this one keeps */
};

struct select_set {
	char *tool, *store, *model, *model_file, *preprocess, *output, *scores;
	struct hash model_hash;
	int opt_level, batch, top_k;
	char **disable_pass;
	size_t ndisable_pass;
	char **enable_pass;
	size_t nenable_pass;
	unsigned criteria;
	struct select_device *device;
	size_t ndevices;
	struct select_image *image;
	size_t nimages;
	struct select_result result; /* cover.image is not kept */
};

/* The manifest as JSON. */
bool select_manifest_text(const struct select_set *s, struct str *out, struct err *e);
/* Reads a manifest, which may be anything: errors name the file and the field. Names of files stay inside the folder. */
bool select_manifest_read(struct arena *a, const char *path, struct select_set *out, struct err *e);
