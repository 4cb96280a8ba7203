/* lir_verify.c: is this well-formed? Form only: a mutant that reads out of bounds passes */
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "loop/loop_internal.h"

#define MAX_ERRORS 20
#define SHOWN 160 /* bytes of the statement in a message */

struct verify {
	const struct lir_func *f;
	struct arena *scratch;
	struct map *names;
	uint8_t *var_open, *buffer_open; /* by id: 1 in scope, 2 was in scope */
	const struct lir_stmt *at;
	struct str text;
	int errors;
	int loops, parallels;
	bool in_thread;
	const struct lir_stmt *chain; /* the parallel loop entered last */
};

__attribute__((format(printf, 2, 3))) static void wrong(struct verify *v, const char *fmt, ...)
{
	struct str shown = {0};
	va_list ap;

	if (++v->errors > MAX_ERRORS)
		return;
	if (v->errors > 1)
		str_add(&v->text, "; ");
	va_start(ap, fmt);
	str_vaddf(&v->text, fmt, ap);
	va_end(ap);
	if (v->at && v->at->kind != LIR_SEQ) {
		lir_print_head(&shown, v->at);
		str_addf(&v->text, " in '%.*s%s'", SHOWN, str_text(&shown), shown.n > SHOWN ? "..." : "");
		str_free(&shown);
	}
}

static const char *type_text(struct verify *v, struct lir_type t)
{
	return t.lanes == 1 ? dtype_name(t.dtype) : arena_printf(v->scratch, "%sx%d", dtype_name(t.dtype), t.lanes);
}

static bool lanes_ok(int lanes)
{
	return lanes >= 1 && lanes <= LIR_MAX_LANES && !(lanes & (lanes - 1));
}

static void want(struct verify *v, const char *what, struct lir_type have, struct lir_type need)
{
	if (!lir_type_eq(have, need))
		wrong(v, "%s is %s, not %s", what, type_text(v, have), type_text(v, need));
}

static void name_once(struct verify *v, const char *name)
{
	if (!lir_is_name(name, strlen(name)))
		wrong(v, "'%s' is not a name", name);
	else if (map_has(v->names, name))
		wrong(v, "the name '%s' is used twice", name);
	map_put(v->names, name, v);
}

static void check_buffer(struct verify *v, const struct lir_buffer *buf)
{
	int64_t n;

	name_once(v, buf->name);
	if ((unsigned)buf->dtype >= DT_COUNT || buf->nd < 0 || buf->nd > MAX_DIMS || !dims_elements(buf->dim, buf->nd, &n))
		wrong(v, "buffer '%s' has an impossible shape", buf->name);
	if (buf->elements < 0 || buf->elements > MAX_ELEMENTS || buf->offset < 0 || buf->offset > buf->elements)
		wrong(v, "buffer '%s' has an impossible size or offset", buf->name);
}

static bool in_scope(struct verify *v, const uint8_t *open, uint32_t id, uint32_t n, const char *name)
{
	if (id < n && open[id] == 1)
		return true;
	wrong(v, "'%s' is %s", name, id < n && open[id] ? "out of scope" : "not defined");
	return false;
}

static void check_expr(struct verify *v, const struct lir_expr *x, uint32_t depth);

/* Lanes of the access: every index i64, the last one perhaps a ramp. */
static int check_index(struct verify *v, const struct lir_buffer *buf, struct lir_expr *const *index, uint32_t n)
{
	if (!in_scope(v, v->buffer_open, buf->id, v->f->nbuffers, buf->name))
		return 0;
	if (v->f->group && !v->in_thread)
		wrong(v, "an access to '%s' outside the thread loops", buf->name);
	if (n != (uint32_t)buf->nd) {
		wrong(v, "'%s' has %d dims and %u indices", buf->name, buf->nd, n);
		return 0;
	}
	for (uint32_t d = 0; d < n; d++) {
		bool ramp = d + 1 == n && index[d]->kind == LIR_RAMP;

		want(v, "an index", index[d]->type, lir_type_of(DT_I64, ramp ? index[d]->type.lanes : 1));
	}
	return n ? index[n - 1]->type.lanes : 1;
}

