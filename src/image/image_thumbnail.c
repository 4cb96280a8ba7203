/* image_thumbnail.c: a small JPEG of a picture, for reports */
#include <turbojpeg.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image_internal.h"

#define QUALITY 78

static bool compress(struct arena *a, const struct image *im, uint8_t **out, size_t *n, struct err *e)
{
	tjhandle tj = tjInitCompress();
	unsigned long size = 0;
	unsigned char *jpeg = NULL;
	bool ok;

	if (!tj)
		return err_set(e, ERR_IO, "out of memory");
	ok = !tjCompress2(tj, im->data, im->w, 0, im->h, TJPF_RGB, &jpeg, &size, TJSAMP_420, QUALITY, 0);
	if (ok) {
		*out = arena_memdup(a, jpeg, size);
		*n = size;
	} else {
		err_set(e, ERR_IO, "%s", tjGetErrorStr2(tj));
	}
	tjFree(jpeg);
	tjDestroy(tj);
	return ok;
}

bool image_thumbnail(struct arena *a, const char *path, int side, uint8_t **jpeg, size_t *n, struct err *e)
{
	struct arena *scratch = arena_new(a);
	struct image *im;
	int w, h, longer;
	bool ok = image_load(scratch, path, &im, e);

	if (ok) {
		longer = im->w > im->h ? im->w : im->h;
		if (longer < side)
			side = longer;
		w = (int)((int64_t)im->w * side / longer);
		h = (int)((int64_t)im->h * side / longer);
		ok = image_resize(scratch, im, w ? w : 1, h ? h : 1, FILTER_BOX, &im, e) && compress(a, im, jpeg, n, e);
	}
	arena_free(scratch);
	return ok;
}
