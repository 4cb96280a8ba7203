/* test_child_mem.c: what of a worker's memory a child inherits, and in how many mappings the worker has it */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"
#include "worker/child.h"

#define BLOBS 30
#define BYTES ((size_t)200 << 10)

static struct slots slots;
static struct mem m;
static uint8_t *data[BLOBS];
static struct chunk *chunk[BLOBS];

static bool fill(int i)
{
	data[i] = mem_alloc(&m, BYTES + (size_t)i * 5000, true, &chunk[i]);
	if (!data[i])
		return false;
	memset(data[i], i + 1, BYTES);
	chunk_close(chunk[i]);
	return true;
}

static void begin(void)
{
	cr_assert(slots_open(&slots, NULL));
	mem_open(&m, &slots);
	if (!m.region || !m.joins)
		cr_skip_test("addresses are scarce here");
	for (int i = 0; i < BLOBS; i++)
		cr_assert(fill(i));
}

static void end(void)
{
	for (int i = 0; i < BLOBS; i++)
		chunk_release(&m, chunk[i]);
	slots_close(&slots);
}

/* Mappings of this process in the region. */
static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long long from, to;
	char line[500];
	int n = 0;

	cr_assert(f);
	while (fgets(line, sizeof line, f))
		n += sscanf(line, "%llx-%llx", &from, &to) == 2 && from >= (uintptr_t)m.region && from < (uintptr_t)m.region + ((uint64_t)8 << 40);
	fclose(f);
	return n;
}

static bool mapped(const uint8_t *p)
{
	unsigned char there;

	return !mincore((void *)((uintptr_t)p & ~(PAGE - 1)), PAGE, &there);
}

/* Of those blobs only: a status of 0 says that a child has them whole, nothing around them, and no other. */
static int look(const int *lent, int n)
{
	for (int i = 0, k = 0; i < BLOBS; i++) {
		uint8_t *at;
		size_t size;
		bool mine = k < n && lent[k] == i;

		k += mine;
		chunk_place(chunk[i], &at, &size);
		if (mapped(at) != mine || mapped(at + size - 1) != mine || mapped(at - 1) || mapped(at + size) || mapped(at - (1 << 20)) || mapped(at + size + (1 << 20)))
			return i + 1;
		if (mine && (data[i][0] != i + 1 || data[i][BYTES - 1] != i + 1))
			return 100 + i;
	}
	return 0;
}

static void child_has(const int *lent, int n)
{
	int status;
	pid_t pid;

	for (int i = 0; i < n; i++)
		chunk_lend(&m, chunk[lent[i]]);
	mem_before_fork(&m);
	pid = fork();
	if (!pid)
		_exit(look(lent, n));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && !WEXITSTATUS(status), "%x", (unsigned)status);
}

TEST(child_mem, blobs_that_no_child_inherits_are_one_mapping_and_a_child_has_nothing_between_its_own)
{
	begin();
	child_has(NULL, 0);
	cr_expect_eq(mappings(), 1);
	child_has((int[]){0, 7, 8, 9, BLOBS - 1}, 5);
	child_has((int[]){8}, 1);
	child_has(NULL, 0);
	cr_expect_eq(mappings(), 1, "what was lent is part of it again");
	end();
	cr_expect_eq(mappings(), 0);
}

TEST(child_mem, a_kernel_that_runs_in_this_process_finds_nothing_between_blobs)
{
	uint8_t *at;
	size_t size;

	cr_assert(slots_open(&slots, NULL));
	mem_open(&m, &slots);
	m.padded = true;
	for (int i = 0; i < BLOBS; i++)
		cr_assert(fill(i));
	for (int i = 0; i < BLOBS; i++) {
		chunk_place(chunk[i], &at, &size);
		cr_expect(!mapped(at - 1) && !mapped(at + size), "blob %d", i);
	}
	end();
}

TEST(child_mem, places_of_blobs_that_are_gone_are_free_again)
{
	begin();
	for (int round = 0; round < 3; round++) {
		for (int i = round; i < BLOBS; i += 3)
			chunk_release(&m, chunk[i]);
		for (int i = round; i < BLOBS; i += 3)
			cr_assert(fill(i));
		child_has((int[]){2, 3, 4, 20}, 4);
	}
	end();
	cr_expect_eq(mappings(), 0);
	cr_expect_eq(m.n, 0u);
}
