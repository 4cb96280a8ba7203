/* device_vulkan_memory.c: tensors on a Vulkan device
 *
 * Drivers allow few allocations, so tensors share blocks. Memory that the host sees is written directly once the queue is idle;
 * other memory through a staging buffer.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "device/device_vulkan.h"

#define BLOCK ((VkDeviceSize)64 << 20)
#define STAGING ((size_t)16 << 20)

struct vulkan_block {
	struct vulkan_block *next;
	VkDeviceMemory memory;
	VkDeviceSize size, used;
	uint32_t type, tensors;
	uint8_t *mapped;
};

static struct vulkan_block *block_new(struct device *d, VkDeviceSize size, uint32_t type, struct err *e)
{
	struct vulkan_block *b = calloc(1, sizeof *b);
	VkMemoryAllocateInfo info = {VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = size > BLOCK ? size : BLOCK,
				     .memoryTypeIndex = type};
	bool visible = d->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
	VkResult r;

	if (!b) {
		err_set(e, ERR_IO, "out of memory");
		return NULL;
	}
	*b = (struct vulkan_block){.next = d->blocks, .size = info.allocationSize, .type = type};
	r = d->AllocateMemory(d->device, &info, NULL, &b->memory);
	if (!r && visible)
		r = d->MapMemory(d->device, b->memory, 0, VK_WHOLE_SIZE, 0, (void **)&b->mapped);
	if (r) {
		if (b->memory)
			d->FreeMemory(d->device, b->memory, NULL);
		free(b);
		vulkan_fail(e, "allocating device memory", r);
		return NULL;
	}
	return d->blocks = b;
}

static void block_release(struct device *d, struct vulkan_block *b)
{
	struct vulkan_block **at = &d->blocks;

	if (--b->tensors)
		return;
	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	d->FreeMemory(d->device, b->memory, NULL);
	free(b);
}

static bool place(struct device *d, struct device_memory *m, uint32_t type, struct err *e)
{
	VkMemoryRequirements need;
	struct vulkan_block *b = d->blocks;
	VkDeviceSize at = 0;
	VkResult r;

	d->GetBufferMemoryRequirements(d->device, m->buffer, &need);
	if (!(need.memoryTypeBits & 1u << type))
		return err_set(e, ERR_DEVICE, "buffers cannot lie in the memory chosen for them");
	for (; b; b = b->next) {
		at = (b->used + need.alignment - 1) / need.alignment * need.alignment;
		if (b->type == type && at <= b->size && need.size <= b->size - at)
			break;
	}
	if (!b) {
		at = 0;
		if (!(b = block_new(d, need.size, type, e)))
			return false;
	}
	b->used = at + need.size;
	b->tensors++;
	m->block = b;
	m->mapped = b->mapped ? b->mapped + at : NULL;
	r = d->BindBufferMemory(d->device, m->buffer, b->memory, at);
	return !r || vulkan_fail(e, "vkBindBufferMemory", r);
}

void vulkan_memory_free(struct device *d, struct device_memory *m)
{
	if (!m)
		return;
	vulkan_flush(d, NULL); /* it may be in a command */
	if (m->view)
		d->DestroyBufferView(d->device, m->view, NULL);
	if (m->buffer)
		d->DestroyBuffer(d->device, m->buffer, NULL);
	if (m->block)
		block_release(d, m->block);
	free(m);
}

static bool memory_new(struct device *d, size_t bytes, size_t pad, uint32_t type, struct device_memory **out, struct err *e)
{
	struct device_memory *m = calloc(1, sizeof *m);
	VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = (pad + bytes + pad + 3) / 4 * 4 + (bytes ? 0 : 4),
				   .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
					    VK_BUFFER_USAGE_TRANSFER_DST_BIT |
					    (d->texels ? VK_BUFFER_USAGE_STORAGE_TEXEL_BUFFER_BIT : 0)};
	VkResult r;

	if (!m)
		return err_set(e, ERR_IO, "out of memory");
	m->pad = pad;
	m->size = info.size;
	r = d->CreateBuffer(d->device, &info, NULL, &m->buffer);
	if (r)
		vulkan_fail(e, "vkCreateBuffer", r);
	if (r || !place(d, m, type, e)) {
		vulkan_memory_free(d, m);
		return false;
	}
	*out = m;
	return true;
}

