/* fetch/fetch.h: models of the ONNX model hub, downloaded
 *
 * What a model is - path, size, SHA-256 - is known beforehand, from the hub's manifest; so nothing that a server says is believed. Only
 * https is spoken, also behind redirects. A file appears whole and verified, or not at all; what has come of one that has not is kept
 * beside it as FILE.part and gone on with. Proxies are those of the environment (https_proxy, no_proxy ...).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;

struct fetch_model {
	const char *name;   /* "resnet50-v1-12": of its file, unique */
	const char *model;  /* "ResNet50": what the hub calls it, in all its opsets */
	int opset;
	uint64_t bytes;
	const char *sha256; /* 64 hexadecimal digits */
	const char *path;   /* below the hub's root */
	const char *inputs; /* "1x3x224x224 float"; "" when the manifest does not say */
};

/* The hub's image classifiers, as they were when this program was built. */
bool fetch_hub(struct arena *a, struct fetch_model **out, size_t *n, struct err *e);
/* Those of another hub: a file like its ONNX_HUB_MANIFEST.json. Entries without a hash are left out; one whose name or path could
 * lead out of a folder is an error. */
bool fetch_manifest(struct arena *a, const char *file, struct fetch_model **out, size_t *n, struct err *e);
/* By name, by the hub's name (the newest opset), else by the only beginning; in any case. ERR_USAGE says what there is like it. */
bool fetch_find(const struct fetch_model *list, size_t n, const char *name, const struct fetch_model **out, struct err *e);

struct fetch_options {
	const char *const *from; /* roots of the hub, https://..., tried in turn; NULL-terminated; NULL: where the ONNX model hub lies */
	const char *ca;        /* PEM file of certificates to trust; NULL: the system's */
	double stall_s;        /* give up a connection that brings less than 1 kB/s for so long; 0: 30 */
	/* Called often. false: stop; the part is kept (ERR_CANCELLED). May be NULL. */
	bool (*progress)(const struct fetch_model *m, uint64_t done, void *user);
	void *user;
};

/* Writes `file`. *fresh is false when it was there already, whole. */
bool fetch_get(const struct fetch_model *m, const char *file, const struct fetch_options *o, bool *fresh, struct err *e);
