/* cuda_ptx.c: every kernel of a model, in CUDA C, is taken by NVRTC - to PTX and to machine code, without a GPU
 *
 * usage: cuda_ptx MODEL... [--batch N] [--suite DATA_DIR [--sample N]] [--level N]... [--arch sm_90]... [--keep DIR] [--verbose]
 *
 * --keep: what was compiled, and NAME-LEVEL.launches, a line each: kernel, groups, work-items of one, name, dims of its tensors.
 * --suite: every Nth of ONNX's own backend tests (suite.h), too. What the C dialect does not support is left out.
 * Level 3 is the schedule of the gpu class. A model in a folder of $MUTATENN_MODELS is found by its file name; one that is
 * nowhere is shown as skipped. Exit status 1 when a kernel is refused; 77 without NVRTC, or when no model was there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "device/device.h"
#include "loop/loop.h"
#include "suite.h"

#define MAX 32

struct options {
	const char *model[MAX], *arch[MAX], *keep, *suite;
	int level[MAX], nmodels, nlevels, narchs, sample, batch;
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

static const struct camp_target target = {.cls = DEVICE_GPU, .lanes = 1, .max_group = LIR_MAX_GROUP, .local_memory = CAMP_LOCAL_MEMORY, .dialect = "cuda-c"};

static void compile_all(struct arena *a, const struct options *o, const char *name, const struct bundle *b)
{
	for (uint32_t i = 0; i < b->nkernels; i++)
		compile(a, o, arena_printf(a, "%s-%u", name, i), &b->kernel[i]);
}

static void keep_launches(struct arena *a, const struct options *o, const char *name, const struct bundle *b)
{
	struct str s = {0};

	for (uint32_t i = 0; i < b->nlaunches; i++) {
		const struct bundle_launch *l = &b->launch[i];
		const struct bundle_kernel *k = &b->kernel[l->kernel];

		str_addf(&s, "%u\t%llu\t%u\t%s", l->kernel, (unsigned long long)k->groups, k->group, l->name);
		for (uint32_t j = 0; j < l->nargs; j++) {
			const struct bundle_buffer *x = &b->buffer[l->arg[j]];

			str_add(&s, j + l->nout >= l->nargs ? "\tout" : x->role == BUF_CONST ? "\tconstant" : "\tin");
			for (int d = 0; d < x->nd; d++)
				str_addf(&s, " %lld", (long long)x->dim[d]);
		}
		str_addc(&s, '\n');
	}
	keep(a, o, name, "launches", str_text(&s), s.n);
	str_free(&s);
}

static void check(const struct options *o, const char *file, int level)
{
	struct arena *a = arena_new(NULL);
	struct camp_model_options mo = {.batch = o->batch};
	struct camp_model *m;
	struct camp_program p;
	struct err e = {0};
	int before = compiled, bad = refused;

	if (!camp_model_load(a, file, &mo, &m, &e) || !camp_program_build(a, m, &(struct camp_level){.opt_level = level}, &target, &p, &e)) {
		printf("FAILED %s, level %d: %s\n", file, level, err_text(&e));
		refused++;
	} else {
		compile_all(a, o, arena_printf(a, "%s-%d", m->name, level), p.bundle);
		keep_launches(a, o, arena_printf(a, "%s-%d", m->name, level), p.bundle);
		printf("%s, level %d: %u kernels, %d compilations, %d refused\n", m->name, level, p.bundle->nkernels,
		       compiled - before, refused - bad);
	}
	fflush(stdout);
	err_free(&e);
	arena_free(a);
}

/* ---- the suite ---- */

struct suite_run {
	const struct options *o;
	int level, seen, models, unsupported;
};

struct built {
	int level;
	bool in_c;
	struct camp_program p;
};

/* First in C: what that cannot do is not this dialect's fault. */
static bool build(struct arena *a, struct gir_graph *g, void *user, struct err *e)
{
	struct built *b = user;
	struct camp_target c = target;
	struct camp_model m = {.file = "model", .graph = g};

	c.dialect = "c";
	b->in_c = camp_program_build(a, &m, &(struct camp_level){.opt_level = b->level}, &c, &b->p, e);
	return b->in_c && camp_program_render(a, &b->p, target.dialect, &b->p, e);
}

static void one_test(const char *name, const char *dir, const char *model, void *user)
{
	struct suite_run *r = user;
	struct arena *a;
	struct built b = {.level = r->level};
	struct suite_set set;
	struct str why = {0};
	struct err e = {0};
	char *folder, *flat;

	if (r->seen++ % r->o->sample)
		return;
	a = arena_new(NULL);
	folder = suite_set_dir(a, dir, 0);
	flat = arena_printf(a, "%s-%d", name, r->level);
	for (char *s = flat; *s; s++)
		*s = *s == '/' ? '_' : *s;
	if (folder && suite_importable(a, model, &why) && suite_read_set(a, folder, &set, &e) &&
	    suite_import(a, model, &set, build, &b, &e)) {
		r->models++;
		compile_all(a, r->o, flat, b.p.bundle);
	} else if (b.in_c) {
		refused++;
		printf("REFUSED %s: %s\n", name, err_text(&e));
	} else {
		r->unsupported++;
	}
	str_free(&why);
	err_free(&e);
	arena_free(a);
}

static void check_suite(const struct options *o, int level)
{
	struct suite_run r = {.o = o, .level = level};
	struct arena *a = arena_new(NULL);
	int before = compiled, bad = refused;

	suite_each(a, o->suite, one_test, &r);
	printf("suite, level %d: %d models (%d not supported), %d compilations, %d refused\n", level, r.models, r.unsupported,
	       compiled - before, refused - bad);
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
		else if (!strcmp(argv[i], "--suite"))
			o->suite = argv[++i];
		else if (!strcmp(argv[i], "--sample"))
			o->sample = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--batch"))
			o->batch = atoi(argv[++i]);
	}
	if (o->batch < 1)
		o->batch = 1;
	if (o->sample < 1)
		o->sample = 1;
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
	if (o.suite && !file_is_dir(o.suite))
		printf("skipped: '%s' is absent (Debian: libonnx-testdata)\n", o.suite);
	for (int k = 0; o.suite && file_is_dir(o.suite) && k < o.nlevels; k++, found++)
		check_suite(&o, o.level[k]);
	arena_free(a);
	return refused ? 1 : found ? 0 : 77;
}
