/* end_copy: COPY as a source and as a sink. The handle connects, and the transaction begins, as soon as the pipe opens it. */
#include <stdlib.h>

#include "loop/timer.h"
#include "stream/end.h"

/* Chunks are filled as far as the server is quick; what has come is not kept longer than this. */
#define LINGER_MS 10

typedef struct EndCopy {
  Stage stage;
  Loop *loop;
  Pg *pg;
  PgJob *job;
  PgOp *op;     /* NULL: not opened */
  Chunk *chunk; /* source: being filled; sink: being written */
  Op *linger;   /* source: the timer of what is in chunk */
  bool pulling; /* source: the pipe waits */
  bool over;    /* nothing more is to be told, but that it is closed */
  bool closing; /* stop was called */
} EndCopy;

static void copy_drop_chunk(EndCopy *e) {
  chunk_unref(e->chunk);
  e->chunk = NULL;
}

static void copy_drop_linger(EndCopy *e) {
  if (e->linger == NULL) return;
  op_on_settled(e->linger, NULL, NULL);
  op_cancel(e->linger, ERR_CANCELLED);
  op_unref(e->linger);
  e->linger = NULL;
}

/* ---- the end ---- */

static void copy_take_findings(EndCopy *e) {
  PgOp *op = e->op;
  int64_t rows = op->results != NULL ? op->results[0].affected : 0;
  if (op->notices != NULL) e->stage.said = mem_strdup(op->notices);
  if (e->job->copy != PG_COPY_IN) return;
  e->stage.count = rows > 0 ? (uint64_t)rows : 0;
  e->stage.settled_by = mem_strdup(op->settled_by);
}

static void copy_fail(EndCopy *e) {
  Err err = {0};
  err_copy(&err, &e->op->op.err);
  if (e->op->op.sent) err.code = ERR_UNKNOWN;
  stage_failed(&e->stage, &err);
}

/* It was asked to stop, and is at rest now. */
static void copy_close(EndCopy *e) {
  const Op *op = &e->op->op;
  copy_drop_chunk(e);
  if (op->err.code == ERR_NONE && e->job->copy == PG_COPY_IN) {
    copy_take_findings(e); /* the COMMIT had been on its way */
    stage_finished(&e->stage);
    return;
  }
  if (op->err.code != ERR_NONE && op->sent) copy_fail(e);
  stage_closed(&e->stage);
}

static void on_copy_settled(Op *op, void *arg) {
  EndCopy *e = arg;
  if (e->closing) {
    copy_close(e);
  } else if (op->err.code != ERR_NONE) {
    e->over = true;
    copy_fail(e);
  } else if (e->job->copy == PG_COPY_IN) {
    copy_take_findings(e);
    stage_finished(&e->stage);
  } else if (e->pulling) { /* else the next pull finds it */
    e->pulling = false;
    copy_take_findings(e);
    stage_ended(&e->stage);
  }
}

static void copy_stop(Stage *stage, ErrCode reason) {
  EndCopy *e = (EndCopy *)stage;
  e->closing = true;
  e->pulling = false;
  copy_drop_linger(e);
  if (!op_settled(&e->op->op)) {
    op_cancel(&e->op->op, reason); /* and on_copy_settled */
    return;
  }
  bool told = e->over;
  op_on_settled(&e->op->op, NULL, NULL);
  if (told)
    stage_closed(stage);
  else
    copy_close(e);
}

static void copy_free(Stage *stage) {
  EndCopy *e = (EndCopy *)stage;
  copy_drop_linger(e);
  copy_drop_chunk(e);
  if (e->op != NULL) {
    pg_copy_watch(e->op, NULL, NULL);
    op_on_settled(&e->op->op, NULL, NULL);
    op_unref(&e->op->op);
  }
  pg_job_unref(e->job);
  free(e);
}

/* ---- source ---- */

static void copy_pass_on(EndCopy *e) {
  Chunk *chunk = e->chunk;
  e->chunk = NULL;
  e->pulling = false;
  copy_drop_linger(e);
  stage_filled(&e->stage, chunk);
}

static void on_linger(Op *op, void *arg) {
  EndCopy *e = arg;
  e->linger = NULL;
  op_unref(op);
  if (e->pulling && !e->over && e->chunk != NULL && e->chunk->len > 0) copy_pass_on(e);
}

static void copy_fill(EndCopy *e) {
  if (e->chunk == NULL) e->chunk = chunk_new(0);
  Chunk *chunk = e->chunk;
  int64_t n = 0;
  while (chunk->len < chunk->size && (n = pg_copy_read(e->op, chunk->data + chunk->len, chunk->size - chunk->len)) > 0)
    chunk->len += (size_t)n;
  if (chunk->len == chunk->size || (n < 0 && chunk->len > 0)) {
    copy_pass_on(e);
  } else if (n < 0) {
    copy_drop_chunk(e);
    if (op_settled(&e->op->op)) op_on_settled(&e->op->op, on_copy_settled, e); /* told from the loop */
  } else if (chunk->len > 0 && e->linger == NULL) {
    e->linger = timer_start(e->loop, LINGER_MS, 0, NULL);
    op_on_settled(e->linger, on_linger, e);
  }
}

static void copy_pull(Stage *stage) {
  EndCopy *e = (EndCopy *)stage;
  if (e->over) return; /* it has failed between two pulls */
  e->pulling = true;
  copy_fill(e);
}

static void on_readable(void *arg) {
  EndCopy *e = arg;
  if (e->pulling) copy_fill(e);
}

/* ---- sink ---- */

static void on_taken(void *arg) {
  EndCopy *e = arg;
  if (e->chunk == NULL || e->closing) return;
  copy_drop_chunk(e);
  stage_taken(&e->stage);
}

static void copy_put(Stage *stage, Chunk *chunk) {
  EndCopy *e = (EndCopy *)stage;
  e->chunk = chunk;
  if (pg_copy_write(e->op, chunk->data, chunk->len)) on_taken(e);
}

static void copy_finish(Stage *stage) {
  stage_commits(stage);
  pg_copy_end(((EndCopy *)stage)->op);
}

/* ---- both ---- */

static bool copy_open(Stage *stage, Loop *loop, Err *err) {
  EndCopy *e = (EndCopy *)stage;
  if (e->pg == NULL) return err_set(err, ERR_CLOSED, "the handle is closed");
  e->loop = loop;
  e->op = pg_run(e->pg, e->job, 0, NULL);
  pg_copy_watch(e->op, e->job->copy == PG_COPY_OUT ? on_readable : on_taken, e);
  op_on_settled(&e->op->op, on_copy_settled, e);
  return true;
}

static const StageClass copy_out_class = {
    .kind = "copy_out", .open = copy_open, .pull = copy_pull, .stop = copy_stop, .free = copy_free};
static const StageClass copy_in_class = {
    .kind = "copy_in", .open = copy_open, .put = copy_put, .finish = copy_finish, .stop = copy_stop, .free = copy_free};

Stage *end_copy(Pg *pg, PgJob *job) {
  EndCopy *e = mem_alloc(sizeof *e);
  stage_init(&e->stage, job->copy == PG_COPY_OUT ? &copy_out_class : &copy_in_class, NULL);
  e->stage.size = -1;
  e->pg = pg;
  e->job = pg_job_ref(job);
  return &e->stage;
}