bool vulkan_memory_new(struct device *d, size_t bytes, size_t pad, struct device_memory **out, struct err *e)
{
	if (bytes + 2 * pad > d->limits.maxStorageBufferRange)
		return err_set(e, ERR_DEVICE, "a tensor of %zu MiB is over the device's limit of %u MiB", bytes >> 20,
			       d->limits.maxStorageBufferRange >> 20);
	return memory_new(d, bytes, pad, d->memory_type, out, e);
}

bool vulkan_memory_view(struct device *d, struct device_memory *m, struct err *e)
{
	VkBufferViewCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_VIEW_CREATE_INFO, .buffer = m->buffer, .format = VK_FORMAT_R32_SFLOAT,
				       .range = VK_WHOLE_SIZE};
	VkResult r;

	if (m->view)
		return true;
	if (!d->texels || m->size / 4 > d->limits.maxTexelBufferElements)
		return err_set(e, ERR_DEVICE, "a tensor of %zu MiB cannot be an image on this device", m->size >> 20);
	r = d->CreateBufferView(d->device, &info, NULL, &m->view);
	return !r || vulkan_fail(e, "vkCreateBufferView", r);
}

bool vulkan_memory_fill(struct device *d, struct device_memory *m, int64_t at, size_t n, uint32_t pattern, struct err *e)
{
	if (!n)
		return true;
	if (!vulkan_record(d, e))
		return false;
	d->CmdFillBuffer(d->commands, m->buffer, (VkDeviceSize)((int64_t)m->pad + at), n, pattern);
	return true;
}

static bool staging(struct device *d, struct err *e)
{
	for (uint32_t t = 0; !d->staging && t < d->memory.memoryTypeCount; t++) {
		VkMemoryPropertyFlags want = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;

		if ((d->memory.memoryTypes[t].propertyFlags & want) == want)
			return memory_new(d, STAGING, 0, t, &d->staging, e);
	}
	return d->staging || err_set(e, ERR_DEVICE, "the device has no memory that the host sees");
}

/* to or from; the other is NULL */
static bool transfer(struct device *d, struct device_memory *m, int64_t at, uint8_t *to, const uint8_t *from, size_t n,
		     struct err *e)
{
	if (!vulkan_flush(d, e) || !staging(d, e))
		return false;
	for (size_t done = 0, k; done < n; done += k) {
		VkBufferCopy region = {.srcOffset = from ? 0 : (VkDeviceSize)((int64_t)m->pad + at) + done,
				       .dstOffset = from ? (VkDeviceSize)((int64_t)m->pad + at) + done : 0};

		k = n - done < STAGING ? n - done : STAGING;
		region.size = k;
		if (from)
			memcpy(d->staging->mapped, from + done, k);
		if (!vulkan_record(d, e))
			return false;
		d->CmdCopyBuffer(d->commands, from ? d->staging->buffer : m->buffer, from ? m->buffer : d->staging->buffer, 1,
				 &region);
		if (!vulkan_flush(d, e))
			return false;
		if (to)
			memcpy(to + done, d->staging->mapped, k);
	}
	return true;
}

bool vulkan_memory_write(struct device *d, struct device_memory *m, int64_t at, const void *from, size_t n, struct err *e)
{
	if (!m->mapped)
		return transfer(d, m, at, NULL, from, n, e);
	if (!vulkan_flush(d, e))
		return false;
	memcpy(m->mapped + (int64_t)m->pad + at, from, n);
	return true;
}

bool vulkan_memory_read(struct device *d, struct device_memory *m, int64_t at, void *to, size_t n, struct err *e)
{
	if (!m->mapped)
		return transfer(d, m, at, to, NULL, n, e);
	if (!vulkan_flush(d, e))
		return false;
	memcpy(to, m->mapped + (int64_t)m->pad + at, n);
	return true;
}
