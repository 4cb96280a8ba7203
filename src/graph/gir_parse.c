/* gir_parse.c: reads what gir_print.c writes; docs/graph-ir.md has the grammar. The text may be hostile: memory grows with the text
 * and not with the numbers in it, and what comes out has passed the verifier. */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/lex.h"
#include "base/map.h"
#include "graph/graph.h"

#define MAX_TEXT ((size_t)64 << 20)
#define MAX_OPSET 999
#define MAX_BLOCK 1024

struct parser {
	struct lexer x;
	struct arena *a;
	struct gir_graph *g;
	struct map *node_names;
};

/* An error at a token that was passed already. */
#define ERROR_AT(p, token, ...) ((p)->x.tok = (token), lex_error(&(p)->x, __VA_ARGS__))

/* ---- numbers and tensors ---- */

/* -1.5, 3, inf, -nan */
static bool parse_double(struct parser *p, double *out)
{
	bool minus, word;

	if (!lex_take(&p->x, "-", &minus))
		return false;
	word = lex_is(&p->x, "inf") || lex_is(&p->x, "nan");
	if (word) {
		*out = lex_is(&p->x, "inf") ? (double)INFINITY : (double)NAN;
		if (!lex_next(&p->x))
			return false;
	} else if (p->x.tok.kind != TOKEN_INT && p->x.tok.kind != TOKEN_FLOAT) {
		return lex_error(&p->x, "a number expected");
	} else if (!lex_double(&p->x, out)) {
		return false;
	}
	*out = copysign(*out, minus ? -1 : 1);
	return true;
}

static bool find_dtype(const struct parser *p, enum dtype *out)
{
	char name[8];

	if (p->x.tok.kind != TOKEN_WORD || p->x.tok.n >= sizeof name)
		return false;
	memcpy(name, p->x.tok.text, p->x.tok.n);
	name[p->x.tok.n] = 0;
	return dtype_parse(name, out);
}

/* f32[1,3,8,8] */
static bool parse_type(struct parser *p, enum dtype *t, int *nd, int64_t dim[MAX_DIMS])
{
	struct token at = p->x.tok;
	int64_t elements;

	if (!find_dtype(p, t))
		return lex_error(&p->x, "a type expected");
	if (!lex_next(&p->x) || !lex_expect(&p->x, "["))
		return false;
	for (*nd = 0; !lex_is(&p->x, "]"); (*nd)++) {
		if (*nd && !lex_expect(&p->x, ","))
			return false;
		if (*nd == MAX_DIMS)
			return lex_error(&p->x, "more than %d dims", MAX_DIMS);
		if (!lex_i64(&p->x, &dim[*nd]))
			return false;
	}
	if (!dims_elements(dim, *nd, &elements))
		return ERROR_AT(p, at, "impossible dims");
	return lex_next(&p->x);
}

static bool parse_element(struct parser *p, struct tensor *t, int64_t i)
{
	struct token at = p->x.tok;
	int64_t v;
	uint64_t u;
	double f;

	if (dtype_is_float(t->dtype)) {
		if (!parse_double(p, &f))
			return false;
		tensor_set_f64(t, i, f);
	} else if (t->dtype == DT_U64) {
		if (!lex_u64(&p->x, &u))
			return false;
		tensor_set_i64(t, i, (int64_t)u);
	} else {
		if (!lex_i64(&p->x, &v))
			return false;
		tensor_set_i64(t, i, v);
		if (tensor_get_i64(t, i) != v)
			return ERROR_AT(p, at, "%lld does not fit %s", (long long)v, dtype_name(t->dtype));
	}
	return true;
}

/* {1, 2.5} */
static bool parse_elements(struct parser *p, enum dtype t, int nd, const int64_t *dim, const struct tensor **out)
{
	struct tensor *made, shape = {.dtype = t, .nd = nd};
	int64_t n;

	memcpy(shape.dim, dim, (size_t)nd * sizeof *dim);
	n = tensor_elements(&shape);
	if (!lex_is(&p->x, "{"))
		return lex_error(&p->x, "'{' expected");
	if (n > p->x.end - p->x.p) /* before memory is taken for them */
		return lex_error(&p->x, "the text ends before %lld elements", (long long)n);
	if (!lex_next(&p->x))
		return false;
	made = tensor_new(p->a, t, nd, dim);
	for (int64_t i = 0; i < n; i++)
		if ((i && !lex_expect(&p->x, ",")) || !parse_element(p, made, i))
			return false;
	*out = made;
	return lex_expect(&p->x, "}");
}

/* ---- values ---- */

static bool parse_name(struct parser *p, const char *what, const char **out)
{
	struct token at = p->x.tok;

	if (!lex_string(&p->x, p->a, what, out))
		return false;
	return **out || ERROR_AT(p, at, "an empty name");
}

