/* fetch_get.c: one file over https, verified before it has its name
 *
 * FILE.part grows; when it has all its bytes and their hash is right it is renamed. A server may lie about everything: what is
 * written is bounded by the known size, and a part that does not come out right is thrown away and begun anew once.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "fetch/fetch.h"

#define CONNECT_S 30L
#define STALL_S 30
#define STALL_BYTES 1000L /* per second */
#define REDIRECTS 8L
#define TRIES 5 /* of connections that break after they brought something */

/* The first is where the hub's files have been since its GitHub storage was given up, the second that storage. */
static const char *const roots[] = {"https://huggingface.co/onnxmodelzoo/legacy_models/resolve/main/",
				    "https://media.githubusercontent.com/media/onnx/models/main/", NULL};

struct get {
	const struct fetch_model *m;
	const struct fetch_options *o;
	int fd;         /* of the part */
	uint64_t at;    /* bytes it holds */
	uint64_t asked; /* from where the server was asked to go on */
	long status;    /* of the last answer's head */
	bool ranged;    /* it said that it sends a range; from there: */
	uint64_t first, total;
	bool encoded, begun;
	bool stopped, locked;
	struct err *e; /* what is wrong with the answer; set before curl is told to stop */
	bool wrong;
};

static bool wrong(struct get *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(struct get *g, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	g->wrong = true;
	return err_set(g->e, ERR_IO, "%s", text);
}

/* ---- an answer ------------------------------------------------------------------------------------------------- */

static bool header_is(const char *line, size_t n, const char *name, const char **value)
{
	size_t k = strlen(name);

	if (n <= k || strncasecmp(line, name, k) || line[k] != ':')
		return false;
	for (*value = line + k + 1; **value == ' ' || **value == '\t';)
		++*value;
	return true;
}

/* One line of the head, not terminated by NUL; a redirect begins again with its own. */
static size_t on_header(char *line, size_t size, size_t count, void *user)
{
	struct get *g = user;
	size_t n = size * count;
	char text[200];
	const char *value;

	snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), line);
	if (!strncmp(text, "HTTP/", 5)) {
		const char *space = strchr(text, ' ');

		g->status = space ? strtol(space, NULL, 10) : 0;
		g->ranged = g->encoded = g->begun = false;
	} else if (header_is(text, n, "Content-Range", &value)) {
		unsigned long long first, last, total;

		g->ranged = sscanf(value, "bytes %llu-%llu/%llu", &first, &last, &total) == 3 && first <= last && last < total;
		g->first = g->ranged ? first : 0;
		g->total = g->ranged ? total : 0;
	} else if (header_is(text, n, "Content-Encoding", &value)) {
		g->encoded = strncasecmp(value, "identity", 8) != 0;
	}
	return n;
}

static bool begin_again(struct get *g)
{
	g->at = 0;
	return !ftruncate(g->fd, 0) || wrong(g, "cannot empty the part: %s", strerror(errno));
}

/* Before the first byte: is it what was asked for? */
static bool judge(struct get *g, curl_off_t length)
{
	if (g->encoded)
		return wrong(g, "the server sends it compressed, which nobody asked for");
	if (g->status == 206) {
		if (!g->asked || !g->ranged || g->first != g->asked)
			return wrong(g, "the server sends another range than the one asked for");
		if (g->total != g->m->bytes)
			return wrong(g, "the server has a file of %llu bytes; the model has %llu", (unsigned long long)g->total,
				     (unsigned long long)g->m->bytes);
	} else if (g->status == 200) {
		if (length >= 0 && (uint64_t)length != g->m->bytes)
			return wrong(g, "the server has a file of %lld bytes; the model has %llu", (long long)length,
				     (unsigned long long)g->m->bytes);
		return begin_again(g); /* it does not go on where it was asked to */
	} else {
		return wrong(g, "the server answered %ld", g->status);
	}
	return true;
}

struct transfer {
	CURL *curl;
	struct get *g;
};

static size_t on_data(char *p, size_t size, size_t count, void *user)
{
	struct transfer *t = user;
	struct get *g = t->g;
	size_t n = size * count, done = 0;
	curl_off_t length = -1;

	if (!g->begun) {
		curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
		if (!judge(g, length))
			return 0;
		g->begun = true;
	}
	if (n > g->m->bytes - g->at) {
		wrong(g, "the server sends more than the %llu bytes of the model", (unsigned long long)g->m->bytes);
		return 0;
	}
	while (done < n) {
		ssize_t k = pwrite(g->fd, p + done, n - done, (off_t)(g->at + done));

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			wrong(g, "cannot write the part: %s", k ? strerror(errno) : "nothing written");
			return 0;
		}
		done += (size_t)k;
	}
	g->at += n;
	return n;
}

