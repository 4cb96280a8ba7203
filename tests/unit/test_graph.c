/* test_graph.c: building graphs, what the verifier refuses, and plans */
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "graph/graph.h"
#include "test_support.h"

static struct gir_value *input(struct gir_graph *g, const char *name)
{
	struct gir_value *v = gir_value_typed(g, name, DT_F32, 4, (int64_t[]){1, 8, 4, 4});

	vec_push(g->arena, &g->inputs, v);
	return v;
}

static struct gir_value *number(struct gir_graph *g, const char *name)
{
	return gir_const(g, name, tensor_new(g->arena, DT_F32, 0, NULL));
}

/* A node with one output of its own name and the type of x. */
static struct gir_node *make(struct gir_graph *g, const char *name, enum gir_op op, struct gir_value *x, struct gir_value *y)
{
	struct gir_value *in[2] = {x, y}, *out = gir_value_typed(g, name, x->dtype, x->nd, x->dim);

	return gir_node(g, name, op, y ? 2 : 1, in, 1, &out);
}

static struct gir_node *add(struct gir_graph *g, const char *name, enum gir_op op, struct gir_value *x, struct gir_value *y)
{
	struct gir_node *n = make(g, name, op, x, y);

	gir_append(g, n);
	return n;
}

/* x -> a = Neg(x) -> b = Add(a, c) -> output */
struct net {
	struct arena *a;
	struct gir_graph *g;
	struct gir_value *x, *c;
	struct gir_node *neg, *sum;
};

static struct net net_new(void)
{
	struct net n = {.a = arena_new(NULL)};

	n.g = gir_new(n.a, "net", 13);
	n.x = input(n.g, "x");
	n.c = number(n.g, "c");
	n.neg = add(n.g, "a", GIR_NEG, n.x, NULL);
	n.sum = add(n.g, "b", GIR_ADD, n.neg->out[0], n.c);
	vec_push(n.a, &n.g->outputs, n.sum->out[0]);
	return n;
}

static void expect_verified(const struct net *n)
{
	struct err e = {0};

	cr_expect(gir_verify(n->g, &e), "%s", err_text(&e));
	err_free(&e);
}

/* Also frees the net. */
static void expect_refused(struct net *n, const char *error)
{
	struct err e = {0};

	cr_expect_not(gir_verify(n->g, &e), "'%s' was accepted", error);
	cr_expect_str_eq(err_text(&e), error, "got '%s', not '%s'", err_text(&e), error);
	cr_expect_eq(e.code, ERR_BAD_IR);
	err_free(&e);
	arena_free(n->a);
}

/* ---- building ---- */

TEST(graph, a_name_that_is_taken_gets_a_number)
{
	struct net n = net_new();
	struct gir_value *x1 = gir_value(n.g, "x"), *x2 = gir_value(n.g, "x");

	cr_expect_str_eq(x1->name, "x_1");
	cr_expect_str_eq(x2->name, "x_2");
	cr_expect_eq(gir_find_value(n.g, "x"), n.x);
	cr_expect_eq(gir_find_value(n.g, "x_2"), x2);
	cr_expect_null(gir_find_value(n.g, "y"));
	cr_expect_eq(gir_find_node(n.g, "b"), n.sum);
	cr_expect_null(gir_find_node(n.g, "x"));
	arena_free(n.a);
}

TEST(graph, nodes_are_put_before_and_after_others_and_taken_out)
{
	struct net n = net_new();
	struct gir_node *first = make(n.g, "first", GIR_ABS, n.x, NULL),
			*middle = make(n.g, "middle", GIR_EXP, n.neg->out[0], NULL);

	gir_insert_before(n.g, n.neg, first);
	gir_insert_after(n.g, n.neg, middle);
	cr_assert_eq(n.g->nodes.n, 4);
	cr_expect_eq(n.g->nodes.v[0], first);
	cr_expect_eq(n.g->nodes.v[1], n.neg);
	cr_expect_eq(n.g->nodes.v[2], middle);
	cr_expect_eq(n.g->nodes.v[3], n.sum);
	expect_verified(&n);
	gir_remove(n.g, middle);
	cr_assert_eq(n.g->nodes.n, 3);
	cr_expect_eq(n.g->nodes.v[2], n.sum);
	cr_expect_null(middle->out[0]->producer);
	expect_verified(&n);
	arena_free(n.a);
}

