/* report_mutatenn.h: MutateNN's result folder, read whole */
#pragma once
#include "report/report_internal.h"

enum mnn_state { MNN_MISSING, MNN_TRUNCATED, MNN_ANSWERED };

/* DEVICE/VARIANT/mutations/ts_EPOCH_.../IMAGE.txt: lines "label, probability", an empty line, seconds. */
struct mnn_answer {
	enum mnn_state state;
	int k;
	int32_t *label; /* as in the file (there, class index + 1) */
	double *probability;
	double seconds;
};

struct mnn_run {
	bool folder;  /* DEVICE/VARIANT exists */
	size_t times; /* ts_ folders; the newest is read */
	size_t answered, truncated, missing;
	size_t nan;                /* answers with a probability that is no number */
	bool stuck;                /* at least two answers, all of them the same */
	struct mnn_answer *answer; /* one per image */
};

struct mnn {
	const char *dir;
	char **device, **variant, **image; /* sorted; images: of all runs together */
	size_t ndevices, nvariants, nimages;
	struct mnn_run *run; /* [variant * ndevices + device] */
	long original;       /* variant that begins with model_original; -1: none */
};

/* Two runs, over the images that both answered. */
struct mnn_pair {
	size_t images, one_sided, top1_differ;
	double jaccard, rbo, kendall, displacement, euclidean, manhattan, minkowski; /* means */
	double max_probability;                                                      /* largest difference of a class both name */
	bool timed;
	double f, p;         /* of the seconds, one-way analysis of variance */
	const char **differ; /* names of the images whose first label differs */
};

bool mnn_read(struct arena *a, const char *dir, struct mnn *out, struct err *e);
void mnn_compare(struct arena *a, const struct mnn *m, const struct mnn_run *x, const struct mnn_run *y, struct mnn_pair *out);
/* "complete", "not-run", "crashed" (images are missing), "damaged" (files are cut short), "stuck". */
const char *mnn_status(const struct mnn_run *r);
