/* torture.c: kernels that do by construction the worst they can; the parent lives, every row is right, nothing is left behind
 *
 * usage: torture DEVICE RUNS [FIRST]    DEVICE: gcc, clang, pocl or cuda; RUNS kinds of kinds.def in turn, each with another variant
 *
 * The text of the kernels is written straight into bundles: no mutation operator makes such code. Between them ordinary mutants and the
 * original run, whose results must be what they always are. Exit status 77: cannot be done here.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/reap.h"
#include "worker/child.h"
#include "worker/worker.h"

#define N 1000
#define IMAGES 2
#define WAVE 24 /* jobs under way */
#define LIMIT_S 0.5
#define LEFT "mutatenn-torture-left"

enum { CRASHED = 1u << POOL_CRASHED, HUNG = 1u << POOL_HUNG, OVERRUN = 1u << POOL_OVERRUN, DONE = 1u << POOL_DONE, RIGHT = 1u << 20, SYSCALL = 1u << 21 };
#define ANY (CRASHED | HUNG | OVERRUN | DONE)
enum { LIMIT = 1, PARALLEL = 2, TIMED = 4, LOAD = 8, LOOSE = 16, X86 = 32 };

struct kind {
	const char *what;
	unsigned ends;
	int signal;
	unsigned flags;
	const char *body;
};

#define RELU "const float *x = b[0]; float *y = b[1]; for (int k = 0; k < N; k++) y[k] = x[k] > 0 ? x[k] : 0;"
static const struct kind kinds_c[] = {
#define KIND(what, ends, signal, flags, body) {what, ends, signal, flags, body},
#include "kinds.def"
#undef KIND
};
#undef RELU
#define RELU "for (int k = 0; k < N; k++) y[k] = x[k] > 0 ? x[k] : 0;"
static const struct kind kinds_opencl[] = {
#define KIND(what, ends, body) {what, ends, 0, 0, body},
#include "kinds_opencl.def"
};
static const struct kind kinds_cuda[] = {
#include "kinds_cuda.def"
#undef KIND
};

static const char head_c[] =
    "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <sched.h>\n#include <signal.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
    "#include <string.h>\n#include <sys/mman.h>\n#include <sys/socket.h>\n#include <sys/stat.h>\n#include <sys/syscall.h>\n#include <sys/time.h>\n"
    "#include <unistd.h>\n";

enum role { TORTURE, ORDINARY, ORIGINAL };

struct run {
	enum role role;
	const struct kind *kind;
	unsigned variant;
	bool base; /* with the original as baseline */
	bool seen;
};

static enum { IN_C, IN_OPENCL, IN_CUDA } dialect;
static unsigned failures;
static struct pool *pool;

static void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	failures++;
}

/* ---- the program: y1 = 2 x, y2 = max(y1, 0), y = y2 + c ------------------------------------------------------------ */

static const char *kernel(struct arena *a, int nin, const char *body)
{
	if (dialect == IN_CUDA)
		return arena_printf(a,
				    "extern \"C\" __global__ __launch_bounds__(1) void mutatenn_kernel(const float *x%s, float *y)\n"
				    "{\n\tfor (int k = 0; k < %d; k++)\n\t\ty[k] = %s;\n}\n",
				    nin > 1 ? ", const float *c" : "", N, body);
	if (dialect == IN_C)
		return arena_printf(a,
				    "#include <stdint.h>\n__attribute__((visibility(\"default\"))) void mutatenn_kernel(void *const *b, int64_t part, "
				    "int64_t parts)\n{\n\tconst float *x = b[0]%s;\n\tfloat *y = b[%d];\n\tfor (int k = 0; k < %d; k++)\n\t\ty[k] = %s;\n}\n",
				    nin > 1 ? ", *c = b[1]" : "", nin, N, body);
	return arena_printf(a,
			    "__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void mutatenn_kernel(__global const float *x%s, __global float *y)\n"
			    "{\n\tif (get_global_id(0))\n\t\treturn;\n\tfor (int k = 0; k < %d; k++)\n\t\ty[k] = %s;\n}\n",
			    nin > 1 ? ", __global const float *c" : "", N, body);
}

