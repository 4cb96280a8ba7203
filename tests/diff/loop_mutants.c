/* loop_mutants.c: what a loop mutant makes on the device is what the reference interpreter makes of its IR
 *
 * usage: loop_mutants MODEL [--input X.npy] [-n 200] [--seed 1] [--level 2] [--device host-gcc] [--seconds N]
 *
 * Draws loop mutants of a real model. The original is interpreted once, so that every kernel has its real arguments; then each
 * mutated kernel is run alone on both, on the same arguments, and every byte of its outputs is compared (NaNs of any kind are
 * equal). What lir_bounds foresees of a mutant must be what the interpreter sees. Mutants that leave their buffers, read what was not written or meet a device-defined operation have no one
 * answer: they are counted and left out, and others drawn, until n are compared, or no time is left. One thread, as in campaigns: a mutant may
 * store where another iteration of the parallel loop stores too, and then the order decides. Accelerators have no order, so such mutants are
 * left out there; and their floats, whose functions are their own, are compared by normalised squared error. Exit status 77: no such device here.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alone.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "campaign/campaign.h"
#include "compile/compile.h"
#include "config/config.h"
#include "worker/pool.h"

#define BOUND 1e-7 /* of the normalised squared error, as in devices.c */

struct options {
	const char *model, *input, *device;
	int n, level;
	uint64_t seed;
	double seconds; /* 0: no limit */
	struct pool *pool;
	struct camp_target target;
};

/* What was foreseen of the function's accesses is what the interpreter saw. */
static bool foreseen(const struct lir_func *f, const struct lir_interp_result *r, char *why)
{
	bool left = r->fault == LIR_FAULT_BOUNDS_READ || r->fault == LIR_FAULT_BOUNDS_WRITE;
	struct lir_bounds b;

	lir_bounds(f, &b);
	if ((b.kind != LIR_BOUNDS_IN_RANGE || !left) && (b.kind != LIR_BOUNDS_LEAVES || r->fault))
		return true;
	sprintf(why, "foreseen: %s %.200s; the interpreter: %.200s", lir_bounds_name(b.kind), b.text, r->fault ? r->text : "no fault");
	return false;
}

enum verdict { AGREE, OUTSIDE, UNDEFINED, WRONG, VERDICTS };

/* Contents of every buffer after the original. */
static void **original(struct arena *a, const struct comp_program *p, const struct tensor *input)
{
	void **content = ARENA_ARRAY(a, void *, p->nbuffers);

	for (uint32_t i = 0; i < p->nbuffers; i++)
		content[i] =
		    p->buffer[i].role == BUF_CONST ? (void *)p->buffer[i].data : arena_zalloc(a, alone_bytes(&p->buffer[i]) + 64);
	memcpy(content[p->input[0]], input->data, tensor_bytes(input));
	for (uint32_t k = 0; k < p->nkernels; k++) {
		struct lir_interp_result r;
		struct err e = {0};
		void **arg = ARENA_ARRAY(a, void *, p->kernel[k].func->nparams);

		for (uint32_t i = 0; i < p->kernel[k].func->nparams; i++)
			arg[i] = content[p->kernel[k].arg[i]];
		if (!comp_interpret_kernel(p, k, arg, &r, &e) || r.fault) {
			printf("the original's '%s': %s\n", p->kernel[k].func->name, r.fault ? r.text : err_text(&e));
			exit(1);
		}
	}
	return content;
}

