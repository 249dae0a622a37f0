/* pg_note: what has to be remembered of a transaction before its COMMIT is sent, as one line of text that is kept in the journal:
 * by it another process can ask the server later what became of it. Pure; reading refuses whatever writing cannot have made.
 *
 *   xid=742 lsn=0/1A2B3C8 timeline=00000001 epoch=1751700000.12346 system=7391512345678901234
 *
 * xid=none: the transaction has no number (it wrote nothing so far). The others are left out when they are not known. */
#ifndef PGSH_NET_PG_NOTE_H
#define PGSH_NET_PG_NOTE_H

#include <stdbool.h>

#include "base/buf.h"

typedef struct PgNote { /* "": not known */
  char xid[24];
  char lsn[24];      /* a place in the WAL behind the transaction's changes */
  char timeline[12]; /* eight hex digits */
  char epoch[40];    /* when the server's statistics were last reset, in seconds */
  char system[24];   /* the cluster's system identifier */
} PgNote;

void pg_note_write(const PgNote *note, Buf *out);
/* False when the text is not a note; what `note` holds is then of no use. */
bool pg_note_read(const char *text, PgNote *note);

#endif
