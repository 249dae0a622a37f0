/* pg_connect: from a connection string to an established connection that has said who it is.
 *
 * PQconnectStart itself blocks: it reads the service and password files and looks the host up. So it runs on the thread pool,
 * with everything as libpq does it (PG* variables, service, .pgpass, TLS by host name), and hands over a connection whose
 * first socket is connecting; the loop takes it from there. Only a further host of a list is looked up on the loop. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/pg_conn.h"

typedef struct Lookup {
  char *conninfo;
  PGconn *pg; /* taken by the loop, or finished with the work */
} Lookup;

typedef enum Asking { ASKING_STRINGS, ASKING_ROLE, ASKING_SYSTEM, ASKING_DONE } Asking;

struct PgConnectOp {
  Op op;
  WorkOp *lookup;
  PGconn *pg; /* while it connects */
  FdWatch *watch;
  PgConn *conn; /* while it is asked who it is, and until it is taken */
  Asking asking;
  char *user; /* of a connection that failed */
  bool needs_password;
};

static void connect_poll(PgConnectOp *connect);

static void lookup_run(WorkOp *work) {
  Lookup *lookup = work->arg;
  /* What stands in front of dbname may be overridden by it, what stands behind may not: values come as UTF-8. */
  const char *const keywords[] = {"fallback_application_name", "dbname", "client_encoding", NULL};
  const char *const values[] = {"pgsh", lookup->conninfo, "UTF8", NULL};
  lookup->pg = PQconnectStartParams(keywords, values, 1);
}

static void lookup_free(void *arg) {
  Lookup *lookup = arg;
  if (lookup->pg != NULL) PQfinish(lookup->pg);
  if (lookup->conninfo != NULL) explicit_bzero(lookup->conninfo, strlen(lookup->conninfo));
  free(lookup->conninfo);
  free(lookup);
}

/* Let go of whatever the op holds but the outcome. */
static void connect_release(PgConnectOp *connect) {
  if (connect->lookup != NULL) {
    op_on_settled(&connect->lookup->op, NULL, NULL); /* the pool finishes; lookup_free closes what it made */
    op_unref(&connect->lookup->op);
    connect->lookup = NULL;
  }
  fdwatch_close(connect->watch);
  connect->watch = NULL;
  if (connect->pg != NULL) PQfinish(connect->pg);
  connect->pg = NULL;
}

static void connect_destroy(Op *op) {
  PgConnectOp *connect = (PgConnectOp *)op;
  pg_conn_close(connect->conn);
  free(connect->user);
  free(connect);
}

/* Nothing was asked of the server, so nothing has to be confirmed. */
static void connect_cancel(Op *op) {
  PgConnectOp *connect = (PgConnectOp *)op;
  const char *doing = connect->lookup != NULL ? "looking up the host" : connect->conn != NULL ? "asking who it is" : "connecting";
  connect_release(connect);
  pg_conn_close(connect->conn);
  connect->conn = NULL;
  op_fail_code(op, ERR_PSQL_CONNECT, "%s", doing);
  op_unref(op);
}

static const OpClass connect_class = {"psql.connect", connect_cancel, connect_destroy};

static void connect_fail(PgConnectOp *connect, Err *err) {
  if (connect->pg != NULL) {
    connect->needs_password = PQconnectionNeedsPassword(connect->pg) == 1;
    connect->user = mem_strdup(PQuser(connect->pg));
  }
  connect_release(connect);
  op_fail(&connect->op, err);
  op_unref(&connect->op);
}

/* ---- who answers ---- */

static void connect_ask(PgConnectOp *connect);

static void copy_field(char *to, size_t size, const PGresult *res, int column) {
  if (PQgetisnull(res, 0, column)) return;
  size_t len = strnlen(PQgetvalue(res, 0, column), size - 1);
  memcpy(to, PQgetvalue(res, 0, column), len);
  to[len] = '\0';
}

