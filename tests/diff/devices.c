/* devices.c: every kernel on every device present is what the reference interpreter makes of its IR
 *
 * usage: devices [DATA_DIR] [MODEL.onnx...] [--definitions FILE] [--device NAME]... [--level N] [--sample N] [--seconds N]
 * [--filter GLOB] [--verbose]
 *
 * DATA_DIR holds ONNX's own backend tests (suite.h); a folder among the models stands for all *.onnx in it. Without --device every
 * built-in device and every defined one. Emulated devices do every 10th model of the suite, others every one; --sample N: every Nth
 * on all. Models given by name are always done, and first. After --seconds N none is begun any more: how many were left out is said.
 *
 * A program is run whole, and each tensor that a kernel writes is compared with the interpreter's: floats by normalised squared
 * error, with NaN and infinities in the same places, everything else exactly. Where a tensor is over the bound, that kernel is run
 * alone on the interpreter's arguments, and that decides: a difference may have grown from an earlier kernel's rounding. Tensors of
 * kernels that meet a device-defined operation have no one value; they are counted and left out.
 *
 * Exit status 0: at least one device did something and nothing is wrong; 77: no device could be used.
 */
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alone.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "campaign/campaign.h"
#include "suite.h"

#define MAX_DEVICES 64
#define EMULATED_SAMPLE 10
#define WINDOW 12  /* jobs under way: builders and runner all have something to do */
#define BOUND 1e-7 /* of the normalised squared error; what ggml uses */

struct options {
	const char *data, *definitions, *filter;
	const char *model[64], *device[MAX_DEVICES];
	size_t nmodels, ndevices;
	int level, sample;
	double seconds; /* 0: no limit */
	bool verbose;
};

/* What became of one device. */
struct tally {
	int agree, wrong, unsupported, refused, late; /* models; unsupported: by the program; refused: by the device; late: no time was left */
	long tensors, again, undefined;
	double worst;
	char worst_at[200];
	struct map *reasons; /* refused: why -> how many */
};

struct run {
	const struct options *o;
	struct arena *a;
	const char *device;
	struct pool *pool;
	struct camp_target target;
	const struct device_caps *caps;
	double time_limit, end; /* end: 0, never */
	int sample, seen;
	struct tally t;
};

/* A model on a device, until the last of its jobs has ended. */
struct subject {
	struct arena *a;
	const char *name;
	struct camp_program p;
	void **content;  /* of every buffer, as the interpreter has them */
	bool *undefined; /* of every buffer: a device-defined operation was met */
	struct pool_input input;
	int jobs;
	bool wrong;
};

struct job {
	struct subject *s;
	struct comp_program *alone; /* NULL: the whole program */
	uint32_t kernel;
	struct pool_input input;
};

static void say(const struct run *r, const char *verdict, const char *name, const char *why)
{
	printf("%s %s: %s: %s\n", verdict, r->device, name, why);
	fflush(stdout);
}

static void wrong(struct run *r, struct subject *s, const char *why)
{
	s->wrong = true;
	say(r, "WRONG", s->name, why);
}

/* ---- comparing ---- */

/* One unit in the last place of the short types is more than the bound. */
static double bound(enum dtype t)
{
	return t == DT_F16 ? 0x1p-20 : t == DT_BF16 ? 0x1p-14 : BOUND;
}

static float *as_f32(struct arena *a, const struct tensor *t)
{
	int64_t n = tensor_elements(t);
	float *f = ARENA_ARRAY(a, float, (size_t)n + 1);

	if (t->dtype == DT_F32)
		return t->data;
	for (int64_t i = 0; i < n; i++)
		f[i] = (float)tensor_get_f64(t, i);
	return f;
}

/* Where they differ most. */
static int64_t place(const float *x, const float *y, int64_t n)
{
	int64_t at = 0;
	double most = -1;

	for (int64_t i = 0; i < n; i++) {
		bool special = !isfinite(x[i]) || !isfinite(y[i]);

		if (special && x[i] != y[i] && !(isnan(x[i]) && isnan(y[i])))
			return i;
		if (!special && fabs((double)x[i] - (double)y[i]) > most) {
			most = fabs((double)x[i] - (double)y[i]);
			at = i;
		}
	}
	return at;
}

