/* image_jpeg.c: JPEG by libturbojpeg, with the accurate DCT and the fancy upsampling that Pillow uses too */
#include <string.h>
#include <turbojpeg.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image_internal.h"

/* No real JPEG packs more pixels into a byte (a flat Huffman-coded one stays under 600). */
#define MAX_PIXELS_PER_BYTE 2048

static bool matches(const uint8_t *p, size_t n)
{
	return n >= 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff;
}

/* Walks the markers up to the first scan. Returns where its data begin, 0 when there is none; notes the EXIF orientation. */
static size_t find_scan(const uint8_t *p, size_t n, int *orientation)
{
	bool exif_seen = false;

	for (size_t i = 2; i + 4 <= n;) {
		size_t len;

		if (p[i] != 0xff || p[i + 1] == 0xff || p[i + 1] == 0) {
			i++; /* fill bytes, or garbage that the decoder will judge */
			continue;
		}
		if (p[i + 1] == 0x01 || (p[i + 1] >= 0xd0 && p[i + 1] <= 0xd9)) {
			i += 2;
			continue;
		}
		len = (size_t)p[i + 2] << 8 | p[i + 3];
		if (len < 2 || len > n - i - 2)
			return 0;
		if (p[i + 1] == 0xda)
			return i + 2 + len;
		if (p[i + 1] == 0xe1 && !exif_seen && len >= 8 && !memcmp(p + i + 4, "Exif\0\0", 6)) {
			*orientation = exif_orientation(p + i + 4, len - 2);
			exif_seen = true;
		}
		i += 2 + len;
	}
	return 0;
}

/* Inside a scan 0xff is stuffed, so the end marker cannot occur by chance. */
static bool has_end(const uint8_t *p, size_t n, size_t from)
{
	for (size_t i = n; i >= from + 2; i--) {
		if (p[i - 2] == 0xff && p[i - 1] == 0xd9)
			return true;
	}
	return false;
}

static bool fail(tjhandle tj, struct err *e)
{
	const char *text = tjGetErrorStr2(tj);

	return err_set(e, ERR_PARSE, "%s%s", strstr(text, "remature end") ? "truncated: " : "", text);
}

static bool header(tjhandle tj, const uint8_t *p, size_t n, int *w, int *h, int *colours, struct err *e)
{
	int subsampling;

	*w = *h = 0;
	*colours = -1;
	/* An unusual subsampling is an error here, but the rest is filled in and decoding copes. */
	if (tjDecompressHeader3(tj, p, n, w, h, &subsampling, colours) && (*w < 1 || *h < 1 || *colours < 0))
		return fail(tj, e);
	if (!image_dims_ok((uint64_t)*w, (uint64_t)*h, e))
		return false;
	if ((uint64_t)*w * (uint64_t)*h / MAX_PIXELS_PER_BYTE > n)
		return err_set(e, ERR_PARSE, "truncated: %zu bytes cannot hold %dx%d pixels", n, *w, *h);
	return true;
}

static bool probe(const uint8_t *p, size_t n, int *w, int *h, struct err *e)
{
	tjhandle tj = tjInitDecompress();
	int colours;
	bool ok = tj ? header(tj, p, n, w, h, &colours, e) : err_set(e, ERR_IO, "out of memory");

	if (tj)
		tjDestroy(tj);
	return ok;
}

/* a * b / 255, rounded */
static unsigned muldiv255(unsigned a, unsigned b)
{
	unsigned t = a * b + 128;

	return ((t >> 8) + t) >> 8;
}

/* In place; the file's samples are inverted (0 is full ink), as Adobe writes them. */
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, size_t pixels)
{
	for (size_t i = 0; i < pixels; i++, from += 4, to += 3) {
		unsigned k = from[3]; /* 255 - ink */

		for (int c = 0; c < 3; c++) {
			unsigned ink = muldiv255(255u - from[c], k);

			to[c] = (uint8_t)(ink > k ? 0 : k - ink);
		}
	}
}

/* A warning that leaves the picture whole. */
static bool harmless(const char *text)
{
	return strstr(text, "extraneous bytes") || strstr(text, "Unknown Adobe") || strstr(text, "Invalid SOS parameters") ||
	       strstr(text, "unknown JFIF");
}

static bool pixels(tjhandle tj, struct arena *a, const uint8_t *p, size_t n, struct image **out, struct err *e)
{
	int w, h, colours, bytes;
	uint8_t *raw;
	bool cmyk;

	if (!header(tj, p, n, &w, &h, &colours, e))
		return false;
	cmyk = colours == TJCS_CMYK || colours == TJCS_YCCK;
	bytes = cmyk ? 4 : 3;
	*out = image_new(a, w, h, 3);
	raw = cmyk ? arena_alloc(a, (size_t)w * (size_t)h * 4) : (*out)->data;
	if (tjDecompress2(tj, p, n, raw, w, w * bytes, h, cmyk ? TJPF_CMYK : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) &&
	    !(tjGetErrorCode(tj) == TJERR_WARNING && harmless(tjGetErrorStr2(tj))))
		return fail(tj, e);
	if (cmyk)
		cmyk_to_rgb(raw, (*out)->data, (size_t)w * (size_t)h);
	return true;
}

static bool decode(struct arena *a, const uint8_t *p, size_t n, struct image **out, int *orientation, struct err *e)
{
	size_t scan = find_scan(p, n, orientation);
	tjhandle tj;
	bool ok;

	if (!scan)
		return err_set(e, ERR_PARSE, "truncated or corrupt: there are no picture data");
	if (!has_end(p, n, scan))
		return err_set(e, ERR_PARSE, "truncated: the end marker is missing");
	tj = tjInitDecompress();
	ok = tj ? pixels(tj, a, p, n, out, e) : err_set(e, ERR_IO, "out of memory");
	if (tj)
		tjDestroy(tj);
	return ok;
}

const struct image_codec image_codec_jpeg = {.name = "jpeg", .matches = matches, .probe = probe, .decode = decode};
