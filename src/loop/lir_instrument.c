/* lir_instrument.c: checks written into a function: bounds and initialisation of its accesses, budgets of its loops
 *
 * What is found goes into a report, one more output of 32-bit words that are zero at the start: word 0 is 1 + the number of the
 * first site, word 1 + s what was seen there first. Each is one store, so that work-items that report at the same time can mix
 * sites, but never invent what nobody saw.
 *
 * Checks stand in front of the statement that they are for, in the order in which the interpreter would find the faults, inside
 * what guards them in the expression. The statement itself reads a fill value instead of what is not there, and drops what it would
 * store outside. Marks say which elements of local arrays, and of outputs that are read, have been written; by bytes where some
 * store is narrow.
 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "loop/lir_bounds_internal.h"
#include "loop/loop_internal.h"

#define B (&n->b)
#define STATEMENT 200 /* bytes of one in a site's text */

struct guard {
	struct lir_expr *cond;
	bool holds;
};

struct block {
	struct lir_stmt **v;
	size_t n, cap;
};

struct ins {
	struct lir_func *f;
	struct lir_builder b;
	unsigned checks;
	VEC(bool) proved; /* accesses in the order of evaluation */
	size_t next;      /* the one that is come to */
	int64_t *limit;   /* of a loop's trips by variable id; 0: none */
	VEC(struct guard) guard;
	struct block *pre; /* where checks go */
	struct lir_buffer *report;
	struct lir_buffer **mark; /* by buffer id; NULL: not marked */
	bool *narrow, *read;      /* by buffer id: some store is narrow; it is loaded */
	VEC(struct lir_site) site;
	const char *at;                /* text of the statement whose accesses are checked, as it was written */
	bool parallel, inside, serial; /* it has parallel loops; this is in them; they must become serial ones */
	bool thread;                  /* in a thread loop */
};

/* ---- small nodes ---- */

static struct lir_expr *i32(struct ins *n, int64_t v)
{
	return lir_imm_i64(B, DT_I32, v);
}

static struct lir_stmt *store_to(struct ins *n, struct lir_buffer *buf, struct lir_expr *at, struct lir_expr *v)
{
	struct lir_stmt *s = lir_stmt_new(n->f->arena, LIR_STORE, 1, 0);

	s->buffer = buf;
	s->index[0] = at;
	s->value = v;
	s->access = buf->dtype;
	return s;
}

static struct lir_expr *load_from(struct ins *n, struct lir_buffer *buf, struct lir_expr *at)
{
	return lir_load(B, buf, &at);
}

static struct lir_stmt *if_then(struct ins *n, struct lir_expr *cond, struct lir_stmt *then)
{
	struct lir_stmt *s = lir_stmt_new(n->f->arena, LIR_IF, 0, 1);

	s->value = cond;
	s->body[0] = then;
	return s;
}

static struct lir_stmt *loop_over(struct ins *n, const char *name, int64_t extent, struct lir_expr **var)
{
	struct lir_stmt *s = lir_stmt_new(n->f->arena, LIR_FOR, 0, 1);

	s->loop = LIR_SERIAL;
	s->var = lir_var_new(n->f, name, lir_type_of(DT_I64, 1));
	s->min = lir_int(B, 0);
	s->extent = lir_int(B, extent);
	*var = lir_var_expr(B, s->var);
	return s;
}

/* Statements that were collected from behind. */
static struct lir_stmt *turned(struct ins *n, struct block *b)
{
	for (size_t k = 0; k < b->n / 2; k++) {
		struct lir_stmt *swap = b->v[k];

		b->v[k] = b->v[b->n - 1 - k];
		b->v[b->n - 1 - k] = swap;
	}
	return lir_seq(n->f->arena, b->v, b->n);
}

/* What stands in front, and the statement; lets in front have no body yet: it is all that follows. */
static struct lir_stmt *sequence(struct ins *n, const struct block *pre, struct lir_stmt *s)
{
	struct block after = {0};

	vec_push(n->f->arena, &after, s);
	for (size_t i = pre->n; i-- > 0;) {
		struct lir_stmt *t = pre->v[i];

		if (t->kind == LIR_LET) {
			t->body[0] = turned(n, &after);
			after.n = 0;
		}
		vec_push(n->f->arena, &after, t);
	}
	return turned(n, &after);
}

