/* group_run.h: a function of the loop IR through a dialect with groups, on a device with a memory of its own */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct arena;
struct device;
struct device_ops;
struct err;
struct lir_func;

/* Runs f over the buffers, in parameter order; what it wrote is in the outputs afterwards. Fails the test when it wrote anywhere
 * else: into an input or beside a tensor. False when the device says no. divide: as many times fewer groups than asked for. */
bool group_run(const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_func *f, void *const *buffer,
	       uint64_t divide, double *seconds, struct err *e);
/* The same in another dialect than the device's own. */
bool group_run_as(const char *dialect, const struct device_ops *ops, struct device *d, struct arena *a, const struct lir_func *f,
		  void *const *buffer, uint64_t divide, double *seconds, struct err *e);
