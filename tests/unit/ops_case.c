/* ops_case.c: one-node graphs written as text, run through inference, lowering and the interpreter */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "ops/ops.h"
#include "ops_case.h"
#include "test_support.h"

#define MAX_IO 16

struct ops_case {
	struct arena *a;
	char name[96], op[64], fails[128];
	int opset;
	double tol;
	struct gir_graph *g;
	struct gir_node attrs; /* collects attributes until the node exists */
	uint32_t nin, nout;
	struct gir_value *in[MAX_IO], *out[MAX_IO];
	struct tensor *fed[MAX_IO], *expected[MAX_IO], *got[MAX_IO];
	struct str wrong;
};

static struct tensor *read_tensor(struct arena *a, char *p)
{
	char type[8], shape[96];
	int used, nd = 0;
	int64_t dim[MAX_DIMS], count;
	enum dtype t;
	struct tensor *r;

	cr_assert_eq(sscanf(p, "%7s %95s%n", type, shape, &used), 2);
	cr_assert(dtype_parse(type, &t), "type %s", type);
	p += used;
	if (strcmp(shape, "scalar"))
		for (char *s = strtok(shape, "x"); s; s = strtok(NULL, "x"))
			dim[nd++] = atoll(s);
	cr_assert(dims_elements(dim, nd, &count));
	r = tensor_new(a, t, nd, dim);
	for (int64_t i = 0; i < count; i++) {
		if (dtype_is_float(t))
			tensor_set_f64(r, i, strtod(p, &p));
		else
			tensor_set_i64(r, i, t == DT_U64 ? (int64_t)strtoull(p, &p, 10) : strtoll(p, &p, 10));
	}
	return r;
}

static void read_floats(struct ops_case *c, const char *name, char *p)
{
	float *list = ARENA_ARRAY(c->a, float, strlen(p) + 1);
	struct gir_attr *attr;
	size_t n = 0;

	for (char *end; list[n] = strtof(p, &end), end != p; p = end)
		n++;
	gir_set_ints(c->g, &c->attrs, name, NULL, 0);
	attr = &c->attrs.attr[c->attrs.nattrs - 1];
	attr->kind = GIR_ATTR_FLOATS;
	attr->floats = list;
	attr->n = n;
}

static void read_attr(struct ops_case *c, const char *kind, char *p)
{
	char name[64];
	int used;
	int64_t ints[64];
	size_t n = 0;

	cr_assert_eq(sscanf(p, "%63s%n", name, &used), 1);
	p += used;
	if (!strcmp(kind, "int"))
		gir_set_int(c->g, &c->attrs, name, atoll(p));
	else if (!strcmp(kind, "float"))
		gir_set_float(c->g, &c->attrs, name, strtof(p, NULL));
	else if (!strcmp(kind, "string"))
		gir_set_string(c->g, &c->attrs, name, arena_strdup(c->a, p + 1));
	else if (!strcmp(kind, "floats"))
		read_floats(c, name, p);
	else {
		for (char *end;; p = end) {
			ints[n] = strtoll(p, &end, 10);
			if (end == p)
				break;
			n++;
		}
		gir_set_ints(c->g, &c->attrs, name, arena_memdup(c->a, ints, n * sizeof *ints), n);
	}
}

static void read_input(struct ops_case *c, char *p, bool constant)
{
	struct tensor *t = strchr(p, '-') == p ? NULL : read_tensor(c->a, p);
	char name[16];

	snprintf(name, sizeof name, "x%u", c->nin);
	c->fed[c->nin] = t;
	if (t)
		c->in[c->nin] = constant ? gir_const(c->g, name, t) : gir_value_typed(c->g, name, t->dtype, t->nd, t->dim);
	c->nin++;
}

static void read_output(struct ops_case *c, char *p)
{
	char name[16];

	snprintf(name, sizeof name, "y%u", c->nout);
	if (*p != '-') {
		c->expected[c->nout] = *p == '?' ? NULL : read_tensor(c->a, p);
		c->out[c->nout] = gir_value(c->g, name);
	}
	c->nout++;
}

static void read_line(struct ops_case *c, const char *word, char *rest)
{
	if (!strcmp(word, "case"))
		snprintf(c->name, sizeof c->name, "%s", rest);
	else if (!strcmp(word, "op")) {
		cr_assert_eq(sscanf(rest, "%63s %d", c->op, &c->opset), 2);
		c->g = gir_new(c->a, "case", c->opset);
	} else if (!strcmp(word, "tol"))
		c->tol = atof(rest);
	else if (!strcmp(word, "fails"))
		snprintf(c->fails, sizeof c->fails, "%s", rest);
	else if (!strcmp(word, "input") || !strcmp(word, "const"))
		read_input(c, rest, *word == 'c');
	else if (!strcmp(word, "output"))
		read_output(c, rest);
	else
		read_attr(c, word, rest);
}

static const struct tensor *value_of(void *user, struct gir_value *v)
{
	(void)user;
	return v->data;
}