static void emit(struct ins *n, struct lir_stmt *s)
{
	for (size_t i = n->guard.n; i-- > 0;) {
		const struct guard *g = &n->guard.v[i];

		s = if_then(n, g->holds ? g->cond : lir_not(B, g->cond), s);
	}
	vec_push(n->f->arena, n->pre, s);
	n->serial = n->serial || (n->parallel && !n->inside);
}

static struct lir_expr *fill_of(struct ins *n, enum dtype t, int lanes)
{
	struct lir_expr *x = dtype_is_float(t) ? lir_imm(B, t, (double)NAN) : lir_imm_i64(B, t, t == DT_BOOL ? 1 : -1);

	return lanes > 1 ? lir_broadcast(B, x, lanes) : x;
}

/* ---- reporting ---- */

static const char *head_text(struct ins *n, const struct lir_stmt *s)
{
	struct str text = {0};
	const char *kept;

	lir_print_head(&text, s);
	kept = text.n > STATEMENT ? arena_printf(n->f->arena, "%.*s...", STATEMENT, str_text(&text))
				  : arena_strdup(n->f->arena, str_text(&text));
	str_free(&text);
	return kept;
}

static uint32_t new_site(struct ins *n, enum lir_fault fault, const struct lir_buffer *buf, int dim, int64_t bound)
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
	let->body[0] = store_to(n, n->report, own, c);
	return let;
}

static struct lir_stmt *record(struct ins *n, uint32_t site, struct lir_expr *seen)
{
	struct lir_expr *first = lir_int(B, 0), *own = lir_int(B, 1 + (int64_t)site);
	struct lir_stmt *both[2] = {if_then(n, lir_eq(B, load_from(n, n->report, first), i32(n, 0)),
					    store_to(n, n->report, first, i32(n, 1 + (int64_t)site))),
				    if_then(n, lir_eq(B, load_from(n, n->report, own), i32(n, 0)), store_seen(n, own, seen))};

	return lir_seq(n->f->arena, both, 2);
}

/* ---- accesses ---- */

static size_t count_loads(const struct lir_expr *x)
{
	size_t count = x->kind == LIR_LOAD;

	for (uint32_t i = 0; i < x->nargs; i++)
		count += count_loads(x->arg[i]);
	return count;
}

static struct lir_expr *outside(struct ins *n, struct lir_expr *i, int64_t size)
{
	return lir_or(B, lir_lt(B, i, lir_int(B, 0)), lir_ge(B, i, lir_int(B, size)));
}

static struct lir_expr *both(struct ins *n, struct lir_expr *x, struct lir_expr *y)
{
	return x ? lir_and(B, x, y) : y;
}

/* The last lane's index. */
static struct lir_expr *last_lane(struct ins *n, const struct lir_expr *ramp)
{
	return lir_add(B, ramp->arg[0], lir_int(B, ramp->i * (ramp->type.lanes - 1)));
}

/* Of a ramp that leaves: the index of the first lane that does. */
static struct lir_expr *first_outside(struct ins *n, const struct lir_expr *ramp, int64_t size)
{
	struct lir_expr *first = ramp->arg[0], *step = lir_int(B, ramp->i < 0 ? -ramp->i : ramp->i), *lane;

	if (!ramp->i)
		return first;
	if (ramp->i > 0)
		lane = lir_div(B, lir_add(B, lir_sub(B, lir_int(B, size), first), lir_int(B, ramp->i - 1)), step);
	else
		lane = lir_add(B, lir_div(B, first, step), lir_int(B, 1));
	return lir_select(B, outside(n, first, size), first, lir_add(B, first, lir_mul(B, lane, lir_int(B, ramp->i))));
}

