/* pg_stream: rows in constant memory. The script is paused with a batch at hand; the socket is not read meanwhile, so that the
 * server waits too. */
#include <stdlib.h>

#include "loop/timer.h"
#include "net/pg_chain.h"

/* A stream that was given up is cancelled and drained so that its connection lives on; at most for so long. */
#define DRAIN_MS 5000

struct PgStream {
  Loop *loop;
  Pg *pg; /* NULL: the connection is not ours (any more) */
  PgScript *script;
  size_t at;     /* the next row of the batch */
  bool ended;    /* the script is done */
  bool orphan;   /* the handle was closed under it */
  bool draining; /* nobody wants it any more; it frees itself */
  PgOp *next;    /* who waits for a batch */
  Op *timer;     /* of draining */
};

static void stream_free(PgStream *st) {
  if (st->timer != NULL) {
    op_on_settled(st->timer, NULL, NULL);
    op_cancel(st->timer, ERR_CANCELLED);
    op_unref(st->timer);
  }
  pg_script_free(st->script);
  free(st);
}

static void stream_settle_next(PgStream *st, Err *err) {
  PgOp *op = st->next;
  st->next = NULL;
  if (op == NULL) {
    err_fini(err);
    return;
  }
  op->stream = NULL;
  if (err->code == ERR_NONE)
    op_succeed(&op->op);
  else
    op_fail(&op->op, err);
  op_unref(&op->op);
}

/* The connection is free for others. */
static void stream_leave(PgStream *st, bool lost) {
  Pg *pg = st->pg;
  st->pg = NULL;
  st->ended = true;
  if (pg == NULL) return;
  pg->stream = NULL;
  if (lost) {
    pg_conn_close(pg->conn);
    pg->conn = NULL;
  }
  if (st->draining) stream_free(st);
  if (pg->chain != NULL) pg_chain_unblock(pg->chain);
}

static void on_stream_batch(void *arg) {
  PgStream *st = arg;
  Err none = {0};
  st->at = 0;
  stream_settle_next(st, &none);
}

static void on_stream_done(void *arg, Err *err) {
  PgStream *st = arg;
  bool draining = st->draining;
  Err outcome = {0};
  err_move(&outcome, err);
  st->ended = true;
  st->at = 0;
  if (outcome.code != ERR_NONE) pg_rows_clear(&st->script->results[0].rows);
  if (!draining) stream_settle_next(st, &outcome);
  err_fini(&outcome);
  stream_leave(st, st->script->lost);
}

static const PgScriptEvents stream_events = {on_stream_batch, on_stream_done};

PgStream *pg_stream_new(Pg *pg, PgScript *script, bool ended) {
  PgStream *st = mem_alloc(sizeof *st);
  st->loop = pg->loop;
  st->script = script;
  script->events = &stream_events;
  script->arg = st;
  script->owner = NULL; /* a read */
  st->ended = ended;
  if (ended && script->lost) {
    pg_conn_close(pg->conn);
    pg->conn = NULL;
  }
  if (!ended) {
    st->pg = pg;
    pg->stream = st;
  }
  return st;
}

bool pg_stream_row(PgStream *st, const PgRows **rows, size_t *row) {
  *rows = &st->script->results[0].rows;
  if (st->at >= (*rows)->nrows) return false;
  *row = st->at++;
  return true;
}

bool pg_stream_ended(const PgStream *st) { return st->ended && st->at >= st->script->results[0].rows.nrows; }

bool pg_stream_is_draining(const PgStream *st) { return st->draining; }

static void next_cancel(Op *op) {
  PgStream *st = ((PgOp *)op)->stream;
  if (st != NULL) pg_script_cancel(st->script);
}

static const OpClass next_class = {"psql.each", next_cancel, NULL};

PgOp *pg_stream_next(PgStream *st, int64_t timeout_ms, const char *deadline_name) {
  PgOp *op = mem_alloc(sizeof *op);
  Loop *loop = st->loop;
  op_init(&op->op, loop, &next_class);
  op_arm(&op->op, timeout_ms, deadline_name);
  if (st->orphan)
    op_fail_code(&op->op, ERR_CLOSED, "the handle was closed");
  else if (st->next != NULL)
    op_fail_code(&op->op, ERR_BUSY, "another task waits for the next row");
  else if (st->ended)
    op_succeed(&op->op);
  if (op_settled(&op->op)) return op;
  op_ref(&op->op);
  op->stream = st; /* borrowed, for cancel */
  st->next = op;
  st->at = 0;
  pg_script_resume(st->script);
  return op;
}

static void on_drain_limit(Op *op, void *arg) {
  PgStream *st = arg;
  (void)op;
  stream_leave(st, true);
}

void pg_stream_orphan(PgStream *st) {
  Err err = {0};
  err_set(&err, ERR_CLOSED, "the handle was closed");
  st->pg = NULL;
  st->orphan = true;
  pg_rows_clear(&st->script->results[0].rows);
  stream_settle_next(st, &err);
  if (st->draining) stream_free(st);
}

void pg_stream_close(PgStream *st) {
  if (st == NULL || st->draining) return;
  if (st->pg == NULL) {
    stream_free(st);
    return;
  }
  Err err = {0};
  err_set(&err, ERR_CLOSED, "the iterator was closed");
  stream_settle_next(st, &err);
  st->draining = true;
  st->timer = timer_start(st->pg->loop, DRAIN_MS, 0, NULL);
  op_on_settled(st->timer, on_drain_limit, st);
  pg_script_cancel(st->script);
}
