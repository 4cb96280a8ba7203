/* wire_prog.c: programs as bytes - made from a bundle by the pool, checked and understood by the worker */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "worker/wire.h"
#include "worker/worker.h"

static Wire__Buffer *encode_buffer(struct arena *a, const struct bundle_buffer *b)
{
	Wire__Buffer *w = ARENA_NEW(a, Wire__Buffer);

	wire__buffer__init(w);
	w->name = (char *)b->name;
	w->role = b->role;
	w->dtype = b->dtype;
	w->n_dim = (size_t)b->nd;
	w->dim = (int64_t *)b->dim;
	if (b->role == BUF_CONST)
		w->hash = wire_hash_put(ARENA_NEW(a, struct wire_hash), b->hash);
	return w;
}

static Wire__Launch *encode_launch(struct arena *a, const struct bundle_launch *l)
{
	Wire__Launch *w = ARENA_NEW(a, Wire__Launch);

	wire__launch__init(w);
	w->name = (char *)l->name;
	w->kernel = l->kernel;
	w->n_arg = l->nargs;
	w->arg = l->arg;
	w->nout = l->nout;
	w->parallel = l->parallel;
	return w;
}

static void fill_in(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, Wire__Program *out)
{
	Wire__Program p = WIRE__PROGRAM__INIT;

	p.n_buffer = b->nbuffers;
	p.buffer = ARENA_ARRAY(a, Wire__Buffer *, b->nbuffers);
	for (uint32_t i = 0; i < b->nbuffers; i++)
		p.buffer[i] = encode_buffer(a, &b->buffer[i]);
	p.n_kernel = b->nkernels;
	p.kernel = ARENA_ARRAY(a, Wire__Kernel *, b->nkernels);
	for (uint32_t i = 0; i < b->nkernels; i++) {
		p.kernel[i] = ARENA_NEW(a, Wire__Kernel);
		wire__kernel__init(p.kernel[i]);
		p.kernel[i]->artefact = wire_hash_put(ARENA_NEW(a, struct wire_hash), kernel[i].artefact);
		p.kernel[i]->code = wire_hash_put(ARENA_NEW(a, struct wire_hash), kernel[i].code);
		p.kernel[i]->groups = b->kernel[i].groups;
		p.kernel[i]->group = b->kernel[i].group;
		p.kernel[i]->plain = b->kernel[i].plain;
	}
	p.n_launch = b->nlaunches;
	p.launch = ARENA_ARRAY(a, Wire__Launch *, b->nlaunches);
	for (uint32_t i = 0; i < b->nlaunches; i++)
		p.launch[i] = encode_launch(a, &b->launch[i]);
	p.n_input = b->ninputs;
	p.input = b->input;
	p.n_output = b->noutputs;
	p.output = b->output;
	*out = p;
}

static bool pack(struct arena *a, const Wire__Program *p, uint8_t **out, size_t *n, struct err *e)
{
	*n = wire__program__get_packed_size(p);
	if (*n > WIRE_MAX_MESSAGE)
		return err_set(e, ERR_UNSUPPORTED, "a program described by %zu bytes is longer than a worker takes", *n);
	*out = arena_alloc(a, *n);
	wire__program__pack(p, *out);
	return true;
}

bool prog_encode(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, uint8_t **out, size_t *n, struct err *e)
{
	Wire__Program p;

	fill_in(a, b, kernel, &p);
	return pack(a, &p, out, n, e);
}

static bool decode_buffer(struct arena *a, const Wire__Buffer *w, struct prog *p, struct prog_buffer *b, struct err *e)
{
	int64_t n;

	b->name = arena_strdup(a, w->name);
	b->writer = -1;
	if (w->role > BUF_REPORT || w->dtype >= DT_COUNT || w->n_dim > MAX_DIMS || w->hash.len != (w->role == BUF_CONST ? 16u : 0u))
		return err_set(e, ERR_PARSE, "buffer '%s' has a role, type, rank or hash out of range", b->name);
	b->role = (enum buffer_role)w->role;
	b->dtype = (enum dtype)w->dtype;
	b->nd = (int)w->n_dim;
	for (int d = 0; d < b->nd; d++)
		b->dim[d] = w->dim[d];
	if (!dims_elements(b->dim, b->nd, &n))
		return err_set(e, ERR_PARSE, "buffer '%s' is too large", b->name);
	b->hash = wire_hash_get(w->hash);
	b->bytes = (size_t)n * dtype_size(b->dtype);
	p->bytes += b->bytes;
	if (p->bytes > (size_t)1 << 44) /* one buffer has 2^43 bytes at most, so the sum cannot wrap before this is seen */
		return err_set(e, ERR_PARSE, "the buffers are too large");
	return true;
}

