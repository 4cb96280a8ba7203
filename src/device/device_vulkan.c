/* device_vulkan.c: compute on any Vulkan device - GLSL to SPIR-V by shaderc, one pipeline per kernel
 *
 * The loader is opened when a device is, so that one worker program serves machines with and without Vulkan.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "device/device_vulkan.h"

#define MAX_LOG ((size_t)64 << 10)
#define MAX_ROW 65535 /* groups in one dimension, on every device */

/* ---- the loader -------------------------------------------------------------------------------------------------------- */

static bool make_instance(struct device *d, struct err *e)
{
	VkApplicationInfo app = {VK_STRUCTURE_TYPE_APPLICATION_INFO, .pApplicationName = "mutatenn",
				 .apiVersion = VK_API_VERSION_1_2};
	VkInstanceCreateInfo info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &app};
	PFN_vkCreateInstance create;
	VkResult r;

	d->loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!d->loader)
		return err_set(e, ERR_DEVICE, "no Vulkan loader (Debian package 'libvulkan1'): %s", dlerror());
	*(void **)&d->GetInstanceProcAddr = dlsym(d->loader, "vkGetInstanceProcAddr");
	create = d->GetInstanceProcAddr ? (PFN_vkCreateInstance)d->GetInstanceProcAddr(NULL, "vkCreateInstance") : NULL;
	if (!create)
		return err_set(e, ERR_DEVICE, "the Vulkan loader has no 'vkCreateInstance'");
	if ((r = create(&info, NULL, &d->instance))) {
		d->instance = NULL;
		return vulkan_fail(e, "vkCreateInstance", r);
	}
#define FIND(f)                                                                                                                    \
	if (!(d->f = (PFN_vk##f)d->GetInstanceProcAddr(d->instance, "vk" #f)))                                                     \
		return err_set(e, ERR_DEVICE, "the Vulkan loader has no 'vk%s'", #f);
	VK_INSTANCE_API(FIND)
#undef FIND
	return true;
}

/* ---- choosing a device --------------------------------------------------------------------------------------------------- */

static bool find_device(struct device *d, const char *select, struct err *e)
{
	VkPhysicalDevice list[16];
	uint32_t n = 16;
	VkResult r = d->EnumeratePhysicalDevices(d->instance, &n, list);
	struct str seen = {0};

	if (r && r != VK_INCOMPLETE)
		return vulkan_fail(e, "vkEnumeratePhysicalDevices", r);
	for (uint32_t i = 0; i < n && !d->physical; i++) {
		VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};

		d->GetPhysicalDeviceProperties2(list[i], &p);
		str_addf(&seen, "%s'%s'", seen.n ? ", " : "", p.properties.deviceName);
		if (device_is_selected(select, 0, i, p.properties.deviceName) && p.properties.apiVersion >= VK_API_VERSION_1_2)
			d->physical = list[i];
	}
	if (!d->physical && !seen.n)
		err_set(e, ERR_DEVICE, "no Vulkan device; Debian package 'mesa-vulkan-drivers' has one for processors");
	else if (!d->physical && select && *select == '!')
		err_set(e, ERR_DEVICE, "no Vulkan 1.2 device beside %s", str_text(&seen));
	else if (!d->physical)
		err_set(e, ERR_DEVICE, "no Vulkan 1.2 device is called '%s'; there is %s", select ? select : "", str_text(&seen));
	str_free(&seen);
	return d->physical != NULL;
}

static bool find_queue(struct device *d, struct err *e)
{
	VkQueueFamilyProperties family[16];
	uint32_t n = 16;

	d->GetPhysicalDeviceQueueFamilyProperties(d->physical, &n, family);
	for (d->family = 0; d->family < n; d->family++)
		if (family[d->family].queueFlags & VK_QUEUE_COMPUTE_BIT) {
			d->timestamps = family[d->family].timestampValidBits != 0;
			return true;
		}
	return err_set(e, ERR_DEVICE, "the device computes nothing");
}

/* Memory of the device's own where the host sees it too (processors, shared memory); else its own. */
static void choose_memory(struct device *d)
{
	VkMemoryPropertyFlags own = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
			      both = own | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT |
				     VK_MEMORY_PROPERTY_HOST_CACHED_BIT; /* others are read too slowly */
	VkDeviceSize largest = 0;
	bool found = false;

	d->GetPhysicalDeviceMemoryProperties(d->physical, &d->memory);
	for (uint32_t i = 0; i < d->memory.memoryTypeCount; i++) {
		VkMemoryPropertyFlags has = d->memory.memoryTypes[i].propertyFlags;
		VkDeviceSize size = d->memory.memoryHeaps[d->memory.memoryTypes[i].heapIndex].size;

		if ((has & own) && (size > largest || (size == largest && (has & both) == both && !found))) {
			largest = size;
			d->memory_type = i;
			found = (has & both) == both;
		}
	}
	d->caps.memory = largest;
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------- */

struct features {
	VkPhysicalDeviceFeatures2 base;
	VkPhysicalDeviceVulkan11Features v11;
	VkPhysicalDeviceVulkan12Features v12;
};

static void ask_features(struct device *d, struct features *has, struct features *want)
{
	*has = (struct features){.base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &has->v11},
				 .v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &has->v12},
				 .v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES}};
	*want = (struct features){.base = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &want->v11},
				  .v11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES, .pNext = &want->v12},
				  .v12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES}};
	d->GetPhysicalDeviceFeatures2(d->physical, &has->base);
	want->base.features.shaderFloat64 = has->base.features.shaderFloat64;
	want->base.features.shaderInt64 = has->base.features.shaderInt64;
	want->base.features.shaderInt16 = has->base.features.shaderInt16;
	want->base.features.robustBufferAccess =
	    has->base.features.robustBufferAccess; /* a mutant's stray access must not take the device down */
	want->v11.storageBuffer16BitAccess = has->v11.storageBuffer16BitAccess;
	want->v12.storageBuffer8BitAccess = has->v12.storageBuffer8BitAccess;
	want->v12.shaderInt8 = has->v12.shaderInt8;
}

