/* test_graph_text.c: the graph IR's text: everything printed is read back, everything else is an error with a place */
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "graph/graph.h"
#include "test_support.h"

static struct gir_graph *parse(struct arena *a, const char *text)
{
	struct gir_graph *g = NULL;
	struct err e = {0};

	cr_assert(gir_parse(a, "t.gir", text, strlen(text), &g, &e), "%s", err_text(&e));
	return g;
}

static void expect_printed(const char *text, const char *want, bool full)
{
	struct arena *a = arena_new(NULL);
	struct str s = {0};

	gir_print(&s, parse(a, text), full);
	cr_expect_str_eq(str_text(&s), want);
	str_free(&s);
	arena_free(a);
}

static void expect_round_trip(const char *text)
{
	expect_printed(text, text, false);
}

/* Every prefix of a text and every text with a byte changed is read without harm; under a sanitizer this says something. */
static void expect_no_harm(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i + 1 < n; i++) { /* the last is a newline */
		struct arena *a = arena_new(NULL);
		char *cut = arena_memdup(a, text, i), *changed = arena_memdup(a, text, n);
		struct gir_graph *g;
		struct err e = {0};

		changed[i] ^= (char)(1 + i % 7);
		cr_expect_not(gir_parse(a, "cut", cut, i, &g, &e), "the first %zu bytes were accepted", i);
		gir_parse(a, "changed", changed, n, &g, &e);
		err_free(&e);
		arena_free(a);
	}
}

static const char everything[] =
    "graph \"a\\x22\\x5c\\x0anet\" opset 13 {\n"
    "  input \"x\": f32[1,8,4,4]\n"
    "  input \"n\": i64[]\n"
    "  const \"w\": f32[16,8,3,3] = hash \"0123456789abcdef0123456789abcdef\"\n"
    "  const \"b\": f32[4] = {0.1, -1.5, inf, -nan}\n"
    "  const \"none\": i64[0] = {}\n"
    "  const \"bits\": bool[2] = {1, 0}\n"
    "  const \"big\": u64[2] = {18446744073709551615, 0}\n"
    "  const \"low\": i64[] = {-9223372036854775808}\n"
    "  const \"half\": f16[3] = {6e-08, 6.55e+04, -0}\n"
    "  const \"brain\": bf16[2] = {0.1, 3.39e+38}\n"
    "  const \"wide\": f64[2] = {0.1, 5e-324}\n"
    "  \"conv\" = Conv(\"x\", \"w\", _) {pads = [1,1,1,1], \"odd name\" = 0, auto_pad = \"NOT\\x22SET\"} -> \"c\": f32[1,16,4,4] "
    "block 8\n"
    "    | \"sum\" = Add(\"c2\", .) -> \"s\": f32[1,16,4,4] block 8\n"
    "    | \"relu\" = LeakyRelu(.) {alpha = 0.1} -> \"y\": f32[1,16,4,4] block 8\n"
    "  \"split\" = Split(\"x\") -> _, \"right\": ?\n"
    "  \"odd\" = Concat(\"b\", \"none\", \"bits\", \"big\", \"low\", \"half\", \"brain\", \"wide\", \"n\") {a = 1, b = -1.0, c = "
    "inf, d = [], "
    "e = floats [], f = strings [], g = [0.5,-nan,1e+20], h = [\"p\",\"\"], i = i32[2] {1, -2}, j = f32[] {0.5}} -> \"o\": ?\n"
    "  output \"y\"\n"
    "  output \"y\"\n"
    "  output \"x\"\n"
    "}\n";

/* The text above with the value that its chain reads made before it. */
static char *complete(struct arena *a)
{
	const char *at = strstr(everything, "  \"conv\"");

	return arena_printf(a, "%.*s  \"conv2\" = Conv(\"x\", \"w\") -> \"c2\": f32[1,16,4,4] block 8\n%s", (int)(at - everything),
			    everything, at);
}

TEST(graph_text, every_kind_of_item_is_read_back)
{
	struct arena *a = arena_new(NULL);

	expect_round_trip(complete(a));
	arena_free(a);
	expect_round_trip("graph \"\" opset 1 {\n}\n");
	expect_round_trip(
	    "graph \"g\" opset 13 {\n  input \"x\": f32[2,3]\n  \"t\" = Transpose(\"x\") -> \"y\": ?\n  output \"y\"\n}\n");
}