static bool floats_agree(struct arena *a, const struct tensor *want, const struct tensor *got, double *nmse, struct str *why)
{
	const float *x = as_f32(a, want), *y = as_f32(a, got);
	int64_t n = tensor_elements(want), at;
	struct distance d;

	distance_f32(x, y, n, &d);
	*nmse = d.nmse;
	if (!d.special_differs && d.nmse <= bound(want->dtype))
		return true;
	at = place(x, y, n);
	str_addf(why, "NMSE %.2g%s; element %lld of %lld is %.9g, the interpreter has %.9g", d.nmse,
		 d.special_differs ? ", NaN or Inf elsewhere" : "", (long long)at, (long long)n, (double)y[at], (double)x[at]);
	return false;
}

static bool agree(struct run *r, struct arena *a, const struct subject *s, uint32_t buffer, const struct tensor *got,
		  struct str *why)
{
	const struct comp_buffer *b = &s->p.program->buffer[buffer];
	struct tensor want = alone_tensor(b, s->content[buffer]);
	double nmse = 0;

	r->t.tensors++;
	if (dtype_is_float(b->dtype)) {
		if (!floats_agree(a, &want, got, &nmse, why))
			return false;
		if (nmse > r->t.worst) {
			r->t.worst = nmse;
			snprintf(r->t.worst_at, sizeof r->t.worst_at, "%s, '%s'", s->name, b->name);
		}
		return true;
	}
	for (int64_t i = 0; i < tensor_elements(&want); i++)
		if (tensor_get_i64(&want, i) != tensor_get_i64(got, i)) {
			str_addf(why, "element %lld of %lld is %lld, the interpreter has %lld", (long long)i,
				 (long long)tensor_elements(&want), (long long)tensor_get_i64(got, i),
				 (long long)tensor_get_i64(&want, i));
			return false;
		}
	return true;
}

/* ---- jobs ---- */

static bool submit(struct run *r, struct subject *s, struct bundle *b, struct job *j, struct err *e)
{
	struct pool_job job = {.id = (uint64_t)(uintptr_t)j,
			       .bundle = b,
			       .input = &j->input,
			       .ninputs = 1,
			       .dump = true,
			       .time_limit_s = r->time_limit};

	if (!pool_submit(r->pool, &job, e))
		return false;
	s->jobs++;
	return true;
}

static void submit_whole(struct run *r, struct subject *s)
{
	struct job *j = ARENA_NEW(s->a, struct job);
	struct err e = {0};

	*j = (struct job){.s = s, .input = s->input};
	if (!submit(r, s, s->p.bundle, j, &e))
		wrong(r, s, err_text(&e));
	err_free(&e);
}

static void submit_alone(struct run *r, struct subject *s, uint32_t k)
{
	struct comp_program *p = s->p.program, *q = alone(s->a, p, k, p->kernel[k].func);
	const struct tensor **in = ARENA_ARRAY(s->a, const struct tensor *, q->ninputs + 1);
	struct job *j = ARENA_NEW(s->a, struct job);
	struct bundle *b;
	struct err e = {0};

	for (uint32_t i = 0; i < q->ninputs; i++) {
		struct tensor *t = ARENA_NEW(s->a, struct tensor);

		*t = alone_tensor(&q->buffer[i], s->content[p->kernel[k].arg[i]]);
		in[i] = t;
	}
	*j = (struct job){.s = s, .alone = q, .kernel = k, .input = {.name = "kernel", .tensor = in, .ntensors = q->ninputs}};
	r->t.again++;
	if (!comp_bundle(s->a, q, r->target.dialect, &b, &e) || !submit(r, s, b, j, &e))
		wrong(r, s, err_text(&e));
	err_free(&e);
}

