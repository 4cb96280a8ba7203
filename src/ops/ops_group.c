/* ops_group.c: matrix products by groups of work-items */
#include "ops/ops_group.h"

#include <string.h>

#include "ops/ops_internal.h"

#define B (&c->b)
#define RUN 4        /* neighbours of a work-item */
#define UNITS 132    /* processors of a large device, for all devices: the tile, and so the mutants, do not depend on which is there */
#define FULL 512     /* work-items that one has room for, by their registers */
#define LEAST 64     /* work-items of a group */
#define DEPTH 8      /* places of a slice that a work-item computes with */
#define WARP_ROWS 4  /* how the work-items that run in step stand in the tile: so they load few different elements */
#define WARP_COLS 8
#define SLACK 4      /* elements behind each row of a slice that is written across: other banks for each row */

/* From the tile that computes most for what it loads. `merit`: speed in parts of a thousand where everything is in use, by instructions
 * for each product, the loads' first, and by what the tile loads of memory for them. */
static const struct shape {
	int64_t tile_rows, tile_cols, item_rows, item_cols, merit;
} shapes[] = {
    {128, 128, 8, 8, 1000}, {64, 128, 8, 8, 970}, {128, 64, 8, 8, 970}, {64, 64, 8, 8, 920}, {64, 32, 8, 8, 820}, {32, 64, 8, 8, 820},
    {32, 128, 4, 8, 800},   {64, 64, 4, 4, 700},  {32, 64, 4, 8, 700},  {32, 32, 4, 4, 550},
};

static int64_t up(int64_t x, int64_t by)
{
	return (x + by - 1) / by;
}

/* How one factor comes to shared memory: `chunks` runs of neighbours make a line, of which there is one for each place of the other
 * direction. Work-items that fill whole lines step from lines to lines; else a line takes several turns. */
struct side {
	bool right, along;
	int64_t across, depth; /* rows or columns of the tile, places of a slice */
	int64_t run, chunks, lines, turns, steps;
};

static struct side side_of(const struct op_group *g, bool right)
{
	struct side s = {.right = right, .along = right ? g->right_along_depth : g->left_along_depth,
			 .across = right ? g->tile_cols : g->tile_rows, .depth = g->slice_depth, .run = right ? g->right_run : g->left_run};
	int64_t minor, major;

	if (!right && g->own_slice) /* up to a turn */
		for (s.depth = g->slice_depth; s.across * s.depth % g->group;)
			s.depth++;
	minor = s.along ? s.depth : s.across;
	major = s.along ? s.across : s.depth;
	while (s.run > 1 && (minor % s.run || s.across * s.depth % (g->group * s.run)))
		s.run /= 2;
	s.chunks = minor / s.run;
	s.lines = g->group >= s.chunks ? g->group / s.chunks : 1;
	s.turns = g->group >= s.chunks ? 1 : s.chunks / g->group;
	s.steps = major / s.lines;
	return s;
}

/* ---- the choice ---- */

static void take(struct op_group *g, const struct shape *s, int64_t parts)
{
	g->tile_rows = s->tile_rows;
	g->tile_cols = s->tile_cols;
	g->item_rows = s->item_rows;
	g->item_cols = s->item_cols;
	g->parts = parts;
	g->group = s->tile_rows / s->item_rows * (s->tile_cols / s->item_cols) * parts;
	g->part_depth = g->own_slice ? g->own_slice : DEPTH;
	g->slice_depth = g->part_depth * parts;
	g->slices = up(g->depth, g->slice_depth);
	g->left_depth = side_of(g, false).depth;
}

static int64_t shared_bytes(const struct op_group *g)
{
	int64_t slices = 2 * (g->left_depth * (g->tile_rows + SLACK) + g->slice_depth * (g->tile_cols + SLACK));

	return 4 * (slices + g->parts / 2 * g->tile_rows * g->tile_cols) + 1536; /* what dialects put around them */
}

