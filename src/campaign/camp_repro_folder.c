/* camp_repro_folder.c: the folder of a reproducer - kernels, tensors, tables, how it is built, what it shows */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/diff.h"
#include "base/file.h"
#include "base/str.h"
#include "campaign/camp_repro_internal.h"

extern const char repro_main[], repro_head[], repro_cpu[], repro_opencl[], repro_cuda[];

static bool put(struct repro *r, const char *name, const void *p, size_t n, struct err *e)
{
	const char *path = file_join(r->a, r->o->dir, name);

	return file_mkdirs(file_dir(r->a, path), e) && file_write(path, p, n, e);
}

static bool put_str(struct repro *r, const char *name, struct str *t, struct err *e)
{
	bool ok = put(r, name, str_text(t), t->n, e);

	str_free(t);
	return ok;
}

static void literal(struct str *t, const char *s)
{
	str_addc(t, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			str_addf(t, "\\%c", *s);
		else if ((unsigned char)*s < ' ' || (unsigned char)*s >= 0x7f)
			str_addf(t, "\\%03o", (unsigned char)*s);
		else
			str_addc(t, *s);
	}
	str_addc(t, '"');
}

/* Which launches of a side are in the folder, and which buffers and kernels these need. */
struct part {
	uint32_t *launch, nlaunches;
	uint32_t *buffer, nbuffers; /* place in the folder's table -> buffer */
	uint32_t *kernel, nkernels;
	bool *written;              /* per buffer of the bundle */
};

static uint32_t place(uint32_t *list, uint32_t *n, uint32_t x)
{
	for (uint32_t i = 0; i < *n; i++)
		if (list[i] == x)
			return i;
	list[(*n)++] = x;
	return *n - 1;
}

static void choose_part(struct repro *r, const struct bundle *b, struct part *p)
{
	*p = (struct part){.launch = ARENA_ARRAY(r->a, uint32_t, b->nlaunches + 1), .buffer = ARENA_ARRAY(r->a, uint32_t, b->nbuffers + 1),
			   .kernel = ARENA_ARRAY(r->a, uint32_t, b->nkernels + 1), .written = ARENA_ARRAY(r->a, bool, b->nbuffers + 1)};
	for (uint32_t i = r->whole ? 0 : r->launch; i < (r->whole ? b->nlaunches : r->launch + 1); i++) {
		const struct bundle_launch *l = &b->launch[i];

		p->launch[p->nlaunches++] = i;
		place(p->kernel, &p->nkernels, l->kernel);
		for (uint32_t k = 0; k < l->nargs; k++) {
			place(p->buffer, &p->nbuffers, l->arg[k]);
			if (k >= l->nargs - l->nout)
				p->written[l->arg[k]] = true;
		}
	}
}

static const char *suffix(const struct side *s, uint32_t kernel)
{
	if (!strcmp(s->caps->backend, "cuda"))
		return s->bundle->kernel[kernel].contract ? "fma.cu" : "cu";
	return !strcmp(s->caps->backend, "cpu") ? "c" : "cl";
}

static bool put_kernels(struct repro *r, const struct side *s, const struct part *p, struct err *e)
{
	for (uint32_t i = 0; i < p->nkernels; i++) {
		const char *source = s->bundle->kernel[p->kernel[i]].source;

		if (!put(r, arena_printf(r->a, "kernels/%s_%u.%s", s->name, i, suffix(s, p->kernel[i])), source, strlen(source), e))
			return false;
	}
	return true;
}

/* Is the buffer's end compared: all results of one launch, the scores of a whole program. */
static bool is_result(const struct repro *r, const struct side *s, const struct part *p, uint32_t b)
{
	if (!r->whole)
		return p->written[b];
	return b == s->bundle->output[r->model->output];
}

static bool put_data(struct repro *r, const struct side *s, const struct part *p, struct err *e)
{
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		uint32_t b = p->buffer[i];
		const void *v = repro_value(s, b);
		const struct side *from = s;

		if (!v && !p->written[b]) /* a side that crashed: the other one has the same inputs */
			for (uint32_t k = 0; k < r->side[0].bundle->nbuffers && !v; k++)
				if (!strcmp(r->side[0].bundle->buffer[k].name, s->bundle->buffer[b].name))
					v = repro_value(from = &r->side[0], k);
		if (!p->written[b] && !v)
			return err_set(e, ERR_DEVICE, "nobody knows what lies in '%s'; try --whole", s->bundle->buffer[b].name);
		if ((!p->written[b] || is_result(r, s, p, b)) && v &&
		    !put(r, arena_printf(r->a, "data/%s_%u.bin", s->name, i), v, repro_bytes(&s->bundle->buffer[b]), e))
			return false;
	}
	return true;
}

