/* campaign_internal.h: one campaign under way; shared by camp_run.c, camp_plan.c and camp_result.c */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "campaign/campaign.h"

struct camp_device_state {
	const char *name;
	bool dead;                        /* cannot be opened, or set aside after failed controls */
	double time_limit_s;              /* per image, from the original's time */
	const float **logits;             /* per input: the original's scores on this device */
	double *noise;                    /* per input: largest difference between runs of the original */
	size_t variant;                   /* of the campaign's programs: the one it runs */
};

/* A program of the original for some of the devices. */
struct camp_variant {
	struct camp_target target;
	struct camp_program program;
	size_t of;                        /* variant with the same functions in another dialect, before this one; itself when there is none */
};

/* A mutant of the group that is under way, on one device. */
struct camp_pending {
	struct store_result result;
	bool wanted;                      /* a job is needed: not resumed, not decided without running */
	bool ended;                       /* crashed or hung: the remaining images are not run */
};

struct camp {
	struct arena *a;
	const struct config_campaign *config;
	const struct camp_run_options *options;
	const struct camp_hooks *hooks;
	struct camp_model *model;
	struct camp_input *input;
	size_t ninputs, chunk;            /* chunk: images whose baseline tensors fit the memory budget */
	struct pool *pool;
	struct camp_device_state *device;
	size_t ndevices;
	struct camp_variant *variant;     /* the first is what mutants are listed from */
	size_t nvariants;
	struct mutant *mutant;
	size_t nmutants;
	struct store *store;
	struct camp_progress progress;
	double started;
	bool stopped;
};

const struct bundle *camp_original(const struct camp *c, size_t device);
double camp_now(void);                    /* monotonic seconds */
void camp_tell(struct camp *c, const char *phase);
bool camp_stopping(struct camp *c);

/* camp_plan.c: everything before the first mutant runs. */
bool camp_prepare(struct camp *c, const char *store_path, struct err *e);
void camp_end(struct camp *c);

/* camp_baseline.c: the original on every device: answers, noise, time limits; and its control runs. */
bool camp_baselines(struct camp *c, struct err *e);
/* *good: per device, whether the original still gives what it gave. */
bool camp_control(struct camp *c, bool *good, struct err *e);

/* camp_result.c: adds one finished job over inputs first.. to what is known of the mutant. */
void camp_take(struct camp *c, struct arena *a, size_t device, size_t first, const struct pool_result *r, struct camp_pending *p);
bool camp_store(struct camp *c, size_t device, struct camp_pending *p, struct err *e);