static bool fits(const struct lower_target *t, const struct op_group *g)
{
	if (g->group < LEAST || g->group > (int64_t)t->max_group || (uint64_t)shared_bytes(g) > t->local_memory)
		return false;
	if (g->own_slice) /* a place in such a slice is a constant only where each work-item has all of a column's */
		return g->parts == 1 && g->tile_cols >= g->group;
	return g->parts == 1 || g->unit % g->slice_depth == 0;
}

/* The tile's merit, times the share of the tiles that belongs to the product, the share of the device that has work while the busiest
 * processor has, and what its work-items hide of each other's waits. */
static double score(const struct op_group *g, const struct shape *s)
{
	int64_t rows = up(g->rows, s->tile_rows), cols = up(g->cols, s->tile_cols), n = rows * cols * g->stack, busiest = up(n, UNITS);
	double used = (double)g->rows / (double)(rows * s->tile_rows) * ((double)g->cols / (double)(cols * s->tile_cols));
	double items = (double)(busiest * g->group < FULL ? busiest * g->group : FULL);

	return (double)s->merit * used * ((double)n / (double)(busiest * UNITS)) * items / (items + 64);
}

bool op_group_choose(const struct op_lower *c, struct op_group *g)
{
	const struct lower_target *t = c->target;
	struct op_group best;
	double most = 0;

	if (t->cls != LOWER_GPU || g->rows < 16 || g->cols < 16 || g->depth < DEPTH || g->stack < 1)
		return false;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
		for (int64_t parts = 1; parts <= 4; parts *= 2) {
			double x;

			take(g, &shapes[i], parts);
			x = fits(t, g) ? score(g, &shapes[i]) : 0;
			if (x <= most)
				continue;
			most = x;
			best = *g;
		}
	if (most > 0)
		*g = best;
	return most > 0;
}

/* ---- what the loops consist of ---- */

static struct lir_expr *constant(struct op_lower *c, int64_t v)
{
	return lir_int(B, v);
}

static struct lir_expr *times(struct op_lower *c, struct lir_expr *x, int64_t by)
{
	return lir_mul(B, x, constant(c, by));
}

struct loops {
	const struct op_group *g;
	struct side side[2];
	struct lir_buffer *slice[2]; /* left and right: of two slices */
	struct lir_buffer *sum, *other;
	struct lir_expr *row, *col;  /* of the tile */
	int64_t rows, cols;          /* work-items of a part, by rows and columns */
};

struct item {
	struct lir_expr *number, *part, *row, *col;
};

/* A loop over the work-items, and where one stands in its part. */
static struct item items(struct op_lower *c, const struct loops *l)
{
	int64_t part = l->rows * l->cols;
	struct item t = {.number = lir_for(B, "item", l->g->group, LIR_THREAD), .part = constant(c, 0)};
	struct lir_expr *n = t.number, *warp, *lane;

	if (l->g->parts > 1) {
		t.part = op_let(c, "part", lir_div(B, n, constant(c, part)));
		n = op_let(c, "of_part", lir_mod(B, n, constant(c, part)));
	}
	if (l->cols > WARP_COLS && l->rows >= WARP_ROWS) {
		warp = op_let(c, "warp", lir_div(B, n, constant(c, WARP_ROWS * WARP_COLS)));
		lane = op_let(c, "lane", lir_mod(B, n, constant(c, WARP_ROWS * WARP_COLS)));
		t.row = times(c, lir_div(B, warp, constant(c, l->cols / WARP_COLS)), WARP_ROWS);
		t.row = op_let(c, "item_row", lir_add(B, t.row, lir_div(B, lane, constant(c, WARP_COLS))));
		t.col = times(c, lir_mod(B, warp, constant(c, l->cols / WARP_COLS)), WARP_COLS);
		t.col = op_let(c, "item_col", lir_add(B, t.col, lir_mod(B, lane, constant(c, WARP_COLS))));
		return t;
	}
	t.row = op_let(c, "item_row", lir_div(B, n, constant(c, l->cols)));
	t.col = op_let(c, "item_col", lir_mod(B, n, constant(c, l->cols)));
	return t;
}