static void compare(struct ops_case *c, uint32_t i)
{
	const struct tensor *x = c->expected[i], *y = c->got[i];
	int64_t n = tensor_elements(x);

	if (x->dtype != y->dtype || x->nd != y->nd || memcmp(x->dim, y->dim, (size_t)x->nd * sizeof *x->dim)) {
		str_addf(&c->wrong, "output %u is %s %s, expected %s %s", i, dtype_name(y->dtype), dims_text(c->a, y->dim, y->nd),
			 dtype_name(x->dtype), dims_text(c->a, x->dim, x->nd));
		return;
	}
	for (int64_t k = 0; k < n; k++) {
		double p = tensor_get_f64(x, k), q = tensor_get_f64(y, k);

		if (isnan(p) ? isnan(q) : p == q)
			continue;
		if (!dtype_is_float(x->dtype) && tensor_get_i64(x, k) == tensor_get_i64(y, k))
			continue;
		if (fabs(p - q) <= c->tol * fmax(1, fabs(p)))
			continue;
		str_addf(&c->wrong, "output %u element %lld is %.9g, expected %.9g", i, (long long)k, q, p);
		return;
	}
}

static void run_kernels(struct ops_case *c, struct op_lower *l, const struct gir_node *n)
{
	void **temp = ARENA_ARRAY(c->a, void *, l->temps.n + 1);
	struct err e = {0};

	for (size_t i = 0; i < l->temps.n; i++)
		temp[i] = tensor_new(c->a, l->temps.v[i]->dtype, l->temps.v[i]->nd, l->temps.v[i]->dim)->data;
	for (uint32_t i = 0; i < n->nout; i++)
		if (n->out[i])
			c->got[i] = tensor_new(c->a, n->out[i]->dtype, n->out[i]->nd, n->out[i]->dim);
	for (size_t k = 0; k < l->kernels.n && !c->wrong.n; k++) {
		struct lir_func *f = l->kernels.v[k].func;
		void **param = ARENA_ARRAY(c->a, void *, f->nparams + 1);
		struct lir_interp_options o = {.races = true};
		struct lir_interp_result r = {0};

		for (uint32_t p = 0; p < f->nparams; p++) {
			const struct lower_arg *arg = &l->kernels.v[k].arg[p];

			if (arg->temp)
				param[p] = arg->temp->data ? (void *)arg->temp->data : temp[arg->temp->id];
			for (uint32_t i = 0; i < n->nin; i++)
				if (arg->value && arg->value == n->in[i])
					param[p] = c->fed[i]->data;
			for (uint32_t i = 0; i < n->nout; i++)
				if (arg->value && arg->value == n->out[i])
					param[p] = c->got[i]->data;
		}
		if (!lir_interp(f, param, &o, &r, &e))
			str_add(&c->wrong, err_text(&e));
		else if (r.fault)
			str_addf(&c->wrong, "%s: %s", f->name, r.text);
	}
	err_free(&e);
}

static void run(struct ops_case *c)
{
	struct lower_target target = {.cls = LOWER_CPU, .lanes = 1};
	struct err e = {0};
	struct gir_node *n;
	enum gir_op op;
	bool ok;

	cr_assert(gir_op_find(c->op, &op), "operator %s", c->op);
	n = gir_node(c->g, "node", op, c->nin, c->in, c->nout, c->out);
	n->attr = c->attrs.attr;
	n->nattrs = c->attrs.nattrs;
	gir_append(c->g, n);
	struct op_infer infer = {.a = c->a, .graph = c->g, .node = n, .opset = c->opset, .value = value_of};
	struct op_lower lower = {.a = c->a, .node = n, .opset = c->opset, .target = &target};

	ok = op_infer_node(&infer, &e);
	if (*c->fails) {
		if (ok || !strstr(err_text(&e), c->fails))
			str_addf(&c->wrong, "should be refused with '%s', but: %s", c->fails, ok ? "accepted" : err_text(&e));
	} else if (!ok || !op_lower_node(&lower, &e)) {
		str_add(&c->wrong, err_text(&e));
	} else {
		run_kernels(c, &lower, n);
		for (uint32_t i = 0; i < c->nout && !c->wrong.n; i++)
			if (c->expected[i])
				compare(c, i);
	}
	err_free(&e);
}

char *ops_case_run(const char **text)
{
	struct ops_case c = {.a = arena_new(NULL)};
	char word[16], *r = NULL;
	int used;

	for (const char *end; *(end = strchrnul(*text, '\n'));) {
		char *line = arena_strndup(c.a, *text, (size_t)(end - *text));

		*text = end + 1;
		if (sscanf(line, "%15s%n", word, &used) != 1)
			continue;
		if (!strcmp(word, "end"))
			break;
		read_line(&c, word, line + used + (line[used] == ' '));
	}
	run(&c);
	if (c.wrong.n && asprintf(&r, "%s: %s", c.name, str_text(&c.wrong)) < 0)
		abort();
	str_free(&c.wrong);
	arena_free(c.a);
	return r;
}

void ops_cases_check(const char *text, int expected)
{
	int n = 0;

	while (*text) {
		char *wrong = ops_case_run(&text);

		cr_expect_null(wrong, "%s", wrong ? wrong : "");
		free(wrong);
		n++;
	}
	cr_assert_eq(n, expected, "%d cases, expected %d", n, expected);
}
