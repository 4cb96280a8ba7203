/* worker/child_exec.h: what child_open.c, child_life.c and child_exec.c know of each other */
#pragma once
#include "worker/child.h"

/* child_open.c */

/* Everything but a child; on a device with a memory of its own, that too. */
bool exec_open(struct exec *x, struct worker *w, struct prog *p, const struct base *b, const struct exec_given *g, uint64_t job, struct fill fill,
	       int threads, uint32_t repeat, double limit_s, double cpu_seconds, struct err *e);
/* The bytes of the tensor with that key; NULL: not known. */
const uint8_t *exec_known_data(const struct known *k, struct hash key);
/* All outputs of the launch are. */
bool exec_is_known(const struct exec *x, const struct prog_launch *l, const struct known *from);

/* child_life.c */

/* What a child's end says, unless it is PROC_OK. */
enum step exec_ended(struct exec *x, enum proc_end how);
/* Canaries of a buffer are not what they were. launch: who is blamed, or -1. */
void exec_overran(struct exec *x, int64_t launch, uint32_t buffer);
/* The launch of the one kernel that is not the original's, if there is only one; else -1. */
int64_t exec_only_suspect(const struct exec *x);
