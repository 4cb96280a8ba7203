/* test_onnx.c: models in, graphs out, and back; every refusal says where and why
 *
 * Numbers of types are those of ONNX's TensorProto.DataType: 1 float, 2 uint8, 3 int8, 4 uint16, 5 int16, 6 int32, 7 int64, 9 bool,
 * 10 float16, 11 double, 12 uint32, 13 uint64, 16 bfloat16; those of attributes are AttributeProto.AttributeType's.
 */
#include <string.h>

#include "base/str.h"
#include "onnx_case.h"

/* ---- the ways data may lie ---- */

TEST(onnx, raw_data_of_every_type_are_taken_as_they_are)
{
	static const struct {
		int type;
		enum dtype t;
		size_t n;
		uint8_t raw[16]; /* two elements, little endian: numpy's tobytes() */
		double want[2];
	} cases[] = {
	    {1, DT_F32, 8, {0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0}, {1.5, -2}},
	    {2, DT_U8, 2, {0, 255}, {0, 255}},
	    {3, DT_I8, 2, {0x80, 0x7f}, {-128, 127}},
	    {4, DT_U16, 4, {1, 0, 0xff, 0xff}, {1, 65535}},
	    {5, DT_I16, 4, {0, 0x80, 0xff, 0x7f}, {-32768, 32767}},
	    {6, DT_I32, 8, {0, 0, 0, 0x80, 7}, {-2147483648., 7}},
	    {7, DT_I64, 16, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1}, {-1, 4294967296.}},
	    {10, DT_F16, 4, {0, 0x3e, 0xff, 0x7b}, {1.5, 65504}},
	    {11, DT_F64, 16, {0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}, {1.5, -2}},
	    {12, DT_U32, 8, {0, 0, 0, 0x80, 7}, {2147483648., 7}},
	    {13, DT_U64, 16, {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, {1, 4294967296.}},
	    {16, DT_BF16, 4, {0xc0, 0x3f, 0, 0xc0}, {1.5, -2}},
	};
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct tensor *t =
		    initializer(adding(a, onnx_model_raw(a, "w", cases[i].type, DIMS(2), cases[i].raw, cases[i].n)), "w");

		cr_expect_eq(t->dtype, cases[i].t);
		cr_expect(t->nd == 1 && t->dim[0] == 2);
		for (int k = 0; k < 2; k++)
			cr_expect_eq(tensor_get_f64(t, k), cases[i].want[k], "type %d: %.17g", cases[i].type, tensor_get_f64(t, k));
	}
	arena_free(a);
}

static void expect_two(struct arena *a, Onnx__TensorProto *w, enum dtype t, double first, double second)
{
	const struct tensor *got = initializer(adding(a, w), "w");

	cr_expect_eq(got->dtype, t);
	cr_expect_eq(tensor_get_f64(got, 0), first, "type %d: %.17g", w->data_type, tensor_get_f64(got, 0));
	cr_expect_eq(tensor_get_f64(got, 1), second, "type %d: %.17g", w->data_type, tensor_get_f64(got, 1));
}

TEST(onnx, typed_data_lie_in_the_field_that_their_type_has)
{
	struct arena *a = arena_new(NULL);
	static const struct {
		int type;
		enum dtype t;
		int32_t v[2];
		double want[2];
	} narrow[] = {
	    {2, DT_U8, {0, 255}, {0, 255}},
	    {3, DT_I8, {-128, 127}, {-128, 127}},
	    {4, DT_U16, {1, 65535}, {1, 65535}},
	    {5, DT_I16, {-32768, 32767}, {-32768, 32767}},
	    {6, DT_I32, {INT32_MIN, 7}, {-2147483648., 7}},
	    {9, DT_BOOL, {0, 1}, {0, 1}},
	    {10, DT_F16, {0x3e00, 0x7bff}, {1.5, 65504}}, /* the bits */
	    {16, DT_BF16, {0x3fc0, 0xc000}, {1.5, -2}},
	};

	for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) {
		Onnx__TensorProto *w = onnx_model_tensor(a, "w", narrow[i].type, DIMS(2));

		w->int32_data = (int32_t *)narrow[i].v;
		w->n_int32_data = 2;
		expect_two(a, w, narrow[i].t, narrow[i].want[0], narrow[i].want[1]);
	}
	Onnx__TensorProto *f = onnx_model_tensor(a, "w", 1, DIMS(2)), *d = onnx_model_tensor(a, "w", 11, DIMS(2)),
			  *l = onnx_model_tensor(a, "w", 7, DIMS(2)), *u = onnx_model_tensor(a, "w", 12, DIMS(2)),
			  *ul = onnx_model_tensor(a, "w", 13, DIMS(2));

	f->float_data = (float[]){1.5f, -2};
	f->n_float_data = 2;
	expect_two(a, f, DT_F32, 1.5, -2);
	d->double_data = (double[]){1e300, -2};
	d->n_double_data = 2;
	expect_two(a, d, DT_F64, 1e300, -2);
	l->int64_data = (int64_t[]){-1, (int64_t)1 << 40};
	l->n_int64_data = 2;
	expect_two(a, l, DT_I64, -1, 0x1p40);
	u->uint64_data = ul->uint64_data = (uint64_t[]){4294967295u, 3};
	u->n_uint64_data = ul->n_uint64_data = 2;
	expect_two(a, u, DT_U32, 4294967295., 3);
	expect_two(a, ul, DT_U64, 4294967295., 3);
	arena_free(a);
}

