/* test_ops_index.c: operators whose indices or sizes are data - gather, scatter, one-hot, ranges, triangles - against other implementations */
#include "ops_case.h"
#include "test_support.h"

static const char gather_cases[] =
#include "ops_cases_gather.inc"
    ;
static const char scatter_cases[] =
#include "ops_cases_scatter.inc"
    ;
static const char range_cases[] =
#include "ops_cases_range.inc"
    ;

TEST(ops_index, gathers_give_what_onnxruntime_gives)
{
	ops_cases_check(gather_cases, 30);
}

TEST(ops_index, scatters_give_what_onnxruntime_gives)
{
	ops_cases_check(scatter_cases, 38);
}

TEST(ops_index, what_follows_from_positions_is_what_onnxruntime_gives)
{
	ops_cases_check(range_cases, 54);
}