/* What a work-item brings of a slice: from memory to its own array, where half is NULL (k: first place), else from there to a half of the
 * shared one. */
static void bring(struct op_lower *c, const struct loops *l, const struct side *s, struct lir_expr *item, struct lir_buffer *own,
		  struct lir_expr *k, struct lir_expr *half)
{
	const struct op_group *g = l->g;
	struct lir_expr *first = s->right ? l->col : l->row;

	for (int64_t turn = 0; turn < s->turns; turn++) {
		struct lir_expr *at, *line = constant(c, 0), *step, *major, *next, *number, *deep, *place;
		bool column = s->right && g->column && !half;

		lir_scope(B);
		at = s->lines > 1 ? lir_mod(B, item, constant(c, s->chunks)) : lir_add(B, item, constant(c, turn * g->group));
		at = op_let(c, s->along ? "deep" : "across", times(c, at, s->run));
		if (s->lines > 1)
			line = op_let(c, "line", lir_div(B, item, constant(c, s->chunks)));
		if (column && !s->along)
			g->column(c, g->user, lir_add(B, first, at));
		step = lir_for(B, "step", s->steps, LIR_UNROLLED);
		major = lir_add(B, times(c, step, s->lines), line);
		if (column && s->along)
			g->column(c, g->user, lir_add(B, first, major));
		next = s->run > 1 ? lir_for(B, "next", s->run, LIR_UNROLLED) : constant(c, 0);
		number = lir_add(B, times(c, lir_add(B, step, constant(c, turn * s->steps)), s->run), next);
		deep = s->along ? lir_add(B, at, next) : major;
		place = s->along ? major : at;
		next = s->along ? constant(c, 0) : next;
		if (half)
			lir_store(B, l->slice[s->right], (struct lir_expr *[]){half, deep, lir_add(B, place, next)}, lir_load(B, own, &number));
		else
			lir_store(B, own, &number, (s->right ? g->right : g->left)(c, g->user, lir_add(B, first, place), next, lir_add(B, k, deep), deep));
		if (s->run > 1)
			lir_end(B);
		lir_end(B);
		lir_end(B);
	}
}

static struct lir_buffer *own_array(struct op_lower *c, const struct side *s)
{
	int64_t n = s->turns * s->steps * s->run;

	return lir_alloc(B, s->right ? "next_right" : "next_left", DT_F32, 1, &n);
}

/* From memory: both factors' elements of a slice. */
static void fetch(struct op_lower *c, const struct loops *l, struct lir_expr *item, struct lir_expr *number, struct lir_buffer **own)
{
	const struct op_group *g = l->g;

	for (int right = 0; right < 2; right++)
		own[right] = own_array(c, &l->side[right]);
	if (g->slice)
		g->slice(c, g->user, number);
	for (int right = 0; right < 2; right++) {
		const struct side *s = &l->side[right];

		bring(c, l, s, item, own[right], op_let(c, "depth", times(c, number, s->depth)), NULL);
	}
}

static void put(struct op_lower *c, const struct loops *l, struct lir_expr *item, struct lir_buffer *const *own, struct lir_expr *half)
{
	for (int right = 0; right < 2; right++)
		bring(c, l, &l->side[right], item, own[right], NULL, half);
}

/* Element i of a work-item's row or column of sums, within the tile: runs of four, the work-items' runs side by side. */
static struct lir_expr *spread(struct op_lower *c, struct lir_expr *i, struct lir_expr *item, int64_t items)
{
	struct lir_expr *run = times(c, lir_div(B, i, constant(c, RUN)), items * RUN);

	return lir_add(B, lir_add(B, run, times(c, item, RUN)), lir_mod(B, i, constant(c, RUN)));
}

