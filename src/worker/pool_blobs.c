/* pool_blobs.c: blobs on their way to a runner - each once per life, and not at all when the device still has it on disk
 *
 * The blobs of a job that are large enough are asked about in one message before they are sent. Meanwhile they wait in the queue,
 * and what was queued later behind them; the answer takes out those that the worker has. Both sides go on reading all the time.
 */
#include "worker/pool.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

#define MAX_QUESTION 100000 /* far from the longest message */

static struct question *question(struct peer *p, uint64_t number)
{
	return &p->question[number % PEER_DEPTH];
}

/* Jobs under way are fewer than PEER_DEPTH when the next is put together, and none ends before its question is answered. */
static bool may_ask(struct peer *p)
{
	return p->keeps_blobs && p->asked - p->answered < PEER_DEPTH && question(p, p->asked + 1)->n < MAX_QUESTION;
}

/* To the question that is being put together. */
static size_t add_to_question(struct peer *p, struct hash h, uint64_t size)
{
	struct question *q = question(p, p->asked + 1);

	if (!q->n) {
		q->place = p->nout;
		peer_enqueue(p, &(struct out_item){0});
	}
	if (q->n == q->cap) {
		q->cap = q->cap ? q->cap * 2 : 64;
		q->blob = must(realloc(q->blob, q->cap * sizeof *q->blob));
	}
	q->blob[q->n] = (struct blob_name){h, size};
	return q->n++;
}

void peer_blob(struct peer *p, struct hash h, const void *data, size_t n, uint64_t seq)
{
	struct sent *s = map_get_hash(p->sent, h);
	struct out_item item = {0};
	Wire__Blob m = WIRE__BLOB__INIT;
	struct wire_hash wh;

	if (s) {
		s->used = s->used > seq ? s->used : seq;
		return;
	}
	s = ARENA_NEW(p->arena, struct sent);
	*s = (struct sent){.hash = h, .size = n, .used = seq};
	map_put_hash(p->sent, h, s);
	p->nsent += n;
	if (n >= WIRE_ASK_SIZE && may_ask(p)) {
		item.blob = add_to_question(p, h, n);
		item.ask = p->asked + 1;
	}
	m.hash = wire_hash_put(&wh, h);
	m.size = n;
	wire_pack(WIRE_BLOB, &m, &item.own, &item.n, NULL);
	item.p = item.own;
	peer_enqueue(p, &item);
	for (size_t at = 0; at < n;) {
		uint32_t len = n - at < WIRE_CHUNK ? (uint32_t)(n - at) : WIRE_CHUNK;

		item.p = item.own = must(malloc(WIRE_HEAD));
		item.n = WIRE_HEAD;
		wire_data_put(item.own, len);
		peer_enqueue(p, &item);
		item.own = NULL;
		item.p = (const uint8_t *)data + at;
		item.n = len;
		peer_enqueue(p, &item);
		at += len;
	}
}

void peer_ask(struct peer *p)
{
	struct question *q = question(p, p->asked + 1);
	Wire__Have m = WIRE__HAVE__INIT;
	struct out_item *item;
	struct wire_hash *wh;

	if (p->asked - p->answered >= PEER_DEPTH || !q->n)
		return;
	item = &p->out[q->place];
	wh = must(calloc(q->n, sizeof *wh));
	m.id = ++p->asked;
	m.n_hash = m.n_size = q->n;
	m.hash = must(calloc(q->n, sizeof *m.hash));
	m.size = must(calloc(q->n, sizeof *m.size));
	for (size_t i = 0; i < q->n; i++) {
		m.hash[i] = wire_hash_put(&wh[i], q->blob[i].hash);
		m.size[i] = q->blob[i].size;
	}
	wire_pack(WIRE_HAVE, &m, &item->own, &item->n, NULL);
	item->p = item->own;
	free(m.size);
	free(m.hash);
	free(wh);
}

bool peer_held(struct peer *p, const Wire__Held *m, struct err *e)
{
	struct question *q = question(p, p->answered + 1);
	struct pool_stats *st = &p->dev->pool->stats;
	size_t n = 0;

	if (p->answered == p->asked || m->id != p->answered + 1 || m->held.len != q->n)
		return err_set(e, ERR_PARSE, "an answer to a question that was not asked");
	for (size_t i = 0; i < q->n; i++) {
		bool held = m->held.data[i];

		*(held ? &st->blobs_held : &st->blobs_sent) += 1;
		*(held ? &st->blob_bytes_held : &st->blob_bytes_sent) += q->blob[i].size;
	}
	for (size_t i = 0; i < p->nout; i++) {
		struct out_item *item = &p->out[i];

		if (item->ask == m->id && m->held.data[item->blob]) {
			free(item->own);
			continue;
		}
		if (item->ask == m->id)
			item->ask = 0;
		p->out[n++] = *item;
	}
	p->nout = n;
	p->answered++;
	q->n = 0;
	return true;
}

void peer_forget_questions(struct peer *p)
{
	for (int i = 0; i < PEER_DEPTH; i++) {
		free(p->question[i].blob);
		p->question[i] = (struct question){0};
	}
	p->asked = p->answered = 0;
}

void peer_gave_back(struct peer *p)
{
	p->sent = map_new(p->arena);
	p->nsent = 0;
	p->many = PEER_MANY;
	p->base = NULL;
}

static int longer_unused(const void *a, const void *b)
{
	const struct sent *x = *(struct sent *const *)a, *y = *(struct sent *const *)b;

	return (x->used > y->used) - (x->used < y->used);
}

bool peer_is_full(const struct peer *p)
{
	return p->nsent > PEER_BLOBS || map_count(p->sent) > p->many;
}

void peer_trim(struct peer *p, uint64_t oldest)
{
	size_t n = 0, count = map_count(p->sent);
	Wire__Drop m = WIRE__DROP__INIT;
	struct wire_hash *wh;
	struct sent **all;
	void *v;

	if (!peer_is_full(p))
		return;
	p->base = NULL;
	all = must(calloc(count, sizeof *all));
	wh = must(calloc(count, sizeof *wh));
	m.hash = must(calloc(count, sizeof *m.hash));
	for (size_t it = 0; map_next(p->sent, &it, NULL, &v);)
		if (((struct sent *)v)->used < oldest)
			all[n++] = v;
	qsort(all, n, sizeof *all, longer_unused);
	for (size_t i = 0; i < n && (p->nsent > PEER_BLOBS / 2 || n - i > PEER_SPARE); i++) {
		p->nsent -= all[i]->size;
		m.hash[m.n_hash] = wire_hash_put(&wh[m.n_hash], all[i]->hash);
		m.n_hash++;
		map_del_hash(p->sent, all[i]->hash);
	}
	p->many = map_count(p->sent) + PEER_MANY;
	if (m.n_hash)
		peer_send(p, WIRE_DROP, &m, NULL);
	free(m.hash);
	free(wh);
	free(all);
}
