/* mut_input.c: faults in front of the network; campaign/ applies them to the preprocessing */
#include "mutate/mutate_internal.h"

#define INPUT(id, op_name, what, fault, ...)                                                                           \
	static const char *const names_##id[] = {__VA_ARGS__, NULL};                                                   \
	const struct mut_op mut_input_##id = {.name = op_name, .kind = MUT_INPUT, .category = MUT_CAT_INPUT, .summary = what, \
	                                      .imitates = fault, .variant = names_##id, .input_edit = edits_##id};
#define EDITS(id, ...) static const char *const edits_##id[] = {__VA_ARGS__};

EDITS(channels, "swap-channels")
INPUT(channels, "input.channels", "red and blue are exchanged", "a decoder that gives BGR where RGB is expected", "swap")
EDITS(normalise, "skip-normalise", "double-normalise")
INPUT(normalise, "input.normalise", "mean and deviation are left out, or applied twice", "normalisation done nowhere, or both in the pipeline and in the model",
      "skip", "double")
EDITS(transpose, "transpose")
INPUT(transpose, "input.transpose", "rows and columns are exchanged", "height and width confused when the tensor is filled", "hw")
EDITS(filter, "filter=nearest", "filter=box", "filter=bilinear", "filter=bicubic", "filter=lanczos")
INPUT(filter, "input.filter", "pictures are resized with another filter", "the device's image library resizes in another way", "nearest", "box", "bilinear", "bicubic",
      "lanczos")
EDITS(quantise, "quantise=2", "quantise=16", "quantise=64", "quantise=128")
INPUT(quantise, "input.quantise", "pixels keep only so many levels per channel", "a camera or path of fewer bits", "2", "16", "64", "128")
EDITS(noise, "noise=2", "noise=8", "noise=32")
INPUT(noise, "input.noise", "Gaussian noise with a deviation of so many grey levels, the same each time", "a noisy sensor or link", "2", "8", "32")
EDITS(crop, "crop-shift=1x0", "crop-shift=0x1", "crop-shift=8x0", "crop-shift=0x8", "crop-shift=-8x-8")
INPUT(crop, "input.crop-shift", "the crop is taken some pixels beside the centre", "rounding of the crop, a wrong offset", "right1", "down1", "right8", "down8",
      "up-left8")
EDITS(flip, "flip=horizontal", "flip=vertical")
INPUT(flip, "input.flip", "pictures are mirrored", "a mirrored camera, rows stored from the bottom up", "horizontal", "vertical")