/* A definition: "x": f32[1,8] block 8, "x": ? */
static bool parse_value(struct parser *p, bool may_block, struct gir_value **out)
{
	struct token at = p->x.tok;
	struct gir_value *v;
	bool untyped, blocked = false;
	const char *name;
	int64_t block;

	if (!parse_name(p, "the name of a value", &name))
		return false;
	if (gir_find_value(p->g, name))
		return ERROR_AT(p, at, "the value '%s' is made twice", name);
	v = *out = gir_value(p->g, name);
	if (!lex_expect(&p->x, ":") || !lex_take(&p->x, "?", &untyped))
		return false;
	if (!untyped && !parse_type(p, &v->dtype, &v->nd, v->dim))
		return false;
	v->typed = !untyped;
	if (may_block && !lex_take(&p->x, "block", &blocked))
		return false;
	if (!blocked)
		return true;
	at = p->x.tok;
	if (!lex_i64(&p->x, &block))
		return false;
	if (block < 1 || block > MAX_BLOCK)
		return ERROR_AT(p, at, "a block of %lld", (long long)block);
	v->block = (int)block;
	return true;
}

static bool parse_typed(struct parser *p, const char *what, struct gir_value **out)
{
	struct token at = p->x.tok;

	if (!parse_value(p, false, out))
		return false;
	return (*out)->typed || ERROR_AT(p, at, "%s needs a type", what);
}

static bool parse_use(struct parser *p, struct gir_value **out)
{
	struct token at = p->x.tok;
	const char *name;

	if (!parse_name(p, "the name of a value", &name))
		return false;
	*out = gir_find_value(p->g, name);
	return *out || ERROR_AT(p, at, "nobody makes '%s' before this", name);
}

static bool parse_input(struct parser *p)
{
	struct gir_value *v;

	if (!lex_next(&p->x) || !parse_typed(p, "an input", &v))
		return false;
	vec_push(p->a, &p->g->inputs, v);
	return true;
}

/* const "w": f32[2] = {1, 2}, const "w": f32[16,3,3,3] = hash "0123..." */
static bool parse_const(struct parser *p)
{
	struct gir_value *v;
	struct token at;
	const char *hex;
	bool hashed;

	if (!lex_next(&p->x) || !parse_typed(p, "a constant", &v) || !lex_expect(&p->x, "=") || !lex_take(&p->x, "hash", &hashed))
		return false;
	if (!hashed)
		return parse_elements(p, v->dtype, v->nd, v->dim, &v->data);
	at = p->x.tok;
	if (!lex_string(&p->x, p->a, "a hash", &hex))
		return false;
	return (hash_parse(hex, &v->hash) && !hash_is_zero(v->hash)) || ERROR_AT(p, at, "a hash has 32 hexadecimal digits");
}

static bool parse_output(struct parser *p)
{
	struct gir_value *v;

	if (!lex_next(&p->x) || !parse_use(p, &v))
		return false;
	vec_push(p->a, &p->g->outputs, v);
	return true;
}

/* ---- attributes ---- */

/* What the first element of a list, or a lone value, looks like. */
static bool kind_of(struct parser *p, enum gir_attr_kind *out)
{
	struct lexer ahead = p->x;

	if (lex_is(&p->x, "-")) {
		ahead.e = NULL;
		if (!lex_next(&ahead))
			return lex_error(&p->x, "a number expected");
	}
	if (ahead.tok.kind == TOKEN_INT)
		*out = GIR_ATTR_INT;
	else if (ahead.tok.kind == TOKEN_FLOAT || lex_is(&ahead, "inf") || lex_is(&ahead, "nan"))
		*out = GIR_ATTR_FLOAT;
	else if (ahead.tok.kind == TOKEN_STRING)
		*out = GIR_ATTR_STRING;
	else
		return lex_error(&p->x, "a number or a string expected");
	return true;
}

/* [1,2], [0.5], ["a"]; an empty list says its kind before it unless it is of integers */
static bool parse_list(struct parser *p, enum gir_attr_kind empty, struct gir_attr *attr)
{
	VEC(int64_t) ints = {0};
	VEC(float) floats = {0};
	VEC(const char *) strings = {0};
	enum gir_attr_kind kind = empty;

	if (!lex_expect(&p->x, "["))
		return false;
	if (!lex_is(&p->x, "]") && !kind_of(p, &kind))
		return false;
	for (attr->n = 0; !lex_is(&p->x, "]"); attr->n++) {
		const char *s;
		int64_t i;
		double f;

		if (attr->n && !lex_expect(&p->x, ","))
			return false;
		if (kind == GIR_ATTR_INT     ? !lex_i64(&p->x, &i)
		    : kind == GIR_ATTR_FLOAT ? !parse_double(p, &f)
					     : !lex_string(&p->x, p->a, "a string", &s))
			return false;
		if (kind == GIR_ATTR_INT)
			vec_push(p->a, &ints, i);
		else if (kind == GIR_ATTR_FLOAT)
			vec_push(p->a, &floats, (float)f);
		else
			vec_push(p->a, &strings, s);
	}
	attr->kind = kind == GIR_ATTR_INT ? GIR_ATTR_INTS : kind == GIR_ATTR_FLOAT ? GIR_ATTR_FLOATS : GIR_ATTR_STRINGS;
	attr->ints = ints.v;
	attr->floats = floats.v;
	attr->strings = strings.v;
	return lex_next(&p->x);
}

