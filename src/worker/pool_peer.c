/* pool_peer.c: what comes from a worker process: messages, words for people, and its end */
#include "worker/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

#define READ_SIZE ((size_t)256 << 10)
#define MAX_ROUNDS 16 /* reads at a time from one worker */

/* What the worker command printed before the worker spoke: kept for people, up to a limit. */
static void find_magic(struct peer *p)
{
	uint8_t *at = p->nin >= WIRE_MAGIC_SIZE ? memmem(p->in, p->nin, WIRE_MAGIC, WIRE_MAGIC_SIZE) : NULL;
	size_t junk = at ? (size_t)(at - p->in) : p->nin >= WIRE_MAGIC_SIZE ? p->nin - (WIRE_MAGIC_SIZE - 1) : 0;
	size_t keep = p->printed.n < PEER_TAIL ? PEER_TAIL - p->printed.n : 0;

	str_addn(&p->printed, (const char *)p->in, junk < keep ? junk : keep);
	p->magic = at != NULL;
	if (at)
		junk += WIRE_MAGIC_SIZE;
	p->nin -= junk;
	memmove(p->in, p->in + junk, p->nin);
}

static bool take_frames(struct peer *p, struct err *e)
{
	size_t at = 0;
	bool ok = true;

	while (ok && p->nin - at >= WIRE_HEAD) {
		struct wire_head h;

		if (!wire_head_parse(p->in + at, &h, e))
			return false;
		if (p->nin - at - WIRE_HEAD < h.len)
			break;
		if (!wire_intact(&h, p->in + at + WIRE_HEAD, e))
			return false;
		ok = h.type == WIRE_DATA ? peer_data(p, p->in + at + WIRE_HEAD, h.len, e)
					 : peer_message(p, h.type, p->in + at + WIRE_HEAD, h.len, e);
		at += WIRE_HEAD + h.len;
		p->moved++;
	}
	if (!ok)
		return false;
	p->nin -= at;
	memmove(p->in, p->in + at, p->nin);
	return true;
}

/* False: end of the wire, or nonsense on it (e set). */
static bool take(struct peer *p, struct err *e)
{
	for (int round = 0; round < MAX_ROUNDS; round++) {
		ssize_t k;

		if (p->capin - p->nin < READ_SIZE) {
			p->capin = p->capin * 2 < p->nin + READ_SIZE ? p->nin + READ_SIZE : p->capin * 2;
			p->in = must(realloc(p->in, p->capin));
		}
		k = read(p->from, p->in + p->nin, p->capin - p->nin);
		if (k < 0)
			return errno == EAGAIN || errno == EINTR;
		if (!k)
			return false;
		p->nin += (size_t)k;
		if (!p->magic)
			find_magic(p);
		if (p->magic && !take_frames(p, e))
			return false;
	}
	return true;
}

