/* lir_print.c: the text form; docs/loop-ir.md has the grammar */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "loop/loop_internal.h"

enum { PREC_NONE, PREC_UNARY = 11, PREC_PRIMARY };

int lir_op_precedence(enum lir_op op)
{
	switch (op) {
	case LIR_OR: return 1;
	case LIR_AND: return 2;
	case LIR_BOR: return 3;
	case LIR_BXOR: return 4;
	case LIR_BAND: return 5;
	case LIR_EQ:
	case LIR_NE: return 6;
	case LIR_LT:
	case LIR_LE:
	case LIR_GT:
	case LIR_GE: return 7;
	case LIR_SHL:
	case LIR_SHR: return 8;
	case LIR_ADD:
	case LIR_SUB: return 9;
	case LIR_MUL:
	case LIR_DIV:
	case LIR_MOD: return 10;
	default: return PREC_PRIMARY; /* min(a, b) */
	}
}

void lir_print_type(struct str *out, struct lir_type t)
{
	str_add(out, dtype_name(t.dtype));
	if (t.lanes != 1)
		str_addf(out, "x%d", t.lanes);
}

static void print_int(struct str *out, const struct lir_expr *x)
{
	enum dtype t = x->type.dtype;

	if (t == DT_BOOL) {
		str_add(out, x->i ? "true" : "false");
		return;
	}
	if (t == DT_U64)
		str_addf(out, "%llu", (unsigned long long)x->i);
	else
		str_addf(out, "%lld", (long long)x->i);
	if (t != DT_I64)
		str_addf(out, ":%s", dtype_name(t));
}

/* The fewest digits that read back as the same value of the type. */
static void print_float(struct str *out, const struct lir_expr *x)
{
	enum dtype t = x->type.dtype;
	char text[40];

	if (isnan(x->f)) {
		str_add(out, signbit(x->f) ? "-nan" : "nan");
	} else if (isinf(x->f)) {
		str_add(out, x->f < 0 ? "-inf" : "inf");
	} else {
		for (int digits = 1; digits <= 17; digits++) {
			snprintf(text, sizeof text, "%.*g", digits, x->f);
			if (lir_round(t, strtod(text, NULL)) == x->f)
				break;
		}
		str_add(out, text);
		if (!strpbrk(text, ".e"))
			str_add(out, ".0");
	}
	if (t != DT_F32)
		str_addf(out, ":%s", dtype_name(t));
}

static void print_expr(struct str *out, const struct lir_expr *x, int outer);

static void print_list(struct str *out, struct lir_expr *const *x, uint32_t n, char close)
{
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			str_add(out, ", ");
		print_expr(out, x[i], PREC_NONE);
	}
	str_addc(out, close);
}

static void print_binary(struct str *out, const struct lir_expr *x, int outer)
{
	int prec = lir_op_precedence(x->op);

	if (prec == PREC_PRIMARY) {
		str_addf(out, "%s(", lir_op_name(x->op));
		print_list(out, x->arg, 2, ')');
		return;
	}
	if (prec <= outer)
		str_addc(out, '(');
	print_expr(out, x->arg[0], prec - 1);
	str_addf(out, " %s ", lir_op_name(x->op));
	print_expr(out, x->arg[1], prec);
	if (prec <= outer)
		str_addc(out, ')');
}

/* outer: the precedence of the operator around; x gets parentheses when its own is not higher */
static void print_expr(struct str *out, const struct lir_expr *x, int outer)
{
	switch (x->kind) {
	case LIR_INT: print_int(out, x); return;
	case LIR_FLOAT: print_float(out, x); return;
	case LIR_VAR: str_add(out, x->var->name); return;
	case LIR_BINARY: print_binary(out, x, outer); return;
	case LIR_NOT:
		str_addc(out, '!');
		print_expr(out, x->arg[0], PREC_UNARY);
		return;
	case LIR_LOAD:
		str_addf(out, "%s[", x->buffer->name);
		print_list(out, x->arg, x->nargs, ']');
		return;
	case LIR_CALL: str_addf(out, "%s(", lir_call_name(x->call)); break;
	case LIR_SELECT: str_add(out, "select("); break;
	case LIR_CAST: str_addf(out, "cast(%s, ", dtype_name(x->type.dtype)); break;
	case LIR_BITCAST: str_addf(out, "bitcast(%s, ", dtype_name(x->type.dtype)); break;
	case LIR_RAMP: str_add(out, "ramp("); break;
	case LIR_BROADCAST: str_add(out, "broadcast("); break;
	case LIR_LANE: str_add(out, "lane("); break;
	}
	print_list(out, x->arg, x->nargs, ')');
	if (x->kind == LIR_RAMP || x->kind == LIR_LANE || x->kind == LIR_BROADCAST) {
		out->n--; /* numbers of the node itself follow its operand */
		if (x->kind != LIR_BROADCAST)
			str_addf(out, ", %lld", (long long)x->i);
		if (x->kind != LIR_LANE)
			str_addf(out, ", %d", x->type.lanes);
		str_addc(out, ')');
	}
}

void lir_print_expr(struct str *out, const struct lir_expr *x)
{
	print_expr(out, x, PREC_NONE);
}

static void print_numbers(struct str *out, const int64_t *v, int n)
{
	str_addc(out, '[');
	for (int i = 0; i < n; i++)
		str_addf(out, "%s%lld", i ? ", " : "", (long long)v[i]);
	str_addc(out, ']');
}