TEST(onnx, a_bool_is_0_or_1_whatever_its_byte_was)
{
	struct arena *a = arena_new(NULL);
	const struct tensor *t = initializer(adding(a, onnx_model_raw(a, "w", 9, DIMS(3), "\x00\x02\xff", 3)), "w");

	cr_expect_arr_eq(t->data, "\x00\x01\x01", 3);
	arena_free(a);
}

TEST(onnx, a_scalar_has_one_element_and_an_empty_tensor_none)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = adding(a, onnx_model_raw(a, "w", 1, NO_DIMS, "\0\0\x80\x3f", 4));

	onnx_model_initializer(m, onnx_model_raw(a, "none", 1, DIMS(0, 3), "", 0));
	cr_expect_eq(tensor_get_f64(initializer(m, "w"), 0), 1);
	cr_expect_eq(initializer(m, "w")->nd, 0);
	cr_expect_eq(tensor_elements(initializer(m, "none")), 0);
	arena_free(a);
}

TEST(onnx, data_that_do_not_fit_their_shape_are_refused)
{
	static const uint8_t zeros[64];
	struct arena *a = arena_new(NULL);
	Onnx__TensorProto *typed = onnx_model_tensor(a, "w", 1, DIMS(3));

	typed->float_data = (float[]){1, 2};
	typed->n_float_data = 2;
	refused(adding(a, typed), ERR_PARSE, "initializer 'w': 3 elements are announced, 2 are there");
	refused(adding(a, onnx_model_raw(a, "w", 1, DIMS(3), zeros, 11)), ERR_PARSE,
		"initializer 'w': 11 bytes are not a whole number of elements of type f32");
	refused(adding(a, onnx_model_raw(a, "w", 1, DIMS(3), zeros, 16)), ERR_PARSE,
		"initializer 'w': 3 elements are announced, 4 are there");
	refused(adding(a, onnx_model_raw(a, "w", 1, DIMS(-3), zeros, 12)), ERR_PARSE, "initializer 'w': -3 is an absurd shape");
	refused(adding(a, onnx_model_raw(a, "w", 1, DIMS(-1, -3), zeros, 12)), ERR_PARSE,
		"initializer 'w': -1x-3 is an absurd shape");
	refused(adding(a, onnx_model_raw(a, "w", 1, DIMS(1LL << 32, 1LL << 32), zeros, 0)), ERR_PARSE,
		"initializer 'w': 4294967296x4294967296 is an absurd shape");
	refused(adding(a, onnx_model_raw(a, "w", 1, DIMS(3LL << 30), zeros, 64)), ERR_PARSE,
		"initializer 'w': 3221225472 elements are announced, 16 are there");
	refused(adding(a, onnx_model_raw(a, "w", 1, DIMS(1, 1, 1, 1, 1, 1, 1, 1), zeros, 4)), ERR_UNSUPPORTED,
		"initializer 'w': 8 dimensions, at most 7 are supported");
	refused(adding(a, onnx_model_raw(a, "w", 8, DIMS(1), zeros, 4)), ERR_UNSUPPORTED, "initializer 'w': type string");
	refused(adding(a, onnx_model_raw(a, "w", 14, DIMS(1), zeros, 8)), ERR_UNSUPPORTED, "initializer 'w': type complex64");
	refused(adding(a, onnx_model_raw(a, "w", 77, DIMS(1), zeros, 4)), ERR_UNSUPPORTED, "initializer 'w': type unknown");
	refused(adding(a, onnx_model_raw(a, "", 1, DIMS(1), zeros, 4)), ERR_PARSE, "initializer 0 has no name");
	arena_free(a);
}

