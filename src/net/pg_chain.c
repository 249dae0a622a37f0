/* pg_chain: see pg_chain.h.
 *
 *   [conninfo] → [connect] → script ─┬→ done
 *        ↑           ↑         ↑     ├→ lock not available: pause, script
 *        └ refused ──┘         │     ├→ died while idle: connect, script
 *                              │     └→ COMMIT unanswered: (connect → ask for the transaction)… → done
 * With a note of an earlier process it begins where a COMMIT was not answered.
 * Whatever it waits for besides the script is `inner`, an Op of its own. */
#include "net/pg_chain.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "loop/timer.h"

#define COMMIT_SILENT_MS 1000

struct PgChain {
  Pg *pg;
  PgOp *op;
  Op *inner;
  PgScript *script;
  PgBlockers *blockers;
  int attempts; /* scripts that ended with 55P03 */
  bool blocked; /* waits for a stream to drain */
  bool reused, reconnected, asked_again;
  int passwords; /* how often one was asked for */
  char *bare;    /* the conninfo without the password that was given and is not known to be right */
  Err refused;   /* why the first connection failed, while the source is asked again */
  PgSettle settle;
};

static void chain_connect(PgChain *c);
static void chain_forget_password(PgChain *c);
static void chain_run(PgChain *c);
static void chain_settle_later(PgChain *c);

/* ---- the end ---- */

static void chain_drop_connection(PgChain *c) {
  pg_conn_close(c->pg->conn);
  c->pg->conn = NULL;
}

static void chain_stop_inner(PgChain *c) {
  if (c->inner == NULL) return;
  op_on_settled(c->inner, NULL, NULL);
  op_cancel(c->inner, c->op->op.reason != ERR_NONE ? c->op->op.reason : ERR_CANCELLED);
  op_unref(c->inner);
  c->inner = NULL;
}

/* A wrong one, or nobody knows. */
static void chain_forget_password(PgChain *c) {
  Pg *pg = c->pg;
  if (c->bare != NULL && pg->conninfo != NULL) {
    pg_drop_conninfo(pg);
    pg->conninfo = c->bare;
  } else {
    free(c->bare);
  }
  c->bare = NULL;
}

static void chain_free(PgChain *c) {
  chain_stop_inner(c);
  chain_forget_password(c);
  pg_script_free(c->script);
  pg_blockers_free(c->blockers);
  err_fini(&c->refused);
  err_fini(&c->settle.lost);
  free(c);
}

/* The handle may be closed before the Op is looked at. */
static void chain_take_identity(PgChain *c) {
  Pg *pg = c->pg;
  PgPeer peer;
  c->op->who = mem_alloc(sizeof *c->op->who);
  *c->op->who = pg->identity;
  if (pg_peer(pg, &peer)) c->op->who->in_recovery = peer.in_recovery;
}

/* Settle with err, or well when it is empty. */
static void chain_finish(PgChain *c, Err *err) {
  PgOp *op = c->op;
  c->pg->chain = NULL;
  if (c->pg->conn != NULL && c->pg->conn->notices.len > 0 && op->notices == NULL) op->notices = buf_take(&c->pg->conn->notices);
  if (err->code == ERR_NONE && op->job->nstatements == 0 && op->who == NULL) chain_take_identity(c);
  op->chain = NULL;
  op->pg = NULL;
  chain_free(c);
  if (err->code == ERR_NONE)
    op_succeed(&op->op);
  else
    op_fail(&op->op, err);
  op_unref(&op->op);
}

static void chain_fail(PgChain *c, ErrCode code, const char *message) {
  Err err = {0};
  err_set(&err, code, "%s", message);
  chain_finish(c, &err);
}

/* The COMMIT's fate stays open. */
static void chain_finish_unknown(PgChain *c) {
  Err err = {0};
  err_move(&err, &c->settle.lost);
  c->op->op.sent = true;
  chain_finish(c, &err);
}

static void chain_wait(PgChain *c, Op *inner, void (*then)(Op *op, void *arg)) {
  chain_stop_inner(c); /* at most the pause of on_commit_silent */
  c->inner = inner;
  op_on_settled(inner, then, c);
}

