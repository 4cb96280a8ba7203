/* lir_parse_expr.c: expressions of the text form; types are inferred upwards, lir_verify judges them afterwards */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/map.h"
#include "loop/lir_parse_internal.h"

struct tree {
	struct lir_expr *x; /* NULL after an error */
	int height;
};

static struct tree parse_binary(struct parser *p, int lowest);

static struct tree failed(void)
{
	return (struct tree){0};
}

static struct tree grown(struct parser *p, struct lir_expr *x, int below)
{
	if (below >= LIR_MAX_EXPR_DEPTH) {
		lex_error(&p->x, "an expression nests deeper than %d", LIR_MAX_EXPR_DEPTH);
		return failed();
	}
	return (struct tree){x, below + 1};
}

static bool enter(struct parser *p)
{
	return ++p->nesting <= LIR_MAX_EXPR_DEPTH || lex_error(&p->x, "an expression nests deeper than %d", LIR_MAX_EXPR_DEPTH);
}

bool parse_dtype(struct parser *p, enum dtype *out)
{
	char name[8];

	if (p->x.tok.kind == TOKEN_WORD && p->x.tok.n < sizeof name) {
		memcpy(name, p->x.tok.text, p->x.tok.n);
		name[p->x.tok.n] = 0;
		if (dtype_parse(name, out))
			return lex_next(&p->x);
	}
	return lex_error(&p->x, "a type expected");
}

/* ---- immediates ---- */

static bool parse_suffix(struct parser *p, enum dtype *t)
{
	bool colon;

	return lex_take(&p->x, ":", &colon) && (!colon || parse_dtype(p, t));
}

static struct tree parse_int(struct parser *p, bool minus)
{
	enum dtype t = DT_I64;
	struct token at = p->x.tok;
	uint64_t v;
	bool fits;

	if (!lex_u64(&p->x, &v) || !parse_suffix(p, &t))
		return failed();
	fits = t == DT_U64 ? !minus || !v : v <= (uint64_t)INT64_MAX + minus;
	v = minus ? 0 - v : v;
	if (!dtype_is_int(t) || !fits || lir_wrap(t, (int64_t)v) != (int64_t)v) {
		p->x.tok = at;
		lex_error(&p->x, "the integer does not fit %s", dtype_name(t));
		return failed();
	}
	return grown(p, lir_node_int(p->a, t, (int64_t)v), 0);
}

static struct tree parse_float(struct parser *p, bool minus)
{
	enum dtype t = DT_F32;
	struct token at = p->x.tok;
	double v;

	if (lex_is(&p->x, "inf") || lex_is(&p->x, "nan")) {
		v = lex_is(&p->x, "inf") ? (double)INFINITY : (double)NAN;
		if (!lex_next(&p->x))
			return failed();
	} else if (!lex_double(&p->x, &v)) {
		return failed();
	}
	if (!parse_suffix(p, &t))
		return failed();
	if (!dtype_is_float(t)) {
		p->x.tok = at;
		lex_error(&p->x, "a floating-point number is not %s", dtype_name(t));
		return failed();
	}
	return grown(p, lir_node_float(p->a, t, minus ? -v : v), 0);
}

static struct tree parse_number(struct parser *p, bool minus)
{
	if (p->x.tok.kind == TOKEN_INT)
		return parse_int(p, minus);
	if (p->x.tok.kind == TOKEN_FLOAT || lex_is(&p->x, "inf") || lex_is(&p->x, "nan"))
		return parse_float(p, minus);
	lex_error(&p->x, "a number expected");
	return failed();
}

/* ---- names ---- */

struct symbol *find_symbol(struct parser *p, struct token t)
{
	char *name = arena_strndup(p->a, t.text, t.n);
	struct symbol *s = map_get(p->symbols, name);

	if (s && s->open)
		return s;
	p->x.tok = t;
	lex_error(&p->x, "'%s' is %s", name, s ? "out of scope" : "not defined");
	return NULL;
}

bool parse_index(struct parser *p, struct lir_expr ***index, uint32_t *n, int *height)
{
	struct lir_expr *list[MAX_DIMS];
	struct tree t;

	*n = 0;
	*height = 0;
	if (!lex_expect(&p->x, "["))
		return false;
	while (!lex_is(&p->x, "]")) {
		if (*n && !lex_expect(&p->x, ","))
			return false;
		if (*n == MAX_DIMS)
			return lex_error(&p->x, "more than %d indices", MAX_DIMS);
		t = parse_binary(p, 1);
		if (!t.x)
			return false;
		*height = t.height > *height ? t.height : *height;
		list[(*n)++] = t.x;
	}
	*index = arena_memdup(p->a, list, *n * sizeof *list);
	return lex_next(&p->x);
}

