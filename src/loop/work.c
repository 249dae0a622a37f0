/* work: see work.h. */
#include "loop/work.h"

#include <stdlib.h>

#include "base/buf.h"

static void work_cancel(Op *op) {
  WorkOp *work = (WorkOp *)op;
  atomic_store(&work->stop, true);
}

static void work_destroy(Op *op) {
  WorkOp *work = (WorkOp *)op;
  if (work->free_arg != NULL) work->free_arg(work->arg);
  err_fini(&work->failure);
  free(work);
}

static const OpClass work_class = {"work", work_cancel, work_destroy};

static void on_work(uv_work_t *req) {
  WorkOp *work = req->data;
  work->run(work);
}

static void on_work_done(uv_work_t *req, int status) {
  WorkOp *work = req->data;
  (void)status;
  if (work->failure.code != ERR_NONE)
    op_fail(&work->op, &work->failure);
  else if (work->op.reason != ERR_NONE)
    op_fail_code(&work->op, work->op.reason, "stopped");
  else
    op_succeed(&work->op);
  op_unref(&work->op);
}

WorkOp *work_start(Loop *loop, const char *name, void (*run)(WorkOp *), void *arg, void (*free_arg)(void *), int64_t timeout_ms) {
  WorkOp *work = mem_alloc(sizeof *work);
  op_init(&work->op, loop, &work_class);
  atomic_init(&work->stop, false);
  work->run = run;
  work->arg = arg;
  work->free_arg = free_arg;
  work->req.data = op_ref(&work->op);
  op_arm(&work->op, timeout_ms, name);
  if (uv_queue_work(loop_uv(loop), &work->req, on_work, on_work_done) != 0) {
    op_fail_code(&work->op, ERR_INTERNAL, "the thread pool refused %s", name);
    op_unref(&work->op);
  }
  return work;
}
