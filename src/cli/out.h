/* out: writing to the two standard descriptors, all of it or nothing more. */
#ifndef PGSH_CLI_OUT_H
#define PGSH_CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>

/* Write all. False when the reader is gone or the device is full; from then on nothing is written there. Waits when a
 * terminal is slow. Flushes C's own stdout first, so that what `print` wrote keeps its place. */
bool out_write(int fd, const char *bytes, size_t len);
/* Was a write to stdout refused? The errno, or 0. EPIPE: its reader has seen enough. */
int out_broken(void);
/* "pgsh: " and the text, made clean, as one line on stderr. */
void out_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
