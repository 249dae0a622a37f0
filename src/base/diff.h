/* diff: what is different between two texts, line by line, as patch(1) takes it. */
#ifndef PGSH_BASE_DIFF_H
#define PGSH_BASE_DIFF_H

#include <stddef.h>

#include "base/buf.h"

/* Append the unified diff from a to b with 3 lines of context and the names a/PATH and b/PATH; nothing when they are equal. The
 * shortest one, unless the texts differ in more than 1,000 lines or so: then what is between the first and the last difference is
 * replaced as a whole. A last line without a line end is told as diff(1) does. */
void diff_unified(Buf *out, const char *path, const char *a, size_t a_len, const char *b, size_t b_len);

#endif
