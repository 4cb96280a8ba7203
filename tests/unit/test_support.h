/* test_support.h: what every unit test includes instead of Criterion itself */
#pragma once
#include <criterion/criterion.h>

/* Call as `.fini = test_leak_check`, or use TEST below, which does. */
void test_leak_check(void);

#define TEST(suite, name) Test(suite, name, .fini = test_leak_check, .timeout = 120)
