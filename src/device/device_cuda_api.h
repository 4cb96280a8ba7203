/* device_cuda_api.h: the part of CUDA's driver API and of NVRTC that the cuda device uses, as NVIDIA's documentation has it
 *
 * Declared here so that building needs no CUDA: both libraries are loaded when a device is opened (device_cuda_load.c). The
 * numbers are those of the stable binary interface; a function's second name is its symbol, with the version of its arguments.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct arena;
struct device_options;
struct err;
struct artefact;

/* ---- the driver: libcuda.so.1 ------------------------------------------------------------------------------------ */

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;

enum { /* of CUresult */
       CUDA_SUCCESS = 0,
       CUDA_ERROR_OUT_OF_MEMORY = 2,
       CUDA_ERROR_DEVICE_UNAVAILABLE = 46, /* somebody has it for himself alone */
       CUDA_ERROR_NO_DEVICE = 100,
       CUDA_ERROR_ECC_UNCORRECTABLE = 214,
       CUDA_ERROR_NVLINK_UNCORRECTABLE = 220,
       CUDA_ERROR_CONTAINED = 226, /* a fault of the memory */
       CUDA_ERROR_ILLEGAL_ADDRESS = 700,
       CUDA_ERROR_LAUNCH_TIMEOUT = 702,
       CUDA_ERROR_CONTEXT_IS_DESTROYED = 709,
       CUDA_ERROR_ASSERT = 710,
       CUDA_ERROR_HARDWARE_STACK_ERROR = 714,
       CUDA_ERROR_LAUNCH_FAILED = 719, /* with all between: illegal instruction, misaligned address, ... */
};

enum {
	CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 1,
	CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK = 8,
	CU_DEVICE_ATTRIBUTE_CLOCK_RATE = 13, /* kHz */
	CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
	CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
	CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
};

enum { CU_STREAM_NON_BLOCKING = 1, CU_EVENT_DEFAULT = 0, CUDA_MAX_GRID = 0x7fffffff };

#define CUDA_DRIVER(X)                                                                                                             \
	X(cuInit, "cuInit", (unsigned))                                                                                            \
	X(cuDriverGetVersion, "cuDriverGetVersion", (int *))                                                                       \
	X(cuGetErrorName, "cuGetErrorName", (CUresult, const char **))                                                             \
	X(cuGetErrorString, "cuGetErrorString", (CUresult, const char **))                                                         \
	X(cuDeviceGetCount, "cuDeviceGetCount", (int *))                                                                           \
	X(cuDeviceGet, "cuDeviceGet", (CUdevice *, int))                                                                           \
	X(cuDeviceGetName, "cuDeviceGetName", (char *, int, CUdevice))                                                             \
	X(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int *, int, CUdevice))                                                    \
	X(cuDeviceTotalMem, "cuDeviceTotalMem_v2", (size_t *, CUdevice))                                                           \
	X(cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain", (CUcontext *, CUdevice))                                           \
	X(cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice))                                                   \
	X(cuCtxSetCurrent, "cuCtxSetCurrent", (CUcontext))                                                                         \
	X(cuModuleLoadData, "cuModuleLoadData", (CUmodule *, const void *))                                                        \
	X(cuModuleUnload, "cuModuleUnload", (CUmodule))                                                                            \
	X(cuModuleGetFunction, "cuModuleGetFunction", (CUfunction *, CUmodule, const char *))                                      \
	X(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *, size_t))                                                                    \
	X(cuMemFree, "cuMemFree_v2", (CUdeviceptr))                                                                                \
	X(cuMemsetD32Async, "cuMemsetD32Async", (CUdeviceptr, unsigned, size_t, CUstream))                                         \
	X(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2", (CUdeviceptr, const void *, size_t, CUstream))                                \
	X(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void *, CUdeviceptr, size_t, CUstream))                                      \
	X(cuStreamCreate, "cuStreamCreate", (CUstream *, unsigned))                                                                \
	X(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream))                                                                       \
	X(cuStreamSynchronize, "cuStreamSynchronize", (CUstream))                                                                  \
	X(cuEventCreate, "cuEventCreate", (CUevent *, unsigned))                                                                   \
	X(cuEventDestroy, "cuEventDestroy_v2", (CUevent))                                                                          \
	X(cuEventRecord, "cuEventRecord", (CUevent, CUstream))                                                                     \
	X(cuEventElapsedTime, "cuEventElapsedTime", (float *, CUevent, CUevent))                                                   \
	X(cuLaunchKernel, "cuLaunchKernel",                                                                                        \
	  (CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, CUstream, void **, void **))

