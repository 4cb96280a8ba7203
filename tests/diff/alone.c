/* alone.c: one kernel of a program as a program of its own */
#include <string.h>

#include "alone.h"
#include "base/arena.h"

struct tensor alone_tensor(const struct comp_buffer *b, void *data)
{
	struct tensor t = {.dtype = b->dtype, .nd = b->nd, .data = data};

	memcpy(t.dim, b->dim, sizeof t.dim);
	return t;
}

size_t alone_bytes(const struct comp_buffer *b)
{
	struct tensor t = alone_tensor(b, NULL);

	return tensor_bytes(&t);
}

struct comp_program *alone(struct arena *a, const struct comp_program *p, uint32_t k, struct lir_func *f)
{
	struct comp_program *q = ARENA_NEW(a, struct comp_program);
	const struct comp_kernel *from = &p->kernel[k];

	*q = (struct comp_program){.arena = a,
				   .graph = p->graph,
				   .nkernels = 1,
				   .nbuffers = f->nparams,
				   .noutputs = f->nout,
				   .ninputs = f->nparams - f->nout};
	q->kernel = ARENA_NEW(a, struct comp_kernel);
	*q->kernel = (struct comp_kernel){.func = f, .node = from->node, .arg = ARENA_ARRAY(a, uint32_t, f->nparams)};
	q->buffer = ARENA_ARRAY(a, struct comp_buffer, f->nparams);
	q->input = ARENA_ARRAY(a, uint32_t, f->nparams);
	q->output = ARENA_ARRAY(a, uint32_t, f->nparams);
	for (uint32_t i = 0; i < f->nparams; i++) {
		bool out = i >= f->nparams - f->nout;

		q->kernel->arg[i] = i;
		q->buffer[i] = p->buffer[from->arg[i]];
		q->buffer[i].role = out ? BUF_OUTPUT : BUF_INPUT;
		q->buffer[i].data = NULL;
		if (out)
			q->output[i - q->ninputs] = i;
		else
			q->input[i] = i;
	}
	q->kernel_by_name = p->kernel_by_name;
	return q;
}
