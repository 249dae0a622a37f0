/* filter_gzip: gzip with libdeflate, one member for each piece of input. See filter.h.
 *
 * libdeflate compresses whole buffers only, and does it almost twice as fast as zlib: so a member is what one job compresses. */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "stream/filter.h"

/* Bounded memory: so many pieces are in work, each with its output beside it. */
#define GZIP_JOBS 4

typedef struct GzipFilter {
  Stage stage;
  int level;
  bool any; /* a member has been passed on */
} GzipFilter;

/* Incompressible data grows a little and would not fit a recycled chunk: a member is made here and copied, which costs a
 * hundredth of the compression. */
typedef struct GzipWorker {
  struct libdeflate_compressor *compressor;
  size_t room;
  char member[];
} GzipWorker;

static void gzip_worker_free(void *arg) {
  GzipWorker *worker = arg;
  libdeflate_free_compressor(worker->compressor);
  free(worker);
}

static void *gzip_worker_new(Stage *stage) {
  const GzipFilter *filter = (const GzipFilter *)stage;
  size_t room = libdeflate_gzip_compress_bound(NULL, CHUNK_BYTES);
  GzipWorker *worker = mem_alloc(sizeof *worker + room);
  worker->room = room;
  worker->compressor = libdeflate_alloc_compressor(filter->level);
  if (worker->compressor != NULL) return worker;
  gzip_worker_free(worker);
  return NULL;
}

/* The end without input becomes an empty member: whether that is wanted gzip_emit knows. */
static bool gzip_work(Stage *stage, StageJob *job) {
  (void)stage;
  GzipWorker *worker = job->worker;
  if (worker == NULL) return err_set(&job->err, ERR_MEMORY, "libdeflate: out of memory");
  const char *bytes = job->in != NULL ? job->in->data : "";
  size_t len = job->in != NULL ? job->in->len : 0;
  size_t made = libdeflate_gzip_compress(worker->compressor, bytes, len, worker->member, worker->room);
  if (made == 0) return err_set(&job->err, ERR_INTERNAL, "libdeflate: %zu bytes do not fit", len);
  Chunk *out = chunk_new(made <= CHUNK_BYTES ? 0 : made);
  memcpy(out->data, worker->member, made);
  out->len = made;
  job->out[job->nout++] = out;
  return true;
}

static bool gzip_emit(Stage *stage, StageJob *job) {
  GzipFilter *filter = (GzipFilter *)stage;
  if (job->in == NULL && filter->any)
    while (job->nout > 0)
      chunk_unref(job->out[--job->nout]);
  filter->any = true;
  return true;
}

static const StageClass gzip_class = {.kind = "gzip",
                                      .work = gzip_work,
                                      .emit = gzip_emit,
                                      .parallel = GZIP_JOBS,
                                      .gather = CHUNK_BYTES,
                                      .worker_new = gzip_worker_new,
                                      .worker_free = gzip_worker_free};

Stage *filter_gzip(int level) {
  GzipFilter *filter = mem_alloc(sizeof *filter);
  filter->level = level;
  stage_init(&filter->stage, &gzip_class, NULL);
  return &filter->stage;
}
