/* filter_deflate: gzip with zlib as one member, compressed in parallel. See filter.h.
 *
 * The scheme of pigz: every block is a deflate stream of its own that knows the 32 KiB before it and ends on a byte (a sync
 * flush), so the blocks put one behind the other are one stream. No block is the stream's last one, because whether more follows
 * may not be known when it is compressed: an empty last block ends the stream. So the bytes do not depend on timing. */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "stream/filter.h"

/* Larger blocks are a little smaller and faster (less priming); a chunk goes in as it is, without a copy. */
#define DEFLATE_BLOCK CHUNK_BYTES
#define DEFLATE_JOBS 4
#define DEFLATE_WINDOW ((size_t)1 << 15)
#define DEFLATE_HEADER_BYTES 10

typedef struct DeflateFilter {
  Stage stage;
  int level;
  bool begun;    /* the header has been passed on */
  uint32_t crc;  /* of what has been passed on */
  uint64_t size; /* how much that was, before compression */
} DeflateFilter;

static void deflate_worker_free(void *arg) {
  deflateEnd(arg);
  free(arg);
}

static void *deflate_worker_new(Stage *stage) {
  const DeflateFilter *filter = (const DeflateFilter *)stage;
  z_stream *z = mem_alloc(sizeof *z);
  if (deflateInit2(z, filter->level, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK) return z;
  free(z);
  return NULL;
}

static bool deflate_prime(z_stream *z, const Chunk *before) {
  if (deflateReset(z) != Z_OK) return false;
  if (before == NULL) return true;
  size_t len = before->len < DEFLATE_WINDOW ? before->len : DEFLATE_WINDOW;
  return deflateSetDictionary(z, (const Bytef *)before->data + before->len - len, (uInt)len) == Z_OK;
}

/* One call of deflate into a chunk of its own. False: there was room left, so this was all. */
static bool deflate_step(z_stream *z, StageJob *job) {
  Chunk *out = chunk_new(0);
  z->next_out = (Bytef *)out->data;
  z->avail_out = (uInt)out->size;
  deflate(z, Z_SYNC_FLUSH); /* cannot fail: the state is sound and there is room */
  out->len = out->size - z->avail_out;
  job->out[job->nout++] = out;
  return z->avail_out == 0;
}

static bool deflate_work(Stage *stage, StageJob *job) {
  (void)stage;
  z_stream *z = job->worker;
  if (job->in == NULL) return true;
  if (z == NULL) return err_set(&job->err, ERR_MEMORY, "zlib: out of memory");
  if (!deflate_prime(z, job->before)) return err_set(&job->err, ERR_INTERNAL, "zlib: deflate cannot be primed");
  z->next_in = (z_const Bytef *)job->in->data;
  z->avail_in = (uInt)job->in->len;
  while (deflate_step(z, job))
    if (job->nout == STAGE_MAX_OUT) return err_set(&job->err, ERR_INTERNAL, "zlib: %zu bytes do not fit", job->in->len);
  job->crc = libdeflate_crc32(0, job->in->data, job->in->len); /* several times as fast as zlib's, the same sum */
  return true;
}

/* The header as gzip -n writes it, which also says how hard was tried (RFC 1952, XFL). */
static void deflate_add_header(const DeflateFilter *filter, StageJob *job) {
  char header[DEFLATE_HEADER_BYTES] = {'\x1f', '\x8b', Z_DEFLATED, 0, 0, 0, 0, 0, 0, 3 /* Unix */};
  if (filter->level == 1) header[8] = 4;
  if (filter->level == 9) header[8] = 2;
  Chunk *out = chunk_new(sizeof header);
  memcpy(out->data, header, sizeof header);
  out->len = sizeof header;
  memmove(job->out + 1, job->out, (size_t)job->nout * sizeof *job->out);
  job->out[0] = out;
  job->nout++;
}

static void deflate_add_trailer(const DeflateFilter *filter, StageJob *job) {
  unsigned char trailer[10] = {3, 0}; /* the empty last block */
  for (int i = 0; i < 4; i++) {
    trailer[2 + i] = (unsigned char)(filter->crc >> (8 * i));
    trailer[6 + i] = (unsigned char)(filter->size >> (8 * i)); /* modulo 2^32: the format has no room for more */
  }
  Chunk *out = chunk_new(sizeof trailer);
  memcpy(out->data, trailer, sizeof trailer);
  out->len = sizeof trailer;
  job->out[job->nout++] = out;
}

static bool deflate_emit(Stage *stage, StageJob *job) {
  DeflateFilter *filter = (DeflateFilter *)stage;
  if (job->in != NULL) {
    filter->crc = (uint32_t)crc32_combine(filter->crc, job->crc, (z_off_t)job->in->len);
    filter->size += job->in->len;
  }
  if (!filter->begun) deflate_add_header(filter, job);
  filter->begun = true;
  if (job->last) deflate_add_trailer(filter, job);
  return true;
}

static const StageClass deflate_class = {.kind = "gzip",
                                         .work = deflate_work,
                                         .emit = deflate_emit,
                                         .parallel = DEFLATE_JOBS,
                                         .gather = DEFLATE_BLOCK,
                                         .looks_back = true,
                                         .worker_new = deflate_worker_new,
                                         .worker_free = deflate_worker_free};

Stage *filter_gzip_single(int level) {
  DeflateFilter *filter = mem_alloc(sizeof *filter);
  filter->level = level;
  stage_init(&filter->stage, &deflate_class, NULL);
  return &filter->stage;
}