/* ---- versions ---- */

TEST(onnx, versions_beyond_ours_are_refused_with_the_limits)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = relu(a, 13);

	cr_expect_eq(imported(relu(a, 1), NULL)->opset, 1);
	cr_expect_eq(imported(relu(a, 22), NULL)->opset, 22);
	refused(relu(a, 23), ERR_UNSUPPORTED, "opset 23 of the default domain; 1 to 22 are supported");
	refused(relu(a, 0), ERR_UNSUPPORTED, "opset 0 of the default domain; 1 to 22 are supported");
	refused(relu(a, -7), ERR_UNSUPPORTED, "opset -7 of the default domain; 1 to 22 are supported");
	refused(relu(a, (1LL << 32) + 13), ERR_UNSUPPORTED, "opset 4294967309 of the default domain; 1 to 22 are supported");
	m->p.ir_version = 10;
	imported(m, NULL);
	m->p.ir_version = 11;
	refused(m, ERR_UNSUPPORTED, "IR version 11; up to 10 are supported");
	arena_free(a);
}

/* ---- nodes ---- */

TEST(onnx, one_error_names_all_unsupported_nodes)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = onnx_model_new(a, 13);
	Onnx__NodeProto *n;

	onnx_model_input(m, "x", 1, DIMS(1, 3));
	onnx_model_output(m, "y");
	onnx_model_node(m, "Frobnicate", "first", "x", "a");
	onnx_model_node(m, "Relu", NULL, "a", "b");
	n = onnx_model_node(m, "Gelu", NULL, "b", "c");
	n->domain = (char *)"com.microsoft";
	n = onnx_model_node(m, "Constant", "words", "", "d");
	onnx_model_attr(m, n, "value_string", 3);
	n = onnx_model_node(m, "Constant", "tensor", "", "e");
	onnx_model_attr(m, n, "value", 4)->t = onnx_model_raw(a, "", 1, DIMS(2), "", 0);
	n = onnx_model_node(m, "Relu", "branches", "c", "f");
	onnx_model_attr(m, n, "body", 5);
	n = onnx_model_node(m, "Relu", "refers", "f", "y");
	onnx_model_attr(m, n, "alpha", 1)->ref_attr_name = (char *)"outer";
	refused(
	    m, ERR_UNSUPPORTED,
	    "6 nodes are not supported: node 0 'first': Frobnicate (opset 13): the operator is not supported; "
	    "node 2 '': com.microsoft.Gelu (opset 13): operators of this domain are not supported; "
	    "node 3 'words': Constant (opset 13): a constant that is not a numeric tensor; "
	    "node 4 'tensor': Constant (opset 13): a tensor attribute that cannot be read: 2 elements are announced, 0 are there; "
	    "node 5 'branches': Relu (opset 13): a graph as attribute (control flow); "
	    "node 6 'refers': Relu (opset 13): an attribute of a function");
	arena_free(a);
}

TEST(onnx, graphs_that_do_not_hang_together_are_refused)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m;

	m = onnx_model_new(a, 13);
	onnx_model_input(m, "x", 1, DIMS(1));
	onnx_model_output(m, "b");
	onnx_model_node(m, "Add", "one", "x b", "a");
	onnx_model_node(m, "Relu", "two", "a", "b");
	refused(m, ERR_PARSE, "node 0 'one' (Add): input 'b' is made by nobody before it (is the graph cyclic or unsorted?)");

	m = relu(a, 13);
	onnx_model_node(m, "Tanh", "again", "x", "y");
	refused(m, ERR_PARSE, "value 'y' is made twice");

	m = relu(a, 13);
	onnx_model_initializer(m, onnx_model_raw(a, "y", 2, DIMS(1), "x", 1));
	refused(m, ERR_PARSE, "value 'y' is made twice");

	m = relu(a, 13);
	onnx_model_input(m, "x", 1, DIMS(2));
	refused(m, ERR_PARSE, "input 'x' is declared twice");

	m = relu(a, 13);
	onnx_model_output(m, "nobody");
	refused(m, ERR_PARSE, "output 'nobody' is made by nobody");

	m = relu(a, 13);
	m->g.n_output = 0;
	refused(m, ERR_PARSE, "the graph has no outputs");

	m = relu(a, 13);
	m->p.graph = NULL;
	refused(m, ERR_PARSE, "no graph: not an ONNX model");

	m = relu(a, 13);
	onnx_model_node(m, "Conv", "conv", "x", "z");
	refused(m, ERR_BAD_IR, "node 'conv' (Conv) has 1 inputs");
	arena_free(a);
}