static void on_identity(void *arg, PGresult *res) {
  PgConnectOp *connect = arg;
  if (res == NULL) {
    connect->asking++;
    connect_ask(connect);
    return;
  }
  /* An error leaves the fields unknown: a pooler's console or an old server may not know the functions. */
  if (PQresultStatus(res) == PGRES_TUPLES_OK && PQntuples(res) == 1) {
    PgIdentity *id = &connect->conn->identity;
    if (connect->asking == ASKING_ROLE && PQnfields(res) == 5) {
      id->in_recovery = *PQgetvalue(res, 0, 0) == 't';
      copy_field(id->timeline, sizeof id->timeline, res, 1);
      id->reads_control = *PQgetvalue(res, 0, 2) == 't';
      copy_field(id->epoch, sizeof id->epoch, res, 3);
    } else if (connect->asking == ASKING_SYSTEM && PQnfields(res) == 2) {
      copy_field(id->system_identifier, sizeof id->system_identifier, res, 0);
      if (id->timeline[0] == '\0') copy_field(id->timeline, sizeof id->timeline, res, 1);
    }
  }
  PQclear(res);
}

static void on_identity_lost(void *arg) {
  PgConnectOp *connect = arg;
  Err err = {0};
  pg_error_from_connect(&err, connect->conn->pg);
  pg_conn_close(connect->conn);
  connect->conn = NULL;
  connect_fail(connect, &err);
}

static const PgConnUser identity_user = {on_identity, on_identity_lost, NULL, NULL};

/* The last two are for pg_settle; that they work here is why they may be relied on inside a change. The time as a number: its
 * text depends on DateStyle and TimeZone, and another process may compare it. */
#define ASK_ROLE                                                                                                                 \
  "select pg_catalog.pg_is_in_recovery(), case when pg_catalog.pg_is_in_recovery() then null else "                              \
  "pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) end, "                                   \
  "pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute') and "                                          \
  "pg_catalog.has_function_privilege('pg_catalog.pg_control_checkpoint()', 'execute'), "                                         \
  "pg_catalog.date_part('epoch', pg_catalog.pg_stat_get_bgwriter_stat_reset_time())::pg_catalog.numeric, "                       \
  "case when pg_catalog.pg_is_in_recovery() then null else pg_catalog.pg_current_wal_insert_lsn() end"
#define ASK_SYSTEM                                                                                                               \
  "select s.system_identifier, pg_catalog.lpad(pg_catalog.upper(pg_catalog.to_hex(c.timeline_id)), 8, '0') from "                \
  "pg_catalog.pg_control_system() s, pg_catalog.pg_control_checkpoint() c"

static void connect_ask(PgConnectOp *connect) {
  PgConn *conn = connect->conn;
  const char *strings = PQparameterStatus(conn->pg, "standard_conforming_strings");
  bool modern = conn->identity.server_version >= 100000;
  if (connect->asking == ASKING_STRINGS && strings != NULL && strcmp(strings, "off") == 0) {
    /* pg_guard reads a backslash in a plain string as itself. */
    pg_conn_send_text(conn, "set standard_conforming_strings = on");
    return;
  }
  if (connect->asking == ASKING_STRINGS) connect->asking = ASKING_ROLE;
  if (connect->asking == ASKING_ROLE && modern) {
    pg_conn_send_text(conn, ASK_ROLE);
  } else if (connect->asking == ASKING_SYSTEM && conn->identity.reads_control) {
    pg_conn_send_text(conn, ASK_SYSTEM);
  } else {
    pg_conn_use(conn, NULL, NULL);
    op_succeed(&connect->op);
    op_unref(&connect->op);
  }
}

/* ---- the connection ---- */

static bool option_given(const PQconninfoOption *options, const char *keyword) {
  for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
    if (strcmp(o->keyword, keyword) == 0) return o->val != NULL && *o->val != '\0';
  return false;
}

