/* fuzz_ops.c: nodes with any inputs and attributes - what inference accepts must lower to kernels that stay inside their tensors
 *
 * The bytes are choices: operator, shapes, types, attributes, until they run out.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "ops/ops.h"

#define MAX_IN 9
#define MAX_OUT 5
#define SMALL 20000 /* elements of the outputs of a node that is run */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
	const uint8_t *p, *end;
};

struct node_case {
	struct arena *a;
	struct gir_graph *g;
	struct gir_node *n;
	int nd; /* the shape that inputs are made to resemble */
	int64_t dim[MAX_DIMS];
	struct gir_value *in[MAX_IN], *out[MAX_OUT];
	struct tensor *fed[MAX_IN], *got[MAX_OUT];
};

/* 0..n-1; 0 when the bytes have run out */
static uint32_t pick(struct source *s, uint32_t n)
{
	return s->p < s->end ? *s->p++ % n : 0;
}

static int64_t odd_number(struct source *s)
{
	static const int64_t odd[] = {0,         1,         2,       3, 4, 5, -1, -2, -3, 7, INT32_MAX, INT32_MAX + (int64_t)1,
				      INT64_MAX, INT64_MIN, 1 << 20, -5};

	return odd[pick(s, pick(s, 8) ? 6 : 16)];
}

static int input_shape(struct source *s, const struct node_case *c, int64_t *dim)
{
	int nd = c->nd;

	memcpy(dim, c->dim, sizeof c->dim);
	switch (pick(s, 8)) {
	case 0: /* one number for each channel */ dim[0] = nd > 1 ? c->dim[1] : 1; return 1;
	case 1: return 0;
	case 2: /* without the channel */
		for (int d = 2; d < nd; d++)
			dim[d - 1] = c->dim[d];
		return nd ? nd - 1 : 0;
	case 3:
		nd = (int)pick(s, 6);
		for (int d = 0; d < nd; d++)
			dim[d] = pick(s, 4);
		return nd;
	case 4: /* a weight: channels in dim 1 */
		if (nd > 1) {
			dim[0] = 1 + pick(s, 4);
			for (int d = 2; d < nd; d++)
				dim[d] = 1 + pick(s, 3);
		}
		return nd;
	case 5: /* a list */ dim[0] = pick(s, 5); return 1;
	default: return nd;
	}
}

static void fill(struct source *s, struct tensor *t)
{
	int64_t n = tensor_elements(t);

	for (int64_t i = 0; i < n; i++) {
		if (dtype_is_float(t->dtype))
			tensor_set_f64(t, i, ((double)pick(s, 64) - 32) / 8);
		else
			tensor_set_i64(t, i, odd_number(s));
	}
}

static void add_inputs(struct source *s, struct node_case *c, uint32_t nin, enum dtype base)
{
	static const enum dtype usual[] = {DT_F32, DT_I64, DT_U8, DT_I8, DT_I32, DT_BOOL};

	for (uint32_t i = 0; i < nin; i++) {
		enum dtype t = i && !pick(s, 3) ? usual[pick(s, 6)] : base;
		int64_t dim[MAX_DIMS], n;
		int nd = c->nd;

		memcpy(dim, c->dim, sizeof dim);
		if (i)
			nd = input_shape(s, c, dim);
		if ((i && !pick(s, 16)) || !dims_elements(dim, nd, &n) || n > SMALL)
			continue;
		c->fed[i] = tensor_new(c->a, t, nd, dim);
		fill(s, c->fed[i]);
		c->in[i] = t == DT_I64 || pick(s, 2) ? gir_const(c->g, "c", c->fed[i]) : gir_value_typed(c->g, "x", t, nd, dim);
	}
}