TEST(graph_text, what_is_read_is_what_was_written)
{
	struct arena *a = arena_new(NULL);
	struct gir_graph *g = parse(a, complete(a));
	const struct gir_node *conv = gir_find_node(g, "conv"), *odd = gir_find_node(g, "odd");
	const struct tensor *t;

	cr_expect_str_eq(g->name, "a\"\\\nnet");
	cr_expect_eq(g->opset, 13);
	cr_expect_eq(g->inputs.n, 2);
	cr_expect_eq(g->outputs.n, 3);
	cr_expect_eq(g->nodes.n, 4);
	cr_expect_null(gir_find_value(g, "w")->data);
	cr_expect_eq(gir_find_value(g, "w")->hash.hi, 0x0123456789abcdefu);
	cr_expect_eq(gir_find_value(g, "y")->block, 8);
	cr_expect_eq(gir_find_value(g, "y")->producer, conv);
	cr_expect_eq(gir_find_value(g, "s")->producer, conv->fused[0].node);
	cr_expect_eq(gir_find_value(g, "c")->producer, conv);
	cr_expect_eq(conv->out[0], gir_find_value(g, "y"));
	cr_expect_eq(conv->nin, 3);
	cr_expect_null(conv->in[2]);
	cr_assert_eq(conv->nfused, 2);
	cr_expect_eq(conv->fused[0].slot, 1);
	cr_expect_eq(conv->fused[1].node->op, GIR_LEAKYRELU);
	cr_expect_eq(gir_attr_float(conv->fused[1].node, "alpha", 0), 0.1f);
	cr_expect_str_eq(gir_attr_string(conv, "auto_pad", ""), "NOT\"SET");
	cr_expect_eq(gir_attr(odd, "b")->kind, GIR_ATTR_FLOAT);
	cr_expect_eq(gir_attr(odd, "e")->kind, GIR_ATTR_FLOATS);
	cr_expect_eq(gir_attr(odd, "g")->n, 3);
	cr_expect_eq(gir_attr(odd, "g")->floats[2], 1e20f);
	cr_expect_eq(tensor_get_i64(gir_attr(odd, "i")->tensor, 1), -2);
	t = gir_find_value(g, "b")->data;
	cr_expect_eq(((const float *)t->data)[0], 0.1f);
	cr_expect(isinf(((const float *)t->data)[2]));
	cr_expect(isnan(((const float *)t->data)[3]) && signbit(((const float *)t->data)[3]));
	cr_expect_eq(((const uint16_t *)gir_find_value(g, "half")->data->data)[0], 1); /* the smallest positive */
	cr_expect_eq(((const uint16_t *)gir_find_value(g, "half")->data->data)[2], 0x8000);
	cr_expect_eq(((const double *)gir_find_value(g, "wide")->data->data)[1], 5e-324);
	arena_free(a);
}

TEST(graph_text, blanks_comments_and_the_order_of_items_are_free)
{
	expect_printed("# net\ngraph\"g\"opset 13{input\"x\":f32[ 2 ]output\"x\"const\"c\":f32[1]={0.50e0}#c\n"
		       "\"n\"=Add(\"x\",\"c\"){to=-1e0}->\"y\":?output\"y\"}",
		       "graph \"g\" opset 13 {\n  input \"x\": f32[2]\n  const \"c\": f32[1] = {0.5}\n"
		       "  \"n\" = Add(\"x\", \"c\") {to = -1.0} -> \"y\": ?\n  output \"x\"\n  output \"y\"\n}\n",
		       false);
}

TEST(graph_text, large_constants_print_as_a_hash_that_depends_on_every_number)
{
	struct arena *a = arena_new(NULL);
	const char *text = "graph \"g\" opset 13 {\n  const \"c\": f32[9] = {1, 2, 3, 4, 5, 6, 7, 8, %d}\n  output \"c\"\n}\n";
	char *nine = arena_printf(a, text, 9), *ten = arena_printf(a, text, 10);
	struct str s = {0}, t = {0};

	expect_printed(nine, nine, true);
	gir_print(&s, parse(a, nine), false);
	gir_print(&t, parse(a, ten), false);
	cr_expect(strstr(str_text(&s), "= hash \""));
	cr_expect_str_neq(str_text(&s), str_text(&t));
	expect_round_trip(str_text(&s));
	str_free(&s);
	str_free(&t);
	arena_free(a);
}