/* Tensors come in the order of buffers; see which kernels are over the bound. */
static void check_whole(struct run *r, struct arena *a, struct subject *s, const struct pool_image *im)
{
	const struct comp_program *p = s->p.program;
	const struct tensor **of = ARENA_ARRAY(a, const struct tensor *, p->nbuffers + 1);
	bool *written = ARENA_ARRAY(a, bool, p->nbuffers + 1);
	size_t n = 0;

	for (uint32_t k = 0; k < p->nkernels; k++)
		for (uint32_t i = p->kernel[k].func->nparams - p->kernel[k].func->nout; i < p->kernel[k].func->nparams; i++)
			written[p->kernel[k].arg[i]] = true;
	for (uint32_t i = 0; i < p->nbuffers; i++)
		if (written[i] && n < im->ndump)
			of[i] = &im->dump[n++].value;
	if (n != im->ndump) {
		wrong(r, s, "the device's tensors are not those of the program");
		return;
	}
	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct lir_func *f = p->kernel[k].func;
		struct str why = {0};
		bool same = true;

		for (uint32_t i = f->nparams - f->nout; same && i < f->nparams; i++) {
			uint32_t b = p->kernel[k].arg[i];

			if (s->undefined[b])
				r->t.undefined++;
			else if (of[b])
				same = agree(r, a, s, b, of[b], &why);
		}
		if (!same)
			submit_alone(r, s, k);
		str_free(&why);
	}
}

static void check_alone(struct run *r, struct arena *a, struct subject *s, const struct job *j, const struct pool_image *im)
{
	const struct comp_program *p = s->p.program;
	const struct comp_kernel *k = &p->kernel[j->kernel];
	struct str why = {0};

	str_addf(&why, "kernel '%s': ", k->func->name);
	for (uint32_t i = 0; i < k->func->nout; i++)
		if (!agree(r, a, s, k->arg[j->alone->ninputs + i], &im->output[i], &why)) {
			wrong(r, s, str_text(&why));
			break;
		}
	str_free(&why);
}

static void finish(struct run *r, struct subject *s)
{
	if (s->wrong)
		r->t.wrong++;
	else
		r->t.agree++;
	if (!s->wrong && r->o->verbose)
		say(r, "agrees", s->name, "");
	arena_free(s->a);
}

/* One result. */
static void take(struct run *r)
{
	struct arena *a = arena_new(NULL);
	struct pool_result res;
	struct subject *s;
	struct job *j;
	bool got = false;
	struct err e = {0};

	while (!got)
		if (!pool_wait(r->pool, a, -1, &got, &res, &e)) {
			printf("%s: %s\n", r->device, err_text(&e));
			exit(1);
		}
	j = (struct job *)(uintptr_t)res.job;
	s = j->s;
	if (res.status != POOL_DONE) {
		char *why = arena_printf(a, "%s%s%s%s%s%s", j->alone ? "alone: " : "", res.text, res.launch ? ", kernel " : "",
					 res.launch ? res.launch : "", res.log ? "\n" : "", res.log ? res.log : "");

		wrong(r, s, why);
	} else if (j->alone) {
		check_alone(r, a, s, j, &res.image[0]);
	} else {
		check_whole(r, a, s, &res.image[0]);
	}
	arena_free(a);
	if (!--s->jobs)
		finish(r, s);
}

/* ---- subjects ---- */

/* Runs the program in the interpreter: contents of every buffer. */
static bool interpret(struct subject *s, struct err *e)
{
	const struct comp_program *p = s->p.program;

	s->content = ARENA_ARRAY(s->a, void *, p->nbuffers + 1);
	s->undefined = ARENA_ARRAY(s->a, bool, p->nbuffers + 1);
	for (uint32_t i = 0; i < p->nbuffers; i++)
		if (p->buffer[i].role == BUF_CONST)
			s->content[i] = (void *)p->buffer[i].data;
		else
			s->content[i] = arena_zalloc(s->a, alone_bytes(&p->buffer[i]) + 64);
	for (uint32_t i = 0; i < p->ninputs; i++)
		memcpy(s->content[p->input[i]], s->input.tensor[i]->data, alone_bytes(&p->buffer[p->input[i]]));
	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct lir_func *f = p->kernel[k].func;
		void **arg = ARENA_ARRAY(s->a, void *, f->nparams + 1);
		struct lir_interp_result r;

		for (uint32_t i = 0; i < f->nparams; i++)
			arg[i] = s->content[p->kernel[k].arg[i]];
		if (!comp_interpret_kernel(p, k, arg, &r, e))
			return false;
		if (r.fault)
			return err_set(e, ERR_BAD_IR, "kernel '%s': %s", f->name, r.text);
		for (uint32_t i = f->nparams - f->nout; i < f->nparams; i++)
			s->undefined[p->kernel[k].arg[i]] = r.device_defined > 0;
	}
	return true;
}

