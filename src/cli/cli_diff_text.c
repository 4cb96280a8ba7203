/* cli_diff_text.c: a comparison as a table with a bar per tensor, on 80 columns */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "cli/cli_diff.h"

#define NAME 22
#define BAR 12

/* Text of at most n columns, the end kept. */
static const char *shortened(struct arena *a, const char *text, int n)
{
	size_t len = strlen(text);

	return len <= (size_t)n ? text : arena_printf(a, "~%s", text + len - (size_t)n + 1);
}

int cli_diff_bar(double relative, int n)
{
	double at;

	if (!(relative > 0))
		return 0;
	at = (log10(fmin(relative, 1)) + 8) / 8 * n;
	return at < 1 ? 1 : (int)at;
}

/* Seven columns at most. */
static const char *number(struct arena *a, double x)
{
	if (x == 0)
		return "0";
	if (!isfinite(x))
		return "inf";
	return arena_printf(a, x >= 0.001 && x < 10000 ? "%.4g" : "%.1e", x);
}

static const char *side_text(struct arena *a, const struct cli_diff *d, int s)
{
	return d->mutant[s] ? arena_printf(a, "%s: %s", d->device[s], d->mutant[s]) : arena_printf(a, "%s: the original", d->device[s]);
}

static void print_head(struct arena *a, const struct cli_diff *d)
{
	for (int s = 0; s < 2; s++) {
		const struct store_answer *x = &d->diff->answer[s];
		const char *name = camp_class_name(d->model, x->label[0]);

		printf("%c  %s\n   answers %d%s%s%s with %s\n", "AB"[s], side_text(a, d, s), x->label[0], name ? " (" : "", name ? name : "", name ? ")" : "",
		       isfinite(x->probability[0]) ? arena_printf(a, "%.2f %%", (double)x->probability[0] * 100) : "NaN");
		if (d->diff->overrun[s])
			printf("   %s\n", d->diff->overrun[s]);
	}
	printf("on %s\n\n", d->input);
}

static void print_row(struct arena *a, const struct cli_diff *d, const struct camp_diff_row *r)
{
	static const char mark[] = {[DIFF_EQUAL] = '=', [DIFF_WITHIN] = ' ', [DIFF_BAD] = '!', [DIFF_SHAPE] = '?', [DIFF_ONLY_A] = 'A', [DIFF_ONLY_B] = 'B'};
	double relative = d->alone && r->has_alone ? r->alone_relative : r->relative;
	int64_t special = r->d.nan_b + r->d.inf_b - r->d.nan_a - r->d.inf_a;
	char bar[BAR + 1] = "";

	printf("%c%c%-*s", mark[r->state], r->mutated ? '*' : ' ', NAME, shortened(a, r->tensor, NAME));
	if (r->state == DIFF_SHAPE) {
		printf(" %s against %s\n", dims_text(a, r->a->dim, r->a->nd), dims_text(a, r->b->dim, r->b->nd));
		return;
	}
	if (r->state > DIFF_SHAPE) {
		printf(" only %c has it\n", r->state == DIFF_ONLY_A ? 'A' : 'B');
		return;
	}
	memset(bar, '#', (size_t)cli_diff_bar(relative, d->alone ? BAR / 2 : BAR));
	if (r->d.n && r->d.nan_b + r->d.inf_b >= r->d.n) /* nothing is left to be measured */
		printf(" %8s %7s %7s %8s %5lld", "-", "-", "-", "-", (long long)special);
	else
		printf(" %8s %7s %7s %8s %5lld", number(a, r->d.max_abs), number(a, r->d.max_rel), number(a, r->d.nmse), number(a, r->d.max_ulp), (long long)special);
	if (d->alone)
		printf(" %8s", r->has_alone ? number(a, r->alone_relative) : "-");
	printf("%s%s\n", *bar ? " " : "", bar);
}

static void print_table(struct arena *a, const struct cli_diff *d)
{
	size_t equal = 0, only[2] = {0, 0};

	printf("  %-*s %8s %7s %7s %8s %5s", NAME, "tensor", "max abs", "max rel", "nmse", "ulp", "nan");
	if (d->alone)
		printf(" %8s\n", "alone");
	else
		printf(" 1e-8 1e-4  1\n");
	for (size_t i = 0; i <= d->diff->n; i++) {
		const struct camp_diff_row *r = &d->diff->row[i];

		if (i < d->diff->n && !d->all && (r->state == DIFF_EQUAL || r->state > DIFF_SHAPE)) {
			equal += r->state == DIFF_EQUAL;
			only[0] += r->state == DIFF_ONLY_A;
			only[1] += r->state == DIFF_ONLY_B;
			continue;
		}
		if (equal)
			printf("= (%zu equal)\n", equal);
		equal = 0;
		if (i < d->diff->n)
			print_row(a, d, r);
	}
	if (only[0] + only[1])
		printf("only A has %zu more, only B %zu (fused, folded or stored otherwise): see --all\n", only[0], only[1]);
}

static void print_first(const char *what, const struct camp_diff_row *r)
{
	if (r)
		printf("%s '%s': kernel '%s' (%s)\n", what, r->tensor, r->kernel, r->op);
}

void cli_diff_print(struct arena *a, const struct cli_diff *d)
{
	const struct camp_diff *x = d->diff;
	bool other = false;

	print_head(a, d);
	print_table(a, d);
	for (size_t i = 0; i < x->n; i++)
		other |= x->row[i].state >= DIFF_SHAPE;
	printf("\n");
	if (!x->first_different)
		printf(other ? "what both have is equal bit for bit\n" : "every tensor is equal bit for bit\n");
	print_first("first tensor that differs:", x->first_different);
	if (x->first_different && !x->first_bad)
		printf("none differs by more than the tolerance (%g of its largest value)\n", x->tolerance);
	else if (x->first_bad)
		print_first("first bad layer:          ", x->first_bad);
	if (d->alone && x->first_alone)
		print_first("first that adds an error: ", x->first_alone);
	else if (d->alone && x->first_different)
		printf("no kernel of B, run alone on A's tensors, adds more than the tolerance\n");
	if (x->first_bad)
		printf("'!': max abs is more than %g of A's largest value, or a NaN or Inf differs\n", x->tolerance);
}
