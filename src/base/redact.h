/* redact: the set of secret values, and their removal from texts.
 *
 * Whatever leaves the process for an eye or a disk passes here: a secret is recognised by its VALUE, wherever it turns up. */
#ifndef PGSH_BASE_REDACT_H
#define PGSH_BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define REDACT_MARK "•••"
/* Shorter values are not searched for: they would blot out ordinary text. A Secret object of any length prints as the mark. */
#define REDACT_MIN_BYTES 6

typedef struct Redact Redact;

Redact *redact_new(void);
void redact_free(Redact *redact);
/* Remember a secret (copied). Also its percent-encoded and its JSON-escaped form where they differ. Too short: ignored. */
void redact_add(Redact *redact, const char *value, size_t len);
/* Remember the password of every URL ("scheme://user:password@host") and conninfo ("password=…") in the text. */
void redact_add_credentials(Redact *redact, const char *text);
/* True when the text holds a secret; then `out` (cleared first) has the text with each one replaced. */
bool redact_text(const Redact *redact, const char *text, size_t len, Buf *out);
/* In place, for a malloc'd string: returns `text` or a replacement (the old one freed). NULL stays NULL. */
char *redact_take(const Redact *redact, char *text);

#endif
