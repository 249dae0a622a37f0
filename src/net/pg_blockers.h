/* pg_blockers: who stands in the way of a session that waits for a lock, asked over a second connection. Internal to net/pg*. */
#ifndef PGSH_NET_PG_BLOCKERS_H
#define PGSH_NET_PG_BLOCKERS_H

#include "net/pg_script.h"

typedef struct PgBlockers PgBlockers;

/* After first_ms, and then every second, look who blocks the backend `pid`. Fails silently: it is only an explanation. */
PgBlockers *pg_blockers_start(Loop *loop, const char *conninfo, int pid, int64_t first_ms);
/* What was last seen, a line for each session; NULL: nobody. Borrowed. */
const char *pg_blockers_text(const PgBlockers *blockers);
void pg_blockers_free(PgBlockers *blockers); /* NULL is fine */

#endif
