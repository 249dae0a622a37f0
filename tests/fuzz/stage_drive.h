/* stage_drive: plays the pipe for filters, in one thread, and checks that they keep the contract of stage.h.
 *
 * Drives may be chained (`next`). What the contract leaves open is chosen by `seed`: how many parallel jobs run at once and in which
 * order they end, whether the last piece of input says so or is followed by an empty job. Nothing of src/stream is needed but the
 * filter: chunks and the few functions of stage.h a filter calls are here (weak: the real ones win when they are linked). */
#ifndef PGSH_STAGE_DRIVE_H
#define PGSH_STAGE_DRIVE_H

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "stream/stage.h"

#define DRIVE_MAX_JOBS 8
#define DRIVE_CHECK(what) ((what) ? (void)0 : abort())

typedef struct Drive {
  Stage *stage; /* freed by drive_end */
  struct Drive *next;
  void (*got)(void *arg, const Chunk *chunk); /* instead of out and next */
  void *arg;
  uint32_t seed;
  bool trusting; /* for measurements: no checks that read the data */
  /* what came of it */
  Buf out;
  Err err;
  uint64_t count;
  char *found;
  size_t found_len;
  /* private */
  bool failed;
  StageJob jobs[DRIVE_MAX_JOBS];
  int njobs, batch;
  void *workers[DRIVE_MAX_JOBS];
  int nworkers;
  Chunk *gathered, *before;
  Chunk *passed; /* the last one passed on, and what it held then */
  uint64_t passed_sum;
} Drive;

/* ---- what chunk.c, stage.c and pipe.c would do ---- */

/* Chunks are used again, since fresh ones are slow under a sanitizer; it is told when they are nobody's. */
static Chunk *drive_free;

__attribute__((weak)) Chunk *chunk_new(size_t size) {
  if (size == 0) size = CHUNK_BYTES;
  Chunk *chunk = size == CHUNK_BYTES ? drive_free : NULL;
  if (chunk != NULL)
    drive_free = chunk->next;
  else
    chunk = malloc(sizeof *chunk + size);
  *chunk = (Chunk){.size = size, .refs = 1};
  ASAN_UNPOISON_MEMORY_REGION(chunk->data, size);
  return chunk;
}
__attribute__((weak)) Chunk *chunk_ref(Chunk *chunk) {
  DRIVE_CHECK(chunk->refs > 0);
  chunk->refs++;
  return chunk;
}
__attribute__((weak)) void chunk_unref(Chunk *chunk) {
  if (chunk == NULL) return;
  DRIVE_CHECK(chunk->refs > 0);
  if (--chunk->refs > 0) return;
  if (chunk->size == CHUNK_BYTES) {
    ASAN_POISON_MEMORY_REGION(chunk->data, CHUNK_BYTES);
    chunk->next = drive_free;
    drive_free = chunk;
  } else {
    free(chunk);
  }
}
__attribute__((weak)) void stage_init(Stage *stage, const StageClass *cls, const char *name) {
  stage->cls = cls;
  stage->size = -1;
  stage->name = mem_strdup(name);
}
__attribute__((weak)) void stage_free(Stage *stage) {
  if (stage == NULL) return;
  free(stage->name);
  free(stage->label);
  free(stage->found);
  free(stage->said);
  if (stage->cls->free != NULL)
    stage->cls->free(stage);
  else
    free(stage);
}
__attribute__((weak)) int64_t stage_expected(const Stage *stage) {
  (void)stage;
  return -1;
}

/* ---- the drive ---- */

static inline uint32_t drive_random(Drive *drive, uint32_t below) {
  drive->seed = drive->seed * 1664525u + 1013904223u;
  return (drive->seed >> 8) % below;
}

static inline uint64_t drive_sum(const Drive *drive, const Chunk *chunk) {
  uint64_t sum = 14695981039346656037u;
  if (chunk == NULL || drive->trusting) return 0;
  for (size_t i = 0; i < chunk->len; i += 1 + chunk->len / 4096) /* of a long one a sample */
    sum = (sum ^ (unsigned char)chunk->data[i]) * 1099511628211u;
  return sum;
}

static inline void drive_feed(Drive *drive, Chunk *chunk);

static inline void drive_pass(Drive *drive, Chunk *chunk) {
  DRIVE_CHECK(drive->passed == NULL || drive_sum(drive, drive->passed) == drive->passed_sum); /* nobody wrote to it since */
  chunk_unref(drive->passed);
  drive->passed = chunk_ref(chunk);
  drive->passed_sum = drive_sum(drive, chunk);
  if (drive->got != NULL)
    drive->got(drive->arg, chunk);
  else if (drive->next != NULL && chunk->len > 0)
    drive_feed(drive->next, chunk_ref(chunk));
  else
    buf_add(&drive->out, chunk->data, chunk->len);
  chunk_unref(chunk);
}

static inline void drive_work(Drive *drive, StageJob *job) {
  size_t at = job->at;
  uint64_t in = drive_sum(drive, job->in), before = drive_sum(drive, job->before);
  bool good = drive->stage->cls->work(drive->stage, job);
  DRIVE_CHECK(good == (job->err.code == ERR_NONE));
  DRIVE_CHECK(in == drive_sum(drive, job->in) && before == drive_sum(drive, job->before));
  DRIVE_CHECK(job->nout <= STAGE_MAX_OUT && job->at >= at && (job->in == NULL || job->at <= job->in->len));
  if (good && job->in != NULL && drive->stage->cls->parallel <= 1) DRIVE_CHECK(job->nout > 0 || job->at > at);
}

