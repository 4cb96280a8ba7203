/* camp_diff.c: two programs on one input, compared tensor by tensor
 *
 * Tensors are paired by name. Those of the network are compared element by element in their logical layout, whatever blocks they are
 * stored in; what lowering has added (staged inputs, packed weights) as it is stored.
 */
#include <math.h>
#include <string.h>

#include "base/vec.h"
#include "campaign/camp_diff_internal.h"

const char *camp_diff_state_name(enum camp_diff_state s)
{
	static const char *const names[] = {"equal", "within", "bad", "shape", "only-a", "only-b"};

	return names[s];
}

/* ---- the two runs ---- */

static bool make_program(struct arena *a, const struct camp_model *m, const struct camp_diff_options *o, const struct camp_input *in, struct diff_run *r,
                         struct err *e)
{
	const char *const id = r->side->mutant;
	struct tensor **edited;
	struct mutant mutant;
	bool same;

	r->tensor = in->tensor;
	if (!camp_program_build(a, m, &o->level, &r->side->target, &r->original, e))
		return false;
	r->program = r->original.program;
	r->bundle = r->original.bundle;
	if (!id)
		return true;
	if (!mut_parse(a, &r->original.subject, id, &mutant, e))
		return false;
	if (!mutant.sites)
		return err_set(e, ERR_USAGE, "mutant '%s' has no site in this model", id);
	if (mutant.op->kind == MUT_INPUT) {
		if (!camp_inputs_edited(a, m, in, 1, mut_input_edit(&mutant), &edited, e))
			return false;
		r->tensor = edited[0];
		return true;
	}
	return camp_mutate(a, m, &r->original, &mutant, &r->bundle, &r->program, &same, e);
}

/* The result's line, with the kernel where it does not name it. */
static const char *said(struct arena *a, const struct pool_result *p)
{
	return !p->launch || strstr(p->text, p->launch) ? p->text : arena_printf(a, "%s in kernel '%s'", p->text, p->launch);
}

static bool ended(struct arena *a, const struct diff_run *r, struct err *e)
{
	const struct pool_result *p = &r->result;
	const char *what = r->side->mutant ? arena_printf(a, "mutant '%s'", r->side->mutant) : "the original";

	return err_set(e, ERR_DEVICE, "%s on %c: %s%s%s", what, r->letter, said(a, p), p->log ? "\n" : "", p->log ? p->log : "");
}

static bool run_one(struct arena *a, struct pool *pool, const struct camp_input *in, struct diff_run *r, const char **overrun, struct err *e)
{
	const struct tensor *tensor = r->tensor;
	struct pool_input pi = {.name = in->name, .tensor = &tensor, .ntensors = 1};
	struct pool_job job = {.device = r->side->device, .bundle = r->bundle, .input = &pi, .ninputs = 1, .dump = true};
	bool got = false;

	if (!pool_submit(pool, &job, e))
		return false;
	while (!got)
		if (!pool_wait(pool, a, -1, &got, &r->result, e))
			return false;
	if (r->result.status == POOL_OVERRUN && r->result.nimages && r->result.image[0].output)
		*overrun = arena_strdup(a, said(a, &r->result));
	else if (r->result.status != POOL_DONE)
		return ended(a, r, e);
	r->dumped = map_new(a);
	for (size_t i = 0; i < r->result.image[0].ndump; i++)
		map_put(r->dumped, r->result.image[0].dump[i].name, (void *)&r->result.image[0].dump[i].value);
	return true;
}

/* ---- rows ---- */

/* What a kernel writes, in topological order. */
struct written {
	const struct comp_buffer *buffer;
	const struct comp_kernel *kernel;
	const struct bundle_launch *launch;
	bool done;
};
typedef VEC(struct written) written_list;

static void list_written(struct arena *a, const struct diff_run *r, written_list *out, struct map *at)
{
	for (uint32_t k = 0; k < r->bundle->nlaunches; k++) {
		const struct bundle_launch *l = &r->bundle->launch[k];

		for (uint32_t i = l->nargs - l->nout; i < l->nargs; i++) {
			struct written w = {.buffer = &r->program->buffer[l->arg[i]], .kernel = &r->program->kernel[k], .launch = l};

			vec_push(a, out, w);
			map_put(at, w.buffer->name, (void *)(uintptr_t)out->n);
		}
	}
}