TEST(onnx, nodes_get_unique_names_and_leave_out_what_is_not_wanted)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = onnx_model_new(a, 13);
	struct gir_graph *g;
	struct gir_node *clip;
	Onnx__NodeProto *k;

	onnx_model_input(m, "x", 1, DIMS(2));
	onnx_model_output(m, "e");
	onnx_model_node(m, "Relu", "same", "x", "a");
	onnx_model_node(m, "Relu", "same", "a", "b");
	onnx_model_node(m, "Relu", "same_1", "b", "c");
	k = onnx_model_node(m, "Constant", NULL, "", "k");
	onnx_model_attr(m, k, "value_float", 1)->f = 2.5f;
	onnx_model_node(m, "Clip", NULL, "c - k", "d");
	onnx_model_node(m, "Dropout", "same", "d", "e -");
	g = imported(m, NULL);
	cr_assert_eq(g->nodes.n, 5);
	cr_expect_str_eq(g->nodes.v[0]->name, "same");
	cr_expect_str_eq(g->nodes.v[1]->name, "same_1");
	cr_expect_str_eq(g->nodes.v[2]->name, "same_1_1");
	clip = g->nodes.v[3];
	cr_expect_str_eq(clip->name, "Clip_4");
	cr_assert_eq(clip->nin, 3);
	cr_expect_null(clip->in[1]);
	cr_expect_eq(tensor_get_f64(clip->in[2]->data, 0), 2.5);
	cr_expect_null(g->nodes.v[4]->out[1]);
	arena_free(a);
}

TEST(onnx, a_constant_may_be_written_in_five_ways)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = relu(a, 13);
	Onnx__AttributeProto *x;
	struct gir_graph *g;

	onnx_model_attr(m, onnx_model_node(m, "Constant", NULL, "", "f"), "value_float", 1)->f = 2.5f;
	onnx_model_attr(m, onnx_model_node(m, "Constant", NULL, "", "i"), "value_int", 2)->i = -3;
	x = onnx_model_attr(m, onnx_model_node(m, "Constant", NULL, "", "fs"), "value_floats", 6);
	x->floats = (float[]){1, 2.5f};
	x->n_floats = 2;
	x = onnx_model_attr(m, onnx_model_node(m, "Constant", NULL, "", "is"), "value_ints", 7);
	x->ints = (int64_t[]){1, 1LL << 40};
	x->n_ints = 2;
	onnx_model_attr(m, onnx_model_node(m, "Constant", NULL, "", "t"), "value", 4)->t =
	    onnx_model_raw(a, "", 3, DIMS(2, 1), "\x80\x7f", 2);
	g = imported(m, NULL);
	cr_expect_eq(g->nodes.n, 1, "constants are values, not nodes");
	cr_expect(gir_find_value(g, "f")->nd == 0 && tensor_get_f64(gir_find_value(g, "f")->data, 0) == 2.5);
	cr_expect(gir_find_value(g, "i")->nd == 0 && tensor_get_i64(gir_find_value(g, "i")->data, 0) == -3);
	cr_expect(gir_find_value(g, "fs")->dim[0] == 2 && tensor_get_f64(gir_find_value(g, "fs")->data, 1) == 2.5);
	cr_expect(gir_find_value(g, "is")->dtype == DT_I64 && tensor_get_i64(gir_find_value(g, "is")->data, 1) == 1LL << 40);
	cr_expect(gir_find_value(g, "t")->nd == 2 && tensor_get_i64(gir_find_value(g, "t")->data, 0) == -128);
	arena_free(a);
}

/* ---- inputs ---- */

static int64_t batch_of(struct arena *a, const int64_t *dim, size_t nd, int batch)
{
	struct onnx_model *m = onnx_model_new(a, 13);
	struct onnx_options o = {.batch = batch};

	onnx_model_input(m, "x", 1, dim, nd);
	onnx_model_output(m, "y");
	onnx_model_node(m, "Relu", "r", "x", "y");
	return imported(m, &o)->inputs.v[0]->dim[0];
}