static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
	struct get *g = ((struct transfer *)user)->g;

	g->stopped = g->o->progress && !g->o->progress(g->m, g->at, g->o->user);
	return g->stopped;
}

static void set_up(struct transfer *t, const char *url, const char *range, char *said)
{
	struct get *g = t->g;
	CURL *c = t->curl;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, REDIRECTS);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)(g->o->stall_s >= 1 ? g->o->stall_s : STALL_S));
	curl_easy_setopt(c, CURLOPT_USERAGENT, "mutatenn/" MUTATENN_VERSION);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, said);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, g);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_RANGE, range);
	if (g->o->ca)
		curl_easy_setopt(c, CURLOPT_CAINFO, g->o->ca);
}

/* One request for what is missing. *again: it broke, but asking once more is worth while. */
static bool request(struct get *g, const char *url, bool *again, struct err *e)
{
	char said[CURL_ERROR_SIZE] = "", range[32];
	struct transfer t = {curl_easy_init(), g};
	uint64_t before = g->at;
	CURLcode rc;

	*again = false;
	if (!t.curl)
		return err_set(e, ERR_IO, "libcurl cannot be initialised");
	g->asked = g->at;
	g->e = e;
	g->wrong = g->begun = false;
	g->status = 0;
	snprintf(range, sizeof range, "%llu-", (unsigned long long)g->at);
	set_up(&t, url, g->at ? range : NULL, said);
	rc = curl_easy_perform(t.curl);
	curl_easy_cleanup(t.curl);
	if (g->stopped)
		return err_set(e, ERR_CANCELLED, "stopped at %llu of %llu bytes; the same command goes on from there",
			       (unsigned long long)g->at, (unsigned long long)g->m->bytes);
	if (g->status == 416 && g->asked) { /* it has no such range: perhaps the file is another one now */
		err_free(e);
		*again = true;
		return begin_again(g);
	}
	if (g->wrong)
		return false;
	if (rc == CURLE_OK && !g->begun && g->status != 200 && g->status != 206)
		return err_set(e, ERR_IO, "the server answered %ld", g->status);
	if (rc == CURLE_OK && g->at == g->m->bytes)
		return true;
	*again = g->at > before;
	if (rc == CURLE_OK)
		return err_set(e, ERR_IO, "the server sent only %llu of %llu bytes", (unsigned long long)g->at,
			       (unsigned long long)g->m->bytes);
	return err_set(e, ERR_IO, "%s", *said ? said : curl_easy_strerror(rc));
}

/* ---- the file -------------------------------------------------------------------------------------------------- */

/* Of the first n bytes of fd. */
static bool sha256(int fd, uint64_t n, char hex[static 65], struct err *e)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t *block = malloc(1 << 20), sum[EVP_MAX_MD_SIZE];
	bool ok = ctx && block && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);

	if (!ok)
		err_set(e, ERR_IO, "no SHA-256 in this libcrypto");
	for (uint64_t at = 0; ok && at < n;) {
		ssize_t k = pread(fd, block, n - at < 1 << 20 ? n - at : 1 << 20, (off_t)at);

		if (k < 0 && errno == EINTR)
			continue;
		ok = k > 0 ? EVP_DigestUpdate(ctx, block, (size_t)k)
			   : err_set(e, ERR_IO, "cannot read it back: %s", k ? strerror(errno) : "it is too short");
		at += ok ? (uint64_t)k : 0;
	}
	ok = ok && EVP_DigestFinal_ex(ctx, sum, NULL);
	for (size_t i = 0; ok && i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	EVP_MD_CTX_free(ctx);
	free(block);
	return ok;
}

/* What lies there already. */
static bool there(const struct fetch_model *m, const char *file, bool *whole, struct err *e)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char hex[65];
	bool ok;

	*whole = false;
	if (fd < 0)
		return errno == ENOENT || err_set(e, ERR_IO, "'%s': %s", file, strerror(errno));
	ok = !fstat(fd, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->bytes && sha256(fd, m->bytes, hex, NULL) &&
	     !strcasecmp(hex, m->sha256);
	close(fd);
	*whole = ok;
	return ok || err_set(e, ERR_IO,
			     "'%s' is there already and is not this model: remove it, or choose another folder with --out", file);
}

