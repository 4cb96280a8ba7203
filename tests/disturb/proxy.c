/* proxy.c: stands between a pool and a worker, and disturbs the n-th message of a campaign
 *
 *     PROXY_WORKER=program      the worker
 *     PROXY_COUNT=file          eight bytes: messages so far, of all workers and both directions
 *     PROXY_AT=n PROXY_KIND=... what becomes of message n: `kill` the worker is killed instead, `after` behind it, `truncate` half of it
 *                               comes through, then nothing; `flip` one bit of it is another; `duplicate` it comes twice
 *     PROXY_KIND=short          all bytes trickle; `delay`: every message is late by up to three milliseconds
 *     PROXY_KIND=trickle        the n-th long message of a worker comes byte by byte, fifty in a second
 *     PROXY_SEED=n
 *     PROXY_PRELOAD=library     for the worker
 *
 * One process per direction, so that neither waits for the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEAD 8
static const char magic[HEAD] = "\x93mutaNN\n";

static _Atomic uint64_t *count;
static uint64_t at;
static const char *kind = "";
static unsigned seed = 1;
static pid_t worker;

static bool is(const char *k)
{
	return !strcmp(kind, k);
}

static bool get(int fd, uint8_t *p, size_t n)
{
	while (n) {
		size_t most = is("short") ? 1 + (size_t)rand_r(&seed) % 13 : n;
		ssize_t k = read(fd, p, most < n ? most : n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

static bool put(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		size_t most = is("short") ? 1 + (size_t)rand_r(&seed) % 13 : n;
		ssize_t k = write(fd, p, most < n ? most : n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* As if the worker had been killed: the pool sees this process end so. */
static void end_it(void)
{
	kill(worker, SIGKILL);
	kill(0, SIGKILL); /* the pool gave this process a group of its own */
	_exit(1);
}

static bool forward(int to, uint8_t *frame, size_t n)
{
	uint64_t number = is("trickle") && (to != 1 || n < 1000) ? 0 : atomic_fetch_add(count, 1) + 1;

	if (is("delay"))
		usleep((useconds_t)rand_r(&seed) % 3000);
	if (number != at)
		return put(to, frame, n);
	if (is("kill"))
		end_it();
	if (is("trickle"))
		for (size_t i = 0; i + 1 < n; i++, usleep(20000))
			if (!put(to, frame + i, 1))
				return false;
	if (is("flip")) {
		size_t bit = (size_t)rand_r(&seed) % (n * 8);

		frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	if (is("truncate")) {
		put(to, frame, n / 2);
		close(to);
		end_it();
	}
	if (!put(to, frame, n) || (is("duplicate") && !put(to, frame, n)))
		return false;
	if (is("after"))
		end_it();
	return true;
}

static uint32_t length(const uint8_t *head)
{
	return (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
}

static void relay(int from, int to, bool greeting)
{
	uint8_t *frame = malloc(HEAD);
	size_t room = HEAD;

	if (!frame)
		abort();
	if (greeting && (!get(from, frame, HEAD) || memcmp(frame, magic, HEAD) || !put(to, frame, HEAD)))
		return;
	for (;;) {
		size_t n;

		if (!get(from, frame, HEAD))
			break;
		n = HEAD + length(frame);
		if (n > room && !(frame = realloc(frame, room = n)))
			abort();
		if (!get(from, frame + HEAD, n - HEAD) || !forward(to, frame, n))
			break;
	}
	free(frame);
}

static const char *setting(const char *name, const char *none)
{
	const char *v = getenv(name);

	return v ? v : none;
}

static void start_worker(int in, int out)
{
	const char *preload = getenv("PROXY_PRELOAD"), *program = setting("PROXY_WORKER", "mutatenn-worker");

	dup2(in, 0);
	dup2(out, 1);
	if (preload)
		setenv("LD_PRELOAD", preload, 1);
	execl(program, program, (char *)NULL);
	_exit(127);
}

int main(void)
{
	int fd = open(setting("PROXY_COUNT", "/dev/null"), O_RDWR), to[2], from[2], status = 0;

	count = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (count == MAP_FAILED || pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return 3;
	at = strtoull(setting("PROXY_AT", "0"), NULL, 10);
	kind = setting("PROXY_KIND", "");
	seed = (unsigned)strtoul(setting("PROXY_SEED", "1"), NULL, 10);
	signal(SIGPIPE, SIG_IGN);
	worker = fork();
	if (!worker) {
		signal(SIGPIPE, SIG_DFL);
		start_worker(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	if (!fork()) {
		close(from[0]);
		close(1);
		relay(0, to[1], false);
		_exit(0);
	}
	close(to[1]);
	close(0);
	relay(from[0], 1, true);
	close(1);
	waitpid(worker, &status, 0);
	if (WIFSIGNALED(status)) {
		signal(WTERMSIG(status), SIG_DFL);
		kill(getpid(), WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}