TEST(onnx, an_open_batch_is_1_or_what_is_asked_for)
{
	struct arena *a = arena_new(NULL);

	cr_expect_eq(batch_of(a, DIMS(-1, 3, 4, 4), 0), 1);
	cr_expect_eq(batch_of(a, DIMS(-1, 3, 4, 4), 5), 5);
	cr_expect_eq(batch_of(a, DIMS(0, 3, 4, 4), 5), 5, "some exporters write 0");
	cr_expect_eq(batch_of(a, DIMS(2, 3, 4, 4), 5), 2, "a batch that is a number stays");
	arena_free(a);
}

TEST(onnx, inputs_need_a_type_and_a_shape_of_numbers)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = relu(a, 13);
	Onnx__ValueInfoProto *v;

	onnx_model_input(m, "z", 1, DIMS(1, 3, -1));
	refused(m, ERR_UNSUPPORTED, "input 'z': dimension 2 ('N') is not a number");
	m = relu(a, 13);
	v = onnx_model_input(m, "z", 1, DIMS(1, 3));
	v->type->tensor_type->shape->dim[1]->dim_value = -7;
	refused(m, ERR_UNSUPPORTED, "input 'z': dimension 1 is not a number");
	m = relu(a, 13);
	onnx_model_input(m, "z", 1, DIMS(1, 3LL << 30, 1LL << 31));
	refused(m, ERR_PARSE, "input 'z': 1x3221225472x2147483648 is an absurd shape");
	m = relu(a, 13);
	onnx_model_input(m, "z", 8, DIMS(1));
	refused(m, ERR_UNSUPPORTED, "input 'z' is of type string");
	m = relu(a, 13);
	onnx_model_input(m, "z", 1, DIMS(1))->type->tensor_type->shape = NULL;
	refused(m, ERR_UNSUPPORTED, "input 'z' has no shape");
	m = relu(a, 13);
	onnx_model_input(m, "z", 1, DIMS(1))->type = NULL;
	refused(m, ERR_UNSUPPORTED, "input 'z' is not a tensor (a sequence, an optional or a map)");
	arena_free(a);
}

TEST(onnx, an_input_with_an_initializer_is_a_constant)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = adding(a, onnx_model_raw(a, "w", 2, DIMS(3), "abc", 3));
	struct gir_graph *g;

	m->p.ir_version = 3;
	onnx_model_input(m, "w", 2, DIMS(3));
	g = imported(m, NULL);
	cr_expect_eq(g->inputs.n, 1);
	cr_expect_not_null(gir_find_value(g, "w")->data);
	arena_free(a);
}

TEST(onnx, a_bound_input_is_a_constant)
{
	struct arena *a = arena_new(NULL);
	struct tensor *t = tensor_new(a, DT_F32, 1, (int64_t[]){3});
	struct onnx_bind bind = {"w", t};
	struct onnx_options o = {.bind = &bind, .nbind = 1};
	struct onnx_model *m = adding(a, NULL);
	struct gir_graph *g;

	onnx_model_input(m, "w", 1, DIMS(-1));
	g = imported(m, &o);
	cr_expect_eq(g->inputs.n, 1);
	cr_expect_eq(gir_find_value(g, "w")->data, t);
	arena_free(a);
}

/* ---- and back ---- */

static struct onnx_model *all_kinds_of_attributes(struct arena *a)
{
	struct onnx_model *m = onnx_model_new(a, 16);
	Onnx__NodeProto *n;
	Onnx__AttributeProto *x;