static struct tree parse_load(struct parser *p, struct token name)
{
	struct symbol *s = find_symbol(p, name);
	struct lir_expr *x, **index;
	uint32_t n;
	int height;

	if (!s || !enter(p) || !parse_index(p, &index, &n, &height))
		return failed();
	p->nesting--;
	if (!s->buffer) {
		p->x.tok = name;
		lex_error(&p->x, "'%.*s' is not a buffer", (int)name.n, name.text);
		return failed();
	}
	x = lir_expr_new(p->a, LIR_LOAD, lir_type_of(s->buffer->dtype, n ? index[n - 1]->type.lanes : 1), 0);
	x->buffer = s->buffer;
	x->nargs = n;
	x->arg = index;
	return grown(p, x, height);
}

static struct tree parse_var(struct parser *p, struct token name)
{
	struct symbol *s = find_symbol(p, name);
	struct lir_expr *x;

	if (!s)
		return failed();
	if (!s->var) {
		p->x.tok = name;
		lex_error(&p->x, "'%.*s' is a buffer", (int)name.n, name.text);
		return failed();
	}
	x = lir_expr_new(p->a, LIR_VAR, s->var->type, 0);
	x->var = s->var;
	return grown(p, x, 0);
}

/* ---- functions ---- */

/* n expressions with commas between them */
static bool parse_args(struct parser *p, uint32_t n, struct lir_expr **arg, int *height)
{
	*height = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct tree t;

		if (i && !lex_expect(&p->x, ","))
			return false;
		t = parse_binary(p, 1);
		if (!t.x)
			return false;
		*height = t.height > *height ? t.height : *height;
		arg[i] = t.x;
	}
	return true;
}

static bool comma_number(struct parser *p, int64_t *out)
{
	return lex_expect(&p->x, ",") && lex_i64(&p->x, out);
}

static bool comma_lanes(struct parser *p, int *out)
{
	int64_t v;

	if (!comma_number(p, &v))
		return false;
	if (v < 2 || v > LIR_MAX_LANES)
		return lex_error(&p->x, "%lld lanes", (long long)v);
	*out = (int)v;
	return true;
}

enum { WORD_NONE, WORD_SELECT, WORD_CAST, WORD_BITCAST, WORD_RAMP, WORD_BROADCAST, WORD_LANE, WORD_BINARY, WORD_CALL };

static bool token_is(struct token t, const char *text)
{
	return strlen(text) == t.n && !memcmp(text, t.text, t.n);
}

/* which: the operator or call */
static int function_word(struct token t, int *which)
{
	static const char *const words[] = {[WORD_SELECT] = "select", [WORD_CAST] = "cast",           [WORD_BITCAST] = "bitcast",
					    [WORD_RAMP] = "ramp",     [WORD_BROADCAST] = "broadcast", [WORD_LANE] = "lane"};

	for (int i = WORD_SELECT; i <= WORD_LANE; i++)
		if (token_is(t, words[i]))
			return i;
	for (*which = 0; *which < LIR_CALL_COUNT; (*which)++)
		if (token_is(t, lir_call_name((enum lir_call) * which)))
			return WORD_CALL;
	*which = token_is(t, "min") ? LIR_MIN : LIR_MAX;
	return token_is(t, lir_op_name((enum lir_op) * which)) ? WORD_BINARY : WORD_NONE;
}

static struct lir_expr *function_node(struct parser *p, int word, int which, int *height)
{
	struct lir_expr *x = ARENA_NEW(p->a, struct lir_expr), *arg[3];
	bool ok = true;