/* Checks one index; *ok: what must hold for the access to be performed. */
static void check_index(struct ins *n, const struct lir_buffer *buf, bool write, int dim, struct lir_expr *i, struct lir_expr **ok)
{
	int64_t size = buf->dim[dim];
	bool ramp = i->kind == LIR_RAMP;
	struct lir_expr *first = ramp ? i->arg[0] : i, *leaves = outside(n, first, size);
	uint32_t site;

	if (ramp && i->i)
		leaves = lir_or(B, leaves, outside(n, last_lane(n, i), size));
	if (leaves->kind == LIR_INT && !leaves->i)
		return;
	site = new_site(n, write ? LIR_FAULT_BOUNDS_WRITE : LIR_FAULT_BOUNDS_READ, buf, dim, size);
	emit(n, if_then(n, leaves, record(n, site, ramp ? first_outside(n, i, size) : i)));
	*ok = both(n, *ok, lir_not(B, leaves));
}

/* Of the elements that in-range indices lead to. */
static bool view_fits(const struct lir_buffer *buf)
{
	struct lir_range at = {buf->offset, buf->offset};

	for (int d = 0; d < buf->nd; d++) {
		struct lir_range index = {0, buf->dim[d] > 0 ? buf->dim[d] - 1 : 0}, stride = {buf->stride[d], buf->stride[d]};

		at = lir_range_binary(LIR_ADD, at, lir_range_binary(LIR_MUL, index, stride));
	}
	return at.low >= 0 && at.high < buf->elements;
}

/* Element number, of a ramp its first lane's. */
static struct lir_expr *element(struct ins *n, const struct lir_buffer *buf, struct lir_expr *const *index)
{
	struct lir_expr *at = lir_int(B, buf->offset);

	for (int d = 0; d < buf->nd; d++) {
		struct lir_expr *i = index[d]->kind == LIR_RAMP ? index[d]->arg[0] : index[d];

		at = lir_add(B, at, lir_mul(B, i, lir_int(B, buf->stride[d])));
	}
	return at;
}

/* From one lane's element to the next one's. */
static int64_t lane_step(const struct lir_buffer *buf, struct lir_expr *const *index)
{
	return buf->nd && index[buf->nd - 1]->kind == LIR_RAMP ? index[buf->nd - 1]->i * buf->stride[buf->nd - 1] : 0;
}

static void check_view(struct ins *n, const struct lir_buffer *buf, bool write, struct lir_expr *const *index, int lanes,
		       struct lir_expr **ok)
{
	uint32_t site = new_site(n, write ? LIR_FAULT_BOUNDS_WRITE : LIR_FAULT_BOUNDS_READ, buf, -1, buf->elements);
	struct lir_expr *inside = *ok, *all = inside;

	for (int l = 0; l < lanes; l++) {
		struct lir_expr *at = lir_add(B, element(n, buf, index), lir_int(B, lane_step(buf, index) * l));
		struct lir_expr *leaves = outside(n, at, buf->elements);

		emit(n, if_then(n, inside ? lir_and(B, inside, leaves) : leaves, record(n, site, at)));
		all = both(n, all, lir_not(B, leaves));
	}
	*ok = all;
}

static bool is_marked(const struct ins *n, const struct lir_buffer *buf)
{
	return n->mark[buf->id] != NULL;
}

static int64_t mark_bytes(const struct ins *n, const struct lir_buffer *buf)
{
	return n->narrow[buf->id] ? (int64_t)dtype_size(buf->dtype) : 1;
}

/* Every element read must have been written: lane by lane, byte by byte. */
static void check_written(struct ins *n, const struct lir_buffer *buf, struct lir_expr *const *index, int lanes,
			  struct lir_expr *ok)
{
	struct lir_expr *at = element(n, buf, index), *mark = at, *lane, *byte;
	uint32_t site = new_site(n, LIR_FAULT_UNINITIALISED, buf, 0, 0);
	struct lir_stmt *lanes_loop = NULL, *bytes_loop = NULL, *s;
	int64_t bytes = mark_bytes(n, buf);

	if (lanes > 1) {
		lanes_loop = loop_over(n, "lane", lanes, &lane);
		mark = at = lir_add(B, at, lir_mul(B, lane, lir_int(B, lane_step(buf, index))));
	}
	if (bytes > 1) {
		bytes_loop = loop_over(n, "byte", bytes, &byte);
		mark = lir_add(B, lir_mul(B, at, lir_int(B, bytes)), byte);
	}
	s = if_then(n, lir_eq(B, load_from(n, n->mark[buf->id], mark), i32(n, 0)), record(n, site, at));
	if (bytes_loop)
		bytes_loop->body[0] = s, s = bytes_loop;
	if (lanes_loop)
		lanes_loop->body[0] = s, s = lanes_loop;
	emit(n, ok ? if_then(n, ok, s) : s);
}

