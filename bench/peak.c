/* peak.c: what one and several threads can do at most - multiply-adds on registers, nothing else
 *
 * usage: peak [THREADS]...      (default: 1 2); prints one JSON object: {"lanes": 16, "gflops": {"1": 160.1, "2": 318.9}}
 *
 * A multiply-add counts as two operations. The best of many short windows counts, so that a busy machine costs little.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined __AVX512F__
#define LANES 16
#elif defined __AVX__
#define LANES 8
#else
#define LANES 4
#endif
#if defined __AVX512F__ || defined __aarch64__
#define CHAINS 24 /* 32 registers: enough for four units of latency six */
#else
#define CHAINS 12
#endif
#define STEPS 300000
#define WINDOWS 500
#define MAX_THREADS 256

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));

struct team {
	pthread_barrier_t barrier;
	int windows;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The chains stay in registers; the factor keeps every value normal. */
static float work(float seed)
{
	vec sum[CHAINS], a, b;
	float total = 0;

	for (int l = 0; l < LANES; l++) {
		a[l] = 0.5f;
		b[l] = seed;
	}
	for (int c = 0; c < CHAINS; c++)
		sum[c] = b;
	for (int s = 0; s < STEPS; s++) {
#pragma GCC unroll 24
		for (int c = 0; c < CHAINS; c++)
			sum[c] = sum[c] * a + b;
	}
	for (int c = 0; c < CHAINS; c++)
		for (int l = 0; l < LANES; l++)
			total += sum[c][l];
	return total;
}

static void *member(void *arg)
{
	struct team *t = arg;
	volatile float sink = 0;

	for (int w = 0; w < t->windows; w++) {
		pthread_barrier_wait(&t->barrier);
		sink = sink + work(1.0f + (float)w);
		pthread_barrier_wait(&t->barrier);
	}
	return NULL;
}

static double peak(int threads)
{
	const double flops = 2.0 * LANES * CHAINS * STEPS * threads;
	struct team team = {.windows = WINDOWS};
	volatile float sink = 0;
	pthread_t id[MAX_THREADS];
	double best = 0;

	pthread_barrier_init(&team.barrier, NULL, (unsigned)threads);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&id[i], NULL, member, &team)) {
			fprintf(stderr, "peak: cannot start %d threads\n", threads);
			exit(1);
		}
	for (int w = 0; w < WINDOWS; w++) {
		double start, rate;

		pthread_barrier_wait(&team.barrier);
		start = now();
		sink = sink + work(1.0f + (float)w);
		pthread_barrier_wait(&team.barrier);
		rate = flops / (now() - start);
		if (rate > best)
			best = rate;
	}
	for (int i = 1; i < threads; i++)
		pthread_join(id[i], NULL);
	pthread_barrier_destroy(&team.barrier);
	return best * 1e-9;
}

int main(int argc, char **argv)
{
	static char *both[] = {"", "1", "2", NULL};

	if (argc < 2)
		argv = both;
	printf("{\"lanes\": %d, \"gflops\": {", LANES);
	for (int i = 1; argv[i]; i++) {
		int threads = atoi(argv[i]);

		if (threads < 1 || threads > MAX_THREADS) {
			fprintf(stderr, "peak: '%s' is no number of threads from 1 to %d\n", argv[i], MAX_THREADS);
			return 2;
		}
		printf("%s\"%d\": %.1f", i > 1 ? ", " : "", threads, peak(threads));
	}
	printf("}}\n");
	return 0;
}
