/* checks_case.h: instrumented functions on a device, against the interpreter */
#pragma once
#include <stdint.h>

struct device;
struct device_ops;

/* Random functions that read and write out of bounds and before their time: the device's outputs, marks and report are the interpreter's
 * bit by bit. Serial ones, so that what is first is the same everywhere. */
void checks_run(const struct device_ops *ops, struct device *d, uint64_t first, long rounds);
