/* store_case.h: a small campaign to put into a store, which lies in a folder of the test's own */
#pragma once
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/store.h"
#include "test_support.h"

static char dir[64], path[128];

static inline void enter(void)
{
	strcpy(dir, "/tmp/mutatenn-store-XXXXXX");
	cr_assert(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/campaign.db", dir);
}

static inline void leave(void)
{
	DIR *d = opendir(dir);
	struct dirent *ent;

	while (d && (ent = readdir(d)))
		if (ent->d_name[0] != '.')
			unlinkat(dirfd(d), ent->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}

static inline struct store *must_open(enum store_mode mode)
{
	struct store *s = NULL;
	struct err e = {0};

	cr_assert(store_open(path, mode, &s, &e), "%s", err_text(&e));
	return s;
}

#define OK(call) cr_assert((call), "%s", err_text(&e))

static inline void fill(struct store *s)
{
	struct err e = {0};

	OK(store_put_model(s, &(struct store_model){"net", "net.onnx", {1, 2}}, &e));
	for (int i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof name, "%d.png", i);
		OK(store_put_image(s, &(struct store_image){.index = i, .name = name, .hash = {3, (uint64_t)i + 1}, .label = i - 1}, &e));
	}
	OK(store_put_device(s, &(struct store_device){"host-gcc", "cpu", "gcc 12", "gcc 12 here", NULL}, &e));
	OK(store_put_device(s, &(struct store_device){"board", "cpu", NULL, NULL, "no route to host"}, &e));
	OK(store_put_mutant(
	    s, &(struct store_mutant){"loop.lt/conv1/3/le", "loop.lt", "Conditional", "conv1", "3", "le", 1, .diff = "-a\n+b"}, &e));
	OK(store_put_mutant(s, &(struct store_mutant){"graph.add/all/all", "graph.add", "Arithmetic", "", "all", "", 0, .diff = NULL}, &e));
	OK(store_put_mutant(s, &(struct store_mutant){"loop.lt/conv1/4/le", "loop.lt", "Conditional", "conv1", "4", "le", 1, .diff = NULL},
			    &e));
}

static const int32_t labels[] = {7, 2, 9};
static const float probabilities[] = {0.5f, 0.25f, 0.125f}, logits[] = {1, -2, 3.5f, 1e-30f};

static inline struct store_answer answer(void)
{
	return (struct store_answer){{11, 12}, 3, labels, probabilities, logits, 4};
}

static inline struct store_result result(struct store_image_result im[static 3])
{
	for (int i = 0; i < 3; i++)
		im[i] = (struct store_image_result){.image = i,
						    .outcome = OUTCOME_IDENTICAL,
						    .answer = answer(),
						    .top1_equal = true,
						    .cosine = 1,
						    .rbo = 0.25,
						    .minkowski = 2.5,
						    .max_abs = 1e-300,
						    .nan_count = 4,
						    .launches_run = 5,
						    .launches_saved = 6,
						    .time_s = 0.125};
	im[1].outcome = OUTCOME_MISCLASSIFIED;
	im[1].top1_equal = false;
	im[1].answer.logits = NULL;
	im[1].answer.nlogits = 0;
	im[2].outcome = OUTCOME_CRASH;
	im[2].answer = (struct store_answer){0};
	return (struct store_result){.mutant = "loop.lt/conv1/3/le",
				     .device = "host-gcc",
				     .outcome = OUTCOME_TOLERATED,
				     .code = {21, 22},
				     .message = "signal 11 while running conv1",
				     .stage = "run",
				     .kernel = "conv1",
				     .signal = 11,
				     .launches_run = 30,
				     .launches_saved = 60,
				     .build_s = 1.5,
				     .image = im,
				     .nimages = 3};
}
