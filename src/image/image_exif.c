/* image_exif.c: the orientation tag of an EXIF block, and turning pictures by it */
#include <string.h>

#include "base/arena.h"
#include "image/image_internal.h"

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3
#define TYPE_LONG 4

struct tiff {
	const uint8_t *p;
	size_t n;
	bool big;
};

/* 0 beyond the end: no offset or count of 0 is ever followed. */
static uint32_t get16(const struct tiff *t, size_t at)
{
	if (t->n < 2 || at > t->n - 2)
		return 0;
	return t->big ? (uint32_t)t->p[at] << 8 | t->p[at + 1] : (uint32_t)t->p[at + 1] << 8 | t->p[at];
}

static uint32_t get32(const struct tiff *t, size_t at)
{
	uint32_t first = get16(t, at), second = get16(t, at + 2);

	return t->big ? first << 16 | second : second << 16 | first;
}

int exif_orientation(const uint8_t *p, size_t n)
{
	struct tiff t = {p, n, false};
	uint32_t ifd, entries;

	if (t.n >= 6 && !memcmp(t.p, "Exif\0\0", 6)) {
		t.p += 6;
		t.n -= 6;
	}
	if (t.n < 8 || (memcmp(t.p, "II*\0", 4) && memcmp(t.p, "MM\0*", 4)))
		return 1;
	t.big = t.p[0] == 'M';
	ifd = get32(&t, 4);
	entries = get16(&t, ifd);
	for (uint32_t i = 0; i < entries; i++) {
		size_t at = (size_t)ifd + 2 + (size_t)i * 12;
		uint32_t type, v;

		if (t.n < 12 || at > t.n - 12)
			break;
		if (get16(&t, at) != TAG_ORIENTATION)
			continue;
		type = get16(&t, at + 2);
		v = type == TYPE_SHORT ? get16(&t, at + 8) : type == TYPE_LONG ? get32(&t, at + 8) : 0;
		return v >= 1 && v <= 8 && get32(&t, at + 4) == 1 ? (int)v : 1;
	}
	return 1;
}

struct image *image_orient(struct arena *a, struct image *im, int o)
{
	bool swap = o >= 5;                                 /* rows become columns */
	bool flip_x = o == 2 || o == 3 || o == 7 || o == 8; /* of the stored picture */
	bool flip_y = o == 3 || o == 4 || o == 6 || o == 7;
	struct image *r;
	size_t c = (size_t)im->channels;

	if (o < 2 || o > 8)
		return im;
	r = image_new(a, swap ? im->h : im->w, swap ? im->w : im->h, im->channels);
	for (int y = 0; y < r->h; y++) {
		uint8_t *to = r->data + (size_t)y * (size_t)r->w * c;

		for (int x = 0; x < r->w; x++, to += c) {
			int sx = swap ? y : x, sy = swap ? x : y;

			sx = flip_x ? im->w - 1 - sx : sx;
			sy = flip_y ? im->h - 1 - sy : sy;
			memcpy(to, im->data + ((size_t)sy * (size_t)im->w + (size_t)sx) * c, c);
		}
	}
	return r;
}
