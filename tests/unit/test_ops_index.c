/* test_ops_index.c: operators whose indices or sizes are data - gather, scatter, one-hot, ranges - against other implementations */
#include "ops_case.h"
#include "test_support.h"

static const char gather_cases[] =
#include "ops_cases_gather.inc"
    ;
static const char scatter_cases[] =
#include "ops_cases_scatter.inc"
    ;

TEST(ops_index, gathers_give_what_onnxruntime_gives)
{
	ops_cases_check(gather_cases, 30);
}

TEST(ops_index, scatters_give_what_onnxruntime_gives)
{
	ops_cases_check(scatter_cases, 38);
}
