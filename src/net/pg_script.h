/* pg_script: one job on one connection: BEGIN, the statements, COMMIT, and what to make of every way it can end. Internal to
 * net/pg*. Not an Op: the handle (pg.c) has the Op, and may run several scripts for it. */
#ifndef PGSH_NET_PG_SCRIPT_H
#define PGSH_NET_PG_SCRIPT_H

#include "net/pg_conn.h"

typedef struct PgScript PgScript;

typedef struct PgScriptEvents {
  /* A stream has rows at hand and is paused until pg_script_resume. May be NULL. */
  void (*on_batch)(void *arg);
  /* It is over; the last call. err is empty on success and is the receiver's. May come inside pg_script_resume, not inside
   * pg_script_start or pg_script_cancel. */
  void (*on_done)(void *arg, Err *err);
} PgScriptEvents;

typedef enum PgPhase {
  PHASE_BEGIN,
  PHASE_STATEMENT,
  PHASE_LISTEN, /* waits for a notification */
  PHASE_XID,
  PHASE_COMMIT,
  PHASE_ROLLBACK,
  PHASE_RESET,
  PHASE_DONE,
} PgPhase;

struct PgScript {
  PgConn *conn;
  PgJob *job;
  Op *owner; /* its `sent` is kept true while the outcome could be unknown; NULL: nobody's */
  const PgScriptEvents *events;
  void *arg;
  PgResult *results;       /* one a statement; may be taken */
  char xid[24];            /* "" when the transaction has none (yet) */
  char lsn[24];            /* a place in the WAL behind its changes; "" unknown */
  bool lost;               /* the connection went away: close it */
  bool lost_early;         /* … before anything of the job was sent */
  char *channel, *payload; /* listen: what came */
  int notify_pid;
  /* private */
  PgPhase phase;
  int index;
  Err err;
  bool in_transaction, acts, fatal, cancelling, cancel_sent, held, gave_up;
  WorkOp *cancel_work;
  Op *cancel_again;  /* the timer of the next one */
  PgCopyState *copy; /* of the Op of a job with `copy` */
  bool copied;       /* the COPY has begun */
  size_t by_copy;    /* the query, so many bytes of the statement, is sent in COPY (…) TO STDOUT; 0: as it is */
  char *row;         /* out: of this row, so much has been read */
  size_t row_len, row_at;
  size_t taken_bytes; /* by the job's taker */
};

PgScript *pg_script_start(PgConn *conn, PgJob *job, Op *owner, const PgScriptEvents *events, void *arg);
/* Stop: the server is asked to, what it was doing is rolled back, then on_done comes. Idempotent. */
void pg_script_cancel(PgScript *script);
/* Listen: no longer; on_done comes without a channel. */
void pg_script_stop_listening(PgScript *script);
/* The server has been silent for too long after a cancel: treat the line as dropped. on_done comes at once. */
void pg_script_give_up(PgScript *script);
/* Stream: fetch the next batch into results[0].rows (cleared first). */
void pg_script_resume(PgScript *script);
/* Free it. The connection is the caller's; if the script is not done, it must be closed. */
void pg_script_free(PgScript *script);

/* ---- the data of a COPY (pg_copy.c); internal to the script ---- */

/* The statement has turned out to be a COPY. False: not of the announced kind. */
bool pg_script_copy_begin(PgScript *script, ExecStatusType status);
void pg_script_on_copy(void *script);
/* Rows have been added to the result: pass them on when they are enough, or when `all`. False: no more for now. (pg_script.c) */
bool pg_script_pass_rows(PgScript *script, bool all);
/* The rest of the rows is of no use: have the server stop. (pg_script.c) */
void pg_script_stop_on_server(PgScript *script);
/* The script is being stopped, or freed. */
void pg_script_copy_stop(PgScript *script);

/* A stream is handed over in pieces of so many rows or bytes, whichever is less. */
#define PG_BATCH_ROWS 1024
#define PG_BATCH_BYTES (256 * 1024)

#endif
