/* device_cc.c: a C compiler - text to shared object, as far as possible without the compiler's driver
 *
 * gcc starts cc1, as, and collect2, which starts ld; clang starts itself and ld. To find out what to start is the same work for each kernel. `-###`
 * says it: the commands, with names of files in TMPDIR, in which another kernel's folder takes that one's place. They are used once they have made of a text the
 * bytes that the driver made of it. Whenever one fails the driver is asked, so that what a refusal says is what the driver says.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/str.h"
#include "device/device_internal.h"

#define OBJECT "kernel.so"
#define MAX_LOG ((size_t)64 << 10)
#define MAX_TEXT ((size_t)256 << 10)
#define MOST_ARGS 1000

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- what the driver would start ------------------------------------------------------------------------------------- */

const char *cc_find(struct arena *a, const char *name)
{
	const char *path = getenv("PATH"), *end, *at;
	struct stat st;

	if (strchr(name, '/'))
		return stat(name, &st) ? NULL : name;
	for (; path; path = *end ? end + 1 : NULL) {
		end = strchrnul(path, ':');
		at = file_join(a, arena_strndup(a, path, (size_t)(end - path)), name);
		if (!stat(at, &st) && S_ISREG(st.st_mode) && st.st_mode & 0111)
			return at;
	}
	return NULL;
}

/* A script or another program of that name may do more than the compiler behind it. */
static bool is_compiler(struct arena *a, const char *cc)
{
	const char *path = cc_find(a, cc), *base;
	uint8_t magic[4] = {0};
	FILE *f;

	if (!path)
		return false;
	path = file_absolute(a, path);
	base = file_base(path);
	if ((!strstr(base, "gcc") && !strstr(base, "clang")) || !(f = fopen(path, "rbe")))
		return false;
	if (fread(magic, 1, sizeof magic, f) != sizeof magic)
		magic[0] = 0;
	fclose(f);
	return !memcmp(magic, "\177ELF", sizeof magic);
}

/* One argument of a command as drivers print it; NULL: the line ends, or is none. */
static const char *argument(struct arena *a, const char **at)
{
	struct str s = {0};
	bool quoted;
	const char *out;

	*at += strspn(*at, " ");
	if (!**at || **at == '\n')
		return NULL;
	quoted = **at == '"';
	for (*at += quoted; **at && **at != '\n' && **at != (quoted ? '"' : ' '); (*at)++) {
		if (**at == '\\' && quoted && (*at)[1])
			(*at)++;
		str_addc(&s, **at);
	}
	if (quoted)
		*at = **at == '"' ? *at + 1 : "";
	out = arena_strdup(a, str_text(&s));
	str_free(&s);
	return out;
}

/* ld in place of collect2, which adds nothing where there are no constructors, and without the plugin for objects that are no objects yet. */
static bool link_directly(struct cc *d, const char **arg)
{
	const char **asking = ARENA_ARRAY(d->arena, const char *, MOST_ARGS + 2);
	const char *const *command = asking;
	struct str name = {0};
	size_t n = 0;
	int status = 1;
	bool ok;

	for (; d->argv[n] && n < MOST_ARGS; n++) /* -B says where to look */
		asking[n] = d->argv[n];
	asking[n] = "-print-prog-name=ld";
	ok = !d->argv[n] && spawn_run(&command, 1, "", NULL, &d->limits, MAX_TEXT, &name, &status, NULL) && !status;
	n = 1;
	arg[0] = arena_strndup(d->arena, str_text(&name), strcspn(str_text(&name), "\n"));
	str_free(&name);
	for (size_t i = 1; ok && arg[i]; i++) {
		ok = strncmp(arg[i], "-fuse-ld", 8) != 0; /* another linker */
		if (!strcmp(arg[i], "-plugin") && arg[i + 1])
			i++;
		else if (strncmp(arg[i], "-plugin-opt=", 12) != 0)
			arg[n++] = arg[i];
	}
	arg[n] = NULL;
	return ok;
}

static bool take_command(struct cc *d, const char *line)
{
	const char **arg = ARENA_ARRAY(d->arena, const char *, MOST_ARGS + 1);
	size_t n = 0;

	if (d->n == CC_MOST_COMMANDS)
		return false;
	while ((arg[n] = argument(d->arena, &line)))
		if (++n == MOST_ARGS || !strcmp(arg[n - 1], "|")) /* programs that are to run at the same time */
			return false;
	if (!n || (!strcmp(file_base(arg[0]), "collect2") && !link_directly(d, arg)) || !(arg[0] = cc_find(d->arena, arg[0])))
		return false;
	d->command[d->n++] = arg;
	return true;
}