struct cuda_driver {
#define FIELD(f, symbol, args) CUresult(*f) args;
	CUDA_DRIVER(FIELD)
#undef FIELD
};

/* ---- the compiler: libnvrtc.so --------------------------------------------------------------------------------------- */

typedef struct _nvrtcProgram *nvrtcProgram;
typedef int nvrtcResult;

enum { NVRTC_ERROR_OUT_OF_MEMORY = 1, NVRTC_ERROR_COMPILATION = 6 };

#define CUDA_COMPILER(X)                                                                                                           \
	X(nvrtcVersion, (int *, int *))                                                                                            \
	X(nvrtcGetNumSupportedArchs, (int *))                                                                                      \
	X(nvrtcGetSupportedArchs, (int *))                                                                                         \
	X(nvrtcCreateProgram, (nvrtcProgram *, const char *, const char *, int, const char *const *, const char *const *))         \
	X(nvrtcDestroyProgram, (nvrtcProgram *))                                                                                   \
	X(nvrtcCompileProgram, (nvrtcProgram, int, const char *const *))                                                           \
	X(nvrtcGetCUBINSize, (nvrtcProgram, size_t *))                                                                             \
	X(nvrtcGetCUBIN, (nvrtcProgram, char *))                                                                                   \
	X(nvrtcGetPTXSize, (nvrtcProgram, size_t *))                                                                               \
	X(nvrtcGetPTX, (nvrtcProgram, char *))                                                                                     \
	X(nvrtcGetProgramLogSize, (nvrtcProgram, size_t *))                                                                        \
	X(nvrtcGetProgramLog, (nvrtcProgram, char *))

struct cuda_nvrtc {
#define FIELD(f, args) nvrtcResult(*f) args;
	CUDA_COMPILER(FIELD)
#undef FIELD
	const char *(*nvrtcGetErrorString)(nvrtcResult);
	/* Since CUDA 12.8; NULL before: asked now and then while a kernel is compiled, anything but 0 ends that. */
	nvrtcResult (*nvrtcSetFlowCallback)(nvrtcProgram, int (*)(void *, void *), void *);
};

/* ---- device_cuda_load.c: from the usual places; they stay loaded ----------------------------------------------------- */

/* Errors say what is not installed. */
bool cuda_load_driver(struct cuda_driver *out, struct err *e);
/* major: of the CUDA version that the driver is for, whose compiler is looked for first; 0: any. */
bool cuda_load_nvrtc(int major, struct cuda_nvrtc *out, struct err *e);

/* ---- device_cuda_compile.c: kernels by NVRTC, which needs no GPU ------------------------------------------------------- */

struct cuda_compiler {
	struct cuda_nvrtc api;
	const char *version; /* "13.0" */
	const char *arch;    /* "sm_90": machine code; "compute_90": PTX, for any device of at least that capability */
	const char *text;    /* all options but fmad's, for identities */
	const char **option;
	int noptions;
	bool own_contract; /* the user said whether a*b+c may be fused: no kernel does */
	double timeout_s;
};

/* capability: 90 for 9.0 of the device that kernels are for; 0: there is none here, cflags must name an architecture.
 * driver: its CUDA version, 13000 for 13.0; 0: none. Everything lives in the arena. */
bool cuda_compiler_open(struct arena *a, const struct device_options *o, int capability, int driver, struct cuda_compiler *out,
			struct err *e);
/* Fills data, size, code and log. ERR_DEVICE: refused; ERR_TIMEOUT. */
bool cuda_compile(const struct cuda_compiler *c, struct arena *a, const char *source, bool contract, struct artefact *out,
		  struct err *e);