static void add_attribute(struct source *s, struct node_case *c)
{
	static const char *const lists[] = {"kernel_shape", "strides", "pads",  "dilations", "output_padding", "output_shape",
					    "axes",         "perm",    "split", "starts",    "ends",           "scales"};
	static const char *const numbers[] = {"axis",
					      "group",
					      "p",
					      "size",
					      "k",
					      "block_size",
					      "keepdims",
					      "storage_order",
					      "ceil_mode",
					      "count_include_pad",
					      "transA",
					      "transB",
					      "num_groups",
					      "select_last_index",
					      "exclusive",
					      "reverse",
					      "ignore_index",
					      "noop_with_empty_axes",
					      "training_mode",
					      "largest",
					      "stash_type",
					      "output_dtype",
					      "spatial",
					      "to",
					      "blocksize",
					      "batch_dims",
					      "upper",
					      "fmod",
					      "allowzero",
					      "num_outputs",
					      "batch_axis",
					      "time_axis",
					      "align_corners",
					      "start",
					      "end",
					      "dtype",
					      "antialias",
					      "exclude_outside"};
	static const char *const words[][2] = {{"auto_pad", "SAME_UPPER"},
					       {"auto_pad", "SAME_LOWER"},
					       {"auto_pad", "VALID"},
					       {"auto_pad", "X"},
					       {"reduction", "none"},
					       {"reduction", "sum"},
					       {"reduction", "add"},
					       {"equation", "ij,jk->ik"},
					       {"equation", "...i,i..."},
					       {"equation", "ii->i"},
					       {"equation", "->"},
					       {"equation", "a,b->ab"},
					       {"equation", "...a,...a"},
					       {"mode", "nearest"},
					       {"mode", "linear"},
					       {"mode", "cubic"},
					       {"mode", "reflect"},
					       {"mode", "edge"},
					       {"mode", "wrap"},
					       {"mode", "CRD"},
					       {"direction", "LEFT"},
					       {"padding_mode", "border"},
					       {"padding_mode", "reflection"},
					       {"coordinate_transformation_mode", "asymmetric"},
					       {"coordinate_transformation_mode", "align_corners"},
					       {"nearest_mode", "floor"},
					       {"nearest_mode", "ceil"},
					       {"mode", "bicubic"},
					       {"coordinate_transformation_mode", "tf_crop_and_resize"},
					       {"coordinate_transformation_mode", "half_pixel_symmetric"},
					       {"keep_aspect_ratio_policy", "not_larger"},
					       {"keep_aspect_ratio_policy", "not_smaller"}};
	uint32_t which = pick(s, 3);

	if (which == 0) {
		const char *name = lists[pick(s, sizeof lists / sizeof *lists)];
		uint32_t spatial = c->nd > 2 ? (uint32_t)c->nd - 2 : 1, count = pick(s, 8) ? spatial : pick(s, 9);
		int64_t *list;

		if (!strcmp(name, "pads"))
			count *= 2;
		list = ARENA_ARRAY(c->a, int64_t, count + 1);
		for (uint32_t i = 0; i < count; i++)
			list[i] = pick(s, 8) ? pick(s, 3) + !!strcmp(name, "pads") : odd_number(s);
		gir_set_ints(c->g, c->n, name, list, count);
	} else if (which == 1) {
		gir_set_int(c->g, c->n, numbers[pick(s, sizeof numbers / sizeof *numbers)], odd_number(s));
	} else {
		uint32_t i = pick(s, sizeof words / sizeof *words);

		gir_set_string(c->g, c->n, words[i][0], words[i][1]);
	}
}

static const struct tensor *value_of(void *user, struct gir_value *v)
{
	(void)user;
	return v->data;
}

static void *memory_of(const struct node_case *c, const struct lower_arg *arg, void *const *temp)
{
	if (arg->temp)
		return arg->temp->data ? (void *)arg->temp->data : temp[arg->temp->id];
	for (uint32_t i = 0; i < c->n->nin; i++)
		if (arg->value == c->n->in[i])
			return c->fed[i]->data;
	for (uint32_t i = 0; i < c->n->nout; i++)
		if (arg->value == c->n->out[i])
			return c->got[i]->data;
	return NULL;
}

static void must(const struct node_case *c, bool ok, const char *what, const struct lir_func *f)
{
	struct str text = {0};

	if (ok)
		return;
	if (f)
		lir_print(&text, f);
	fprintf(stderr, "%s, opset %d: %s\n%s\n", gir_op_info(c->n->op)->name, c->g->opset, what, str_text(&text));
	abort();
}