static size_t up16(size_t n)
{
	return (n + 15) / 16 * 16;
}

/* Where things lie in the control page of a child whose program has three launches (proc_start). */
static const char *places(struct arena *a, uint32_t repeat)
{
	size_t times = up16(sizeof(struct ctl)) + up16(3 * sizeof(uint32_t)), arg = times + up16(repeat * sizeof(double)) + up16(3 * sizeof(double));

	return arena_printf(a, "#define C_DONE %zu\n#define C_STAGE %zu\n#define C_LAUNCH %zu\n#define C_REP %zu\n#define C_TEXT %zu\n#define C_TIMES %zu\n#define C_ARG %zu\n",
			    offsetof(struct ctl, done) / 4, offsetof(struct ctl, stage) / 4, offsetof(struct ctl, launch) / 4,
			    offsetof(struct ctl, rep) / 4, offsetof(struct ctl, text), times / 8, arg / 8);
}

static uint32_t repeats(const struct kind *k)
{
	return k->flags & TIMED ? 3 : 0;
}

static const char *bad_kernel(struct arena *a, const struct run *r)
{
	if (dialect == IN_CUDA)
		return arena_printf(a, "#define V %u\n#define N %d\nextern \"C\" __global__ __launch_bounds__(1) void mutatenn_kernel(const float *x, float *y)\n{\n\t%s\n}\n",
				    r->variant, N, r->kind->body);
	if (dialect == IN_OPENCL)
		return arena_printf(a,
				    "#define V %u\n#define N %d\n__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void mutatenn_kernel(__global const float *x, "
				    "__global float *y)\n{\n\tif (get_global_id(0))\n\t\treturn;\n\t%s\n}\n",
				    r->variant, N, r->kind->body);
	return arena_printf(a,
			    "%s%s#define V %u\n#define N %d\n__attribute__((visibility(\"default\"))) void mutatenn_kernel(void *const *b, int64_t part, "
			    "int64_t parts)\n{\n\t%s\n}\n",
			    head_c, places(a, repeats(r->kind)), r->variant, N, r->kind->body);
}

static struct bundle_buffer buffer(const char *name, enum buffer_role role)
{
	return (struct bundle_buffer){.name = name, .role = role, .dtype = DT_F32, .nd = 1, .dim = {N}};
}

static struct bundle *bundle(struct arena *a, const char *second, bool parallel)
{
	static const char *const names[] = {"double", "relu", "add"};
	static uint32_t args[3][3] = {{0, 2}, {2, 3}, {3, 1, 4}}, input[] = {0}, output[] = {4};
	struct bundle *b = ARENA_NEW(a, struct bundle);
	float *c = ARENA_ARRAY(a, float, N);
	const char *source[] = {kernel(a, 1, "x[k] * 2"), second ? second : kernel(a, 1, "x[k] > 0 ? x[k] : 0"), kernel(a, 2, "x[k] + c[k]")};

	for (int i = 0; i < N; i++)
		c[i] = (float)i;
	*b = (struct bundle){.nbuffers = 5, .nkernels = 3, .nlaunches = 3, .ninputs = 1, .noutputs = 1, .input = input, .output = output};
	b->buffer = ARENA_ARRAY(a, struct bundle_buffer, 5);
	b->buffer[0] = buffer("x", BUF_INPUT);
	b->buffer[1] = buffer("c", BUF_CONST);
	b->buffer[1].data = c;
	b->buffer[1].hash = hash_bytes(c, N * sizeof *c);
	b->buffer[2] = buffer("y1", BUF_TEMP);
	b->buffer[3] = buffer("y2", BUF_TEMP);
	b->buffer[4] = buffer("y", BUF_OUTPUT);
	b->kernel = ARENA_ARRAY(a, struct bundle_kernel, 3);
	b->launch = ARENA_ARRAY(a, struct bundle_launch, 3);
	for (uint32_t k = 0; k < 3; k++) {
		b->kernel[k] = (struct bundle_kernel){
		    .source = source[k], .hash = hash_bytes(source[k], strlen(source[k])), .groups = dialect != IN_C, .group = dialect != IN_C};
		b->launch[k] = (struct bundle_launch){
		    .name = names[k], .kernel = k, .nargs = k == 2 ? 3 : 2, .arg = args[k], .nout = 1, .parallel = parallel};
	}
	return b;
}

