/* pg_script: see pg_script.h.
 *
 *   transaction      BEGIN [; SET LOCAL …] → statement… → [transaction id → the noter] → COMMIT
 *   no transaction   [SET …] → statement → [RESET …]
 *   an error         ROLLBACK, then done with the first error
 *
 * The transaction id is asked for in front of COMMIT so that a COMMIT whose answer got lost can be looked up afterwards. */
#include "net/pg_script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"
#include "net/pg_guard.h"
#include "net/pg_note.h"

#define CANCEL_AGAIN_MS 250

/* The server writes rows of COPY much faster than rows of a query, and libpq reads them faster. */
#define COPY_FRONT "copy ("
#define COPY_BACK "\n) to stdout" /* the query may end in a comment */

static void script_send(PgScript *s);

static bool script_is_change(const PgScript *s) { return !s->job->read && !s->job->listen; }

static void script_mark_sent(PgScript *s, bool sent) {
  if (s->owner != NULL) s->owner->sent = sent;
}

static void script_finish(PgScript *s) {
  s->phase = PHASE_DONE;
  pg_conn_use(s->conn, NULL, NULL);
  Err err = {0};
  err_move(&err, &s->err);
  s->events->on_done(s->arg, &err);
}

/* ---- the order of things ---- */

static PgPhase phase_after_statements(const PgScript *s) {
  if (!s->in_transaction) return s->job->lock_timeout_ms > 0 || s->job->statement_timeout_ms > 0 ? PHASE_RESET : PHASE_DONE;
  if (s->job->read || s->conn->identity.server_version < 100000) return PHASE_COMMIT;
  return PHASE_XID;
}

static PgPhase phase_after_failure(const PgScript *s) {
  if (s->phase == PHASE_ROLLBACK || s->phase == PHASE_RESET) return PHASE_DONE;
  if (s->in_transaction && PQtransactionStatus(s->conn->pg) != PQTRANS_IDLE) return PHASE_ROLLBACK;
  return s->in_transaction ? PHASE_DONE : phase_after_statements(s);
}

static PgPhase phase_next(PgScript *s) {
  switch (s->phase) {
  case PHASE_BEGIN:
    s->index = 0;
    /* Without columns COPY gives a row as an empty line, like one of an empty text. */
    if (s->by_copy > 0 && s->results[0].rows.ncolumns == 0) s->by_copy = 0;
    return s->job->nstatements > 0 ? PHASE_STATEMENT : phase_after_statements(s);
  case PHASE_STATEMENT:
    if (s->job->listen) return s->index == 0 ? PHASE_LISTEN : PHASE_DONE;
    return ++s->index < s->job->nstatements ? PHASE_STATEMENT : phase_after_statements(s);
  case PHASE_LISTEN:
    s->index = 1; /* the second statement is the UNLISTEN */
    return PHASE_STATEMENT;
  case PHASE_XID: return PHASE_COMMIT;
  default: return PHASE_DONE;
  }
}

/* From here on it can happen without this process. */
static bool script_note(PgScript *s) {
  const PgNoter *noter = &s->job->noter;
  const PgIdentity *id = &s->conn->identity;
  if (!script_is_change(s) || noter->before_commit == NULL) return true;
  PgNote note = {0};
  Buf text = {0};
  memcpy(note.xid, s->xid, sizeof note.xid);
  memcpy(note.lsn, s->lsn, sizeof note.lsn);
  memcpy(note.timeline, id->timeline, sizeof note.timeline);
  memcpy(note.epoch, id->epoch, sizeof note.epoch);
  memcpy(note.system, id->system_identifier, sizeof note.system);
  pg_note_write(&note, &text);
  bool kept = noter->before_commit(noter->self, noter->number, buf_str(&text), &s->err);
  if (!kept && s->err.code == ERR_NONE) err_set(&s->err, ERR_INTERNAL, "what the COMMIT is to be looked up by could not be kept");
  buf_fini(&text);
  return kept;
}

/* What follows when all is well so far; a COMMIT only when that may be. */
static PgPhase script_next(PgScript *s) {
  PgPhase next = phase_next(s);
  if (next != PHASE_COMMIT || script_note(s)) return next;
  script_mark_sent(s, false);
  return phase_after_failure(s);
}

