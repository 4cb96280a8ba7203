/* comp_interpret.c: a whole program in the reference interpreter */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "compile/compile_internal.h"

static size_t buffer_bytes(const struct comp_buffer *b)
{
	struct tensor t = {.dtype = b->dtype, .nd = b->nd};

	memcpy(t.dim, b->dim, sizeof t.dim);
	return tensor_bytes(&t);
}

static bool interpret(const struct comp_program *p, uint32_t kernel, const struct lir_interp_options *o, void *const *arg,
		      struct lir_interp_result *r, struct err *e)
{
	*r = (struct lir_interp_result){0};
	return lir_interp(p->kernel[kernel].func, arg, o, r, e) || err_in(e, "kernel '%s'", p->kernel[kernel].func->name);
}

bool comp_interpret_kernel(const struct comp_program *p, uint32_t kernel, void *const *arg, struct lir_interp_result *r, struct err *e)
{
	return interpret(p, kernel, &(struct lir_interp_options){0}, arg, r, e);
}

static bool run_kernels(struct arena *a, const struct comp_program *p, void *const *content, struct err *e)
{
	for (uint32_t k = 0; k < p->nkernels; k++) {
		const struct lir_func *f = p->kernel[k].func;
		void **arg = ARENA_ARRAY(a, void *, f->nparams);
		struct lir_interp_result r;

		for (uint32_t i = 0; i < f->nparams; i++)
			arg[i] = content[p->kernel[k].arg[i]];
		if (!interpret(p, k, &(struct lir_interp_options){.races = !p->kernel[k].alone}, arg, &r, e))
			return false;
		if (r.fault)
			return err_set(e, ERR_BAD_IR, "kernel '%s': %s", f->name, r.text);
	}
	return true;
}

bool comp_interpret(struct arena *a, const struct comp_program *p, const struct tensor *const *input, struct tensor **output, struct err *e)
{
	void **content = ARENA_ARRAY(a, void *, p->nbuffers);

	for (uint32_t i = 0; i < p->ninputs; i++)
		content[p->input[i]] = input[i]->data;
	for (uint32_t i = 0; i < p->nbuffers; i++)
		if (p->buffer[i].role == BUF_CONST)
			content[i] = (void *)p->buffer[i].data;
		else if (!content[i])
			content[i] = arena_zalloc(a, buffer_bytes(&p->buffer[i]));
	if (!run_kernels(a, p, content, e))
		return false;
	for (uint32_t i = 0; i < p->noutputs; i++) {
		const struct comp_buffer *b = &p->buffer[p->output[i]];

		output[i] = ARENA_NEW(a, struct tensor);
		output[i]->dtype = b->dtype;
		output[i]->nd = b->nd;
		memcpy(output[i]->dim, b->dim, sizeof b->dim);
		output[i]->data = content[p->output[i]];
	}
	return true;
}
