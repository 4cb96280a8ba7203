/* ops_group.c: matrix products by groups of work-items */
#include "ops/ops_group.h"

#include "ops/ops_internal.h"

#define B (&c->b)
#define RUN 4          /* neighbours of a work-item */
#define MANY 264       /* groups that keep a large device busy: two for each of its processors */
#define MIN_DEPTH 8
#define SLACK 4        /* elements behind each row of a slice that is written across: other banks for each row */

/* From the tile that computes most for what it loads. `merit`: speed in parts of a thousand where everything is in use, by instructions
 * for each product: loads, then the loop's own. */
static const struct shape {
	int64_t tile_rows, tile_cols, item_rows, item_cols, slice, merit;
} shapes[] = {
    {128, 128, 8, 8, 8, 1000}, {64, 128, 8, 8, 8, 920}, {128, 64, 8, 8, 8, 920}, {64, 64, 8, 8, 8, 850},
    {32, 128, 4, 8, 8, 750},   {64, 64, 4, 4, 8, 650},  {32, 64, 4, 8, 8, 650},  {32, 32, 4, 4, 8, 500},
};

static int64_t up(int64_t x, int64_t by)
{
	return (x + by - 1) / by;
}

static int64_t group_of(const struct shape *s)
{
	return s->tile_rows / s->item_rows * (s->tile_cols / s->item_cols);
}

/* The share of the tiles that belongs to the product, times the share of the device that has work, times the tile's own merit. */
static int64_t score(const struct op_group *g, const struct shape *s)
{
	int64_t rows = up(g->rows, s->tile_rows), cols = up(g->cols, s->tile_cols), n;
	double used = (double)g->rows / (double)(rows * s->tile_rows) * ((double)g->cols / (double)(cols * s->tile_cols));

	n = rows * cols >= MANY ? MANY : rows * cols * g->stack >= MANY ? MANY : rows * cols * g->stack;
	return (int64_t)(used * (double)(n * s->merit));
}

bool op_group_choose(const struct op_lower *c, struct op_group *g)
{
	const struct lower_target *t = c->target;
	int64_t best = 0;

	if (t->cls != LOWER_GPU || g->rows < 16 || g->cols < 16 || g->depth < MIN_DEPTH || g->stack < 1)
		return false;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const struct shape *s = &shapes[i];
		int64_t bytes = 4 * s->slice * (s->tile_rows + s->tile_cols + 2 * SLACK) + 1024; /* what dialects put around them */

		if (group_of(s) > (int64_t)t->max_group || (uint64_t)bytes > t->local_memory || score(g, s) <= best)
			continue;
		best = score(g, s);
		g->tile_rows = s->tile_rows;
		g->tile_cols = s->tile_cols;
		g->item_rows = s->item_rows;
		g->item_cols = s->item_cols;
		g->slice_depth = s->slice;
		g->group = group_of(s);
	}
	return best > 0;
}

static struct lir_expr *constant(struct op_lower *c, int64_t v)
{
	return lir_int(B, v);
}

static struct lir_expr *times(struct op_lower *c, struct lir_expr *x, int64_t by)
{
	return lir_mul(B, x, constant(c, by));
}

/* Brings a slice of one factor to shared memory: `across` elements of the tile at each of the slice's places. Work-items go along the
 * depth or across it, as neighbours lie in memory. */
static void bring(struct op_lower *c, const struct op_group *g, struct lir_buffer *to, bool right, struct lir_expr *item,
		  struct lir_expr *first, struct lir_expr *k0)
{
	bool along = right ? g->right_along_depth : g->left_along_depth;
	int64_t across = right ? g->tile_cols : g->tile_rows, minor = along ? g->slice_depth : across;
	int64_t total = across * g->slice_depth, times_each = total / g->group;
	/* Work-items that fill whole lines of the minor side step from line to line; else a line takes several steps. */
	int64_t lines = g->group >= minor ? g->group / minor : 1, parts = g->group >= minor ? 1 : minor / g->group;

	for (int64_t p = 0; p < parts; p++) {
		struct lir_expr *at, *line = constant(c, 0), *step, *major, *place, *k, *deep, *value;

		lir_scope(B);
		at = lines > 1 ? lir_mod(B, item, constant(c, minor)) : lir_add(B, item, constant(c, p * g->group));
		at = op_let(c, along ? "deep" : "across", at);
		if (lines > 1)
			line = op_let(c, "line", lir_div(B, item, constant(c, minor)));
		if (right && !along && g->column)
			g->column(c, g->user, lir_add(B, first, at));
		step = lir_for(B, "step", times_each / parts, LIR_UNROLLED);
		major = lir_add(B, times(c, step, lines), line);
		place = along ? major : at;
		deep = along ? at : major;
		if (right && along && g->column)
			g->column(c, g->user, lir_add(B, first, place));
		k = lir_add(B, k0, deep);
		place = lir_add(B, first, place);
		value = right ? g->right(c, g->user, place, k, deep) : g->left(c, g->user, place, k, deep);
		place = along ? major : at;
		lir_store(B, to, (struct lir_expr *[]){along ? at : major, place}, value);
		lir_end(B);
		lir_end(B);
	}
}

/* Element i of a work-item's row or column of sums, within the tile: runs of four, the work-items' runs side by side. */
static struct lir_expr *spread(struct op_lower *c, struct lir_expr *i, struct lir_expr *item, int64_t items)
{
	struct lir_expr *run = times(c, lir_div(B, i, constant(c, RUN)), items * RUN);

	return lir_add(B, lir_add(B, run, times(c, item, RUN)), lir_mod(B, i, constant(c, RUN)));
}

struct loops {
	const struct op_group *g;
	struct lir_buffer *left, *right, *sum;
	struct lir_expr *row, *col; /* of the tile */
	int64_t rows, cols;         /* work-items of a group, by rows and columns */
};

