/* pg_conn: an established connection: sending a statement, and the pump that reads its results. See pg_conn.h. */
#include "net/pg_conn.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define NOTICES_MAX_BYTES 8192

/* How long the message was. One that libpq made itself has no SQLSTATE, and came from nowhere. */
static size_t notice_bytes(const PGresult *res) {
  size_t bytes = 6; /* type, length; the end */
  if (PQresultErrorField(res, PG_DIAG_SQLSTATE) == NULL) return 0;
  for (int code = 'A'; code <= 'z'; code++) {
    const char *text = PQresultErrorField(res, code);
    if (text != NULL) bytes += 2 + strlen(text);
  }
  return bytes;
}

/* libpq calls this while it parses; the notice is only kept. */
static void on_notice(void *arg, const PGresult *res) {
  PgConn *conn = arg;
  conn->noticed += notice_bytes(res);
  const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
  const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
  if (text == NULL || conn->notices.len > NOTICES_MAX_BYTES) return;
  if (conn->notices.len > 0) buf_add_char(&conn->notices, '\n');
  buf_printf(&conn->notices, "%s: ", severity != NULL ? severity : "NOTICE");
  pg_error_line(&conn->notices, text);
}

static void conn_free(PgConn *conn) {
  buf_fini(&conn->notices);
  free(conn);
}

static void on_deferred(Deferred *d) {
  PgConn *conn = (PgConn *)((char *)d - offsetof(PgConn, deferred));
  if (conn->closed)
    conn_free(conn);
  else if (conn->lost && conn->user != NULL)
    conn->user->on_lost(conn->arg);
  else if (conn->yielded)
    pg_conn_resume(conn);
}

/* What the socket must become for us to go on. */
static void conn_watch(PgConn *conn, bool flushing) {
  bool reads = (conn->waiting && !conn->paused) || conn->listening;
  flushing = flushing || conn->blocked;
  if (conn->watch != NULL) fdwatch_set(conn->watch, (reads ? UV_READABLE : 0) | (flushing ? UV_WRITABLE : 0));
}

static void conn_lose(PgConn *conn) {
  conn->lost = true;
  conn->waiting = conn->listening = false;
  if (conn->user != NULL) conn->user->on_lost(conn->arg);
}

static void conn_take_notifies(PgConn *conn) {
  PGnotify *notify;
  while (conn->user != NULL && conn->listening && (notify = PQnotifies(conn->pg)) != NULL)
    conn->user->on_notify(conn->arg, notify);
}

/* PQconsumeInput may leave the rest of a TLS record in OpenSSL's buffer, for which the socket does not become readable. libssl
 * is libpq's dependency, not ours. */
static bool conn_has_pending(const PgConn *conn) {
  static int (*pending)(const void *ssl);
  void *ssl = PQsslStruct(conn->pg, "OpenSSL");
  if (ssl == NULL) return false;
  if (pending == NULL) *(void **)&pending = dlsym(RTLD_DEFAULT, "SSL_pending");
  return pending != NULL && pending(ssl) > 0;
}

/* Is there a result to take? */
static bool conn_has_result(PgConn *conn) {
  if (conn->user == NULL || conn->lost || !conn->waiting || conn->paused || conn->copy != PG_COPY_NONE) return false;
  while (PQisBusy(conn->pg))
    if (!conn_has_pending(conn) || PQconsumeInput(conn->pg) == 0) return !PQisBusy(conn->pg);
  return true;
}

/* In pipeline mode every command's results end with NULL; only the end of all of them is passed on. True: there is nothing to
 * pass on (yet). */
static bool conn_skip_in_pipeline(PgConn *conn, PGresult **res) {
  if (!conn->pipeline) return false;
  ExecStatusType status = *res != NULL ? PQresultStatus(*res) : PGRES_EMPTY_QUERY;
  if (*res != NULL && status != PGRES_PIPELINE_SYNC && status != PGRES_PIPELINE_ABORTED) return false;
  if (*res == NULL && PQstatus(conn->pg) == CONNECTION_BAD) return false;
  PQclear(*res);
  *res = NULL;
  if (status != PGRES_PIPELINE_SYNC) return true;
  conn->pipeline = false;
  PQexitPipelineMode(conn->pg);
  return false;
}

/* Hand over every result that has arrived. A callback may send the next statement, pause, or close. */
static void conn_take_results(PgConn *conn) {
  while (conn_has_result(conn)) {
    PGresult *res = PQgetResult(conn->pg);
    if (conn_skip_in_pipeline(conn, &res)) continue;
    if (res == NULL) {
      if (PQstatus(conn->pg) == CONNECTION_BAD) {
        conn_lose(conn);
        return;
      }
      conn->waiting = false;
    }
    conn->user->on_result(conn->arg, res);
  }
}

static void conn_tell_copy(PgConn *conn) {
  bool copying = conn->copy != PG_COPY_NONE && !conn->paused && !conn->blocked;
  if (conn->user != NULL && !conn->lost && copying) conn->user->on_copy(conn->arg);
}

static void conn_finish(PgConn *conn) {
  fdwatch_close(conn->watch); /* before libpq closes the descriptor */
  conn->watch = NULL;
  if (conn->pg != NULL) PQfinish(conn->pg);
  conn->pg = NULL;
  if (!conn->deferred.queued) conn_free(conn);
}

