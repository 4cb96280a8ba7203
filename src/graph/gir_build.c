/* gir_build.c: making and changing graphs */
#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "graph/graph.h"

struct gir_graph *gir_new(struct arena *a, const char *name, int opset)
{
	struct gir_graph *g = ARENA_NEW(a, struct gir_graph);

	g->arena = a;
	g->name = arena_strdup(a, name);
	g->opset = opset;
	g->value_by_name = map_new(a);
	return g;
}

struct gir_value *gir_value(struct gir_graph *g, const char *name)
{
	struct gir_value *v = ARENA_NEW(g->arena, struct gir_value);

	v->name = arena_strdup(g->arena, name);
	for (int i = 1; map_has(g->value_by_name, v->name); i++)
		v->name = arena_printf(g->arena, "%s_%d", name, i);
	v->id = (uint32_t)g->values.n;
	map_put(g->value_by_name, v->name, v);
	vec_push(g->arena, &g->values, v);
	return v;
}

struct gir_value *gir_value_typed(struct gir_graph *g, const char *name, enum dtype t, int nd, const int64_t *dim)
{
	struct gir_value *v = gir_value(g, name);

	assert(nd <= MAX_DIMS);
	v->dtype = t;
	v->nd = nd;
	if (nd)
		memcpy(v->dim, dim, (size_t)nd * sizeof *dim);
	v->typed = true;
	return v;
}

struct gir_value *gir_const(struct gir_graph *g, const char *name, const struct tensor *data)
{
	struct gir_value *v = gir_value_typed(g, name, data->dtype, data->nd, data->dim);

	v->data = data;
	return v;
}

struct gir_node *gir_node(struct gir_graph *g, const char *name, enum gir_op op, uint32_t nin, struct gir_value *const *in, uint32_t nout,
                          struct gir_value *const *out)
{
	struct gir_node *n = ARENA_NEW(g->arena, struct gir_node);

	n->name = arena_strdup(g->arena, name);
	n->op = op;
	n->nin = nin;
	n->nout = nout;
	n->in = arena_memdup(g->arena, in, nin * sizeof *in);
	n->out = arena_memdup(g->arena, out, nout * sizeof *out);
	for (uint32_t i = 0; i < nout; i++)
		if (out[i])
			out[i]->producer = n;
	return n;
}

static size_t position(const struct gir_graph *g, const struct gir_node *n)
{
	size_t i = 0;

	while (i < g->nodes.n && g->nodes.v[i] != n)
		i++;
	assert(i < g->nodes.n);
	return i;
}

static void insert(struct gir_graph *g, size_t at, struct gir_node *n)
{
	vec_push(g->arena, &g->nodes, n);
	memmove(&g->nodes.v[at + 1], &g->nodes.v[at], (g->nodes.n - 1 - at) * sizeof *g->nodes.v);
	g->nodes.v[at] = n;
}

void gir_append(struct gir_graph *g, struct gir_node *n)
{
	vec_push(g->arena, &g->nodes, n);
}

void gir_insert_before(struct gir_graph *g, struct gir_node *at, struct gir_node *n)
{
	insert(g, position(g, at), n);
}

void gir_insert_after(struct gir_graph *g, struct gir_node *at, struct gir_node *n)
{
	insert(g, position(g, at) + 1, n);
}

void gir_remove(struct gir_graph *g, struct gir_node *n)
{
	size_t at = position(g, n);

	memmove(&g->nodes.v[at], &g->nodes.v[at + 1], (g->nodes.n - at - 1) * sizeof *g->nodes.v);
	g->nodes.n--;
	for (uint32_t i = 0; i < n->nout; i++)
		if (n->out[i] && n->out[i]->producer == n)
			n->out[i]->producer = NULL;
}

/* ---- attributes ---- */

const struct gir_attr *gir_attr(const struct gir_node *n, const char *name)
{
	for (uint32_t i = 0; i < n->nattrs; i++)
		if (!strcmp(n->attr[i].name, name))
			return &n->attr[i];
	return NULL;
}

static struct gir_attr *set(struct gir_graph *g, struct gir_node *n, const char *name, enum gir_attr_kind kind)
{
	struct gir_attr *a = (struct gir_attr *)gir_attr(n, name), *grown;

	if (!a) {
		grown = ARENA_ARRAY(g->arena, struct gir_attr, n->nattrs + 1);
		if (n->nattrs)
			memcpy(grown, n->attr, n->nattrs * sizeof *grown);
		n->attr = grown;
		a = &grown[n->nattrs++];
	}
	*a = (struct gir_attr){.name = arena_strdup(g->arena, name), .kind = kind};
	return a;
}

void gir_set_int(struct gir_graph *g, struct gir_node *n, const char *attr, int64_t v)
{
	set(g, n, attr, GIR_ATTR_INT)->i = v;
}

void gir_set_float(struct gir_graph *g, struct gir_node *n, const char *attr, float v)
{
	set(g, n, attr, GIR_ATTR_FLOAT)->f = v;
}

void gir_set_ints(struct gir_graph *g, struct gir_node *n, const char *attr, const int64_t *v, size_t count)
{
	struct gir_attr *a = set(g, n, attr, GIR_ATTR_INTS);

	a->ints = arena_memdup(g->arena, v, count * sizeof *v);
	a->n = count;
}

void gir_set_string(struct gir_graph *g, struct gir_node *n, const char *attr, const char *v)
{
	set(g, n, attr, GIR_ATTR_STRING)->s = arena_strdup(g->arena, v);
}