static void run(struct node_case *c, const struct op_lower *l)
{
	void **temp = ARENA_ARRAY(c->a, void *, l->temps.n + 1);
	struct err e = {0};
	bool going = true;

	for (size_t i = 0; i < l->temps.n; i++)
		temp[i] = tensor_new(c->a, l->temps.v[i]->dtype, l->temps.v[i]->nd, l->temps.v[i]->dim)->data;
	for (uint32_t i = 0; i < c->n->nout; i++)
		if (c->n->out[i])
			c->got[i] = tensor_new(c->a, c->n->out[i]->dtype, c->n->out[i]->nd, c->n->out[i]->dim);
	for (size_t k = 0; going && k < l->kernels.n; k++) {
		const struct lir_func *f = l->kernels.v[k].func;
		void **param = ARENA_ARRAY(c->a, void *, f->nparams + 1);
		struct lir_interp_options o = {.max_steps = 200000, .races = true};
		struct lir_interp_result r = {0};

		for (uint32_t p = 0; p < f->nparams; p++)
			param[p] = memory_of(c, &l->kernels.v[k].arg[p], temp);
		must(c, lir_interp(f, param, &o, &r, &e), err_text(&e), f);
		going = r.fault == LIR_OK; /* too long, or integers divided by a zero of the data */
		must(c, going || r.fault == LIR_FAULT_STEPS || r.fault == LIR_FAULT_DIVIDE, r.text, f);
	}
	err_free(&e);
}

static void infer_and_run(struct node_case *c)
{
	static const struct lower_target target = {.cls = LOWER_CPU, .lanes = 1};
	struct op_infer infer = {.a = c->a, .graph = c->g, .node = c->n, .opset = c->g->opset, .value = value_of};
	struct op_lower lower = {.a = c->a, .node = c->n, .opset = c->g->opset, .target = &target};
	int64_t total = 0, count = 0;
	struct err e = {0};
	bool ok = op_infer_node(&infer, &e);

	for (uint32_t i = 0; ok && i < c->n->nout; i++)
		if (c->n->out[i]) {
			must(c, dims_elements(c->n->out[i]->dim, c->n->out[i]->nd, &count), "an output has an absurd shape", NULL);
			total += count;
		}
	if (ok && op_lower_node(&lower, &e) && total <= SMALL)
		run(c, &lower);
	err_free(&e);
}

static void one_node(struct source *s)
{
	struct node_case c = {.a = arena_new(NULL)};
	enum gir_op op = (enum gir_op)pick(s, GIR_OP_COUNT);
	const struct gir_op_info *info = gir_op_info(op);
	uint32_t most = info->max_inputs < 0 ? 3 : (uint32_t)info->max_inputs;
	uint32_t nin = (uint32_t)info->min_inputs + pick(s, most - (uint32_t)info->min_inputs + 1),
		 nout = 1 + pick(s, 2) * pick(s, MAX_OUT);
	enum dtype base = pick(s, 4) ? DT_F32 : (enum dtype)pick(s, DT_COUNT);

	c.g = gir_new(c.a, "fuzz", 6 + (int)pick(s, 17));
	c.nd = pick(s, 3) ? 3 + (int)pick(s, 2) : (int)pick(s, MAX_DIMS);
	for (int d = 0; d < MAX_DIMS; d++)
		c.dim[d] = pick(s, 16) ? 1 + pick(s, 4) : 0;
	add_inputs(s, &c, nin, base);
	for (uint32_t i = 0; i < nout; i++)
		c.out[i] = pick(s, 8) ? gir_value(c.g, "y") : NULL;
	c.n = gir_node(c.g, "node", op, nin, c.in, nout, c.out);
	for (uint32_t i = pick(s, 5); i; i--)
		add_attribute(s, &c);
	if (!info->internal && op_impl(op))
		infer_and_run(&c);
	arena_free(c.a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source s = {data, data + size};

	while (s.p < s.end)
		one_node(&s);
	return 0;
}
