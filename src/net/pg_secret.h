/* pg_secret: where a statement holds a password, so that it is neither shown nor kept.
 *
 * Hidden are the literals, in whatever quotes, that follow PASSWORD and names like it (OPTIONS (password '…'), SET x.secret =
 * '…'), every literal of CREATE and ALTER ROLE but VALID UNTIL's (the keyword may be mistyped), the passwords in connection
 * strings, those in SQL that is itself in a string, and the keys given to crypt() and its kind.
 */
#ifndef PGSH_NET_PG_SECRET_H
#define PGSH_NET_PG_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/redact.h"

/* True when the text holds one; then `out` (cleared first) has the text with REDACT_MARK in place of each. They
 * become known to `redact` by their value too, unless it is a name in the text (a role's own would be blotted out everywhere). */
bool pg_secret_hide(const char *sql, size_t len, Redact *redact, Buf *out);
/* The same of a text that quotes SQL (the context of an error); nothing becomes known. */
bool pg_secret_hide_text(const char *text, Buf *out);

#endif
