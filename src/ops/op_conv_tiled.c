/* op_conv_tiled.c: Conv for accelerators - a work-item computes a tile of output channels by pixels in registers
 *
 * Pixels are numbered through the map. Those of a tile lie a whole row of tiles apart, so that neighbouring work-items read
 * neighbouring elements. Every weight that is loaded serves all pixels of the tile, every input element all its channels. Channels
 * and pixels behind the last are computed from the last and not stored.
 */
#include "ops/ops_conv.h"

#define B (&c->b)
#define CHANNELS 8 /* of a tile, where a group has as many */
#define PIXELS 4

struct tile {
	const struct op_conv *v;
	int64_t channels, pixels, blocks, places; /* in a tile; tiles of channels in a group, of pixels in a map */
	struct lir_buffer *x, *w, *acc;
	struct lir_expr *n, *first_in, *first_out;  /* image; first channels of the group */
	struct lir_expr *oc;                        /* first channel of the tile, in its group */
	struct lir_expr *row[PIXELS], *col[PIXELS]; /* of the output */
	struct lir_expr *number[PIXELS];
};

static struct lir_expr *constant(struct op_lower *c, int64_t v)
{
	return lir_int(B, v);
}

static bool padded(const struct op_window *w, int d)
{
	return w->begin[d] > 0 || (w->out[d] - 1) * w->stride[d] - w->begin[d] + (w->kernel[d] - 1) * w->dilation[d] >= w->in[d];
}

bool op_conv_fits_tiles(const struct op_lower *c, const struct op_conv *v)
{
	return c->target->cls == LOWER_GPU && c->node->in[0]->nd == 4 && op_all_f32(c->node) && v->w.nd == 2;
}

static void find_pixels(struct op_lower *c, struct tile *t, struct lir_expr *place)
{
	int64_t total = t->v->w.out[0] * t->v->w.out[1];

	for (int64_t p = 0; p < t->pixels; p++) {
		struct lir_expr *at = lir_add(B, place, constant(c, p * t->places));

		t->number[p] = op_let(c, "pixel", at);
		if ((p + 1) * t->places > total)
			at = lir_min(B, t->number[p], constant(c, total - 1));
		t->row[p] = op_let(c, "row", lir_div(B, at, constant(c, t->v->w.out[1])));
		t->col[p] = op_let(c, "col", lir_mod(B, at, constant(c, t->v->w.out[1])));
	}
}

/* Channel j of the tile, within its group; one that exists. */
static struct lir_expr *channel(struct op_lower *c, const struct tile *t, struct lir_expr *j)
{
	struct lir_expr *oc = lir_add(B, t->oc, j);

	return t->v->out_channels % t->channels ? lir_min(B, oc, constant(c, t->v->out_channels - 1)) : oc;
}

static void start(struct op_lower *c, struct tile *t)
{
	struct lir_buffer *bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	struct lir_expr *j, *at, *from;

	t->acc = lir_alloc(B, "acc", DT_F32, 2, (const int64_t[]){t->pixels, t->channels});
	j = lir_for(B, "j", t->channels, LIR_UNROLLED);
	at = lir_add(B, t->first_out, channel(c, t, j));
	from = op_let(c, "start", bias ? lir_load(B, bias, &at) : lir_imm(B, DT_F32, 0));
	for (int64_t p = 0; p < t->pixels; p++)
		lir_store(B, t->acc, (struct lir_expr *[]){constant(c, p), j}, from);
	lir_end(B);
}

/* The input element under tap (ky, kx) of pixel p; zero in the padding. */
static struct lir_expr *input(struct op_lower *c, const struct tile *t, int64_t p, struct lir_expr *ci, struct lir_expr *const *k)
{
	const struct op_window *w = &t->v->w;
	struct lir_expr *at[4] = {t->n, lir_add(B, t->first_in, ci)}, *inside = NULL, *out[2] = {t->row[p], t->col[p]}, *x;

	for (int d = 0; d < 2; d++) {
		struct lir_expr *low, *high;

		at[2 + d] = lir_add(B, lir_sub(B, lir_mul(B, out[d], constant(c, w->stride[d])), constant(c, w->begin[d])),
				    lir_mul(B, k[d], constant(c, w->dilation[d])));
		if (!padded(w, d))
			continue;
		at[2 + d] = op_let(c, d ? "x" : "y", at[2 + d]);
		low = lir_ge(B, at[2 + d], constant(c, 0));
		high = lir_lt(B, at[2 + d], constant(c, w->in[d]));
		inside = inside ? lir_and(B, inside, lir_and(B, low, high)) : lir_and(B, low, high);
	}
	x = lir_load(B, t->x, at);
	return op_let(c, "value", inside ? lir_select(B, inside, x, lir_imm(B, DT_F32, 0)) : x);
}