/* What stands behind a store: its elements are written now. */
static struct lir_stmt *mark_written(struct ins *n, const struct lir_stmt *s)
{
	const struct lir_buffer *buf = s->buffer;
	int lanes = s->value->type.lanes;
	struct lir_expr *at = element(n, buf, s->index), *lane, *byte;
	struct lir_stmt *lanes_loop = NULL, *bytes_loop = NULL, *t;

	if (lanes > 1 && !n->narrow[buf->id])
		return store_to(n, n->mark[buf->id], lir_ramp(B, at, lane_step(buf, s->index), lanes),
				lir_broadcast(B, i32(n, 1), lanes));
	if (lanes > 1) {
		lanes_loop = loop_over(n, "lane", lanes, &lane);
		at = lir_add(B, at, lir_mul(B, lane, lir_int(B, lane_step(buf, s->index))));
	}
	if (n->narrow[buf->id]) {
		int64_t size = (int64_t)dtype_size(s->access);

		bytes_loop = loop_over(n, "byte", size, &byte);
		at = lir_add(B, lir_mul(B, at, lir_int(B, size)), byte);
	}
	t = store_to(n, n->mark[buf->id], at, i32(n, 1));
	if (bytes_loop)
		bytes_loop->body[0] = t, t = bytes_loop;
	if (lanes_loop)
		lanes_loop->body[0] = t, t = lanes_loop;
	return t;
}

static struct lir_expr *checked(struct ins *n, struct lir_expr *x);

/* An index that loads is computed once, in front, where its guards hold; else it is 0. Checks of checks would grow without end. */
static struct lir_expr *hoisted(struct ins *n, struct lir_expr *x)
{
	struct lir_stmt *let;

	if (!count_loads(x))
		return x;
	if (x->kind == LIR_RAMP) {
		x->arg[0] = hoisted(n, x->arg[0]);
		return x;
	}
	for (size_t i = n->guard.n; i-- > 0;) {
		const struct guard *g = &n->guard.v[i];

		x = lir_select(B, g->holds ? g->cond : lir_not(B, g->cond), x, lir_int(B, 0));
	}
	let = lir_stmt_new(n->f->arena, LIR_LET, 0, 1);
	let->var = lir_var_new(n->f, "at", lir_type_of(DT_I64, 1));
	let->value = x;
	vec_push(n->f->arena, n->pre, let);
	n->serial = n->serial || (n->parallel && !n->inside);
	return lir_var_expr(B, let->var);
}

/* The indices of an access, checked one after the other. What must hold for it to be performed; NULL: nothing. */
static struct lir_expr *check_access(struct ins *n, const struct lir_buffer *buf, bool write, struct lir_expr **index,
				     uint32_t count, int lanes)
{
	struct lir_expr *ok = NULL;
	size_t own = n->next;
	bool proved;

	for (uint32_t d = 0; d < count; d++)
		own += count_loads(index[d]);
	proved = n->proved.v[own] || !(n->checks & LIR_CHECK_BOUNDS);
	for (uint32_t d = 0; d < count; d++) {
		index[d] = checked(n, index[d]);
		if (!proved || is_marked(n, buf))
			index[d] = hoisted(n, index[d]);
		if (!proved)
			check_index(n, buf, write, (int)d, index[d], &ok);
	}
	if (!proved && !view_fits(buf))
		check_view(n, buf, write, index, lanes, &ok);
	assert(n->next == own);
	n->next++;
	return ok;
}

static struct lir_expr *checked_load(struct ins *n, struct lir_expr *x)
{
	struct lir_expr *ok = check_access(n, x->buffer, false, x->arg, x->nargs, x->type.lanes);

	if (is_marked(n, x->buffer))
		check_written(n, x->buffer, x->arg, x->type.lanes, ok);
	return ok ? lir_select(B, ok, x, fill_of(n, x->type.dtype, x->type.lanes)) : x;
}

static struct lir_expr *checked_under(struct ins *n, struct lir_expr *cond, bool holds, struct lir_expr *x)
{
	struct guard g = {cond, holds};

