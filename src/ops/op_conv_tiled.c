/* op_conv_tiled.c: Conv for accelerators - a work-item computes a tile of output channels by pixels in registers
 *
 * Pixels are numbered through the maps of all images. Neighbouring work-items are a row of `lanes` pixels: those of a tile lie a
 * row apart, so that what is read at a time lies together. The next row of work-items computes the same pixels of the next
 * channels, so that a group reads its input once. Every weight that is loaded serves all pixels of the tile, every input element
 * all its channels; `pack` brings the weights into the order in which they are read, once where they are constant. Channels and
 * pixels behind the last are computed from the last and not stored.
 */
#include "ops/ops_conv.h"

#define B (&c->b)
#define CHANNELS 8 /* of a tile, where a group has as many */
#define PIXELS 8   /* at most */
#define LANES 32
#define MANY ((int64_t)1 << 16) /* work-items that keep the largest device busy */
#define ENOUGH 256              /* and a processor: the lanes of its cores' vectors */

struct tile {
	const struct op_conv *v;
	int64_t channels, blocks;      /* in a tile; tiles in a group */
	int64_t images, total;         /* pixels of all images */
	int64_t pixels, lanes, chunks; /* in a tile; work-items in a row; rows */
	struct lower_temp *packed;
	struct lir_buffer *x, *w, *acc;
	struct lir_expr *first_in, *first_out; /* first channels of the group */
	struct lir_expr *block;                /* number of the tile's channels, among all groups' */
	struct lir_expr *oc;                   /* first channel of the tile, in its group */
	struct lir_expr *number[PIXELS], *n[PIXELS], *row[PIXELS], *col[PIXELS]; /* of the output */
	struct lir_expr *in[PIXELS][2], *inside[PIXELS];                         /* under the tap at hand; NULL: always */
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

static void measure(struct op_lower *c, struct tile *t)
{
	const struct op_conv *v = t->v;
	int64_t row, busy;

	t->channels = v->out_channels < CHANNELS ? v->out_channels : CHANNELS;
	t->blocks = (v->out_channels + t->channels - 1) / t->channels;
	t->images = c->node->in[0]->dim[0];
	t->total = t->images * v->w.out[0] * v->w.out[1];
	busy = c->target->local_memory ? MANY : ENOUGH; /* whose groups share nothing is a processor */
	t->pixels = t->total / PIXELS * t->blocks * v->groups >= busy ? PIXELS : PIXELS / 2;
	t->pixels = t->total < t->pixels ? t->total : t->pixels;
	row = LANES * t->pixels;
	t->chunks = (t->total + row - 1) / row;
	t->lanes = t->chunks ? (t->total + t->chunks * t->pixels - 1) / (t->chunks * t->pixels) : 1;
}

/* Whether pixel p of the last tiles may lie behind the last. */
static bool has_tail(const struct tile *t, int64_t p)
{
	return ((t->chunks - 1) * t->pixels + p + 1) * t->lanes > t->total;
}

static void find_pixels(struct op_lower *c, struct tile *t, struct lir_expr *chunk, struct lir_expr *lane)
{
	int64_t map = t->v->w.out[0] * t->v->w.out[1];

	for (int64_t p = 0; p < t->pixels; p++) {
		struct lir_expr *at = lir_add(B, lir_mul(B, chunk, constant(c, t->pixels * t->lanes)), constant(c, p * t->lanes));

		t->number[p] = op_let(c, "pixel", lir_add(B, at, lane));
		at = has_tail(t, p) ? lir_min(B, t->number[p], constant(c, t->total - 1)) : t->number[p];
		t->n[p] = t->images > 1 ? op_let(c, "n", lir_div(B, at, constant(c, map))) : constant(c, 0);
		if (t->images > 1)
			at = op_let(c, "place", lir_mod(B, at, constant(c, map)));
		t->row[p] = op_let(c, "row", lir_div(B, at, constant(c, t->v->w.out[1])));
		t->col[p] = op_let(c, "col", lir_mod(B, at, constant(c, t->v->w.out[1])));
	}
}

/* Channel j of the tile, within its group; one that exists. */
static struct lir_expr *channel(struct op_lower *c, const struct tile *t, struct lir_expr *oc, struct lir_expr *j)
{
	oc = lir_add(B, oc, j);
	return t->v->out_channels % t->channels ? lir_min(B, oc, constant(c, t->v->out_channels - 1)) : oc;
}

/* The group of a block of channels, and the block within it. */
static struct lir_expr *group_of(struct op_lower *c, const struct tile *t, struct lir_expr **block)
{
	struct lir_expr *group;