TEST(graph, attributes_are_set_replaced_and_read_with_a_default)
{
	struct net n = net_new();

	gir_set_int(n.g, n.neg, "i", 7);
	gir_set_float(n.g, n.neg, "f", 0.5f);
	gir_set_ints(n.g, n.neg, "l", (int64_t[]){1, 2, 3}, 3);
	gir_set_string(n.g, n.neg, "s", "text");
	gir_set_int(n.g, n.neg, "i", 8);
	cr_expect_eq(n.neg->nattrs, 4);
	cr_expect_eq(gir_attr_int(n.neg, "i", 1), 8);
	cr_expect_eq(gir_attr_float(n.neg, "f", 1), 0.5f);
	cr_expect_str_eq(gir_attr_string(n.neg, "s", ""), "text");
	cr_expect_eq(gir_attr(n.neg, "l")->ints[2], 3);
	cr_expect_eq(gir_attr_int(n.neg, "f", 9), 9, "an attribute of another kind counts as absent");
	cr_expect_eq(gir_attr_float(n.neg, "none", 9), 9);
	cr_expect_null(gir_attr(n.neg, "none"));
	arena_free(n.a);
}

TEST(graph, uses_are_counted_and_replaced_in_nodes_chains_and_outputs)
{
	struct net n = net_new();
	struct gir_node *root = add(n.g, "root", GIR_CONV, n.x, n.c),
			*inner = make(n.g, "inner", GIR_ADD, root->out[0], n.neg->out[0]);
	struct gir_fused chain = {inner, 0};
	uint32_t *uses;

	root->fused = &chain;
	root->nfused = 1;
	root->out[0] = inner->out[0];
	inner->out[0]->producer = root;
	vec_push(n.a, &n.g->outputs, n.neg->out[0]);
	expect_verified(&n);
	uses = gir_count_uses(n.a, n.g);
	cr_expect_eq(uses[n.x->id], 2);
	cr_expect_eq(uses[n.c->id], 2);
	cr_expect_eq(uses[n.neg->out[0]->id], 3); /* sum, inner, output */
	gir_replace_uses(n.g, n.neg->out[0], n.x);
	uses = gir_count_uses(n.a, n.g);
	cr_expect_eq(uses[n.x->id], 5);
	cr_expect_eq(uses[n.neg->out[0]->id], 0);
	cr_expect_eq(inner->in[1], n.x);
	cr_expect_eq(n.g->outputs.v[1], n.x);
	arena_free(n.a);
}

TEST(graph, a_clone_prints_the_same_and_lives_on_its_own)
{
	static const char text[] = "graph \"net\" opset 13 {\n"
				   "  input \"x\": f32[1,8,4,4]\n"
				   "  const \"h\": f32[8,8,1,1] = hash \"0123456789abcdef0123456789abcdef\"\n"
				   "  const \"c\": f32[] = {0.5}\n"
				   "  \"conv\" = Conv(\"x\", \"h\", _) {pads = [0,0,0,0]} -> \"v\": f32[1,8,4,4] block 8\n"
				   "    | \"add\" = Add(\"c\", .) -> \"w\": f32[1,8,4,4] block 8\n"
				   "    | \"relu\" = Relu(.) -> \"y\": f32[1,8,4,4] block 8\n"
				   "  output \"y\"\n"
				   "}\n";
	struct arena *a = arena_new(NULL), *b = arena_new(NULL);
	struct gir_graph *g, *h;
	struct str s = {0};
	struct err e = {0};

	cr_assert(gir_parse(a, "t", text, strlen(text), &g, &e), "%s", err_text(&e));
	h = gir_clone(b, g);
	gir_set_ints(g, g->nodes.v[0], "pads", (int64_t[]){1, 1, 1, 1}, 4);
	g->nodes.v[0]->fused[0].node->op = GIR_MUL;
	g->outputs.v[0] = g->inputs.v[0];
	cr_expect(gir_verify(h, &e), "%s", err_text(&e));
	gir_print(&s, h, false);
	cr_expect_str_eq(str_text(&s), text);
	cr_expect_eq(h->nodes.v[0]->out[0]->producer, h->nodes.v[0]);
	cr_expect_eq(gir_find_value(h, "w")->producer, h->nodes.v[0]->fused[0].node);
	str_free(&s);
	arena_free(b);
	arena_free(a);
}

