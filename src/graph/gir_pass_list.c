/* gir_pass_list.c: the passes in the order they run */
#include <stddef.h>

#include "graph/graph.h"

extern const struct gir_pass gir_pass_precision, gir_pass_identity, gir_pass_dead, gir_pass_bn_fold, gir_pass_join, gir_pass_bn_split, gir_pass_gelu, gir_pass_shuffle, gir_pass_layout, gir_pass_parts,
    gir_pass_winograd, gir_pass_views, gir_pass_fuse;

static const struct gir_pass fold = {"fold", "compute what depends on constants only", 1, NULL, false};

const struct gir_pass *const gir_passes[] = {
    &gir_pass_precision, &gir_pass_identity, &gir_pass_bn_fold, &gir_pass_join, &gir_pass_bn_split, &gir_pass_gelu, &gir_pass_shuffle, &fold, &gir_pass_dead, &gir_pass_layout, &gir_pass_parts, &gir_pass_winograd, &gir_pass_views, &gir_pass_fuse, NULL,
};
