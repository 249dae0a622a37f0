/* pg_settle: what the server's own record says of a transaction whose COMMIT was not answered. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/pg_chain.h"
#include "net/pg_note.h"

void pg_settle_add(PgSettle *settle, const char *why) {
  Buf detail = {0};
  if (settle->lost.detail != NULL) buf_printf(&detail, "%s; ", settle->lost.detail);
  buf_add_str(&detail, why);
  err_set_detail(&settle->lost, buf_str(&detail));
  buf_fini(&detail);
}

static PgVerdict settle_unknown(PgSettle *settle, const char *why) {
  pg_settle_add(settle, why);
  return VERDICT_UNKNOWN;
}

bool pg_settle_load(PgSettle *settle, const PgJob *job, const char *note) {
  PgNote read;
  bool good = pg_note_read(note, &read);
  err_set(&settle->lost, ERR_UNKNOWN, "the COMMIT was about to be sent when an earlier attempt was cut off");
  if (!good) pg_settle_add(settle, "the note that it left cannot be read");
  if (good && read.xid[0] == '\0') pg_settle_add(settle, "the transaction had no number to look it up by");
  if (!good || read.xid[0] == '\0') return false;
  memcpy(settle->xid, read.xid, sizeof settle->xid);
  memcpy(settle->lsn, read.lsn, sizeof settle->lsn);
  memcpy(settle->at.timeline, read.timeline, sizeof settle->at.timeline);
  memcpy(settle->at.epoch, read.epoch, sizeof settle->at.epoch);
  memcpy(settle->at.system_identifier, read.system, sizeof settle->at.system_identifier);
  settle->later = true;
  settle->acts = pg_job_acts(job);
  settle->until_ms = clock_mono_ms() + PG_SETTLE_MS;
  return true;
}

/* A later process has no first contact to compare with but the note. When the statistics' age is the same, so is the cluster. */
static bool settle_same_cluster(PgSettle *settle, const PgIdentity *now) {
  const char *then = settle->at.system_identifier;
  if (then[0] != '\0' && now->system_identifier[0] != '\0') {
    if (strcmp(then, now->system_identifier) == 0) return true;
    pg_settle_add(settle, "another database cluster answers, so it was not asked");
    return false;
  }
  if (!settle->later || !settle->crashed) return true;
  pg_settle_add(settle, "it cannot be told whether the same database cluster answers");
  return false;
}

PgVerdict pg_settle_fits(PgSettle *settle, const PgIdentity *now) {
  /* A standby that has not replayed that far would say "in progress", or know nothing. */
  if (now->in_recovery == 1) return VERDICT_WAIT;
  if (settle->at.timeline[0] == '\0' || settle->at.epoch[0] == '\0')
    return settle_unknown(settle, "the server's transactions cannot be told apart, so it was not asked");
  settle->crashed = strcmp(settle->at.epoch, now->epoch) != 0;
  if (!settle_same_cluster(settle, now)) return VERDICT_UNKNOWN;
  if (strcmp(settle->at.timeline, now->timeline) == 0) return VERDICT_COMMITTED;
  /* The same number may belong to another transaction there. */
  Buf why = {0};
  buf_printf(&why, "transaction %s cannot be looked up: the server failed over from timeline %s to %s", settle->xid,
             settle->at.timeline, now->timeline[0] != '\0' ? now->timeline : "?");
  pg_settle_add(settle, buf_str(&why));
  buf_fini(&why);
  return VERDICT_UNKNOWN;
}

PgJob *pg_settle_job(const PgSettle *settle, const PgIdentity *now) {
  PgJob *job = pg_job_new();
  Buf sql = {0};
  buf_printf(&sql, "select pg_catalog.%s, ",
             now->server_version >= 130000 ? "pg_xact_status($1::text::xid8)" : "txid_status($1::bigint)");
  buf_add_str(&sql, now->reads_control ? "(select redo_lsn > $2::pg_lsn from pg_catalog.pg_control_checkpoint())" : "$2::text");
  PgStatement *ask = pg_job_add(job, buf_str(&sql), 2);
  buf_fini(&sql);
  pg_statement_set(ask, 0, settle->xid);
  if (now->reads_control && settle->lsn[0] != '\0') pg_statement_set(ask, 1, settle->lsn);
  return job;
}

/* After a crash the number may have been given out again, when nothing of our transaction had reached the disk. But had its
 * COMMIT reached the disk, then recovery, and the checkpoint at its end, would have come past the place we noted before it. */
static PgVerdict settle_after_crash(PgSettle *settle, const PgRows *rows) {
  const char *beyond = pg_rows_cell(rows, 0, 1, NULL);
  /* Much later that proves nothing: others have written, and made checkpoints, since. */
  if (beyond == NULL || settle->later)
    return settle_unknown(settle, "the server crashed in between, and may have given the transaction's number to another");
  return *beyond == 't' ? VERDICT_COMMITTED : VERDICT_ABORTED;
}

/* A later process would make the change anew. */
static PgVerdict settle_aborted(PgSettle *settle) {
  if (!settle->later || !settle->acts) return VERDICT_ABORTED;
  return settle_unknown(settle, "it was rolled back, but a function that it called acts at once");
}

PgVerdict pg_settle_read(PgSettle *settle, const PgRows *rows) {
  const char *status = rows->nrows == 1 ? pg_rows_cell(rows, 0, 0, NULL) : NULL;
  if (status == NULL) return settle_unknown(settle, "the server does not remember the transaction any more");
  settle->in_progress = strcmp(status, "in progress") == 0;
  if (strcmp(status, "aborted") == 0) return settle_aborted(settle);
  if (strcmp(status, "committed") != 0) return VERDICT_WAIT;
  return settle->crashed ? settle_after_crash(settle, rows) : VERDICT_COMMITTED;
}

PgVerdict pg_settle_error(PgSettle *settle, const Err *err) {
  settle->in_progress = false;
  if (err->code == ERR_PSQL_CONNECT) return VERDICT_WAIT;
  /* "transaction ID … is in the future": a crash lost it before it reached the disk. */
  if (settle->crashed && strcmp(err->sqlstate, "22023") == 0) return settle_aborted(settle);
  return settle_unknown(settle, err->message);
}
