/* comp_bundle.c: emit a program's kernels and wrap it up for a device */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codegen/codegen.h"
#include "compile/compile_internal.h"

bool comp_source(struct comp_program *p, uint32_t kernel, const char *dialect, const struct comp_text **out, struct err *e)
{
	struct comp_kernel *k = &p->kernel[kernel];
	struct comp_text t = {.dialect = dialect, .next = k->text};
	struct str s = {0};
	bool ok;

	for (const struct comp_text *have = k->text; have; have = have->next)
		if (!strcmp(have->dialect, dialect)) {
			*out = have;
			return true;
		}
	ok = codegen_emit_filled(dialect, k->func, k->fill, &s, &t.shape, e) || err_in(e, "kernel '%s'", k->func->name);
	if (ok) {
		t.dialect = arena_strdup(p->arena, dialect);
		t.source = arena_strndup(p->arena, str_text(&s), s.n);
		*out = k->text = arena_memdup(p->arena, &t, sizeof t);
	}
	str_free(&s);
	return ok;
}

static struct hash kernel_hash(const char *source, bool contract)
{
	struct hasher *h = hasher_new();

	hash_put_text(h, source);
	hash_put_u64(h, contract);
	return hasher_end(h);
}

static bool bundle_kernels(struct arena *a, struct comp_program *p, const char *dialect, struct bundle *b, struct err *e)
{
	struct map *seen = map_new(a);

	b->kernel = ARENA_ARRAY(a, struct bundle_kernel, p->nkernels);
	b->launch = ARENA_ARRAY(a, struct bundle_launch, p->nkernels);
	b->nlaunches = p->nkernels;
	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct lir_func *f = p->kernel[k].func;
		const struct comp_text *text;
		struct hash hash;
		uintptr_t at;

		if (!comp_source(p, k, dialect, &text, e))
			return false;
		hash = kernel_hash(text->source, f->contract);
		at = (uintptr_t)map_get_hash(seen, hash);
		if (!at) {
			b->kernel[b->nkernels++] = (struct bundle_kernel){
			        .source = text->source, .contract = f->contract, .hash = hash, .groups = text->shape.groups, .group = text->shape.group,
			        .fills = text->shape.fills};
			at = b->nkernels;
			map_put_hash(seen, hash, (void *)at);
		}
		b->launch[k] = (struct bundle_launch){.name = f->name, .kernel = (uint32_t)at - 1, .nargs = f->nparams,
		                                      .arg = p->kernel[k].arg, .nout = f->nout, .parallel = lir_has_parallel(f) && !p->kernel[k].alone};
	}
	return true;
}

bool comp_bundle(struct arena *a, struct comp_program *p, const char *dialect, struct bundle **out, struct err *e)
{
	struct bundle *b = ARENA_NEW(a, struct bundle);

	b->nbuffers = p->nbuffers;
	b->buffer = ARENA_ARRAY(a, struct bundle_buffer, p->nbuffers);
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct comp_buffer *from = &p->buffer[i];

		b->buffer[i] = (struct bundle_buffer){.name = from->name, .role = from->role, .dtype = from->dtype, .nd = from->nd,
		                                      .data = from->data, .hash = from->hash};
		memcpy(b->buffer[i].dim, from->dim, sizeof from->dim);
	}
	b->input = p->input;
	b->output = p->output;
	b->ninputs = p->ninputs;
	b->noutputs = p->noutputs;
	*out = b;
	return bundle_kernels(a, p, dialect, b, e);
}

static bool has_kernel(const struct bundle *b, struct hash hash)
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
		if (has_kernel(original, kernel_hash(text->source, p->kernel[k].func->contract)))
			continue;
		q->kernel[k].fill = fill;
		q->kernel[k].text = NULL;
	}
	*out = q;
	return true;
}
