/* group_text.h: functions with thread loops and memory that a group shares */
#pragma once

/* y = a b, 8 x 8, k = 6 in slices of 2; a group of 16 makes a tile of 4 x 8, an item 1 x 2. */
#define GROUP_PRODUCT                                                                                                              \
	"func product(a: f32[8, 6], b: f32[6, 8], out y: f32[8, 8]) group 16 {\n"                                                   \
	"  for tile in 0..2 parallel {\n"                                                                                           \
	"    alloc left: f32[2, 4] shared\n"                                                                                        \
	"    alloc right: f32[2, 8] shared\n"                                                                                       \
	"    alloc acc: f32[2] private\n"                                                                                           \
	"    for t in 0..16 thread {\n"                                                                                             \
	"      for j in 0..2 unrolled {\n"                                                                                          \
	"        acc[j] = 0.0\n"                                                                                                    \
	"      }\n"                                                                                                                 \
	"    }\n"                                                                                                                   \
	"    for slice in 0..3 serial {\n"                                                                                          \
	"      for t_1 in 0..8 thread {\n"                                                                                          \
	"        left[t_1 / 4, t_1 % 4] = a[tile * 4 + t_1 % 4, slice * 2 + t_1 / 4]\n"                                              \
	"      }\n"                                                                                                                 \
	"      for t_2 in 0..16 thread {\n"                                                                                         \
	"        right[t_2 / 8, t_2 % 8] = b[slice * 2 + t_2 / 8, t_2 % 8]\n"                                                       \
	"      }\n"                                                                                                                 \
	"      for t_3 in 0..16 thread {\n"                                                                                         \
	"        for k in 0..2 unrolled {\n"                                                                                        \
	"          for j_1 in 0..2 unrolled {\n"                                                                                    \
	"            acc[j_1] = fma(left[k, t_3 / 4], right[k, t_3 % 4 * 2 + j_1], acc[j_1])\n"                                      \
	"          }\n"                                                                                                             \
	"        }\n"                                                                                                               \
	"      }\n"                                                                                                                 \
	"    }\n"                                                                                                                   \
	"    for t_4 in 0..16 thread {\n"                                                                                           \
	"      for j_2 in 0..2 unrolled {\n"                                                                                        \
	"        y[tile * 4 + t_4 / 4, t_4 % 4 * 2 + j_2] = acc[j_2]\n"                                                             \
	"      }\n"                                                                                                                 \
	"    }\n"                                                                                                                   \
	"  }\n"                                                                                                                     \
	"}\n"

/* Turned around in groups of 5 by way of shared memory; loops over more iterations than work-items, and a private array with an index. */
#define GROUP_TURN                                                                                                                 \
	"func turn(x: f32[3, 12], out y: f32[3, 12]) group 5 {\n"                                                                   \
	"  for i in 0..3 parallel {\n"                                                                                              \
	"    alloc row: f32[12] shared\n"                                                                                           \
	"    alloc own: f32[3] private\n"                                                                                           \
	"    for t in 0..12 thread {\n"                                                                                             \
	"      row[t] = x[i, t]\n"                                                                                                  \
	"    }\n"                                                                                                                   \
	"    for t_1 in 0..12 thread {\n"                                                                                           \
	"      own[t_1 / 5] = row[11 - t_1]\n"                                                                                      \
	"    }\n"                                                                                                                   \
	"    for t_2 in 0..12 thread {\n"                                                                                           \
	"      y[i, t_2] = own[t_2 / 5] + row[t_2]\n"                                                                               \
	"    }\n"                                                                                                                   \
	"  }\n"                                                                                                                     \
	"}\n"
