/* compile_support.h: what tests of compiled networks share */
#pragma once
#include <math.h>

#include "test_support.h"
#include "value/value.h"

/* The largest difference, relative to the largest element of y. */
static inline double test_worst(const struct tensor *x, const struct tensor *y)
{
	double most = 0, scale = 1e-3;

	cr_assert_eq(tensor_elements(x), tensor_elements(y));
	for (int64_t i = 0; i < tensor_elements(x); i++) {
		most = fmax(most, fabs(tensor_get_f64(x, i) - tensor_get_f64(y, i)));
		scale = fmax(scale, fabs(tensor_get_f64(y, i)));
	}
	return most / scale;
}
