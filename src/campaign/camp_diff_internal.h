/* camp_diff_internal.h: one side of a comparison, and one tensor of both; shared by camp_diff*.c */
#pragma once
#include "base/map.h"
#include "campaign/campaign_internal.h"

struct diff_run {
	const struct camp_diff_side *side;
	char letter;
	struct camp_program original;     /* for the side's target */
	struct comp_program *program;     /* what runs: the original's or the mutant's */
	struct bundle *bundle;
	const struct tensor *tensor;      /* the input */
	struct pool_result result;
	struct map *dumped;               /* name -> const struct tensor *, as stored */
};

/* camp_diff_tensor.c: the tensor of a buffer in its logical layout; a blocked one is copied, others share the data. */
struct tensor *diff_logical(struct arena *a, const struct comp_buffer *b, const struct tensor *stored);
double diff_relative(const struct distance *d);
/* The state, and the distance where there is one, of a row whose tensors are set. */
void diff_compare(struct camp_diff_row *row, double tolerance);

/* camp_diff_alone.c: fills in what the rows say of B's kernels alone. */
bool diff_alone(struct arena *a, struct pool *pool, const struct diff_run r[2], struct camp_diff *out, struct err *e);