static bool device_run(struct arena *a, const struct options *o, struct comp_program *q, void *const *arg,
		       const struct tensor **out, struct err *e)
{
	const struct tensor **in = ARENA_ARRAY(a, const struct tensor *, q->ninputs + 1);
	struct pool_input input = {.name = "kernel", .tensor = in, .ntensors = q->ninputs};
	struct pool_job job = {.input = &input, .ninputs = 1, .threads = 1, .time_limit_s = 300};
	struct bundle *bundle;
	struct pool_result r;
	bool got = false;

	for (uint32_t i = 0; i < q->ninputs; i++) {
		struct tensor *t = ARENA_NEW(a, struct tensor);

		*t = alone_tensor(&q->buffer[i], arg[i]);
		in[i] = t;
	}
	if (!comp_bundle(a, q, o->target.dialect, &bundle, e))
		return false;
	job.bundle = bundle;
	if (!pool_submit(o->pool, &job, e))
		return false;
	while (!got)
		if (!pool_wait(o->pool, a, -1, &got, &r, e))
			return false;
	if (r.status != POOL_DONE)
		return err_set(e, ERR_DEVICE, "status %d: %s%s", (int)r.status, r.text, r.log ? r.log : "");
	*out = r.image[0].output;
	return true;
}

static bool equal(const struct tensor *x, const struct tensor *y, bool exact, char *why)
{
	size_t each = dtype_size(x->dtype);

	if (!exact && x->dtype == DT_F32) {
		struct distance d;

		distance_f32(y->data, x->data, tensor_elements(x), &d);
		if (d.special_differs || d.nmse > BOUND)
			sprintf(why, "NMSE %.2g%s", d.nmse, d.special_differs ? ", NaN or Inf elsewhere" : "");
		return !*why;
	}

	for (int64_t i = 0; i < tensor_elements(x); i++) {
		double u, v;

		if (!memcmp((char *)x->data + (size_t)i * each, (char *)y->data + (size_t)i * each, each))
			continue;
		u = tensor_get_f64(x, i);
		v = tensor_get_f64(y, i);
		if (dtype_is_float(x->dtype) && isnan(u) && isnan(v))
			continue;
		sprintf(why, "element %lld: the device has %.9g, the interpreter %.9g", (long long)i, u, v);
		return false;
	}
	return true;
}

static enum verdict check(struct arena *a, const struct options *o, const struct comp_program *p, uint32_t k, struct lir_func *f,
			  void *const *content, char *why)
{
	struct comp_program *q = alone(a, p, k, f);
	bool accelerator = o->target.cls == DEVICE_GPU;
	void **arg = ARENA_ARRAY(a, void *, f->nparams);
	struct lir_interp_result r;
	const struct tensor *got = NULL;
	struct err e = {0};

	for (uint32_t i = 0; i < f->nparams; i++) {
		arg[i] = content[p->kernel[k].arg[i]];
		if (i >= q->ninputs) { /* as a device finds it: a NaN of every type */
			arg[i] = arena_zalloc(a, alone_bytes(&q->buffer[i]) + 64);
			memset(arg[i], 0xff, alone_bytes(&q->buffer[i]));
		}
	}
	if (!lir_interp(f, arg, &(struct lir_interp_options){.races = accelerator}, &r, &e))
		return sprintf(why, "%.300s", err_text(&e)), err_free(&e), WRONG;
	if (!foreseen(f, &r, why))
		return WRONG;
	if (r.fault || r.device_defined)
		return r.fault == LIR_FAULT_BOUNDS_READ || r.fault == LIR_FAULT_BOUNDS_WRITE ? OUTSIDE : UNDEFINED;
	if (!device_run(a, o, q, arg, &got, &e))
		return sprintf(why, "%.300s", err_text(&e)), err_free(&e), WRONG;
	for (uint32_t i = 0; i < q->noutputs; i++) {
		struct tensor want = alone_tensor(&q->buffer[q->output[i]], arg[q->output[i]]);

		if (!equal(&got[i], &want, !accelerator, why))
			return WRONG;
	}
	return AGREE;
}

static struct tensor *input_for(struct arena *a, const struct options *o, const struct comp_buffer *b)
{
	struct tensor *t;
	struct err e = {0};
	uint64_t state = o->seed;

