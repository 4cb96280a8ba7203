/* lir_parse.c: statements of the text form and the function around them. The text may be hostile: nesting and sizes are
 * limited, and what comes out has passed the verifier. */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"
#include "loop/lir_parse_internal.h"

#define MAX_TEXT ((size_t)16 << 20)
#define MAX_PARAMS 4096

static struct lir_stmt *parse_rest(struct parser *p);

static bool define(struct parser *p, struct token t, struct lir_var *var, struct lir_buffer *buffer, struct symbol **out)
{
	struct symbol *s = ARENA_NEW(p->a, struct symbol);
	char *name = arena_strndup(p->a, t.text, t.n);

	if (t.kind != TOKEN_WORD || !lir_is_name(t.text, t.n)) {
		p->x.tok = t;
		return lex_error(&p->x, "a name expected");
	}
	if (map_has(p->symbols, name)) {
		p->x.tok = t;
		return lex_error(&p->x, "the name '%s' is used twice", name);
	}
	*s = (struct symbol){var, buffer, true};
	map_put(p->symbols, name, s);
	if (var)
		var->name = name;
	else
		buffer->name = name;
	*out = s;
	return true;
}

/* ---- buffers ---- */

static bool parse_numbers(struct parser *p, int64_t *v, int *n)
{
	if (!lex_expect(&p->x, "["))
		return false;
	for (*n = 0; !lex_is(&p->x, "]"); (*n)++) {
		if (*n && !lex_expect(&p->x, ","))
			return false;
		if (*n == MAX_DIMS)
			return lex_error(&p->x, "more than %d dims", MAX_DIMS);
		if (!lex_i64(&p->x, &v[*n]))
			return false;
	}
	return lex_next(&p->x);
}

static bool parse_view(struct parser *p, struct lir_buffer *buf)
{
	int n;
	bool ok = lex_expect(&p->x, "strides") && parse_numbers(p, buf->stride, &n);

	if (!ok)
		return false;
	if (n != buf->nd)
		return lex_error(&p->x, "%d strides for %d dims", n, buf->nd);
	return lex_expect(&p->x, "offset") && lex_i64(&p->x, &buf->offset) && lex_expect(&p->x, "elements") &&
	       lex_i64(&p->x, &buf->elements);
}

/* x: f32[2, 3] strides [4, 1] offset 1 elements 9 */
static bool parse_buffer(struct parser *p, enum lir_scope scope, struct lir_buffer **out, struct symbol **symbol)
{
	struct token name = p->x.tok;
	struct lir_buffer *buf = ARENA_NEW(p->a, struct lir_buffer);
	int64_t elements;

	if (!lex_next(&p->x) || !lex_expect(&p->x, ":") || !parse_dtype(p, &buf->dtype) || !parse_numbers(p, buf->dim, &buf->nd))
		return false;
	if (!dims_elements(buf->dim, buf->nd, &elements))
		return lex_error(&p->x, "impossible dims");
	lir_buffer_set_dense(buf);
	if (lex_is(&p->x, "strides") && !parse_view(p, buf))
		return false;
	buf->scope = scope;
	buf->id = p->f->nbuffers++;
	*out = buf;
	return define(p, name, NULL, buf, symbol);
}

/* ---- statements ---- */

static struct lir_stmt *parse_braces(struct parser *p)
{
	struct lir_stmt *s;

	if (++p->braces > LIR_MAX_BRACES) {
		lex_error(&p->x, "braces nest deeper than %d", LIR_MAX_BRACES);
		return NULL;
	}
	s = lex_expect(&p->x, "{") ? parse_rest(p) : NULL;
	p->braces--;
	return s && lex_expect(&p->x, "}") ? s : NULL;
}

static struct lir_var *new_var(struct parser *p, struct lir_type t)
{
	struct lir_var *v = ARENA_NEW(p->a, struct lir_var);

	v->type = t;
	v->id = p->f->nvars++;
	return v;
}

static bool parse_loop_kind(struct parser *p, enum lir_loop_kind *out)
{
	for (int k = LIR_SERIAL; k <= LIR_THREAD_NOBARRIER; k++)
		if (lex_is(&p->x, lir_loop_name((enum lir_loop_kind)k))) {
			*out = (enum lir_loop_kind)k;
			return lex_next(&p->x);
		}
	return lex_error(&p->x, "'serial', 'parallel', 'unrolled' or 'thread' expected");
}

