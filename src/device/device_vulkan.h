/* device_vulkan.h: shared by the files of the Vulkan device */
#pragma once
#define VK_NO_PROTOTYPES
#include <shaderc/shaderc.h>
#include <vulkan/vulkan.h>

#include "base/vec.h"
#include "device/device_internal.h"

#define VK_INSTANCE_API(X)                                                                                                         \
	X(DestroyInstance)                                                                                                         \
	X(EnumeratePhysicalDevices)                                                                                                \
	X(GetPhysicalDeviceProperties2)                                                                                            \
	X(GetPhysicalDeviceFeatures2)                                                                                              \
	X(GetPhysicalDeviceMemoryProperties)                                                                                       \
	X(GetPhysicalDeviceFormatProperties)                                                                                       \
	X(GetPhysicalDeviceQueueFamilyProperties)                                                                                  \
	X(CreateDevice)                                                                                                            \
	X(GetDeviceProcAddr)

#define VK_DEVICE_API(X)                                                                                                           \
	X(DestroyDevice)                                                                                                           \
	X(GetDeviceQueue)                                                                                                          \
	X(AllocateMemory)                                                                                                          \
	X(FreeMemory)                                                                                                              \
	X(MapMemory)                                                                                                               \
	X(CreateBuffer)                                                                                                            \
	X(DestroyBuffer)                                                                                                           \
	X(CreateBufferView)                                                                                                        \
	X(DestroyBufferView)                                                                                                       \
	X(GetBufferMemoryRequirements)                                                                                             \
	X(BindBufferMemory)                                                                                                        \
	X(CreateCommandPool)                                                                                                       \
	X(DestroyCommandPool)                                                                                                      \
	X(AllocateCommandBuffers)                                                                                                  \
	X(BeginCommandBuffer)                                                                                                      \
	X(EndCommandBuffer)                                                                                                        \
	X(QueueSubmit)                                                                                                             \
	X(CreateFence)                                                                                                             \
	X(DestroyFence)                                                                                                            \
	X(ResetFences)                                                                                                             \
	X(WaitForFences)                                                                                                           \
	X(CreateQueryPool)                                                                                                         \
	X(DestroyQueryPool)                                                                                                        \
	X(GetQueryPoolResults)                                                                                                     \
	X(CreateDescriptorPool)                                                                                                    \
	X(DestroyDescriptorPool)                                                                                                   \
	X(ResetDescriptorPool)                                                                                                     \
	X(AllocateDescriptorSets)                                                                                                  \
	X(UpdateDescriptorSets)                                                                                                    \
	X(CreateDescriptorSetLayout)                                                                                               \
	X(DestroyDescriptorSetLayout)                                                                                              \
	X(CreatePipelineLayout)                                                                                                    \
	X(DestroyPipelineLayout)                                                                                                   \
	X(CreateShaderModule)                                                                                                      \
	X(DestroyShaderModule)                                                                                                     \
	X(CreateComputePipelines)                                                                                                  \
	X(DestroyPipeline)                                                                                                         \
	X(CmdBindPipeline)                                                                                                         \
	X(CmdBindDescriptorSets)                                                                                                   \
	X(CmdDispatch)                                                                                                             \
	X(CmdPipelineBarrier)                                                                                                      \
	X(CmdFillBuffer)                                                                                                           \
	X(CmdCopyBuffer)                                                                                                           \
	X(CmdResetQueryPool)                                                                                                       \
	X(CmdWriteTimestamp)

#define VULKAN_MAX_BINDINGS 64
#define VULKAN_LAUNCHES 256 /* in one command buffer */

struct vulkan_block; /* device memory that several tensors share */

struct kernel {
	struct kernel *next;
	VkShaderModule module;
	uint64_t texels; /* bindings that are images, a bit each */
	/* Made when it is first launched: only then the number of its buffers is known. */
	VkDescriptorSetLayout set;
	VkPipelineLayout layout;
	VkPipeline pipeline;
	uint32_t bindings;
};

struct device_memory {
	VkBuffer buffer;
	VkBufferView view; /* as an image of f32, once a kernel asked for it */
	struct vulkan_block *block;
	uint8_t *mapped; /* start of the buffer; NULL: the host cannot see it */
	size_t pad, size;
};

struct device {
	struct arena *arena;
	void *loader;
	PFN_vkGetInstanceProcAddr GetInstanceProcAddr;
#define FIELD(f) PFN_vk##f f;
	VK_INSTANCE_API(FIELD)
	VK_DEVICE_API(FIELD)
#undef FIELD
	shaderc_compiler_t compiler;
	VkInstance instance;
	VkPhysicalDevice physical;
	VkPhysicalDeviceLimits limits;
	VkPhysicalDeviceMemoryProperties memory;
	uint32_t family, memory_type;
	bool timestamps;
	bool texels; /* buffers can be images of f32, and gain by it */
	unsigned modes; /* SPIRV_ */
	VkDevice device;
	VkQueue queue;
	VkCommandPool pool;
	VkCommandBuffer commands;
	VkFence fence;
	VkQueryPool queries;
	VkDescriptorPool descriptors;
	struct vulkan_block *blocks;
	struct device_memory *staging;
	bool recording;
	uint32_t launches;   /* in the command buffer */
	VEC(double) seconds; /* of launches since the last finish */
	struct device_caps caps;
	struct cachedir cache;
	struct kernel *kernels;
};

bool vulkan_fail(struct err *e, const char *call, VkResult r);

/* device_vulkan_queue.c: commands are collected and handed over when somebody waits for them */
bool vulkan_record(struct device *d, struct err *e); /* the command buffer is open */
bool vulkan_flush(struct device *d, struct err *e);  /* everything is done */

/* device_vulkan_memory.c */
bool vulkan_memory_new(struct device *d, size_t bytes, size_t pad, struct device_memory **out, struct err *e);
void vulkan_memory_free(struct device *d, struct device_memory *m);
bool vulkan_memory_view(struct device *d, struct device_memory *m, struct err *e); /* m->view is there */
bool vulkan_memory_fill(struct device *d, struct device_memory *m, int64_t at, size_t n, uint32_t pattern, struct err *e);
bool vulkan_memory_write(struct device *d, struct device_memory *m, int64_t at, const void *from, size_t n, struct err *e);
bool vulkan_memory_read(struct device *d, struct device_memory *m, int64_t at, void *to, size_t n, struct err *e);

/* device_spirv.c: the same shader (shaders are from the compiler, not from outside) without names, in which no operation on floats
 * may be combined with others. False when it is no shader. modes: what the device can be asked for. */
#define SPIRV_KEEPS_SPECIAL 1u /* zeros' signs, Inf and NaN */
#define SPIRV_KEEPS_DENORMALS 2u
bool spirv_exact(struct arena *a, const uint8_t *data, size_t size, unsigned modes, uint8_t **out, size_t *out_size);
/* The bindings that are images, a bit each. */
uint64_t spirv_texels(const uint8_t *data, size_t size);
/* An element type that the shader computes with and that is not among those, 1u << DT_x each; NULL: none. */
const char *spirv_lacks(const uint8_t *data, size_t size, uint32_t types);
