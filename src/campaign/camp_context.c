/* camp_context.c: what a report shows around the verdicts - small pictures, class names, layers, kernels with their times, source
 *
 * Nothing here decides a verdict, so nothing here ends a campaign but a store that cannot be written.
 */
#include <string.h>

#include "base/diff.h"
#include "base/map.h"
#include "base/str.h"
#include "campaign/campaign_internal.h"

#define THUMBNAIL_SIDE 96
#define MAX_THUMBNAILS 4096
#define TIMED_JOBS 3
#define TIMED_RUNS 3 /* in each */
#define TIMED_SECONDS 10.0 /* at most, for all runs on one device; one run when that is not enough */

/* ---- before anything runs ---- */

static bool put_thumbnails(struct camp *c, struct err *e)
{
	for (size_t i = 0; i < c->ninputs && i < MAX_THUMBNAILS; i++) {
		struct arena *a;
		struct err why = {0};
		uint8_t *jpeg;
		size_t n;
		bool has, ok = true;

		if (!store_has_thumbnail(c->store, (int64_t)i, &has, e))
			return false;
		if (has || input_is_npy(c->input[i].path))
			continue;
		a = arena_new(c->a);
		if (image_thumbnail(a, c->input[i].path, THUMBNAIL_SIDE, &jpeg, &n, &why))
			ok = n > STORE_MAX_THUMBNAIL || store_put_thumbnail(c->store, (int64_t)i, jpeg, n, e);
		err_free(&why);
		arena_free(a);
		if (!ok)
			return false;
	}
	return true;
}

static bool put_layers(struct camp *c, struct arena *a, struct err *e)
{
	const struct gir_graph *g = c->model->graph;

	for (size_t i = 0; i < g->nodes.n; i++) {
		const struct gir_node *n = g->nodes.v[i];
		const struct gir_value *v = n->nout ? n->out[0] : NULL;
		struct store_layer l = {.index = (int64_t)i,
					.node = n->name,
					.op = gir_op_info(n->op)->name,
					.shape = v ? dims_text(a, v->dim, v->nd) : "",
					.macs = comp_node_macs(n)};

		if (!store_put_layer(c->store, &l, e))
			return false;
	}
	return true;
}

static bool put_kernels(struct camp *c, size_t device, const double *seconds, struct err *e)
{
	const struct comp_program *p = c->variant[c->device[device].variant].program.program;

	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct comp_kernel *from = &p->kernel[k];
		struct store_kernel row = {.device = c->device[device].name,
					   .launch = k,
					   .name = from->func->name,
					   .node = from->node ? from->node->name : "",
					   .flops = lir_flops(from->func),
					   .seconds = seconds ? seconds[k] : -1};

		if (!store_put_kernel(c->store, &row, e))
			return false;
	}
	return true;
}

bool camp_context(struct camp *c, struct err *e)
{
	struct arena *a = arena_new(c->a);
	bool ok = put_thumbnails(c, e) && put_layers(c, a, e);

	for (size_t i = 0; ok && i < c->model->nclass_names; i++)
		ok = store_put_class(c->store, (int64_t)i, c->model->class_name[i], e);
	for (size_t d = 0; ok && d < c->ndevices; d++)
		ok = c->device[d].dead || put_kernels(c, d, NULL, e);
	arena_free(a);
	return ok;
}

/* ---- times of the original's launches ---- */

/* Beside a busy machine a mean of few runs is anything; the least of several means is near what the launch takes. */
static bool take_times(struct camp *c, const struct pool_result *r, void *user, struct err *e)
{
	double *least = user;

	(void)e;
	if (r->status != POOL_DONE || !r->nimages || !r->image[0].launch_s)
		return true;
	for (uint32_t k = 0; k < camp_original(c, r->device)->nlaunches; k++)
		if (least[k] < 0 || r->image[0].launch_s[k] < least[k])
			least[k] = r->image[0].launch_s[k];
	return true;
}

static bool time_device(struct camp *c, size_t d, struct err *e)
{
	const struct bundle *b = camp_original(c, d);
	bool slow = c->device[d].seconds * TIMED_JOBS * (TIMED_RUNS + 1) > TIMED_SECONDS, ok = true;
	struct arena *a = arena_new(c->a);
	double *least = ARENA_ARRAY(a, double, b->nlaunches + 1);

	for (uint32_t k = 0; k < b->nlaunches; k++)
		least[k] = -1;
	for (int i = 0; ok && !c->stopped && i < (slow ? 1 : TIMED_JOBS); i++) {
		struct pool_job j = {.id = d,
				     .device = d,
				     .bundle = b,
				     .input = camp_pool_inputs(c, a, NULL, 0, 1),
				     .ninputs = 1,
				     .warmup = !slow,
				     .repeat = slow ? 1 : TIMED_RUNS};

		ok = pool_submit(c->pool, &j, e) && camp_wait_all(c, a, 1, take_times, least, e);
	}
	if (!ok || c->stopped) {
		pool_close(c->pool); /* a job under way still points in here */
		c->pool = NULL;
	}
	ok = ok && (b->nlaunches == 0 || least[0] < 0 || put_kernels(c, d, least, e));
	arena_free(a);
	return ok;
}

bool camp_launch_times(struct camp *c, struct err *e)
{
	camp_tell(c, "timing the original");
	camp_ahead_hold(c, true);
	for (size_t d = 0; d < c->ndevices && !c->stopped; d++) {
		bool has;

		if (c->device[d].dead || pool_device_error(c->pool, d))
			continue;
		if (!store_has_times(c->store, c->device[d].name, &has, e) || (!has && !time_device(c, d, e)))
			return false;
	}
	camp_ahead_hold(c, false);
	return true;
}

/* ---- a mutant's source ---- */

/* Kernels of the mutant whose text the original does not have under the same name. */
static bool source_diff(const struct camp_variant *v, struct comp_program *q, struct str *out)
{
	const struct camp_program *p = &v->program;

	for (uint32_t k = 0; k < q->nkernels && out->n <= STORE_MAX_SOURCE; k++) {
		const char *name = q->kernel[k].func->name;
		uintptr_t at = (uintptr_t)map_get(p->program->kernel_by_name, name);
		const struct comp_text *now, *before = NULL;

		if (!comp_source(q, k, p->dialect, &now, NULL) || (at && !comp_source(p->program, (uint32_t)at - 1, p->dialect, &before, NULL)))
			return false;
		if (!before || (before->source != now->source && strcmp(before->source, now->source) != 0))
			text_diff(out, name, before ? before->source : "", name, now->source, 3);
	}
	return out->n > 0;
}

bool camp_sources(struct camp *c, const struct mutant *m, const struct camp_made *made, struct err *e)
{
	bool ok = true;

	for (size_t v = 0; ok && v < c->nvariants; v++) {
		const struct camp_made_program *p = &made->program[v];
		struct str diff = {0};

		if (p->bundle && p->program && source_diff(&c->variant[v], p->program, &diff))
			ok = store_put_source(c->store, m->id, c->variant[v].target.dialect, str_text(&diff), e);
		str_free(&diff);
	}
	return ok;
}