static void conn_pump(PgConn *conn) {
  if (conn->pumping) return;
  conn->pumping = true;
  do { /* behind the data of a COPY stand results */
    conn_take_results(conn);
    conn_tell_copy(conn);
  } while (conn_has_result(conn));
  conn_take_notifies(conn);
  conn->pumping = false;
  if (conn->closed)
    conn_finish(conn);
  else if (!conn->lost)
    conn_watch(conn, PQflush(conn->pg) == 1);
}

static void on_ready(void *arg, int events) {
  PgConn *conn = arg;
  if (conn->copy == PG_COPY_IN) {
    pg_conn_copy_ready(conn, events);
    conn_pump(conn);
    return;
  }
  /* A write that failed is reported by libpq at the next read, which also brings what the server still had to say. */
  if ((events & UV_WRITABLE) != 0) PQflush(conn->pg);
  bool ok = (events & UV_READABLE) == 0 || PQconsumeInput(conn->pg) == 1;
  if (!ok && conn->listening) {
    conn_lose(conn);
    return;
  }
  conn_pump(conn);
}

PgConn *pg_conn_new(Loop *loop, PGconn *pg) {
  PgConn *conn = mem_alloc(sizeof *conn);
  conn->loop = loop;
  conn->pg = pg;
  conn->deferred.fn = on_deferred;
  conn->identity.in_recovery = -1;
  conn->identity.server_version = PQserverVersion(pg);
  PQsetnonblocking(pg, 1);
  PQsetNoticeReceiver(pg, on_notice, conn);
  conn->watch = fdwatch_open(loop, PQsocket(pg), on_ready, conn);
  conn->lost = conn->watch == NULL;
  return conn;
}

void pg_conn_close(PgConn *conn) {
  if (conn == NULL || conn->closed) return;
  conn->closed = true;
  conn->user = NULL;
  if (!conn->pumping) conn_finish(conn);
}

void pg_conn_use(PgConn *conn, const PgConnUser *user, void *arg) {
  conn->user = user;
  conn->arg = arg;
}

bool pg_conn_alive(PgConn *conn) {
  if (conn->lost || PQstatus(conn->pg) != CONNECTION_OK) return false;
  if (PQconsumeInput(conn->pg) == 0) return false;
  /* What a server says to an idle session (a FATAL goodbye, a notification) is read here; a notification of a LISTEN of
   * long ago is dropped. */
  for (PGnotify *n = PQnotifies(conn->pg); n != NULL; n = PQnotifies(conn->pg))
    PQfreemem(n);
  if (PQtransactionStatus(conn->pg) != PQTRANS_IDLE) return false;
  /* A goodbye has been read, and the end of the stream stands behind it: consume once more to meet it. */
  return PQconsumeInput(conn->pg) == 1 && PQstatus(conn->pg) == CONNECTION_OK;
}

void pg_conn_rewatch(PgConn *conn) {
  if (!conn->pumping && !conn->lost && !conn->closed) conn_watch(conn, PQflush(conn->pg) == 1);
}

static void conn_sent(PgConn *conn, int ok) {
  if (ok == 0) {
    conn->lost = true;
    loop_defer(conn->loop, &conn->deferred);
    return;
  }
  conn->waiting = true;
  pg_conn_rewatch(conn);
}

void pg_conn_send_text(PgConn *conn, const char *sql) { conn_sent(conn, conn->lost ? 0 : PQsendQuery(conn->pg, sql)); }

void pg_conn_send(PgConn *conn, const PgStatement *statement) {
  int ok = !conn->lost && PQsendQueryParams(conn->pg, statement->sql, statement->nparams, NULL,
                                            (const char *const *)statement->params, NULL, NULL, 0);
  if (ok) PQsetSingleRowMode(conn->pg);
  conn_sent(conn, ok);
}

void pg_conn_describe(PgConn *conn, const char *const *first, const char *sql) {
  bool ok = conn->pipeline = !conn->lost && PQenterPipelineMode(conn->pg) == 1;
  for (; ok && *first != NULL; first++)
    ok = PQsendQueryParams(conn->pg, *first, 0, NULL, NULL, NULL, NULL, 0) == 1;
  conn_sent(conn, ok && PQsendPrepare(conn->pg, "", sql, 0, NULL) == 1 && PQsendDescribePrepared(conn->pg, "") == 1 &&
                      PQpipelineSync(conn->pg) == 1);
}

void pg_conn_pause(PgConn *conn) { conn->paused = true; }

void pg_conn_yield(PgConn *conn) {
  conn->paused = conn->yielded = true;
  loop_defer(conn->loop, &conn->deferred);
}

void pg_conn_resume(PgConn *conn) {
  conn->paused = conn->yielded = false;
  conn_pump(conn); /* rows that libpq has already read would not make the socket readable again */
}

void pg_conn_listen(PgConn *conn, bool on) {
  conn->listening = on;
  if (on)
    conn_pump(conn);
  else
    conn_watch(conn, false);
}

static void cancel_run(WorkOp *work) {
  char why[256] = "";
  if (PQcancel(work->arg, why, sizeof why) == 0) err_set(&work->failure, ERR_PSQL_CONNECT, "%s", why);
}

static void cancel_free(void *arg) { PQfreeCancel(arg); }

WorkOp *pg_conn_cancel(PgConn *conn) {
  PGcancel *cancel = conn->lost || conn->pg == NULL ? NULL : PQgetCancel(conn->pg);
  if (cancel == NULL) return NULL;
  return work_start(conn->loop, "psql.cancel", cancel_run, cancel, cancel_free, 0);
}