static struct lir_expr *loop(struct op_lower *c, const char *name, int64_t n, enum lir_loop_kind kind)
{
	return n == 1 ? constant(c, 0) : lir_for(B, name, n, kind);
}

static void end(struct op_lower *c, int64_t n)
{
	if (n != 1)
		lir_end(B);
}

static void sum(struct op_lower *c, struct tile *t)
{
	const struct op_conv *v = t->v;
	struct lir_expr *ci = loop(c, "ci", v->in_channels, LIR_SERIAL), *k[2], *value[PIXELS], *j, *weight;

	k[0] = loop(c, "ky", v->w.kernel[0], LIR_SERIAL);
	k[1] = loop(c, "kx", v->w.kernel[1], LIR_SERIAL);
	for (int64_t p = 0; p < t->pixels; p++)
		value[p] = input(c, t, p, ci, k);
	j = lir_for(B, "j", t->channels, LIR_UNROLLED);
	weight = op_let(c, "weight",
			lir_load(B, t->w, (struct lir_expr *[]){lir_add(B, t->first_out, channel(c, t, j)), ci, k[0], k[1]}));
	for (int64_t p = 0; p < t->pixels; p++) {
		struct lir_expr *at[2] = {constant(c, p), j};

		lir_store(B, t->acc, at, lir_fma(B, value[p], weight, lir_load(B, t->acc, at)));
	}
	lir_end(B);
	end(c, v->w.kernel[1]);
	end(c, v->w.kernel[0]);
	end(c, v->in_channels);
}

static void finish(struct op_lower *c, struct tile *t)
{
	const struct op_conv *v = t->v;
	struct lir_expr *j = lir_for(B, "j", t->channels, LIR_UNROLLED), *oc = lir_add(B, t->oc, j);
	bool tail = v->out_channels % t->channels;

	if (tail)
		lir_if(B, lir_lt(B, oc, constant(c, v->out_channels)));
	for (int64_t p = 0; p < t->pixels; p++) {
		bool last = (p + 1) * t->places > v->w.out[0] * v->w.out[1];
		struct lir_expr *at[4] = {t->n, lir_add(B, t->first_out, oc), t->row[p], t->col[p]};

		if (last)
			lir_if(B, lir_lt(B, t->number[p], constant(c, v->w.out[0] * v->w.out[1])));
		else
			lir_scope(B);
		op_store(c, at, lir_load(B, t->acc, (struct lir_expr *[]){constant(c, p), j}));
		lir_end(B);
	}
	if (tail)
		lir_end(B);
	lir_end(B);
}

bool op_conv_lower_tiles(struct op_lower *c, const struct op_conv *v, struct err *e)
{
	int64_t total = v->w.out[0] * v->w.out[1];
	struct tile t = {
	    .v = v, .channels = v->out_channels < CHANNELS ? v->out_channels : CHANNELS, .pixels = total < PIXELS ? total : PIXELS};
	struct lir_expr *block;
	struct lir_nest nest;

	(void)e;
	t.blocks = (v->out_channels + t.channels - 1) / t.channels;
	t.places = (total + t.pixels - 1) / t.pixels;
	op_begin(c, "");
	t.x = op_in(c, 0);
	t.w = op_in(c, 1);
	if (op_arg(c->node, 2))
		op_in(c, 2);
	op_out(c, 0);
	nest = lir_nest_over(B, 3, (const int64_t[]){c->node->in[0]->dim[0], v->groups * t.blocks, t.places});
	t.n = nest.index[0];
	block = nest.index[1];
	t.first_in = t.first_out = constant(c, 0);
	if (v->groups > 1) {
		struct lir_expr *group = op_let(c, "group", lir_div(B, block, constant(c, t.blocks)));

		t.first_in = lir_mul(B, group, constant(c, v->in_channels));
		t.first_out = lir_mul(B, group, constant(c, v->out_channels));
		block = lir_mod(B, block, constant(c, t.blocks));
	}
	t.oc = op_let(c, "oc", lir_mul(B, block, constant(c, t.channels)));
	find_pixels(c, &t, nest.index[2]);
	start(c, &t);
	sum(c, &t);
	finish(c, &t);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}
