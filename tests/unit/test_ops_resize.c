/* test_ops_resize.c: operators that change how many pixels an image has, against onnxruntime and ONNX's reference */
#include "ops_case.h"
#include "test_support.h"

static const char depth_cases[] =
#include "ops_cases_depth.inc"
    ;

TEST(ops_resize, depth_becomes_space_and_back_as_in_onnxruntime)
{
	ops_cases_check(depth_cases, 14);
}

static const char resize_cases[] =
#include "ops_cases_resize.inc"
    ;

TEST(ops_resize, pictures_of_another_size_are_those_of_onnxruntime_or_the_reference)
{
	ops_cases_check(resize_cases, 80);
}

static const char gridsample_cases[] =
#include "ops_cases_gridsample.inc"
    ;

TEST(ops_resize, pixels_are_sampled_at_any_place_without_reading_outside)
{
	ops_cases_check(gridsample_cases, 39);
}