static float input_at(size_t image, int i)
{
	return (float)((i % 17 - 8) * (int)(image + 1));
}

static struct pool_input *inputs(struct arena *a)
{
	struct pool_input *in = ARENA_ARRAY(a, struct pool_input, IMAGES);

	for (size_t k = 0; k < IMAGES; k++) {
		struct tensor *t = tensor_new(a, DT_F32, 1, (int64_t[]){N});
		const struct tensor **list = ARENA_ARRAY(a, const struct tensor *, 1);

		for (int i = 0; i < N; i++)
			((float *)t->data)[i] = input_at(k, i);
		list[0] = t;
		in[k] = (struct pool_input){.name = "image", .tensor = list, .ntensors = 1};
	}
	return in;
}

/* ---- what must come out ---------------------------------------------------------------------------------------------- */

static bool right(const struct pool_result *r, int more)
{
	if (r->status != POOL_DONE || r->nimages != IMAGES)
		return false;
	for (size_t k = 0; k < IMAGES; k++)
		for (int i = 0; i < N; i++) {
			float x = 2 * input_at(k, i);

			if (!r->image[k].ran || ((const float *)r->image[k].output->data)[i] != (x > 0 ? x : 0) + (float)more + (float)i)
				return false;
		}
	return true;
}

static bool printable(const char *s)
{
	for (; *s; s++)
		if (*s < ' ' || *s > '~')
			return false;
	return true;
}

#ifdef __x86_64__
/* System calls of the jail that do nothing with zeros for arguments, and one that ends the child. */
static bool harmless(unsigned call)
{
	static const unsigned list[] = {SYS_futex, SYS_sched_yield, SYS_munmap, SYS_clock_gettime, SYS_rt_sigprocmask, SYS_getpid, SYS_gettid,
					SYS_brk, SYS_restart_syscall, SYS_sched_getaffinity, SYS_mprotect};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (list[i] == call)
			return true;
	return false;
}
#endif

static bool as_expected(const struct run *r, const struct pool_result *p)
{
	const struct kind *k = r->kind;
	unsigned ends = k->ends;
	int sig = k->signal;

#ifdef __x86_64__
	if (ends == SYSCALL) {
		ends = harmless(r->variant % 470) ? RIGHT : CRASHED;
		sig = r->variant % 470 == SYS_exit_group || ends == RIGHT ? 0 : sig;
	}
#endif
	if (ends == RIGHT)
		return right(p, 0);
	if (!(ends >> p->status & 1) || (sig && p->signal != sig))
		return false;
	if (k->flags & LOAD)
		return p->stage == POOL_LOAD && !p->signal;
	if (p->status != POOL_DONE && p->status != POOL_OVERRUN && p->stage != POOL_RUN)
		return false;
	/* with the original there is one suspect only */
	return p->status == POOL_DONE || k->flags & LOOSE || !r->base || (p->launch && !strcmp(p->launch, "relu"));
}

static void judge(struct run *r, const struct pool_result *p)
{
	if (r->seen)
		fail("two results of one job");
	r->seen = true;
	if (!p->text || !printable(p->text))
		fail("a text that is not to be printed");
	switch (r->role) {
	case TORTURE:
		if (!as_expected(r, p))
			fail("a kernel that %s (V = %u%s): status %d, stage %d, signal %d, launch '%s': %s\n%s", r->kind->what, r->variant,
			     r->base ? "" : ", alone", (int)p->status, (int)p->stage, p->signal, p->launch ? p->launch : "-", p->text,
			     p->log ? p->log : "");
		break;
	case ORDINARY:
		if (!right(p, (int)r->variant))
			fail("an ordinary mutant was disturbed: status %d: %s", (int)p->status, p->text);
		break;
	case ORIGINAL:
		if (!right(p, 0))
			fail("a control run failed: status %d: %s", (int)p->status, p->text);
		break;
	}
}