	if (o->input) {
		if (npy_read(a, o->input, &t, &e) && t->dtype == b->dtype && tensor_bytes(t) == alone_bytes(b))
			return t;
		printf("'%s': %s\n", o->input, err_text(&e));
		exit(1);
	}
	t = tensor_new(a, b->dtype, b->nd, b->dim);
	for (int64_t i = 0; b->dtype == DT_F32 && i < tensor_elements(t); i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		((float *)t->data)[i] = (float)(state >> 40) / (1 << 23) - 1;
	}
	return t;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run(struct arena *a, const struct options *o, int *count)
{
	struct camp_program p;
	struct camp_model_options mo = {.batch = 1};
	struct camp_model *m;
	struct mut_spec spec = {.operator_glob = "loop.*", .pick = MUT_SAMPLE, .count = (uint64_t)o->n * 4};
	struct mutant *mutant;
	struct err e = {0};
	const char *winograd = "winograd";
	double begin = now();
	void **content;
	size_t n;

	if (!camp_model_load(a, o->model, &mo, &m, &e) || !camp_program_build(a, m, &(struct camp_level){.opt_level = o->level, .enabled = &winograd, .nenabled = o->level == 3}, &o->target, &p, &e) ||
	    !mut_list(a, &p.subject, &spec, 1, o->seed, &mutant, &n, &e)) {
		printf("%s\n", err_text(&e));
		exit(1);
	}
	content = original(a, p.program, input_for(a, o, &p.program->buffer[p.program->input[0]]));
	for (size_t i = 0; i < n && count[AGREE] + count[WRONG] < o->n && !(o->seconds > 0 && now() - begin > o->seconds); i++) {
		struct arena *each = arena_new(a);
		struct lir_func **func;
		char why[512] = "";

		if (mutant[i].sites && !mut_apply_loop(each, &p.subject, &mutant[i], &func, &e)) {
			printf("%s: %s\n", mutant[i].id, err_text(&e));
			count[WRONG]++;
		}
		for (uint32_t k = 0; mutant[i].sites && k < p.program->nkernels; k++)
			if (func[k]) {
				enum verdict v = check(each, o, p.program, k, func[k], content, why);

				count[v]++;
				if (v == WRONG)
					printf("WRONG %s: %s\n", mutant[i].id, why);
			}
		arena_free(each);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.device = "host-gcc", .n = 200, .level = 2, .seed = 1};
	struct config_campaign c;
	struct pool_device d;
	int count[VERDICTS] = {0};
	struct arena *a = arena_new(NULL);
	struct err e = {0};

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] != '-')
			o.model = argv[i];
		else if (i + 1 == argc)
			break;
		else if (!strcmp(argv[i], "--input"))
			o.input = argv[++i];
		else if (!strcmp(argv[i], "-n"))
			o.n = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--seed"))
			o.seed = strtoull(argv[++i], NULL, 10);
		else if (!strcmp(argv[i], "--level"))
			o.level = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--device"))
			o.device = argv[++i];
		else if (!strcmp(argv[i], "--seconds"))
			o.seconds = atof(argv[++i]);
	}
	if (!o.model) {
		printf(
		    "usage: loop_mutants MODEL [--input X.npy] [-n N] [--seed N] [--level 0..3] [--device NAME] [--seconds N]\n");
		return 2;
	}
	config_campaign_default(&c);
	c.ndevices = 1;
	c.devices = (char *[]){(char *)o.device};
	c.schedule = SCHEDULE_NATIVE;
	if (!camp_device(a, o.device, NULL, &d, &e)) {
		printf("%s\n", err_text(&e));
		return 1;
	}
	if (!pool_open(&d, 1, &o.pool, &e) || pool_device_error(o.pool, 0)) {
		printf("skipped %s: %s\n", o.device, o.pool ? pool_device_error(o.pool, 0) : err_text(&e));
		return 77;
	}
	camp_targets(o.pool, &c, &o.target, NULL);
	run(a, &o, count);
	printf("level %d, %s: %d agree, %d wrong (left out: %d leave their buffers, %d read what was not written, race or are "
	       "device-defined)\n",
	       o.level, o.device, count[AGREE], count[WRONG], count[OUTSIDE], count[UNDEFINED]);
	pool_close(o.pool);
	arena_free(a);
	return count[WRONG] || !count[AGREE] || (count[AGREE] < o.n && !o.seconds);
}