static uint32_t types_of(const struct features *f)
{
	uint32_t t = DEVICE_ALL_TYPES;

	if (!f->base.features.shaderFloat64)
		t &= ~(1u << DT_F64);
	if (!f->base.features.shaderInt64)
		t &= ~(1u << DT_I64 | 1u << DT_U64);
	if (!f->base.features.shaderInt16 || !f->v11.storageBuffer16BitAccess)
		t &= ~(1u << DT_I16 | 1u << DT_U16 | 1u << DT_F16 | 1u << DT_BF16);
	if (!f->v12.shaderInt8 || !f->v12.storageBuffer8BitAccess)
		t &= ~(1u << DT_I8 | 1u << DT_U8 | 1u << DT_BOOL);
	return t;
}

static bool reads_texels(struct device *d)
{
	VkFormatProperties p = {0};

	d->GetPhysicalDeviceFormatProperties(d->physical, VK_FORMAT_R32_SFLOAT, &p);
	return (p.bufferFeatures & VK_FORMAT_FEATURE_STORAGE_TEXEL_BUFFER_BIT) && d->limits.maxTexelBufferElements >= d->limits.maxStorageBufferRange / 4;
}

static void describe(struct device *d, const struct features *f)
{
	VkPhysicalDeviceFloatControlsProperties floats = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FLOAT_CONTROLS_PROPERTIES};
	VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES, .pNext = &floats};
	VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &driver};
	uint32_t v;
	bool cpu;

	d->GetPhysicalDeviceProperties2(d->physical, &p);
	v = p.properties.apiVersion;
	cpu = p.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
	d->limits = p.properties.limits;
	d->modes = (floats.shaderSignedZeroInfNanPreserveFloat32 ? SPIRV_KEEPS_SPECIAL : 0) |
		   (floats.shaderDenormPreserveFloat32 ? SPIRV_KEEPS_DENORMALS : 0);
	d->caps.backend = "vulkan";
	if (cpu && getenv("MUTATENN_SHARE_ON_CPU")) /* for tests: like an accelerator */
		cpu = false;
	d->texels = cpu && reads_texels(d);
	d->caps.dialect = d->texels ? "glsl-cpu" : "glsl";
	d->caps.describe =
	    arena_printf(d->arena, "%s, %s %s, Vulkan %u.%u.%u", p.properties.deviceName, driver.driverName, driver.driverInfo,
			 VK_API_VERSION_MAJOR(v), VK_API_VERSION_MINOR(v), VK_API_VERSION_PATCH(v));
	d->caps.identity = arena_printf(d->arena, "vulkan %u | %s | %s | %s | %u", v, p.properties.deviceName, driver.driverName,
					driver.driverInfo, p.properties.driverVersion);
	d->caps.cls = DEVICE_GPU;
	d->caps.lanes = 1;
	d->caps.max_group = d->limits.maxComputeWorkGroupInvocations < d->limits.maxComputeWorkGroupSize[0]
				? d->limits.maxComputeWorkGroupInvocations
				: d->limits.maxComputeWorkGroupSize[0];
	d->caps.local_memory = d->limits.maxComputeSharedMemorySize;
	d->caps.first_launch_s = 20; /* on a busy machine */
	d->caps.types = types_of(f);
	if (p.properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU)
		d->caps.memory = 0;
	if (cpu) /* there a group's memory is memory like any other, and each barrier a change of its work-items' contexts */
		d->caps.local_memory = 0;
}