/* The other side's file of the same result; NULL. */
static const char *reference(struct repro *r, const struct part *other, const struct bundle_buffer *b)
{
	const struct side *s = &r->side[0];

	for (uint32_t i = 0; i < other->nbuffers; i++) {
		const struct bundle_buffer *o = &s->bundle->buffer[other->buffer[i]];

		if ((r->whole ? o->role == BUF_OUTPUT && is_result(r, s, other, other->buffer[i]) : !strcmp(o->name, b->name)) &&
		    repro_bytes(o) == repro_bytes(b) && repro_value(s, other->buffer[i]))
			return arena_printf(r->a, "data/%s_%u.bin", s->name, i);
	}
	return NULL;
}

static void put_buffers(struct repro *r, const struct side *s, const struct part *p, const struct part *other, struct str *t)
{
	const struct fill nan = {FILL_NAN, 0};

	str_addf(t, "static const struct buffer %s_buffer[] = {\n", s->name);
	for (uint32_t i = 0; i < p->nbuffers; i++) {
		const struct bundle_buffer *b = &s->bundle->buffer[p->buffer[i]];
		bool written = p->written[p->buffer[i]], result = is_result(r, s, p, p->buffer[i]) && repro_value(s, p->buffer[i]);
		bool blob = b->role == BUF_CONST || b->role == BUF_INPUT;
		const char *ref = s == &r->side[1] && is_result(r, s, p, p->buffer[i]) ? reference(r, other, b) : NULL;

		str_add(t, "\t{");
		literal(t, b->name);
		str_addf(t, ", \"%s\", %zu, %zu, %zu, 0x%llxu, ", dtype_name(b->dtype), repro_bytes(b), dtype_size(b->dtype), BUNDLE_PAD * dtype_size(b->dtype),
			 (unsigned long long)(blob ? FILLING_OF_BLOBS : filling_of_pads(nan, b->name, b->dtype).word));
		str_addf(t, written ? "NULL, " : "\"data/%s_%u.bin\", ", s->name, i);
		if (result)
			str_addf(t, "\"data/%s_%u.bin\", ", s->name, i);
		else
			str_add(t, "NULL, ");
		str_addf(t, ref ? "\"%s\", " : "NULL, ", ref);
		str_addf(t, "%d},\n", written);
	}
	str_add(t, "};\n");
}

static void put_launches(struct repro *r, const struct side *s, struct part *p, struct str *t)
{
	bool cpu = !strcmp(s->caps->backend, "cpu");

	str_addf(t, "static const char *const %s_kernel[] = {\n", s->name);
	for (uint32_t i = 0; i < p->nkernels; i++)
		str_addf(t, "\t\"%s/%s_%u.%s\",\n", cpu ? "build" : "kernels", s->name, i, cpu ? "so" : suffix(s, p->kernel[i]));
	str_addf(t, "};\nstatic const struct launch %s_launch[] = {\n", s->name);
	for (uint32_t i = 0; i < p->nlaunches; i++) {
		const struct bundle_launch *l = &s->bundle->launch[p->launch[i]];
		const struct bundle_kernel *k = &s->bundle->kernel[l->kernel];

		str_add(t, "\t{");
		literal(t, l->name);
		str_addf(t, ", %u, %u, {", place(p->kernel, &p->nkernels, l->kernel), l->nargs);
		for (uint32_t j = 0; j < l->nargs; j++)
			str_addf(t, "%s%u", j ? ", " : "", place(p->buffer, &p->nbuffers, l->arg[j]));
		str_addf(t, "}, %llu, %u},\n", (unsigned long long)k->groups, k->group);
	}
	str_add(t, "};\n\n");
	(void)r;
}

static bool put_tables(struct repro *r, struct part *p, struct err *e)
{
	struct str t = {0};

	str_addf(&t, "/* tables.h: the programs of this folder */\n\n#define REFERENCE \"%s\"\n\n",
		 r->o->against ? arena_printf(r->a, "device '%s'", r->o->against) : "the original");
	for (size_t i = 0; i < 2; i++) {
		if (!r->side[i].run)
			continue;
		put_buffers(r, &r->side[i], &p[i], &p[0], &t);
		put_launches(r, &r->side[i], &p[i], &t);
	}
	str_add(&t, "static const struct program programs[] = {\n");
	for (size_t i = 0; i < 2; i++) {
		const struct side *s = &r->side[i];

		if (!s->run)
			continue;
		str_add(&t, "\t{");
		literal(&t, s->title);
		str_addf(&t, ", \"%s\", %s_kernel, %u, %s_buffer, %u, %s_launch, %u},\n", s->ends, s->name, p[i].nkernels, s->name, p[i].nbuffers, s->name,
			 p[i].nlaunches);
	}
	str_add(&t, "};\n");
	return put_str(r, "tables.h", &t, e);
}