/* Every sum begins, and the first slice comes. */
static void start(struct op_lower *c, const struct loops *l)
{
	const struct op_group *g = l->g;
	struct item t = items(c, l);
	struct lir_expr *i = lir_for(B, "i", g->item_rows, LIR_UNROLLED), *j, *from = lir_imm(B, DT_F32, 0);
	struct lir_buffer *own[2];

	if (g->start) {
		from = g->start(c, g->user, lir_add(B, l->row, spread(c, i, t.row, l->rows)));
		if (g->parts > 1)
			from = lir_select(B, lir_eq(B, t.part, constant(c, 0)), from, lir_imm(B, DT_F32, 0));
		from = op_let(c, "start", from);
	}
	j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
	lir_store(B, l->sum, (struct lir_expr *[]){i, j}, from);
	lir_end(B);
	lir_end(B);
	fetch(c, l, t.number, constant(c, 0), own);
	put(c, l, t.number, own, constant(c, 0));
	lir_end(B);
}

static void add_slice(struct op_lower *c, const struct loops *l, const struct item *t, struct lir_expr *half)
{
	const struct op_group *g = l->g;
	struct lir_expr *i, *j, *k, *deep, *x, *y, *at[2], *one;
	struct lir_buffer *weight;

	k = lir_for(B, "k", g->part_depth, LIR_UNROLLED);
	deep = lir_add(B, times(c, t->part, g->part_depth), k);
	weight = lir_alloc(B, "value", DT_F32, 1, &g->item_cols);
	j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
	one = j;
	lir_store(B, weight, &one, lir_load(B, l->slice[1], (struct lir_expr *[]){half, deep, spread(c, j, t->col, l->cols)}));
	lir_end(B);
	i = lir_for(B, "i", g->item_rows, LIR_UNROLLED);
	x = op_let(c, "weight", lir_load(B, l->slice[0], (struct lir_expr *[]){half, deep, spread(c, i, t->row, l->rows)}));
	j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
	one = j;
	y = lir_load(B, weight, &one);
	at[0] = i;
	at[1] = j;
	lir_store(B, l->sum, at, lir_fma(B, y, x, lir_load(B, l->sum, at)));
	lir_end(B);
	lir_end(B);
	lir_end(B);
}

/* All slices. Behind the last one the same is fetched once more, for nobody: that costs less than to ask each time. */
static void add_slices(struct op_lower *c, const struct loops *l)
{
	const struct op_group *g = l->g;
	struct lir_expr *slice = lir_for(B, "slice", g->slices, LIR_SERIAL), *next;
	struct lir_buffer *own[2];
	struct item t = items(c, l);

	next = op_let(c, "next", lir_min(B, lir_add(B, slice, constant(c, 1)), constant(c, g->slices - 1)));
	fetch(c, l, t.number, next, own);
	add_slice(c, l, &t, op_let(c, "half", lir_mod(B, slice, constant(c, 2))));
	put(c, l, t.number, own, lir_sub(B, constant(c, 1), lir_mod(B, slice, constant(c, 2))));
	lir_end(B);
	lir_end(B);
}