/* The first type of the program that the device's kernels cannot use. */
static const char *refused_type(const struct run *r, const struct subject *s)
{
	for (uint32_t i = 0; i < s->p.program->nbuffers; i++)
		if (!(r->caps->types & 1u << s->p.program->buffer[i].dtype))
			return dtype_name(s->p.program->buffer[i].dtype);
	return NULL;
}

static void refuse(struct run *r, const char *name, const char *why)
{
	char *key = suite_reason(r->a, why);

	r->t.refused++;
	map_put(r->t.reasons, key, (void *)((uintptr_t)map_get(r->t.reasons, key) + 1));
	if (r->o->verbose)
		say(r, "unsupported", name, why);
}

/* Runs s, of which the program and the inputs are there. */
static void start(struct run *r, struct subject *s)
{
	const char *type = refused_type(r, s);
	struct err e = {0};

	if (type) {
		refuse(r, s->name, type);
		arena_free(s->a);
		return;
	}
	if (interpret(s, &e))
		submit_whole(r, s);
	else
		wrong(r, s, err_text(&e));
	err_free(&e);
	if (!s->jobs)
		finish(r, s);
	while (pool_pending(r->pool) >= WINDOW)
		take(r);
}

struct building {
	struct run *r;
	struct subject *s;
	bool lowered; /* what failed afterwards is the device's dialect */
};

/* First in C: what that cannot do is not the device's fault. */
static bool build(struct arena *a, struct gir_graph *g, void *user, struct err *e)
{
	struct building *b = user;
	struct camp_target c = b->r->target;
	struct camp_model m = {.file = b->s->name, .graph = g};
	const char *winograd = "winograd";

	c.dialect = "c";
	b->lowered = false;
	if (!camp_program_build(a, &m, &(struct camp_level){.opt_level = b->r->o->level, .enabled = &winograd, .nenabled = b->r->o->level == 3}, &c, &b->s->p, e))
		return false;
	b->lowered = true;
	return camp_program_render(a, &b->s->p, b->r->target.dialect, &b->s->p, e);
}

static struct subject *subject_new(const char *name)
{
	struct arena *a = arena_new(NULL);
	struct subject *s = ARENA_NEW(a, struct subject);

	*s = (struct subject){.a = a, .name = arena_strdup(a, name), .input = {.name = "test"}};
	return s;
}