/* Its bytes are all there. *right: they are the model's. */
static bool verified(struct get *g, bool *right, struct err *e)
{
	char hex[65];

	if (!sha256(g->fd, g->m->bytes, hex, e))
		return false;
	*right = !strcasecmp(hex, g->m->sha256);
	return true;
}

static bool download(struct get *g, const char *root, struct err *e)
{
	const char *slash = root[strlen(root) - 1] == '/' ? "" : "/";
	struct str url = {0};
	bool again = true, ok = g->at == g->m->bytes;

	str_addf(&url, "%s%s%s", root, slash, g->m->path);
	for (int i = 0; !ok && again && i < TRIES; i++) {
		err_free(e);
		ok = request(g, str_text(&url), &again, e);
		ok = ok && g->at == g->m->bytes;
	}
	if (!ok)
		err_in(e, "'%s'", str_text(&url));
	str_free(&url);
	return ok;
}

/* From one place: a part that does not fit together is begun anew once. */
static bool from_root(struct get *g, const char *root, struct err *e)
{
	bool resumed = g->at > 0, right = false;

	for (int i = 0; i < 2; i++) {
		if (!download(g, root, e) || !verified(g, &right, e))
			return false;
		if (right)
			return true;
		g->at = 0;
		if (ftruncate(g->fd, 0))
			return err_set(e, ERR_IO, "cannot empty the part: %s", strerror(errno));
		if (!resumed)
			break;
		log_warn("'%s': what was there and what came do not make the model; it is fetched anew", g->m->name);
		resumed = false;
	}
	return err_set(e, ERR_IO, "'%s%s' has not the SHA-256 of the model: it is another file, or was changed on its way", root,
		       g->m->path);
}

static bool everywhere(struct get *g, struct err *e)
{
	for (const char *const *root = g->o->from ? g->o->from : roots; *root; root++) {
		if (from_root(g, *root, e))
			return true;
		if (g->stopped || !root[1])
			return false;
		log_info("%s; trying elsewhere", err_text(e));
		err_free(e);
	}
	return false;
}

static bool keep(struct get *g, const char *part, const char *file, struct err *e)
{
	struct arena *a = arena_new(NULL);
	int dir;

	if (fsync(g->fd) || rename(part, file)) {
		arena_free(a);
		return err_set(e, ERR_IO, "cannot write '%s': %s", file, strerror(errno));
	}
	if ((dir = open(file_dir(a, file), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		fsync(dir);
		close(dir);
	}
	arena_free(a);
	return true;
}

static bool open_part(struct get *g, const char *part, struct err *e)
{
	struct stat st;

	g->fd = open(part, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (g->fd < 0 || fstat(g->fd, &st) || !S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "cannot write '%s': %s", part, g->fd < 0 ? strerror(errno) : "not a regular file");
	if (flock(g->fd, LOCK_EX | LOCK_NB))
		return err_set(e, ERR_IO, "'%s' is being fetched by another process", part);
	g->locked = true;
	g->at = (uint64_t)st.st_size;
	if (g->at > g->m->bytes) {
		g->at = 0;
		if (ftruncate(g->fd, 0))
			return err_set(e, ERR_IO, "cannot write '%s': %s", part, strerror(errno));
	}
	return true;
}

bool fetch_get(const struct fetch_model *m, const char *file, const struct fetch_options *o, bool *fresh, struct err *e)
{
	static const struct fetch_options none;
	struct get g = {.m = m, .o = o ? o : &none, .fd = -1};
	struct str part = {0};
	bool whole, ok;

	for (size_t i = 0; g.o->from && g.o->from[i]; i++)
		if (strncasecmp(g.o->from[i], "https://", 8))
			return err_set(e, ERR_USAGE, "'%s': only https:// is fetched from", g.o->from[i]);
	*fresh = false;
	if (!there(m, file, &whole, e))
		return false;
	if (whole)
		return true;
	if (curl_global_init(CURL_GLOBAL_DEFAULT))
		return err_set(e, ERR_IO, "libcurl cannot be initialised");
	str_addf(&part, "%s.part", file);
	ok = open_part(&g, part.s, e) && everywhere(&g, e) && keep(&g, part.s, file, e);
	if (!ok && g.locked && !g.at) /* nothing to go on with */
		unlink(part.s);
	if (g.fd >= 0)
		close(g.fd);
	str_free(&part);
	curl_global_cleanup();
	*fresh = ok;
	return ok || err_in(e, "fetching '%s'", m->name);
}
