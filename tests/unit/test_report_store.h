/* test_report_store.h: small stores for the tests of reports */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/store.h"

#define SAMPLE_MUTANTS 7
#define SAMPLE_IMAGES 4

static char sample_dir[64];

static inline struct store *sample_empty(const char *name)
{
	struct store *s = NULL;
	struct err e = {0};
	char path[160];

	if (!*sample_dir) {
		strcpy(sample_dir, "/tmp/mutatenn-report-XXXXXX");
		cr_assert(mkdtemp(sample_dir) != NULL);
	}
	snprintf(path, sizeof path, "%s/%s.db", sample_dir, name);
	cr_assert(store_open(path, STORE_WRITE, &s, &e), "%s", err_text(&e));
	return s;
}

static inline void sample_remove(void)
{
	DIR *d = opendir(sample_dir);
	struct dirent *ent;

	while (d && (ent = readdir(d)))
		if (ent->d_name[0] != '.')
			unlinkat(dirfd(d), ent->d_name, 0);
	if (d)
		closedir(d);
	rmdir(sample_dir);
	*sample_dir = 0;
}

/* Logits whose largest is class `label`; `nudge` moves another one. */
static inline struct store_answer sample_answer(int label, float nudge)
{
	static float logits[16][4];
	static int32_t labels[16];
	static const float probability[] = {0.75f};
	static int at;

	at = (at + 1) % 16;
	for (int i = 0; i < 4; i++)
		logits[at][i] = (float)(i == label) * 10;
	logits[at][(label + 1) % 4] += nudge;
	labels[at] = label;
	return (struct store_answer){hash_bytes(logits[at], sizeof logits[at]), 1, &labels[at], probability, logits[at], 4};
}

static inline void sample_result(struct store *s, const char *mutant, const char *device, enum outcome o, int changed, float nudge)
{
	struct store_image_result im[SAMPLE_IMAGES];
	struct store_result r = {
	    .mutant = mutant, .device = device, .outcome = o, .code = {1, 2}, .launches_run = 10, .launches_saved = 20};
	struct err e = {0};

	for (int i = 0; i < SAMPLE_IMAGES; i++)
		im[i] = (struct store_image_result){.image = i,
						    .outcome = i < changed ? OUTCOME_MISCLASSIFIED : OUTCOME_IDENTICAL,
						    .answer = sample_answer(i < changed ? (i + 2) % 4 : i, nudge),
						    .top1_equal = i >= changed,
						    .cosine = 1};
	r.image = im;
	r.nimages = o == OUTCOME_IDENTICAL ? SAMPLE_IMAGES : 0;
	if (o == OUTCOME_CRASH) {
		r.message = "signal 11, while \"running\"\nconv1";
		r.stage = "run";
		r.signal = 11;
	}
	cr_assert(store_put_result(s, &r, &e), "%s", err_text(&e));
}

/* Seven mutants of every sort on host-gcc and host-clang; a third device that cannot be reached. `nudge` moves every logit
 * of host-clang, as another compiler would. */
__attribute__((unused)) static struct store *sample_store(const char *name, float nudge)
{
	static const char *const devices[] = {"host-gcc", "host-clang"};
	struct store *s = sample_empty(name);
	struct err e = {0};
	char text[200];

	cr_assert(store_put_model(s, &(struct store_model){"net", "net.onnx", {1, 2}}, &e));
	for (int i = 0; i < SAMPLE_IMAGES; i++) {
		snprintf(text, sizeof text, "%d.png", i);
		cr_assert(store_put_image(s, &(struct store_image){.index = i, .name = text, .hash = {3, (uint64_t)i + 1}, .label = i}, &e));
	}
	for (int d = 0; d < 2; d++) {
		cr_assert(store_put_device(s, &(struct store_device){devices[d], "cpu", devices[d], "a compiler", NULL}, &e));
		for (int i = 0; i < SAMPLE_IMAGES; i++)
			cr_assert(store_put_baseline(
			    s, &(struct store_baseline){devices[d], i, sample_answer(i, d ? nudge : 0), 0, 0.5}, &e));
	}
	cr_assert(store_put_device(s, &(struct store_device){"board", "cpu", NULL, NULL, "no route to host"}, &e));
	for (int i = 0; i < SAMPLE_MUTANTS; i++) {
		snprintf(text, sizeof text, "op%d/%s/%d/x", i % 3,
			 i == 3 ? "a-very-long-target-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-for-ever" : "conv1", i);
		cr_assert(
		    store_put_mutant(s,
				     &(struct store_mutant){text,
							    i % 3 == 2 ? "op2"
							    : i % 3    ? "op1"
								       : "op0",
							    i % 3 ? "Conditional" : "Arithmetic", "conv1", "1", "x", i != 4, .diff = NULL},
				     &e));
	}
	for (int d = 0; d < 2; d++) {
		sample_result(s, "op0/conv1/0/x", devices[d], OUTCOME_IDENTICAL, d ? 0 : 1, d ? nudge : 0);
		sample_result(s, "op1/conv1/1/x", devices[d], d ? OUTCOME_HANG : OUTCOME_CRASH, 0, 0);
		sample_result(s, "op2/conv1/2/x", devices[d], d ? OUTCOME_CRASH : OUTCOME_HANG, 0, 0);
	}
	sample_result(s, "op2/conv1/5/x", "host-gcc", OUTCOME_EQUIVALENT, 0, 0);
	sample_result(s, "op2/conv1/5/x", "host-clang", OUTCOME_TOOL_ERROR, 0, 0);
	sample_result(s, "op0/conv1/6/x", "host-gcc", OUTCOME_IDENTICAL, 0, 0);
	return s;
}