static void script_go_on(PgScript *s) {
  /* Between a cancel and its arrival nothing new is sent, or it might hit that. */
  if (s->cancel_work != NULL) {
    s->held = true;
    return;
  }
  if (s->cancelling && s->err.code == ERR_NONE && s->phase < PHASE_COMMIT && (s->in_transaction || s->phase == PHASE_BEGIN))
    err_set(&s->err, ERR_CANCELLED, "stopped before the end of the transaction, which was rolled back");
  if (s->cancelling && s->job->listen && s->err.code == ERR_NONE) err_set(&s->err, ERR_CANCELLED, "stopped while listening");
  if (s->err.code != ERR_NONE) script_mark_sent(s, false); /* the server has answered */
  s->phase = s->err.code != ERR_NONE ? phase_after_failure(s) : script_next(s);
  if (s->phase == PHASE_DONE)
    script_finish(s);
  else
    script_send(s);
}

/* ---- sending ---- */

static void add_settings(Buf *sql, const PgScript *s, const char *set) {
  if (s->job->lock_timeout_ms > 0) buf_printf(sql, "; %s lock_timeout = %lld", set, (long long)s->job->lock_timeout_ms);
  if (s->job->statement_timeout_ms > 0)
    buf_printf(sql, "; %s statement_timeout = %lld", set, (long long)s->job->statement_timeout_ms);
}

/* The query's columns come with the same trip. */
static void script_send_describe(PgScript *s) {
  char lock[64], statement[64];
  const char *first[4] = {"begin read only"};
  int n = 1;
  snprintf(lock, sizeof lock, "set local lock_timeout = %lld", (long long)s->job->lock_timeout_ms);
  snprintf(statement, sizeof statement, "set local statement_timeout = %lld", (long long)s->job->statement_timeout_ms);
  if (s->job->lock_timeout_ms > 0) first[n++] = lock;
  if (s->job->statement_timeout_ms > 0) first[n++] = statement;
  pg_conn_describe(s->conn, first, s->job->statements[0].sql);
}

static void script_send_begin(PgScript *s) {
  Buf sql = {0};
  if (s->in_transaction) {
    buf_add_str(&sql, s->job->read ? "begin read only" : "begin");
    add_settings(&sql, s, "set local");
  } else {
    /* Also without settings: a connection that died unnoticed is found out before the statement is let go. */
    buf_add_str(&sql, "select 1");
    add_settings(&sql, s, "set");
  }
  pg_conn_send_text(s->conn, buf_str(&sql));
  buf_fini(&sql);
}

static void script_send_statement(PgScript *s) {
  /* Outside a transaction, or with a function that a rollback does not take back, losing the answer means not knowing. */
  if (script_is_change(s) && (!s->in_transaction || s->acts)) script_mark_sent(s, true);
  if (s->by_copy > 0) {
    PgStatement copy = {.expect = -1};
    Buf sql = {0};
    buf_add_str(&sql, COPY_FRONT);
    buf_add(&sql, s->job->statements[0].sql, s->by_copy);
    buf_add_str(&sql, COPY_BACK);
    copy.sql = sql.data;
    pg_conn_send(s->conn, &copy);
    buf_fini(&sql);
    return;
  }
  /* By the simple protocol, after an error in COPY FROM the server is ready again without another Sync. */
  if (s->job->copy == PG_COPY_IN)
    pg_conn_send_text(s->conn, s->job->statements[s->index].sql);
  else
    pg_conn_send(s->conn, &s->job->statements[s->index]);
}

static void script_send_xid(PgScript *s) {
  const PgIdentity *id = &s->conn->identity;
  Buf sql = {0};
  buf_printf(&sql, "select pg_catalog.%s()",
             id->server_version >= 130000 ? "pg_current_xact_id_if_assigned" : "txid_current_if_assigned");
  /* An error here would abort the change: nothing is asked that did not work when the connection was made. */
  if (id->epoch[0] != '\0')
    buf_add_str(&sql, ", case when pg_catalog.pg_is_in_recovery() then null else pg_catalog.pg_current_wal_insert_lsn() end");
  pg_conn_send_text(s->conn, buf_str(&sql));
  buf_fini(&sql);
}

static void script_send(PgScript *s) {
  switch (s->phase) {
  case PHASE_BEGIN:
    if (s->by_copy > 0)
      script_send_describe(s);
    else
      script_send_begin(s);
    break;
  case PHASE_STATEMENT: script_send_statement(s); break;
  case PHASE_LISTEN: pg_conn_listen(s->conn, true); break;
  case PHASE_XID: script_send_xid(s); break;
  case PHASE_COMMIT:
    if (script_is_change(s)) script_mark_sent(s, true);
    pg_conn_send_text(s->conn, "commit");
    break;
  case PHASE_ROLLBACK: pg_conn_send_text(s->conn, "rollback"); break;
  case PHASE_RESET: pg_conn_send_text(s->conn, "reset lock_timeout; reset statement_timeout"); break;
  case PHASE_DONE: break;
  }
}

