/* pg: one PostgreSQL database as an asynchronous handle. No Lua.
 *
 *   Pg *pg = pg_open(loop, &source);
 *   PgOp *op = pg_run(pg, job, 0, NULL);      connects when needed, runs the job, settles
 *   … op_on_settled(&op->op, …) … pg_rows_cell(op->results[0].rows, …) … op_unref(&op->op);
 *   pg_close(pg);
 *
 * A handle has at most one connection and runs one job at a time. A connection that died while idle is replaced unseen; one
 * that reaches another cluster (system_identifier) than the first contact did is refused. Everything runs on the loop's
 * thread; what libpq can only do blocking (name lookup, PQcancel) is done on the thread pool. Nothing here waits, prints or
 * raises; no message holds a password.
 *
 * What an Op means when it fails: `sent` is true only while the outcome of a change could be unknown. ERR_UNKNOWN: a change
 * was sent and the server's own record could not decide. ERR_PSQL_CONNECT: no connection, or it was lost when nothing had been
 * changed. ERR_PSQL: the server's error, with sqlstate, detail, hint and position. */
#ifndef PGSH_NET_PG_H
#define PGSH_NET_PG_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "loop/op.h"

/* ---- rows: a result set in two flat pieces of memory ---- */

typedef struct PgColumn {
  char *name;
  unsigned type; /* the type's oid */
  bool repeated; /* a later column has the same name */
} PgColumn;

typedef struct PgCell {
  size_t at; /* offset in data */
  int len;   /* -1: NULL */
} PgCell;

typedef struct PgRows {
  PgColumn *columns;
  int ncolumns;
  size_t nrows;
  PgCell *cells; /* nrows × ncolumns */
  size_t cells_cap;
  Buf data; /* each value is followed by a NUL */
} PgRows;

/* The value's text; NULL for SQL NULL. Borrowed. */
const char *pg_rows_cell(const PgRows *rows, size_t row, int column, size_t *len);
size_t pg_rows_bytes(const PgRows *rows); /* the memory it holds */
void pg_rows_clear(PgRows *rows);         /* keeps the columns */
void pg_rows_fini(PgRows *rows);          /* idempotent */

/* What one statement brought. */
typedef struct PgResult {
  PgRows rows;
  char *command;    /* "UPDATE 3"; owned; NULL until it completed */
  int64_t affected; /* -1: the command has no such number */
} PgResult;

/* ---- jobs: what to run ---- */

typedef struct PgStatement {
  char *sql;
  char **params; /* text values; NULL entries are SQL NULL */
  int nparams;
  int64_t expect; /* the number of rows it must affect or return; -1: any */
  int64_t most;   /* rows it may affect, else the transaction is rolled back; 0: any number */
} PgStatement;

/* Told before the COMMIT of a change is sent: what its server has to be asked by, should the answer get lost together with this
 * process (pg_settle_run). Returns true once that is kept; false and err: the transaction is rolled back and fails with err. */
typedef struct PgNoter {
  bool (*before_commit)(void *self, int number, const char *note, Err *err); /* NULL: nobody is told */
  void *self;                                                                /* outlives every handle */
  int number;
} PgNoter;

/* Which way the data of a COPY goes, seen from the server. */
typedef enum PgCopy { PG_COPY_NONE, PG_COPY_OUT, PG_COPY_IN } PgCopy;

/* Somebody who takes the rows of a job with one statement as they come, some at a time, so that they are not kept twice and the
 * server need not wait. From the loop. False and err: the job fails with it. */
typedef struct PgTaker {
  bool (*take)(void *self, const PgRows *rows, Err *err); /* NULL: nobody, the rows are kept in the result */
  void (*free)(void *self);                               /* with the job */
  void *self;
} PgTaker;

typedef struct PgJob {
  int refs;
  bool read;        /* BEGIN READ ONLY … COMMIT; else BEGIN … COMMIT */
  bool transaction; /* false: sent as it is (changes only, one statement) */
  bool stream;      /* one statement, whose rows come batch by batch (pg_stream_next) */
  bool listen;      /* the statement is a LISTEN: then wait for one notification */
  PgCopy copy; /* one statement, COPY … TO STDOUT (a read) or COPY … FROM STDIN (a change): see pg_copy_read, pg_copy_write */
  PgStatement *statements;
  int nstatements;
  int64_t lock_timeout_ms, statement_timeout_ms; /* 0: the server's own; SET LOCAL */
  int64_t limit_bytes;                           /* memory for rows, taken ones too; beyond it ERR_LIMIT; 0: none */
  int retry_times;                               /* further attempts after 55P03 (lock not available) */
  int64_t retry_every_ms;
  PgNoter noter;
  PgTaker taker; /* the result has only the columns then */
  int front;     /* how many characters in front of its statement are not the caller's: taken off an error's position */
} PgJob;