	onnx_model_input(m, "x", 1, DIMS(-1, 2, 4, 4));
	onnx_model_output(m, "u");
	onnx_model_output(m, "c");
	onnx_model_initializer(m, onnx_model_raw(a, "w", 10, DIMS(2), "\x00\x3e\xff\x7b", 4));
	onnx_model_initializer(m, onnx_model_raw(a, "unused", 9, NO_DIMS, "\x01", 1));
	onnx_model_attr(m, onnx_model_node(m, "Constant", NULL, "", "k"), "value_float", 1)->f = 0.1f;
	n = onnx_model_node(m, "MaxPool", NULL, "x", "p");
	x = onnx_model_attr(m, n, "kernel_shape", 7);
	x->ints = (int64_t[]){2, 2};
	x->n_ints = 2;
	x = onnx_model_attr(m, n, "auto_pad", 3);
	x->has_s = 1;
	x->s = (ProtobufCBinaryData){10, (uint8_t *)"SAME_UPPER"};
	n = onnx_model_node(m, "Upsample", "up \"1\"", "p", "u");
	x = onnx_model_attr(m, n, "scales", 6);
	x->floats = (float[]){1, 1, 2, 0.1f};
	x->n_floats = 4;
	x = onnx_model_attr(m, n, "words", 8);
	x->strings = (ProtobufCBinaryData[]){{1, (uint8_t *)"a"}, {0, (uint8_t *)""}};
	x->n_strings = 2;
	n = onnx_model_node(m, "ConstantOfShape", NULL, "w", "s");
	onnx_model_attr(m, n, "value", 4)->t = onnx_model_raw(a, "", 16, DIMS(1), "\xc0\x3f", 2);
	n = onnx_model_node(m, "Clip", "clip", "p - k", "c");
	onnx_model_attr(m, n, "min", 1)->f = -1e-20f;
	onnx_model_attr(m, n, "n", 2)->i = INT64_MIN;
	return m;
}

TEST(onnx, an_exported_graph_comes_back_the_same)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = imported(all_kinds_of_attributes(a), NULL), *again;
	struct str before = {0}, after = {0};
	struct err e = {0};
	char *path;

	make_folder();
	path = file_join(a, folder, "net.onnx");
	cr_assert(onnx_export(path, g, &e), "%s", err_text(&e));
	cr_assert(onnx_import(a, path, NULL, &again, &e), "%s", err_text(&e));
	gir_print(&before, g, true);
	gir_print(&after, again, true);
	cr_expect_str_eq(str_text(&after), str_text(&before));
	cr_expect(strstr(str_text(&before), "value = bf16[1] {1.5}"), "%s", str_text(&before));
	cr_expect_eq(again->opset, 16);
	str_free(&before);
	str_free(&after);
	remove_folder(a);
	arena_free(a);
}

TEST(onnx, export_into_nowhere_says_so)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = imported(relu(a, 13), NULL);
	struct err e = {0};

	cr_expect_not(onnx_export("/dev/null/net.onnx", g, &e));
	cr_expect_str_eq(err_text(&e), "cannot write '/dev/null/net.onnx': Not a directory");
	err_free(&e);
	arena_free(a);
}

TEST(onnx, names_are_readable_text)
{
	static const struct {
		const char *raw, *clean;
	} cases[] = {
	    {"conv/1:0", "conv/1:0"},
	    {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"}, /* U+E9, U+20AC, U+1F600 */
	    {"a\nb\x1b[31m\x7f", "a_b_[31m_"},
	    {"\xff\xc3", "__"},
	    {"\xc0\xaf", "__"},           /* '/' in two bytes */
	    {"\xed\xa0\x80", "___"},      /* half of a pair */
	    {"\xf4\x90\x80\x80", "____"}, /* beyond U+10FFFF */
	    {"\xc2\x9b", "__"},           /* a control of one character */
	};
	struct arena *a = arena_new(NULL);

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct onnx_model *m = onnx_model_new(a, 13);
		struct gir_graph *g;

		onnx_model_input(m, cases[i].raw, 1, DIMS(1, 3));
		onnx_model_output(m, "y");
		onnx_model_node(m, "Relu", cases[i].raw, "", "y");
		m->g.node[0]->input = (char *[]){(char *)cases[i].raw};
		m->g.node[0]->n_input = 1;
		g = imported(m, NULL);
		cr_expect_str_eq(g->nodes.v[0]->name, cases[i].clean);
		cr_expect_str_eq(g->inputs.v[0]->name, cases[i].clean);
	}
	arena_free(a);
}

TEST(onnx, names_that_become_equal_stay_apart)
{
	struct arena *a = arena_new(NULL);
	struct onnx_model *m = onnx_model_new(a, 13);
	struct gir_graph *g;

	onnx_model_input(m, "x\x01", 1, DIMS(1, 3));
	onnx_model_output(m, "y");
	onnx_model_node(m, "Relu", "n\x01", "x\x01", "x\x02");
	onnx_model_node(m, "Tanh", "n\x02", "x\x02", "y");
	g = imported(m, NULL);
	cr_expect_str_eq(g->nodes.v[0]->out[0]->name, "x__1");
	cr_expect_eq(g->nodes.v[1]->in[0], g->nodes.v[0]->out[0]);
	cr_expect_str_eq(g->nodes.v[1]->name, "n__1");
	arena_free(a);
}
