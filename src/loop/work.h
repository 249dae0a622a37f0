/* work: CPU work or a blocking call on the thread pool, as an Op. */
#ifndef PGSH_LOOP_WORK_H
#define PGSH_LOOP_WORK_H

#include <stdatomic.h>

#include "loop/op.h"

typedef struct WorkOp {
  Op op;
  void *arg;                        /* owned by work: freed with free_arg */
  void (*run)(struct WorkOp *work); /* on a pool thread; must not touch anything of the loop; looks at `stop` between chunks;
                                       sets `failure` when it failed */
  void (*free_arg)(void *arg);
  Err failure;
  atomic_bool stop; /* set by a cancel */
  /* private */
  uv_work_t req;
} WorkOp;

/* Start `run` on the thread pool. Takes over `arg`. The returned Op is armed; caller holds one reference. */
WorkOp *work_start(Loop *loop, const char *name, void (*run)(WorkOp *), void *arg, void (*free_arg)(void *), int64_t timeout_ms);

#endif
