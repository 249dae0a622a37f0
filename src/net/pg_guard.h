/* pg_guard: what a statement does, told from its text alone.
 *
 * A READ ONLY transaction stops every write to tables, but not the functions that act all the same (pg_terminate_backend,
 * pg_promote, dblink, …) nor the statements that write elsewhere (COPY … TO PROGRAM). This is the list of them, found
 * by pg_lex as the server's own lexer would find them. Pure: no allocation, no state; any bytes may be given. */
#ifndef PGSH_NET_PG_GUARD_H
#define PGSH_NET_PG_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#include "net/pg_lex.h"

#define PG_GUARD_NAME PG_LEX_NAME

typedef enum PgGuard {
  PG_GUARD_READ,      /* fit for a read */
  PG_GUARD_EMPTY,     /* there is no statement */
  PG_GUARD_STATEMENT, /* begins with something that is not a read; the name is its first word */
  PG_GUARD_FUNCTION,  /* calls a function that acts; the name is the function's */
  PG_GUARD_MANY,      /* more than one statement */
  PG_GUARD_BROKEN,    /* an unterminated quote or comment, or a name that cannot be decoded */
} PgGuard;

/* May this be sent as a read? `name` gets what was found (cut to fit), else "". */
PgGuard pg_guard_read(const char *sql, size_t len, char name[PG_GUARD_NAME]);
/* Is it one query (SELECT, WITH, VALUES, TABLE) that may stand in parentheses, as in COPY (…) TO STDOUT, without reaching out of
 * them? Then `end` gets its length without a semicolon behind it. */
bool pg_guard_query(const char *sql, size_t len, size_t *end);
/* Is it the name of a table, perhaps quoted and qualified, perhaps with a list of columns: what may stand in COPY … FROM STDIN?
 */
bool pg_guard_relation(const char *text, size_t len);
/* Does it call a function whose effect a rollback does not take back? Looks into dollar quotes too (DO blocks). */
bool pg_guard_acts(const char *sql, size_t len, char name[PG_GUARD_NAME]);

#endif
