/* gzip: see gzip.h. */
#include "stream/gzip.h"

#include <stdint.h>
#include <string.h>
#include <zlib.h>

#define GZIP_WINDOW_BITS (15 + 16) /* 16: the gzip format, not zlib's own */
#define GZIP_CHUNK_BYTES ((size_t)1 << 18)

/* zlib counts input in unsigned int: it is fed in pieces. */
typedef struct GzipInput {
  const unsigned char *next;
  size_t left;
} GzipInput;

static void gzip_feed(z_stream *z, GzipInput *input) {
  if (z->avail_in > 0 || input->left == 0) return;
  size_t piece = input->left < GZIP_CHUNK_BYTES ? input->left : GZIP_CHUNK_BYTES;
  z->next_in = (z_const Bytef *)(uintptr_t)input->next;
  z->avail_in = (uInt)piece;
  input->next += piece;
  input->left -= piece;
}

/* Room for the output of the next step; gzip_took says how much of it was used. */
static void gzip_room(z_stream *z, Buf *out) {
  z->next_out = (Bytef *)buf_reserve(out, GZIP_CHUNK_BYTES);
  z->avail_out = (uInt)GZIP_CHUNK_BYTES;
}

static void gzip_took(const z_stream *z, Buf *out) {
  out->len += GZIP_CHUNK_BYTES - z->avail_out;
  out->data[out->len] = '\0';
}

static bool gzip_stopped(const atomic_bool *stop, Err *err) {
  if (stop == NULL || !atomic_load(stop)) return false;
  err_set(err, ERR_CANCELLED, "stopped");
  return true;
}

bool gzip_compress(const void *bytes, size_t len, int level, const atomic_bool *stop, Buf *out, Err *err) {
  z_stream z = {0};
  GzipInput input = {bytes, len};
  if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return err_set(err, ERR_MEMORY, "zlib: out of memory");
  int rc = Z_OK;
  bool good = true;
  while (good && rc != Z_STREAM_END) {
    gzip_feed(&z, &input);
    gzip_room(&z, out);
    rc = deflate(&z, input.left == 0 ? Z_FINISH : Z_NO_FLUSH);
    gzip_took(&z, out);
    if (rc == Z_STREAM_ERROR) good = err_set(err, ERR_INTERNAL, "zlib: deflate failed");
    if (good && gzip_stopped(stop, err)) good = false;
  }
  deflateEnd(&z);
  return good;
}

/* What zlib says, for people. */
static bool gzip_bad(const z_stream *z, int rc, size_t at, Err *err) {
  if (rc == Z_BUF_ERROR) return err_set(err, ERR_IO, "the gzip data is cut short after %zu bytes", at);
  return err_set(err, ERR_IO, "not valid gzip data at byte %zu: %s", at, z->msg != NULL ? z->msg : "damaged");
}

static bool gzip_inflate_all(z_stream *z, GzipInput *input, size_t limit, const atomic_bool *stop, Buf *out, Err *err) {
  const size_t total = input->left, start = out->len;
  for (;;) {
    gzip_feed(z, input);
    gzip_room(z, out);
    int rc = inflate(z, Z_NO_FLUSH);
    gzip_took(z, out);
    if (out->len - start > limit)
      return err_set(err, ERR_LIMIT, "decompressed it is larger than %.3g MiB; raise limit=", (double)limit / 1048576.0);
    if (rc == Z_STREAM_END) {
      if (z->avail_in == 0 && input->left == 0) return true;
      rc = inflateReset(z); /* what follows must be another member */
    }
    if (rc != Z_OK) return gzip_bad(z, rc, total - input->left - z->avail_in, err);
    if (gzip_stopped(stop, err)) return false;
  }
}

bool gzip_decompress(const void *bytes, size_t len, size_t limit_bytes, const atomic_bool *stop, Buf *out, Err *err) {
  z_stream z = {0};
  GzipInput input = {bytes, len};
  if (len == 0) return err_set(err, ERR_IO, "not gzip data: it is empty");
  if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK) return err_set(err, ERR_MEMORY, "zlib: out of memory");
  bool good = gzip_inflate_all(&z, &input, limit_bytes, stop, out, err);
  inflateEnd(&z);
  return good;
}
