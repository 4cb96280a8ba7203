/* device_opencl_error.c: what OpenCL's error codes mean, in words */
#include "base/err.h"
#include "device/device_opencl.h"

const char *cl_code_name(cl_int code)
{
	static const struct {
		cl_int code;
		const char *name;
	} names[] = {
	    {CL_DEVICE_NOT_FOUND, "no such device"},
	    {CL_DEVICE_NOT_AVAILABLE, "the device is not available"},
	    {CL_COMPILER_NOT_AVAILABLE, "no compiler available"},
	    {CL_MEM_OBJECT_ALLOCATION_FAILURE, "out of device memory"},
	    {CL_OUT_OF_RESOURCES, "out of resources"},
	    {CL_OUT_OF_HOST_MEMORY, "out of memory"},
	    {CL_BUILD_PROGRAM_FAILURE, "the program does not build"},
	    {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "an earlier command failed"},
	    {CL_INVALID_BINARY, "not a program for this device"},
	    {CL_INVALID_BUILD_OPTIONS, "the driver does not know these build options"},
	    {CL_INVALID_VALUE, "an argument that the driver does not take"},
	    {CL_INVALID_KERNEL_ARGS, "an argument was not set"},
	    {CL_INVALID_WORK_GROUP_SIZE, "a work-group of that size is over the limit"},
	    {CL_INVALID_GLOBAL_WORK_SIZE, "so many work-items are over the limit"},
	    {CL_INVALID_BUFFER_SIZE, "the buffer is larger than the device allows"},
	    {NO_PLATFORM, "no OpenCL driver (ICD) is installed"},
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].code == code)
			return names[i].name;
	return "error";
}

bool cl_fail(struct err *e, const char *call, cl_int code)
{
	return err_set(e, ERR_DEVICE, "%s: %s (%d)", call, cl_code_name(code), code);
}