TEST(graph, stored_dims_of_a_blocked_value_round_the_channels_up)
{
	struct net n = net_new();
	struct gir_value *v = gir_value_typed(n.g, "v", DT_F32, 4, (int64_t[]){2, 17, 5, 3});
	int64_t dim[MAX_DIMS];

	cr_expect_eq(gir_stored_dims(v, dim), 4);
	cr_expect_eq(dim[1], 17);
	v->block = 8;
	cr_assert_eq(gir_stored_dims(v, dim), 5);
	cr_expect(dim[0] == 2 && dim[1] == 3 && dim[2] == 5 && dim[3] == 3 && dim[4] == 8);
	arena_free(n.a);
}

TEST(graph, operators_are_found_by_their_onnx_names)
{
	enum gir_op op;

	for (int i = 0; i < GIR_OP_COUNT; i++) {
		cr_assert(gir_op_find(gir_op_info((enum gir_op)i)->name, &op));
		cr_expect_eq((int)op, i, "'%s' stands twice in the table", gir_op_info((enum gir_op)i)->name);
	}
	cr_expect_not(gir_op_find("relu", &op));
	cr_expect_not(gir_op_find("", &op));
	cr_expect(gir_op_info(GIR_REORDER)->internal);
	cr_expect_not(gir_op_info(GIR_CONV)->internal);
	cr_expect(gir_op_info(GIR_CONV)->root && !gir_op_info(GIR_CONV)->elementwise);
	cr_expect(gir_op_info(GIR_RELU)->root && gir_op_info(GIR_RELU)->elementwise);
	cr_expect_not(gir_op_info(GIR_SOFTMAX)->root);
}

/* ---- the verifier ---- */

TEST(graph_verify, a_cycle_is_a_use_before_it_is_made)
{
	struct net n = net_new();

	expect_verified(&n);
	n.neg->in[0] = n.sum->out[0];
	expect_refused(&n, "node 'a' uses 'b' before it is made");
}

TEST(graph_verify, values_that_nobody_makes_are_refused)
{
	struct net n = net_new();

	n.neg->in[0] = gir_value(n.g, "lost");
	vec_push(n.a, &n.g->outputs, gir_value(n.g, "loster"));
	expect_refused(&n, "node 'a' uses 'lost' before it is made; nobody makes the output 'loster'");
}

TEST(graph_verify, values_of_another_graph_are_refused)
{
	struct net n = net_new(), m = net_new();

	n.sum->in[1] = m.c;
	expect_refused(&n, "node 'b': input 1 is of another graph");
	arena_free(m.a);
}

TEST(graph_verify, a_value_is_made_once_and_knows_by_whom)
{
	struct net n = net_new(), m = net_new(), o = net_new();

	add(n.g, "again", GIR_NEG, n.x, NULL)->out[0] = n.neg->out[0];
	expect_refused(&n, "node 'again': output 'a' is made twice or is of another graph");
	m.neg->out[0]->producer = m.sum;
	expect_refused(&m, "value 'a' does not know that 'a' makes it");
	o.neg->out[0] = o.c;
	expect_refused(&o, "constant 'c' is also computed by 'a'; node 'b' uses 'a' before it is made");
}

