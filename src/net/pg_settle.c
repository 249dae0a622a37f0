/* pg_settle: what the server's own record says of a transaction whose COMMIT was not answered. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/pg_chain.h"

void pg_settle_add(PgSettle *settle, const char *why) {
  Buf detail = {0};
  if (settle->lost.detail != NULL) buf_printf(&detail, "%s; ", settle->lost.detail);
  buf_add_str(&detail, why);
  err_set_detail(&settle->lost, buf_str(&detail));
  buf_fini(&detail);
}

PgVerdict pg_settle_fits(PgSettle *settle, const PgIdentity *now) {
  /* A standby that has not replayed that far would say "in progress", or know nothing. */
  if (now->in_recovery == 1) return VERDICT_WAIT;
  if (settle->at.timeline[0] == '\0' || strcmp(settle->at.timeline, now->timeline) == 0) return VERDICT_COMMITTED;
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
  const char *sql = now->server_version >= 130000 ? "select pg_catalog.pg_xact_status($1::text::xid8)"
                                                  : "select pg_catalog.txid_status($1::bigint)";
  pg_statement_set(pg_job_add(job, sql, 1), 0, settle->xid);
  return job;
}

PgVerdict pg_settle_read(PgSettle *settle, const PgRows *rows) {
  const char *status = rows->nrows == 1 ? pg_rows_cell(rows, 0, 0, NULL) : NULL;
  if (status == NULL) {
    pg_settle_add(settle, "the server does not remember the transaction any more");
    return VERDICT_UNKNOWN;
  }
  if (strcmp(status, "committed") == 0) return VERDICT_COMMITTED;
  if (strcmp(status, "aborted") == 0) return VERDICT_ABORTED;
  return VERDICT_WAIT;
}