/* emit, and pass on what the job made. */
static inline void drive_emit(Drive *drive, StageJob *job) {
  if (!drive->failed && job->err.code == ERR_NONE && drive->stage->cls->emit != NULL) {
    bool good = drive->stage->cls->emit(drive->stage, job);
    DRIVE_CHECK(good == (job->err.code == ERR_NONE) && job->nout <= STAGE_MAX_OUT);
  }
  if (job->err.code != ERR_NONE && !drive->failed) {
    drive->failed = true;
    err_move(&drive->err, &job->err);
  }
  for (int i = 0; i < job->nout; i++) {
    DRIVE_CHECK(job->out[i]->refs > 0 && job->out[i]->len <= job->out[i]->size);
    if (drive->failed)
      chunk_unref(job->out[i]);
    else
      drive_pass(drive, job->out[i]);
  }
  job->nout = 0;
}

static inline void drive_drop(StageJob *job) {
  chunk_unref(job->in);
  chunk_unref(job->before);
  err_fini(&job->err);
}

static inline void drive_sequential(Drive *drive, Chunk *in, bool last) {
  StageJob job = {.in = in, .last = last};
  int made;
  do {
    drive_work(drive, &job);
    made = job.nout;
    drive_emit(drive, &job);
  } while (!drive->failed && (in != NULL ? job.at < in->len : made == STAGE_MAX_OUT));
  drive_drop(&job);
}

/* The jobs that were collected: worked in some order, let out in theirs. */
static inline void drive_run_jobs(Drive *drive) {
  bool done[DRIVE_MAX_JOBS] = {false};
  for (int n = 0; n < drive->njobs; n++) {
    int i = (int)drive_random(drive, (uint32_t)drive->njobs);
    while (done[i])
      i = (i + 1) % drive->njobs;
    done[i] = true;
    drive_work(drive, &drive->jobs[i]);
  }
  for (int i = 0; i < drive->njobs; i++) {
    StageJob *job = &drive->jobs[i];
    drive_emit(drive, job);
    if (job->worker != NULL) drive->workers[drive->nworkers++] = job->worker;
    drive_drop(job);
  }
  drive->njobs = 0;
}

static inline void drive_parallel(Drive *drive, Chunk *in, bool last) {
  const StageClass *cls = drive->stage->cls;
  if (drive->njobs == 0) drive->batch = 1 + (int)drive_random(drive, (uint32_t)cls->parallel);
  StageJob *job = &drive->jobs[drive->njobs++];
  *job = (StageJob){.in = in, .last = last};
  if (cls->worker_new != NULL) job->worker = drive->nworkers > 0 ? drive->workers[--drive->nworkers] : cls->worker_new(drive->stage);
  if (cls->looks_back) {
    job->before = drive->before;
    drive->before = in != NULL ? chunk_ref(in) : NULL;
  }
  if (last || drive->njobs == drive->batch) drive_run_jobs(drive);
}

static inline void drive_job(Drive *drive, Chunk *in, bool last) {
  if (drive->failed)
    chunk_unref(in);
  else if (drive->stage->cls->parallel > 1)
    drive_parallel(drive, in, last);
  else
    drive_sequential(drive, in, last);
}

/* Takes over the reference. */
static inline void drive_feed(Drive *drive, Chunk *chunk) {
  size_t want = drive->stage->cls->gather, used = 0;
  if (want == 0 || (drive->gathered == NULL && chunk->len == want)) {
    drive_job(drive, chunk, false);
    return;
  }
  while (used < chunk->len) {
    if (drive->gathered == NULL) drive->gathered = chunk_new(want);
    Chunk *to = drive->gathered;
    size_t part = chunk->len - used < want - to->len ? chunk->len - used : want - to->len;
    memcpy(to->data + to->len, chunk->data + used, part);
    to->len += part;
    used += part;
    if (to->len < want) break;
    drive->gathered = NULL;
    drive_job(drive, to, false);
  }
  chunk_unref(chunk);
}

/* Let the bytes in, cut into pieces of 1 to `most` bytes. */
static inline void drive_bytes(Drive *drive, const void *bytes, size_t len, size_t most) {
  const char *at = bytes;
  while (len > 0) {
    size_t part = 1 + drive_random(drive, (uint32_t)most);
    if (part > len) part = len;
    Chunk *chunk = chunk_new(part);
    memcpy(chunk->data, at, part);
    chunk->len = part;
    drive_feed(drive, chunk);
    at += part;
    len -= part;
  }
}

/* The end of the input, also for the drives behind it. False: one of them has failed. Frees the stages; keeps out, err, found. */
static inline bool drive_end(Drive *drive) {
  Stage *stage = drive->stage;
  Chunk *rest = drive->gathered;
  bool last = rest == NULL || drive_random(drive, 2) == 0;
  drive->gathered = NULL;
  drive_job(drive, rest, last);
  if (!last) drive_job(drive, NULL, true);
  drive_run_jobs(drive); /* after a failure: what was collected */
  while (drive->nworkers > 0)
    stage->cls->worker_free(drive->workers[--drive->nworkers]);
  chunk_unref(drive->before);
  if (drive->passed != NULL) DRIVE_CHECK(drive_sum(drive, drive->passed) == drive->passed_sum);
  chunk_unref(drive->passed);
  drive->count = stage->count;
  drive->found = stage->found;
  drive->found_len = stage->found_len;
  stage->found = NULL;
  stage_free(stage);
  bool good = drive->next == NULL || drive_end(drive->next);
  return good && !drive->failed;
}

static inline void drive_fini(Drive *drive) {
  buf_fini(&drive->out);
  err_fini(&drive->err);
  free(drive->found);
}

#endif