/* A launch reads what is there already and writes what nobody wrote. ready: per buffer 0 nothing, 1 data, 2 data made of constants
 * only */
static bool decode_launch(struct arena *a, const Wire__Launch *w, struct prog *p, uint32_t k, uint8_t *ready, struct err *e)
{
	struct prog_launch *l = &p->launch[k];

	*l = (struct prog_launch){.name = arena_strdup(a, w->name),
				  .kernel = w->kernel,
				  .nargs = (uint32_t)w->n_arg,
				  .nout = w->nout,
				  .first_arg = p->nargs,
				  .parallel = w->parallel,
				  .constant = true};
	p->nargs += l->nargs;
	if (l->kernel >= p->nkernels || !l->nout || l->nout > l->nargs)
		return err_set(e, ERR_PARSE, "launch '%s' has a kernel or a number of outputs out of range", l->name);
	l->arg = arena_memdup(a, w->arg, l->nargs * sizeof *l->arg);
	for (uint32_t i = 0; i < l->nargs; i++)
		if (l->arg[i] >= p->nbuffers)
			return err_set(e, ERR_PARSE, "launch '%s' has an argument out of range", l->name);
	for (uint32_t i = 0; i < l->nargs - l->nout; i++) {
		if (!ready[l->arg[i]])
			return err_set(e, ERR_PARSE, "launch '%s' reads buffer '%s' before it is written", l->name,
				       p->buffer[l->arg[i]].name);
		l->constant = l->constant && ready[l->arg[i]] == 2;
	}
	for (uint32_t i = l->nargs - l->nout; i < l->nargs; i++) {
		struct prog_buffer *b = &p->buffer[l->arg[i]];

		if (ready[l->arg[i]])
			return err_set(e, ERR_PARSE, "launch '%s' writes buffer '%s', which is not its own", l->name, b->name);
		b->writer = (int32_t)k;
		ready[l->arg[i]] = l->constant ? 2 : 1;
	}
	return true;
}

static bool decode_list(struct arena *a, const uint32_t *from, size_t n, struct prog *p, const uint8_t *ready, uint32_t **out,
			struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (from[i] >= p->nbuffers || (ready ? !ready[from[i]] : p->buffer[from[i]].role != BUF_INPUT))
			return err_set(e, ERR_PARSE, "an %s of the program is no such buffer", ready ? "output" : "input");
	*out = arena_memdup(a, from, n * sizeof **out);
	return true;
}

/* Every input is given a tensor, once. */
static bool inputs_are_given(struct arena *a, const struct prog *p, struct err *e)
{
	bool *given = ARENA_ARRAY(a, bool, p->nbuffers);

	for (uint32_t k = 0; k < p->ninputs; k++) {
		if (given[p->input[k]])
			return err_set(e, ERR_PARSE, "the program names input '%s' twice", p->buffer[p->input[k]].name);
		given[p->input[k]] = true;
	}
	for (uint32_t i = 0; i < p->nbuffers; i++)
		if (p->buffer[i].role == BUF_INPUT && !given[i])
			return err_set(e, ERR_PARSE, "buffer '%s' is an input that the program does not name", p->buffer[i].name);
	return true;
}

/* They are the last of a list. */
static uint32_t count_reports(const struct prog *p, const uint32_t *buffer, uint32_t n)
{
	uint32_t count = 0;

	while (count < n && p->buffer[buffer[n - 1 - count]].role == BUF_REPORT)
		count++;
	return count;
}

/* Of what runs without instrumentation. */
static struct hash identity(const struct prog *p)
{
	struct hasher *h = hasher_new();

	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct prog_buffer *b = &p->buffer[i];

