/* test_support.h: what every unit test includes instead of Criterion itself */
#pragma once
#include <criterion/criterion.h>
#include <stdbool.h>

/* Call as `.fini = test_leak_check`, or use TEST below, which does. */
void test_leak_check(void);
/* What this thread allocates from here, until it is called with false, may leak: drivers do, and are gone when they are asked. */
void test_leaks_of_others(bool from_here);

#define TEST(suite, name) Test(suite, name, .fini = test_leak_check, .timeout = 120)

/* How many of n random cases are run: under a sanitizer, where each takes several times as long, a part of them. */
#ifdef __SANITIZE_ADDRESS__
#define TEST_CASES(n) ((n) / 4)
#else
#define TEST_CASES(n) (n)
#endif