/* The length of a shell's word that means itself: plain characters, or all of it in single quotes. 0: it is none. */
static size_t plain_word(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,./:");
	const char *end;

	if (n || *s != '\'')
		return n;
	while ((end = strpbrk(s + n + 1, "'\n\r")) && *end == '\'') {
		n = (size_t)(end + 1 - s);
		if (strncmp(s + n, "\\''", 3))
			return n;
		n += 2; /* of a quote written '\'' the last one opens again */
	}
	return 0;
}

/* The user will run it, and a worker elsewhere may say anything: it must be the device's own compiler with words that mean themselves, none of
 * which makes that compiler start something else. */
static bool build_is_compiler(const char *line, const char *cc)
{
	static const char *const starters[] = {"-wrapper", "--wrapper", "-fplugin", "-specs", "--specs", "-B", "-load", "-Xclang", "@"};
	size_t n = strlen(cc);

	if (strncmp(line, cc, n) || line[n] != ' ')
		return false;
	for (line += n; *line; line += n) {
		if (*line++ != ' ' || !(n = plain_word(line)))
			return false;
		for (size_t i = 0; i < sizeof starters / sizeof *starters; i++)
			if (!strncmp(line + (*line == '\''), starters[i], strlen(starters[i])))
				return false;
	}
	return true;
}

/* Commands for a kernel; what is not to be trusted as one is a remark, and the script ends there. */
static void add_kernel_build(struct str *t, const struct side *s, uint32_t k)
{
	const char *cc = s->def.cc ? s->def.cc : "gcc";

	if (build_is_compiler(s->caps->build, cc)) {
		str_addf(t, "%s -o build/%s_%u.so -x c kernels/%s_%u.c\n", s->caps->build, s->name, k, s->name, k);
		return;
	}
	str_addf(t, "# The worker of '");
	for (const char *p = s->device; *p; p++)
		str_addc(t, *p >= ' ' && *p < 127 ? *p : '?');
	str_add(t, "' says that it built kernels with what is no plain call of its compiler. Read it before you build with it:\n# ");
	for (const char *p = s->caps->build; *p; p++)
		str_addc(t, *p >= ' ' && *p < 127 ? *p : '?');
	str_addf(t, "\necho 'build.sh: build kernels/%s_%u.c into build/%s_%u.so by hand: see the remark in this file' >&2\nexit 1\n", s->name, k, s->name, k);
}

static bool put_build(struct repro *r, const struct part *p, struct err *e)
{
	const char *backend = r->side[1].caps->backend;
	struct str t = {0}, options = {0};
	bool cpu = !strcmp(backend, "cpu"), cuda = !strcmp(backend, "cuda");

	str_addf(&t, "#!/bin/sh\n# Builds ./reproduce\n%scd \"$(dirname \"$0\")\"\nmkdir -p build\n", !cpu && !cuda ? "" : "set -e\n");
	for (size_t i = 0; i < 2 && cpu; i++)
		for (uint32_t k = 0; r->side[i].run && k < p[i].nkernels; k++)
			add_kernel_build(&t, &r->side[i], k);
	if (cpu) {
		str_add(&t, "${CC:-cc} -std=gnu11 -O1 -o reproduce main.c device.c -ldl -lm\n");
	} else {
		str_add(&options, "/* options.c: how kernels are built, and on which device */\nextern const char build_options[], device_select[];\n"
				  "const char build_options[] = ");
		literal(&options, r->side[1].caps->build);
		str_add(&options, ";\nconst char device_select[] = ");
		literal(&options, r->side[1].def.select ? r->side[1].def.select : "");
		str_add(&options, ";\n");
		str_add(&t, cuda ? "CUDA=${CUDA_HOME:-/usr/local/cuda}\n${CC:-cc} -std=gnu11 -O1 -I\"$CUDA/include\" -o reproduce main.c device.c options.c "
				   "-L\"$CUDA/lib64\" -L\"$CUDA/lib64/stubs\" -lnvrtc -lcuda -lm\n"
				 : "for library in -lOpenCL -l:libOpenCL.so.1; do # the second: without a package for developers\n"
				   "\t${CC:-cc} -std=gnu11 -O1 -o reproduce main.c device.c options.c $library -lm && exit\ndone\nexit 1\n");
	}
	if ((options.n && !put_str(r, "options.c", &options, e)) || !put_str(r, "build.sh", &t, e))
		return false;
	return !chmod(file_join(r->a, r->o->dir, "build.sh"), 0755) || err_set(e, ERR_IO, "cannot make '%s/build.sh' executable", r->o->dir);
}