static const char *operators(struct arena *a, const struct gir_node *n)
{
	const char *text = gir_op_info(n->op)->name;

	for (uint32_t i = 0; i < n->nfused; i++)
		text = arena_printf(a, "%s+%s", text, gir_op_info(n->fused[i].node->op)->name);
	return text;
}

/* Does the mutant's launch run another text than the original's of that name? */
static bool is_mutated(const struct diff_run *r, const struct bundle_launch *l)
{
	const struct bundle *b = r->original.bundle;

	if (!r->side->mutant || r->bundle == b)
		return false;
	for (uint32_t i = 0; i < b->nlaunches; i++)
		if (!strcmp(b->launch[i].name, l->name))
			return !hash_eq(b->kernel[b->launch[i].kernel].hash, r->bundle->kernel[l->kernel].hash);
	return true;
}

static void describe(struct arena *a, const struct diff_run *r, const struct written *w, struct camp_diff_row *row)
{
	row->tensor = w->buffer->name;
	row->kernel = w->launch->name;
	row->op = operators(a, w->kernel->node);
	row->mutated = is_mutated(r, w->launch);
}

static const struct tensor *tensor_of(struct arena *a, const struct diff_run *r, const struct written *w)
{
	const struct tensor *stored = map_get(r->dumped, w->buffer->name);

	return stored ? diff_logical(a, w->buffer, stored) : NULL;
}

static void add_row(struct arena *a, const struct diff_run r[2], const struct written *x, const struct written *y, struct camp_diff *out)
{
	struct camp_diff_row *row = &out->row[out->n++];

	if (x) {
		describe(a, &r[0], x, row);
		row->a = tensor_of(a, &r[0], x);
	}
	if (y) {
		describe(a, &r[1], y, row);
		row->b = tensor_of(a, &r[1], y);
	}
	diff_compare(row, out->tolerance);
	if (!out->first_different && (row->state == DIFF_WITHIN || row->state == DIFF_BAD))
		out->first_different = row;
	if (!out->first_bad && row->state == DIFF_BAD)
		out->first_bad = row;
}

/* Both lists merged: what only one side has stands where that side has it. */
static void make_rows(struct arena *a, const struct diff_run r[2], struct camp_diff *out)
{
	struct map *at[2] = {map_new(a), map_new(a)};
	written_list w[2] = {{0}, {0}};
	size_t i = 0, k = 0;

	for (int s = 0; s < 2; s++)
		list_written(a, &r[s], &w[s], at[s]);
	out->row = ARENA_ARRAY(a, struct camp_diff_row, w[0].n + w[1].n + 1);
	while (i < w[0].n || k < w[1].n) {
		size_t pair = i < w[0].n ? (uintptr_t)map_get(at[1], w[0].v[i].buffer->name) : 0;

		if (k < w[1].n && (w[1].v[k].done || !map_get(at[0], w[1].v[k].buffer->name))) {
			if (!w[1].v[k].done)
				add_row(a, r, NULL, &w[1].v[k], out);
			k++;
		} else {
			if (pair)
				w[1].v[pair - 1].done = true;
			add_row(a, r, &w[0].v[i], pair ? &w[1].v[pair - 1] : NULL, out);
			i++;
		}
	}
}

/* A thousand roundings of the coarser precision, as far as that makes sense. */
static double tolerance_of(const struct camp_diff_side side[2])
{
	double most = 0;

	for (int s = 0; s < 2; s++)
		most = fmax(most, side[s].target.precision == DT_BF16 ? 0.1 : side[s].target.precision == DT_F16 ? 0.02 : 1e-4);
	return most;
}

bool camp_diff(struct arena *a, struct pool *pool, const struct camp_model *m, const struct camp_diff_side side[2], const struct camp_diff_options *o,
               const struct camp_input *in, struct camp_diff *out, struct err *e)
{
	struct diff_run r[2] = {{.side = &side[0], .letter = 'A'}, {.side = &side[1], .letter = 'B'}};

	*out = (struct camp_diff){.tolerance = o->tolerance < 0 ? tolerance_of(side) : o->tolerance};
	for (int s = 0; s < 2; s++)
		if (!make_program(a, m, o, in, &r[s], e))
			return false;
	for (int s = 0; s < 2; s++) {
		if (!run_one(a, pool, in, &r[s], &out->overrun[s], e))
			return false;
		camp_answer(a, m, camp_scores(a, m, r[s].result.image[0].output), m->classes, 1, &out->answer[s]);
	}
	make_rows(a, r, out);
	return !o->alone || diff_alone(a, pool, r, out, e);
}