/* ---- the connection string ---- */

static void on_provided(Op *op, void *arg) {
  PgChain *c = arg;
  Err err = {0};
  c->inner = NULL;
  char *conninfo = op->err.code == ERR_NONE ? ((PgConninfoOp *)op)->conninfo : NULL;
  if (conninfo == NULL) {
    err_copy(&err, &op->err);
  } else if (c->refused.code != ERR_NONE && c->pg->conninfo != NULL && strcmp(conninfo, c->pg->conninfo) == 0) {
    err_move(&err, &c->refused); /* the same answer would be refused again */
    pg_drop_conninfo(c->pg);
  } else if (pg_conninfo_check(conninfo, &err)) {
    free(c->pg->conninfo);
    c->pg->conninfo = mem_strdup(conninfo);
  }
  op_unref(op);
  if (err.code != ERR_NONE && c->settle.until_ms > 0) {
    err_fini(&err);
    chain_settle_later(c);
  } else if (err.code != ERR_NONE) {
    chain_finish(c, &err);
  } else {
    err_fini(&c->refused);
    chain_connect(c);
  }
}

static void chain_provide(PgChain *c) { chain_wait(c, &c->pg->source.provide(c->pg->source.self)->op, on_provided); }

/* ---- the password ---- */

static void on_password(Op *op, void *arg) {
  PgChain *c = arg;
  Pg *pg = c->pg;
  Err err = {0};
  c->inner = NULL;
  char *password = op->err.code == ERR_NONE ? ((PgConninfoOp *)op)->conninfo : NULL;
  err_move(&err, &c->refused);
  if (password != NULL && pg->conninfo != NULL) {
    if (c->bare == NULL) c->bare = mem_strdup(pg->conninfo);
    pg_drop_conninfo(pg);
    pg->conninfo = pg_conninfo_with_password(c->bare, password);
  }
  op_unref(op);
  if (password != NULL) {
    err_fini(&err);
    chain_connect(c);
  } else { /* no answer is no other error */
    chain_finish(c, &err);
  }
}

/* The connection failed with err. True: somebody is asked for a password (err is taken over). */
static bool chain_ask_password(PgChain *c, const PgConnectOp *failed, Err *err) {
  const PgSource *source = &c->pg->source;
  bool again = c->passwords > 0, wrong = again && strcmp(err->sqlstate, "28P01") == 0;
  if (source->password == NULL || c->passwords > 1 || c->settle.until_ms > 0 || (!wrong && !pg_connect_needs_password(failed)))
    return false;
  PgConninfoOp *ask = source->password(source->self, pg_connect_user(failed), again);
  if (ask == NULL) return false;
  c->passwords++;
  err_move(&c->refused, err);
  chain_wait(c, &ask->op, on_password);
  return true;
}

/* ---- connecting ---- */

static bool is_other(const char *now, const char *former) {
  return now[0] != '\0' && former[0] != '\0' && strcmp(now, former) != 0;
}

/* In place of a connection that was lost. */
static void chain_tell_anew(PgChain *c, const PgIdentity *now) {
  Pg *pg = c->pg;
  const PgIdentity *former = &pg->identity;
  if (pg->reached && pg->source.on_anew != NULL) {
    Buf what = {0};
    if (is_other(now->timeline, former->timeline)) buf_printf(&what, "timeline %s, it was %s", now->timeline, former->timeline);
    if (now->in_recovery >= 0 && former->in_recovery >= 0 && now->in_recovery != former->in_recovery)
      buf_printf(&what, "%sit is a %s now", what.len > 0 ? "; " : "", now->in_recovery ? "standby" : "primary");
    pg->source.on_anew(pg->source.self, buf_str(&what));
    buf_fini(&what);
  }
  pg->reached = true;
}