		if (b->role == BUF_REPORT)
			continue;
		hash_put_u64(h, (uint64_t)b->role << 32 | (uint64_t)b->dtype << 16 | (uint64_t)b->nd);
		for (int d = 0; d < b->nd; d++)
			hash_put_u64(h, (uint64_t)b->dim[d]);
		hash_put_hash(h, b->hash);
	}
	for (uint32_t k = 0; k < p->nlaunches; k++) {
		const struct prog_launch *l = &p->launch[k];
		const struct prog_kernel *plain = &p->kernel[p->kernel[l->kernel].plain];
		uint32_t reports = count_reports(p, l->arg, l->nargs);

		hash_put_hash(h, plain->code);
		hash_put_u64(h, plain->groups << 16 ^ plain->group);
		hash_put_u64(h, (uint64_t)(l->nargs - reports) << 32 | (l->nout - reports));
		hash_put_bytes(h, l->arg, (l->nargs - reports) * sizeof *l->arg);
	}
	hash_put_bytes(h, p->input, p->ninputs * sizeof *p->input);
	hash_put_bytes(h, p->output, (p->noutputs - count_reports(p, p->output, p->noutputs)) * sizeof *p->output);
	return hasher_end(h);
}

static bool decode(struct arena *a, const Wire__Program *w, struct prog *p, struct err *e)
{
	uint8_t *ready;

	p->nbuffers = (uint32_t)w->n_buffer;
	p->nkernels = (uint32_t)w->n_kernel;
	p->nlaunches = (uint32_t)w->n_launch;
	p->ninputs = (uint32_t)w->n_input;
	p->noutputs = (uint32_t)w->n_output;
	p->buffer = ARENA_ARRAY(a, struct prog_buffer, p->nbuffers);
	p->kernel = ARENA_ARRAY(a, struct prog_kernel, p->nkernels);
	p->launch = ARENA_ARRAY(a, struct prog_launch, p->nlaunches);
	ready = ARENA_ARRAY(a, uint8_t, p->nbuffers);
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		if (!decode_buffer(a, w->buffer[i], p, &p->buffer[i], e))
			return false;
		ready[i] = p->buffer[i].role == BUF_CONST ? 2 : p->buffer[i].role == BUF_INPUT;
	}
	for (uint32_t i = 0; i < p->nkernels; i++) {
		p->kernel[i] = (struct prog_kernel){wire_hash_get(w->kernel[i]->artefact), wire_hash_get(w->kernel[i]->code), w->kernel[i]->groups, w->kernel[i]->group,
		                                    w->kernel[i]->plain ? w->kernel[i]->plain - 1 : i};
		if (p->kernel[i].plain >= p->nkernels || w->kernel[p->kernel[i].plain]->plain)
			return err_set(e, ERR_PARSE, "kernel %u is the instrumented form of none", i);
		if (w->kernel[i]->artefact.len != 16 || w->kernel[i]->code.len != 16)
			return err_set(e, ERR_PARSE, "kernel %u has no hash", i);
		if (w->kernel[i]->groups > WIRE_MAX_GROUPS || w->kernel[i]->group > WIRE_MAX_GROUP || !w->kernel[i]->groups != !w->kernel[i]->group)
			return err_set(e, ERR_PARSE, "kernel %u is launched in groups out of range", i);
	}
	for (uint32_t i = 0; i < p->nlaunches; i++)
		if (!decode_launch(a, w->launch[i], p, i, ready, e))
			return false;
	return decode_list(a, w->input, w->n_input, p, NULL, &p->input, e) && inputs_are_given(a, p, e) &&
	       decode_list(a, w->output, w->n_output, p, ready, &p->output, e);
}

/* w says what the bytes say. */
static bool understand(struct arena *a, const Wire__Program *w, const uint8_t *bytes, size_t n, struct prog **out, struct err *e)
{
	struct prog *p = ARENA_NEW(a, struct prog);

	p->hash = hash_bytes(bytes, n);
	if (!decode(a, w, p, e))
		return err_in(e, "program");
	p->code = identity(p);
	*out = p;
	return true;
}