/* The sums of the parts from `half` on are added to those of the parts before. */
static void add_parts(struct op_lower *c, const struct loops *l, int64_t half)
{
	const struct op_group *g = l->g;

	for (int add = 0; add < 2; add++) {
		struct item t = items(c, l);
		struct lir_expr *from = add ? t.part : lir_sub(B, t.part, constant(c, half)), *i, *j, *at[2], *other[4], *x;

		x = add ? lir_lt(B, t.part, constant(c, half)) : lir_ge(B, t.part, constant(c, half));
		if (2 * half < g->parts)
			x = add ? x : lir_and(B, x, lir_lt(B, t.part, constant(c, 2 * half)));
		lir_if(B, x);
		i = lir_for(B, "i", g->item_rows, LIR_UNROLLED);
		j = lir_for(B, "j", g->item_cols, LIR_UNROLLED);
		at[0] = i;
		at[1] = j;
		memcpy(other, (struct lir_expr *[]){from, i, j, lir_mod(B, t.number, constant(c, l->rows * l->cols))}, sizeof other);
		x = add ? lir_add(B, lir_load(B, l->sum, at), lir_load(B, l->other, other)) : lir_load(B, l->sum, at);
		lir_store(B, add ? l->sum : l->other, add ? at : other, x);
		lir_end(B);
		lir_end(B);
		lir_end(B);
		lir_end(B);
	}
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
	struct lir_expr *i, *j, *first, *next, *x, *y;
	struct item t = items(c, l);

	if (g->parts > 1)
		lir_if(B, lir_eq(B, t.part, constant(c, 0)));
	j = lir_for(B, "j", g->item_cols / g->store_run, LIR_UNROLLED);
	first = times(c, j, g->store_run);
	x = lir_add(B, l->col, spread(c, first, t.col, l->cols));
	x = op_let(c, "col", g->store_run > 1 ? lir_div(B, x, constant(c, g->store_run)) : x);
	open_if(c, g->cols % g->tile_cols, x, g->cols / g->store_run);
	if (g->store_column)
		g->store_column(c, g->user, times(c, x, g->store_run));
	i = lir_for(B, "i", g->item_rows, LIR_UNROLLED);
	y = op_let(c, "row", lir_add(B, l->row, spread(c, i, t.row, l->rows)));
	open_if(c, g->rows % g->tile_rows, y, g->rows);
	next = g->store_run > 1 ? lir_for(B, "next", g->store_run, LIR_UNROLLED) : constant(c, 0);
	g->store(c, g->user, y, next, lir_load(B, l->sum, (struct lir_expr *[]){i, lir_add(B, first, next)}));
	if (g->store_run > 1)
		lir_end(B);
	lir_end(B);
	lir_end(B);
	lir_end(B);
	lir_end(B);
	if (g->parts > 1)
		lir_end(B);
	lir_end(B);
}

static struct lir_buffer *two_slices(struct op_lower *c, const struct side *s)
{
	return lir_alloc_in(B, LIR_SHARED, s->right ? "right" : "left", DT_F32, 3, (const int64_t[]){2, s->depth, s->across + (s->along ? SLACK : 0)});
}

void op_group_loops(struct op_lower *c, const struct op_group *g)
{
	struct loops l = {.g = g, .side = {side_of(g, false), side_of(g, true)}, .rows = g->tile_rows / g->item_rows, .cols = g->tile_cols / g->item_cols};
	int64_t rows = up(g->rows, g->tile_rows), cols = up(g->cols, g->tile_cols);
	struct lir_expr *tile, *rest;

	c->b.f->group = g->group;
	tile = lir_for(B, "tile", g->stack * rows * cols, LIR_PARALLEL);
	l.row = op_let(c, "first_row", times(c, lir_mod(B, tile, constant(c, rows)), g->tile_rows)); /* neighbours read the same columns */
	rest = rows > 1 ? op_let(c, "rest", lir_div(B, tile, constant(c, rows))) : tile;
	l.col = op_let(c, "first_col", times(c, lir_mod(B, rest, constant(c, cols)), g->tile_cols));
	g->begin(c, g->user, g->stack > 1 ? op_let(c, "stack", lir_div(B, rest, constant(c, cols))) : constant(c, 0), l.row, l.col);
	l.slice[0] = two_slices(c, &l.side[0]);
	l.slice[1] = two_slices(c, &l.side[1]);
	if (g->parts > 1)
		l.other = lir_alloc_in(B, LIR_SHARED, "other", DT_F32, 4, (const int64_t[]){g->parts / 2, g->item_rows, g->item_cols, l.rows * l.cols});
	l.sum = lir_alloc_in(B, LIR_PRIVATE, "sum", DT_F32, 2, (const int64_t[]){g->item_rows, g->item_cols});
	start(c, &l);
	add_slices(c, &l);
	for (int64_t half = g->parts / 2; half > 0; half /= 2)
		add_parts(c, &l, half);
	finish(c, &l);
	lir_end(B);
}
