/* nvrtc.c: NVRTC's functions for tests, by this machine's C++ compiler - "machine code" is a shared object for this processor
 *
 * Together with driver.c this makes a CUDA device of the processor, found through LD_LIBRARY_PATH: the device's own code, the
 * worker around it, and what CUDA C says are then tested where there is no GPU. What NVIDIA's compiler and hardware do is not.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device/device_cuda_api.h"

#define EXPORT __attribute__((visibility("default")))

enum { INVALID_INPUT = 3, INVALID_OPTION = 5 };

extern char **environ;

struct _nvrtcProgram {
	char *source, *log, *object;
	size_t nlog, nobject;
};

static const int archs[] = {75, 80, 90};

EXPORT nvrtcResult nvrtcVersion(int *major, int *minor)
{
	*major = 13;
	*minor = 1; /* another one when kernels come out in another way: they are cached under it */
	return 0;
}

EXPORT nvrtcResult nvrtcGetNumSupportedArchs(int *n)
{
	*n = sizeof archs / sizeof *archs;
	return 0;
}

EXPORT nvrtcResult nvrtcGetSupportedArchs(int *out)
{
	memcpy(out, archs, sizeof archs);
	return 0;
}

EXPORT const char *nvrtcGetErrorString(nvrtcResult code)
{
	return code == NVRTC_ERROR_COMPILATION ? "NVRTC_ERROR_COMPILATION" : code ? "NVRTC_ERROR" : "NVRTC_SUCCESS";
}

EXPORT nvrtcResult nvrtcCreateProgram(nvrtcProgram *out, const char *source, const char *name, int n, const char *const *header,
				      const char *const *include)
{
	*out = calloc(1, sizeof **out);
	(*out)->source = strdup(source);
	return n || header || include || !name;
}

EXPORT nvrtcResult nvrtcDestroyProgram(nvrtcProgram *p)
{
	free((*p)->source);
	free((*p)->log);
	free((*p)->object);
	free(*p);
	*p = NULL;
	return 0;
}

static char *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *p = NULL;
	struct stat st;

	*n = 0;
	if (f && !fstat(fileno(f), &st) && (p = calloc(1, (size_t)st.st_size + 1)))
		*n = fread(p, 1, (size_t)st.st_size, f);
	if (f)
		fclose(f);
	return p;
}

static int compile(char *const *argv, const char *log)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status = 1;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (!posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ))
		waitpid(pid, &status, 0);
	posix_spawn_file_actions_destroy(&actions);
	return status;
}

EXPORT nvrtcResult nvrtcCompileProgram(nvrtcProgram p, int n, const char *const *option)
{
	char dir[] = "/tmp/mutatenn-test-XXXXXX", source[64], object[64], log[64];
	char *argv[] = {"c++",      "-std=c++17",  "-O1", "-w",   "-fPIC", "-shared", "-fvisibility=hidden", "-ffp-contract=off",
			"-include", KERNEL_HEADER, "-o",  object, source,  NULL};
	const char *bounds = strstr(p->source, "__launch_bounds__(");
	FILE *f;
	int status = 1;

	for (int i = 0; i < n; i++) {
		if (strstr(option[i], "no-such"))
			return INVALID_OPTION;
		if (!strcmp(option[i], "--fmad=true"))
			argv[7] = "-ffp-contract=fast";
	}
	if (!mkdtemp(dir))
		return INVALID_INPUT;
	snprintf(source, sizeof source, "%s/kernel.cc", dir);
	snprintf(object, sizeof object, "%s/kernel.so", dir);
	snprintf(log, sizeof log, "%s/log", dir);
	if ((f = fopen(source, "w"))) {
		fprintf(f, "%s\n#define MOST_THREADS %d\nKERNEL_ENTRY\n%s\n", p->source, bounds ? atoi(strchr(bounds, '(') + 1) : 1024,
			strstr(p->source, "__syncthreads")
			    ? "extern \"C\" __attribute__((visibility(\"default\"))) int has_barriers;\nint has_barriers = 1;"
			    : "");
		fclose(f);
		status = compile(argv, log);
	}
	p->log = slurp(log, &p->nlog);
	p->object = slurp(object, &p->nobject);
	unlink(source);
	unlink(object);
	unlink(log);
	rmdir(dir);
	return status ? NVRTC_ERROR_COMPILATION : 0;
}

EXPORT nvrtcResult nvrtcGetCUBINSize(nvrtcProgram p, size_t *n)
{
	*n = p->nobject;
	return 0;
}

EXPORT nvrtcResult nvrtcGetCUBIN(nvrtcProgram p, char *out)
{
	memcpy(out, p->object, p->nobject);
	return 0;
}

EXPORT nvrtcResult nvrtcGetPTXSize(nvrtcProgram p, size_t *n)
{
	*n = 0;
	return p ? INVALID_INPUT : 0;
}

EXPORT nvrtcResult nvrtcGetPTX(nvrtcProgram p, char *out)
{
	*out = 0;
	return p ? INVALID_INPUT : 0;
}

EXPORT nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram p, size_t *n)
{
	*n = p->nlog + 1;
	return 0;
}

EXPORT nvrtcResult nvrtcGetProgramLog(nvrtcProgram p, char *out)
{
	memcpy(out, p->log ? p->log : "", p->nlog + 1);
	return 0;
}
