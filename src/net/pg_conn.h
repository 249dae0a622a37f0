/* pg_conn: one connection to one server: connecting, sending a statement, reading what comes. Internal to net/pg*.
 *
 * A connection has at most one user at a time, who sends a statement and is handed its results. */
#ifndef PGSH_NET_PG_CONN_H
#define PGSH_NET_PG_CONN_H

#include <libpq-fe.h>

#include "loop/fdwatch.h"
#include "loop/work.h"
#include "net/pg.h"

typedef struct PgConn PgConn;

typedef struct PgConnUser {
  /* A result, to be cleared by the receiver; NULL: the statement has ended and another may be sent. Never called from inside
   * pg_conn_send. The connection may be closed from here. */
  void (*on_result)(void *arg, PGresult *res);
  /* The connection is gone: close it. Comes instead of on_result(NULL), once. */
  void (*on_lost)(void *arg);
  /* A notification (pg_conn_listen); may be NULL. To be freed with PQfreemem. */
  void (*on_notify)(void *arg, PGnotify *notify);
  /* After pg_conn_copy_begin: pg_conn_copy_get or pg_conn_copy_put may bring something. May be NULL. */
  void (*on_copy)(void *arg);
} PgConnUser;

struct PgConn {
  Loop *loop;
  PGconn *pg;
  FdWatch *watch;
  PgIdentity identity;
  Buf notices; /* one a line, bounded */
  /* private */
  const PgConnUser *user;
  void *arg;
  Deferred deferred;  /* on_lost after a send that failed; the end of yield */
  bool waiting;       /* a statement is on its way */
  bool listening;     /* waits for a notification */
  bool pipeline;      /* more than one command was sent */
  bool yielded;       /* paused until the next turn */
  bool paused;        /* its rows are not wanted yet */
  PgCopy copy;        /* the data of a COPY is on its way: no results before its end */
  bool blocked;       /* in: the socket takes no more for now */
  uint64_t noticed;   /* in: bytes of the notices that libpq has made known since the COPY began */
  int64_t suspect_ms; /* in: when libpq has last read something, if it made nothing of it; 0: it has not */
  uint64_t read;      /* in: how many bytes libpq has read from the socket; 0: that cannot be known */
  uint64_t begun;     /* in: of these, the ones before the COPY began */
  bool lost, pumping, closed;
};

/* ---- connecting ---- */

typedef struct PgConnectOp PgConnectOp;

/* Connect and find out who answers. timeout_ms > 0. The returned Op is armed; the caller holds one reference. */
PgConnectOp *pg_connect_start(Loop *loop, const char *conninfo, int64_t timeout_ms);
Op *pg_connect_op(PgConnectOp *connect);
/* After it failed: because a password was missing? */
bool pg_connect_needs_password(const PgConnectOp *connect);
/* After it failed: who wanted in, "" when that is not known. Borrowed. */
const char *pg_connect_user(const PgConnectOp *connect);
/* After it succeeded: the connection, once; owned by the caller. */
PgConn *pg_connect_take(PgConnectOp *connect);

/* ---- a connection ---- */

PgConn *pg_conn_new(Loop *loop, PGconn *pg);                       /* takes over a connected pg */
void pg_conn_close(PgConn *conn);                                  /* NULL is fine; safe inside a callback of its own */
void pg_conn_use(PgConn *conn, const PgConnUser *user, void *arg); /* user NULL: nobody */
/* Is the idle connection still there? Reads what has come meanwhile. */
bool pg_conn_alive(PgConn *conn);
/* Send pgsh's own text by the simple protocol (no parameters, may hold several statements)… */
void pg_conn_send_text(PgConn *conn, const char *sql);
/* …or one statement by the extended protocol; its rows come one by one. */
void pg_conn_send(PgConn *conn, const PgStatement *statement);
/* …or run these statements and have one more described, in one trip to the server: results without rows, the last one has the
 * columns. */
void pg_conn_describe(PgConn *conn, const char *const *first, const char *sql);
void pg_conn_pause(PgConn *conn);
/* As pause and, in the loop's next turn, resume: whoever takes at once what comes must let others have their turn. */
void pg_conn_yield(PgConn *conn);
void pg_conn_resume(PgConn *conn); /* results may be handed over before it returns */
void pg_conn_listen(PgConn *conn, bool on);
/* Ask the server to stop what it does, on the thread pool. NULL when that is impossible. */
WorkOp *pg_conn_cancel(PgConn *conn);

/* ---- the data of a COPY (pg_conn_copy.c) ---- */

/* Called by the user on a result PGRES_COPY_OUT or PGRES_COPY_IN. From then on it is told by on_copy, until the end. */
void pg_conn_copy_begin(PgConn *conn, PgCopy copy);
/* Out: the length of the next row, which is to be freed with PQfreemem; 0: none now; -1: there are no more, results follow. */
int pg_conn_copy_get(PgConn *conn, char **row);
/* Out: on_copy is wanted again. */
void pg_conn_copy_wait(PgConn *conn);
/* In: how many of the bytes were taken; 0: none now. */
size_t pg_conn_copy_put(PgConn *conn, const char *bytes, size_t len);
/* In: no more, results follow. `why`: it is to fail; NULL: that was all. */
void pg_conn_copy_end(PgConn *conn, const char *why);
/* In: the socket has become ready. Internal to pg_conn*. */
void pg_conn_copy_ready(PgConn *conn, int events);
/* Go on watching what has to be watched, unless the pump does that anyway. Internal to pg_conn*. */
void pg_conn_rewatch(PgConn *conn);

/* ---- errors (pg_error.c) ---- */

/* Fill err from an error result. */
void pg_error_from_result(Err *err, const PGresult *res, const PgJob *job);
/* Fill err from a connection that failed (connecting). */
void pg_error_from_connect(Err *err, const PGconn *pg);
/* The last message of a lost connection in one line; appended to `out`. */
void pg_error_line(Buf *out, const char *message);
/* FATAL or PANIC: the server ends the connection. */
bool pg_error_is_fatal(const PGresult *res);

/* ---- rows (pg_rows.c) ---- */

void pg_rows_describe(PgRows *rows, const PGresult *res); /* the columns, when not known yet */
void pg_rows_append(PgRows *rows, const PGresult *res);
/* A row as COPY … TO STDOUT gives it (text format), its newline included. False: it has other columns. */
bool pg_rows_append_line(PgRows *rows, const char *line, size_t len);
void pg_result_fini(PgResult *result);

/* ---- connection strings (pg_conninfo.c) ---- */

typedef struct PgConninfoOther {
  const char *dbname, *user;         /* NULL: as it is */
  const char *dbname_now, *user_now; /* what it led to; NULL: not known */
} PgConninfoOther;

/* The same place with another database or user: "keyword='value' …". To be wiped and freed. */
char *pg_conninfo_other(const char *conninfo, const PgConninfoOther *other);
/* connect_timeout of the conninfo or the environment; 0 when neither says. */
int64_t pg_conninfo_timeout_ms(const char *conninfo);
/* The same with that password, whether it had one or not; to be wiped and freed. */
char *pg_conninfo_with_password(const char *conninfo, const char *password);

#endif