/* A loop over the work-items; where one stands in the group. */
static struct lir_expr *items(struct op_lower *c, const struct loops *l, struct lir_expr **row, struct lir_expr **col)
{
	struct lir_expr *t = lir_for(B, "item", l->g->group, LIR_THREAD);

	if (row) {
		*row = op_let(c, "item_row", lir_div(B, t, constant(c, l->cols)));
		*col = op_let(c, "item_col", lir_mod(B, t, constant(c, l->cols)));
	}
	return t;
}

static void start(struct op_lower *c, const struct loops *l)
{
	const struct op_group *g = l->g;
	struct lir_expr *row, *col, *i, *j, *from;

	items(c, l, &row, &col);
	i = lir_for(B, "i", g->item_rows, LIR_UNROLLED);
	from = lir_imm(B, DT_F32, 0);
	if (g->start)
		from = op_let(c, "start", g->start(c, g->user, lir_add(B, l->row, spread(c, i, row, l->rows))));
	j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
	lir_store(B, l->sum, (struct lir_expr *[]){i, j}, from);
	lir_end(B);
	lir_end(B);
	lir_end(B);
}

static void add_slice(struct op_lower *c, const struct loops *l)
{
	const struct op_group *g = l->g;
	struct lir_expr *row, *col, *i, *j, *k, *x, *y, *at[2], *one;
	struct lir_buffer *weight;

	items(c, l, &row, &col);
	k = lir_for(B, "k", g->slice_depth, LIR_UNROLLED);
	weight = lir_alloc(B, "value", DT_F32, 1, &g->item_cols);
	j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
	one = j;
	lir_store(B, weight, &one, lir_load(B, l->right, (struct lir_expr *[]){k, spread(c, j, col, l->cols)}));
	lir_end(B);
	i = lir_for(B, "i", g->item_rows, LIR_UNROLLED);
	x = op_let(c, "weight", lir_load(B, l->left, (struct lir_expr *[]){k, spread(c, i, row, l->rows)}));
	j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
	one = j;
	y = lir_load(B, weight, &one);
	at[0] = i;
	at[1] = j;
	lir_store(B, l->sum, at, lir_fma(B, y, x, lir_load(B, l->sum, at)));
	lir_end(B);
	lir_end(B);
	lir_end(B);
	lir_end(B);
}

static void open_if(struct op_lower *c, bool tail, struct lir_expr *x, int64_t n)
{
	if (tail)
		lir_if(B, lir_lt(B, x, constant(c, n)));
	else
		lir_scope(B);
}

static void finish(struct op_lower *c, const struct loops *l)
{
	const struct op_group *g = l->g;
	struct lir_expr *row, *col, *i, *j, *x, *y;

	items(c, l, &row, &col);
	j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
	x = op_let(c, "col", lir_add(B, l->col, spread(c, j, col, l->cols)));
	open_if(c, g->cols % g->tile_cols, x, g->cols);
	if (g->store_column)
		g->store_column(c, g->user, x);
	i = lir_for(B, "i", g->item_rows, LIR_UNROLLED);
	y = op_let(c, "row", lir_add(B, l->row, spread(c, i, row, l->rows)));
	open_if(c, g->rows % g->tile_rows, y, g->rows);
	g->store(c, g->user, y, lir_load(B, l->sum, (struct lir_expr *[]){i, j}));
	lir_end(B);
	lir_end(B);
	lir_end(B);
	lir_end(B);
	lir_end(B);
}

void op_group_loops(struct op_lower *c, const struct op_group *g)
{
	struct loops l = {.g = g, .rows = g->tile_rows / g->item_rows, .cols = g->tile_cols / g->item_cols};
	int64_t rows = up(g->rows, g->tile_rows), cols = up(g->cols, g->tile_cols), slices = up(g->depth, g->slice_depth);
	struct lir_expr *tile, *rest, *first, *item;

	c->b.f->group = g->group;
	tile = lir_for(B, "tile", g->stack * rows * cols, LIR_PARALLEL);
	l.row = op_let(c, "first_row", times(c, lir_mod(B, tile, constant(c, rows)), g->tile_rows)); /* neighbours read the same columns */
	rest = rows > 1 ? op_let(c, "rest", lir_div(B, tile, constant(c, rows))) : tile;
	l.col = op_let(c, "first_col", times(c, lir_mod(B, rest, constant(c, cols)), g->tile_cols));
	g->begin(c, g->user, g->stack > 1 ? op_let(c, "stack", lir_div(B, rest, constant(c, cols))) : constant(c, 0), l.row, l.col);
	l.left = lir_alloc_in(B, LIR_SHARED, "left", DT_F32, 2, (const int64_t[]){g->slice_depth, g->tile_rows + (g->left_along_depth ? SLACK : 0)});
	l.right = lir_alloc_in(B, LIR_SHARED, "right", DT_F32, 2, (const int64_t[]){g->slice_depth, g->tile_cols + (g->right_along_depth ? SLACK : 0)});
	l.sum = lir_alloc_in(B, LIR_PRIVATE, "sum", DT_F32, 2, (const int64_t[]){g->item_rows, g->item_cols});
	start(c, &l);
	first = g->slices ? g->slices(c, g->user) : op_let(c, "depth", times(c, lir_for(B, "slice", slices, LIR_SERIAL), g->slice_depth));
	item = items(c, &l, NULL, NULL);
	bring(c, g, l.left, false, item, l.row, first);
	bring(c, g, l.right, true, item, l.col, first);
	lir_end(B);
	add_slice(c, &l);
	if (g->slices)
		g->slices_end(c, g->user);
	else
		lir_end(B);
	finish(c, &l);
	lir_end(B);
}
