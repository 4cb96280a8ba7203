/* in_range.c: every access of every kernel of a model is proved to stay inside its buffer
 *
 * usage: in_range MODEL.onnx...      the first must be there; others are also looked for in the folder $MUTATENN_MODELS, named
 *                                    and left out where they are absent
 * At every level, for processors and graphics cards.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "campaign/campaign.h"

static const struct camp_target targets[] = {
    {.cls = DEVICE_CPU, .lanes = 16, .precision = DT_F32, .dialect = "c"},
    {.cls = DEVICE_CPU, .lanes = 4, .precision = DT_F16, .dialect = "c"},
    {.cls = DEVICE_GPU, .lanes = 1, .max_group = 256, .local_memory = 32 << 10, .precision = DT_F32, .dialect = "cuda-c"},
};

/* How many kernels are not proved. */
static int check(const struct camp_model *m, int level, const struct camp_target *t)
{
	const char *winograd = "winograd";
	struct comp_options o = {.opt_level = level, .enabled = &winograd, .nenabled = 1, .cls = t->cls, .lanes = t->lanes, .max_group = t->max_group, .local_memory = t->local_memory, .precision = t->precision};
	struct arena *a = arena_new(NULL);
	struct comp_program *p;
	struct lir_bounds b;
	struct err e = {0};
	int wrong = 0;

	if (!comp_program(a, m->graph, &o, &p, &e)) {
		printf("'%s': %s\n", m->file, err_text(&e));
		err_free(&e);
		arena_free(a);
		return 1;
	}
	for (uint32_t k = 0; k < p->nkernels; k++) {
		lir_bounds(p->kernel[k].func, &b);
		if (b.kind == LIR_BOUNDS_IN_RANGE)
			continue;
		printf("'%s', level %d: '%s': %s\n", m->name, level, p->kernel[k].func->name, b.text);
		wrong++;
	}
	printf("%s, level %d, %s %s: %u of %u kernels are proved in range\n", m->name, level, t->cls == DEVICE_GPU ? "gpu" : "cpu",
	       dtype_name(t->precision), p->nkernels - (uint32_t)wrong, p->nkernels);
	arena_free(a);
	return wrong;
}

int main(int argc, char **argv)
{
	struct camp_model_options o = {.batch = 1};
	const char *folder = getenv("MUTATENN_MODELS");
	struct camp_model *m;
	struct err e = {0};
	int wrong = argc < 2;

	log_set_level(LOG_ERROR);
	for (int i = 1; i < argc; i++) {
		struct arena *a = arena_new(NULL);

		if (!file_exists(argv[i]) && folder)
			argv[i] = file_join(a, folder, argv[i]);
		if (i > 1 && !file_exists(argv[i])) {
			printf("skipped '%s': it is absent\n", argv[i]);
		} else if (!camp_model_load(a, argv[i], &o, &m, &e)) {
			printf("%s\n", err_text(&e));
			wrong++;
		} else {
			for (size_t t = 0; t < sizeof targets / sizeof *targets; t++)
				for (int level = 0; level <= 3; level++)
					wrong += check(m, level, &targets[t]);
		}
		arena_free(a);
	}
	return wrong != 0;
}