static bool put_diff(struct repro *r, struct err *e)
{
	struct str t = {0};
	char *ir = NULL;

	if (!r->is_original && !camp_ir_diff(r->a, &r->program[1], &r->mutant, &ir, e))
		return false;
	if (ir)
		str_addf(&t, "%s\n", ir);
	for (uint32_t i = 0; !r->is_original && repro_same_launches(r->program[1].bundle, r->side[1].bundle) && i < r->side[1].bundle->nlaunches; i++) {
		const struct bundle *a = r->program[1].bundle, *b = r->side[1].bundle;
		const struct bundle_kernel *k = &a->kernel[a->launch[i].kernel], *l = &b->kernel[b->launch[i].kernel];

		if (!hash_eq(k->hash, l->hash))
			text_diff(&t, "original", k->source, b->launch[i].name, l->source, 3);
	}
	return put_str(r, "mutant.diff", &t, e);
}

static void about_side(const struct side *s, struct str *t)
{
	str_addf(t, "- %s: device `%s` (%s)\n  - identity: `%s`\n  - kernels are built with: `%s`\n  - what it did: %s\n", s->title, s->device, s->caps->describe,
		 s->caps->identity, *s->caps->build ? s->caps->build : "unknown",
		 *s->ends ? (!strcmp(s->ends, "hang") ? "it did not end" : s->r.text) : s->r.status == POOL_OVERRUN ? s->r.text : "it ran to its end");
}

static bool put_readme(struct repro *r, struct err *e)
{
	struct str t = {0};

	str_addf(&t, "# %s\n\n", r->is_original ? arena_printf(r->a, "`%s` against `%s`", r->o->device, r->o->against)
						: arena_printf(r->a, "`%s` on `%s`", r->o->mutant, r->o->device));
	str_addf(&t, "    ./build.sh && ./reproduce\n\nExit status 0 when everything is as it was seen, 1 when it is not, 2 when it cannot be run.\n\n");
	str_addf(&t, "Model `%s`, image `%s`, opt-level %d. ", r->set.model, r->image.name, r->set.opt_level);
	if (r->whole)
		str_addf(&t, "The whole program is here, from the preprocessed picture to the scores.\n\n");
	else
		str_addf(&t, "One launch is here, `%s`: the first whose result differs. Its inputs are those of the unchanged network.\n\n",
			 r->side[1].bundle->launch[r->launch].name);
	about_side(&r->side[0], &t);
	about_side(&r->side[1], &t);
	if (!r->is_original)
		str_addf(&t, "- the campaign's verdict on `%s`: %s\n", r->o->device, outcome_name(r->verdict.outcome));
	str_addf(&t, "- these results are %s\n", r->out->as_stored ? "bit for bit what the campaign saw" : "NOT what the campaign saw: something has changed since");
	str_add(&t, "\n| file | |\n|---|---|\n| `kernels/` | the code that the device compiles |\n| `data/` | raw tensors, little endian: inputs, and what came out "
		    "|\n| `tables.h` | which kernels are launched on which buffers, in order |\n| `main.c`, `device.c` | the host program: it needs nothing but the "
		    "device's own interface |\n");
	if (!r->is_original)
		str_add(&t, "| `mutant.diff` | what the mutant changes, in the intermediate representation and in the source |\n");
	str_addf(&t, "\nMemory that nobody wrote is all ones; around each tensor lie %d elements of a known pattern. Made by mutatenn %s.\n", BUNDLE_PAD,
		 MUTATENN_VERSION);
	return put_str(r, "README.md", &t, e);
}

bool repro_write(struct repro *r, struct err *e)
{
	const char *backend = r->side[1].caps->backend;
	const char *device = !strcmp(backend, "cpu") ? repro_cpu : !strcmp(backend, "opencl") ? repro_opencl : !strcmp(backend, "cuda") ? repro_cuda : NULL;
	struct part p[2];

	if (!device)
		return err_set(e, ERR_UNSUPPORTED, "there is no reproducer for the backend '%s' yet; cpu, opencl and cuda have one", backend);
	r->side[0].run = !strcmp(r->side[0].caps->backend, backend);
	for (size_t i = 0; i < 2; i++) {
		choose_part(r, r->side[i].bundle, &p[i]);
		for (uint32_t k = 0; k < p[i].nlaunches; k++)
			if (r->side[i].bundle->launch[p[i].launch[k]].nargs > 64)
				return err_set(e, ERR_UNSUPPORTED, "a launch of more than 64 tensors");
		if ((r->side[i].run && !put_kernels(r, &r->side[i], &p[i], e)) || !put_data(r, &r->side[i], &p[i], e))
			return false;
	}
	return put_tables(r, p, e) && put(r, "main.c", repro_main, strlen(repro_main), e) && put(r, "repro.h", repro_head, strlen(repro_head), e) &&
	       put(r, "device.c", device, strlen(device), e) && put_build(r, p, e) && (r->is_original || put_diff(r, e)) && put_readme(r, e);
}
