/* filter_gunzip: the plain text of gzip data, with zlib. See filter.h.
 *
 * Between two calls everything is in the z_stream (what was read of a header, what of the window is not written yet), so input
 * may be cut anywhere and a call may stop when its output is full: a megabyte that unpacks to a gigabyte needs no more memory. */
#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "stream/filter.h"

#define GUNZIP_WINDOW_BITS (15 + 16) /* 16: the gzip format, not zlib's own */
#define GUNZIP_FIRST_BYTE 0x1f

typedef enum GunzipPlace {
  GUNZIP_START,   /* nothing has come yet */
  GUNZIP_MEMBER,  /* inside a member */
  GUNZIP_BETWEEN, /* behind one */
  GUNZIP_PADDING  /* in the zeros behind the last one */
} GunzipPlace;

typedef struct GunzipFilter {
  Stage stage;
  z_stream z;
  bool ready; /* z is initialised */
  GunzipPlace place;
  uint64_t used; /* bytes of input before this call's chunk */
  Chunk *out;    /* the chunk z writes to, during a call */
} GunzipFilter;

/* How many bytes of the stream zlib has taken. */
static unsigned long long gunzip_at(const GunzipFilter *filter, const StageJob *job) {
  return filter->used + (job->in != NULL ? job->in->len : 0) - filter->z.avail_in;
}

static bool gunzip_bad(const GunzipFilter *filter, StageJob *job, int rc) {
  if (rc == Z_MEM_ERROR) return err_set(&job->err, ERR_MEMORY, "zlib: out of memory");
  return err_set(&job->err, ERR_IO, "not valid gzip data at byte %llu: %s", gunzip_at(filter, job),
                 filter->z.msg != NULL ? filter->z.msg : "damaged");
}

/* There is input, and no member has begun: what is it? gzip(1) allows zeros behind a member (tapes are padded), nothing else. */
static bool gunzip_look(GunzipFilter *filter, StageJob *job) {
  z_stream *z = &filter->z;
  if (filter->place == GUNZIP_START || (filter->place == GUNZIP_BETWEEN && *z->next_in == GUNZIP_FIRST_BYTE)) {
    filter->place = GUNZIP_MEMBER;
    return true;
  }
  filter->place = GUNZIP_PADDING;
  for (; z->avail_in > 0; z->next_in++, z->avail_in--)
    if (*z->next_in != 0)
      return err_set(&job->err, ERR_IO, "something else follows the gzip data, at byte %llu", gunzip_at(filter, job));
  return true;
}

/* Pass on the chunk that is written to. An empty one was not needed. */
static void gunzip_take(GunzipFilter *filter, StageJob *job) {
  Chunk *out = filter->out;
  filter->out = NULL;
  if (out == NULL) return;
  out->len = out->size - filter->z.avail_out;
  filter->z.avail_out = 0;
  if (out->len > 0)
    job->out[job->nout++] = out;
  else
    chunk_unref(out);
}

/* False: this call has made as much as it may. */
static bool gunzip_room(GunzipFilter *filter, StageJob *job) {
  if (filter->z.avail_out > 0) return true;
  gunzip_take(filter, job);
  if (job->nout == STAGE_MAX_OUT) return false;
  filter->out = chunk_new(0);
  filter->z.next_out = (Bytef *)filter->out->data;
  filter->z.avail_out = (uInt)filter->out->size;
  return true;
}

/* Unpack until there is no more input, or no more room. */
static bool gunzip_run(GunzipFilter *filter, StageJob *job) {
  z_stream *z = &filter->z;
  for (;;) {
    if (filter->place != GUNZIP_MEMBER) {
      if (z->avail_in == 0) return true;
      if (!gunzip_look(filter, job)) return false;
      continue;
    }
    if (!gunzip_room(filter, job)) return true;
    int rc = inflate(z, Z_NO_FLUSH);
    if (rc == Z_STREAM_END) {
      filter->place = GUNZIP_BETWEEN;
      rc = inflateReset(z);
    }
    if (rc == Z_BUF_ERROR) return true; /* the last call had filled its room, and that was all */
    if (rc != Z_OK) return gunzip_bad(filter, job, rc);
    if (z->avail_in == 0 && z->avail_out > 0) return true;
  }
}

static bool gunzip_check_end(const GunzipFilter *filter, StageJob *job) {
  if (filter->place == GUNZIP_START) return err_set(&job->err, ERR_IO, "not gzip data: it is empty");
  if (filter->place != GUNZIP_MEMBER) return true;
  return err_set(&job->err, ERR_IO, "the gzip data is cut short after %llu bytes", gunzip_at(filter, job));
}

static bool gunzip_begin(GunzipFilter *filter, StageJob *job) {
  if (!filter->ready && inflateInit2(&filter->z, GUNZIP_WINDOW_BITS) != Z_OK) return gunzip_bad(filter, job, Z_MEM_ERROR);
  filter->ready = true;
  filter->z.next_in = job->in != NULL ? (z_const Bytef *)job->in->data + job->at : Z_NULL;
  filter->z.avail_in = job->in != NULL ? (uInt)(job->in->len - job->at) : 0;
  return true;
}

static bool gunzip_work(Stage *stage, StageJob *job) {
  GunzipFilter *filter = (GunzipFilter *)stage;
  if (!gunzip_begin(filter, job) || !gunzip_run(filter, job)) return false;
  gunzip_take(filter, job);
  if (job->in == NULL) return job->nout == STAGE_MAX_OUT || gunzip_check_end(filter, job);
  job->at = job->in->len - filter->z.avail_in;
  if (filter->z.avail_in == 0) filter->used += job->in->len;
  return true;
}

static void gunzip_free(Stage *stage) {
  GunzipFilter *filter = (GunzipFilter *)stage;
  if (filter->ready) inflateEnd(&filter->z);
  chunk_unref(filter->out); /* of a call that failed */
  free(filter);
}

static const StageClass gunzip_class = {.kind = "gunzip", .work = gunzip_work, .free = gunzip_free};

Stage *filter_gunzip(void) {
  GunzipFilter *filter = mem_alloc(sizeof *filter);
  stage_init(&filter->stage, &gunzip_class, NULL);
  return &filter->stage;
}
