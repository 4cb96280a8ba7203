/* cuda_ptx.c: every kernel of a model, in CUDA C, is taken by NVRTC - to PTX and to machine code, without a GPU
 *
 * usage: cuda_ptx MODEL... [--level N]... [--arch sm_90]... [--keep DIR] [--verbose]
 *
 * Level 3 is the schedule of the gpu class. A model in a folder of $MUTATENN_MODELS is found by its file name; one that is
 * nowhere is shown as skipped. Exit status 1 when a kernel is refused; 77 without NVRTC, or when no model was there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "campaign/campaign.h"
#include "device/device.h"

#define MAX 32

struct options {
	const char *model[MAX], *arch[MAX], *keep;
	int level[MAX], nmodels, nlevels, narchs;
	bool verbose;
};

static int refused, compiled;

static struct device *builder(const char *arch)
{
	const char *flag[] = {arch};
	struct device_options o = {.role = DEVICE_BUILDER, .cflags = flag, .ncflags = 1, .cache_dir = ""};
	struct device *d;
	struct err e = {0};

	if (!device_cuda.open(&o, &d, &e)) {
		printf("skipped: %s\n", err_text(&e));
		exit(77);
	}
	return d;
}

static void keep(struct arena *a, const struct options *o, const char *name, const char *suffix, const void *data, size_t size)
{
	struct err e = {0};

	if (o->keep && !file_write(arena_printf(a, "%s/%s.%s", o->keep, name, suffix), data, size, &e)) {
		printf("%s\n", err_text(&e));
		exit(1);
	}
}

static void compile(struct arena *a, const struct options *o, const char *name, const struct bundle_kernel *k)
{
	keep(a, o, name, "cu", k->source, strlen(k->source));
	for (int i = 0; i < o->narchs; i++) {
		struct device *d = builder(arena_printf(a, "-arch=%s", o->arch[i]));
		struct artefact art;
		struct err e = {0};

		if (device_cuda.compile(d, a, k->source, k->contract, &art, &e)) {
			compiled++;
			keep(a, o, name, o->arch[i], art.data, art.size);
		} else {
			refused++;
			printf("REFUSED %s for %s: %s\n%s\n%s\n", name, o->arch[i], err_text(&e), art.log ? art.log : "",
			       o->verbose ? k->source : "");
		}
		err_free(&e);
		device_cuda.close(d);
	}
}

static void check(const struct options *o, const char *file, int level)
{
	struct arena *a = arena_new(NULL);
	struct camp_target target = {.cls = DEVICE_GPU, .lanes = 1, .dialect = "cuda-c"};
	struct camp_model_options mo = {.batch = 1};
	struct camp_model *m;
	struct camp_program p;
	struct err e = {0};
	int before = compiled, bad = refused;

	if (!camp_model_load(a, file, &mo, &m, &e) || !camp_program_build(a, m, level, NULL, 0, &target, &p, &e)) {
		printf("FAILED %s, level %d: %s\n", file, level, err_text(&e));
		refused++;
	} else {
		for (uint32_t i = 0; i < p.bundle->nkernels; i++)
			compile(a, o, arena_printf(a, "%s-%d-%u", m->name, level, i), &p.bundle->kernel[i]);
		printf("%s, level %d: %u kernels, %d compilations, %d refused\n", m->name, level, p.bundle->nkernels,
		       compiled - before, refused - bad);
	}
	fflush(stdout);
	err_free(&e);
	arena_free(a);
}

static void parse(int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc && o->nmodels < MAX && o->nlevels < MAX && o->narchs < MAX; i++) {
		if (!strcmp(argv[i], "--verbose"))
			o->verbose = true;
		else if (argv[i][0] != '-')
			o->model[o->nmodels++] = argv[i];
		else if (i + 1 == argc)
			break;
		else if (!strcmp(argv[i], "--level"))
			o->level[o->nlevels++] = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--arch"))
			o->arch[o->narchs++] = argv[++i];
		else if (!strcmp(argv[i], "--keep"))
			o->keep = argv[++i];
	}
	if (!o->nlevels)
		o->level[o->nlevels++] = 2;
	if (!o->narchs)
		o->arch[o->narchs++] = "compute_75";
}

int main(int argc, char **argv)
{
	struct options o = {0};
	struct arena *a = arena_new(NULL);
	const char *folder = getenv("MUTATENN_MODELS");
	int found = 0;

	parse(argc, argv, &o);
	device_cuda.close(builder("-arch=compute_75"));
	for (int i = 0; i < o.nmodels; i++) {
		const char *file = o.model[i];

		if (!file_exists(file) && folder)
			file = file_join(a, folder, file);
		if (!file_exists(file)) {
			printf("skipped: '%s' is not here (MUTATENN_MODELS names the folder)\n", o.model[i]);
			continue;
		}
		found++;
		for (int k = 0; k < o.nlevels; k++)
			check(&o, file, o.level[k]);
	}
	arena_free(a);
	return refused ? 1 : found ? 0 : 77;
}