	vec_push(n->f->arena, &n->guard, g);
	x = checked(n, x);
	n->guard.n--;
	return x;
}

/* Its loads, in the order of evaluation; what takes its place. */
static struct lir_expr *checked(struct ins *n, struct lir_expr *x)
{
	bool lazy = x->kind == LIR_BINARY && (x->op == LIR_AND || x->op == LIR_OR) && x->type.lanes == 1;

	if (x->kind == LIR_LOAD)
		return checked_load(n, x);
	if (x->kind == LIR_SELECT && x->arg[0]->type.lanes == 1) {
		x->arg[0] = checked(n, x->arg[0]);
		x->arg[1] = checked_under(n, x->arg[0], true, x->arg[1]);
		x->arg[2] = checked_under(n, x->arg[0], false, x->arg[2]);
	} else if (lazy) {
		x->arg[0] = checked(n, x->arg[0]);
		x->arg[1] = checked_under(n, x->arg[0], x->op == LIR_AND, x->arg[1]);
	} else {
		for (uint32_t i = 0; i < x->nargs; i++)
			x->arg[i] = checked(n, x->arg[i]);
	}
	return x;
}

/* ---- statements ---- */

static struct lir_stmt *statement(struct ins *n, struct lir_stmt *s);

static struct lir_stmt *store(struct ins *n, struct lir_stmt *s)
{
	struct lir_expr *ok = check_access(n, s->buffer, true, s->index, s->nindex, s->value->type.lanes);
	struct lir_stmt *pair[2] = {s, NULL};

	if (is_marked(n, s->buffer)) {
		pair[1] = mark_written(n, s);
		n->serial = n->serial || (n->parallel && !n->inside && s->buffer->scope == LIR_GLOBAL);
		s = lir_seq(n->f->arena, pair, 2);
	}
	return ok ? if_then(n, ok, s) : s;
}

/* Nobody has written its elements yet: they hold the fill value. */
/* In a function with a group, what is not in a thread loop is put into one: for so many work-items. */
static struct lir_stmt *in_thread(struct ins *n, int64_t items, struct lir_stmt *s)
{
	struct lir_expr *unused;
	struct lir_stmt *l;

	if (!n->f->group || n->thread)
		return s;
	l = loop_over(n, "item", items, &unused);
	l->loop = LIR_THREAD;
	l->body[0] = s;
	return l;
}

static struct lir_stmt *alloc(struct ins *n, struct lir_stmt *s)
{
	struct lir_buffer *buf = s->buffer, *mark = n->mark[buf->id];
	struct lir_stmt *fill, *outer = NULL, *inner = NULL, *clear, *all[3], *own;
	struct lir_expr *at;
	int64_t items;

	s->body[0] = statement(n, s->body[0]);
	if (!mark)
		return s;
	fill = lir_stmt_new(n->f->arena, LIR_STORE, (uint32_t)buf->nd, 0);
	fill->buffer = buf;
	fill->access = buf->dtype;
	fill->value = fill_of(n, buf->dtype, 1);
	for (int d = 0; d < buf->nd; d++) {
		struct lir_stmt *l = loop_over(n, "e", buf->dim[d], &fill->index[d]);

		if (inner)
			inner->body[0] = l;
		else
			outer = l;
		inner = l;
	}
	if (inner)
		inner->body[0] = fill;
	clear = loop_over(n, "e", mark->dim[0], &at);
	clear->body[0] = store_to(n, mark, at, i32(n, 0));
	items = buf->scope == LIR_PRIVATE ? n->f->group : 1;
	all[0] = in_thread(n, items, outer ? outer : fill);
	all[1] = in_thread(n, items, clear);
	all[2] = s->body[0];
	own = lir_stmt_new(n->f->arena, LIR_ALLOC, 0, 1);
	own->buffer = mark;
	own->body[0] = lir_seq(n->f->arena, all, 3);
	s->body[0] = own;
	return s;
}

/* A loop that may run longer than its budget runs that long, and says so. */
static struct lir_stmt *limited(struct ins *n, struct lir_stmt *s)
{
	int64_t limit = n->limit[s->var->id];
	struct lir_expr *trips;
	struct lir_stmt *let;
	uint32_t site;

