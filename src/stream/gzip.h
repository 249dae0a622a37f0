/* gzip: the gzip format (RFC 1952) on byte buffers, with zlib. May run on a pool thread. */
#ifndef PGSH_STREAM_GZIP_H
#define PGSH_STREAM_GZIP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define GZIP_LEVEL_DEFAULT 6

/* One member, without name and time: the same input gives the same bytes. level 1 to 9. Appends to out. `stop` (may be NULL)
 * is looked at between chunks: ERR_CANCELLED. */
bool gzip_compress(const void *bytes, size_t len, int level, const atomic_bool *stop, Buf *out, Err *err);

/* All members, each one's CRC and length checked. Anything that is not gzip (also behind a member) is refused, ERR_IO; more
 * than limit_bytes: ERR_LIMIT. Appends to out. */
bool gzip_decompress(const void *bytes, size_t len, size_t limit_bytes, const atomic_bool *stop, Buf *out, Err *err);

#endif