static void check_binary(struct verify *v, const struct lir_expr *x)
{
	struct lir_type t = x->arg[0]->type;
	char kind = lir_op_kind(x->op);

	want(v, "the right operand", x->arg[1]->type, t);
	if ((kind == 'A' && t.dtype == DT_BOOL) || (kind == 'I' && !dtype_is_int(t.dtype)) || (kind == 'L' && t.dtype != DT_BOOL))
		wrong(v, "'%s' does not take %s", lir_op_name(x->op), type_text(v, t));
	want(v, "the result", x->type, lir_type_of(kind == 'C' ? DT_BOOL : t.dtype, t.lanes));
}

static void check_select(struct verify *v, const struct lir_expr *x)
{
	struct lir_type c = x->arg[0]->type;

	if (c.dtype != DT_BOOL || (c.lanes != 1 && c.lanes != x->type.lanes))
		wrong(v, "the condition of a select is %s", type_text(v, c));
	want(v, "the first side", x->arg[1]->type, x->type);
	want(v, "the second side", x->arg[2]->type, x->type);
}

static void check_call(struct verify *v, const struct lir_expr *x)
{
	struct lir_type t = x->arg[0]->type;

	if (!dtype_is_float(t.dtype))
		wrong(v, "'%s' does not take %s", lir_call_name(x->call), type_text(v, t));
	for (uint32_t i = 1; i < x->nargs; i++)
		want(v, "an argument", x->arg[i]->type, t);
	want(v, "the result", x->type, lir_type_of(lir_call_kind(x->call) == 'B' ? DT_BOOL : t.dtype, t.lanes));
}

static void check_leaf(struct verify *v, const struct lir_expr *x)
{
	bool is_float = dtype_is_float(x->type.dtype);

	if (x->kind == LIR_VAR) {
		if (in_scope(v, v->var_open, x->var->id, v->f->nvars, x->var->name))
			want(v, "the variable", x->type, x->var->type);
		return;
	}
	if (x->type.lanes != 1)
		wrong(v, "an immediate is a vector");
	if (is_float != (x->kind == LIR_FLOAT))
		wrong(v, "an immediate of the wrong kind for %s", type_text(v, x->type));
	else if (is_float ? !isnan(x->f) && lir_round(x->type.dtype, x->f) != x->f : lir_wrap(x->type.dtype, x->i) != x->i)
		wrong(v, "an immediate does not fit %s", type_text(v, x->type));
}

static int arity(const struct lir_expr *x)
{
	switch (x->kind) {
	case LIR_INT:
	case LIR_FLOAT:
	case LIR_VAR: return 0;
	case LIR_BINARY: return 2;
	case LIR_SELECT: return 3;
	case LIR_LOAD: return x->buffer->nd;
	case LIR_CALL: return lir_call_args(x->call);
	default: return 1;
	}
}

static void check_node(struct verify *v, const struct lir_expr *x)
{
	struct lir_type t = x->nargs ? x->arg[0]->type : x->type;

	switch (x->kind) {
	case LIR_INT:
	case LIR_FLOAT:
	case LIR_VAR: check_leaf(v, x); break;
	case LIR_BINARY: check_binary(v, x); break;
	case LIR_NOT:
		want(v, "the operand of '!'", t, lir_type_of(DT_BOOL, t.lanes));
		want(v, "the result", x->type, t);
		break;
	case LIR_SELECT: check_select(v, x); break;
	case LIR_BITCAST:
		if (dtype_size(t.dtype) != dtype_size(x->type.dtype))
			wrong(v, "bitcast from %s to %s", type_text(v, t), type_text(v, x->type));
		/* fall through */
	case LIR_CAST: want(v, "the result", x->type, lir_type_of(x->type.dtype, t.lanes)); break;
	case LIR_LOAD:
		want(v, "the load", x->type, lir_type_of(x->buffer->dtype, check_index(v, x->buffer, x->arg, x->nargs)));
		break;
	case LIR_CALL: check_call(v, x); break;
	case LIR_RAMP:
		want(v, "the start of a ramp", t, lir_type_of(DT_I64, 1));
		if (x->type.dtype != DT_I64 || x->type.lanes == 1)
			wrong(v, "a ramp is %s", type_text(v, x->type));
		break;
	case LIR_BROADCAST:
		want(v, "the operand of a broadcast", t, lir_type_of(x->type.dtype, 1));
		if (x->type.lanes == 1)
			wrong(v, "a broadcast to one lane");
		break;
	case LIR_LANE:
		if (t.lanes == 1 || x->i < 0 || x->i >= t.lanes)
			wrong(v, "lane %lld of %s", (long long)x->i, type_text(v, t));
		want(v, "the lane", x->type, lir_type_of(t.dtype, 1));
		break;
	}
}

