/* timer: see timer.h. */
#include "loop/timer.h"

#include <stdlib.h>

#include "base/buf.h"

typedef struct TimerOp {
  Op op;
  uv_timer_t delay;
} TimerOp;

static void on_closed(uv_handle_t *handle) { op_unref(handle->data); }

static void timer_stop(TimerOp *t) {
  if (!uv_is_closing((uv_handle_t *)&t->delay)) uv_close((uv_handle_t *)&t->delay, on_closed);
}

static void on_delay(uv_timer_t *delay) {
  TimerOp *t = delay->data;
  timer_stop(t);
  op_succeed(&t->op);
}

static void timer_cancel(Op *op) {
  TimerOp *t = (TimerOp *)op;
  timer_stop(t);
  op_fail_code(op, op->reason, "the wait was stopped");
}

static const OpClass timer_class = {"wait", timer_cancel, NULL};

Op *timer_start(Loop *loop, int64_t delay_ms, int64_t timeout_ms, const char *deadline_name) {
  TimerOp *t = mem_alloc(sizeof *t);
  op_init(&t->op, loop, &timer_class);
  uv_timer_init(loop_uv(loop), &t->delay);
  t->delay.data = op_ref(&t->op);
  op_arm(&t->op, timeout_ms, deadline_name);
  uv_update_time(loop_uv(loop));
  uv_timer_start(&t->delay, on_delay, (uint64_t)(delay_ms > 0 ? delay_ms : 0), 0);
  return &t->op;
}
