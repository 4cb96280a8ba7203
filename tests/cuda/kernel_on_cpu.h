/* kernel_on_cpu.h: included in front of a CUDA C kernel that is compiled for this processor, so that its text can run without a GPU
 *
 * The threads of a block are run one after the other, up to their next barrier: shared memory is a static variable.
 */
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

using std::isfinite;
using std::isinf;
using std::isnan;

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...) /* nvrtc.c reads it */
#define __builtin_assume(x) ((void)0)
#define __align__(n) __attribute__((aligned(n)))
#define __trap() __builtin_trap()

struct dim {
	unsigned x, y, z;
};
extern "C" {
__attribute__((visibility("default"))) dim threadIdx, blockIdx, blockDim, gridDim;
__attribute__((visibility("default"))) void (*on_barrier)(void);
}
static inline void __syncthreads(void)
{
	on_barrier();
}

static inline float __int_as_float(int i)
{
	float f;
	memcpy(&f, &i, sizeof f);
	return f;
}
static inline int __float_as_int(float f)
{
	int i;
	memcpy(&i, &f, sizeof i);
	return i;
}
static inline double __longlong_as_double(long long i)
{
	double f;
	memcpy(&f, &i, sizeof f);
	return f;
}
struct alignas(16) float4 {
	float x, y, z, w;
};
struct alignas(8) float2 {
	float x, y;
};
static inline float4 make_float4(float x, float y, float z, float w)
{
	return {x, y, z, w};
}

/* One thread: the driver has an array of pointers to arguments. */
template <class... A, size_t... I> static void call(void (*f)(A...), void **p, std::index_sequence<I...>)
{
	f(*(A *)p[I]...);
}
template <class... A> static void call(void (*f)(A...), void **p)
{
	call(f, p, std::index_sequence_for<A...>());
}
template <class... A> static constexpr unsigned count(void (*)(A...))
{
	static_assert((... && (sizeof(A) == 8)), "all parameters are pointers");
	return sizeof...(A);
}
#define KERNEL_ENTRY                                                                                                               \
	extern "C" {                                                                                                               \
	__attribute__((visibility("default"))) extern const unsigned parameters, most_threads;                                        \
	const unsigned parameters = count(mutatenn_kernel), most_threads = MOST_THREADS;                                              \
	}                                                                                                                          \
	extern "C" __attribute__((visibility("default"))) void run_thread(void **p)                                                \
	{                                                                                                                          \
		call(mutatenn_kernel, p);                                                                                          \
	}