static void check_expr(struct verify *v, const struct lir_expr *x, uint32_t depth)
{
	if (depth > LIR_MAX_EXPR_DEPTH * LIR_GROWTH) {
		wrong(v, "an expression nests deeper than %d", LIR_MAX_EXPR_DEPTH * LIR_GROWTH);
		return;
	}
	if ((unsigned)x->type.dtype >= DT_COUNT || !lanes_ok(x->type.lanes)) {
		wrong(v, "an expression has no type (%d lanes)", x->type.lanes);
		return;
	}
	if (x->nargs != (uint32_t)arity(x)) {
		wrong(v, "an expression has %u operands instead of %d", x->nargs, arity(x));
		return;
	}
	for (uint32_t i = 0; i < x->nargs; i++)
		check_expr(v, x->arg[i], depth + 1);
	check_node(v, x);
}

static void check_store(struct verify *v, const struct lir_stmt *s)
{
	int lanes = check_index(v, s->buffer, s->index, s->nindex);

	if ((unsigned)s->access >= DT_COUNT || dtype_size(s->access) > dtype_size(s->buffer->dtype)) {
		wrong(v, "a store to '%s' is wider than its elements", s->buffer->name);
		return;
	}
	for (uint32_t i = 0; i + v->f->nout < v->f->nparams; i++)
		if (v->f->param[i] == s->buffer)
			wrong(v, "a store to the input '%s'", s->buffer->name);
	want(v, "the stored value", s->value->type, lir_type_of(s->access, lanes));
}

static void check_stmt(struct verify *v, const struct lir_stmt *s, uint32_t depth);

static void define(struct verify *v, uint8_t *open, uint32_t id, uint32_t n, const char *name)
{
	if (id >= n || open[id])
		wrong(v, "'%s' is defined twice", name);
	else
		open[id] = 1;
}

static void check_body(struct verify *v, const struct lir_stmt *s, uint32_t depth)
{
	for (uint32_t i = 0; i < s->nbody; i++)
		check_stmt(v, s->body[i], depth + 1);
	v->at = s;
}

static void check_for(struct verify *v, const struct lir_stmt *s, uint32_t depth)
{
	want(v, "the loop's start", s->min->type, lir_type_of(DT_I64, 1));
	want(v, "the loop's extent", s->extent->type, lir_type_of(DT_I64, 1));
	want(v, "the loop variable", s->var->type, lir_type_of(DT_I64, 1));
	if (s->loop == LIR_PARALLEL && !(v->chain && lir_is_chained(s, v->chain)) && (v->loops || v->parallels++))
		wrong(v, "a second or an inner parallel loop");
	v->chain = s->loop == LIR_PARALLEL ? s : NULL;
	if (lir_is_thread(s) && (!v->f->group || v->in_thread))
		wrong(v, v->in_thread ? "a thread loop inside another" : "a thread loop in a function without a group");
	name_once(v, s->var->name);
	define(v, v->var_open, s->var->id, v->f->nvars, s->var->name);
	v->loops++;
	v->in_thread |= lir_is_thread(s);
	check_body(v, s, depth);
	v->in_thread &= !lir_is_thread(s);
	v->loops--;
	if (s->var->id < v->f->nvars)
		v->var_open[s->var->id] = 2;
}

