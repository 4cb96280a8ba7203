/* device_opencl.h: the parts of the OpenCL device */
#pragma once
#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include "base/vec.h"
#include "device/device_internal.h"

#define CL_API(X)                                                                                                                     \
	X(clGetPlatformIDs)                                                                                                        \
	X(clGetPlatformInfo)                                                                                                       \
	X(clGetDeviceIDs)                                                                                                          \
	X(clGetDeviceInfo)                                                                                                         \
	X(clCreateContext)                                                                                                         \
	X(clReleaseContext)                                                                                                        \
	X(clCreateCommandQueue)                                                                                                    \
	X(clReleaseCommandQueue)                                                                                                   \
	X(clCreateProgramWithSource)                                                                                               \
	X(clCreateProgramWithBinary)                                                                                               \
	X(clBuildProgram)                                                                                                          \
	X(clGetProgramBuildInfo)                                                                                                   \
	X(clGetProgramInfo)                                                                                                        \
	X(clReleaseProgram)                                                                                                        \
	X(clCreateKernelsInProgram)                                                                                                \
	X(clSetKernelArg)                                                                                                          \
	X(clReleaseKernel)                                                                                                         \
	X(clCreateBuffer)                                                                                                          \
	X(clCreateSubBuffer)                                                                                                       \
	X(clReleaseMemObject)                                                                                                      \
	X(clEnqueueFillBuffer)                                                                                                     \
	X(clEnqueueWriteBuffer)                                                                                                    \
	X(clEnqueueReadBuffer)                                                                                                     \
	X(clEnqueueNDRangeKernel)                                                                                                  \
	X(clGetEventProfilingInfo)                                                                                                 \
	X(clReleaseEvent)                                                                                                          \
	X(clFinish)

struct kernel {
	struct kernel *next;
	cl_program program;
	cl_kernel kernel;
};

struct device_memory {
	cl_mem whole, data; /* data: behind the front pad */
	size_t front;       /* of the data in the whole; at least the pad */
};

struct device {
	struct arena *arena;
	void *library;
#define FIELD(f) __typeof__(&f) f;
	CL_API(FIELD)
#undef FIELD
	cl_device_id id;
	cl_context context;
	cl_command_queue queue;
	size_t align; /* of a buffer inside another */
	const char *options;
	struct cachedir cache;
	struct device_caps caps;
	struct kernel *kernels;
	uint64_t programs; /* of several kernels, built so far */
	VEC(cl_event) events; /* of the launches since the last finish */
};

/* device_opencl_error.c */
#define NO_PLATFORM (-1001) /* cl_khr_icd's CL_PLATFORM_NOT_FOUND_KHR */
const char *cl_code_name(cl_int code);
bool cl_fail(struct err *e, const char *call, cl_int code); /* returns false */

/* device_opencl_icd.c: which of the installed drivers cannot be loaded, and why; "": all can. */
const char *cl_broken_drivers(struct arena *a, size_t *installed);

/* ---- device_opencl_compile.c: the slots of struct device_ops that make kernels ------------------------------------ */

bool cl_runs_object(void); /* PoCL runs the object in its binary as it is */
bool cl_compile(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e);
void cl_compile_together(struct device *d, struct arena *a, const char *const *source, size_t n, struct artefact *out);
bool cl_load(struct device *d, const struct artefact *art, struct kernel **out, struct err *e);
void cl_unload(struct device *d, struct kernel *k);