static bool make_device(struct device *d, struct err *e)
{
	float priority = 1;
	VkDeviceQueueCreateInfo queue = {VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueFamilyIndex = d->family, .queueCount = 1,
					 .pQueuePriorities = &priority};
	struct features has, want;
	VkDeviceCreateInfo info = {VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &want.base, .queueCreateInfoCount = 1,
				   .pQueueCreateInfos = &queue};
	VkResult r;

	ask_features(d, &has, &want);
	describe(d, &has);
	if ((r = d->CreateDevice(d->physical, &info, NULL, &d->device))) {
		d->device = NULL;
		return vulkan_fail(e, "vkCreateDevice", r);
	}
#define FIND(f)                                                                                                                    \
	if (!(d->f = (PFN_vk##f)d->GetDeviceProcAddr(d->device, "vk" #f)))                                                         \
		return err_set(e, ERR_DEVICE, "the Vulkan driver has no 'vk%s'", #f);
	VK_DEVICE_API(FIND)
#undef FIND
	d->GetDeviceQueue(d->device, d->family, 0, &d->queue);
	return true;
}

static bool make_queue(struct device *d, struct err *e)
{
	VkCommandPoolCreateInfo pool = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
					.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT, .queueFamilyIndex = d->family};
	VkCommandBufferAllocateInfo commands = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
						.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY, .commandBufferCount = 1};
	VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	VkQueryPoolCreateInfo queries = {VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO, .queryType = VK_QUERY_TYPE_TIMESTAMP,
					 .queryCount = 2 * VULKAN_LAUNCHES};
	VkDescriptorPoolSize size[] = {{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, VULKAN_LAUNCHES * VULKAN_MAX_BINDINGS},
				       {VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER, VULKAN_LAUNCHES * VULKAN_MAX_BINDINGS}};
	VkDescriptorPoolCreateInfo descriptors = {VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = VULKAN_LAUNCHES,
						  .poolSizeCount = d->texels ? 2 : 1, .pPoolSizes = size};
	VkResult r = d->CreateCommandPool(d->device, &pool, NULL, &d->pool);

	commands.commandPool = d->pool;
	r = r ? r : d->AllocateCommandBuffers(d->device, &commands, &d->commands);
	r = r ? r : d->CreateFence(d->device, &fence, NULL, &d->fence);
	r = r ? r : d->CreateQueryPool(d->device, &queries, NULL, &d->queries);
	r = r ? r : d->CreateDescriptorPool(d->device, &descriptors, NULL, &d->descriptors);
	return !r || vulkan_fail(e, "preparing the queue", r);
}

static void vk_close(struct device *d);

static bool vk_open(const struct device_options *o, struct device **out, struct err *e)
{
	struct arena *a = arena_new(NULL);
	struct device *d = ARENA_NEW(a, struct device);
	char number[16];
	bool ok;

	d->arena = a;
	snprintf(number, sizeof number, "%d", o->threads);
	if (o->threads > 0)
		setenv("LP_NUM_THREADS", number, 1); /* lavapipe's; others do not know it */
	d->compiler = shaderc_compiler_initialize();
	ok = d->compiler || err_set(e, ERR_DEVICE, "the compiler for shaders cannot be started");
	ok = ok && make_instance(d, e) && find_device(d, o->select, e) && find_queue(d, e);
	if (ok) {
		choose_memory(d);
		ok = make_device(d, e) && make_queue(d, e);
	}
	ok = ok && cache_open(a, o->cache_dir, &d->cache, e);
	if (!ok) {
		err_in(e, "device '%s'", o->name ? o->name : "vulkan");
		vk_close(d);
		return false;
	}
	*out = d;
	return true;
}

static const struct device_caps *vk_caps(const struct device *d)
{
	return &d->caps;
}

/* ---- compiling --------------------------------------------------------------------------------------------------------------- */

static bool compile(struct device *d, struct arena *a, const char *source, struct artefact *out, struct err *e)
{
	shaderc_compile_options_t options = shaderc_compile_options_initialize();
	shaderc_compilation_result_t r;
	const char *log;
	bool ok = true;

	shaderc_compile_options_set_target_env(options, shaderc_target_env_vulkan, shaderc_env_version_vulkan_1_2);
	shaderc_compile_options_set_optimization_level(options, shaderc_optimization_level_zero);
	r = shaderc_compile_into_spv(d->compiler, source, strlen(source), shaderc_compute_shader, "kernel", "main", options);
	log = r ? shaderc_result_get_error_message(r) : "";
	out->log = arena_strndup(a, log, strlen(log) < MAX_LOG ? strlen(log) : MAX_LOG);
	if (!r || shaderc_result_get_compilation_status(r) != shaderc_compilation_status_success) {
		ok = err_set(e, ERR_DEVICE, "the compiler refused the shader: %.200s", *out->log ? out->log : "no reason given");
	} else if (!spirv_exact(a, (const uint8_t *)shaderc_result_get_bytes(r), shaderc_result_get_length(r), d->modes, &out->data,
				&out->size)) {
		ok = err_set(e, ERR_DEVICE, "the compiler's shader is not what it should be");
	}
	if (r)
		shaderc_result_release(r);
	shaderc_compile_options_release(options);
	return ok;
}

static bool vk_compile(struct device *d, struct arena *a, const char *source, bool contract, struct artefact *out, struct err *e)
{
	struct hasher *h = hasher_new();
	struct hash key;

	(void)contract; /* the text says fma where it means it */
	hash_put_text(h, "spirv 3");
	hash_put_text(h, d->caps.identity);
	hash_put_text(h, source);
	key = hasher_end(h);
	*out = (struct artefact){0};
	if (cache_get(a, &d->cache, key, &out->data, &out->size)) {
		out->cached = true;
		out->log = arena_strdup(a, "");
	} else if (!compile(d, a, source, out, e)) {
		return false;
	} else {
		cache_put(&d->cache, key, out->data, out->size);
	}
	out->code = hash_bytes(out->data, out->size);
	return true;
}

static bool vk_load(struct device *d, const struct artefact *art, struct kernel **out, struct err *e)
{
	VkShaderModuleCreateInfo info = {VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = art->size};
	struct kernel *k;
	const char *lacks;
	VkResult r;

	if (art->size < 20 || art->size % 4 || memcmp(art->data, "\x03\x02\x23\x07", 4))
		return err_set(e, ERR_DEVICE, "a kernel that is no SPIR-V");
	if ((lacks = spirv_lacks(art->data, art->size, d->caps.types)))
		return err_set(e, ERR_DEVICE, "the kernel computes with '%s', which the device does not have", lacks);
	k = calloc(1, sizeof *k);
	info.pCode = malloc(art->size); /* aligned */
	if (!k || !info.pCode) {
		free(k);
		free((void *)info.pCode);
		return err_set(e, ERR_IO, "out of memory");
	}
	memcpy((void *)info.pCode, art->data, art->size);
	r = d->CreateShaderModule(d->device, &info, NULL, &k->module);
	free((void *)info.pCode);
	if (r) {
		free(k);
		return vulkan_fail(e, "vkCreateShaderModule", r);
	}
	k->texels = spirv_texels(art->data, art->size);
	k->next = d->kernels;
	*out = d->kernels = k;
	return true;
}

static void vk_unload(struct device *d, struct kernel *k)
{
	struct kernel **at = &d->kernels;

	while (*at && *at != k)
		at = &(*at)->next;
	if (!*at)
		return;
	vulkan_flush(d, NULL);
	*at = k->next;
	d->DestroyPipeline(d->device, k->pipeline, NULL);
	d->DestroyPipelineLayout(d->device, k->layout, NULL);
	d->DestroyDescriptorSetLayout(d->device, k->set, NULL);
	d->DestroyShaderModule(d->device, k->module, NULL);
	free(k);
}

/* ---- running --------------------------------------------------------------------------------------------------------------------
 */

static VkDescriptorType type_of(const struct kernel *k, uint32_t binding)
{
	return k->texels >> binding & 1 ? VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
}

static bool make_layout(struct device *d, struct kernel *k, uint32_t n, struct err *e)
{
	VkDescriptorSetLayoutBinding binding[VULKAN_MAX_BINDINGS] = {{0}};
	VkDescriptorSetLayoutCreateInfo set = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = n,
					       .pBindings = binding};
	VkPipelineLayoutCreateInfo layout = {VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &k->set};
	VkResult r;

	for (uint32_t i = 0; i < n; i++)
		binding[i] = (VkDescriptorSetLayoutBinding){.binding = i,
							    .descriptorType = type_of(k, i),
							    .descriptorCount = 1,
							    .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
	r = d->CreateDescriptorSetLayout(d->device, &set, NULL, &k->set);
	r = r ? r : d->CreatePipelineLayout(d->device, &layout, NULL, &k->layout);
	return !r || vulkan_fail(e, "preparing a kernel's arguments", r);
}

static uint32_t most_bindings(const struct device *d, bool texels)
{
	uint32_t n = d->limits.maxPerStageDescriptorStorageBuffers;

	if (texels && d->limits.maxPerStageDescriptorStorageImages < n)
		n = d->limits.maxPerStageDescriptorStorageImages;
	return n < VULKAN_MAX_BINDINGS ? n : VULKAN_MAX_BINDINGS;
}

static bool make_pipeline(struct device *d, struct kernel *k, uint32_t n, struct err *e)
{
	VkComputePipelineCreateInfo info = {VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
					    .stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
						      .stage = VK_SHADER_STAGE_COMPUTE_BIT, .module = k->module, .pName = "main"}};
	uint32_t most = most_bindings(d, k->texels);
	VkResult r;

	if (k->pipeline)
		return k->bindings == n || err_set(e, ERR_DEVICE, "a kernel of %u buffers was given %u", k->bindings, n);
	if (n > most)
		return err_set(e, ERR_DEVICE, "a kernel with %u buffers is over the device's limit of %u", n, most);
	if (!k->layout && !make_layout(d, k, n, e))
		return false;
	info.layout = k->layout;
	k->bindings = n;
	r = d->CreateComputePipelines(d->device, VK_NULL_HANDLE, 1, &info, NULL, &k->pipeline);
	return !r || vulkan_fail(e, "the driver refused the kernel", r);
}

static bool bind(struct device *d, const struct device_launch *l, VkDescriptorSet *out, struct err *e)
{
	VkDescriptorSetAllocateInfo info = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO, .descriptorPool = d->descriptors,
					    .descriptorSetCount = 1, .pSetLayouts = &l->kernel->set};
	VkDescriptorBufferInfo buffer[VULKAN_MAX_BINDINGS];
	VkWriteDescriptorSet write[VULKAN_MAX_BINDINGS];
	VkResult r;

	for (uint32_t i = 0; i < l->nargs; i++) {
		if (type_of(l->kernel, i) == VK_DESCRIPTOR_TYPE_STORAGE_TEXEL_BUFFER && !vulkan_memory_view(d, l->arg[i], e))
			return false;
		buffer[i] = (VkDescriptorBufferInfo){l->arg[i]->buffer, 0, VK_WHOLE_SIZE};
		write[i] = (VkWriteDescriptorSet){VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
						  .dstBinding = i,
						  .descriptorCount = 1,
						  .descriptorType = type_of(l->kernel, i),
						  .pBufferInfo = &buffer[i],
						  .pTexelBufferView = &l->arg[i]->view};
	}
	if ((r = d->AllocateDescriptorSets(d->device, &info, out)))
		return vulkan_fail(e, "vkAllocateDescriptorSets", r);
	for (uint32_t i = 0; i < l->nargs; i++)
		write[i].dstSet = *out;
	d->UpdateDescriptorSets(d->device, l->nargs, write, 0, NULL);
	return true;
}