int64_t gir_attr_int(const struct gir_node *n, const char *name, int64_t otherwise)
{
	const struct gir_attr *a = gir_attr(n, name);

	return a && a->kind == GIR_ATTR_INT ? a->i : otherwise;
}

float gir_attr_float(const struct gir_node *n, const char *name, float otherwise)
{
	const struct gir_attr *a = gir_attr(n, name);

	return a && a->kind == GIR_ATTR_FLOAT ? a->f : otherwise;
}

const char *gir_attr_string(const struct gir_node *n, const char *name, const char *otherwise)
{
	const struct gir_attr *a = gir_attr(n, name);

	return a && a->kind == GIR_ATTR_STRING ? a->s : otherwise;
}

/* ---- uses ---- */

static void replace_in(struct gir_node *n, const struct gir_value *from, struct gir_value *to)
{
	for (uint32_t i = 0; i < n->nin; i++)
		if (n->in[i] == from)
			n->in[i] = to;
	for (uint32_t i = 0; i < n->nfused; i++)
		replace_in(n->fused[i].node, from, to);
}

void gir_replace_uses(struct gir_graph *g, struct gir_value *from, struct gir_value *to)
{
	for (size_t i = 0; i < g->nodes.n; i++)
		replace_in(g->nodes.v[i], from, to);
	for (size_t i = 0; i < g->outputs.n; i++)
		if (g->outputs.v[i] == from)
			g->outputs.v[i] = to;
}

static void count_in(const struct gir_node *n, uint32_t *uses)
{
	for (uint32_t i = 0; i < n->nin; i++)
		if (n->in[i])
			uses[n->in[i]->id]++;
	for (uint32_t i = 0; i < n->nfused; i++)
		count_in(n->fused[i].node, uses);
}

uint32_t *gir_count_uses(struct arena *a, const struct gir_graph *g)
{
	uint32_t *uses = ARENA_ARRAY(a, uint32_t, g->values.n + 1);

	for (size_t i = 0; i < g->nodes.n; i++)
		count_in(g->nodes.v[i], uses);
	for (size_t i = 0; i < g->outputs.n; i++)
		uses[g->outputs.v[i]->id]++;
	return uses;
}

struct gir_node *gir_find_node(const struct gir_graph *g, const char *name)
{
	for (size_t i = 0; i < g->nodes.n; i++)
		if (!strcmp(g->nodes.v[i]->name, name))
			return g->nodes.v[i];
	return NULL;
}

struct gir_value *gir_find_value(const struct gir_graph *g, const char *name)
{
	return map_get(g->value_by_name, name);
}

int gir_stored_dims(const struct gir_value *v, int64_t dim[MAX_DIMS])
{
	memcpy(dim, v->dim, sizeof v->dim);
	if (!v->block)
		return v->nd;
	assert(v->nd >= 2 && v->nd < MAX_DIMS);
	dim[1] = (v->dim[1] + v->block - 1) / v->block;
	dim[v->nd] = v->block;
	return v->nd + 1;
}

/* ---- copying ---- */

struct clone {
	struct gir_graph *to;
	struct gir_value **value; /* by id */
};

static struct gir_value **clone_list(struct clone *c, struct gir_value *const *v, uint32_t n)
{
	struct gir_value **out = ARENA_ARRAY(c->to->arena, struct gir_value *, n);

	for (uint32_t i = 0; i < n; i++)
		out[i] = v[i] ? c->value[v[i]->id] : NULL;
	return out;
}

static struct gir_node *clone_node(struct clone *c, const struct gir_node *n)
{
	struct gir_node *m = arena_memdup(c->to->arena, n, sizeof *n);

	m->in = clone_list(c, n->in, n->nin);
	m->out = clone_list(c, n->out, n->nout);
	m->attr = arena_memdup(c->to->arena, n->attr, n->nattrs * sizeof *n->attr);
	m->fused = ARENA_ARRAY(c->to->arena, struct gir_fused, n->nfused);
	for (uint32_t i = 0; i < n->nfused; i++)
		m->fused[i] = (struct gir_fused){clone_node(c, n->fused[i].node), n->fused[i].slot};
	for (uint32_t i = 0; i < n->nout; i++)
		if (n->out[i] && n->out[i]->producer == n)
			m->out[i]->producer = m;
	return m;
}

struct gir_graph *gir_clone(struct arena *a, const struct gir_graph *g)
{
	struct gir_graph *h = gir_new(a, g->name, g->opset);
	struct clone c = {h, ARENA_ARRAY(a, struct gir_value *, g->values.n + 1)};

	for (size_t i = 0; i < g->values.n; i++) {
		struct gir_value *v = arena_memdup(a, g->values.v[i], sizeof *v);

		v->producer = NULL;
		v->id = (uint32_t)i;
		c.value[i] = v;
		vec_push(a, &h->values, v);
		map_put(h->value_by_name, v->name, v);
	}
	for (size_t i = 0; i < g->nodes.n; i++)
		gir_append(h, clone_node(&c, g->nodes.v[i]));
	for (size_t i = 0; i < g->inputs.n; i++)
		vec_push(a, &h->inputs, c.value[g->inputs.v[i]->id]);
	for (size_t i = 0; i < g->outputs.n; i++)
		vec_push(a, &h->outputs, c.value[g->outputs.v[i]->id]);
	return h;
}