/* ---- running ------------------------------------------------------------------------------------------------------------ */

static void submit(struct arena *a, struct run *r, size_t id)
{
	struct pool_job j = {.id = id, .input = inputs(a), .ninputs = IMAGES, .time_limit_s = 60};
	struct err e = {0};

	r->base = r->role != ORIGINAL && r->variant % 4 != 3;
	switch (r->role) {
	case TORTURE:
		j.bundle = bundle(a, bad_kernel(a, r), r->kind->flags & PARALLEL);
		j.time_limit_s = r->kind->flags & LIMIT ? LIMIT_S : dialect != IN_C && r->kind->ends == HUNG ? 1 : 60;
		if (repeats(r->kind)) {
			j.repeat = (int)repeats(r->kind);
			j.warmup = 1;
			r->base = false;
		}
		break;
	case ORDINARY: j.bundle = bundle(a, kernel(a, 1, arena_printf(a, "(x[k] > 0 ? x[k] : 0) + %u", r->variant)), true); break;
	case ORIGINAL: j.bundle = bundle(a, NULL, true); break;
	}
	if (r->base)
		j.baseline = bundle(a, NULL, true);
	if (!pool_submit(pool, &j, &e))
		fail("%s", err_text(&e));
	err_free(&e);
}

static void run_wave(struct run *r, size_t n)
{
	struct arena *a = arena_new(NULL);
	struct err e = {0};

	for (size_t i = 0; i < n; i++)
		submit(a, &r[i], i);
	while (pool_pending(pool)) {
		struct arena *mine = arena_new(NULL);
		struct pool_result p;
		bool got;

		if (!pool_wait(pool, mine, 300, &got, &p, &e) || !got || p.job >= n) {
			fail("no result in time: %s", err_text(&e));
			arena_free(mine);
			break;
		}
		judge(&r[p.job], &p);
		arena_free(mine);
	}
	for (size_t i = 0; i < n; i++)
		if (!r[i].seen)
			fail("a job without a row");
	err_free(&e);
	arena_free(a);
}

/* Kinds in turn; every fourth job is an ordinary mutant, every tenth the original. */
static void run_all(size_t runs, size_t first)
{
	const struct kind *kinds = dialect == IN_CUDA ? kinds_cuda : dialect == IN_OPENCL ? kinds_opencl : kinds_c;
	size_t nkinds = dialect == IN_CUDA     ? sizeof kinds_cuda / sizeof *kinds_cuda
			: dialect == IN_OPENCL ? sizeof kinds_opencl / sizeof *kinds_opencl
					       : sizeof kinds_c / sizeof *kinds_c;
	size_t tortured = 0;
	struct run wave[WAVE];

	for (size_t job = 0, n = 0; tortured < runs || n; job++) {
		size_t i = first + tortured;
		struct run r = {.variant = (unsigned)(job % 1000 + 1)};

		if (tortured == runs || n == WAVE) {
			run_wave(wave, n);
			n = 0;
			continue;
		}
		if (job % 10 == 9) {
			r.role = ORIGINAL;
		} else if (job % 4 == 1) {
			r.role = ORDINARY;
		} else {
			r.kind = &kinds[i % nkinds];
			r.variant = (unsigned)((i / nkinds * 7919 + i) % 1000);
			tortured++;
#ifndef __x86_64__
			if (r.kind->flags & X86)
				continue;
#endif
		}
		wave[n++] = r;
	}
	printf("%zu kernels of %zu kinds, %s of each%s\n", runs, nkinds, runs < nkinds ? "less than one" : "one or more", failures ? "" : ": all rows right");
}

