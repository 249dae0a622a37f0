/* op: one operation in flight, that somebody waits for.
 *
 * A driver embeds an Op as the first member of its own structure. States: NEW → ARMED → (CANCELLING) → SETTLED. Settling is
 * idempotent: the first outcome wins. The waiter is told from the loop's deferred queue, never from inside the driver's
 * callback, also when the operation was ready at once.
 *
 * Memory is C's: two parties hold references, the one who waits (created with op_init) and the driver (op_ref for as long as
 * a foreign callback may still come). `destroy` of the class runs when the last reference goes and the timer is closed. */
#ifndef PGSH_LOOP_OP_H
#define PGSH_LOOP_OP_H

#include <stdint.h>

#include "base/err.h"
#include "loop/loop.h"

typedef struct Op Op;

typedef struct OpClass {
  const char *name; /* "psql.query": in errors and leak reports */
  /* Ask the driver to stop. It then settles (with whatever happened) as soon as the far side has confirmed; if it does not
   * within the grace period, op settles by itself with the reason. NULL: settle at once. */
  void (*cancel)(Op *op);
  /* Free what the structure owns AND the structure. NULL: free(op). */
  void (*destroy)(Op *op);
} OpClass;

typedef enum OpState { OP_NEW, OP_ARMED, OP_CANCELLING, OP_SETTLED } OpState;

struct Op {
  const OpClass *cls;
  Loop *loop;
  OpState state;
  ErrCode reason; /* why cancel was asked: ERR_TIMEOUT, ERR_INTERRUPTED, ERR_CANCELLED; else ERR_NONE */
  bool sent;      /* the driver sets it once the request may have had an effect on the far side */
  Err err;        /* the outcome; ERR_NONE = success */
  int64_t started_ms, settled_ms;
  int64_t stopped_ms; /* when a cancel was asked for */
  void (*waiter)(Op *op, void *arg);
  void *waiter_arg;
  char *deadline_name; /* which deadline is armed, for the message */
  /* private */
  Deferred deferred;
  uv_timer_t timer;
  bool timer_open;
  int refs;
};

/* Initialise; the caller holds one reference. */
void op_init(Op *op, Loop *loop, const OpClass *cls);
/* Start counting. timeout_ms <= 0: none. `deadline_name` names the deadline in the timeout's message (copied, may be NULL). */
void op_arm(Op *op, int64_t timeout_ms, const char *deadline_name);
/* Who is told. Call before it settles or after; told exactly once. NULL detaches. */
void op_on_settled(Op *op, void (*waiter)(Op *op, void *arg), void *arg);
/* Settle. op_fail takes over *err's content; when a cancel was asked for, the reason becomes the error's code and err's
 * message its detail, unless err is ERR_UNKNOWN. Later calls have no effect. */
void op_succeed(Op *op);
void op_fail(Op *op, Err *err);
/* Shorthand for op_fail with a formatted message. */
void op_fail_code(Op *op, ErrCode code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Ask to stop; `reason` as above. Before ARMED or after SETTLED: no effect. */
void op_cancel(Op *op, ErrCode reason);
bool op_settled(const Op *op);
Op *op_ref(Op *op);
void op_unref(Op *op);
/* How many Ops exist: a test of leaks. */
int op_alive(void);

#define OP_CANCEL_GRACE_MS 3000

#endif