bool prog_make(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, uint8_t **bytes, size_t *n, struct prog **out,
	       struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	Wire__Program w;
	bool ok;

	fill_in(scratch, b, kernel, &w);
	ok = pack(a, &w, bytes, n, e) && understand(a, &w, *bytes, *n, out, e);
	arena_free(scratch);
	return ok;
}

bool prog_decode(struct arena *a, const uint8_t *bytes, size_t n, struct prog **out, struct err *e)
{
	Wire__Program *w =
	    n > WIRE_MAX_MESSAGE ? NULL : (Wire__Program *)wire_unpack_bounded(&wire__program__descriptor, n, bytes);
	bool ok;

	if (!w)
		return err_set(e, ERR_PARSE, "broken program");
	ok = understand(a, w, bytes, n, out, e);
	wire__program__free_unpacked(w, NULL);
	return ok;
}

/* Per buffer: does it depend on the program's inputs? */
static bool *varying(struct arena *a, const struct bundle *b)
{
	bool *varies = ARENA_ARRAY(a, bool, b->nbuffers);

	for (uint32_t i = 0; i < b->ninputs; i++)
		varies[b->input[i]] = true;
	for (uint32_t k = 0; k < b->nlaunches; k++) {
		const struct bundle_launch *l = &b->launch[k];
		bool any = false;

		for (uint32_t i = 0; i < l->nargs - l->nout; i++)
			any = any || varies[l->arg[i]];
		for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
			varies[l->arg[o]] = any;
	}
	return varies;
}

static uint64_t buffer_bytes(const struct bundle_buffer *b)
{
	int64_t n = 0;

	return dims_elements(b->dim, b->nd, &n) ? (uint64_t)n * dtype_size(b->dtype) : 0;
}

uint64_t pool_baseline_bytes(const struct bundle *b)
{
	struct arena *a = arena_new(NULL);
	const bool *varies = varying(a, b);
	uint64_t bytes = WIRE_KEPT_MORE;

	for (uint32_t k = 0; k < b->nlaunches; k++) {
		const struct bundle_launch *l = &b->launch[k];

		for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
			if (varies[l->arg[o]])
				bytes += wire_kept_bytes(b->buffer[l->arg[o]].dtype, buffer_bytes(&b->buffer[l->arg[o]]));
	}
	arena_free(a);
	return bytes;
}

void pool_planned_bytes(const struct bundle *b, uint64_t *constants, uint64_t *tensors)
{
	struct arena *a = arena_new(NULL);
	const bool *varies = varying(a, b);
	uint32_t *last = ARENA_ARRAY(a, uint32_t, b->nbuffers); /* launch + 1 */
	uint64_t now = 0;

	*constants = *tensors = 0;
	for (uint32_t k = 0; k < b->nlaunches; k++) {
		const struct bundle_launch *l = &b->launch[k];
		bool fixed = !varies[l->arg[l->nargs - 1]];

		for (uint32_t i = 0; i < l->nargs - l->nout && !fixed; i++) {
			*constants += varies[l->arg[i]] || last[l->arg[i]] ? 0 : buffer_bytes(&b->buffer[l->arg[i]]);
			last[l->arg[i]] = k + 1;
		}
	}
	for (uint32_t i = 0; i < b->noutputs; i++)
		last[b->output[i]] = b->nlaunches + 1;
	for (uint32_t i = 0; i < b->ninputs; i++)
		now += buffer_bytes(&b->buffer[b->input[i]]);
	for (uint32_t k = 0; k < b->nlaunches; k++) {
		const struct bundle_launch *l = &b->launch[k];

		for (uint32_t o = l->nargs - l->nout; o < l->nargs; o++)
			now += varies[l->arg[o]] ? buffer_bytes(&b->buffer[l->arg[o]]) : 0;
		*tensors = now > *tensors ? now : *tensors;
		for (uint32_t i = 0; i < l->nargs; i++)
			if (varies[l->arg[i]] && last[l->arg[i]] <= k + 1) {
				now -= buffer_bytes(&b->buffer[l->arg[i]]);
				last[l->arg[i]] = b->nlaunches + 1; /* once */
			}
	}
	arena_free(a);
}
