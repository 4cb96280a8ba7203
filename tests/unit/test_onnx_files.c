/* test_onnx_files.c: external data, large files, and bytes that are no model */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx_case.h"

/* ---- external data, large files ---- */

/* 16 bytes: the floats 1, 2, 3, 4 */
static void make_data(struct arena *a)
{
	static const float four[] = {1, 2, 3, 4};

	make_folder();
	cr_assert(file_write(file_join(a, folder, "w.bin"), four, sizeof four, NULL));
}

TEST(onnx, external_data_are_read_at_their_offset)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = adding(a, onnx_model_external(a, "w", 1, DIMS(3), "w.bin", "4", "12"));
	struct gir_graph *g;
	struct bytes b;
	struct err e = {0};

	onnx_model_initializer(m, onnx_model_external(a, "whole", 1, DIMS(2, 2), "w.bin", NULL, NULL));
	make_data(a);
	b = onnx_model_bytes(m);
	cr_assert(file_write(file_join(a, folder, "net.onnx"), b.p, b.n, NULL));
	cr_assert(onnx_import(a, file_join(a, folder, "net.onnx"), NULL, &g, &e), "%s", err_text(&e));
	cr_expect_str_eq(g->name, "net");
	for (int i = 0; i < 3; i++)
		cr_expect_eq(tensor_get_f64(gir_find_value(g, "w")->data, i), i + 2);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(tensor_get_f64(gir_find_value(g, "whole")->data, i), i + 1);
	remove_folder(a);
	arena_free(a);
}

/* From a file the bytes of large weights do not go through protobuf-c: around one of them small ones, typed ones, one of a length that is no page's; then with
 * so many typed ones that they do. */
TEST(onnx, large_weights_of_a_file_are_what_they_are_in_memory)
{
	static float value[2][1200001];

	for (int i = 0; i < 1200001; i++)
		value[0][i] = (float)i / 8, value[1][i] = (float)-i;
	for (int64_t typed = 1; typed <= 1200000; typed *= 1200000) {
		struct arena *a = arena_new(NULL);
		struct onnx_model *m = adding(a, onnx_model_raw(a, "w", 1, DIMS(1200001), value[0], sizeof value[0]));
		Onnx__TensorProto *t = onnx_model_tensor(a, "typed", 1, &typed, 1);
		struct gir_graph *g;
		struct bytes b;
		struct err e = {0};

		t->n_float_data = (size_t)typed;
		t->float_data = value[1];
		onnx_model_initializer(m, onnx_model_raw(a, "small", 1, DIMS(2), value[1], 8));
		onnx_model_initializer(m, t);
		if (typed == 1)
			onnx_model_initializer(m, onnx_model_raw(a, "w2", 1, DIMS(1200000), value[1] + 1, sizeof value[1] - 4));
		make_folder();
		b = onnx_model_bytes(m);
		cr_assert(file_write(file_join(a, folder, "net.onnx"), b.p, b.n, NULL));
		cr_assert(onnx_import(a, file_join(a, folder, "net.onnx"), NULL, &g, &e), "%s", err_text(&e));
		cr_expect(!memcmp(gir_find_value(g, "w")->data->data, value[0], sizeof value[0]));
		cr_expect(!memcmp(gir_find_value(g, "small")->data->data, value[1], 8));
		cr_expect(!memcmp(gir_find_value(g, "typed")->data->data, value[1], (size_t)typed * 4));
		if (typed == 1)
			cr_expect(!memcmp(gir_find_value(g, "w2")->data->data, value[1] + 1, sizeof value[1] - 4));
		remove_folder(a);
		arena_free(a);
	}
}

/* Which of them counts must not depend on how large the file is. */
TEST(onnx, raw_data_that_appear_twice_are_refused)
{
	static uint8_t zeros[(5 << 20) + 4];
	static const int64_t floats[] = {1, 5 << 18};

	for (size_t i = 0; i < 2; i++) {
		struct arena *a = arena_new(NULL);
		Onnx__TensorProto *w = onnx_model_raw(a, "w", 1, &floats[i], 1, zeros, (size_t)floats[i] * 4);
		ProtobufCMessageUnknownField again = {9, PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, 5, (uint8_t *)"\4abcd"}; /* its length and 4 bytes */
		struct gir_graph *g;
		struct bytes b;
		struct err e = {0};

		w->base.n_unknown_fields = 1;
		w->base.unknown_fields = &again;
		b = onnx_model_bytes(adding(a, w));
		make_folder();
		cr_assert(file_write(file_join(a, folder, "net.onnx"), b.p, b.n, NULL));
		cr_expect_not(onnx_import(a, file_join(a, folder, "net.onnx"), NULL, &g, &e), "%zu bytes are accepted", b.n);
		cr_expect(strstr(err_text(&e), "'raw_data' appears twice"), "%s", err_text(&e));
		err_free(&e);
		remove_folder(a);
		arena_free(a);
	}
}

