/* digest: message digests (OpenSSL EVP). Everything here may run on a pool thread; one Digest belongs to one thread at a time. */
#ifndef PGSH_STREAM_DIGEST_H
#define PGSH_STREAM_DIGEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define DIGEST_HEX_SIZE 129 /* 64 bytes in hexadecimal, and a NUL */

/* The names, weakest last, ended by NULL: "sha256", "sha512", … */
extern const char *const digest_names[];
bool digest_known(const char *name);

/* How many hexadecimal digits it has; 0 when there is none of that name. */
size_t digest_digits(const char *name);

typedef struct Digest Digest;

/* NULL when there is none of that name (or the system's policy forbids it). */
Digest *digest_new(const char *name);
void digest_free(Digest *digest); /* NULL is fine */
void digest_update(Digest *digest, const void *bytes, size_t len);
/* The digest of all that was fed, in lower-case hexadecimal. Once. */
void digest_final(Digest *digest, char hex[DIGEST_HEX_SIZE]);

/* At once. False and err (ERR_USAGE) when the name is unknown. */
bool digest_bytes(const char *name, const void *bytes, size_t len, char hex[DIGEST_HEX_SIZE], Err *err);
/* Of a file; blocks; `stop` is looked at between chunks (ERR_CANCELLED). err: ERR_IO or ERR_USAGE. */
bool digest_file(const char *name, const char *path, const atomic_bool *stop, char hex[DIGEST_HEX_SIZE], Err *err);

#endif
