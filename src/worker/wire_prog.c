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

static Wire__Kernel *encode_kernel(struct arena *a, const struct bundle_kernel *b, const struct prog_kernel *id)
{
	Wire__Kernel *w = ARENA_NEW(a, Wire__Kernel);

	wire__kernel__init(w);
	w->artefact = wire_hash_put(ARENA_NEW(a, struct wire_hash), id->artefact);
	w->code = wire_hash_put(ARENA_NEW(a, struct wire_hash), id->code);
	w->groups = b->groups;
	w->group = b->group;
	w->plain = b->plain;
	return w;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || !strcmp(a, b);
}

static bool same_buffer(const struct bundle_buffer *a, const struct bundle_buffer *b)
{
	return a->role == b->role && a->dtype == b->dtype && a->nd == b->nd && !memcmp(a->dim, b->dim, (size_t)a->nd * sizeof *a->dim) &&
	       (a->role != BUF_CONST || hash_eq(a->hash, b->hash)) && same_text(a->name, b->name);
}

static bool same_kernel(const struct bundle_kernel *a, const struct bundle_kernel *b, const struct prog_kernel *x, const struct prog_kernel *y)
{
	return hash_eq(x->artefact, y->artefact) && hash_eq(x->code, y->code) && a->groups == b->groups && a->group == b->group && a->plain == b->plain;
}

static bool same_launch(const struct bundle_launch *a, const struct bundle_launch *b)
{
	return a->kernel == b->kernel && a->nargs == b->nargs && a->nout == b->nout && a->parallel == b->parallel &&
	       (a->arg == b->arg || !memcmp(a->arg, b->arg, a->nargs * sizeof *a->arg)) && same_text(a->name, b->name);
}

/* All of it, or what differs from the base. */
static void fill_in(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, const struct prog_base *base, Wire__Program *out)
{
	const struct bundle none = {0}, *from = base ? base->bundle : &none;
	Wire__Program p = WIRE__PROGRAM__INIT;

	p.buffer = ARENA_ARRAY(a, Wire__Buffer *, b->nbuffers);
	p.buffer_at = ARENA_ARRAY(a, uint32_t, b->nbuffers);
	for (uint32_t i = 0; i < b->nbuffers; i++)
		if (i >= from->nbuffers || !same_buffer(&b->buffer[i], &from->buffer[i])) {
			p.buffer_at[p.n_buffer] = i;
			p.buffer[p.n_buffer++] = encode_buffer(a, &b->buffer[i]);
		}
	p.kernel = ARENA_ARRAY(a, Wire__Kernel *, b->nkernels);
	p.kernel_at = ARENA_ARRAY(a, uint32_t, b->nkernels);
	for (uint32_t i = 0; i < b->nkernels; i++)
		if (i >= from->nkernels || !same_kernel(&b->kernel[i], &from->kernel[i], &kernel[i], &base->kernel[i])) {
			p.kernel_at[p.n_kernel] = i;
			p.kernel[p.n_kernel++] = encode_kernel(a, &b->kernel[i], &kernel[i]);
		}
	p.launch = ARENA_ARRAY(a, Wire__Launch *, b->nlaunches);
	p.launch_at = ARENA_ARRAY(a, uint32_t, b->nlaunches);
	for (uint32_t i = 0; i < b->nlaunches; i++)
		if (i >= from->nlaunches || !same_launch(&b->launch[i], &from->launch[i])) {
			p.launch_at[p.n_launch] = i;
			p.launch[p.n_launch++] = encode_launch(a, &b->launch[i]);
		}
	p.n_input = b->ninputs;
	p.input = b->input;
	p.n_output = b->noutputs;
	p.output = b->output;
	if (base) {
		p.original = wire_hash_put(ARENA_NEW(a, struct wire_hash), base->prog->hash);
		p.n_buffer_at = p.n_buffer;
		p.n_kernel_at = p.n_kernel;
		p.n_launch_at = p.n_launch;
		p.buffers = b->nbuffers;
		p.kernels = b->nkernels;
		p.launches = b->nlaunches;
	}
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

bool prog_encode(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, const struct prog_base *base, uint8_t **out, size_t *n, struct err *e)
{
	Wire__Program p;

	fill_in(a, b, kernel, base, &p);
	return pack(a, &p, out, n, e);
}

static bool decode_buffer(struct arena *a, const Wire__Buffer *w, struct prog_buffer *b, struct err *e)
{
	int64_t n;

	*b = (struct prog_buffer){0};
	b->name = arena_strdup(a, w->name);
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
	return true;
}

static bool decode_kernel(const Wire__Kernel *w, uint32_t i, struct prog_kernel *k, struct err *e)
{
	*k = (struct prog_kernel){wire_hash_get(w->artefact), wire_hash_get(w->code), w->groups, w->group, w->plain ? w->plain - 1 : i};
	if (w->artefact.len != 16 || w->code.len != 16)
		return err_set(e, ERR_PARSE, "kernel %u has no hash", i);
	if (w->groups > WIRE_MAX_GROUPS || w->group > WIRE_MAX_GROUP || !w->groups != !w->group)
		return err_set(e, ERR_PARSE, "kernel %u is launched in groups out of range", i);
	return true;
}

static void decode_launch(struct arena *a, const Wire__Launch *w, struct prog_launch *l)
{
	*l = (struct prog_launch){.name = arena_strdup(a, w->name), .kernel = w->kernel, .nargs = (uint32_t)w->n_arg, .nout = w->nout, .parallel = w->parallel};
	l->arg = arena_memdup(a, w->arg, l->nargs * sizeof *l->arg);
}

/* ready: per buffer 0 nothing, 1 data, 2 data made of constants only */
static bool check_buffers(struct prog *p, uint8_t *ready, struct err *e)
{
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		struct prog_buffer *b = &p->buffer[i];

		b->writer = -1;
		ready[i] = b->role == BUF_CONST ? 2 : b->role == BUF_INPUT;
		p->bytes += b->bytes;
		if (p->bytes > (size_t)1 << 44) /* one buffer has 2^43 bytes at most, so the sum cannot wrap before this is seen */
			return err_set(e, ERR_PARSE, "the buffers are too large");
	}
	return true;
}