TEST(onnx, an_empty_tensor_may_lie_in_an_empty_file)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = adding(a, onnx_model_external(a, "w", 1, DIMS(0, 3), "w.bin", "0", "0"));
	struct bytes b = onnx_model_bytes(m);
	struct gir_graph *g;
	struct err e = {0};

	make_folder();
	cr_assert(file_write(file_join(a, folder, "w.bin"), "", 0, NULL));
	cr_assert(onnx_import_bytes(a, "net", folder, b.p, b.n, NULL, &g, &e), "%s", err_text(&e));
	cr_expect_eq(tensor_elements(gir_find_value(g, "w")->data), 0);
	remove_folder(a);
	arena_free(a);
}

TEST(onnx, external_data_that_are_not_there_or_not_ours_are_refused)
{
	static const struct {
		const char *location, *offset, *length, *want;
		int64_t dim;
	} cases[] = {
	    {"w.bin", "8", NULL, "'w.bin' has 16 bytes, bytes 8 to 20 are wanted for 12", 3},
	    {"w.bin", "4", "8", "'w.bin' has 16 bytes, bytes 4 to 12 are wanted for 12", 3},
	    {"w.bin", "999999999999999999", NULL,
	     "'w.bin' has 16 bytes, bytes 999999999999999999 to 1000000000000000011 are wanted for 12", 3},
	    {"w.bin", NULL, NULL, "'w.bin' has 16 bytes, bytes 0 to 12884901888 are wanted for 12884901888", 3LL << 30},
	    {"w.bin", "-4", NULL, "offset '-4'", 3},
	    {"w.bin", "4x", NULL, "offset '4x'", 3},
	    {"w.bin", NULL, "18446744073709551628", "length '18446744073709551628'", 3},
	    {"../w.bin", NULL, NULL, "'../w.bin' leaves the model's folder", 3},
	    {"a/../../w.bin", NULL, NULL, "'a/../../w.bin' leaves the model's folder", 3},
	    {"..", NULL, NULL, "'..' leaves the model's folder", 3},
	    {"a/..", NULL, NULL, "'a/..' leaves the model's folder", 3},
	    {"/etc/passwd", NULL, NULL, "'/etc/passwd' leaves the model's folder", 3},
	    {NULL, "4", NULL, NULL, 3},
	};
	struct arena *a = arena_new(NULL);

	make_data(a);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		refused_in(adding(a, onnx_model_external(a, "w", 1, DIMS(cases[i].dim), cases[i].location, cases[i].offset,
							 cases[i].length)),
			   folder, ERR_PARSE,
			   cases[i].want ? arena_printf(a, "initializer 'w': external data: %s", cases[i].want)
					 : "initializer 'w': external data without a location");
	refused_in(
	    adding(a, onnx_model_external(a, "w", 1, DIMS(3), "absent.bin", NULL, NULL)), folder, ERR_IO,
	    arena_printf(a, "initializer 'w': external data: cannot open '%s/absent.bin': No such file or directory", folder));
	cr_assert(!system(arena_printf(a, "mkfifo %s/pipe", folder)));
	refused_in(adding(a, onnx_model_external(a, "w", 1, DIMS(3), "pipe", NULL, NULL)), folder, ERR_IO,
		   arena_printf(a, "initializer 'w': external data: cannot read '%s/pipe': not a regular file", folder));
	refused(adding(a, onnx_model_external(a, "w", 1, DIMS(3), "w.bin", NULL, NULL)), ERR_PARSE,
		"initializer 'w': external data: 'w.bin' cannot be read from here");
	remove_folder(a);
	arena_free(a);
}

/* ---- hostile bytes, files that are not there ---- */

static void refused_bytes(struct arena *a, const void *p, size_t n, const char *want)
{
	struct gir_graph *g;
	struct err e = {0};

	cr_assert_not(onnx_import_bytes(a, "net", NULL, p, n, NULL, &g, &e), "accepted; wanted '%s'", want);
	cr_expect_str_eq(err_text(&e), want);
	err_free(&e);
}

