/* codegen_walk.c: from the statements of a function to lines of text, in whatever dialect
 *
 * The function is walked twice: the first, dry, run finds out how each local buffer is used once loops are unrolled; the
 * second writes. Both make the same decisions because both count the same expanded statements.
 */
#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "codegen/codegen.h"
#include "codegen/codegen_internal.h"

#define MAX_EXPANDED 4096
#define MAX_CHAIN MAX_DIMS
#define MAX_ITERATIONS ((int64_t)1 << 30) /* of a collapsed chain */
#define MAX_GROUPS ((uint64_t)1 << 24)
#define UNKNOWN_ITERATIONS 1024   /* work-items of a loop whose extent is found out on the device */
#define MAX_SHARED_BYTES (48 << 10) /* of a group: what devices have at least is less still, and they say so */
#define MAX_LOCAL_BYTES (4 << 20) /* of one thread's stack */

bool cg_fail(struct cg *g, const char *fmt, ...)
{
	va_list ap;
	struct str s = {0};

	if (g->failed)
		return false;
	va_start(ap, fmt);
	str_vaddf(&s, fmt, ap);
	va_end(ap);
	err_set(g->e, ERR_UNSUPPORTED, "%s", str_text(&s));
	str_free(&s);
	g->failed = true;
	return false;
}

void cg_line(struct cg *g)
{
	for (int i = 0; i < g->indent; i++)
		str_addc(&g->body, '\t');
}

static void open_block(struct cg *g)
{
	cg_line(g);
	str_add(&g->body, "{\n");
	g->indent++;
}

static void close_block(struct cg *g)
{
	g->indent--;
	cg_line(g);
	str_add(&g->body, "}\n");
}

/* Statements that one copy of s expands to; stops counting at the limit. */
static uint64_t cost(const struct cg *g, const struct lir_stmt *s)
{
	uint64_t n = s->kind != LIR_SEQ;
	int64_t extent;

	for (uint32_t i = 0; i < s->nbody && n <= MAX_EXPANDED; i++)
		n += cost(g, s->body[i]);
	if (s->kind == LIR_FOR && s->loop == LIR_UNROLLED && cg_const(g, s->extent, &extent) && extent > 1)
		n = extent > MAX_EXPANDED ? MAX_EXPANDED + 1 : n * (uint64_t)extent;
	return n > MAX_EXPANDED ? MAX_EXPANDED + 1 : n;
}

static void touch_expr(struct cg *g, const struct lir_expr *x)
{
	for (uint32_t i = 0; i < x->nargs; i++)
		touch_expr(g, x->arg[i]);
	if (x->kind == LIR_LOAD)
		cg_local_touch(g, x->buffer, x->arg, x->nargs, x->buffer->dtype, false);
}

static bool try_unroll(struct cg *g, const struct lir_stmt *s, bool tail)
{
	struct cg_binding *b = &g->bind[s->var->id];
	int64_t min, extent;
	uint64_t n;

	if (s->loop != LIR_UNROLLED || !cg_const(g, s->min, &min) || !cg_const(g, s->extent, &extent))
		return false;
	n = cost(g, s);
	if (extent > 0 && g->expanded + n > MAX_EXPANDED)
		return false;
	g->unrolling++;
	for (int64_t i = 0; i < extent; i++) {
		*b = (struct cg_binding){true, (int64_t)((uint64_t)min + (uint64_t)i)};
		cg_stmt(g, s->body[0], tail && i + 1 == extent);
	}
	*b = (struct cg_binding){0};
	g->unrolling--;
	return true;
}

/* chain[0] is the first; adds the loops of its chain that a collapsing dialect makes one of. */
static uint32_t find_chain(const struct cg *g, const struct lir_stmt **chain)
{
	int64_t extent, total;
	uint32_t n = 1;

	if (!g->d->collapses || !cg_const(g, chain[0]->extent, &total) || total <= 0)
		return 1;
	while (n < MAX_CHAIN && lir_is_chained(chain[n - 1]->body[0], chain[n - 1]) &&
	       cg_const(g, chain[n - 1]->body[0]->extent, &extent) && extent > 0 && total <= MAX_ITERATIONS / extent) {
		chain[n] = chain[n - 1]->body[0];
		total *= extent;
		n++;
	}
	return n;
}

/* As many work-items as iterations, when their number is known and the dialect has no reason for fewer. */
static void set_shape(struct cg *g, const struct lir_stmt *const *chain, uint32_t n)
{
	uint64_t total = 1, groups, most = g->d->most_groups ? g->d->most_groups : MAX_GROUPS;
	int64_t extent;

	for (uint32_t i = 0; i < n; i++)
		total *= cg_const(g, chain[i]->extent, &extent) ? extent > 0 ? (uint64_t)extent : 1 : UNKNOWN_ITERATIONS;
	if (!g->d->group)
		return;
	groups = g->groups ? total : (total + g->d->group - 1) / g->d->group;
	g->shape.groups = groups < most ? groups : most;
}