TEST(graph_verify, names_are_unique_and_not_empty)
{
	struct net n = net_new(), m = net_new();

	n.sum->name = "a";
	expect_refused(&n, "two nodes are called 'a'");
	m.sum->name = "";
	m.x->name = "";
	expect_refused(&m, "value 0 has no name; a node (Add) has no name");
}

TEST(graph_verify, inputs_are_counted_and_outputs_and_attributes_too)
{
	struct net n = net_new(), m = net_new(), o = net_new();

	n.sum->nin = 1;
	expect_refused(&n, "node 'b' (Add) has 1 inputs");
	add(m.g, "none", GIR_NEG, m.x, NULL)->nout = 0;
	expect_refused(&m, "node 'none' (Neg) has no outputs");
	o.neg->attr = ARENA_ARRAY(o.a, struct gir_attr, 3);
	o.neg->attr[0].name = o.neg->attr[2].name = "alpha";
	o.neg->attr[1].name = "beta";
	o.neg->nattrs = 3;
	expect_refused(&o, "node 'a' has two attributes 'alpha'");
}

TEST(graph_verify, shapes_are_possible_and_agree_with_the_data)
{
	struct net n = net_new(), m = net_new(), o = net_new(), p = net_new();

	n.x->dim[2] = -1;
	expect_refused(&n, "value 'x' has an impossible shape");
	m.x->dim[2] = INT64_MAX / 2;
	expect_refused(&m, "value 'x' has an impossible shape");
	o.c->nd = 1;
	o.c->dim[0] = 1;
	expect_refused(&o, "constant 'c' is not of the type of its data");
	p.c->dtype = DT_I32;
	expect_refused(&p, "constant 'c' is not of the type of its data");
}

TEST(graph_verify, blocked_values_stay_where_they_are_understood)
{
	struct net n = net_new(), m = net_new(), o = net_new();

	n.neg->out[0]->block = n.sum->out[0]->block = 8;
	expect_verified(&n);
	add(n.g, "soft", GIR_SOFTMAX, n.sum->out[0], NULL);
	expect_refused(&n, "node 'soft' (Softmax) cannot read the blocked 'b'");
	add(m.g, "soft", GIR_SOFTMAX, m.x, NULL)->out[0]->block = 8;
	expect_refused(&m, "node 'soft' (Softmax) cannot write the blocked 'soft'");
	o.x->block = -8;
	expect_refused(&o, "value 'x' cannot be blocked");
}

/* conv(x, c) with the chain: inner(., ...) */
static struct gir_node *chained(struct net *n, enum gir_op op, struct gir_value *other)
{
	struct gir_node *root = add(n->g, "root", GIR_CONV, n->x, n->c), *inner = make(n->g, "inner", op, root->out[0], other);

	root->fused = ARENA_NEW(n->a, struct gir_fused);
	root->fused->node = inner;
	root->nfused = 1;
	root->out[0] = inner->out[0];
	root->out[0]->producer = root;
	return root;
}

TEST(graph_verify, a_chain_is_of_elementwise_nodes_on_a_root)
{
	struct net n = net_new(), m = net_new(), o = net_new();

	chained(&n, GIR_ADD, n.c);
	expect_verified(&n);
	n.g->nodes.v[2]->op = GIR_EINSUM; /* takes as many inputs, but starts no chain */
	expect_refused(&n, "node 'root' (Einsum) cannot carry a chain");
	chained(&m, GIR_SOFTMAX, NULL);
	expect_refused(&m, "node 'root': 'inner' is not element-wise");
	chained(&o, GIR_RELU, NULL)->fused->slot = 1;
	expect_refused(&o, "node 'root': 'inner' has no input 1");
}

