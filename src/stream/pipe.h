/* pipe: a stream from a source through filters to a sink, as an Op. See stage.h for what it is made of.
 *
 * One pass, bounded memory: between two stages at most PIPE_QUEUE chunks wait; a source is asked for more only when there is
 * room. The first failure wins and its message begins with the name of its stage; then every stage that is open is stopped, and
 * the Op settles when all are closed: children reaped, temporary files gone. A cancel or a deadline stops in the same way.
 *
 * op.sent is true when the sink has taken something that stays taken. Stopped after that because of another stage: ERR_UNKNOWN.
 */
#ifndef PGSH_STREAM_PIPE_H
#define PGSH_STREAM_PIPE_H

#include "loop/op.h"
#include "stream/stage.h"

#define PIPE_QUEUE 2
#define PIPE_TICK_MS 500

typedef struct PipeOp {
  Op op;
  Stage **stages; /* [0] the source, [nstages - 1] the sink */
  int nstages;
  int failed; /* which stage failed first; -1: none (yet), or the pipe was cancelled */
  /* private */
  struct PipeSlot *slots;
  struct PipeRun *run;
} PipeOp;

/* Start. Takes over the stages, also when it fails. Armed, or settled. The caller holds one reference.
 * timeout_ms <= 0: none. stall_ms <= 0: none; else ERR_TIMEOUT when no byte has moved for so long. */
PipeOp *pipe_start(Loop *loop, Stage *const *stages, int nstages, int64_t timeout_ms, const char *deadline_name,
                   int64_t stall_ms);
/* Is it a PipeOp? */
bool pipe_is(const Op *op);

#endif
