/* comp_program.c: lower every node, number the buffers */
#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "compile/compile_internal.h"
#include "ops/ops.h"

/* State while a program is put together. */
struct build {
	struct arena *a;
	struct gir_graph *g;
	VEC(struct comp_kernel) kernels;
	VEC(struct comp_buffer) buffers;
	uint32_t *of_value; /* value id -> buffer index + 1 */
};

static uint32_t value_buffer(struct build *b, struct gir_value *v)
{
	struct comp_buffer buf = {.name = v->name, .value = v, .role = BUF_TEMP, .dtype = v->dtype};

	if (b->of_value[v->id])
		return b->of_value[v->id] - 1;
	buf.nd = gir_stored_dims(v, buf.dim);
	if (v->data) {
		buf.role = BUF_CONST;
		buf.data = v->data->data;
		buf.hash = hash_bytes(buf.data, tensor_bytes(v->data));
	}
	vec_push(b->a, &b->buffers, buf);
	return (b->of_value[v->id] = (uint32_t)b->buffers.n) - 1;
}

static uint32_t temp_buffer(struct build *b, const struct gir_node *n, const struct lower_temp *t, uint32_t *of_temp)
{
	struct comp_buffer buf = {.role = BUF_TEMP, .dtype = t->dtype, .nd = t->nd};

	if (of_temp[t->id])
		return of_temp[t->id] - 1;
	buf.name = arena_printf(b->a, "%s:%s", n->name, t->name);
	memcpy(buf.dim, t->dim, sizeof buf.dim);
	if (t->data) {
		struct tensor table = {.dtype = t->dtype, .nd = t->nd};

		memcpy(table.dim, t->dim, sizeof table.dim);
		buf.role = BUF_CONST;
		buf.data = t->data;
		buf.hash = hash_bytes(buf.data, tensor_bytes(&table));
	}
	vec_push(b->a, &b->buffers, buf);
	return (of_temp[t->id] = (uint32_t)b->buffers.n) - 1;
}

static bool lower_node(struct build *b, struct gir_node *n, const struct lower_target *target, struct err *e)
{
	struct op_lower c = {.a = b->a, .node = n, .opset = b->g->opset, .target = target};
	uint32_t *of_temp;

	if (!op_lower_node(&c, e))
		return false;
	of_temp = ARENA_ARRAY(b->a, uint32_t, c.temps.n + 1);
	for (size_t k = 0; k < c.kernels.n; k++) {
		struct comp_kernel kernel = {.func = c.kernels.v[k].func, .node = n};

		kernel.arg = ARENA_ARRAY(b->a, uint32_t, kernel.func->nparams);
		for (uint32_t p = 0; p < kernel.func->nparams; p++) {
			const struct lower_arg *arg = &c.kernels.v[k].arg[p];

			kernel.arg[p] = arg->value ? value_buffer(b, arg->value) : temp_buffer(b, n, arg->temp, of_temp);
		}
		vec_push(b->a, &b->kernels, kernel);
	}
	return true;
}

/* A view is its input's buffer under another shape. What the graph gives must be written, so such a view is a kernel that copies. */
static bool is_view(const struct build *b, const struct gir_node *n)
{
	for (size_t i = 0; i < b->g->outputs.n; i++)
		if (b->g->outputs.v[i] == n->out[0])
			return false;
	return n->op == GIR_VIEW;
}

/* A graph read from a text may lack the numbers of its large constants. */
static bool check_constants(const struct gir_graph *g, struct err *e)
{
	for (size_t i = 0; i < g->values.n; i++)
		if (!g->values.v[i]->data && !hash_is_zero(g->values.v[i]->hash))
			return err_set(e, ERR_UNSUPPORTED, "constant '%s' is known by its hash only", g->values.v[i]->name);
	return true;
}