static bool check_kernels(const struct prog *p, struct err *e)
{
	for (uint32_t i = 0; i < p->nkernels; i++) {
		uint32_t plain = p->kernel[i].plain;

		if (plain >= p->nkernels || p->kernel[plain].plain != plain)
			return err_set(e, ERR_PARSE, "kernel %u is the instrumented form of none", i);
	}
	return true;
}

/* A launch reads what is there already and writes what nobody wrote. */
static bool check_launch(struct prog *p, uint32_t k, uint8_t *ready, struct err *e)
{
	struct prog_launch *l = &p->launch[k];

	l->first_arg = p->nargs;
	l->constant = true;
	p->nargs += l->nargs;
	if (l->kernel >= p->nkernels || !l->nout || l->nout > l->nargs)
		return err_set(e, ERR_PARSE, "launch '%s' has a kernel or a number of outputs out of range", l->name);
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

/* Places for n entries, which take those of a list of which `had` are there and which has `all` in the end. */
static bool places_ok(const uint32_t *at, size_t nat, size_t n, uint32_t had, uint32_t all)
{
	size_t behind = all > had ? all - had : 0, seen = 0;

	if (nat != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (at[i] >= all || (i && at[i] <= at[i - 1]))
			return false;
		seen += at[i] >= had;
	}
	return seen == behind; /* every new one is said */
}

/* The program as the message has it, nothing of it checked that is about more than one part. */
static bool put_together(struct arena *a, const Wire__Program *w, const struct prog *base, struct prog *p, struct err *e)
{
	static const struct prog none = {0};
	const struct prog *from = w->original.len ? base : &none;

	if (w->original.len && (!base || !hash_eq(wire_hash_get(w->original), base->hash)))
		return err_set(e, ERR_PARSE, "differences to another program than the original's");
	p->nbuffers = w->original.len ? w->buffers : (uint32_t)w->n_buffer;
	p->nkernels = w->original.len ? w->kernels : (uint32_t)w->n_kernel;
	p->nlaunches = w->original.len ? w->launches : (uint32_t)w->n_launch;
	if (w->original.len && (!places_ok(w->buffer_at, w->n_buffer_at, w->n_buffer, from->nbuffers, p->nbuffers) ||
			    !places_ok(w->kernel_at, w->n_kernel_at, w->n_kernel, from->nkernels, p->nkernels) ||
			    !places_ok(w->launch_at, w->n_launch_at, w->n_launch, from->nlaunches, p->nlaunches)))
		return err_set(e, ERR_PARSE, "differences to the original that have no place in it");
	p->ninputs = (uint32_t)w->n_input;
	p->noutputs = (uint32_t)w->n_output;
	p->buffer = ARENA_ARRAY(a, struct prog_buffer, p->nbuffers);
	p->kernel = ARENA_ARRAY(a, struct prog_kernel, p->nkernels);
	p->launch = ARENA_ARRAY(a, struct prog_launch, p->nlaunches);
#define TAKE(list, n) \
	if (from->n) \
	memcpy(p->list, from->list, (from->n < p->n ? from->n : p->n) * sizeof *p->list)
	TAKE(buffer, nbuffers);
	TAKE(kernel, nkernels);
	TAKE(launch, nlaunches);
#undef TAKE
	for (uint32_t i = 0; i < w->n_buffer; i++)
		if (!decode_buffer(a, w->buffer[i], &p->buffer[w->original.len ? w->buffer_at[i] : i], e))
			return false;
	for (uint32_t i = 0; i < w->n_kernel; i++) {
		uint32_t at = w->original.len ? w->kernel_at[i] : i;

		if (!decode_kernel(w->kernel[i], at, &p->kernel[at], e))
			return false;
	}
	for (uint32_t i = 0; i < w->n_launch; i++)
		decode_launch(a, w->launch[i], &p->launch[w->original.len ? w->launch_at[i] : i]);
	return true;
}

static bool decode(struct arena *a, const Wire__Program *w, const struct prog *base, struct prog *p, struct err *e)
{
	uint8_t *ready;

	if (!put_together(a, w, base, p, e))
		return false;
	ready = ARENA_ARRAY(a, uint8_t, p->nbuffers);
	if (!check_buffers(p, ready, e) || !check_kernels(p, e))
		return false;
	for (uint32_t i = 0; i < p->nlaunches; i++)
		if (!check_launch(p, i, ready, e))
			return false;
	return decode_list(a, w->input, w->n_input, p, NULL, &p->input, e) && inputs_are_given(a, p, e) &&
	       decode_list(a, w->output, w->n_output, p, ready, &p->output, e);
}

/* w says what the bytes say. */
static bool understand(struct arena *a, const Wire__Program *w, const uint8_t *bytes, size_t n, const struct prog *base, struct prog **out, struct err *e)
{
	struct prog *p = ARENA_NEW(a, struct prog);

	p->hash = hash_bytes(bytes, n);
	if (!decode(a, w, base, p, e))
		return err_in(e, "program");
	*out = p;
	return true;
}

bool prog_make(struct arena *a, const struct bundle *b, const struct prog_kernel *kernel, const struct prog_base *base, uint8_t **bytes, size_t *n,
	       struct prog **out, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	Wire__Program w;
	bool ok;

	fill_in(scratch, b, kernel, base, &w);
	ok = pack(a, &w, bytes, n, e) && understand(a, &w, *bytes, *n, base ? base->prog : NULL, out, e);
	if (ok)
		(*out)->code = identity(*out);
	arena_free(scratch);
	return ok;
}

bool prog_decode(struct arena *a, const uint8_t *bytes, size_t n, const struct prog *base, struct prog **out, struct err *e)
{
	Wire__Program *w =
	    n > WIRE_MAX_MESSAGE ? NULL : (Wire__Program *)wire_unpack_bounded(&wire__program__descriptor, n, bytes);
	bool ok;

	if (!w)
		return err_set(e, ERR_PARSE, "broken program");
	ok = understand(a, w, bytes, n, base, out, e);
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