/* Each work-item's share of a thread loop; where there are none, a loop over all. */
static void thread_loop(struct cg *g, const struct lir_stmt *s)
{
	int64_t extent;
	bool known = cg_const(g, s->extent, &extent) && extent >= g->f->group;

	touch_expr(g, s->min);
	touch_expr(g, s->extent);
	cg_line(g);
	if (g->groups)
		g->d->thread(g, s);
	else
		g->d->loop(g, s);
	g->indent++;
	if (!g->groups && g->has_private) {
		cg_line(g);
		str_addf(&g->body, "const long long item_ = (%s - (", g->var_name[s->var->id]);
		cg_index(g, s->min, P_ANY);
		str_addf(&g->body, ")) %% %lld;\n", (long long)g->f->group);
	}
	g->certain += !known;
	cg_stmt(g, s->body[0], true);
	g->certain -= !known;
	close_block(g);
	if (g->groups && s->loop == LIR_THREAD)
		g->d->barrier(g);
}

static void loop(struct cg *g, const struct lir_stmt *s, bool tail)
{
	int64_t extent;
	bool known, parallel = s->loop == LIR_PARALLEL && !g->in_parallel;
	const struct lir_stmt *chain[MAX_CHAIN] = {s};
	uint32_t n = 1;

	if (lir_is_thread(s)) {
		thread_loop(g, s);
		return;
	}
	if (try_unroll(g, s, tail))
		return;
	known = !parallel && cg_const(g, s->extent, &extent);
	if (known && extent <= 0)
		return;
	touch_expr(g, s->min);
	touch_expr(g, s->extent);
	if (parallel) {
		if (!tail)
			open_block(g);
		n = find_chain(g, chain);
		for (uint32_t i = 1; i < n; i++)
			touch_expr(g, chain[i]->min);
		set_shape(g, chain, n);
		g->d->parallel(g, chain, n);
	} else {
		cg_line(g);
		g->d->loop(g, s);
	}
	g->indent++;
	g->certain += !known;
	g->in_parallel |= parallel;
	cg_stmt(g, chain[n - 1]->body[0], true);
	g->in_parallel &= !parallel;
	g->certain -= !known;
	close_block(g);
	if (parallel && !tail)
		close_block(g);
}

static void condition(struct cg *g, const struct lir_stmt *s, bool tail)
{
	int64_t v;

	if (cg_const(g, s->value, &v)) {
		if (v || s->nbody == 2)
			cg_stmt(g, s->body[v ? 0 : 1], tail);
		return;
	}
	touch_expr(g, s->value);
	cg_line(g);
	str_add(&g->body, "if (");
	g->d->expr(g, s->value, P_ANY);
	str_add(&g->body, ") {\n");
	g->indent++;
	g->certain++;
	cg_stmt(g, s->body[0], true);
	if (s->nbody == 2) {
		g->indent--;
		cg_line(g);
		str_add(&g->body, "} else {\n");
		g->indent++;
		cg_stmt(g, s->body[1], true);
	}
	g->certain--;
	close_block(g);
}

/* Visible to the end of the block, so a definition opens one unless nothing follows it in this one. */
static void let(struct cg *g, const struct lir_stmt *s, bool tail)
{
	struct cg_binding *b = &g->bind[s->var->id];
	int64_t v;

	if (s->var->type.dtype == DT_I64 && cg_const(g, s->value, &v)) {
		*b = (struct cg_binding){true, v};
		cg_stmt(g, s->body[0], tail);
		*b = (struct cg_binding){0};
		return;
	}
	if (!tail)
		open_block(g);
	touch_expr(g, s->value);
	cg_line(g);
	g->d->let(g, s);
	cg_stmt(g, s->body[0], true);
	if (!tail)
		close_block(g);
}

static void alloc(struct cg *g, const struct lir_stmt *s, bool tail)
{
	int64_t elements = cg_local_elements(g, s->buffer), bytes = elements * (int64_t)dtype_size(s->buffer->dtype);
	bool shared = g->groups && s->buffer->scope == LIR_SHARED;

	if (shared && g->dry && (g->shared_bytes += bytes) > MAX_SHARED_BYTES) {
		cg_fail(g, "'%s': more than %d bytes of memory shared by a group", s->buffer->name, MAX_SHARED_BYTES);
		return;
	}
	if (elements > MAX_LOCAL_BYTES || g->local_bytes + bytes > MAX_LOCAL_BYTES) {
		cg_fail(g, "local buffer '%s' is too large for the stack", s->buffer->name);
		return;
	}
	if (!tail)
		open_block(g);
	g->local_bytes += bytes;
	cg_local_begin(g, s->buffer);
	if (!g->dry)
		g->d->alloc(g, s->buffer, &g->local[s->buffer->id]);
	cg_stmt(g, s->body[0], true);
	g->local_bytes -= bytes;
	if (!tail)
		close_block(g);
}