/* Keeps the end of what the worker says. It may say more than can be read: others have their turn. */
static void take_stderr(struct peer *p)
{
	char b[4096];
	ssize_t k;

	for (int round = 0; p->err >= 0; round++) {
		if (round == MAX_ROUNDS)
			return;
		k = read(p->err, b, sizeof b);
		if (!k)
			break;
		if (k < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		size_t n = (size_t)k, spare = PEER_TAIL - p->ntail;

		if (n > spare) {
			memmove(p->tail, p->tail + (n - spare), PEER_TAIL - (n - spare));
			p->ntail = PEER_TAIL - n;
		}
		memcpy(p->tail + p->ntail, b, n);
		p->ntail += n;
	}
	close(p->err);
	p->err = -1;
}

void peer_said(struct peer *p, struct str *out)
{
	take_stderr(p);
	if (!p->magic && p->nin && p->printed.n < PEER_TAIL)
		str_addn(&p->printed, (const char *)p->in, p->nin);
	if (!p->magic && p->printed.n)
		str_addf(out, "; it printed: %.*s", (int)p->printed.n, p->printed.s);
	if (p->ntail)
		str_addf(out, "; on standard error: %.*s", (int)p->ntail, p->tail);
	if (out->n)
		text_clean(out->s);
	while (out->n && (out->s[out->n - 1] == '\n' || out->s[out->n - 1] == '\r' || out->s[out->n - 1] == ' '))
		out->s[--out->n] = 0;
}

/* The word of the command that is to be run on the other side. */
static const char *worker_word(const struct peer *p)
{
	size_t n;
	const char *const *words = peer_command(p, &n);

	for (size_t i = 0; i < n; i++)
		if (strstr(words[i], "mutatenn-worker"))
			return words[i];
	return words[n - 1];
}

static bool is_ssh(const struct peer *p)
{
	size_t n;
	const char *program = peer_command(p, &n)[0], *slash = strrchr(program, '/');

	return !strcmp(slash ? slash + 1 : program, "ssh");
}

static void ended_early(const struct peer *p, int status, struct str *out)
{
	size_t n;

	if (status == 127)
		str_addf(out, "'%s' is not installed on the other side (exit status 127)", worker_word(p));
	else if (status == 126)
		str_addf(out, "'%s' cannot be executed on the other side (exit status 126)", worker_word(p));
	else if (status == 255 && is_ssh(p))
		str_addf(out, "no connection: 'ssh' ended with status 255");
	else
		str_addf(out, "the worker ended with status %d before it said anything a worker says (command '%s')", status,
			 peer_command(p, &n)[0]);
}

/* What is known about a worker that died: how it ended, what it printed. Appends. */
static void obituary(struct peer *p, int status, bool lingers, struct str *out)
{
	if (lingers)
		str_add(out, "the worker closed its connection and did not end");
	else if (WIFSIGNALED(status))
		str_addf(out, "the worker was killed by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
			 p->state == PEER_STARTING && !p->dev->custom ? " while it opened its device" : "");
	else if (!p->magic)
		ended_early(p, WEXITSTATUS(status), out);
	else if (WEXITSTATUS(status) == 255 && is_ssh(p))
		str_add(out, "the connection was lost ('ssh' ended with status 255)");
	else
		str_addf(out, "the worker ended with status %d", WEXITSTATUS(status));
	peer_said(p, out);
}

/* The process of a closed wire ends at once or is ended; a connection's end brings the exit status a little later. */
static int last_status(struct peer *p, bool *lingers)
{
	siginfo_t si = {0};
	int status = 0;

	*lingers = false;
	if (p->pid <= 0)
		return 0;
	for (int i = 0; i < (p->dev->custom ? 500 : 50) && !si.si_pid; i++) {
		if (waitid(P_PID, (id_t)p->pid, &si, WEXITED | WNOHANG | WNOWAIT))
			break;
		if (!si.si_pid)
			usleep(2000);
	}
	*lingers = !si.si_pid;
	if (!peer_kill(p, &status))
		status = PEER_STUCK;
	peer_reaped(p);
	return status;
}

void peer_polled(struct peer *p, short to, short from, short err)
{
	struct err e = {0};
	struct str text = {0};
	int status = PEER_NONSENSE;
	bool ok = true, lingers;

	if (err)
		take_stderr(p);
	if (from)
		ok = take(p, &e);
	if (ok && to && !peer_flush(p)) {
		take(p, &e); /* it is gone; what it said last counts */
		ok = false;
	}
	if (ok)
		return;
	if (e.code == ERR_DEVICE) { /* it says itself that it cannot work */
		pool_dev_failed(p->dev, err_text(&e));
		err_free(&e);
		return;
	}
	if (*err_text(&e)) {
		str_addf(&text, "%s%s", e.code == ERR_IO ? "" : "the worker talks nonsense: ", err_text(&e));
	} else {
		status = last_status(p, &lingers);
		if (status == PEER_STUCK)
			str_add(&text, "a worker process was killed and does not end");
		else
			obituary(p, status, lingers, &text);
	}
	err_free(&e);
	pool_peer_died(p, status, str_text(&text));
	str_free(&text);
}
