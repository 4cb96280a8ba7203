/* pool_send.c: what is to be written to a worker */
#include "worker/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define MAX_IOV 16

void peer_enqueue(struct peer *p, const struct out_item *item)
{
	if (p->nout == p->capout) {
		p->capout = p->capout ? p->capout * 2 : 64;
		p->out = must(realloc(p->out, p->capout * sizeof *p->out));
	}
	p->out[p->nout++] = *item;
	p->queued++;
}

bool peer_send(struct peer *p, enum wire_type type, const void *message, struct err *e)
{
	uint8_t *b;
	size_t n;

	if (!wire_pack(type, message, &b, &n, e))
		return false;
	peer_enqueue(p, &(struct out_item){.own = b, .p = b, .n = n});
	return true;
}

/* What a question is open about waits, and all behind it. */
bool peer_waits_to_write(const struct peer *p)
{
	return p->nout && !p->out[0].ask;
}

bool peer_flush(struct peer *p)
{
	while (peer_waits_to_write(p)) {
		struct iovec v[MAX_IOV];
		int n = 0;
		ssize_t k;
		size_t done = 0;

		for (; n < MAX_IOV && (size_t)n < p->nout && !p->out[n].ask; n++)
			v[n] = (struct iovec){(void *)(p->out[n].p + (n ? 0 : p->outoff)), p->out[n].n - (n ? 0 : p->outoff)};
		k = writev(p->to, v, n);
		if (k < 0)
			return errno == EAGAIN || errno == EINTR;
		p->outoff += (size_t)k;
		while (done < p->nout && p->outoff >= p->out[done].n) {
			p->outoff -= p->out[done].n;
			free(p->out[done++].own);
		}
		p->nout -= done;
		p->moved += done;
		memmove(p->out, p->out + done, p->nout * sizeof *p->out);
	}
	return true;
}
