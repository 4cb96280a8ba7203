/* test_value_fill.c: what lies where nobody wrote */
#include <string.h>

#include "test_support.h"
#include "value/value.h"

TEST(value, what_nobody_wrote_is_the_same_every_time_and_of_the_right_kind)
{
	const struct fill nan = {FILL_NAN, 0}, zero = {FILL_ZERO, 0}, random = {FILL_RANDOM, 7};
	char text[FILL_TEXT];

	cr_expect_str_eq(fill_text(random, text), "random(7)");
	cr_expect_str_eq(fill_text((struct fill){FILL_STALE, 3}, text), "stale");
	cr_expect(fill_eq(zero, (struct fill){FILL_ZERO, 9}) && !fill_eq(random, (struct fill){FILL_RANDOM, 8}) && !fill_eq(nan, zero));
	for (int t = 0; t < DT_COUNT; t++) {
		size_t bits = 8 * dtype_size((enum dtype)t), n = 64 / bits;

		cr_expect_eq(fill_element(zero, (enum dtype)t, 5), 0u);
		cr_expect_eq(fill_element(nan, (enum dtype)t, -5), UINT64_MAX >> (64 - bits));
		for (int64_t i = -3; i < 3; i++) { /* a word is its elements, low ones first */
			uint64_t w = fill_word(random, (enum dtype)t, i);

			for (size_t k = 0; k < n; k++)
				cr_expect_eq(w >> bits * k & UINT64_MAX >> (64 - bits),
					     fill_element(random, (enum dtype)t, i * (int64_t)n + (int64_t)k), "%s", dtype_name((enum dtype)t));
		}
	}
	for (int64_t i = -1000; i < 1000; i++) {
		uint32_t bits = (uint32_t)fill_element(random, DT_F32, i);
		float f;

		memcpy(&f, &bits, sizeof f);
		cr_assert(f >= -1 && f < 1);
		cr_assert_lt(fill_element(random, DT_BOOL, i), 2u);
	}
	cr_expect_neq(fill_element(random, DT_F32, 1), fill_element(random, DT_F32, 2));
}
