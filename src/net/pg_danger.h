/* pg_danger: can what a statement does be taken back? Told from its text alone, for the question that is asked before it is made.
 *
 * Only the statement's own words count, as pg_lex finds them: not what stands in comments and literals, and a WHERE only where it
 * belongs to the UPDATE or DELETE itself. What cannot be told (DO, CALL, a WITH that changes rows, a SELECT of a function that
 * may change anything) is taken for dangerous: only what is a change is asked about here, never a read. */
#ifndef PGSH_NET_PG_DANGER_H
#define PGSH_NET_PG_DANGER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct PgDanger {
  char what[96];     /* "drop", "delete without where", "pg_promote"; "": it can be taken back */
  bool told;         /* it surely cannot; else nobody can tell */
  const char *locks; /* that it only locks, and how: a sentence; NULL: not so */
  bool rows;         /* an UPDATE or DELETE: the planner can say how many rows */
} PgDanger;

/* One statement, or several with semicolons between them. True when it may not be possible to take it back. Pure; any bytes. */
bool pg_danger(const char *sql, size_t len, PgDanger *danger);

#endif
