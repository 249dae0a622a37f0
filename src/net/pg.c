/* pg: the handle. See pg.h; what happens between pg_run and its outcome is in pg_chain.c. */
#include "net/pg.h"

#include <stdlib.h>
#include <string.h>

#include "net/pg_chain.h"

static void pg_op_cancel(Op *op) {
  PgOp *run = (PgOp *)op;
  if (run->chain != NULL) pg_chain_cancel(run->chain);
}

static void pg_op_destroy(Op *op) {
  PgOp *run = (PgOp *)op;
  for (int i = 0; run->results != NULL && i < run->job->nstatements; i++)
    pg_result_fini(&run->results[i]);
  free(run->results);
  pg_stream_close(run->stream);
  free(run->notices);
  free(run->channel);
  free(run->payload);
  free(run->settled_by);
  free(run->who);
  pg_job_unref(run->job);
  free(run);
}

static const OpClass pg_op_class = {"psql.run", pg_op_cancel, pg_op_destroy};

Pg *pg_open(Loop *loop, const PgSource *source) {
  Pg *pg = mem_alloc(sizeof *pg);
  pg->loop = loop;
  pg->source = *source;
  pg->source.conninfo = NULL;
  pg->conninfo = mem_strdup(source->conninfo);
  return pg;
}

Pg *pg_twin(const Pg *pg) {
  PgSource source = {.conninfo = pg->conninfo, .connect_timeout_ms = pg->source.connect_timeout_ms};
  if (pg->conninfo == NULL) return NULL;
  Pg *twin = pg_open(pg->loop, &source);
  twin->identity = pg->identity;
  twin->known = pg->known;
  return twin;
}

static void pg_wipe(char *conninfo) {
  if (conninfo != NULL) explicit_bzero(conninfo, strlen(conninfo));
  free(conninfo);
}

Pg *pg_beside(const Pg *pg, void *self, const char *dbname, const char *user, char **name) {
  if (pg->conninfo == NULL) return NULL;
  const PgIdentity *known = pg_identity(pg);
  PgConninfoOther other = {.dbname = dbname, .user = user, .user_now = known != NULL ? known->user : NULL};
  /* A database that was left open is named as its user: with another user it is still the one at hand that is meant. */
  if (known != NULL && known->database[0] != '\0') other.dbname_now = known->database;
  char *conninfo = pg_conninfo_other(pg->conninfo, &other);
  PgSource source = {.conninfo = conninfo,
                     .password = pg->source.password,
                     .on_anew = pg->source.on_anew,
                     .self = self,
                     .connect_timeout_ms = pg->source.connect_timeout_ms};
  Pg *beside = pg_open(pg->loop, &source);
  *name = pg_conninfo_name(conninfo);
  pg_wipe(conninfo);
  return beside;
}

void pg_drop_conninfo(Pg *pg) {
  pg_wipe(pg->conninfo);
  pg->conninfo = NULL;
}

/* Whatever still uses the connection is ended first. */
static void pg_disconnect(Pg *pg, const char *why) {
  if (pg->stream != NULL) pg_stream_orphan(pg->stream);
  pg->stream = NULL;
  if (pg->chain != NULL) pg_chain_abandon(pg->chain, why);
  pg_conn_close(pg->conn);
  pg->conn = NULL;
}

void pg_close(Pg *pg) {
  if (pg == NULL) return;
  pg_disconnect(pg, "the handle was closed");
  pg_drop_conninfo(pg);
  free(pg);
}

void pg_rebind(Pg *pg) {
  pg_disconnect(pg, "the handle was rebound");
  if (pg->source.provide != NULL) pg_drop_conninfo(pg);
  pg->known = pg->reached = false;
  memset(&pg->identity, 0, sizeof pg->identity);
}

bool pg_busy(const Pg *pg) {
  if (pg->chain != NULL && !pg_chain_is_stale(pg->chain)) return true;
  return pg_streaming(pg);
}

bool pg_streaming(const Pg *pg) { return pg->stream != NULL && !pg_stream_is_draining(pg->stream); }

const PgIdentity *pg_identity(const Pg *pg) { return pg->known ? &pg->identity : NULL; }

bool pg_peer(const Pg *pg, PgPeer *peer) {
  memset(peer, 0, sizeof *peer);
  if (pg->conn == NULL || pg->conn->lost || pg->conn->closed || PQstatus(pg->conn->pg) != CONNECTION_OK) return false;
  PGconn *conn = pg->conn->pg;
  /* A promotion leaves the connections of a standby as they are; the server reports it. */
  const char *standby = PQparameterStatus(conn, "in_hot_standby");
  *peer = (PgPeer){.host = PQhost(conn),
                   .address = PQhostaddr(conn),
                   .port = PQport(conn),
                   .tls = PQsslInUse(conn) ? PQsslAttribute(conn, "protocol") : NULL,
                   .cipher = PQsslInUse(conn) ? PQsslAttribute(conn, "cipher") : NULL,
                   .pid = PQbackendPID(conn),
                   .in_recovery = standby != NULL ? strcmp(standby, "on") == 0 : pg->conn->identity.in_recovery};
  return true;
}

/* `settle` NULL: run the job; else find out what became of it. Its content is taken over. */
static PgOp *pg_begin(Pg *pg, PgJob *job, PgSettle *settle, int64_t timeout_ms, const char *deadline_name) {
  PgOp *op = mem_alloc(sizeof *op);
  op_init(&op->op, pg->loop, &pg_op_class);
  op->job = pg_job_ref(job);
  op_arm(&op->op, timeout_ms, deadline_name);
  if (pg_busy(pg)) {
    op_fail_code(&op->op, ERR_BUSY, "the handle is in use");
    if (settle != NULL) err_fini(&settle->lost);
    return op;
  }
  /* An operation that was given up while its server kept silent: its connection is of no use. */
  if (pg->chain != NULL) pg_chain_abandon(pg->chain, "given up");
  pg_chain_start(pg, op, settle);
  return op;
}

PgOp *pg_run(Pg *pg, PgJob *job, int64_t timeout_ms, const char *deadline_name) {
  return pg_begin(pg, job, NULL, timeout_ms, deadline_name);
}

PgOp *pg_settle_run(Pg *pg, PgJob *job, const char *note, int64_t timeout_ms, const char *deadline_name) {
  PgSettle settle = {0};
  if (pg_settle_load(&settle, job, note)) return pg_begin(pg, job, &settle, timeout_ms, deadline_name);
  PgOp *op = mem_alloc(sizeof *op);
  op_init(&op->op, pg->loop, &pg_op_class);
  op->job = pg_job_ref(job);
  op_arm(&op->op, 0, NULL);
  op_fail(&op->op, &settle.lost);
  return op;
}

PgOp *pg_closed(Loop *loop, PgJob *job) {
  PgOp *op = mem_alloc(sizeof *op);
  op_init(&op->op, loop, &pg_op_class);
  op->job = pg_job_ref(job);
  op_arm(&op->op, 0, NULL);
  op_fail_code(&op->op, ERR_CLOSED, "the handle is closed");
  return op;
}

PgStream *pg_op_take_stream(PgOp *op) {
  PgStream *stream = op->stream;
  op->stream = NULL;
  return stream;
}