static void print_buffer(struct str *out, const struct lir_buffer *buf)
{
	str_addf(out, "%s: %s", buf->name, dtype_name(buf->dtype));
	print_numbers(out, buf->dim, buf->nd);
	if (lir_buffer_is_dense(buf))
		return;
	str_add(out, " strides ");
	print_numbers(out, buf->stride, buf->nd);
	str_addf(out, " offset %lld elements %lld", (long long)buf->offset, (long long)buf->elements);
}

void lir_print_head(struct str *out, const struct lir_stmt *s)
{
	switch (s->kind) {
	case LIR_FOR:
		str_addf(out, "for %s in ", s->var->name);
		print_expr(out, s->min, PREC_NONE);
		str_add(out, s->min->kind == LIR_INT && !s->min->i ? ".." : "..+");
		print_expr(out, s->extent, PREC_NONE);
		str_addf(out, " %s", lir_loop_name(s->loop));
		break;
	case LIR_STORE:
		str_addf(out, "%s[", s->buffer->name);
		print_list(out, s->index, s->nindex, ']');
		if (s->access != s->buffer->dtype)
			str_addf(out, " as %s", dtype_name(s->access));
		str_add(out, " = ");
		print_expr(out, s->value, PREC_NONE);
		break;
	case LIR_IF:
		str_add(out, "if ");
		print_expr(out, s->value, PREC_NONE);
		break;
	case LIR_LET:
		str_addf(out, "let %s = ", s->var->name);
		print_expr(out, s->value, PREC_NONE);
		break;
	case LIR_ALLOC:
		str_add(out, "alloc ");
		print_buffer(out, s->buffer);
		str_add(out, s->buffer->scope == LIR_SHARED ? " shared" : s->buffer->scope == LIR_PRIVATE ? " private" : "");
		break;
	case LIR_SEQ: break;
	}
}

static void indent(struct str *out, int depth)
{
	for (int i = 0; i < depth; i++)
		str_add(out, "  ");
}

static void print_stmt(struct str *out, const struct lir_stmt *s, int depth);

/* A sequence of one is that one. */
static const struct lir_stmt *unwrap(const struct lir_stmt *s)
{
	while (s->kind == LIR_SEQ && s->nbody == 1)
		s = s->body[0];
	return s;
}

/* The inside of braces. A let or alloc reaches to the end of its braces, so one that does not is given its own. */
static void print_block(struct str *out, const struct lir_stmt *s, int depth)
{
	s = unwrap(s);
	if (s->kind != LIR_SEQ) {
		print_stmt(out, s, depth);
		return;
	}
	for (uint32_t i = 0; i < s->nbody; i++) {
		const struct lir_stmt *k = unwrap(s->body[i]);
		bool rest = k->kind == LIR_LET || k->kind == LIR_ALLOC;

		if (k->kind == LIR_SEQ || (rest && i + 1 < s->nbody)) {
			indent(out, depth);
			str_add(out, "{\n");
			print_block(out, k, depth + 1);
			indent(out, depth);
			str_add(out, "}\n");
		} else {
			print_stmt(out, k, depth);
		}
	}
}

static void print_stmt(struct str *out, const struct lir_stmt *s, int depth)
{
	if (s->kind == LIR_SEQ) {
		print_block(out, s, depth);
		return;
	}
	indent(out, depth);
	lir_print_head(out, s);
	if (s->kind == LIR_FOR || s->kind == LIR_IF) {
		str_add(out, " {\n");
		print_block(out, s->body[0], depth + 1);
		indent(out, depth);
		if (s->nbody == 2) {
			str_add(out, "} else {\n");
			print_block(out, s->body[1], depth + 1);
			indent(out, depth);
		}
		str_addc(out, '}');
	}
	str_addc(out, '\n');
	if (s->kind == LIR_LET || s->kind == LIR_ALLOC)
		print_block(out, s->body[0], depth);
}

void lir_print_stmt(struct str *out, const struct lir_stmt *s)
{
	print_stmt(out, s, 0);
}

static void print_name(struct str *out, const char *name)
{
	if (lir_is_name(name, strlen(name))) {
		str_addf(out, " %s", name);
		return;
	}
	str_add(out, " \"");
	for (; *name; name++) {
		unsigned char c = (unsigned char)*name;

		if (c < 32 || c == 127 || c == '"' || c == '\\')
			str_addf(out, "\\x%02x", c);
		else
			str_addc(out, *name);
	}
	str_addc(out, '"');
}

static void print_func(struct str *out, const struct lir_func *f, bool with_name)
{
	str_add(out, "func");
	if (with_name)
		print_name(out, f->name);
	str_addc(out, '(');
	for (uint32_t i = 0; i < f->nparams; i++) {
		str_add(out, i ? ", " : "");
		str_add(out, i + f->nout >= f->nparams ? "out " : "");
		print_buffer(out, f->param[i]);
	}
	str_add(out, f->contract ? ") contract" : ")");
	if (f->group)
		str_addf(out, " group %lld", (long long)f->group);
	str_add(out, " {\n");
	print_block(out, f->body, 1);
	str_add(out, "}\n");
}

void lir_print(struct str *out, const struct lir_func *f)
{
	print_func(out, f, true);
}

struct hash lir_hash(const struct lir_func *f)
{
	struct str s = {0};
	struct hash h;

	print_func(&s, f, false);
	h = hash_bytes(str_text(&s), s.n);
	str_free(&s);
	return h;
}
