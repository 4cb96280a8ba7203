/* fuzz_image.c: bytes as a picture and as a .npy file; what is decoded goes through the pipeline */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "image/image.h"
#include "value/value.h"

/* Larger pictures are legal and only slow. */
#define MAX_PIXELS (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pipeline(struct arena *a, const struct image *im)
{
	struct preprocess p;
	struct tensor *t;
	bool ok = preprocess_parse("torchvision,square=yes,resize=9,crop=7,filter=bicubic", &p, NULL) &&
		  image_to_tensor(a, im, &p, &t, NULL);

	assert(ok);
	assert(tensor_elements(t) == 3 * 7 * 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(NULL);
	struct image *im;
	struct tensor *t;
	int w, h;

	if (image_probe(data, size, "fuzz", &w, &h, NULL) && w * (int64_t)h <= MAX_PIXELS &&
	    image_decode(a, data, size, "fuzz", &im, NULL)) {
		assert((im->w == w && im->h == h) || (im->w == h && im->h == w));
		pipeline(a, im);
	}
	if (npy_parse(a, data, size, &t, NULL))
		tensor_hash(t);
	arena_free(a);
	return 0;
}