/* ---- what is left ----------------------------------------------------------------------------------------------------------- */

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void expect_empty(const char *dir)
{
	DIR *d = opendir(dir);

	for (struct dirent *f; d && (f = readdir(d));)
		if (strcmp(f->d_name, ".") != 0 && strcmp(f->d_name, "..") != 0)
			fail("'%s' was left in %s", f->d_name, dir);
	if (d)
		closedir(d);
}

/* This process is the reaper of all that its workers left behind. */
static void expect_no_process(void)
{
	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		char path[64] = "", name[200] = "?";
		int child = 0;
		FILE *f;

		if (pid < 0)
			return;
		if (pid > 0) /* an orphan that had ended */
			continue;
		if ((f = fopen("/proc/thread-self/children", "r"))) {
			if (fscanf(f, "%d", &child) != 1)
				child = 0;
			fclose(f);
		}
		if (!child)
			return;
		if (reap_within(child, 5, NULL)) /* one that is ending just now */
			continue;
		snprintf(path, sizeof path, "/proc/%d/comm", child);
		if ((f = fopen(path, "r"))) {
			if (!fgets(name, sizeof name, f))
				name[0] = 0;
			fclose(f);
		}
		fail("process %d was left: %s", child, name);
		reap_killed(child, false, NULL);
	}
}

static void expect_nothing_left(const char *dir, int fds)
{
	struct stat st;

	expect_no_process();
	expect_empty(dir);
	if (!lstat("/dev/shm/" LEFT, &st))
		fail("shared memory was left");
	if (shmget(0x6d757461, 0, 0) >= 0)
		fail("System V shared memory was left");
	if (descriptors() != fds)
		fail("%d descriptors, %d before", descriptors(), fds);
}

static bool open_pool(const char *name)
{
	struct pool_device d = {.name = name,
				.backend = dialect == IN_CUDA ? "cuda" : dialect == IN_OPENCL ? "opencl" : "cpu",
				.select = dialect == IN_OPENCL ? "Portable Computing Language" : NULL,
				.cc = dialect == IN_C ? name : NULL,
				.threads = 2,
				.builders = 2,
				.runners = dialect == IN_C ? 2 : 1,
				.cache_dir = "",
				.memory_limit = (uint64_t)64 << 20,
				.start_timeout_s = 60};
	struct err e = {0};

	if (!pool_open(&d, 1, &pool, &e)) {
		printf("%s\n", err_text(&e));
		exit(1);
	}
	if (pool_device_error(pool, 0)) {
		printf("skipped: %s\n", pool_device_error(pool, 0));
		return false;
	}
	if (dialect == IN_C && strstr(pool_caps(pool, 0)->describe, "no system-call filter")) {
		printf("skipped: this build has no system-call filter\n");
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/mutatenn-torture-XXXXXX";
	int fds;

	if (argc < 3) {
		fputs("usage: torture gcc|clang|pocl|cuda RUNS [FIRST]\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	dialect = !strcmp(argv[1], "cuda") ? IN_CUDA : !strcmp(argv[1], "pocl") ? IN_OPENCL : IN_C;
	if (!mkdtemp(dir) || chdir(dir) || setenv("TMPDIR", dir, 1) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) {
		perror(dir);
		return 1;
	}
	fds = descriptors();
	if (!open_pool(argv[1])) {
		pool_close(pool);
		rmdir(dir);
		return 77;
	}
	run_all((size_t)atol(argv[2]), argc > 3 ? (size_t)atol(argv[3]) : 0);
	if (dialect == IN_C && pool_stats(pool).workers_lost)
		fail("%llu workers were lost", (unsigned long long)pool_stats(pool).workers_lost);
	pool_close(pool);
	expect_nothing_left(dir, fds);
	if (chdir("/") || rmdir(dir))
		fail("%s: %s", dir, strerror(errno));
	return failures ? 1 : 0;
}
