/* op: see op.h. */
#include "loop/op.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"

static int op_count;

int op_alive(void) { return op_count; }

void op_init(Op *op, Loop *loop, const OpClass *cls) {
  memset(op, 0, sizeof *op);
  op->cls = cls;
  op->loop = loop;
  op->refs = 1;
  op_count++;
}

static void op_destroy(Op *op) {
  op_count--;
  err_fini(&op->err);
  free(op->deadline_name);
  if (op->cls->destroy != NULL)
    op->cls->destroy(op);
  else
    free(op);
}

static void on_timer_closed(uv_handle_t *handle) {
  Op *op = handle->data;
  op->timer_open = false;
  op_unref(op);
}

static void op_close_timer(Op *op) {
  if (op->timer_open && !uv_is_closing((uv_handle_t *)&op->timer)) uv_close((uv_handle_t *)&op->timer, on_timer_closed);
}

Op *op_ref(Op *op) {
  op->refs++;
  return op;
}

void op_unref(Op *op) {
  if (op != NULL && --op->refs == 0) op_destroy(op);
}

bool op_settled(const Op *op) { return op->state == OP_SETTLED; }

static void on_deferred(Deferred *d) {
  Op *op = (Op *)((char *)d - offsetof(Op, deferred));
  void (*waiter)(Op *, void *) = op->waiter;
  op->waiter = NULL;
  if (waiter != NULL) waiter(op, op->waiter_arg);
  op_unref(op); /* the queue's reference */
}

static void op_tell(Op *op) {
  if (op->waiter == NULL || op->deferred.queued) return;
  op->deferred.fn = on_deferred;
  op_ref(op);
  loop_defer(op->loop, &op->deferred);
}

void op_on_settled(Op *op, void (*waiter)(Op *op, void *arg), void *arg) {
  op->waiter = waiter;
  op->waiter_arg = arg;
  if (op->state == OP_SETTLED) op_tell(op);
}

static void op_settle(Op *op) {
  op->state = OP_SETTLED;
  op->settled_ms = clock_mono_ms();
  op_close_timer(op);
  op_tell(op);
}

void op_succeed(Op *op) {
  if (op->state != OP_SETTLED) op_settle(op);
}

/* What the operator reads when a cancelled operation settles: the reason first, what the driver saw as detail. */
static void op_apply_reason(Op *op, Err *err) {
  Err told = {0};
  if (op->reason == ERR_TIMEOUT) {
    char span[CLOCK_SPAN_SIZE];
    clock_span(op->stopped_ms - op->started_ms, span);
    const char *name = op->deadline_name;
    err_set(&told, op->reason, "no answer within %s%s%s%s", span, name != NULL ? " (" : "", name != NULL ? name : "",
            name != NULL ? ")" : "");
  } else {
    err_set(&told, op->reason, "%s", err_text(op->reason));
  }
  Buf seen = {0};
  buf_printf(&seen, "%s%s%s", err->message != NULL ? err->message : "", err->detail != NULL ? "\n" : "",
             err->detail != NULL ? err->detail : "");
  err_set_detail(&told, buf_str(&seen));
  buf_fini(&seen);
  err_set_target(&told, err->target);
  if (err->hint != NULL) err_set_hint(&told, "%s", err->hint);
  memcpy(told.sqlstate, err->sqlstate, sizeof told.sqlstate);
  told.status = err->status;
  told.exit_code = err->exit_code;
  told.signal = err->signal;
  err_move(err, &told);
}

void op_fail(Op *op, Err *err) {
  if (op->state == OP_SETTLED) {
    err_fini(err);
    return;
  }
  if (op->reason != ERR_NONE && err->code != ERR_UNKNOWN) op_apply_reason(op, err);
  err_move(&op->err, err);
  op_settle(op);
}

void op_fail_code(Op *op, ErrCode code, const char *format, ...) {
  Err err = {0};
  va_list args;
  Buf text = {0};
  va_start(args, format);
  buf_vprintf(&text, format, args);
  va_end(args);
  err_set(&err, code, "%s", buf_str(&text));
  buf_fini(&text);
  op_fail(op, &err);
}

static void op_give_up(Op *op) { op_fail_code(op, op->reason, "cancelled, and the far side did not confirm"); }

static void on_timer(uv_timer_t *timer) {
  Op *op = timer->data;
  if (op->state == OP_CANCELLING)
    op_give_up(op);
  else
    op_cancel(op, ERR_TIMEOUT);
}

static void op_start_timer(Op *op, int64_t ms) {
  if (!op->timer_open) {
    uv_timer_init(loop_uv(op->loop), &op->timer);
    op->timer.data = op_ref(op);
    op->timer_open = true;
  }
  uv_update_time(loop_uv(op->loop));
  uv_timer_start(&op->timer, on_timer, (uint64_t)(ms > 0 ? ms : 0), 0);
}

void op_arm(Op *op, int64_t timeout_ms, const char *deadline_name) {
  if (op->state != OP_NEW) return;
  op->state = OP_ARMED;
  op->started_ms = clock_mono_ms();
  if (deadline_name != NULL) op->deadline_name = mem_strdup(deadline_name);
  if (timeout_ms > 0) op_start_timer(op, timeout_ms);
}

void op_cancel(Op *op, ErrCode reason) {
  if (op->state != OP_ARMED) return;
  op->state = OP_CANCELLING;
  op->stopped_ms = clock_mono_ms();
  op->reason = reason;
  op_ref(op);
  if (op->cls->cancel == NULL)
    op_fail_code(op, reason, "no longer waited for");
  else {
    op_start_timer(op, OP_CANCEL_GRACE_MS);
    op->cls->cancel(op);
  }
  op_unref(op);
}
