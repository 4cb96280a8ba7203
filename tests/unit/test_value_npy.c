/* test_value_npy.c: .npy files as numpy writes them, and hostile ones */
#include "test_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "value/value.h"

/* A file with that header and data; *n is its size. */
static uint8_t *file_of(struct arena *a, int version, const char *header, const void *data, size_t size, size_t *n)
{
	size_t len = strlen(header), start = version == 1 ? 10 : 12;
	uint8_t *p = arena_zalloc(a, start + len + size);

	memcpy(p, "\x93NUMPY", 6);
	p[6] = (uint8_t)version;
	p[8] = (uint8_t)len;
	p[9] = (uint8_t)(len >> 8);
	memcpy(p + start, header, len);
	memcpy(p + start + len, data, size);
	*n = start + len + size;
	return p;
}

static struct tensor *parse(struct arena *a, int version, const char *header, const void *data, size_t size)
{
	struct tensor *t = NULL;
	struct err e = {0};
	size_t n;
	uint8_t *p = file_of(a, version, header, data, size, &n);

	cr_assert(npy_parse(a, p, n, &t, &e), "%s: %s", header, err_text(&e));
	return t;
}

static void refuses(const char *header, const char *why)
{
	struct arena *a = arena_new(NULL);
	struct tensor *t;
	struct err e = {0};
	size_t n;
	uint8_t *p = file_of(a, 1, header, "12345678", 8, &n);

	cr_expect_not(npy_parse(a, p, n, &t, &e), "%s", header);
	cr_expect(strstr(err_text(&e), why), "%s: %s", header, err_text(&e));
	err_free(&e);
	arena_free(a);
}

TEST(npy, orders_and_byte_orders_are_converted)
{
	struct arena *a = arena_new(NULL);
	/* numpy.arange(6, dtype='>i2').reshape(2, 3), C order and Fortran order */
	static const uint8_t c[] = {0, 0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5}, f[] = {0, 0, 0, 3, 0, 1, 0, 4, 0, 2, 0, 5};
	struct tensor *t = parse(a, 1, "{'descr': '>i2', 'fortran_order': False, 'shape': (2, 3), }       \n", c, sizeof c);

	cr_expect_eq(t->dtype, DT_I16);
	cr_expect_eq(t->nd, 2);
	cr_expect_eq(t->dim[1], 3);
	for (int i = 0; i < 6; i++)
		cr_expect_eq(tensor_get_i64(t, i), i);
	t = parse(a, 2, "{\"shape\": (2,3), \"fortran_order\": True, \"descr\": \">i2\"}\n", f, sizeof f);
	for (int i = 0; i < 6; i++)
		cr_expect_eq(tensor_get_i64(t, i), i);
	t = parse(a, 3, "{'descr': '|b1', 'fortran_order': True, 'shape': ()}\n", "\1", 1);
	cr_expect_eq(t->nd, 0);
	cr_expect_eq(tensor_get_i64(t, 0), 1);
	t = parse(a, 1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 0, 2)}", "", 0);
	cr_expect_eq(tensor_elements(t), 0);
	arena_free(a);
}

TEST(npy, hostile_headers_are_errors)
{
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "truncated: the shape needs 12 bytes, there are 8");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776, 16), }", "absurd shape");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999999999,), }", "absurd shape");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "not a tuple");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "more than 8 dimensions");
	refuses("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "element type '|O' is not supported");
	refuses("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "not a plain one");
	refuses("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,), }", "neither True nor False");
	refuses("{'descr': '<f4', 'shape': (1,), }", "lacks one of");
	refuses("{'shape': (1,), 'shape': (1,)}", "two shapes");
	refuses("{'descr': '<f4', 'fortran_order': False, 'shape': (1", "not a tuple");
	refuses("{'descr': '<f4", "not a plain one");
	refuses("{'what': 1}", "unknown key 'what'");
	refuses("", "not a dictionary");
}

TEST(npy, a_file_cut_anywhere_is_an_error)
{
	struct arena *a = arena_new(NULL);
	size_t n;
	uint8_t *p = file_of(a, 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "12345678", 8, &n);
	struct tensor *t;

	for (size_t i = 0; i < n; i++) {
		uint8_t *copy = malloc(i + 1);

		memcpy(copy, p, i);
		cr_expect_not(npy_parse(a, copy, i, &t, NULL), "%zu", i);
		free(copy);
	}
	cr_expect(npy_parse(a, p, n, &t, NULL));
	arena_free(a);
}

TEST(npy, what_is_written_is_numpys_form_and_reads_back)
{
	static const int64_t dim[] = {2, 1, 3};
	static const enum dtype types[] = {DT_BOOL, DT_I8, DT_U16, DT_I64, DT_F16, DT_F32, DT_F64};
	struct arena *a = arena_new(NULL);
	char path[] = "/tmp/mutatenn-npy-XXXXXX";
	struct err e = {0};
	struct tensor *t, *r;
	struct bytes b;
	int fd = mkstemp(path);

	cr_assert_geq(fd, 0);
	close(fd);
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		for (int nd = 0; nd <= 3; nd++) {
			t = tensor_new(a, types[i], nd, dim);
			for (int64_t j = 0; j < tensor_elements(t); j++)
				tensor_set_i64(t, j, j & 1);
			cr_assert(npy_write(path, t, &e), "%s", err_text(&e));
			cr_assert(npy_read(a, path, &r, &e), "%s", err_text(&e));
			cr_expect(hash_eq(tensor_hash(t), tensor_hash(r)));
		}
	}
	t = tensor_new(a, DT_F32, 1, dim);
	cr_assert(npy_write(path, t, NULL));
	cr_assert(file_read(a, path, 0, &b, NULL));
	/* numpy.save(f, numpy.zeros(2, 'f4')) */
	cr_assert_eq(b.n, 128u + 8);
	cr_expect_eq(memcmp(b.p, "\x93NUMPY\1\0v\0{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }  ", 69), 0);
	cr_expect_eq(b.p[127], '\n');
	cr_expect_not(npy_write(path, tensor_new(a, DT_BF16, 0, dim), &e));
	cr_expect_not(npy_write("/dev/null/x.npy", t, &e));
	cr_expect_not(npy_read(a, "/dev/null/x.npy", &t, &e));
	err_free(&e);
	unlink(path);
	arena_free(a);
}