/* for i in 0..n serial { }, for i in m..+n serial { } */
static struct lir_stmt *parse_for(struct parser *p)
{
	struct lir_stmt *s = lir_stmt_new(p->a, LIR_FOR, 0, 1);
	struct symbol *symbol;
	struct token name;
	bool relative;

	if (!lex_next(&p->x))
		return NULL;
	name = p->x.tok;
	if (!lex_next(&p->x) || !lex_expect(&p->x, "in"))
		return NULL;
	s->min = parse_expr(p);
	if (!s->min || !lex_take(&p->x, "..+", &relative))
		return NULL;
	if (!relative) {
		if (s->min->kind != LIR_INT || s->min->i) {
			lex_error(&p->x, "'..' needs 0 before it; elsewhere write '..+' and the number of iterations");
			return NULL;
		}
		if (!lex_expect(&p->x, ".."))
			return NULL;
	}
	s->extent = parse_expr(p);
	s->var = new_var(p, lir_type_of(DT_I64, 1));
	if (!s->extent || !parse_loop_kind(p, &s->loop) || !define(p, name, s->var, NULL, &symbol))
		return NULL;
	s->body[0] = parse_braces(p);
	symbol->open = false;
	return s->body[0] ? s : NULL;
}

static struct lir_stmt *parse_if(struct parser *p)
{
	struct lir_stmt *s = lir_stmt_new(p->a, LIR_IF, 0, 2);
	bool other;

	if (!lex_next(&p->x))
		return NULL;
	s->value = parse_expr(p);
	if (!s->value)
		return NULL;
	s->body[0] = parse_braces(p);
	if (!s->body[0] || !lex_take(&p->x, "else", &other))
		return NULL;
	s->nbody = 1;
	if (other) {
		s->body[s->nbody++] = parse_braces(p);
		if (!s->body[1])
			return NULL;
	}
	return s;
}

static bool parse_scope(struct parser *p, struct lir_buffer *buf)
{
	bool shared, private = false;

	if (!lex_take(&p->x, "shared", &shared) || (!shared && !lex_take(&p->x, "private", &private)))
		return false;
	buf->scope = shared ? LIR_SHARED : private ? LIR_PRIVATE : LIR_LOCAL;
	return true;
}

/* let and alloc reach to the end of the braces they stand in */
static struct lir_stmt *parse_definition(struct parser *p)
{
	bool is_let = lex_is(&p->x, "let");
	struct lir_stmt *s = lir_stmt_new(p->a, is_let ? LIR_LET : LIR_ALLOC, 0, 1);
	struct symbol *symbol;
	struct token name;

	if (!lex_next(&p->x))
		return NULL;
	name = p->x.tok;
	if (is_let) {
		if (!lex_next(&p->x) || !lex_expect(&p->x, "="))
			return NULL;
		s->value = parse_expr(p);
		if (!s->value)
			return NULL;
		s->var = new_var(p, s->value->type);
		if (!define(p, name, s->var, NULL, &symbol))
			return NULL;
	} else if (!parse_buffer(p, LIR_LOCAL, &s->buffer, &symbol) || !parse_scope(p, s->buffer)) {
		return NULL;
	}
	if (++p->statements > LIR_MAX_STMT_DEPTH / 2) {
		lex_error(&p->x, "more than %d definitions inside each other", LIR_MAX_STMT_DEPTH / 2);
		return NULL;
	}
	s->body[0] = parse_rest(p);
	p->statements--;
	symbol->open = false;
	return s->body[0] ? s : NULL;
}

/* y[i, j] = x, y[i] as i8 = x */
static struct lir_stmt *parse_store(struct parser *p)
{
	struct token name = p->x.tok;
	struct lir_stmt *s = lir_stmt_new(p->a, LIR_STORE, 0, 0);
	struct symbol *symbol = find_symbol(p, name);
	bool narrow;
	int height;

	if (!symbol)
		return NULL;
	if (!symbol->buffer) {
		lex_error(&p->x, "a statement expected");
		return NULL;
	}
	s->buffer = symbol->buffer;
	s->access = s->buffer->dtype;
	if (!lex_next(&p->x) || !parse_index(p, &s->index, &s->nindex, &height) || !lex_take(&p->x, "as", &narrow))
		return NULL;
	if ((narrow && !parse_dtype(p, &s->access)) || !lex_expect(&p->x, "="))
		return NULL;
	s->value = parse_expr(p);
	return s->value ? s : NULL;
}