/* A graph output that nobody computes (an input, a constant, the same value twice) gets an Identity: every output is written. */
static void make_outputs_computed(struct gir_graph *g)
{
	struct arena *a = arena_new(NULL);
	struct map *seen = map_new(a);

	for (size_t i = 0; i < g->outputs.n; i++) {
		struct gir_value *v = g->outputs.v[i], *copy;

		if (v->producer && !map_has(seen, v->name)) {
			map_put(seen, v->name, v);
			continue;
		}
		copy = gir_value_typed(g, arena_printf(g->arena, "%s_out", v->name), v->dtype, v->nd, v->dim);
		gir_append(g, gir_node(g, copy->name, GIR_IDENTITY, 1, &v, 1, &copy));
		g->outputs.v[i] = copy;
	}
	arena_free(a);
}

static void finish(struct build *b, struct fill fill, struct comp_program *p)
{
	p->arena = b->a;
	p->graph = b->g;
	p->kernel = b->kernels.v;
	p->nkernels = (uint32_t)b->kernels.n;
	p->buffer = b->buffers.v;
	p->nbuffers = (uint32_t)b->buffers.n;
	p->kernel_by_name = map_new(b->a);
	for (uint32_t k = 0; k < p->nkernels; k++)
		p->kernel[k].fill = fill;
	for (uint32_t k = 0; k < p->nkernels; k++)
		map_put(p->kernel_by_name, p->kernel[k].func->name, (void *)(uintptr_t)(k + 1));
}

bool comp_program(struct arena *a, const struct gir_graph *imported, const struct comp_options *o, struct comp_program **out, struct err *e)
{
	struct lower_target target = {.cls = o->opt_level >= 3 && o->cls == DEVICE_GPU ? LOWER_GPU : LOWER_CPU,
	                              .lanes = o->opt_level >= 3 && o->lanes > 1 ? o->lanes : 1,
	                              .max_group = o->max_group,
	                              .local_memory = o->local_memory};
	struct comp_program *p = ARENA_NEW(a, struct comp_program);
	struct gir_graph *g = gir_clone(a, imported);
	struct build b = {.a = a, .g = g};

	if (!check_constants(g, e) || !comp_infer(g, e))
		return false;
	make_outputs_computed(g);
	if (!comp_run_passes(g, o, e))
		return false;
	b.of_value = ARENA_ARRAY(a, uint32_t, g->values.n);
	p->ninputs = (uint32_t)g->inputs.n;
	p->noutputs = (uint32_t)g->outputs.n;
	p->input = ARENA_ARRAY(a, uint32_t, p->ninputs);
	p->output = ARENA_ARRAY(a, uint32_t, p->noutputs);
	for (uint32_t i = 0; i < p->ninputs; i++) {
		p->input[i] = value_buffer(&b, g->inputs.v[i]);
		b.buffers.v[p->input[i]].role = BUF_INPUT;
	}
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		if (is_view(&b, n))
			b.of_value[n->out[0]->id] = value_buffer(&b, n->in[0]) + 1;
		else if (!lower_node(&b, n, &target, e))
			return false;
	}
	for (uint32_t i = 0; i < p->noutputs; i++) {
		p->output[i] = value_buffer(&b, g->outputs.v[i]);
		b.buffers.v[p->output[i]].role = BUF_OUTPUT;
	}
	finish(&b, o->fill, p);
	*out = p;
	return true;
}

struct comp_program *comp_replace(struct arena *a, struct comp_program *p, struct lir_func *const *func)
{
	struct comp_program *q = arena_memdup(a, p, sizeof *p);

	q->arena = a;
	q->kernel = arena_memdup(a, p->kernel, p->nkernels * sizeof *p->kernel);
	for (uint32_t k = 0; k < p->nkernels; k++)
		if (func[k]) {
			assert(func[k]->nparams == p->kernel[k].func->nparams);
			q->kernel[k].func = func[k];
			q->kernel[k].alone = true;
			q->kernel[k].text = q->kernel[k].checked = NULL;
			q->kernel[k].checks = NULL;
		}
	return q;
}
