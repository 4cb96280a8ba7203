/* camp_repro_internal.h: what is reproduced; camp_repro.c runs it */
#pragma once
#include "campaign/campaign_internal.h"

/* One of the two programs that are compared. */
struct side {
	const char *name, *title, *device;
	const struct bundle *bundle;
	const struct device_caps *caps;
	struct pool_device def;
	struct pool_result r;
	const struct tensor *input;
	const char *ends;                 /* "", "crash", "hang" */
	bool run;                         /* has a program of its own; else only its results are there */
};

struct repro {
	struct arena *a;
	struct store *s;
	const struct camp_repro_options *o;
	struct select_set set;
	struct camp_model *model;
	struct pool *pool;
	struct camp_program program[2];   /* of the original, for both devices */
	struct side side[2];
	struct store_image image;
	struct camp_input *input;
	struct store_result verdict;
	struct mutant mutant;
	bool is_original, whole;
	uint32_t launch;
	struct camp_repro *out;
};

/* camp_repro_side.c: the contents of a buffer at the end of a run; NULL: nobody has them. */
const void *repro_value(const struct side *s, uint32_t b);
size_t repro_bytes(const struct bundle_buffer *b);
bool repro_same_launches(const struct bundle *a, const struct bundle *b); /* by name and arguments */

/* camp_repro_folder.c: all of o->dir. */
bool repro_write(struct repro *r, struct err *e);