	if (!limit || (n->parallel && !n->inside))
		return s;
	site = new_site(n, LIR_FAULT_STEPS, NULL, 0, limit);
	n->site.v[site].loop = s->var->name;
	let = lir_stmt_new(n->f->arena, LIR_LET, 0, 1);
	let->var = lir_var_new(n->f, "trips", lir_type_of(DT_I64, 1));
	let->value = s->extent;
	trips = lir_var_expr(B, let->var);
	s->extent = lir_min(B, trips, lir_int(B, limit));
	let->body[0] = lir_seq(
	    n->f->arena,
	    (struct lir_stmt *[]){if_then(n, lir_binary(B, LIR_GT, trips, lir_int(B, limit)), in_thread(n, 1, record(n, site, trips))), s}, 2);
	return let;
}

static struct lir_stmt *loop(struct ins *n, struct lir_stmt *s)
{
	bool opens = s->loop == LIR_PARALLEL && !(s->body[0]->kind == LIR_FOR && lir_is_chained(s->body[0], s));
	bool was = n->inside;
	struct lir_stmt *out = limited(n, s);

	n->inside = n->inside || opens;
	n->thread = n->thread || lir_is_thread(s);
	s->body[0] = statement(n, s->body[0]);
	n->thread = n->thread && !lir_is_thread(s);
	n->inside = was;
	return out;
}

/* What takes the statement's place. */
static struct lir_stmt *statement(struct ins *n, struct lir_stmt *s)
{
	struct block pre = {0}, *outer = n->pre;
	const char *at = n->at;

	n->pre = &pre;
	n->at = s->kind == LIR_SEQ ? NULL : head_text(n, s);
	if (s->min)
		s->min = checked(n, s->min);
	if (s->extent)
		s->extent = checked(n, s->extent);
	if (s->value)
		s->value = checked(n, s->value);
	switch (s->kind) {
	case LIR_STORE: s = store(n, s); break;
	case LIR_FOR: s = loop(n, s); break;
	case LIR_ALLOC: s = alloc(n, s); break;
	default:
		for (uint32_t i = 0; i < s->nbody; i++)
			s->body[i] = statement(n, s->body[i]);
		break;
	}
	n->pre = outer;
	n->at = at;
	return sequence(n, &pre, s);
}

/* ---- what there is to check ---- */

static void note_access(const struct lir_access *x, const struct path *path, void *user)
{
	struct ins *n = user;

	(void)path;
	vec_push(n->f->arena, &n->proved, x->proved);
	if (x->load)
		n->read[x->buffer->id] = true;
	else if (x->stmt->access != x->buffer->dtype)
		n->narrow[x->buffer->id] = true;
}

struct trips {
	int64_t *most;
	uint32_t n;
};

static void note_trips(const struct lir_stmt *s, struct lir_range extent, void *user)
{
	struct trips *t = user;

	if (s->var->id < t->n)
		t->most[s->var->id] = extent.high > 1 ? extent.high : 1;
}

static void note_limit(const struct lir_stmt *s, struct lir_range extent, void *user)
{
	struct ins *n = user;
	int64_t *limit = &n->limit[s->var->id];

	if (extent.high <= *limit)
		*limit = 0;
}

static void inspect(struct ins *n, const struct lir_func *original)
{
	struct lir_bounds_hooks h = {.access = note_access, .loop = n->checks & LIR_CHECK_TRIPS ? note_limit : NULL, .user = n};
	struct trips t = {n->limit, n->f->nvars};

	for (uint32_t i = 0; i < n->f->nvars; i++)
		n->limit[i] = n->checks & LIR_CHECK_TRIPS ? LIR_TRIPS : 0;
	if (original && (n->checks & LIR_CHECK_TRIPS)) {
		struct lir_bounds_hooks trips = {.loop = note_trips, .user = &t};

		lir_bounds_walk(original, &trips);
		for (uint32_t i = 0; i < n->f->nvars; i++)
			if (i < original->nvars)
				n->limit[i] = n->limit[i] >= LIR_RANGE_MOST / 100 ? 0 : n->limit[i] * LIR_TRIPS_FACTOR;
	}
	lir_bounds_walk(n->f, &h);
}

/* ---- the function ---- */