static bool parse_scalar(struct parser *p, struct gir_attr *attr)
{
	double f;

	if (!kind_of(p, &attr->kind))
		return false;
	if (attr->kind == GIR_ATTR_INT)
		return lex_i64(&p->x, &attr->i);
	if (attr->kind == GIR_ATTR_STRING)
		return lex_string(&p->x, p->a, "a string", &attr->s);
	if (!parse_double(p, &f))
		return false;
	attr->f = (float)f;
	return true;
}

/* pads = [1,1,1,1], value = f32[1] {0.5} */
static bool parse_attr(struct parser *p, struct gir_attr *attr)
{
	int64_t dim[MAX_DIMS];
	bool floats, strings;
	enum dtype t;
	int nd;

	if (p->x.tok.kind == TOKEN_WORD) {
		attr->name = arena_strndup(p->a, p->x.tok.text, p->x.tok.n);
		if (!lex_next(&p->x))
			return false;
	} else if (!lex_string(&p->x, p->a, "the name of an attribute", &attr->name)) {
		return false;
	}
	if (!lex_expect(&p->x, "=") || !lex_take(&p->x, "floats", &floats) || !lex_take(&p->x, "strings", &strings))
		return false;
	if (floats || strings || lex_is(&p->x, "["))
		return parse_list(p, floats ? GIR_ATTR_FLOAT : strings ? GIR_ATTR_STRING : GIR_ATTR_INT, attr);
	if (!find_dtype(p, &t))
		return parse_scalar(p, attr);
	attr->kind = GIR_ATTR_TENSOR;
	return parse_type(p, &t, &nd, dim) && parse_elements(p, t, nd, dim, &attr->tensor);
}

static bool parse_attrs(struct parser *p, struct gir_node *n)
{
	VEC(struct gir_attr) list = {0};
	bool any;

	if (!lex_take(&p->x, "{", &any))
		return false;
	while (any && !lex_is(&p->x, "}")) {
		struct gir_attr attr = {0};

		if (list.n && !lex_expect(&p->x, ","))
			return false;
		if (list.n == GIR_MAX_ATTRS)
			return lex_error(&p->x, "more than %d attributes", GIR_MAX_ATTRS);
		if (!parse_attr(p, &attr))
			return false;
		vec_push(p->a, &list, attr);
	}
	n->attr = list.v;
	n->nattrs = (uint32_t)list.n;
	return !any || lex_next(&p->x);
}

/* ---- nodes ---- */

static bool parse_op(struct parser *p, enum gir_op *out)
{
	struct token at = p->x.tok;
	const char *name = arena_strndup(p->a, at.text, at.n);
	bool dot;

	if (at.kind != TOKEN_WORD)
		return lex_error(&p->x, "an operator expected");
	if (!lex_next(&p->x) || !lex_take(&p->x, ".", &dot))
		return false;
	if (dot) {
		name = arena_printf(p->a, "%s.%.*s", name, (int)(p->x.tok.n < 64 ? p->x.tok.n : 64), p->x.tok.text);
		if (!lex_next(&p->x))
			return false;
	}
	return gir_op_find(name, out) || ERROR_AT(p, at, "there is no operator '%s'", name);
}

/* ("x", _, .): '.' is the value so far of the chain, once, and only in one */
static bool parse_inputs(struct parser *p, struct gir_node *n, struct gir_value *chain, uint32_t *slot)
{
	VEC(struct gir_value *) list = {0};
	bool found = false;

	if (!lex_expect(&p->x, "("))
		return false;
	while (!lex_is(&p->x, ")")) {
		struct gir_value *v = NULL;

		if (list.n && !lex_expect(&p->x, ","))
			return false;
		if (lex_is(&p->x, ".")) {
			if (!chain || found)
				return lex_error(&p->x, chain ? "'.' stands twice" : "'.' stands only in a chain");
			v = chain;
			found = true;
			*slot = (uint32_t)list.n;
		}
		if (v || lex_is(&p->x, "_") ? !lex_next(&p->x) : !parse_use(p, &v))
			return false;
		vec_push(p->a, &list, v);
	}
	if (chain && !found)
		return lex_error(&p->x, "'.' expected: the value so far of the chain");
	n->in = list.v;
	n->nin = (uint32_t)list.n;
	return lex_next(&p->x);
}

