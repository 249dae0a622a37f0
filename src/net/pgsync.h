/* pgsync: a small blocking PostgreSQL client, for the run store only.
 *
 * The journal must be on disk before an effect is let out, so there is nothing the process could do meanwhile: here blocking is
 * the point. Not for two threads at once. Bounded all the same: connect_timeout and tcp_user_timeout are 10 s unless the conninfo
 * says otherwise. Scripts use net/pg, which never blocks. */
#ifndef PGSH_NET_PGSYNC_H
#define PGSH_NET_PGSYNC_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct PgSync PgSync;

/* Remember where to connect; the connection is made at the first statement. conninfo is copied. */
PgSync *pgsync_new(const char *conninfo);
void pgsync_free(PgSync *db);
/* Host and database for people, without credentials. Borrowed. */
const char *pgsync_where(const PgSync *db);

/* Connect when there is no connection or it is known to be down: the statements below do that by themselves. Nothing is sent over
 * one that looks well. */
bool pgsync_connect(PgSync *db, Err *err);

typedef struct PgSyncRows {
  char **values; /* rows × columns, NULL for SQL NULL */
  size_t rows, columns;
} PgSyncRows;

/* Run one statement with text parameters. `rows` may be NULL. False and err: ERR_PSQL_CONNECT when the line is down (the
 * connection is dropped; the next call makes a new one), else ERR_PSQL. */
bool pgsync_exec(PgSync *db, const char *sql, size_t nparams, const char *const *params, PgSyncRows *rows, Err *err);
/* Borrowed; NULL for SQL NULL. */
const char *pgsync_value(const PgSyncRows *rows, size_t row, size_t column);
void pgsync_free_rows(PgSyncRows *rows);
/* Counts the connections made so far: session locks are lost when it changes. */
unsigned pgsync_generation(const PgSync *db);

#endif