/* Groups beyond a row go into further rows; kernels do not mind some too many. */
static bool vk_launch(struct device *d, const struct device_launch *l, struct err *e)
{
	uint32_t x = l->groups < MAX_ROW ? (uint32_t)l->groups : MAX_ROW, y = (uint32_t)((l->groups + x - 1) / x);
	VkDescriptorSet set;

	if (l->group > d->caps.max_group)
		return err_set(e, ERR_DEVICE, "a work-group of %u is over the device's limit of %u", l->group, d->caps.max_group);
	if (d->launches == VULKAN_LAUNCHES && !vulkan_flush(d, e))
		return false;
	if (!make_pipeline(d, l->kernel, l->nargs, e) || !bind(d, l, &set, e) || !vulkan_record(d, e))
		return false;
	d->CmdBindPipeline(d->commands, VK_PIPELINE_BIND_POINT_COMPUTE, l->kernel->pipeline);
	d->CmdBindDescriptorSets(d->commands, VK_PIPELINE_BIND_POINT_COMPUTE, l->kernel->layout, 0, 1, &set, 0, NULL);
	if (d->timestamps)
		d->CmdWriteTimestamp(d->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, d->queries, 2 * d->launches);
	d->CmdDispatch(d->commands, x, y < MAX_ROW ? y : MAX_ROW, 1);
	if (d->timestamps)
		d->CmdWriteTimestamp(d->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, d->queries, 2 * d->launches + 1);
	d->launches++;
	return true;
}

