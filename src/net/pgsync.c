/* pgsync: see pgsync.h. */
#include "net/pgsync.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct PgSync {
  char *conninfo;
  char *where;
  PGconn *conn;
  unsigned generation;
};

PgSync *pgsync_new(const char *conninfo) {
  PgSync *db = mem_alloc(sizeof *db);
  db->conninfo = mem_strdup(conninfo);
  db->where = mem_strdup("the shared state");
  return db;
}

void pgsync_free(PgSync *db) {
  if (db == NULL) return;
  PQfinish(db->conn);
  free(db->conninfo);
  free(db->where);
  free(db);
}

const char *pgsync_where(const PgSync *db) { return db->where; }
unsigned pgsync_generation(const PgSync *db) { return db->generation; }

/* The server's first line, without the newline libpq ends it with. */
static void pgsync_set_error(PgSync *db, ErrCode code, const char *what, const PGresult *result, Err *err) {
  const char *primary = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
  const char *text = primary != NULL ? primary : PQerrorMessage(db->conn);
  err_set(err, code, "%s: %.*s", what, (int)strcspn(text, "\n"), text);
  err_set_target(err, db->where);
  const char *state = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  if (err != NULL && state != NULL && strlen(state) < sizeof err->sqlstate) memcpy(err->sqlstate, state, strlen(state) + 1);
}

/* libpq would print them. */
static void on_notice(void *arg, const char *message) {
  (void)arg;
  (void)message;
}

bool pgsync_connect(PgSync *db, Err *err) {
  if (db->conn != NULL && PQstatus(db->conn) == CONNECTION_OK) return true;
  PQfinish(db->conn);
  /* Defaults first: what the conninfo says (expanded from dbname) comes later and wins. */
  const char *const keys[] = {"fallback_application_name", "connect_timeout", "tcp_user_timeout", "dbname", NULL};
  const char *const values[] = {"pgsh state", "10", "10000", db->conninfo, NULL};
  db->conn = PQconnectdbParams(keys, values, 1);
  PQsetNoticeProcessor(db->conn, on_notice, NULL);
  if (PQstatus(db->conn) != CONNECTION_OK) {
    pgsync_set_error(db, ERR_PSQL_CONNECT, "the shared state cannot be reached", NULL, err);
    return false;
  }
  Buf where = {0};
  const char *host = PQhost(db->conn), *name = PQdb(db->conn);
  buf_printf(&where, "state in %s/%s", host != NULL ? host : "", name != NULL ? name : "");
  free(db->where);
  db->where = buf_take(&where);
  db->generation++;
  return true;
}

static void pgsync_take_rows(const PGresult *result, PgSyncRows *rows) {
  rows->rows = (size_t)PQntuples(result);
  rows->columns = (size_t)PQnfields(result);
  rows->values = mem_alloc(sizeof(char *) * (rows->rows * rows->columns + 1));
  for (size_t i = 0; i < rows->rows * rows->columns; i++) {
    int row = (int)(i / rows->columns), column = (int)(i % rows->columns);
    rows->values[i] = PQgetisnull(result, row, column) ? NULL : mem_strdup(PQgetvalue(result, row, column));
  }
}

bool pgsync_exec(PgSync *db, const char *sql, size_t nparams, const char *const *params, PgSyncRows *rows, Err *err) {
  if (rows != NULL) memset(rows, 0, sizeof *rows);
  if (!pgsync_connect(db, err)) return false;
  PGresult *result = PQexecParams(db->conn, sql, (int)nparams, NULL, params, NULL, NULL, 0);
  ExecStatusType status = PQresultStatus(result);
  bool ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
  if (ok && rows != NULL) pgsync_take_rows(result, rows);
  /* A line that was found cut while the statement was sent still counts as good in libpq, when the server's last words are there
   * to be read. What has no SQLSTATE is not the server's answer. */
  bool down = PQstatus(db->conn) != CONNECTION_OK || (!ok && PQresultErrorField(result, PG_DIAG_SQLSTATE) == NULL);
  if (!ok) pgsync_set_error(db, down ? ERR_PSQL_CONNECT : ERR_PSQL, "the shared state", result, err);
  PQclear(result);
  if (down) {
    PQfinish(db->conn);
    db->conn = NULL;
  }
  return ok;
}

const char *pgsync_value(const PgSyncRows *rows, size_t row, size_t column) { return rows->values[row * rows->columns + column]; }

void pgsync_free_rows(PgSyncRows *rows) {
  for (size_t i = 0; i < rows->rows * rows->columns; i++)
    free(rows->values[i]);
  free(rows->values);
  memset(rows, 0, sizeof *rows);
}
