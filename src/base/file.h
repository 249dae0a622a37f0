/* file: whole files, read and written so that a crash leaves the old or the new one. */
#ifndef PGSH_BASE_FILE_H
#define PGSH_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Append the file's content to `text`. ERR_IO when it cannot be read, is a directory; ERR_LIMIT above `limit` bytes. */
bool file_read(const char *path, size_t limit, Buf *text, Err *err);
/* Replace: temporary name in the same directory, written, synced, renamed, directory synced. `mode` for a new file; an existing
 * one keeps its mode, and its owner where we may. On failure the temporary file is removed and the old one untouched. */
bool file_write(const char *path, const void *bytes, size_t len, unsigned mode, Err *err);
/* Make the names in the file's directory last (a rename). */
void file_sync_parent(const char *path);

#endif