static struct lir_stmt *parse_stmt(struct parser *p)
{
	if (lex_is(&p->x, "for"))
		return parse_for(p);
	if (lex_is(&p->x, "if"))
		return parse_if(p);
	if (lex_is(&p->x, "let") || lex_is(&p->x, "alloc"))
		return parse_definition(p);
	if (lex_is(&p->x, "{"))
		return parse_braces(p);
	if (p->x.tok.kind == TOKEN_WORD)
		return parse_store(p);
	lex_error(&p->x, "a statement or '}' expected");
	return NULL;
}

/* Up to the closing brace, which stays. */
static struct lir_stmt *parse_rest(struct parser *p)
{
	VEC(struct lir_stmt *) list = {0};

	while (!lex_is(&p->x, "}")) {
		struct lir_stmt *s = parse_stmt(p);

		if (!s)
			return NULL;
		vec_push(p->a, &list, s);
	}
	return lir_seq(p->a, list.v, list.n);
}

/* ---- the function ---- */

static bool parse_func_name(struct parser *p)
{
	if (p->x.tok.kind != TOKEN_WORD || !lir_is_name(p->x.tok.text, p->x.tok.n))
		return lex_string(&p->x, p->a, "the function's name", &p->f->name);
	p->f->name = arena_strndup(p->a, p->x.tok.text, p->x.tok.n);
	return lex_next(&p->x);
}

static bool parse_params(struct parser *p)
{
	VEC(struct lir_buffer *) list = {0};
	struct lir_buffer *buf;
	struct symbol *symbol;
	bool out;

	while (!lex_is(&p->x, ")")) {
		if ((list.n && !lex_expect(&p->x, ",")) || !lex_take(&p->x, "out", &out))
			return false;
		if (!out && p->f->nout)
			return lex_error(&p->x, "an input after an output");
		if (list.n == MAX_PARAMS)
			return lex_error(&p->x, "more than %d parameters", MAX_PARAMS);
		if (!parse_buffer(p, LIR_GLOBAL, &buf, &symbol))
			return false;
		vec_push(p->a, &list, buf);
		p->f->nout += out;
	}
	p->f->param = list.v;
	p->f->nparams = (uint32_t)list.n;
	return lex_next(&p->x);
}

/* group 128 */
static bool parse_group(struct parser *p)
{
	struct lir_expr *n;
	bool has;

	if (!lex_take(&p->x, "group", &has))
		return false;
	if (!has)
		return true;
	n = parse_expr(p);
	if (!n)
		return false;
	if (n->kind != LIR_INT || n->i < 1)
		return lex_error(&p->x, "a group has a number of work-items");
	p->f->group = n->i;
	return true;
}

static bool parse_func(struct parser *p)
{
	if (!lex_next(&p->x) || !lex_expect(&p->x, "func") || !parse_func_name(p) || !lex_expect(&p->x, "(") || !parse_params(p) ||
	    !lex_take(&p->x, "contract", &p->f->contract) || !parse_group(p))
		return false;
	p->f->body = parse_braces(p);
	if (!p->f->body)
		return false;
	return p->x.tok.kind == TOKEN_END || lex_error(&p->x, "text after the function");
}

bool lir_parse(struct arena *a, const char *name, const char *text, size_t n, struct lir_func **out, struct err *e)
{
	static const char *const signs[] = {"..+", "..", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", NULL};
	struct parser p = {.a = a, .symbols = map_new(a), .f = ARENA_NEW(a, struct lir_func)};

	if (n > MAX_TEXT)
		return err_set(e, ERR_PARSE, "%s: more than %zu bytes", name, MAX_TEXT);
	if (!n)
		return err_set(e, ERR_PARSE, "%s: empty", name);
	p.x = (struct lexer){.name = name, .p = text, .end = text + n, .line_start = text, .line = 1, .signs = signs, .e = e};
	p.x.sign_chars = "+-*/%&|^<>!=()[]{},:";
	p.f->arena = a;
	if (!parse_func(&p))
		return false;
	if (!lir_verify(p.f, e))
		return err_in(e, "%s", name);
	*out = p.f;
	return true;
}