static void store(struct cg *g, const struct lir_stmt *s)
{
	if (!g->in_parallel && s->buffer->scope == LIR_GLOBAL && g->has_parallel)
		cg_fail(g, "a store to '%s' outside the parallel loop", s->buffer->name);
	for (uint32_t i = 0; i < s->nindex; i++)
		touch_expr(g, s->index[i]);
	touch_expr(g, s->value);
	cg_local_touch(g, s->buffer, s->index, s->nindex, s->access, true);
	cg_line(g);
	g->d->store(g, s);
}

void cg_stmt(struct cg *g, const struct lir_stmt *s, bool tail)
{
	if (g->failed)
		return;
	g->expanded += g->unrolling && s->kind != LIR_SEQ;
	switch (s->kind) {
	case LIR_FOR: loop(g, s, tail); break;
	case LIR_STORE: store(g, s); break;
	case LIR_IF: condition(g, s, tail); break;
	case LIR_LET: let(g, s, tail); break;
	case LIR_ALLOC: alloc(g, s, tail); break;
	case LIR_SEQ:
		for (uint32_t i = 0; i < s->nbody; i++)
			cg_stmt(g, s->body[i], tail && i + 1 == s->nbody);
		break;
	}
}

static void run(struct cg *g, bool dry)
{
	g->dry = dry;
	g->expanded = 0;
	g->indent = 1;
	g->have = map_new(g->a);
	str_clear(&g->body);
	str_clear(&g->pre);
	cg_stmt(g, g->f->body, true);
}

static const struct cg_dialect *const dialects[] = {&cg_dialect_c, &cg_dialect_opencl, &cg_dialect_opencl_cpu, &cg_dialect_cuda, &cg_dialect_glsl, &cg_dialect_glsl_cpu};
const char *const codegen_dialects[] = {"c", "opencl-c", "opencl-c-cpu", "cuda-c", "glsl", "glsl-cpu", NULL};

static const struct cg_dialect *find(const char *name)
{
	for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++)
		if (!strcmp(dialects[i]->name, name))
			return dialects[i];
	return NULL;
}

bool codegen_emit(const char *dialect, const struct lir_func *f, struct str *out, struct codegen_shape *shape, struct err *e)
{
	return codegen_emit_filled(dialect, f, (struct fill){FILL_NAN, 0}, out, shape, e);
}

static bool has_private(const struct lir_stmt *s)
{
	if (s->kind == LIR_ALLOC && s->buffer->scope == LIR_PRIVATE)
		return true;
	for (uint32_t i = 0; i < s->nbody; i++)
		if (has_private(s->body[i]))
			return true;
	return false;
}

bool codegen_emit_filled(const char *dialect, const struct lir_func *f, struct fill fill, struct str *out, struct codegen_shape *shape,
			 struct err *e)
{
	struct cg g = {.d = find(dialect), .f = f, .fill = fill, .e = e};

	if (!g.d)
		return err_set(e, ERR_UNSUPPORTED, "no dialect '%s' in this build", dialect);
	g.groups = f->group && g.d->collapses;
	g.shape = (struct codegen_shape){.groups = g.d->group != 0, .group = g.groups ? (uint32_t)f->group : g.d->group};
	g.narrow = g.d->group && cg_fits_int(f);
	g.a = arena_new(NULL);
	g.bind = ARENA_ARRAY(g.a, struct cg_binding, f->nvars + 1);
	g.var_name = ARENA_ARRAY(g.a, const char *, f->nvars + 1);
	g.mask_bytes = ARENA_ARRAY(g.a, int, f->nvars + 1);
	g.local = ARENA_ARRAY(g.a, struct cg_local, (size_t)f->nbuffers + f->nparams + 1);
	g.buffer_name = ARENA_ARRAY(g.a, const char *, (size_t)f->nbuffers + f->nparams + 1);
	g.has_parallel = lir_has_parallel(f);
	g.has_private = has_private(f->body);
	cg_names(&g);
	run(&g, true);
	if (!g.failed)
		run(&g, false);
	if (!g.failed) {
		g.d->open(&g, out);
		str_addn(out, str_text(&g.body), g.body.n);
		g.d->close(&g, out);
		*shape = g.shape;
	}
	str_free(&g.body);
	str_free(&g.pre);
	arena_free(g.a);
	return !g.failed;
}
