/* stage: the contract of what a pipe is made of: a source, any number of filters, a sink.
 *
 * A stage is a structure that begins with a Stage. The pipe calls its class; it answers with the functions below. Nothing here
 * blocks; everything runs on the loop's thread except StageClass.work. Where a class's function may call back at once (from
 * inside pull, put, finish, stop) that is said.
 *
 *   source   pull → stage_filled | stage_ended | stage_failed     one pull at a time; no pull: nobody has room (back-pressure)
 *   filter   work (on a pool thread) → emit (on the loop's thread, in order)
 *   sink     put → stage_taken | stage_failed, …, finish → stage_finished | stage_failed
 *
 * The end of a stream is passed on only when all is well: a source says stage_ended when what it came from has itself ended
 * well (the child exited 0), a filter's last work has succeeded, and only then is finish called. So a sink that makes its work
 * last in finish (renames, commits, ends the child's input) never does so for a stream that was cut short. */
#ifndef PGSH_STREAM_STAGE_H
#define PGSH_STREAM_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"
#include "stream/chunk.h"

#define STAGE_MAX_OUT 8

typedef struct Stage Stage;

/* One piece of work of a filter. */
typedef struct StageJob {
  Chunk *in;                 /* NULL: there is nothing (more): the stream has ended */
  size_t at;                 /* sequential: the first byte of `in` that is not used yet; work moves it on. Parallel: always 0 */
  bool last;                 /* nothing follows */
  Chunk *before;             /* class with `looks_back`: the input before `in`; NULL: none */
  void *worker;              /* class with worker_new: one of its, used by nobody else meanwhile */
  Chunk *out[STAGE_MAX_OUT]; /* what came of it, in order; `in` itself may be among them (with a reference of its own) */
  int nout;
  uint32_t crc; /* for emit */
  Err err;
} StageJob;

typedef enum StageLeaves {
  STAGE_LEAVES_NOTHING, /* it says stage_commits when that changes */
  STAGE_LEAVES_PARTS,   /* a child that was fed half */
  STAGE_LEAVES_WHOLE,   /* a child that acts only once it has seen the end of its input, and all of it */
} StageLeaves;

typedef struct StageClass {
  const char *kind; /* "gzip": how errors and results call a stage that has no name of its own */

  /* ---- source and sink ---- */
  /* Begin (spawn, open, connect): called once, before anything else. May be NULL. False and err: it could not, and nothing of it
   * is open. What takes time is begun here and waited for in the first pull or put. */
  bool (*open)(Stage *stage, Loop *loop, Err *err);
  void (*pull)(Stage *stage);              /* source: more, please. May answer at once */
  void (*put)(Stage *stage, Chunk *chunk); /* sink: takes over the reference. May answer at once */
  void (*finish)(Stage *stage);            /* sink: everything was put. May answer at once */
  /* The pipe has failed or was cancelled: give up and take back what can be; then stage_closed, perhaps at once. Called once, at
   * most, on a stage that is open: not after stage_ended or stage_finished. A child is ended and reaped, a temporary file removed
   * first. `reason` as op_cancel's. NULL: nothing is open. */
  void (*stop)(Stage *stage, ErrCode reason);
  /* Sink: may what it has taken have had an effect when it is stopped? Then the outcome of the pipe is unknown. */
  StageLeaves leaves;

  /* ---- filter ---- */
  /* Use job->in (from job->at), add to job->out at most STAGE_MAX_OUT chunks. False and job->err: the stream is not what it
   * should be. On a pool thread, unless `quick`: then on the loop's. Sequential (parallel <= 1): one job at a time, in order, may
   * use what the stage holds. It may return with part of `in` unused when out is full: it is called again. At the end it is
   * called once more, with in NULL and last true (again as long as it fills STAGE_MAX_OUT). Parallel: several at once: must not
   * touch the stage; uses all of `in`, in one go. */
  bool (*work)(Stage *stage, StageJob *job);
  /* In the stream's order, before the output is passed on: what one job after the other has to do. May change job->out. May be
   * NULL. False and job->err: as work. */
  bool (*emit)(Stage *stage, StageJob *job);
  int parallel;    /* how many jobs at once; 0 and 1: sequential */
  size_t gather;   /* parallel: `in` is cut to exactly so many bytes (the last one may be shorter); 0: as it comes */
  bool looks_back; /* job->before is wanted */
  bool passes;     /* what comes out is what came in */
  bool quick;      /* so little work that a thread is not worth it */
  void *(*worker_new)(Stage *stage); /* memory that a parallel job needs and that is worth keeping; NULL when out of memory */
  void (*worker_free)(void *worker);

  void (*lines_done)(Stage *stage); /* made with EndLines (end.h): the reader has had every line. Else NULL */
  void (*tick)(Stage *stage);       /* twice a second while the pipe runs; may be NULL */
  void (*free)(Stage *stage);       /* the structure and what it owns. Nothing is open any more. NULL: free(stage) */
} StageClass;

struct Stage {
  const StageClass *cls;
  char *name;                   /* owned; NULL: the class's kind */
  uint64_t in_bytes, out_bytes; /* counted by the pipe */
  /* What it found out, for the result; valid once the pipe has succeeded. */
  int64_t size; /* source: how many bytes will come, if all goes well; -1: not known. Set by open at the latest */
  char *label;  /* owned: under which name `found` is given; NULL: under its kind */
  char *found;  /* owned: a digest in hexadecimal, the head, what a child printed; NULL: nothing */
  size_t found_len;
  char *said;       /* owned: the end of a child's standard error; NULL: nothing */
  uint64_t count;   /* replace: how many; COPY: rows */
  char *settled_by; /* owned; sink: how it was found out that it is done, when the answer was lost; NULL: it was answered */
  /* private to the pipe */
  struct PipeSlot *slot;
};

/* Initialise a zeroed structure. name may be NULL (copied). */
void stage_init(Stage *stage, const StageClass *cls, const char *name);
/* Free one that no pipe has taken over (or let its pipe do it). NULL is fine. */
void stage_free(Stage *stage);
const char *stage_name(const Stage *stage);

/* ---- answers ---- */

void stage_filled(Stage *stage, Chunk *chunk); /* source: takes over the reference; len > 0 */
void stage_ended(Stage *stage);                /* source: no more, and all was well; nothing of it is open any more */
void stage_taken(Stage *stage);                /* sink: the next one, please */
/* Sink, while it finishes: what it does next may take effect without being answered, so the outcome of the pipe could be unknown
 * from now on. After stop, when that has happened all the same, it says stage_finished; when it cannot be told, stage_failed with
 * ERR_UNKNOWN and then stage_closed; stage_closed alone: it did not happen. */
void stage_commits(Stage *stage);
void stage_finished(Stage *stage); /* sink: it lasts; nothing of it is open any more */
/* Source or sink, at any time, once: takes over err's content. It is still open: stop comes (perhaps from inside). */
void stage_failed(Stage *stage, Err *err);
void stage_closed(Stage *stage); /* after stop */
/* What the pipe knows of the bytes that come out of the source: -1: not known. For a meter. */
int64_t stage_expected(const Stage *stage);

#endif