	if (t->v->groups == 1)
		return constant(c, 0);
	group = op_let(c, "group", lir_div(B, *block, constant(c, t->blocks)));
	*block = lir_mod(B, *block, constant(c, t->blocks));
	return group;
}

static void pack(struct op_lower *c, struct tile *t)
{
	const struct op_conv *v = t->v;
	int64_t dim[] = {v->groups * t->blocks, v->w.kernel[0], v->w.kernel[1], v->in_channels, t->channels};
	struct lir_expr *block, *group, *oc;
	struct lir_buffer *w;
	struct lir_nest nest;

	t->packed = op_temp(c, "weights", DT_F32, 5, dim);
	op_begin(c, "pack");
	w = op_in(c, 1);
	nest = lir_nest_over(B, 5, dim);
	block = nest.index[0];
	group = group_of(c, t, &block);
	oc = channel(c, t, lir_mul(B, block, constant(c, t->channels)), nest.index[4]);
	oc = lir_add(B, lir_mul(B, group, constant(c, v->out_channels)), oc);
	lir_store(B, op_temp_out(c, t->packed), nest.index,
		  lir_load(B, w, (struct lir_expr *[]){oc, nest.index[3], nest.index[1], nest.index[2]}));
	lir_nest_end(B, &nest);
	op_end(c);
}

static void start(struct op_lower *c, struct tile *t)
{
	struct lir_buffer *bias = op_arg(c->node, 2) ? op_in(c, 2) : NULL;
	struct lir_expr *j, *at, *from;

	t->acc = lir_alloc(B, "acc", DT_F32, 2, (const int64_t[]){t->pixels, t->channels});
	j = lir_for(B, "j", t->channels, LIR_UNROLLED);
	at = lir_add(B, t->first_out, channel(c, t, t->oc, j));
	from = op_let(c, "start", bias ? lir_load(B, bias, &at) : lir_imm(B, DT_F32, 0));
	for (int64_t p = 0; p < t->pixels; p++)
		lir_store(B, t->acc, (struct lir_expr *[]){constant(c, p), j}, from);
	lir_end(B);
}

/* Where pixel p's input lies under tap k, and whether that is in the image: the same for all channels. */
static void find_input(struct op_lower *c, struct tile *t, int64_t p, struct lir_expr *const *k)
{
	const struct op_window *w = &t->v->w;
	struct lir_expr *out[2] = {t->row[p], t->col[p]};

	t->inside[p] = NULL;
	for (int d = 0; d < 2; d++) {
		struct lir_expr *at =
		    lir_add(B, lir_sub(B, lir_mul(B, out[d], constant(c, w->stride[d])), constant(c, w->begin[d])),
			    lir_mul(B, k[d], constant(c, w->dilation[d])));
		struct lir_expr *inside;

		t->in[p][d] = at->kind == LIR_VAR ? at : op_let(c, d ? "x" : "y", at);
		if (!padded(w, d))
			continue;
		inside = lir_and(B, lir_ge(B, t->in[p][d], constant(c, 0)), lir_lt(B, t->in[p][d], constant(c, w->in[d])));
		t->inside[p] = t->inside[p] ? lir_and(B, t->inside[p], inside) : inside;
	}
	if (t->inside[p])
		t->inside[p] = op_let(c, "inside", t->inside[p]);
}

static struct lir_expr *input(struct op_lower *c, const struct tile *t, int64_t p, struct lir_expr *ci)
{
	struct lir_expr *at[4] = {t->n[p], lir_add(B, t->first_in, ci), t->in[p][0], t->in[p][1]}, *x = lir_load(B, t->x, at);

	return op_let(c, "value", t->inside[p] ? lir_select(B, t->inside[p], x, lir_imm(B, DT_F32, 0)) : x);
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
	struct lir_expr *ci, *k[2], *value[PIXELS], *j, *weight;

	k[0] = loop(c, "ky", v->w.kernel[0], LIR_SERIAL);
	k[1] = loop(c, "kx", v->w.kernel[1], LIR_SERIAL);
	for (int64_t p = 0; p < t->pixels; p++)
		find_input(c, t, p, k);
	ci = loop(c, "ci", v->in_channels, LIR_SERIAL);
	for (int64_t p = 0; p < t->pixels; p++)
		value[p] = input(c, t, p, ci);
	j = lir_for(B, "j", t->channels, LIR_UNROLLED);
	weight = op_let(c, "weight", lir_load(B, t->w, (struct lir_expr *[]){t->block, k[0], k[1], ci, j}));
	for (int64_t p = 0; p < t->pixels; p++) {
		struct lir_expr *at[2] = {constant(c, p), j};

		lir_store(B, t->acc, at, lir_fma(B, value[p], weight, lir_load(B, t->acc, at)));
	}
	lir_end(B);
	end(c, v->in_channels);
	end(c, v->w.kernel[1]);
	end(c, v->w.kernel[0]);
}

static void finish(struct op_lower *c, struct tile *t)
{
	const struct op_conv *v = t->v;
	struct lir_expr *j = lir_for(B, "j", t->channels, LIR_UNROLLED), *oc = lir_add(B, t->oc, j);
	bool tail = v->out_channels % t->channels;

	if (tail)
		lir_if(B, lir_lt(B, oc, constant(c, v->out_channels)));
	for (int64_t p = 0; p < t->pixels; p++) {
		struct lir_expr *at[4] = {t->n[p], lir_add(B, t->first_out, oc), t->row[p], t->col[p]};

		if (has_tail(t, p))
			lir_if(B, lir_lt(B, t->number[p], constant(c, t->total)));
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
	struct tile t = {.v = v};
	struct lir_expr *block, *group;
	struct lir_nest nest;

	(void)e;
	measure(c, &t);
	pack(c, &t);
	op_begin(c, "");
	t.x = op_in(c, 0);
	t.w = op_temp_in(c, t.packed);
	if (op_arg(c->node, 2))
		op_in(c, 2);
	op_out(c, 0);
	nest = lir_nest_over(B, 3, (const int64_t[]){t.chunks, v->groups * t.blocks, t.lanes});
	t.block = block = nest.index[1];
	group = group_of(c, &t, &block);
	t.first_in = lir_mul(B, group, constant(c, v->in_channels));
	t.first_out = lir_mul(B, group, constant(c, v->out_channels));
	t.oc = op_let(c, "oc", lir_mul(B, block, constant(c, t.channels)));
	find_pixels(c, &t, nest.index[0], nest.index[2]);
	start(c, &t);
	sum(c, &t);
	finish(c, &t);
	lir_nest_end(B, &nest);
	op_end(c);
	return true;
}