/* Pin the first contact; later ones must be the same cluster. */
static bool chain_check_identity(PgChain *c, Err *err) {
  Pg *pg = c->pg;
  const PgIdentity *now = &pg->conn->identity;
  const char *pinned = pg->identity.system_identifier;
  bool same = pinned[0] == '\0' || now->system_identifier[0] == '\0' || strcmp(now->system_identifier, pinned) == 0;
  if (same) {
    chain_tell_anew(c, now);
    PgIdentity latest = *now; /* role and timeline may change, the cluster may not */
    if (latest.system_identifier[0] == '\0') memcpy(latest.system_identifier, pinned, sizeof latest.system_identifier);
    pg->identity = latest;
    pg->known = true;
    return true;
  }
  err_set(err, ERR_REFUSED, "another database cluster answers: system identifier %s, at first contact it was %s",
          now->system_identifier, pinned);
  err_set_hint(err, "when that is intended, call :rebind() on the handle");
  return false;
}

static void chain_settle_ask(PgChain *c);

/* There is a connection. */
static void chain_use(PgChain *c) {
  if (c->settle.until_ms > 0)
    chain_settle_ask(c);
  else
    chain_run(c);
}

static void chain_connected(PgChain *c) {
  Err err = {0};
  c->reused = false;
  if (c->bare != NULL) explicit_bzero(c->bare, strlen(c->bare));
  free(c->bare); /* the password is right */
  c->bare = NULL;
  if (chain_check_identity(c, &err)) {
    chain_use(c);
    return;
  }
  chain_drop_connection(c);
  if (c->settle.until_ms == 0) {
    chain_finish(c, &err);
    return;
  }
  pg_settle_add(&c->settle, err.message);
  err_fini(&err);
  chain_finish_unknown(c);
}

static void on_connected(Op *op, void *arg) {
  PgChain *c = arg;
  c->inner = NULL;
  if (op->err.code == ERR_NONE) {
    c->pg->conn = pg_connect_take((PgConnectOp *)op);
    op_unref(op);
    chain_connected(c);
    return;
  }
  Err err = {0};
  err_copy(&err, &op->err);
  bool asked = chain_ask_password(c, (PgConnectOp *)op, &err);
  op_unref(op);
  if (asked) return;
  if (err.code == ERR_TIMEOUT) err.code = ERR_PSQL_CONNECT; /* connect_timeout; the operation's own deadline is another */
  if (c->pg->source.provide != NULL && !c->asked_again) {
    c->asked_again = true; /* credentials rotate: ask once more before giving up */
    err_move(&c->refused, &err);
    chain_provide(c);
  } else if (c->settle.until_ms > 0) {
    err_fini(&err);
    c->settle.in_progress = false;
    chain_settle_later(c);
  } else {
    if (c->pg->source.provide != NULL) pg_drop_conninfo(c->pg); /* the next attempt asks first */
    chain_finish(c, &err);
  }
}

static void chain_connect(PgChain *c) {
  Pg *pg = c->pg;
  if (pg->conninfo == NULL) {
    c->asked_again = true; /* what it gives now is fresh */
    chain_provide(c);
    return;
  }
  int64_t ms = pg->source.connect_timeout_ms;
  if (ms <= 0) ms = pg_conninfo_timeout_ms(pg->conninfo);
  chain_wait(c, pg_connect_op(pg_connect_start(pg->loop, pg->conninfo, ms > 0 ? ms : PG_CONNECT_TIMEOUT_MS)), on_connected);
}

/* ---- the script ---- */

static void chain_begin(PgChain *c) {
  if (c->pg->conn != NULL && !pg_conn_alive(c->pg->conn)) chain_drop_connection(c);
  c->reused = c->pg->conn != NULL;
  if (c->reused)
    chain_use(c);
  else
    chain_connect(c);
}

static void on_pause(Op *op, void *arg) {
  PgChain *c = arg;
  c->inner = NULL;
  op_unref(op);
  chain_begin(c);
}

static void chain_add_blockers(const PgChain *c, Err *err) {
  const char *who = c->blockers != NULL ? pg_blockers_text(c->blockers) : NULL;
  if (who == NULL || (strcmp(err->sqlstate, "55P03") != 0 && c->op->op.reason == ERR_NONE)) return;
  /* op_fail keeps only the message when a deadline or the operator ended the wait. */
  if (c->op->op.reason != ERR_NONE) {
    err_set(err, err->code, "blocked by %s", who);
    return;
  }
  Buf detail = {0};
  if (err->detail != NULL) buf_printf(&detail, "%s\n", err->detail);
  buf_printf(&detail, "blocked by %s", who);
  err_set_detail(err, buf_str(&detail));
  buf_fini(&detail);
}

