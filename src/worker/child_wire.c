/* child_wire.c: the worker's end of the wire */
#include "worker/child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define MAX_HELD ((size_t)64 << 10)

static bool write_all(struct worker *w, const uint8_t *at, size_t n, struct err *e)
{
	while (n) {
		ssize_t k = write(w->out, at, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_set(e, ERR_IO, "writing to the pool: %s", strerror(errno));
		at += k;
		n -= (size_t)k;
	}
	return true;
}

bool worker_flush(struct worker *w, struct err *e)
{
	bool ok = write_all(w, (const uint8_t *)w->held.s, w->held.n, e);

	w->hold = false;
	str_clear(&w->held);
	return ok;
}

bool worker_write(struct worker *w, const void *p, size_t n, struct err *e)
{
	bool fits = w->held.n + n <= MAX_HELD;

	if (w->hold && fits) {
		str_addn(&w->held, p, n);
		return true;
	}
	return (!w->held.n || worker_flush(w, e)) && write_all(w, p, n, e);
}

bool worker_send(struct worker *w, enum wire_type type, const void *message, struct err *e)
{
	uint8_t *p;
	size_t n;
	bool ok;

	if (!wire_pack(type, message, &p, &n, e))
		return false;
	ok = worker_write(w, p, n, e);
	free(p);
	return ok;
}

bool worker_data(struct worker *w, const void *p, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		uint32_t len = n - at < WIRE_CHUNK ? (uint32_t)(n - at) : WIRE_CHUNK;
		uint8_t head[WIRE_HEAD];

		wire_data_put(head, len);
		if (!worker_write(w, head, sizeof head, e) || !worker_write(w, (const uint8_t *)p + at, len, e))
			return false;
		at += len;
	}
	return true;
}

bool worker_read(struct worker *w, void *p, size_t n, bool may_end, struct err *e)
{
	uint8_t *at = p;
	size_t got = 0;

	while (got < n) {
		ssize_t k = read(w->in, at + got, n - got);

		if (k < 0 && errno == EINTR)
			continue;
		if (!k && !got && may_end)
			return false;
		if (k <= 0)
			return err_set(e, ERR_IO, k ? "reading from the pool: %s" : "the pool's message ends early",
				       strerror(errno));
		got += (size_t)k;
	}
	return true;
}

bool worker_message(struct worker *w, enum wire_type *type, void **message, struct err *e)
{
	uint8_t raw[WIRE_HEAD], *p;
	struct wire_head h;
	bool ok;

	if (!worker_read(w, raw, sizeof raw, true, e) || !wire_head_parse(raw, &h, e))
		return false;
	if (!(p = malloc(h.len ? h.len : 1)))
		return err_set(e, ERR_IO, "out of memory");
	*type = h.type;
	ok = worker_read(w, p, h.len, false, e) && wire_intact(&h, p, e) && wire_unpack(h.type, p, h.len, message, e);
	free(p);
	return ok;
}
