/* gir_pass_winograd.c: convolutions of 3 x 3 taps become mutatenn.WinogradConv where that is faster
 *
 * Winograd's F(4x4, 3x3) makes tiles of 4 x 4 pixels with 36 multiplications for each pair of channels instead of 144. It rounds
 * otherwise than a sum over taps does, so it is done only where somebody asks for it. What it costs beside the multiplications -
 * transforms of tiles, and four times the weights to read - decides where it pays.
 */
#include "graph/graph.h"

/* In multiplications for each pair of channels; measured, docs/performance.md. */
#define TILE 36          /* of a tile of 4 x 4 pixels */
#define TRANSFORM_IN 260 /* of a tile and input channel: shared by all output channels */
#define TRANSFORM_OUT 200
#define READ_NEAR 2      /* of one weight, where all are in the second cache: so many multiplications would be done meanwhile */
#define READ_FAR 6       /* where they are not */
#define NEAR_BYTES (3 << 19)
#define LAUNCH 6e5       /* of another kernel, that threads wait for: for all pairs together */
#define GAIN 0.7         /* at most so much of the direct sum's cost, or it stays */

static bool all(const struct gir_node *n, const char *name, int64_t value)
{
	const struct gir_attr *a = gir_attr(n, name);

	for (size_t i = 0; a && i < a->n; i++)
		if (a->kind != GIR_ATTR_INTS || a->ints[i] != value)
			return false;
	return true;
}

static bool possible(const struct gir_node *n)
{
	const struct gir_value *x = n->nin ? n->in[0] : NULL, *w = n->nin > 1 ? n->in[1] : NULL;

	return n->op == GIR_CONV && x->dtype == DT_F32 && x->nd == 4 && x->block && n->out[0]->block == x->block &&
	       gir_attr_int(n, "group", 1) == 1 && w->dim[2] == 3 && w->dim[3] == 3 && all(n, "strides", 1) && all(n, "dilations", 1);
}

static bool pays(const struct gir_node *n)
{
	const int64_t *x = n->in[0]->dim, *y = n->out[0]->dim;
	double pixels = (double)y[0] * (double)y[2] * (double)y[3];
	double tiles = (double)y[0] * (double)((y[2] + 3) / 4) * (double)((y[3] + 3) / 4);
	double pairs = (double)x[1] * (double)y[1], read = TILE * 4.0 * pairs <= NEAR_BYTES ? READ_NEAR : READ_FAR;
	double direct = 9 * (pixels + read);
	double ours = TILE * (tiles + read) + tiles * (TRANSFORM_IN / (double)y[1] + TRANSFORM_OUT / (double)x[1]) + LAUNCH / pairs;

	return ours <= GAIN * direct;
}

static bool run(struct gir_graph *g, const struct gir_pass_options *o, bool *changed, struct err *e)
{
	(void)e;
	for (size_t i = 0; i < g->nodes.n; i++) {
		struct gir_node *n = g->nodes.v[i];

		if (!possible(n) || !gir_plan_decide(o->plan, "winograd", n->name, "", pays(n)))
			continue;
		n->op = GIR_WINOGRADCONV;
		*changed = true;
	}
	return true;
}

const struct gir_pass gir_pass_winograd = {"winograd", "convolutions of 3 x 3 taps by Winograd's transforms, which round otherwise", 3, run, true};