/* ---- results ---- */

static void script_check_limit(PgScript *s) {
  PgRows *rows = &s->results[s->index].rows;
  if (s->job->limit_bytes <= 0 || s->taken_bytes + pg_rows_bytes(rows) <= (size_t)s->job->limit_bytes) return;
  err_set(&s->err, ERR_LIMIT, "the result is larger than %lld bytes", (long long)s->job->limit_bytes);
  err_set_hint(&s->err, "use :each, which needs constant memory, or raise the limit option");
  pg_rows_clear(rows);
  /* In a transaction the rest is of no use; a statement on its own is let finish, since it takes effect anyway. */
  if (s->in_transaction) pg_script_stop_on_server(s);
}

static void script_give_rows(PgScript *s, PgRows *rows) {
  s->taken_bytes += pg_rows_bytes(rows);
  if (!s->job->taker.take(s->job->taker.self, rows, &s->err)) pg_script_stop_on_server(s);
  pg_rows_clear(rows);
}

bool pg_script_pass_rows(PgScript *s, bool all) {
  PgRows *rows = &s->results[s->index].rows;
  bool enough = rows->nrows >= PG_BATCH_ROWS || pg_rows_bytes(rows) >= PG_BATCH_BYTES;
  if (s->job->stream && enough) {
    pg_conn_pause(s->conn);
    s->events->on_batch(s->arg);
    return false;
  }
  if (!s->job->stream) script_check_limit(s);
  if (s->job->taker.take != NULL && s->err.code == ERR_NONE && rows->nrows > 0 && (enough || all)) script_give_rows(s, rows);
  return s->err.code == ERR_NONE;
}

static void script_rows(PgScript *s, const PGresult *res) {
  PgRows *rows = &s->results[s->index].rows;
  pg_rows_describe(rows, res);
  if (s->err.code != ERR_NONE || s->cancelling) return; /* only drained */
  pg_rows_append(rows, res);
  pg_script_pass_rows(s, PQresultStatus(res) == PGRES_TUPLES_OK);
}

static void script_completed(PgScript *s, const PGresult *res) {
  if (s->phase != PHASE_STATEMENT) return;
  PgResult *result = &s->results[s->index];
  const char *affected = PQcmdTuples((PGresult *)res);
  free(result->command);
  result->command = mem_strdup(PQcmdStatus((PGresult *)res));
  result->affected = *affected != '\0' ? strtoll(affected, NULL, 10) : -1;
  if (s->job->copy != PG_COPY_NONE && !s->copied && s->err.code == ERR_NONE)
    err_set(&s->err, ERR_USAGE, "the statement is not a COPY %s", s->job->copy == PG_COPY_IN ? "FROM STDIN" : "TO STDOUT");
  int64_t expect = s->job->statements[s->index].expect;
  if (expect >= 0 && expect != result->affected && s->err.code == ERR_NONE)
    err_set(&s->err, ERR_PSQL, "%s: expected %lld row%s; the transaction was rolled back", result->command, (long long)expect,
            expect == 1 ? "" : "s");
  int64_t most = s->job->statements[s->index].most;
  if (most > 0 && result->affected > most && s->err.code == ERR_NONE) {
    err_set(&s->err, ERR_TOO_MANY, "%s: more rows than the %lld that nobody was asked about; the transaction was rolled back",
            result->command, (long long)most);
    err_set_hint(&s->err, "ro() ends the window: then it is asked about");
  }
}

static void copy_cell(char *to, size_t size, const PGresult *res, int column) {
  if (PQntuples(res) != 1 || column >= PQnfields(res) || PQgetisnull(res, 0, column)) return;
  size_t len = strnlen(PQgetvalue(res, 0, column), size - 1);
  memcpy(to, PQgetvalue(res, 0, column), len);
}

static void script_xid(PgScript *s, const PGresult *res) {
  copy_cell(s->xid, sizeof s->xid, res, 0);
  copy_cell(s->lsn, sizeof s->lsn, res, 1);
}

/* The statements have ended; what is still to come cannot change their outcome. */
static bool script_is_over(const PgScript *s) {
  return s->phase == PHASE_ROLLBACK || s->phase == PHASE_RESET || (s->phase == PHASE_COMMIT && !script_is_change(s));
}