/* What argv, which writes to folder dir, would start. */
static void ask(struct cc *d, const char *const *argv, const char *dir)
{
	const char **asking = ARENA_ARRAY(d->arena, const char *, MOST_ARGS + 2);
	const char *const *command = asking;
	struct str text = {0};
	size_t n = 0;
	int status = 1;
	bool ok = is_compiler(d->arena, argv[0]);

	d->dir = arena_strdup(d->arena, dir);
	for (; argv[n] && n < MOST_ARGS; n++)
		asking[n] = argv[n];
	asking[n] = "-###";
	ok = ok && !argv[n] && spawn_run(&command, 1, "", dir, &d->limits, MAX_TEXT, &text, &status, NULL) && !status && text.n < MAX_TEXT;
	for (const char *line = str_text(&text); ok && *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (*line == ' ' && strncmp(line, " (in-process)", 13) != 0)
			ok = take_command(d, line);
	d->n = ok ? d->n : 0;
	str_free(&text);
}

/* The commands, for another folder. */
static const char *const *const *commands(struct arena *a, const struct cc *d, const char *dir)
{
	const char *const **out = ARENA_ARRAY(a, const char *const *, d->n);

	for (size_t i = 0; i < d->n; i++) {
		size_t n = 0;
		const char **arg;

		while (d->command[i][n])
			n++;
		out[i] = arg = ARENA_ARRAY(a, const char *, n + 1);
		for (size_t k = 0; k < n; k++) {
			const char *from = d->command[i][k], *at = strstr(from, d->dir);

			arg[k] = at ? arena_printf(a, "%.*s%s%s", (int)(at - from), from, dir, at + strlen(d->dir)) : from;
		}
	}
	return out;
}

/* ---- compiling ------------------------------------------------------------------------------------------------------ */

static const char *const *whole(struct arena *a, const struct cc *d, const char *dir)
{
	size_t n = 0;
	const char **argv;

	while (d->argv[n])
		n++;
	argv = ARENA_ARRAY(a, const char *, n + 6);
	memcpy(argv, d->argv, n * sizeof *argv);
	argv[n++] = "-o";
	argv[n++] = file_join(a, dir, OBJECT);
	argv[n++] = "-x";
	argv[n++] = "c";
	argv[n] = "-";
	return argv;
}

/* What the compiler says when the machine, not the text, is to blame. */
static enum err_code blame(const char *log)
{
	static const char *const ours[] = {"No space left on device", "Disk quota exceeded",  "Resource temporarily unavailable",
					   "Too many open files",     "error trying to exec", "unable to execute command"};

	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		if (strstr(log, ours[i]))
			return ERR_IO;
	return ERR_DEVICE;
}

/* In a folder of its own. */
static bool compile_by(struct cc *d, bool commanded, double seconds, struct arena *a, const char *source, struct artefact *out, struct err *e)
{
	struct arena *scratch = arena_new(NULL);
	struct spawn_limits limits = {seconds, d->limits.memory, d->argv[0]};
	const char *const *driver;
	char *dir;
	struct str log = {0};
	struct bytes raw;
	int status = 0;
	bool ok;

	if (!temp_make(scratch, &dir, e)) {
		arena_free(scratch);
		return false;
	}
	driver = whole(scratch, d, dir);
	ok = spawn_run(commanded ? commands(scratch, d, dir) : &driver, commanded ? d->n : 1, source, dir, &limits, MAX_LOG, &log, &status, e);
	out->log = arena_strdup(a, str_text(&log));
	if (ok && WIFSIGNALED(status))
		ok = err_set(e, ERR_DEVICE, "'%s' died of signal %d", d->argv[0], WTERMSIG(status));
	else if (ok && WEXITSTATUS(status))
		ok = err_set(e, blame(out->log), "'%s' refused the kernel: %.200s", d->argv[0], *out->log ? out->log : "no reason given");
	ok = ok && file_read(scratch, file_join(scratch, dir, OBJECT), 0, &raw, e);
	if (ok) {
		out->size = raw.n;
		out->data = arena_memdup(a, raw.p, raw.n);
	}
	if (ok && !d->asked) {
		ask(d, driver, dir);
		d->asked = true;
	}
	temp_remove(dir);
	str_free(&log);
	arena_free(scratch);
	return ok;
}

/* Do the commands make of this text what the driver made? */
static void check(struct cc *d, const char *source, const struct artefact *made)
{
	struct arena *a = arena_new(NULL);
	struct artefact own = {0};

	if (d->n && (!compile_by(d, true, d->limits.seconds, a, source, &own, NULL) || own.size != made->size || memcmp(own.data, made->data, own.size) != 0 ||
		     strcmp(own.log, made->log) != 0))
		d->n = 0;
	arena_free(a);
}

bool cc_compile(struct cc *d, struct arena *a, const char *source, struct artefact *out, struct err *e)
{
	double left = d->limits.seconds, began = now();
	bool asked = d->asked, failed = false, ok;
	struct err why = {0};

	if (d->n && !(failed = !compile_by(d, true, left, a, source, out, &why)))
		return true;
	if (why.code == ERR_TIMEOUT || why.code == ERR_CANCELLED) {
		err_set(e, why.code, "%s", err_text(&why));
		err_free(&why);
		return false;
	}
	err_free(&why);
	left -= floor(now() - began);
	ok = compile_by(d, false, left > 1 ? left : 1, a, source, out, e); /* of what fails, the driver says how */
	if (ok && failed)
		d->n = 0;
	if (ok && !asked)
		check(d, source, out);
	return ok;
}