/* A read in a transaction, no statements, one reference. */
PgJob *pg_job_new(void);
/* Add a statement (sql is copied) with room for nparams, all NULL. Borrowed until the next one is added. */
PgStatement *pg_job_add(PgJob *job, const char *sql, int nparams);
/* Set a parameter (copied; NULL is SQL NULL). `i` from 0. */
void pg_statement_set(PgStatement *statement, int i, const char *value);
PgJob *pg_job_ref(PgJob *job);
void pg_job_unref(PgJob *job); /* NULL is fine */
/* Does it call a function that acts at once, so that a rollback does not take all of it back? (A change only.) */
bool pg_job_acts(const PgJob *job);

/* ---- the handle ---- */

typedef struct Pg Pg;

/* The connection string in the making, for a source that has to find it out. The Op's structure begins with this. */
typedef struct PgConninfoOp {
  Op op;
  char *conninfo; /* owned by the Op; set when it succeeded */
} PgConninfoOp;

typedef struct PgSource {
  const char *conninfo; /* copied; NULL: ask provide */
  /* Asked on first need, after pg_rebind, and once more when the server refuses what it gave (credentials rotate). Returns an
   * armed or settled Op; the handle takes over the reference. */
  PgConninfoOp *(*provide)(void *self);
  /* Asked when the server wants a password of `user` and none was given, and once more (`again`) when it was wrong: as provide,
   * but the answer is the password. Kept until pg_close. May return NULL: nobody is asked. NULL: the same. */
  PgConninfoOp *(*password)(void *self, const char *user, bool again);
  /* Told when a connection is made in place of one that was lost, and what else is another now; may be NULL. */
  void (*on_anew)(void *self, const char *what);
  void *self;                 /* borrowed */
  int64_t connect_timeout_ms; /* 0: the conninfo's connect_timeout, PGCONNECT_TIMEOUT, or PG_CONNECT_TIMEOUT_MS */
} PgSource;

#define PG_CONNECT_TIMEOUT_MS 10000

/* Who answers: read at each connect. A field that may not be read is "" (-1, 0). */
typedef struct PgIdentity {
  char system_identifier[24];
  char timeline[12];  /* eight hex digits */
  int in_recovery;    /* 0, 1; -1 unknown */
  int server_version; /* 150020; 0 unknown */
  char epoch[40];     /* when the server's statistics were last reset, in seconds: a crash does that */
  bool reads_control; /* pg_control_checkpoint may be asked */
  char database[128]; /* as libpq knows them, defaults filled in */
  char user[128];
} PgIdentity;

/* The connection at hand, from what is known without asking. Borrowed until the loop runs. */
typedef struct PgPeer {
  const char *host, *address, *port;
  const char *tls, *cipher; /* NULL: the line is not encrypted */
  int pid;                  /* of its server process */
  int in_recovery;          /* as the server said with its last answer (from version 14), else when it connected; -1 unknown */
} PgPeer;

Pg *pg_open(Loop *loop, const PgSource *source);
/* Another connection to the same cluster; nobody is asked or told anything. NULL when a provider has not been asked yet where
 * that is. */
Pg *pg_twin(const Pg *pg);
/* As pg_twin, but for the database or the user (NULL: the same), and a handle of its own: what pg's source asks and tells goes
 * on, with `self`. A password that the conninfo holds goes along only to the same user. `name`: what pg_conninfo_name says of it;
 * to be freed. */
Pg *pg_beside(const Pg *pg, void *self, const char *dbname, const char *user, char **name);
/* Close the connection and free the handle; a running job is stopped and settles. NULL is fine. */
void pg_close(Pg *pg);
/* Forget the connection, the conninfo a provider gave, and the pinned identity. Not while busy. */
void pg_rebind(Pg *pg);
/* A job runs, or a stream is open. */
bool pg_busy(const Pg *pg);
/* … because of a stream. */
bool pg_streaming(const Pg *pg);
/* Who answered last (the system identifier is pinned by the first contact); NULL before that. Borrowed. */
const PgIdentity *pg_identity(const Pg *pg);
/* False: there is no connection at hand. */
bool pg_peer(const Pg *pg, PgPeer *peer);

