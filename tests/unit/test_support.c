/* test_support.c: each test ends with a leak check when built with ASan (Criterion's processes leave by _exit) */
#include "test_support.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>

void test_leak_check(void)
{
	cr_assert(!__lsan_do_recoverable_leak_check(), "memory leaked");
}

void test_leaks_of_others(bool from_here)
{
	if (from_here)
		__lsan_disable();
	else
		__lsan_enable();
}
#else
void test_leaks_of_others(bool from_here)
{
	(void)from_here;
}

void test_leak_check(void)
{
}
#endif
