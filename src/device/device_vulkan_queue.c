/* device_vulkan_queue.c: one command buffer, filled until somebody waits for what is in it
 *
 * Commands depend on each other in order: a barrier stands in front of each.
 */
#include "base/arena.h"
#include "base/err.h"
#include "device/device_vulkan.h"

#define SLICE_NS 100000000u

bool vulkan_fail(struct err *e, const char *call, VkResult r)
{
	const char *why;

	switch (r) {
	case VK_ERROR_OUT_OF_DEVICE_MEMORY: why = "out of device memory"; break;
	case VK_ERROR_OUT_OF_HOST_MEMORY: why = "out of memory"; break;
	case VK_ERROR_DEVICE_LOST: why = "the device is lost"; break;
	case VK_ERROR_TOO_MANY_OBJECTS: why = "out of device memory (too many allocations)"; break;
	case VK_ERROR_INCOMPATIBLE_DRIVER: why = "no Vulkan driver (ICD) is installed, or none that works"; break;
	case VK_ERROR_INITIALIZATION_FAILED: why = "the driver cannot be started"; break;
	case VK_ERROR_OUT_OF_POOL_MEMORY: why = "out of descriptors"; break;
	default: why = "error"; break;
	}
	return err_set(e, ERR_DEVICE, "%s: %s (%d)", call, why, r);
}

bool vulkan_record(struct device *d, struct err *e)
{
	VkCommandBufferBeginInfo info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
					 .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
	VkMemoryBarrier order = {VK_STRUCTURE_TYPE_MEMORY_BARRIER,
				 .srcAccessMask =
				     VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_SHADER_READ_BIT,
				 .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
						  VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
	const VkPipelineStageFlags work = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
	VkResult r;

	if (!d->recording) {
		r = d->BeginCommandBuffer(d->commands, &info);
		if (r)
			return vulkan_fail(e, "vkBeginCommandBuffer", r);
		d->recording = true;
		d->launches = 0;
		if (d->timestamps)
			d->CmdResetQueryPool(d->commands, d->queries, 0, 2 * VULKAN_LAUNCHES);
	}
	d->CmdPipelineBarrier(d->commands, work, work, 0, 1, &order, 0, NULL, 0, NULL);
	return true;
}

static bool read_times(struct device *d, struct err *e)
{
	uint64_t t[2 * VULKAN_LAUNCHES];
	VkResult r;

	if (!d->launches)
		return true;
	if (d->timestamps) {
		r = d->GetQueryPoolResults(d->device, d->queries, 0, 2 * d->launches, sizeof t, t, sizeof *t,
					   VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
		if (r)
			return vulkan_fail(e, "vkGetQueryPoolResults", r);
	}
	for (uint32_t i = 0; i < d->launches; i++)
		vec_push(d->arena, &d->seconds,
			 d->timestamps && t[2 * i + 1] > t[2 * i]
			     ? 1e-9 * d->limits.timestampPeriod * (double)(t[2 * i + 1] - t[2 * i])
			     : 0);
	return true;
}

bool vulkan_flush(struct device *d, struct err *e)
{
	VkSubmitInfo info = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &d->commands};
	VkMemoryBarrier seen = {VK_STRUCTURE_TYPE_MEMORY_BARRIER,
				.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
				.dstAccessMask = VK_ACCESS_HOST_READ_BIT};
	VkResult r;

	if (!d->recording)
		return true;
	d->recording = false;
	d->CmdPipelineBarrier(d->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
			      VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &seen, 0, NULL, 0, NULL);
	if ((r = d->EndCommandBuffer(d->commands)))
		return vulkan_fail(e, "vkEndCommandBuffer", r);
	if ((r = d->QueueSubmit(d->queue, 1, &info, d->fence)))
		return vulkan_fail(e, "vkQueueSubmit", r);
	while ((r = d->WaitForFences(d->device, 1, &d->fence, VK_TRUE, SLICE_NS)) == VK_TIMEOUT)
		; /* the caller's alarm ends a launch that does not */
	if (r || (r = d->ResetFences(d->device, 1, &d->fence)))
		return vulkan_fail(e, "waiting for the device", r);
	if (!read_times(d, e))
		return false;
	d->launches = 0;
	d->ResetDescriptorPool(d->device, d->descriptors, 0);
	return true;
}
