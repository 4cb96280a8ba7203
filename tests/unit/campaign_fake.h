/* campaign_fake.h: campaigns on a pool that answers what the test wants
 *
 * The pool_* functions of campaign_fake.c take the place of the worker room's: nothing is compiled, no process is started. Runs with
 * real workers are in tests/e2e.
 */
#pragma once
#include "base/arena.h"
#include "campaign/campaign.h"
#include "test_support.h"

#define IMAGES 2
#define CLASSES 4

struct answer { /* of a mutant's job */
	enum pool_status status;
	float add[CLASSES]; /* to the original's scores */
	int signal;
	const char *text;
	const struct answer *again; /* what it answers to the later runs, one after the other; NULL: the same */
	enum pool_stage stage;      /* START: where such an end usually is */
	int code;                   /* 0: one of its own */
	const struct answer *refilled; /* what it answers with another fill; NULL: the same */
	uint64_t unwritten;         /* elements that hold the fill */
};

/* What a test sets before a campaign and reads after it. */
extern struct fake {
	const struct answer *script; /* by order of submission, over all devices; beyond it: unchanged scores */
	size_t nscript, mutants[2];  /* jobs of mutants, by device */
	int originals[2];            /* runs of the original, by device */
	size_t bad_after;            /* jobs of mutants on the second device, after which ... */
	int bad_runs;                /* ... so many runs of the original there answer something else */
	int bad_run;                 /* of the original's on the first device, counted from 1: it does, too; 0: none */
	float unwritten;             /* added to one score of the original on the second device where zeros lie in unwritten memory */
	float noise;                 /* added to one score in every second run of the original */
	size_t asked, again;
	struct {
		const struct bundle *bundle;
		size_t device;
		const struct pool_input *input; /* from its first image on */
		struct answer now;
	} seen[4096]; /* mutants that were run, in order: a second run is known by them */
	size_t nseen;
	uint64_t codes;
	const struct bundle *ahead[4096]; /* built before they were submitted */
	size_t nahead, came, held;        /* of them: submitted, built while nothing is to be */
	bool hold;
} fake;

/* Images, a model of two layers and a campaign over all their loop mutants, in a folder of its own. fake is cleared. */
void fake_enter(struct arena *a, struct config_campaign *c);
/* Removes the folder; a is freed. */
void fake_leave(struct arena *a);
extern char fake_store[96]; /* the campaign's store */

/* Mutants that are proved to stay inside their buffers: nothing is run again for that. */
void fake_only_stores(struct config_campaign *c);
struct camp_summary fake_run(const struct config_campaign *c);
/* What the store says against a device; "": nothing. */
const char *fake_error(struct arena *a, const char *device);
/* Rows of jobs that a device answered, in the plan's order; the others (no-site, no-effect) are left out. */
size_t fake_rows(struct arena *a, const char *device, struct store_result *out, size_t max);
size_t fake_count(const struct store_result *r, size_t n, enum outcome o);