static void check_definition(struct verify *v, const struct lir_stmt *s, uint32_t depth)
{
	uint8_t *open = s->kind == LIR_LET ? v->var_open : v->buffer_open;
	uint32_t id = s->kind == LIR_LET ? s->var->id : s->buffer->id;
	uint32_t n = s->kind == LIR_LET ? v->f->nvars : v->f->nbuffers;

	if (s->kind == LIR_LET) {
		want(v, "the value", s->value->type, s->var->type);
		name_once(v, s->var->name);
	} else {
		if (s->buffer->scope == LIR_GLOBAL)
			wrong(v, "an alloc of '%s' that is global", s->buffer->name);
		else if (v->f->group && (s->buffer->scope == LIR_LOCAL) != v->in_thread)
			wrong(v, "an alloc of '%s' %s the thread loops", s->buffer->name, v->in_thread ? "inside" : "outside");
		else if (!v->f->group && s->buffer->scope != LIR_LOCAL)
			wrong(v, "an alloc of '%s' for a group in a function without one", s->buffer->name);
		check_buffer(v, s->buffer);
	}
	define(v, open, id, n, s->kind == LIR_LET ? s->var->name : s->buffer->name);
	check_body(v, s, depth);
	if (id < n)
		open[id] = 2;
}

static bool parts_present(const struct lir_stmt *s)
{
	switch (s->kind) {
	case LIR_FOR: return s->var && s->min && s->extent && s->nbody == 1 && !s->value && !s->nindex;
	case LIR_STORE: return s->buffer && s->value && !s->nbody && !s->min && !s->extent;
	case LIR_IF: return s->value && (s->nbody == 1 || s->nbody == 2) && !s->min && !s->extent && !s->nindex;
	case LIR_LET: return s->var && s->value && s->nbody == 1 && !s->min && !s->extent && !s->nindex;
	case LIR_ALLOC: return s->buffer && s->nbody == 1 && !s->value && !s->min && !s->extent && !s->nindex;
	case LIR_SEQ: return !s->value && !s->min && !s->extent && !s->nindex;
	}
	return false;
}

static void check_stmt(struct verify *v, const struct lir_stmt *s, uint32_t depth)
{
	v->at = NULL;
	if (depth > LIR_MAX_STMT_DEPTH * LIR_GROWTH) {
		wrong(v, "statements nest deeper than %d", LIR_MAX_STMT_DEPTH * LIR_GROWTH);
		return;
	}
	if (!parts_present(s)) {
		wrong(v, "a statement of kind %d lacks a part or has too many", s->kind);
		return;
	}
	v->at = s;
	for (uint32_t i = 0; i < s->nindex; i++)
		check_expr(v, s->index[i], 0);
	if (s->min)
		check_expr(v, s->min, 0);
	if (s->extent)
		check_expr(v, s->extent, 0);
	if (s->value)
		check_expr(v, s->value, 0);
	switch (s->kind) {
	case LIR_FOR: check_for(v, s, depth); break;
	case LIR_STORE: check_store(v, s); break;
	case LIR_IF:
		want(v, "the condition", s->value->type, lir_type_of(DT_BOOL, 1));
		check_body(v, s, depth);
		break;
	case LIR_LET:
	case LIR_ALLOC: check_definition(v, s, depth); break;
	case LIR_SEQ: check_body(v, s, depth); break;
	}
}

static void check_params(struct verify *v)
{
	if (v->f->nout > v->f->nparams)
		wrong(v, "more outputs than parameters");
	for (uint32_t i = 0; i < v->f->nparams; i++) {
		const struct lir_buffer *buf = v->f->param[i];

		check_buffer(v, buf);
		if (buf->id != i || buf->scope != LIR_GLOBAL)
			wrong(v, "parameter '%s' has the wrong id or scope", buf->name);
		else
			v->buffer_open[i] = 1;
	}
}

bool lir_verify(const struct lir_func *f, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	struct verify v = {.f = f, .scratch = scratch};

	v.names = map_new(scratch);
	v.var_open = arena_zalloc(scratch, f->nvars);
	v.buffer_open = arena_zalloc(scratch, (size_t)f->nbuffers + f->nparams);
	check_params(&v);
	if (f->group < 0 || f->group > LIR_MAX_GROUP)
		wrong(&v, "a group of %lld work-items", (long long)f->group);
	check_stmt(&v, f->body, 0);
	if (v.errors > MAX_ERRORS)
		str_addf(&v.text, "; and %d more", v.errors - MAX_ERRORS);
	if (v.errors)
		err_set(e, ERR_BAD_IR, "%s", str_text(&v.text));
	str_free(&v.text);
	arena_free(scratch);
	return !v.errors;
}