/* A model that no program could be made of. */
static void not_built(struct run *r, struct subject *s, bool lowered, const struct err *e)
{
	if (e->code != ERR_UNSUPPORTED) {
		wrong(r, s, err_text(e));
		r->t.wrong++;
	} else if (lowered) {
		refuse(r, s->name, err_text(e));
	} else {
		r->t.unsupported++;
	}
	arena_free(s->a);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The first set of data of a test of the suite. */
static void one_test(const char *name, const char *dir, const char *model, void *user)
{
	struct run *r = user;
	const struct tensor **in;
	struct subject *s;
	struct building b;
	struct suite_set set;
	struct str why = {0};
	struct err e = {0};
	char *folder;

	if ((r->o->filter && fnmatch(r->o->filter, name, 0)) || r->seen++ % r->sample)
		return;
	if (r->end > 0 && now() > r->end) {
		r->t.late++;
		return;
	}
	s = subject_new(name);
	folder = suite_set_dir(s->a, dir, 0);
	b = (struct building){.r = r, .s = s};
	if (!folder || !suite_importable(s->a, model, &why)) {
		r->t.unsupported++;
		arena_free(s->a);
	} else if (!suite_read_set(s->a, folder, &set, &e) || !suite_import(s->a, model, &set, build, &b, &e)) {
		not_built(r, s, b.lowered, &e);
	} else if (!suite_inputs(s->a, s->p.program, &set, &in)) {
		wrong(r, s, "the data do not fit the graph");
		finish(r, s);
	} else {
		s->input.tensor = in;
		s->input.ntensors = s->p.program->ninputs;
		start(r, s);
	}
	str_free(&why);
	err_free(&e);
}

static struct tensor *noise(struct arena *a, const struct comp_buffer *b)
{
	struct tensor *t = tensor_new(a, b->dtype, b->nd, b->dim);
	uint64_t state = 1;

	for (int64_t i = 0; i < tensor_elements(t); i++) {
		double x;

		state = state * 6364136223846793005u + 1442695040888963407u;
		x = (double)(state >> 40) / (1 << 23) - 1;
		if (dtype_is_float(t->dtype))
			tensor_set_f64(t, i, x);
		else
			tensor_set_i64(t, i, (int64_t)(x * 100));
	}
	return t;
}

/* A classifier, on noise. */
static void one_model(struct run *r, const char *file)
{
	struct subject *s = subject_new(file_base(file));
	struct camp_model_options mo = {.batch = 1};
	struct camp_model *m;
	struct building b = {.r = r, .s = s};
	struct err e = {0};

	if (r->o->filter && fnmatch(r->o->filter, s->name, 0)) {
		arena_free(s->a);
	} else if (!camp_model_load(s->a, file, &mo, &m, &e) || !build(s->a, m->graph, &b, &e)) {
		not_built(r, s, b.lowered, &e);
	} else {
		const struct tensor **in = ARENA_ARRAY(s->a, const struct tensor *, s->p.program->ninputs + 1);

		for (uint32_t i = 0; i < s->p.program->ninputs; i++)
			in[i] = noise(s->a, &s->p.program->buffer[s->p.program->input[i]]);
		s->input.tensor = in;
		s->input.ntensors = s->p.program->ninputs;
		start(r, s);
	}
	err_free(&e);
}

static void models_of(struct run *r, const char *path)
{
	struct err e = {0};
	char **name;
	size_t n;

	if (!file_is_dir(path)) {
		one_model(r, path);
		return;
	}
	if (!file_list(r->a, path, &name, &n, &e)) {
		printf("%s\n", err_text(&e));
		exit(2);
	}
	for (size_t i = 0; i < n; i++)
		if (!fnmatch("*.onnx", name[i], 0))
			one_model(r, file_join(r->a, path, name[i]));
}

/* ---- devices ---- */

static void summarise(const struct run *r, double seconds)
{
	const struct tally *t = &r->t;
	const char *name;
	size_t it = 0;
	void *n;

	printf("%s: %d models agree, %d wrong, %d unsupported by the device, %d not supported at all; %ld tensors compared, %ld "
	       "kernels run alone, "
	       "%ld tensors are device-defined; worst NMSE %.2g",
	       r->device, t->agree, t->wrong, t->refused, t->unsupported, t->tensors, t->again, t->undefined, t->worst);
	if (t->worst > 0)
		printf(" (%s)", t->worst_at);
	if (t->late)
		printf("; %d models left out: no time", t->late);
	printf("; %.0f s\n", seconds);
	if (t->refused)
		printf("%s: unsupported by the device:", r->device);
	while (map_next(t->reasons, &it, &name, &n))
		printf(" %s (%zu)", name, (size_t)(uintptr_t)n);
	printf("%s", t->refused ? "\n" : "");
	fflush(stdout);
}

static bool emulated(const struct pool_device *d)
{
	return d->nworker && strstr(d->worker[0], "qemu-");
}

enum end { SKIPPED, FINE, FAILED };

static enum end one_device(const struct options *o, const struct config_campaign *c, const char *name)
{
	struct run r = {.o = o, .a = arena_new(NULL), .device = name, .time_limit = 120};
	struct config_campaign alone = *c;
	struct pool_device d;
	struct err e = {0};
	const char *why = NULL;
	double begin = now();
	enum end out = SKIPPED;

	alone.ndevices = 1;
	alone.devices = (char *[]){(char *)name};
	alone.schedule = SCHEDULE_NATIVE;
	if (!camp_device(r.a, name, c, &d, &e) || !pool_open(&d, 1, &r.pool, &e) || (why = pool_device_error(r.pool, 0))) {
		printf("skipped %s: %s\n", name, why ? why : err_text(&e));
		out = e.code == ERR_USAGE ? FAILED : SKIPPED;
		err_free(&e);
	} else {
		r.caps = pool_caps(r.pool, 0);
		r.sample = o->sample ? o->sample : emulated(&d) ? EMULATED_SAMPLE : 1;
		r.time_limit *= emulated(&d) ? 10 : 1;
		r.t.reasons = map_new(r.a);
		camp_targets(r.pool, &alone, &r.target, NULL);
		printf("%s: %s; opt-level %d, %s, one in %d of the suite\n", name, r.caps->describe, o->level, r.target.dialect,
		       r.sample);
		r.end = o->seconds > 0 ? begin + o->seconds : 0;
		for (size_t i = 0; i < o->nmodels; i++)
			models_of(&r, o->model[i]);
		if (o->data)
			suite_each(r.a, o->data, one_test, &r);
		while (pool_pending(r.pool))
			take(&r);
		summarise(&r, now() - begin);
		out = r.t.wrong || !r.t.agree ? FAILED : FINE;
	}
	if (r.pool)
		pool_close(r.pool);
	arena_free(r.a);
	return out;
}

static int usage(void)
{
	printf("usage: devices [DATA_DIR] [MODEL.onnx|DIR...] [--definitions FILE] [--device NAME]... [--level N] [--sample N] "
	       "[--seconds N] [--filter GLOB]\n");
	return 2;
}

static bool parse(struct arena *a, int argc, char **argv, struct options *o)
{
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc;

		if (!strcmp(argv[i], "--verbose"))
			o->verbose = true;
		else if (!strcmp(argv[i], "--definitions") && more)
			o->definitions = argv[++i];
		else if (!strcmp(argv[i], "--device") && more && o->ndevices < MAX_DEVICES)
			o->device[o->ndevices++] = argv[++i];
		else if (!strcmp(argv[i], "--level") && more)
			o->level = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--sample") && more)
			o->sample = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--seconds") && more)
			o->seconds = atof(argv[++i]);
		else if (!strcmp(argv[i], "--filter") && more)
			o->filter = argv[++i];
		else if (argv[i][0] == '-' || o->nmodels == 64)
			return false;
		else if (file_is_dir(argv[i]) && file_is_dir(file_join(a, argv[i], "node")))
			o->data = argv[i];
		else if (file_exists(argv[i]))
			o->model[o->nmodels++] = argv[i];
		else
			printf("skipped '%s': it is absent\n", argv[i]);
	}
	return o->level >= 0 && o->level <= 3 && o->sample >= 0;
}