/* The script's results become the Op's. */
static void chain_take_results(PgChain *c) {
  PgScript *s = c->script;
  c->op->results = s->results;
  s->results = NULL;
  c->op->channel = s->channel;
  c->op->payload = s->payload;
  c->op->notify_pid = s->notify_pid;
  s->channel = s->payload = NULL;
}

static void chain_end_script(PgChain *c) {
  bool lost = c->script->lost;
  pg_script_free(c->script);
  c->script = NULL;
  if (lost) chain_drop_connection(c);
}

static void chain_settle_begin(PgChain *c, Err *err) {
  PgScript *s = c->script;
  memcpy(c->settle.xid, s->xid, sizeof s->xid);
  memcpy(c->settle.lsn, s->lsn, sizeof s->lsn);
  c->settle.at = s->conn->identity;
  c->settle.until_ms = clock_mono_ms() + PG_SETTLE_MS;
  err_move(&c->settle.lost, err);
  chain_take_results(c);
  chain_end_script(c);
  chain_connect(c);
}

static void on_script_done(void *arg, Err *err) {
  PgChain *c = arg;
  PgScript *s = c->script;
  const PgJob *job = c->op->job;
  bool cancelled = c->op->op.reason != ERR_NONE || op_settled(&c->op->op);
  if (err->code == ERR_NONE) {
    if (job->stream)
      c->op->stream = pg_stream_new(c->pg, s, true);
    else
      chain_take_results(c);
    if (job->stream) c->script = NULL;
    if (c->script != NULL) chain_end_script(c);
    chain_finish(c, err);
  } else if (err->code == ERR_UNKNOWN && s->xid[0] != '\0' && !op_settled(&c->op->op)) {
    chain_settle_begin(c, err);
  } else if (s->lost_early && c->reused && !c->reconnected && !cancelled) {
    c->reconnected = true;
    err_fini(err);
    chain_end_script(c);
    chain_connect(c);
  } else if (strcmp(err->sqlstate, "55P03") == 0 && c->attempts < job->retry_times && !cancelled && !s->copied) {
    c->attempts++;
    err_fini(err);
    chain_end_script(c);
    chain_wait(c, timer_start(c->pg->loop, job->retry_every_ms, 0, NULL), on_pause);
  } else {
    chain_add_blockers(c, err);
    chain_end_script(c);
    chain_finish(c, err);
  }
}

static void on_first_batch(void *arg) {
  PgChain *c = arg;
  Err none = {0};
  c->op->stream = pg_stream_new(c->pg, c->script, false);
  c->script = NULL;
  chain_finish(c, &none);
}

static const PgScriptEvents chain_events = {on_first_batch, on_script_done};

static void chain_run(PgChain *c) {
  Pg *pg = c->pg;
  const PgJob *job = c->op->job;
  if (job->lock_timeout_ms > 0 && !job->read && c->blockers == NULL) {
    int64_t first = job->lock_timeout_ms / 2 < 1000 ? job->lock_timeout_ms / 2 : 1000;
    c->blockers = pg_blockers_start(pg->loop, pg->conninfo, PQbackendPID(pg->conn->pg), first);
  }
  c->script = pg_script_start(pg->conn, c->op->job, &c->op->op, &chain_events, c);
  if (job->copy != PG_COPY_NONE) c->script->copy = &c->op->copy;
}

/* ---- an unanswered COMMIT ---- */

static void chain_settle_later(PgChain *c) {
  if (clock_mono_ms() < c->settle.until_ms) {
    chain_wait(c, timer_start(c->pg->loop, PG_SETTLE_EVERY_MS, 0, NULL), on_pause);
    return;
  }
  pg_settle_add(&c->settle, c->settle.in_progress ? "the transaction is still in progress on the server"
                                                  : "the server could not be asked what became of it");
  chain_finish_unknown(c);
}

