/* report_compare.h: stores against each other, as data; both formats print this */
#pragma once
#include "base/hash.h"
#include "report/report_internal.h"

/* One program's answer to one image of the comparison. */
struct cmp_answer {
	bool there;
	int32_t top1;
	struct hash digest;
	const float *logits; /* NULL: not kept */
	int64_t nlogits;
};

/* One device of one store. */
struct cmp_side {
	struct store *store;
	char *device;
	char *title;         /* the device, with the store where that is needed */
	const int32_t *slot; /* store's image number -> image of the comparison, -1: none */
	int64_t nslots;
	struct cmp_answer *original; /* one per image of the comparison */
	/* of the mutant in hand: */
	bool known; /* the store has this mutant */
	enum outcome outcome;
	int64_t images, images_changed;
	struct cmp_answer *answer;
};

/* Two sides on the same program. Images that only one side answered are counted, not compared. */
struct cmp_pair {
	size_t a, b;
	int64_t images, one_sided;
	int64_t labels_differ;
	int64_t bits_equal;
	int64_t new_differ; /* of the labels that differ: images where the originals agree */
	bool measured;      /* max_abs is over all compared images */
	double max_abs;     /* of numbers; NaN and Inf are counted: */
	int64_t special_differ; /* images with one of them on one side only */
};

/* Is the difference between two devices the mutant's doing? */
enum cmp_verdict {
	CMP_NOT_COMPARED, /* no image answered on both, outcomes alike */
	CMP_AGREE,        /* the same first label everywhere, and the same outcome but for what the original's own answer is called */
	CMP_AS_ORIGINAL,  /* labels differ, but only where those of the originals do */
	CMP_MUTANT,       /* labels differ where the originals agree */
	CMP_JUDGED,       /* the same labels, but another outcome: NaN on one side, numbers on the other, say */
	CMP_OUTCOME,      /* one side answers, the other crashes, hangs, does not build ... */
	CMP_VERDICTS
};
const char *cmp_verdict_name(enum cmp_verdict v);

struct cmp {
	struct store *const *store;
	size_t nstores;
	size_t nimages;
	struct cmp_side *side;
	size_t nsides;
	struct cmp_pair *original; /* every pair of sides: a < b, in order */
	size_t npairs;
	struct arena *arena;
};

bool cmp_open(struct store *const *s, size_t n, struct arena *a, struct cmp *out, struct err *e);
/* The mutants of all stores, each once. */
struct cmp_walk {
	size_t store;
	struct store_iter *it;
};
/* Reads the next mutant on all sides into `a` (which may be freed before the next step). got is false at the end. */
bool cmp_next(struct cmp *c, struct cmp_walk *w, struct arena *a, struct store_mutant *m, bool *got, struct err *e);
/* The same for one side, from rows that the caller reads: its result (NULL: there is none), its images, and then what follows from both. */
void cmp_take_result(const struct cmp *c, struct cmp_side *s, struct arena *a, const struct store_result *r);
void cmp_take_image(struct cmp_side *s, struct arena *a, const struct store_image_result *im);
void cmp_taken(const struct cmp *c, struct cmp_side *s);
/* Pair number p for the mutant in hand. */
void cmp_mutant_pair(const struct cmp *c, size_t p, struct cmp_pair *out, enum cmp_verdict *verdict);