int main(int argc, char **argv)
{
	struct options o = {.level = 2};
	struct config_campaign c;
	struct arena *a = arena_new(NULL);
	int count[3] = {0};
	struct err e = {0};

	config_campaign_default(&c);
	log_set_level(LOG_ERROR);
	if (!parse(a, argc, argv, &o))
		return usage();
	if (o.definitions && !config_devices_read(a, o.definitions, &c.definitions, &c.ndefinitions, &e)) {
		printf("%s\n", err_text(&e));
		return 2;
	}
	if (!o.ndevices) {
		for (; camp_builtin_devices[o.ndevices] && o.ndevices < MAX_DEVICES; o.ndevices++)
			o.device[o.ndevices] = camp_builtin_devices[o.ndevices];
		for (size_t i = 0; i < c.ndefinitions && o.ndevices < MAX_DEVICES; i++)
			o.device[o.ndevices++] = c.definitions[i].name;
	}
	if (!o.data && !o.nmodels) {
		printf("skipped: neither the suite's data (Debian: libonnx-testdata) nor a model\n");
		return 77;
	}
	for (size_t i = 0; i < o.ndevices; i++)
		count[one_device(&o, &c, o.device[i])]++;
	arena_free(a);
	return count[FAILED] ? 1 : count[FINE] ? 0 : 77;
}