static void script_error(PgScript *s, const PGresult *res) {
  if (pg_error_is_fatal(res)) s->fatal = true;
  /* Without an SQLSTATE it is libpq's own word for a lost connection; on_lost comes. */
  if (script_is_over(s) || PQresultErrorField(res, PG_DIAG_SQLSTATE) == NULL || s->err.code != ERR_NONE) return;
  pg_error_from_result(&s->err, res, s->job);
  bool described = s->phase == PHASE_BEGIN && s->by_copy > 0;
  if (s->phase != PHASE_STATEMENT && !described) s->err.position = 0;
  int front = described ? 0 : s->by_copy > 0 ? (int)sizeof COPY_FRONT - 1 : s->job->front;
  if (s->err.position > 0) s->err.position = s->err.position > front ? s->err.position - front : 0;
}

static void script_copy(PgScript *s) {
  /* The protocol is in a state of its own now; the handle gives this connection up. */
  if (s->job->copy != PG_COPY_NONE) {
    err_set(&s->err, ERR_USAGE, "the COPY goes the other way");
  } else {
    err_set(&s->err, ERR_USAGE, "COPY FROM STDIN and COPY TO STDOUT are not statements to execute");
    err_set_hint(&s->err, "pipe{…} copies");
  }
  s->lost = true;
  script_mark_sent(s, false);
  script_finish(s);
}

static void on_script_lost(void *arg);

static void on_script_result(void *arg, PGresult *res) {
  PgScript *s = arg;
  if (res == NULL) {
    if (s->fatal)
      on_script_lost(s);
    else
      script_go_on(s);
    return;
  }
  ExecStatusType status = PQresultStatus(res);
  bool copy = status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
  if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
    script_error(s, res);
  else if (s->phase == PHASE_COMMIT && strcmp(PQcmdStatus(res), "ROLLBACK") == 0 && s->err.code == ERR_NONE)
    err_set(&s->err, ERR_PSQL, "the server answered the COMMIT with a ROLLBACK: nothing was changed");
  else if (s->phase == PHASE_XID && status == PGRES_TUPLES_OK)
    script_xid(s, res);
  else if (s->phase == PHASE_STATEMENT && (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK))
    script_rows(s, res);
  if (s->phase == PHASE_BEGIN && s->by_copy > 0 && status == PGRES_COMMAND_OK) pg_rows_describe(&s->results[0].rows, res);
  if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) script_completed(s, res);
  PQclear(res);
  if (copy && !pg_script_copy_begin(s, status)) script_copy(s);
}

static void on_script_notify(void *arg, PGnotify *notify) {
  PgScript *s = arg;
  pg_conn_listen(s->conn, false);
  s->channel = mem_strdup(notify->relname);
  s->payload = mem_strdup(notify->extra);
  s->notify_pid = notify->be_pid;
  PQfreemem(notify);
  script_go_on(s);
}

/* ---- the line drops ---- */

static void lost_message(PgScript *s, ErrCode code, const char *what) {
  Err first = {0};
  Buf line = {0};
  err_move(&first, &s->err); /* the server's last word ("terminating connection due to administrator command") */
  if (first.message != NULL)
    buf_add_str(&line, first.message);
  else
    pg_error_line(&line, s->gave_up ? "no answer" : PQerrorMessage(s->conn->pg));
  err_set(&s->err, code, "the connection was lost: %s", buf_str(&line));
  memcpy(s->err.sqlstate, first.sqlstate[0] != '\0' ? first.sqlstate : "08006", 6);
  err_set_detail(&s->err, what);
  err_fini(&first);
  buf_fini(&line);
}

static void on_script_lost(void *arg) {
  PgScript *s = arg;
  bool change = script_is_change(s), whole = s->in_transaction && !s->acts;
  s->lost = true;
  s->lost_early = s->phase == PHASE_BEGIN;
  if (script_is_over(s)) {
    s->lost = true; /* and the outcome stands */
  } else if (s->phase == PHASE_COMMIT) {
    lost_message(s, ERR_UNKNOWN, "the COMMIT was sent and not answered");
  } else if (change && !whole && s->phase != PHASE_BEGIN) {
    lost_message(s, ERR_UNKNOWN,
                 s->acts ? "a statement that acts at once was sent and not answered"
                         : "the statement was sent outside a transaction and not answered");
  } else {
    lost_message(s, ERR_PSQL_CONNECT, change ? "nothing was changed: the COMMIT had not been sent" : NULL);
    script_mark_sent(s, false);
  }
  script_finish(s);
}

