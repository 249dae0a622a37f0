/* pg_copy: the data of a COPY, between the one who reads or writes it (pg.h) and the connection. */
#include <string.h>

#include "net/pg_script.h"

static bool copy_is_over(const PgScript *s) { return s->cancelling || s->err.code != ERR_NONE; }

bool pg_script_copy_begin(PgScript *s, ExecStatusType status) {
  PgCopy copy = status == PGRES_COPY_OUT ? PG_COPY_OUT : status == PGRES_COPY_IN ? PG_COPY_IN : PG_COPY_NONE;
  PgCopy wanted = s->by_copy > 0 ? PG_COPY_OUT : s->job->copy;
  if (copy == PG_COPY_NONE || copy != wanted || s->phase != PHASE_STATEMENT || s->copied) return false;
  s->copied = true;
  pg_conn_copy_begin(s->conn, copy);
  if (!copy_is_over(s) && s->copy != NULL)
    s->copy->script = s;
  else if (copy == PG_COPY_IN)
    pg_conn_copy_end(s->conn, "stopped");
  return true;
}

/* ---- out ---- */

static void copy_drop_row(PgScript *s) {
  PQfreemem(s->row);
  s->row = NULL;
}

/* What is still to come is of no use. */
static void copy_drain(PgScript *s) {
  copy_drop_row(s);
  while (pg_conn_copy_get(s->conn, &s->row) > 0)
    copy_drop_row(s);
}

/* Fetch a row, unless there is one: its length; 0 and -1 as pg_conn_copy_get. */
static int64_t copy_fetch(PgScript *s) {
  if (s->row != NULL) return 1;
  int len = pg_conn_copy_get(s->conn, &s->row);
  s->row_at = 0;
  s->row_len = len > 0 ? (size_t)len : 0;
  return len;
}

int64_t pg_copy_read(PgOp *op, char *into, size_t room) {
  PgCopyState *c = &op->copy;
  PgScript *s = c->script;
  if (c->ended || op->chain == NULL) return -1;
  size_t done = 0;
  int64_t more = s != NULL;
  while (s != NULL && done < room && (more = copy_fetch(s)) > 0) {
    size_t n = s->row_len - s->row_at < room - done ? s->row_len - s->row_at : room - done;
    memcpy(into + done, s->row + s->row_at, n);
    s->row_at += n;
    done += n;
    if (s->row_at == s->row_len) copy_drop_row(s);
  }
  if (more < 0) {
    c->ended = true;
    c->script = NULL;
    pg_conn_resume(s->conn); /* the results follow; the script may be gone now */
    return done > 0 ? (int64_t)done : -1;
  }
  if (done > 0) return (int64_t)done;
  c->wanted = true;
  if (s != NULL) pg_conn_copy_wait(s->conn);
  return 0;
}

static void copy_out_ready(PgScript *s) {
  PgCopyState *c = s->copy;
  pg_conn_pause(s->conn);
  if (!c->wanted) return;
  c->wanted = false;
  if (c->ready != NULL) c->ready(c->arg);
}

/* ---- in ---- */

/* Hand over what can be; true when nothing is left of the piece. */
static bool copy_feed(PgScript *s) {
  PgCopyState *c = s->copy;
  while (c->piece_len > 0) {
    size_t n = pg_conn_copy_put(s->conn, c->piece, c->piece_len);
    if (n == 0) return false;
    c->piece += n;
    c->piece_len -= n;
  }
  c->piece = NULL;
  return true;
}

bool pg_copy_write(PgOp *op, const char *bytes, size_t len) {
  PgCopyState *c = &op->copy;
  if (op->chain == NULL || op->op.reason != ERR_NONE || c->ended) return false;
  c->piece = bytes;
  c->piece_len = len;
  return c->script != NULL && copy_feed(c->script);
}

void pg_copy_end(PgOp *op) {
  PgCopyState *c = &op->copy;
  if (op->chain == NULL || c->ended) return;
  c->ended = true;
  if (c->script != NULL) pg_conn_copy_end(c->script->conn, NULL);
}

static void copy_in_ready(PgScript *s) {
  PgCopyState *c = s->copy;
  bool had = c->piece != NULL;
  if (!copy_feed(s)) return;
  if (c->ended)
    pg_conn_copy_end(s->conn, NULL);
  else if (had && c->ready != NULL)
    c->ready(c->arg);
}

/* ---- the rows of a stream ---- */

static void copy_rows(PgScript *s) {
  PgRows *rows = &s->results[0].rows;
  int len;
  while ((len = pg_conn_copy_get(s->conn, &s->row)) > 0) {
    bool fits = pg_rows_append_line(rows, s->row, (size_t)len);
    copy_drop_row(s);
    if (!fits) {
      err_set(&s->err, ERR_INTERNAL, "the rows have other columns than were announced");
      pg_script_stop_on_server(s);
      copy_drain(s);
      return;
    }
    if (pg_script_pass_rows(s, false) && rows->nrows > 0) continue;
    if (s->err.code != ERR_NONE)
      copy_drain(s);
    else if (rows->nrows == 0) /* they were taken */
      pg_conn_yield(s->conn);
    return;
  }
  if (len < 0) pg_script_pass_rows(s, true);
}

/* ---- both ---- */

void pg_script_on_copy(void *arg) {
  PgScript *s = arg;
  if (s->conn->copy == PG_COPY_OUT && copy_is_over(s))
    copy_drain(s);
  else if (s->by_copy > 0)
    copy_rows(s);
  else if (s->conn->copy == PG_COPY_OUT)
    copy_out_ready(s);
  else if (!copy_is_over(s))
    copy_in_ready(s);
}

void pg_script_copy_stop(PgScript *s) {
  if (s->copy != NULL) {
    s->copy->script = NULL;
    s->copy->piece = NULL;
    s->copy->piece_len = 0;
  }
  if (s->conn->copy == PG_COPY_IN) pg_conn_copy_end(s->conn, "stopped");
}

void pg_copy_watch(PgOp *op, void (*ready)(void *arg), void *arg) {
  op->copy.ready = ready;
  op->copy.arg = arg;
}
