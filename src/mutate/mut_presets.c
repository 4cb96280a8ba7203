/* mut_presets.c: named sets of mutants */
#include "mutate/mutate.h"

#define N(x) (sizeof(x) / sizeof *(x))
#define ALL(title, op, var) {.label = title, .operator_glob = op, .variant_glob = var, .pick = MUT_ALL}

/* The 22 entries of the prior tool's configuration, under its titles: each one mutant over all its sites. Its type mutants store
 * at the narrow stride, as its code generator does. */
static const struct mut_spec paper[] = {
        ALL("replace_func_relu_to_sigmoid", "graph.replace.relu", "to-sigmoid"),
        ALL("replace_func_add_to_subtract", "graph.replace.add", "to-subtract"),
        ALL("transpose_conv2d_0_before", "graph.insert.transpose.conv", "before-0"),
        ALL("transpose_dense_0_before", "graph.insert.transpose.dense", "before-0"),
        ALL("transpose_conv2d_dense_0_before", "graph.insert.transpose.conv-dense", "before-0"),
        ALL("transpose_conv2d_dense_1_before", "graph.insert.transpose.conv-dense", "before-1"),
        ALL("transpose_batch_norm_0_before", "graph.insert.transpose.batch-norm", "before-0"),
        ALL("exp_conv2d_dense_0_before", "graph.insert.exp.conv-dense", "before-0"),
        ALL("exp_conv2d_dense_0_after", "graph.insert.exp.conv-dense", "after"),
        ALL("exp_batch_norm_0_before", "graph.insert.exp.batch-norm", "before-0"),
        ALL("round_batch_norm_0_before", "graph.insert.round.batch-norm", "before-0"),
        ALL("float32_to_float16", "loop.store.narrow", "f16"),
        ALL("float32_to_int32", "loop.store.narrow", "i32"),
        ALL("float32_to_int16", "loop.store.narrow", "i16"),
        ALL("float32_to_int8", "loop.store.narrow", "i8"),
        ALL("subtract_from_store_value", "loop.store.value", "-1e-8"),
        ALL("multiply_store_value", "loop.store.value", "[*]1.00000001"),
        ALL("ifstmt_LT_to_LE", "loop.cond.lt-to-le", "swap"),
        ALL("ifstmt_LT_to_GT", "loop.cond.lt-to-gt", "swap"),
        ALL("ifstmt_GT_to_LT", "loop.cond.gt-to-lt", "swap"),
        ALL("ifstmt_GT_to_GE", "loop.cond.gt-to-ge", "swap"),
        ALL("change_threshold_ite_LT_r_a_0_5", "loop.threshold", "right+0.5"),
};

/* One of each operator that imitates a bug class seen in real device code, over few sites: a first look in a minute. */
static const struct mut_spec quick[] = {
        {.operator_glob = "graph.replace.*", .pick = MUT_SAMPLE, .count = 10}, {.operator_glob = "graph.attribute.*", .pick = MUT_SAMPLE, .count = 5},
        {.operator_glob = "loop.cond.*", .pick = MUT_SAMPLE, .count = 15},     {.operator_glob = "loop.bound.*", .pick = MUT_SAMPLE, .count = 10},
        {.operator_glob = "loop.index.*", .pick = MUT_SAMPLE, .count = 10},    {.operator_glob = "loop.store.*", .pick = MUT_SAMPLE, .count = 10},
        {.operator_glob = "loop.arith.*", .pick = MUT_SAMPLE, .count = 10},    {.operator_glob = "input.*", .pick = MUT_EACH},
};

static const struct mut_preset preset_paper = {"mutatenn-paper", "the 22 entries of the configuration published with arXiv 2306.01697, each over all its sites",
                                               paper, N(paper)};
static const struct mut_preset preset_quick = {"quick", "some of every kind, sampled: a first look in a minute", quick, N(quick)};

const struct mut_preset *const mut_presets[] = {&preset_paper, &preset_quick, NULL};