/* A peer that vanished is noticed after a minute instead of two hours, unless the operator chose otherwise anywhere. */
static void set_keepalive(PGconn *pg) {
  PQconninfoOption *options = PQconninfo(pg);
  if (!option_given(options, "keepalives_idle") && !option_given(options, "keepalives_interval")) {
    int idle = 30, interval = 10, count = 3, fd = PQsocket(pg);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle); /* fails on a Unix socket, which needs none */
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  }
  PQconninfoFree(options);
}

static void connect_established(PgConnectOp *connect) {
  PGconn *pg = connect->pg;
  connect->pg = NULL;
  PQsetErrorVerbosity(pg, PQERRORS_DEFAULT);
  set_keepalive(pg);
  connect->conn = pg_conn_new(connect->op.loop, pg);
  PgIdentity *id = &connect->conn->identity;
  snprintf(id->database, sizeof id->database, "%s", PQdb(pg));
  snprintf(id->user, sizeof id->user, "%s", PQuser(pg));
  pg_conn_use(connect->conn, &identity_user, connect);
  connect_ask(connect);
}

static void on_connect_ready(void *arg, int events) {
  (void)events;
  connect_poll(arg);
}

static bool connect_watch(PgConnectOp *connect, int events) {
  connect->watch = fdwatch_open(connect->op.loop, PQsocket(connect->pg), on_connect_ready, connect);
  if (connect->watch != NULL) fdwatch_set(connect->watch, events);
  return connect->watch != NULL;
}

static void connect_poll(PgConnectOp *connect) {
  /* libpq may close the socket and open another under the same number: the watch must not survive that. */
  fdwatch_close(connect->watch);
  connect->watch = NULL;
  PostgresPollingStatusType status = PQconnectPoll(connect->pg);
  if (status == PGRES_POLLING_OK)
    connect_established(connect);
  else if (status == PGRES_POLLING_FAILED ||
           !connect_watch(connect, status == PGRES_POLLING_READING ? UV_READABLE : UV_WRITABLE)) {
    Err err = {0};
    pg_error_from_connect(&err, connect->pg);
    connect_fail(connect, &err);
  }
}

static void on_lookup(Op *op, void *arg) {
  PgConnectOp *connect = arg;
  Lookup *lookup = ((WorkOp *)op)->arg;
  connect->pg = lookup->pg;
  lookup->pg = NULL;
  op_unref(op);
  connect->lookup = NULL;
  if (connect->pg == NULL || PQstatus(connect->pg) == CONNECTION_BAD || !connect_watch(connect, UV_WRITABLE)) {
    Err err = {0};
    pg_error_from_connect(&err, connect->pg);
    connect_fail(connect, &err);
    return;
  }
  PQsetErrorVerbosity(connect->pg, PQERRORS_VERBOSE); /* for the SQLSTATE, see pg_error_from_connect */
}

PgConnectOp *pg_connect_start(Loop *loop, const char *conninfo, int64_t timeout_ms) {
  PgConnectOp *connect = mem_alloc(sizeof *connect);
  Lookup *lookup = mem_alloc(sizeof *lookup);
  lookup->conninfo = mem_strdup(conninfo);
  op_init(&connect->op, loop, &connect_class);
  op_ref(&connect->op); /* the driver's, until it settles */
  op_arm(&connect->op, timeout_ms, "connect_timeout");
  connect->lookup = work_start(loop, "psql.lookup", lookup_run, lookup, lookup_free, 0);
  op_on_settled(&connect->lookup->op, on_lookup, connect);
  return connect;
}

Op *pg_connect_op(PgConnectOp *connect) { return &connect->op; }

bool pg_connect_needs_password(const PgConnectOp *connect) { return connect->needs_password; }
const char *pg_connect_user(const PgConnectOp *connect) { return connect->user != NULL ? connect->user : ""; }

PgConn *pg_connect_take(PgConnectOp *connect) {
  PgConn *conn = connect->conn;
  connect->conn = NULL;
  return conn;
}
