/* text: what strings from outside look like on a terminal: harmless, and measured in columns. */
#ifndef PGSH_CLI_TEXT_H
#define PGSH_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Take the character set from the environment. Cheap when called again; everything below calls it. */
void text_use_locale(void);
/* May anything but ASCII be printed? */
bool text_is_utf8(void);

/* Append `text` so that it stays on its line and can do nothing to a terminal: control characters, escape sequences, characters
 * that reorder text and broken UTF-8 become visible escapes; line ends and tabs become a space. Without UTF-8, signs that
 * have an ASCII equivalent get it and the others become '?'. */
void text_add_clean(Buf *buf, const char *text);
/* Columns of a clean text. */
size_t text_width(const char *text);
/* How many bytes of a clean text fit into `columns`. */
size_t text_fit(const char *text, size_t columns);
/* As text_fit, but ends at a space where there is one: the length of the next line of a wrapped paragraph, never 0 unless the
 * text is empty. */
size_t text_break(const char *text, size_t columns);

/* The candidate that `word` most likely was meant to be, or NULL. */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);

#endif