/* -> "y": f32[1,8], _ */
static bool parse_outputs(struct parser *p, struct gir_node *n)
{
	VEC(struct gir_value *) list = {0};
	bool more = true;

	if (!lex_expect(&p->x, "->"))
		return false;
	while (more) {
		struct gir_value *v = NULL;

		if (lex_is(&p->x, "_") ? !lex_next(&p->x) : !parse_value(p, true, &v))
			return false;
		if (v)
			v->producer = n;
		vec_push(p->a, &list, v);
		if (!lex_take(&p->x, ",", &more))
			return false;
	}
	n->out = list.v;
	n->nout = (uint32_t)list.n;
	return true;
}

static bool parse_node(struct parser *p, struct gir_value *chain, uint32_t *slot, struct gir_node **out)
{
	struct gir_node *n = *out = ARENA_NEW(p->a, struct gir_node);
	struct token at = p->x.tok;

	if (!parse_name(p, "the name of a node", &n->name))
		return false;
	if (map_has(p->node_names, n->name))
		return ERROR_AT(p, at, "two nodes are called '%s'", n->name);
	map_put(p->node_names, n->name, n);
	return lex_expect(&p->x, "=") && parse_op(p, &n->op) && parse_inputs(p, n, chain, slot) && parse_attrs(p, n) &&
	       parse_outputs(p, n);
}

/* "conv" = Conv("x", "w") -> "y": ? | "relu" = Relu(.) -> "z": ? */
static bool parse_root(struct parser *p)
{
	VEC(struct gir_fused) chain = {0};
	struct gir_node *root;
	bool more;

	if (!parse_node(p, NULL, NULL, &root))
		return false;
	gir_append(p->g, root);
	while (lex_is(&p->x, "|")) {
		struct token at = p->x.tok;
		struct gir_fused f;

		if (!root->out[0])
			return lex_error(&p->x, "a chain needs output 0");
		if (!lex_take(&p->x, "|", &more) || !parse_node(p, root->out[0], &f.slot, &f.node))
			return false;
		if (f.node->nout != 1 || !f.node->out[0])
			return ERROR_AT(p, at, "a node in a chain has one output");
		vec_push(p->a, &chain, f);
		root->out[0] = f.node->out[0];
		root->out[0]->producer = root;
	}
	for (size_t i = 0; i + 1 < chain.n; i++)
		chain.v[i].node->out[0]->producer = chain.v[i].node;
	root->fused = chain.v;
	root->nfused = (uint32_t)chain.n;
	return true;
}

static bool parse_item(struct parser *p)
{
	if (lex_is(&p->x, "input"))
		return parse_input(p);
	if (lex_is(&p->x, "const"))
		return parse_const(p);
	if (lex_is(&p->x, "output"))
		return parse_output(p);
	if (p->x.tok.kind == TOKEN_STRING)
		return parse_root(p);
	return lex_error(&p->x, "'input', 'const', 'output', a node or '}' expected");
}

static bool parse_graph(struct parser *p)
{
	const char *name;
	struct token at;
	int64_t opset;

	if (!lex_next(&p->x) || !lex_expect(&p->x, "graph") || !lex_string(&p->x, p->a, "the graph's name", &name) ||
	    !lex_expect(&p->x, "opset"))
		return false;
	at = p->x.tok;
	if (!lex_i64(&p->x, &opset))
		return false;
	if (opset < 1 || opset > MAX_OPSET)
		return ERROR_AT(p, at, "opset %lld", (long long)opset);
	p->g = gir_new(p->a, name, (int)opset);
	if (!lex_expect(&p->x, "{"))
		return false;
	while (!lex_is(&p->x, "}"))
		if (!parse_item(p))
			return false;
	if (!lex_next(&p->x))
		return false;
	return p->x.tok.kind == TOKEN_END || lex_error(&p->x, "text after the graph");
}

bool gir_parse(struct arena *a, const char *name, const char *text, size_t n, struct gir_graph **out, struct err *e)
{
	static const char *const signs[] = {"->", NULL};
	struct parser p = {.a = a, .node_names = map_new(a)};

	if (n > MAX_TEXT)
		return err_set(e, ERR_PARSE, "%s: more than %zu bytes", name, MAX_TEXT);
	if (!n)
		return err_set(e, ERR_PARSE, "%s: empty", name);
	p.x = (struct lexer){.name = name, .p = text, .end = text + n, .line_start = text, .line = 1, .signs = signs, .e = e};
	p.x.sign_chars = "()[]{}:,=-.|?";
	if (!parse_graph(&p))
		return false;
	if (!gir_verify(p.g, e))
		return err_in(e, "%s", name);
	*out = p.g;
	return true;
}
