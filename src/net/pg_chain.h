/* pg_chain: from "run this job" to its outcome: finding out the conninfo, connecting, the script, retries, and what the server's
 * record says of a COMMIT that was not answered. One chain at a time a handle. Internal to net/pg*. */
#ifndef PGSH_NET_PG_CHAIN_H
#define PGSH_NET_PG_CHAIN_H

#include "net/pg_blockers.h"
#include "net/pg_script.h"

struct Pg {
  Loop *loop;
  PgSource source;
  char *conninfo; /* in use; NULL: the source has to be asked */
  PgConn *conn;   /* idle, or used by the chain or the stream */
  PgIdentity identity;
  bool known;   /* identity holds the first contact */
  bool reached; /* there has been a connection */
  struct PgChain *chain;
  PgStream *stream; /* open, or being drained */
};

typedef struct PgChain PgChain;

/* Forget it, wiped (pg.c). */
void pg_drop_conninfo(Pg *pg);

struct PgSettle;

/* Begin; `op` is armed. The chain holds a reference to it until it has settled it. `settle` (its content is taken over): the job
 * is not run, but looked up; NULL: it is run. */
void pg_chain_start(Pg *pg, PgOp *op, struct PgSettle *settle);
/* The Op was asked to stop. */
void pg_chain_cancel(PgChain *chain);
/* Drop everything at once, the connection too: the Op fails if it has not settled. */
void pg_chain_abandon(PgChain *chain, const char *why);
/* Has its Op settled (by the grace period) although the server has not answered? */
bool pg_chain_is_stale(const PgChain *chain);
/* The stream that stood in the way has ended. */
void pg_chain_unblock(PgChain *chain);

/* ---- settling an unknown COMMIT (pg_settle.c) ---- */

typedef struct PgSettle {
  char xid[24], lsn[24];
  PgIdentity at;    /* who was asked to commit */
  bool crashed;     /* the server that answers has crashed since */
  bool later;       /* another process sent the COMMIT, perhaps long ago */
  bool acts;        /* a rollback did not take back all of it */
  bool in_progress; /* … was the last answer */
  int64_t until_ms; /* give up then; 0: nothing to settle */
  Err lost;         /* what is said when it cannot be decided */
} PgSettle;

typedef enum PgVerdict { VERDICT_COMMITTED, VERDICT_ABORTED, VERDICT_WAIT, VERDICT_UNKNOWN } PgVerdict;

#define PG_SETTLE_MS 30000
#define PG_SETTLE_EVERY_MS 250

/* From a note. False: it cannot be looked up, and `lost` says why. */
bool pg_settle_load(PgSettle *settle, const PgJob *job, const char *note);
/* May this server answer for that transaction? VERDICT_WAIT: not now; VERDICT_COMMITTED: ask it. */
PgVerdict pg_settle_fits(PgSettle *settle, const PgIdentity *now);
PgJob *pg_settle_job(const PgSettle *settle, const PgIdentity *now);
PgVerdict pg_settle_read(PgSettle *settle, const PgRows *rows);
PgVerdict pg_settle_error(PgSettle *settle, const Err *err);
/* Add to what is said when it cannot be decided. */
void pg_settle_add(PgSettle *settle, const char *why);

/* ---- streams (pg_stream.c) ---- */

/* Make a stream of a script that has a batch at hand (or has ended); the script belongs to it from then on. */
PgStream *pg_stream_new(Pg *pg, PgScript *script, bool ended);
/* The handle is being closed. */
void pg_stream_orphan(PgStream *stream);
/* Its rows are not wanted any more; it will end soon. */
bool pg_stream_is_draining(const PgStream *stream);

#endif
