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
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "loop/lir_bounds_internal.h"
#include "loop/lir_instrument_internal.h"

#define STATEMENT 200 /* bytes of one in a site's text */

/* ---- statements ---- */

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

static struct lir_stmt *statement(struct ins *n, struct lir_stmt *s);

static struct lir_stmt *store(struct ins *n, struct lir_stmt *s)
{
	struct lir_expr *ok = ins_check_access(n, s->buffer, true, s->index, s->nindex, s->value->type.lanes);
	struct lir_stmt *pair[2] = {s, NULL};

	if (ins_is_marked(n, s->buffer)) {
		pair[1] = ins_mark_written(n, s);
		n->serial = n->serial || (n->parallel && !n->inside && s->buffer->scope == LIR_GLOBAL);
		s = lir_seq(n->f->arena, pair, 2);
	}
	return ok ? ins_if(n, ok, s) : s;
}

/* In a function with a group, what is not in a thread loop is put into one: for so many work-items. */
static struct lir_stmt *in_thread(struct ins *n, int64_t items, struct lir_stmt *s)
{
	struct lir_expr *unused;
	struct lir_stmt *l;

	if (!n->f->group || n->thread)
		return s;
	l = ins_loop(n, "item", items, &unused);
	l->loop = LIR_THREAD;
	l->body[0] = s;
	return l;
}

/* Nobody has written its elements yet: they hold the fill value. */
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
	fill->value = ins_fill(n, buf->dtype, 1);
	for (int d = 0; d < buf->nd; d++) {
		struct lir_stmt *l = ins_loop(n, "e", buf->dim[d], &fill->index[d]);

		if (inner)
			inner->body[0] = l;
		else
			outer = l;
		inner = l;
	}
	if (inner)
		inner->body[0] = fill;
	clear = ins_loop(n, "e", mark->dim[0], &at);
	clear->body[0] = ins_store(n, mark, at, ins_i32(n, 0));
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
	site = ins_site(n, LIR_FAULT_STEPS, NULL, 0, limit);
	n->site.v[site].loop = s->var->name;
	let = lir_stmt_new(n->f->arena, LIR_LET, 0, 1);
	let->var = lir_var_new(n->f, "trips", lir_type_of(DT_I64, 1));
	let->value = s->extent;
	trips = lir_var_expr(B, let->var);
	s->extent = lir_min(B, trips, lir_int(B, limit));
	let->body[0] = lir_seq(
	    n->f->arena,
	    (struct lir_stmt *[]){ins_if(n, lir_binary(B, LIR_GT, trips, lir_int(B, limit)), in_thread(n, 1, ins_record(n, site, trips))), s}, 2);
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
		s->min = ins_checked(n, s->min);
	if (s->extent)
		s->extent = ins_checked(n, s->extent);
	if (s->value)
		s->value = ins_checked(n, s->value);
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
		int64_t size = s->buffer->elements * ins_mark_bytes(n, s->buffer);

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
						       f->param[i]->elements * ins_mark_bytes(n, f->param[i]), added, &count);
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