TEST(graph_verify, a_chain_keeps_shape_type_and_thread)
{
	struct net n = net_new(), m = net_new(), o = net_new(), p = net_new(), q = net_new();

	chained(&n, GIR_RELU, NULL)->out[0]->dim[3] = 5;
	expect_refused(&n, "node 'root': 'inner' changes the shape or type");
	chained(&m, GIR_RELU, NULL)->out[0]->dtype = DT_BOOL;
	expect_refused(&m, "node 'root': 'inner' changes the shape or type");
	chained(&o, GIR_RELU, NULL)->out[0] = gir_value(o.g, "elsewhere");
	o.g->nodes.v[2]->out[0]->producer = o.g->nodes.v[2];
	expect_refused(&o, "node 'root': its output is not the end of its chain");
	chained(&p, GIR_ADD, p.c)->fused->node->in[0] = NULL;
	expect_refused(&p, "node 'root': 'inner' does not read the value so far");
	chained(&q, GIR_RELU, NULL)->fused->node->name = "a";
	expect_refused(&q, "two nodes are called 'a'");
}

TEST(graph_verify, what_a_chain_reads_from_outside_is_made_before)
{
	struct net n = net_new();
	struct gir_value *late = gir_value_typed(n.g, "late", DT_F32, 0, NULL);

	chained(&n, GIR_ADD, late);
	gir_append(n.g, gir_node(n.g, "late", GIR_NEG, 1, &n.c, 1, &late));
	expect_refused(&n, "node 'inner' uses 'late' before it is made");
}

TEST(graph_verify, many_errors_end_in_and_more)
{
	struct net n = net_new();
	struct err e = {0};

	for (int i = 0; i < 30; i++)
		vec_push(n.a, &n.g->outputs, gir_value(n.g, "lost"));
	cr_expect_not(gir_verify(n.g, &e));
	cr_expect(strstr(err_text(&e), "'lost_19'; and more"));
	cr_expect_null(strstr(err_text(&e), "'lost_20'"));
	err_free(&e);
	arena_free(n.a);
}

/* ---- plans ---- */

TEST(graph_plan, a_decision_once_made_is_replayed)
{
	struct arena *a = arena_new(NULL);
	struct gir_plan *p = gir_plan_new(a);

	cr_expect(gir_plan_decide(p, "fuse", "conv", "relu", true));
	cr_expect_not(gir_plan_decide(p, "fuse", "conv", "add", false));
	cr_expect(gir_plan_decide(p, "fuse", "conv2", "", true));
	cr_expect_not(gir_plan_decide(p, "fuse", "conv2", "", false), "the last answer counts");
	gir_plan_replay(p);
	cr_expect(gir_plan_decide(p, "fuse", "conv", "relu", false));
	cr_expect_not(gir_plan_decide(p, "fuse", "conv", "add", true));
	cr_expect_not(gir_plan_decide(p, "fuse", "conv2", "", true));
	arena_free(a);
}

TEST(graph_plan, what_was_never_asked_is_answered_with_the_wish_and_not_remembered)
{
	struct arena *a = arena_new(NULL);
	struct gir_plan *p = gir_plan_new(a);

	gir_plan_decide(p, "fuse", "a", "bc", true);
	gir_plan_replay(p);
	for (int wish = 0; wish < 2; wish++) {
		cr_expect_eq(gir_plan_decide(p, "fuse", "new", "relu", wish), wish);
		cr_expect_eq(gir_plan_decide(p, "block", "a", "bc", wish), wish);
		cr_expect_eq(gir_plan_decide(p, "fuse", "ab", "c", wish), wish, "names are not run together");
		cr_expect_eq(gir_plan_decide(NULL, "fuse", "a", "bc", wish), wish, "without a plan");
	}
	arena_free(a);
}

static const struct gir_pass *pass(const char *name)
{
	for (size_t i = 0; gir_passes[i]; i++)
		if (!strcmp(gir_passes[i]->name, name))
			return gir_passes[i];
	return NULL;
}

