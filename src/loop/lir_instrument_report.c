/* lir_instrument_report.c: the nodes that checks are made of, what they write into a report, and what a report says */
#include <math.h>
#include <stdio.h>

#include "loop/lir_instrument_internal.h"

/* ---- small nodes ---- */

struct lir_expr *ins_i32(struct ins *n, int64_t v)
{
	return lir_imm_i64(B, DT_I32, v);
}

struct lir_stmt *ins_store(struct ins *n, struct lir_buffer *buf, struct lir_expr *at, struct lir_expr *v)
{
	struct lir_stmt *s = lir_stmt_new(n->f->arena, LIR_STORE, 1, 0);

	s->buffer = buf;
	s->index[0] = at;
	s->value = v;
	s->access = buf->dtype;
	return s;
}

struct lir_expr *ins_load(struct ins *n, struct lir_buffer *buf, struct lir_expr *at)
{
	return lir_load(B, buf, &at);
}

struct lir_stmt *ins_if(struct ins *n, struct lir_expr *cond, struct lir_stmt *then)
{
	struct lir_stmt *s = lir_stmt_new(n->f->arena, LIR_IF, 0, 1);

	s->value = cond;
	s->body[0] = then;
	return s;
}

struct lir_stmt *ins_loop(struct ins *n, const char *name, int64_t extent, struct lir_expr **var)
{
	struct lir_stmt *s = lir_stmt_new(n->f->arena, LIR_FOR, 0, 1);

	s->loop = LIR_SERIAL;
	s->var = lir_var_new(n->f, name, lir_type_of(DT_I64, 1));
	s->min = lir_int(B, 0);
	s->extent = lir_int(B, extent);
	*var = lir_var_expr(B, s->var);
	return s;
}

void ins_emit(struct ins *n, struct lir_stmt *s)
{
	for (size_t i = n->guard.n; i-- > 0;) {
		const struct guard *g = &n->guard.v[i];

		s = ins_if(n, g->holds ? g->cond : lir_not(B, g->cond), s);
	}
	vec_push(n->f->arena, n->pre, s);
	n->serial = n->serial || (n->parallel && !n->inside);
}

struct lir_expr *ins_fill(struct ins *n, enum dtype t, int lanes)
{
	struct lir_expr *x = dtype_is_float(t) ? lir_imm(B, t, (double)NAN) : lir_imm_i64(B, t, t == DT_BOOL ? 1 : -1);

	return lanes > 1 ? lir_broadcast(B, x, lanes) : x;
}

/* ---- writing a report ---- */

uint32_t ins_site(struct ins *n, enum lir_fault fault, const struct lir_buffer *buf, int dim, int64_t bound)
{
	struct lir_site s = {.fault = fault, .buffer = buf, .dim = dim, .bound = bound, .statement = n->at};

	vec_push(n->f->arena, &n->site, s);
	return (uint32_t)n->site.n - 1;
}

/* Stores what was seen at a site, 0 being nothing: v + 1, negative ones as they are; limited to 32 bits. */
static struct lir_stmt *store_seen(struct ins *n, struct lir_expr *own, struct lir_expr *v)
{
	struct lir_stmt *let = lir_stmt_new(n->f->arena, LIR_LET, 0, 1);
	struct lir_expr *c;

	let->var = lir_var_new(n->f, "seen", lir_type_of(DT_I64, 1));
	let->value = lir_max(B, lir_min(B, v, lir_int(B, INT32_MAX - 1)), lir_int(B, INT32_MIN));
	c = lir_var_expr(B, let->var);
	c = lir_cast(B, DT_I32, lir_select(B, lir_lt(B, c, lir_int(B, 0)), c, lir_add(B, c, lir_int(B, 1))));
	let->body[0] = ins_store(n, n->report, own, c);
	return let;
}

struct lir_stmt *ins_record(struct ins *n, uint32_t site, struct lir_expr *seen)
{
	struct lir_expr *first = lir_int(B, 0), *own = lir_int(B, 1 + (int64_t)site);
	struct lir_stmt *both[2] = {ins_if(n, lir_eq(B, ins_load(n, n->report, first), ins_i32(n, 0)),
					    ins_store(n, n->report, first, ins_i32(n, 1 + (int64_t)site))),
				    ins_if(n, lir_eq(B, ins_load(n, n->report, own), ins_i32(n, 0)), store_seen(n, own, seen))};

	return lir_seq(n->f->arena, both, 2);
}

/* ---- reading a report ---- */

bool lir_finding(const struct lir_instrumented *r, const int32_t *word, struct lir_finding *out)
{
	const struct lir_site *s;
	const char *more = "";

	*out = (struct lir_finding){0};
	if (word[0] < 1 || (uint32_t)word[0] > r->nsites)
		return false;
	s = &r->site[word[0] - 1];
	out->site = s;
	out->seen = word[word[0]] > 0 ? (int64_t)word[word[0]] - 1 : word[word[0]];
	if (word[word[0]] == INT32_MAX || word[word[0]] == INT32_MIN)
		more = out->seen < 0 ? " or less" : " or more";
	switch (s->fault) {
	case LIR_FAULT_STEPS:
		snprintf(out->text, sizeof out->text, "the loop over '%.60s' would run %lld times%s: its budget is %lld", s->loop,
			 (long long)out->seen, more, (long long)s->bound);
		return true;
	case LIR_FAULT_UNINITIALISED:
		snprintf(out->text, sizeof out->text, "a read of '%.60s' before it was written: element %lld%s in '%.220s'",
			 s->buffer->name, (long long)out->seen, more, s->statement);
		return true;
	default: break;
	}
	if (s->dim < 0)
		snprintf(out->text, sizeof out->text, "%s '%.60s' leaves its memory: element %lld%s of %lld in '%.220s'",
			 s->fault == LIR_FAULT_BOUNDS_READ ? "a read of" : "a write to", s->buffer->name, (long long)out->seen,
			 more, (long long)s->bound, s->statement);
	else
		snprintf(out->text, sizeof out->text, "%s '%.60s' out of bounds: index %lld%s in dim %d of size %lld in '%.220s'",
			 s->fault == LIR_FAULT_BOUNDS_READ ? "a read of" : "a write to", s->buffer->name, (long long)out->seen,
			 more, s->dim, (long long)s->bound, s->statement);
	return true;
}