TEST(onnx, bytes_that_are_not_a_model_are_refused_with_their_place)
{
	struct arena *a = arena_new(NULL);
	struct bytes b = onnx_model_bytes(relu(a, 13));
	uint8_t *twice = arena_alloc(a, 2 * b.n);

	refused_bytes(a, "", 0, "no graph: not an ONNX model");
	refused_bytes(a, "\x0b\x0c", 2, "byte 1: not ONNX (wire type 3)");
	refused_bytes(a, "\0\0", 2, "byte 1: not ONNX (field 0)");
	refused_bytes(a, "\x80\x80\x80\x80\x10\0", 6, "byte 5: not ONNX (field 536870912)");
	refused_bytes(a, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 13, "byte 11: a number of more than 10 bytes");
	refused_bytes(a, "\x3a\xff\xff\xff\xff\x0f", 6,
		      "byte 6: 4294967295 bytes are announced, 0 are left (is the file truncated?)");
	memcpy(twice, b.p, b.n);
	memcpy(twice + b.n, b.p, b.n);
	refused_bytes(a, twice, 2 * b.n, arena_printf(a, "byte %zu: 'graph' appears twice", b.n + 4));
	arena_free(a);
}

TEST(onnx, a_model_cut_anywhere_is_refused)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = adding(a, onnx_model_raw(a, "w", 1, DIMS(3), "abcdefghijkl", 12));
	struct bytes b = onnx_model_bytes(m);
	size_t refusals = 0;
	struct gir_graph *g;

	for (size_t n = 0; n < b.n; n++) {
		struct err e = {0};

		if (!onnx_import_bytes(a, "net", NULL, b.p, n, NULL, &g, &e)) {
			cr_expect_gt(strlen(err_text(&e)), 10);
			refusals++;
		}
		err_free(&e);
	}
	/* cut between the graph and the version of the operators behind it, the model is whole, in an unnamed version */
	cr_expect_geq(refusals, b.n - 1);
	arena_free(a);
}

TEST(onnx, messages_nested_too_deep_are_refused)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = relu(a, 13);
	Onnx__GraphProto *inner = &m->g;

	for (int i = 0; i < 30; i++) { /* graph, node, attribute: three messages each */
		struct onnx_model *outer = relu(a, 13);

		onnx_model_attr(outer, outer->g.node[0], "body", 5)->g = inner;
		inner = &outer->g;
	}
	m->p.graph = inner;
	struct bytes b = onnx_model_bytes(m);
	struct gir_graph *g;
	struct err e = {0};

	cr_assert_not(onnx_import_bytes(a, "net", NULL, b.p, b.n, NULL, &g, &e));
	cr_expect(strstr(err_text(&e), "messages nest deeper than 64"), "%s", err_text(&e));
	err_free(&e);
	arena_free(a);
}

TEST(onnx, files_that_cannot_be_read_are_named)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g;
	struct err e = {0};

	make_folder();
	cr_expect_not(onnx_import(a, file_join(a, folder, "absent.onnx"), NULL, &g, &e));
	cr_expect_str_eq(err_text(&e), arena_printf(a, "cannot open '%s/absent.onnx': No such file or directory", folder));
	cr_expect_not(onnx_import(a, folder, NULL, &g, &e));
	cr_expect_str_eq(err_text(&e), arena_printf(a, "cannot read '%s': not a regular file", folder));
	cr_assert(file_write(file_join(a, folder, "empty.onnx"), "", 0, NULL));
	cr_expect_not(onnx_import(a, file_join(a, folder, "empty.onnx"), NULL, &g, &e));
	cr_expect_str_eq(err_text(&e), "no graph: not an ONNX model");
	err_free(&e);
	remove_folder(a);
	arena_free(a);
}

TEST(onnx, a_file_with_one_tensor_gives_it_and_its_name)
{
	struct arena *a = arena_new(NULL);
	struct bytes b = onnx_model_tensor_bytes(a, onnx_model_raw(a, "scores", 5, DIMS(2, 1), "\x00\x80\xff\x7f", 4));
	struct err e = {0};
	struct tensor *t;
	const char *name, *path;

	make_folder();
	path = file_join(a, folder, "t.pb");
	cr_assert(file_write(path, b.p, b.n, NULL));
	cr_assert(onnx_tensor_read(a, path, &t, &name, &e), "%s", err_text(&e));
	cr_expect_str_eq(name, "scores");
	cr_expect_str_eq(dims_text(a, t->dim, t->nd), "2x1");
	cr_expect_eq(tensor_get_i64(t, 0), -32768);
	cr_assert(file_write(path, b.p, b.n - 1, NULL));
	cr_expect_not(onnx_tensor_read(a, path, &t, &name, &e));
	cr_expect(strstr(err_text(&e), "t.pb': byte"), "%s", err_text(&e));
	err_free(&e);
	remove_folder(a);
	arena_free(a);
}