static void chain_settled(PgChain *c, PgVerdict verdict) {
  Err err = {0};
  Buf how = {0};
  if (verdict == VERDICT_WAIT) {
    chain_settle_later(c);
  } else if (verdict == VERDICT_UNKNOWN) {
    chain_finish_unknown(c);
  } else {
    bool committed = verdict == VERDICT_COMMITTED;
    buf_printf(&how, "pg_xact_status(%s) = %s", c->settle.xid, committed ? "committed" : "aborted");
    if (!op_settled(&c->op->op)) c->op->settled_by = buf_take(&how);
    buf_fini(&how);
    c->op->op.sent = committed;
    if (!committed) {
      err_move(&err, &c->settle.lost);
      err.code = ERR_PSQL_CONNECT;
      err_set_detail(&err, "the transaction was rolled back, as the server's record says: nothing was changed");
    }
    chain_finish(c, &err);
  }
}

static void on_settle_done(void *arg, Err *err) {
  PgChain *c = arg;
  PgVerdict verdict =
      err->code == ERR_NONE ? pg_settle_read(&c->settle, &c->script->results[0].rows) : pg_settle_error(&c->settle, err);
  err_fini(err);
  chain_end_script(c);
  chain_settled(c, verdict);
}

static const PgScriptEvents settle_events = {NULL, on_settle_done};

static void chain_settle_ask(PgChain *c) {
  const PgIdentity *now = &c->pg->conn->identity;
  PgVerdict fits = pg_settle_fits(&c->settle, now);
  if (fits != VERDICT_COMMITTED) {
    /* Another server may answer next time. */
    if (fits == VERDICT_WAIT) chain_drop_connection(c);
    chain_settled(c, fits);
    return;
  }
  PgJob *job = pg_settle_job(&c->settle, now);
  c->script = pg_script_start(c->pg->conn, job, NULL, &settle_events, c);
  pg_job_unref(job);
}

/* ---- from outside ---- */

/* A COMMIT that is not answered even to a cancel. The record is asked over another connection while there is time to. */
static void on_commit_silent(Op *op, void *arg) {
  PgChain *c = arg;
  c->inner = NULL;
  op_unref(op);
  if (c->script != NULL && c->settle.until_ms == 0 && c->script->phase == PHASE_COMMIT) pg_script_give_up(c->script);
}

void pg_chain_start(Pg *pg, PgOp *op, PgSettle *settle) {
  PgChain *c = mem_alloc(sizeof *c);
  if (settle != NULL) c->settle = *settle;
  c->pg = pg;
  c->op = op;
  op_ref(&op->op);
  op->chain = c;
  op->pg = pg;
  pg->chain = c;
  c->blocked = pg->stream != NULL;
  if (!c->blocked) chain_begin(c);
}

void pg_chain_unblock(PgChain *c) {
  if (!c->blocked) return;
  c->blocked = false;
  chain_begin(c);
}

void pg_chain_cancel(PgChain *c) {
  if (c->settle.until_ms > 0) {
    chain_drop_connection(c);
    pg_settle_add(&c->settle, "looking up what became of it was interrupted");
    chain_finish_unknown(c);
  } else if (c->script == NULL) {
    chain_fail(c, c->op->op.reason,
               c->inner != NULL ? "stopped before anything was sent" : "stopped while waiting for the handle");
  } else if (c->op->job->listen && c->op->op.reason == ERR_TIMEOUT && c->op->op.deadline_name == NULL &&
             c->script->phase == PHASE_LISTEN) { /* its own time, not the task's */
    pg_script_stop_listening(c->script);
  } else {
    bool committing = c->script->phase == PHASE_COMMIT && c->script->xid[0] != '\0';
    if (committing) chain_wait(c, timer_start(c->pg->loop, COMMIT_SILENT_MS, 0, NULL), on_commit_silent);
    pg_script_cancel(c->script);
  }
}

void pg_chain_abandon(PgChain *c, const char *why) {
  chain_drop_connection(c);
  chain_fail(c, c->op->op.sent ? ERR_UNKNOWN : ERR_CLOSED, why);
}

bool pg_chain_is_stale(const PgChain *c) { return op_settled(&c->op->op); }