TEST(graph_text, constants_that_nobody_reads_are_not_printed)
{
	expect_printed("graph \"g\" opset 13 {\n  input \"x\": f32[1]\n  const \"c\": f32[1] = {1}\n  output \"x\"\n}\n",
		       "graph \"g\" opset 13 {\n  input \"x\": f32[1]\n  output \"x\"\n}\n", false);
}

#define HEAD "graph \"g\" opset 13 {\ninput \"x\": f32[1,8,4,4]\n"
#define NET(body) HEAD body "\n}"

TEST(graph_text, errors_name_the_place)
{
	static const struct {
		const char *text, *error;
	} wrong[] = {
	    {"", "t.gir: empty"},
	    {"func", "t.gir:1:1: 'graph' expected"},
	    {"graph g", "t.gir:1:7: the graph's name expected"},
	    {"graph \"g\" opset 0 {}", "t.gir:1:17: opset 0"},
	    {"graph \"g\" opset 99999999999999999999 {}", "t.gir:1:17: the integer is too large"},
	    {"graph \"g", "t.gir:1:7: a string does not end"},
	    {"graph \"\\x00\" opset 13 {}", "t.gir:1:7: a NUL in a string"},
	    {"graph \"\\n\" opset 13 {}", "t.gir:1:7: a backslash stands only in \\x and two digits"},
	    {"graph \"\\x\" opset 13 {}", "t.gir:1:7: a backslash stands only in \\x and two digits"},
	    {HEAD, "t.gir:3:1: 'input', 'const', 'output', a node or '}' expected"},
	    {NET("} graph"), "t.gir:3:3: text after the graph"},
	    {NET("$"), "t.gir:3:1: unexpected byte 0x24"},
	    {NET("input \"x\": f32[]"), "t.gir:3:7: the value 'x' is made twice"},
	    {NET("input \"\": f32[]"), "t.gir:3:7: an empty name"},
	    {NET("input \"n\": ?"), "t.gir:3:7: an input needs a type"},
	    {NET("input \"n\": f31[]"), "t.gir:3:12: a type expected"},
	    {NET("input \"n\": f32[1,1,1,1,1,1,1,1,1]"), "t.gir:3:32: more than 8 dims"},
	    {NET("input \"n\": f32[-1]"), "t.gir:3:12: impossible dims"},
	    {NET("input \"n\": f32[1000000,1000000,1000000]"), "t.gir:3:12: impossible dims"},
	    {NET("input \"n\": f32[4,4] block 4"), "t.gir:3:21: 'input', 'const', 'output', a node or '}' expected"},
	    {NET("const \"c\": ? = {}"), "t.gir:3:7: a constant needs a type"},
	    {NET("const \"c\": f32[2] = {1}"), "t.gir:3:23: ',' expected"},
	    {NET("const \"c\": f32[2] = {1, 2, 3}"), "t.gir:3:26: '}' expected"},
	    {NET("const \"c\": f32[1000000,1000000] = {1"), "t.gir:3:35: the text ends before 1000000000000 elements"},
	    {NET("const \"c\": u8[1] = {256}"), "t.gir:3:21: 256 does not fit u8"},
	    {NET("const \"c\": bool[1] = {2}"), "t.gir:3:23: 2 does not fit bool"},
	    {NET("const \"c\": i32[1] = {1.5}"), "t.gir:3:22: an integer expected"},
	    {NET("const \"c\": u64[1] = {-1}"), "t.gir:3:22: an integer expected"},
	    {NET("const \"c\": f32[1] = {x}"), "t.gir:3:22: a number expected"},
	    {NET("const \"c\": f32[1] = hash \"12\""), "t.gir:3:26: a hash has 32 hexadecimal digits"},
	    {NET("const \"c\": f32[1] = hash 12"), "t.gir:3:26: a hash expected"},
	    {NET("output \"y\""), "t.gir:3:8: nobody makes 'y' before this"},
	    {NET("\"n\" = Relu(\"y\") -> \"y\": ?"), "t.gir:3:12: nobody makes 'y' before this"},
	    {NET("\"n\" = Relu(\"y\") -> \"z\": ?\n\"m\" = Relu(\"z\") -> \"y\": ?"), "t.gir:3:12: nobody makes 'y' before this"},
	    {NET("\"n\" = Rely(\"x\") -> \"y\": ?"), "t.gir:3:7: there is no operator 'Rely'"},
	    {NET("\"n\" = my.Relu(\"x\") -> \"y\": ?"), "t.gir:3:7: there is no operator 'my.Relu'"},
	    {NET("\"n\" = Relu(.) -> \"y\": ?"), "t.gir:3:12: '.' stands only in a chain"},
	    {NET("\"n\" = Relu(\"x\") -> \"x\": ?"), "t.gir:3:20: the value 'x' is made twice"},
	    {NET("\"n\" = Relu(\"x\") ->"), "t.gir:4:1: the name of a value expected"},
	    {NET("\"n\" = Relu(\"x\") -> \"y\": ? block 0"), "t.gir:3:33: a block of 0"},
	    {NET("\"n\" = Relu(\"x\") -> \"y\": ?\n\"n\" = Relu(\"x\") -> \"z\": ?"), "t.gir:4:1: two nodes are called 'n'"},
	    {NET("\"n\" = Relu(\"x\") {a = } -> \"y\": ?"), "t.gir:3:22: a number or a string expected"},
	    {NET("\"n\" = Relu(\"x\") {a = [1, 0.5]} -> \"y\": ?"), "t.gir:3:26: an integer expected"},
	    {NET("\"n\" = Relu(\"x\") {a = -$} -> \"y\": ?"), "t.gir:3:22: a number expected"},
	    {NET("\"n\" = Relu(\"x\") {a = 9223372036854775808} -> \"y\": ?"), "t.gir:3:22: the integer is too large"},
	    {NET("\"n\" = Conv(\"x\", \"x\") -> \"y\": ? | \"m\" = Add(., .) -> \"z\": ?"), "t.gir:3:47: '.' stands twice"},
	    {NET("\"n\" = Conv(\"x\", \"x\") -> \"y\": ? | \"m\" = Relu(\"x\") -> \"z\": ?"),
	     "t.gir:3:48: '.' expected: the value so far of the chain"},
	    {NET("\"n\" = Conv(\"x\", \"x\") -> \"y\": ? | \"m\" = Relu(.) -> _"), "t.gir:3:32: a node in a chain has one output"},
	    {NET("\"n\" = Conv(\"x\", \"x\") -> _ | \"m\" = Relu(.) -> \"z\": ?"), "t.gir:3:27: a chain needs output 0"},
	    /* what only the verifier sees */
	    {NET("\"n\" = Relu() -> \"y\": ?"), "t.gir: node 'n' (Relu) has 0 inputs"},
	    {NET("\"n\" = Relu(\"x\") {a = 1, a = 2} -> \"y\": ?"), "t.gir: node 'n' has two attributes 'a'"},
	    {NET("\"n\" = Relu(\"x\") -> \"y\": f32[4] block 4"),
	     "t.gir: value 'y' cannot be blocked; node 'n' (Relu) cannot write the blocked 'y'"},
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct arena *a = arena_new(NULL);
		struct gir_graph *g;
		struct err e = {0};

		cr_expect_not(gir_parse(a, "t.gir", wrong[i].text, strlen(wrong[i].text), &g, &e), "%s", wrong[i].text);
		cr_expect_str_eq(err_text(&e), wrong[i].error, "%s\ngave '%s', not '%s'", wrong[i].text, err_text(&e),
				 wrong[i].error);
		err_free(&e);
		arena_free(a);
	}
}

TEST(graph_text, cut_and_changed_texts_do_no_harm)
{
	struct arena *a = arena_new(NULL);

	expect_no_harm(complete(a));
	arena_free(a);
}

TEST(graph_text, more_attributes_than_a_node_may_have_are_refused)
{
	struct arena *a = arena_new(NULL);
	struct str s = {0};
	struct gir_graph *g;
	struct err e = {0};

	str_add(&s, HEAD "\"n\" = Relu(\"x\") {a0 = 0");
	for (int i = 1; i <= GIR_MAX_ATTRS; i++)
		str_addf(&s, ",\na%d = 0", i);
	cr_expect_not(gir_parse(a, "t.gir", s.s, s.n, &g, &e));
	cr_expect_str_eq(err_text(&e), "t.gir:67:1: more than 64 attributes");
	str_free(&s);
	err_free(&e);
	arena_free(a);
}