static bool vk_finish(struct device *d, double *seconds, size_t n, struct err *e)
{
	bool ok = vulkan_flush(d, e);

	for (size_t i = 0; ok && seconds && i < n; i++)
		seconds[i] = i < d->seconds.n ? d->seconds.v[i] : 0;
	d->seconds.n = 0;
	return ok;
}

/* ---- the end
 * ---------------------------------------------------------------------------------------------------------------------- */

static void close_device(struct device *d)
{
	while (d->kernels)
		vk_unload(d, d->kernels);
	vulkan_memory_free(d, d->staging);
	d->DestroyDescriptorPool(d->device, d->descriptors, NULL);
	d->DestroyQueryPool(d->device, d->queries, NULL);
	d->DestroyFence(d->device, d->fence, NULL);
	d->DestroyCommandPool(d->device, d->pool, NULL);
	d->DestroyDevice(d->device, NULL);
}

static void vk_close(struct device *d)
{
	if (!d)
		return;
	if (d->device && d->CmdWriteTimestamp) /* the last to be found: all are there */
		close_device(d);
	if (d->instance && d->DestroyInstance)
		d->DestroyInstance(d->instance, NULL);
	if (d->compiler)
		shaderc_compiler_release(d->compiler);
	arena_free(d->arena); /* the libraries stay: drivers have threads and exit handlers in them */
}

const struct device_ops device_vulkan = {
    .name = "vulkan",
    .dialect = "glsl",
    .open = vk_open,
    .caps = vk_caps,
    .compile = vk_compile,
    .load = vk_load,
    .unload = vk_unload,
    .memory_new = vulkan_memory_new,
    .memory_free = vulkan_memory_free,
    .memory_fill = vulkan_memory_fill,
    .memory_write = vulkan_memory_write,
    .memory_read = vulkan_memory_read,
    .launch = vk_launch,
    .finish = vk_finish,
    .close = vk_close,
};