	x->nargs = word == WORD_SELECT   ? 3
		   : word == WORD_BINARY ? 2
		   : word == WORD_CALL   ? (uint32_t)lir_call_args((enum lir_call)which)
					 : 1;
	if (word == WORD_CAST || word == WORD_BITCAST)
		ok = parse_dtype(p, &x->type.dtype) && lex_expect(&p->x, ",");
	if (!ok || !parse_args(p, x->nargs, arg, height))
		return NULL;
	x->arg = arena_memdup(p->a, arg, x->nargs * sizeof *arg);
	x->type = word == WORD_CAST || word == WORD_BITCAST ? lir_type_of(x->type.dtype, arg[0]->type.lanes) : arg[0]->type;
	switch (word) {
	case WORD_SELECT:
		x->kind = LIR_SELECT;
		x->type = arg[1]->type;
		break;
	case WORD_CAST: x->kind = LIR_CAST; break;
	case WORD_BITCAST: x->kind = LIR_BITCAST; break;
	case WORD_RAMP:
		x->kind = LIR_RAMP;
		ok = comma_number(p, &x->i) && comma_lanes(p, &x->type.lanes);
		break;
	case WORD_BROADCAST:
		x->kind = LIR_BROADCAST;
		ok = comma_lanes(p, &x->type.lanes);
		break;
	case WORD_LANE:
		x->kind = LIR_LANE;
		x->type.lanes = 1;
		ok = comma_number(p, &x->i);
		break;
	case WORD_BINARY:
		x->kind = LIR_BINARY;
		x->op = (enum lir_op)which;
		break;
	default:
		x->kind = LIR_CALL;
		x->call = (enum lir_call)which;
		if (lir_call_kind(x->call) == 'B')
			x->type.dtype = DT_BOOL;
		break;
	}
	return ok ? x : NULL;
}

static struct tree parse_function(struct parser *p, struct token name)
{
	int which = 0, height, word = function_word(name, &which);
	struct lir_expr *x;

	if (!word) {
		p->x.tok = name;
		lex_error(&p->x, "'%.*s' is not a function", (int)name.n, name.text);
		return failed();
	}
	if (!enter(p) || !lex_expect(&p->x, "("))
		return failed();
	x = function_node(p, word, which, &height);
	p->nesting--;
	if (!x || !lex_expect(&p->x, ")"))
		return failed();
	return grown(p, x, height);
}

static struct tree parse_word(struct parser *p)
{
	struct token name = p->x.tok;

	if (lex_is(&p->x, "inf") || lex_is(&p->x, "nan"))
		return parse_float(p, false);
	if (lex_is(&p->x, "true") || lex_is(&p->x, "false")) {
		bool v = lex_is(&p->x, "true");

		return lex_next(&p->x) ? grown(p, lir_node_int(p->a, DT_BOOL, v), 0) : failed();
	}
	if (!lex_next(&p->x))
		return failed();
	if (lex_is(&p->x, "("))
		return parse_function(p, name);
	return lex_is(&p->x, "[") ? parse_load(p, name) : parse_var(p, name);
}

static struct tree parse_unary(struct parser *p)
{
	struct tree t;

	if (lex_is(&p->x, "-"))
		return lex_next(&p->x) ? parse_number(p, true) : failed();
	if (lex_is(&p->x, "!")) {
		if (!enter(p) || !lex_next(&p->x))
			return failed();
		t = parse_unary(p);
		p->nesting--;
		return t.x ? grown(p, lir_node2(p->a, LIR_NOT, t.x->type, t.x, NULL), t.height) : t;
	}
	if (lex_is(&p->x, "(")) {
		if (!enter(p) || !lex_next(&p->x))
			return failed();
		t = parse_binary(p, 1);
		p->nesting--;
		return t.x && lex_expect(&p->x, ")") ? t : failed();
	}
	if (p->x.tok.kind == TOKEN_WORD)
		return parse_word(p);
	if (p->x.tok.kind == TOKEN_INT || p->x.tok.kind == TOKEN_FLOAT)
		return parse_number(p, false);
	lex_error(&p->x, "an expression expected");
	return failed();
}

static bool infix(const struct parser *p, enum lir_op *op, int *precedence)
{
	if (p->x.tok.kind != TOKEN_SIGN)
		return false;
	for (int o = 0; o < LIR_OP_COUNT; o++)
		if (o != LIR_MIN && o != LIR_MAX && lex_is(&p->x, lir_op_name((enum lir_op)o))) {
			*op = (enum lir_op)o;
			*precedence = lir_op_precedence(*op);
			return true;
		}
	return false;
}

static struct tree parse_binary(struct parser *p, int lowest)
{
	struct tree x = parse_unary(p), y;
	enum lir_op op;
	int precedence;

	while (x.x && infix(p, &op, &precedence) && precedence >= lowest) {
		if (!lex_next(&p->x))
			return failed();
		y = parse_binary(p, precedence + 1);
		if (!y.x)
			return y;
		x = grown(p, lir_node_binary(p->a, op, x.x, y.x), x.height > y.height ? x.height : y.height);
	}
	return x;
}

struct lir_expr *parse_expr(struct parser *p)
{
	return parse_binary(p, 1).x;
}