static const PgConnUser script_user = {on_script_result, on_script_lost, on_script_notify, pg_script_on_copy};

/* ---- stopping ---- */

static void on_cancel_again(Op *op, void *arg) {
  PgScript *s = arg;
  s->cancel_again = NULL;
  op_unref(op);
  if (s->phase >= PHASE_XID) return;
  s->cancel_sent = false;
  pg_script_stop_on_server(s);
}

static void on_cancel_sent(Op *op, void *arg) {
  PgScript *s = arg;
  s->cancel_work = NULL;
  op_unref(op);
  if (s->held) {
    s->held = false;
    script_go_on(s);
    return;
  }
  /* A backend that had not read the statement yet has ignored it. */
  s->cancel_again = timer_start(s->conn->loop, CANCEL_AGAIN_MS, 0, NULL);
  op_on_settled(s->cancel_again, on_cancel_again, s);
}

void pg_script_stop_on_server(PgScript *s) {
  if (s->cancel_sent || s->lost || s->phase >= PHASE_ROLLBACK) return;
  s->cancel_sent = true;
  s->cancel_work = pg_conn_cancel(s->conn);
  if (s->cancel_work != NULL) op_on_settled(&s->cancel_work->op, on_cancel_sent, s);
}

static void on_listen_stopped(PgScript *s) {
  pg_conn_listen(s->conn, false);
  script_go_on(s);
}

void pg_script_cancel(PgScript *s) {
  if (s->cancelling || s->phase == PHASE_DONE) return;
  s->cancelling = true;
  if (s->phase == PHASE_LISTEN) {
    err_set(&s->err, ERR_CANCELLED, "stopped while listening");
    pg_conn_listen(s->conn, false);
    s->phase = PHASE_STATEMENT;
    s->index = 1;
    script_send(s);
    return;
  }
  pg_script_stop_on_server(s);
  pg_script_copy_stop(s);
  if (s->conn->paused) pg_conn_resume(s->conn); /* drain what was not wanted */
}

void pg_script_stop_listening(PgScript *s) {
  if (s->phase == PHASE_LISTEN) on_listen_stopped(s);
}

void pg_script_give_up(PgScript *s) {
  s->gave_up = true;
  on_script_lost(s);
}

void pg_script_resume(PgScript *s) {
  pg_rows_clear(&s->results[0].rows);
  pg_conn_resume(s->conn);
}

/* ---- life ---- */

bool pg_job_acts(const PgJob *job) {
  char name[PG_GUARD_NAME];
  bool acts = false;
  for (int i = 0; i < job->nstatements && !job->read && !acts; i++)
    acts = pg_guard_acts(job->statements[i].sql, strlen(job->statements[i].sql), name);
  return acts;
}

PgScript *pg_script_start(PgConn *conn, PgJob *job, Op *owner, const PgScriptEvents *events, void *arg) {
  PgScript *s = mem_alloc(sizeof *s);
  s->conn = conn;
  s->job = pg_job_ref(job);
  s->owner = owner;
  s->events = events;
  s->arg = arg;
  s->results = mem_alloc((size_t)job->nstatements * sizeof *s->results);
  s->in_transaction = job->transaction && !job->listen;
  s->acts = pg_job_acts(job);
  bool by_rows = job->read && (job->stream || job->taker.take != NULL);
  if (by_rows && s->in_transaction && job->statements[0].nparams == 0)
    s->by_copy = pg_guard_query(job->statements[0].sql, strlen(job->statements[0].sql), &s->by_copy) ? s->by_copy : 0;
  buf_clear(&conn->notices);
  pg_conn_use(conn, &script_user, s);
  script_send(s);
  return s;
}

void pg_script_free(PgScript *s) {
  if (s == NULL) return;
  if (s->copy != NULL) s->copy->script = NULL;
  PQfreemem(s->row);
  if (s->cancel_work != NULL) {
    op_on_settled(&s->cancel_work->op, NULL, NULL);
    op_unref(&s->cancel_work->op);
  }
  if (s->cancel_again != NULL) {
    op_on_settled(s->cancel_again, NULL, NULL);
    op_cancel(s->cancel_again, ERR_CANCELLED);
    op_unref(s->cancel_again);
  }
  for (int i = 0; s->results != NULL && i < s->job->nstatements; i++)
    pg_result_fini(&s->results[i]);
  free(s->results);
  free(s->channel);
  free(s->payload);
  pg_job_unref(s->job);
  err_fini(&s->err);
  free(s);
}