typedef struct PgStream PgStream;

/* Where the data of a COPY stands. Private. */
typedef struct PgCopyState {
  void (*ready)(void *arg);
  void *arg;
  struct PgScript *script; /* NULL: the COPY has not begun, or is over */
  bool wanted;             /* out: `ready` is waited for */
  bool ended;              /* out: all was read; in: nothing more will be written */
  const char *piece;       /* in: borrowed */
  size_t piece_len;
} PgCopyState;

typedef struct PgOp {
  Op op;
  PgJob *job;
  PgResult *results;       /* one for each statement of the job; of a stream only the columns */
  PgStream *stream;        /* of a job with `stream`: open, also when it had no rows; take it with pg_op_take_stream */
  char *notices;           /* the server's notices and warnings, one a line; NULL: none */
  char *channel, *payload; /* of a job with `listen`: what came; NULL: nothing did, in time */
  int notify_pid;
  PgIdentity *who;  /* of a job without statements: who answered, with the role it has now */
  char *settled_by; /* how a COMMIT without an answer was decided ("pg_xact_status(742) = committed"), either way; else NULL */
  /* private */
  Pg *pg;
  struct PgChain *chain;
  PgCopyState copy;
} PgOp;

/* Run the job (a reference is taken). When the handle is busy or closed the Op fails with ERR_BUSY. The returned Op is armed or
 * settled; the caller holds one reference. A `listen` job without deadline_name succeeds, without a
 * channel, when timeout_ms passes. */
PgOp *pg_run(Pg *pg, PgJob *job, int64_t timeout_ms, const char *deadline_name);

/* What became of a change of which only the note is left: the job as it was, and what its PgNoter was told. Success: it was
 * committed. Failure with settled_by: it was rolled back, all of it. Any other failure (ERR_UNKNOWN as a rule): that cannot be
 * told. There are no results. Otherwise as pg_run. */
PgOp *pg_settle_run(Pg *pg, PgJob *job, const char *note, int64_t timeout_ms, const char *deadline_name);

/* The Op of a handle that was closed: settled, ERR_CLOSED. */
PgOp *pg_closed(Loop *loop, PgJob *job);

/* ---- streams: rows in constant memory ---- */

PgStream *pg_op_take_stream(PgOp *op);
/* The batch at hand: its next row, or false when it is used up (then pg_stream_next). */
bool pg_stream_row(PgStream *stream, const PgRows **rows, size_t *row);
/* All rows have come, and the batch at hand is used up. */
bool pg_stream_ended(const PgStream *stream);
/* Fetch the next batch (replaces the one at hand). */
PgOp *pg_stream_next(PgStream *stream, int64_t timeout_ms, const char *deadline_name);
/* Stop and free; rows that are still to come are cancelled on the server, in the background. NULL is fine. */
void pg_stream_close(PgStream *stream);

/* ---- COPY: the data of a job with `copy` (pg_copy.c) ----
 *
 * The Op settles when everything is over, the COMMIT too; results[0].affected is the number of rows. op_cancel may come at any
 * moment: the server is told, a change is rolled back. Once the Op has settled, or was asked to stop, `ready` is not called any
 * more and nothing that was borrowed is looked at. */

/* Who is told, from the loop: out: there is something to read; in: the piece was taken. Right after pg_run. */
void pg_copy_watch(PgOp *op, void (*ready)(void *arg), void *arg);
/* Out: as much as is there now, at most room bytes (> 0), not cut at rows. 0: nothing now, `ready` will be called. -1: that was
 * all; the Op settles and says whether it was. As long as nobody reads, the server waits. */
int64_t pg_copy_read(PgOp *op, char *into, size_t room);
/* In: the next piece, not empty. True: it was taken. False: the bytes are borrowed until `ready` is called; not another piece
 * before that. An error that the server reports meanwhile ends the COPY at once (with TLS: at the end of the data). */
bool pg_copy_write(PgOp *op, const char *bytes, size_t len);
/* In: that was all. After the last piece was taken. */
void pg_copy_end(PgOp *op);

/* ---- connection strings ---- */

/* Can it be parsed? False and err (ERR_USAGE), which never quotes from it. */
bool pg_conninfo_check(const char *conninfo, Err *err);
/* "host:port/dbname" or "service NAME", for people: never a user, never a password. To be freed. */
char *pg_conninfo_name(const char *conninfo);

#endif
