/* pg_blockers: see pg_blockers.h. lock_timeout ends the wait before anybody could be asked who caused it, so this looks while
 * the wait lasts. */
#include "net/pg_blockers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"

#define BLOCKERS_EVERY_MS 1000

static const char blockers_sql[] =
    "select pg_catalog.format('pid %s (%s, user %s, %s, transaction for %s): %s', a.pid, "
    "coalesce(nullif(a.application_name, ''), 'no application name'), a.usename, coalesce(a.state, '?'), "
    "coalesce(pg_catalog.to_char(pg_catalog.clock_timestamp() - a.xact_start, 'HH24:MI:SS'), '?'), "
    "pg_catalog.left(pg_catalog.regexp_replace(coalesce(a.query, ''), '\\s+', ' ', 'g'), 120)) "
    "from pg_catalog.pg_stat_activity a where a.pid = any (pg_catalog.pg_blocking_pids($1::int4)) order by a.pid";

struct PgBlockers {
  Loop *loop;
  char *conninfo, *text;
  PgJob *job;
  Op *inner; /* the pause or the connecting */
  PgConn *conn;
  PgScript *script;
};

static void blockers_pause(PgBlockers *b, int64_t ms);

static void blockers_wait(PgBlockers *b, Op *inner, void (*then)(Op *, void *)) {
  b->inner = inner;
  op_on_settled(inner, then, b);
}

static void on_blockers_done(void *arg, Err *err) {
  PgBlockers *b = arg;
  const PgRows *rows = &b->script->results[0].rows;
  if (err->code == ERR_NONE && rows->nrows > 0) {
    Buf text = {0};
    for (size_t r = 0; r < rows->nrows; r++)
      buf_printf(&text, "%s%s", r > 0 ? "\n" : "", pg_rows_cell(rows, r, 0, NULL));
    free(b->text);
    b->text = buf_take(&text);
  }
  bool again = err->code == ERR_NONE && !b->script->lost;
  err_fini(err);
  if (!again) pg_conn_close(b->conn);
  if (!again) b->conn = NULL;
  pg_script_free(b->script);
  b->script = NULL;
  if (again) blockers_pause(b, BLOCKERS_EVERY_MS);
}

static const PgScriptEvents blockers_events = {NULL, on_blockers_done};

static void blockers_ask(PgBlockers *b) { b->script = pg_script_start(b->conn, b->job, NULL, &blockers_events, b); }

static void on_blockers_connected(Op *op, void *arg) {
  PgBlockers *b = arg;
  b->inner = NULL;
  if (op->err.code == ERR_NONE) {
    b->conn = pg_connect_take((PgConnectOp *)op);
    blockers_ask(b);
  }
  op_unref(op);
}

static void on_blockers_pause(Op *op, void *arg) {
  PgBlockers *b = arg;
  b->inner = NULL;
  op_unref(op);
  if (b->conn != NULL)
    blockers_ask(b);
  else
    blockers_wait(b, pg_connect_op(pg_connect_start(b->loop, b->conninfo, PG_CONNECT_TIMEOUT_MS)), on_blockers_connected);
}

static void blockers_pause(PgBlockers *b, int64_t ms) { blockers_wait(b, timer_start(b->loop, ms, 0, NULL), on_blockers_pause); }

PgBlockers *pg_blockers_start(Loop *loop, const char *conninfo, int pid, int64_t first_ms) {
  PgBlockers *b = mem_alloc(sizeof *b);
  char number[16];
  snprintf(number, sizeof number, "%d", pid);
  b->loop = loop;
  b->conninfo = mem_strdup(conninfo);
  b->job = pg_job_new();
  pg_statement_set(pg_job_add(b->job, blockers_sql, 1), 0, number);
  blockers_pause(b, first_ms);
  return b;
}

const char *pg_blockers_text(const PgBlockers *blockers) { return blockers->text; }

void pg_blockers_free(PgBlockers *b) {
  if (b == NULL) return;
  if (b->inner != NULL) {
    op_on_settled(b->inner, NULL, NULL);
    op_cancel(b->inner, ERR_CANCELLED);
    op_unref(b->inner);
  }
  pg_script_free(b->script);
  pg_conn_close(b->conn);
  pg_job_unref(b->job);
  free(b->conninfo);
  free(b->text);
  free(b);
}
