/* comp_bundle.c: emit a program's kernels and wrap it up for a device */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "compile/compile_internal.h"

static struct hash kernel_hash(const char *source, bool contract)
{
	struct hasher *h = hasher_new();

	hash_put_text(h, source);
	hash_put_u64(h, contract);
	return hasher_end(h);
}

/* The text of a function in a dialect; those made so far are in *list. */
static bool text_of(struct comp_program *p, const struct lir_func *f, struct fill fill, const char *dialect, struct comp_text **list,
		    const struct comp_text **out, struct err *e)
{
	struct comp_text t = {.dialect = dialect, .next = *list};
	struct str s = {0};
	bool ok;

	for (const struct comp_text *have = *list; have; have = have->next)
		if (!strcmp(have->dialect, dialect)) {
			*out = have;
			return true;
		}
	ok = codegen_emit_filled(dialect, f, fill, &s, &t.shape, e) || err_in(e, "kernel '%s'", f->name);
	if (ok) {
		t.dialect = arena_strdup(p->arena, dialect);
		t.source = arena_strndup(p->arena, str_text(&s), s.n);
		t.hash = kernel_hash(t.source, f->contract);
		*out = *list = arena_memdup(p->arena, &t, sizeof t);
	}
	str_free(&s);
	return ok;
}

bool comp_source(struct comp_program *p, uint32_t kernel, const char *dialect, const struct comp_text **out, struct err *e)
{
	return text_of(p, p->kernel[kernel].func, p->kernel[kernel].fill, dialect, &p->kernel[kernel].text, out, e);
}

/* Equal kernels once. Returns index + 1. */
static uint32_t add_kernel(struct bundle *b, struct map *seen, const struct comp_text *text, bool contract, uint32_t plain)
{
	struct hash key = text->hash;
	uintptr_t at;

	key.lo ^= plain ? b->kernel[plain - 1].hash.hi : 0; /* two may become equal by their checks */
	at = (uintptr_t)map_get_hash(seen, key);
	if (at)
		return (uint32_t)at;
	b->kernel[b->nkernels++] = (struct bundle_kernel){
	        .source = text->source, .contract = contract, .hash = text->hash, .groups = text->shape.groups, .group = text->shape.group,
	        .fills = text->shape.fills, .plain = plain};
	map_put_hash(seen, key, (void *)(uintptr_t)b->nkernels);
	return b->nkernels;
}

/* The launch's outputs that its checks write: the last is the report, which becomes an output of the program. */
static void add_reports(struct arena *a, const struct comp_kernel *k, struct bundle *b, struct bundle_launch *l)
{
	const struct lir_instrumented *r = k->checks;
	uint32_t *arg = ARENA_ARRAY(a, uint32_t, l->nargs + r->nextra);

	memcpy(arg, l->arg, l->nargs * sizeof *arg);
	for (uint32_t i = 0; i < r->nextra; i++) {
		const struct lir_buffer *param = r->func->param[l->nargs];

		b->buffer[b->nbuffers] = (struct bundle_buffer){.name = arena_printf(a, "%s:%s", k->func->name, param->name),
		                                                .role = BUF_REPORT, .dtype = param->dtype, .nd = 1, .dim = {param->dim[0]}};
		arg[l->nargs++] = b->nbuffers++;
	}
	l->arg = arg;
	l->nout += r->nextra;
	l->parallel = l->parallel && lir_has_parallel(r->func);
	b->output[b->noutputs++] = b->nbuffers - 1;
	b->nreports++;
}

static bool bundle_kernels(struct arena *a, struct comp_program *p, const char *dialect, struct bundle *b, struct err *e)
{
	struct map *seen = map_new(a);

	b->kernel = ARENA_ARRAY(a, struct bundle_kernel, 2 * (size_t)p->nkernels);
	b->launch = ARENA_ARRAY(a, struct bundle_launch, p->nkernels);
	b->nlaunches = p->nkernels;
	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct lir_func *f = p->kernel[k].func;
		const struct lir_instrumented *checks = p->kernel[k].checks;
		const struct comp_text *text;
		uint32_t at;

		if (!comp_source(p, k, dialect, &text, e))
			return false;
		at = add_kernel(b, seen, text, f->contract, 0);
		if (checks && !text_of(p, checks->func, p->kernel[k].fill, dialect, &p->kernel[k].checked, &text, e))
			return false;
		if (checks)
			at = add_kernel(b, seen, text, f->contract, at);
		b->launch[k] = (struct bundle_launch){.name = f->name, .kernel = at - 1, .nargs = f->nparams,
		                                      .arg = p->kernel[k].arg, .nout = f->nout, .parallel = lir_has_parallel(f) && !p->kernel[k].alone};
		if (checks)
			add_reports(a, &p->kernel[k], b, &b->launch[k]);
	}
	return true;
}

/* How many buffers and outputs its checks add. */
static uint32_t count_extra(const struct comp_program *p, uint32_t *reports)
{
	uint32_t n = 0;

	*reports = 0;
	for (uint32_t k = 0; k < p->nkernels; k++)
		if (p->kernel[k].checks) {
			n += p->kernel[k].checks->nextra;
			++*reports;
		}
	return n;
}

bool comp_bundle(struct arena *a, struct comp_program *p, const char *dialect, struct bundle **out, struct err *e)
{
	struct bundle *b = ARENA_NEW(a, struct bundle);
	uint32_t reports, extra = count_extra(p, &reports);

	b->nbuffers = p->nbuffers;
	b->buffer = ARENA_ARRAY(a, struct bundle_buffer, (size_t)p->nbuffers + extra);
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct comp_buffer *from = &p->buffer[i];

		b->buffer[i] = (struct bundle_buffer){.name = from->name, .role = from->role, .dtype = from->dtype, .nd = from->nd,
		                                      .data = from->data, .hash = from->hash};
		memcpy(b->buffer[i].dim, from->dim, sizeof from->dim);
	}
	b->input = p->input;
	b->output = ARENA_ARRAY(a, uint32_t, (size_t)p->noutputs + reports);
	memcpy(b->output, p->output, p->noutputs * sizeof *p->output);
	b->ninputs = p->ninputs;
	b->noutputs = p->noutputs;
	*out = b;
	return bundle_kernels(a, p, dialect, b, e);
}

bool comp_has_kernel(const struct bundle *b, struct hash hash)
{
	for (uint32_t i = 0; i < b->nkernels; i++)
		if (hash_eq(b->kernel[i].hash, hash))
			return true;
	return false;
}

bool comp_refill(struct arena *a, struct comp_program *p, const char *dialect, const struct bundle *original, struct fill fill,
		 struct comp_program **out, struct err *e)
{
	struct comp_program *q = arena_memdup(a, p, sizeof *p);

	q->arena = a;
	q->kernel = arena_memdup(a, p->kernel, p->nkernels * sizeof *p->kernel);
	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct comp_text *text;

		if (!comp_source(p, k, dialect, &text, e))
			return false;
		if (comp_has_kernel(original, text->hash))
			continue;
		q->kernel[k].fill = fill;
		q->kernel[k].text = q->kernel[k].checked = NULL;
	}
	*out = q;
	return true;
}