static void mark_local(struct ins *n, const struct lir_stmt *s)
{
	if (s->kind == LIR_ALLOC && n->read[s->buffer->id]) {
		int64_t size = s->buffer->elements * mark_bytes(n, s->buffer);

		n->mark[s->buffer->id] =
		    lir_buffer_new(n->f, arena_printf(n->f->arena, "%s_mark", s->buffer->name), DT_I32, s->buffer->scope, 1, &size);
	}
	for (uint32_t i = 0; i < s->nbody; i++)
		mark_local(n, s->body[i]);
}

static void shift_ids(struct lir_stmt *s, uint32_t by)
{
	if (s->kind == LIR_ALLOC)
		s->buffer->id += by;
	for (uint32_t i = 0; i < s->nbody; i++)
		shift_ids(s->body[i], by);
}

static struct lir_buffer *new_param(struct ins *n, const char *name, int64_t size, struct lir_buffer **list, uint32_t *count)
{
	list[*count] = lir_buffer_new(n->f, name, DT_I32, LIR_GLOBAL, 1, &size);
	return list[(*count)++];
}

/* The new outputs become parameters: their numbers come before those of local buffers. */
static void add_params(struct ins *n, struct lir_buffer **added, uint32_t count)
{
	struct lir_func *f = n->f;
	struct lir_buffer **all = ARENA_ARRAY(f->arena, struct lir_buffer *, f->nparams + count);

	memcpy(all, f->param, f->nparams * sizeof *all);
	shift_ids(f->body, count);
	for (uint32_t i = 0; i < count; i++) {
		added[i]->id = f->nparams + i;
		all[f->nparams + i] = added[i];
	}
	f->param = all;
	f->nparams += count;
	f->nout += count;
}

static void make_serial(struct lir_stmt *s)
{
	if (s->kind == LIR_FOR && s->loop == LIR_PARALLEL)
		s->loop = LIR_SERIAL;
	for (uint32_t i = 0; i < s->nbody; i++)
		make_serial(s->body[i]);
}

static void instrument(struct ins *n, const struct lir_func *original, struct lir_instrumented *out)
{
	struct lir_func *f = n->f;
	struct lir_buffer **added = ARENA_ARRAY(f->arena, struct lir_buffer *, f->nout + 1);
	uint32_t count = 0, nbuffers = f->nbuffers;

	n->limit = ARENA_ARRAY(f->arena, int64_t, f->nvars + 1);
	n->mark = ARENA_ARRAY(f->arena, struct lir_buffer *, nbuffers + f->nparams + 1);
	n->narrow = ARENA_ARRAY(f->arena, bool, nbuffers + 1);
	n->read = ARENA_ARRAY(f->arena, bool, nbuffers + 1);
	n->parallel = lir_has_parallel(f);
	inspect(n, original);
	if (n->checks & LIR_CHECK_INIT) {
		mark_local(n, f->body);
		for (uint32_t i = f->nparams - f->nout; i < f->nparams; i++)
			if (n->read[i])
				n->mark[i] = new_param(n, arena_printf(f->arena, "%s_mark", f->param[i]->name),
						       f->param[i]->elements * mark_bytes(n, f->param[i]), added, &count);
	}
	n->report = new_param(n, "report", 1, added, &count);
	f->body = statement(n, f->body);
	n->report->dim[0] = n->report->elements = 1 + (int64_t)n->site.n;
	add_params(n, added, count);
	if (n->serial)
		make_serial(f->body);
	out->nextra = count;
	out->site = n->site.v;
	out->nsites = (uint32_t)n->site.n;
}

bool lir_instrument(struct arena *a, const struct lir_func *f, const struct lir_func *original, unsigned checks,
		    struct lir_instrumented *out, struct err *e)
{
	struct ins n = {.f = lir_func_clone(a, f), .checks = checks};

	*out = (struct lir_instrumented){0};
	lir_edit(&n.b, n.f);
	instrument(&n, original, out);
	if (!out->nsites)
		return true;
	out->func = lir_func_clone(a, n.f); /* a tree again: checks share nodes with what they check */
	lir_unique_names(out->func);
	return lir_verify(out->func, e) || err_in(e, "instrumenting '%s'", f->name);
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