static const char *run(struct arena *a, const char *name, const char *text, struct gir_plan *plan, struct str *s)
{
	struct gir_pass_options o = {.lanes = 8, .plan = plan};
	struct err e = {0};
	struct gir_graph *g;
	bool changed = false;

	cr_assert(gir_parse(a, "t", text, strlen(text), &g, &e), "%s", err_text(&e));
	gir_plan_nodes(plan, g);
	cr_assert(pass(name)->run(g, &o, &changed, &e), "%s", err_text(&e));
	cr_assert(gir_verify(g, &e), "%s", err_text(&e));
	str_clear(s);
	gir_print(s, g, false);
	return str_text(s);
}

#define HEAD "graph \"g\" opset 13 {\n  input \"x\": f32[4]\n"
#define NEG "  \"neg\" = Neg(\"x\") -> \"a\": f32[4]\n"

TEST(graph_plan, a_pass_does_to_a_mutant_what_it_did_to_the_original)
{
	/* in the original the negation is read twice and nothing joins it; in the mutant, once */
	static const char original[] =
	    HEAD NEG "  \"exp\" = Exp(\"a\") -> \"b\": f32[4]\n  \"sum\" = Add(\"a\", \"b\") -> \"y\": f32[4]\n"
		     "  output \"y\"\n}\n",
			  mutant[] =
			      HEAD NEG "  \"exp\" = Exp(\"a\") -> \"b\": f32[4]\n  \"sum\" = Add(\"x\", \"b\") -> \"y\": f32[4]\n"
				       "  output \"y\"\n}\n";
	struct arena *a = arena_new(NULL);
	struct gir_plan *p = gir_plan_new(a);
	struct str s = {0};

	cr_expect(strstr(run(a, "fuse", mutant, NULL, &s), "| \"exp\""), "without a plan everything joins");
	cr_expect_null(strstr(run(a, "fuse", original, p, &s), "| \"exp\""));
	cr_expect(strstr(str_text(&s), "| \"sum\""));
	gir_plan_replay(p);
	run(a, "fuse", mutant, p, &s);
	cr_expect_null(strstr(str_text(&s), "| \"exp\""), "%s", str_text(&s));
	cr_expect(strstr(str_text(&s), "| \"sum\""), "%s", str_text(&s));
	str_free(&s);
	arena_free(a);
}

TEST(graph_plan, what_the_plan_forbids_no_pass_does)
{
	static const struct {
		const char *pass, *a, *b, *text;
	} cases[] = {
	    {"identity", "id", "",
	     HEAD "  \"id\" = Identity(\"x\") -> \"a\": f32[4]\n  \"neg\" = Neg(\"a\") -> \"y\": f32[4]\n  output \"y\"\n}\n"},
	    {"fuse", "neg", "exp", HEAD NEG "  \"exp\" = Exp(\"a\") -> \"y\": f32[4]\n  output \"y\"\n}\n"},
	    {"bn-fold", "conv", "bn",
	     "graph \"g\" opset 13 {\n  input \"x\": f32[1,1,2,2]\n  const \"w\": f32[1,1,1,1] = {1}\n  const \"c\": f32[1] = {1}\n"
	     "  \"conv\" = Conv(\"x\", \"w\") -> \"a\": f32[1,1,2,2]\n"
	     "  \"bn\" = BatchNormalization(\"a\", \"c\", \"c\", \"c\", \"c\") -> \"y\": f32[1,1,2,2]\n  output \"y\"\n}\n"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct arena *a = arena_new(NULL);
		struct gir_plan *p = gir_plan_new(a);
		struct str s = {0};

		gir_plan_decide(p, cases[i].pass, cases[i].a, cases[i].b, false);
		gir_plan_replay(p);
		cr_expect_str_eq(run(a, cases[i].pass, cases[i].text, p, &s), cases[i].text);
		cr_expect_str_neq(run(a, cases[i].pass, cases[i].text, NULL, &s), cases[i].text);
		str_free(&s);
		arena_free(a);
	}
}
