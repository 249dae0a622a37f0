/* buf: a growable byte buffer in caller storage. A zeroed Buf is empty. Running out of memory aborts: a host that cannot
 * allocate a few bytes cannot journal either. */
#ifndef PGSH_BASE_BUF_H
#define PGSH_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

typedef struct Buf {
  char *data; /* NUL-terminated whenever not NULL */
  size_t len, cap;
} Buf;

void buf_fini(Buf *buf);  /* frees; idempotent */
void buf_clear(Buf *buf); /* keeps the memory */
/* Make room for `more` bytes behind len (and a NUL); returns where they go. */
char *buf_reserve(Buf *buf, size_t more);
void buf_add(Buf *buf, const void *bytes, size_t len);
void buf_add_str(Buf *buf, const char *text);
void buf_add_char(Buf *buf, char c);
void buf_printf(Buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(Buf *buf, const char *format, va_list args);
/* Drop the first `len` bytes. */
void buf_consume(Buf *buf, size_t len);
/* The text, never NULL. Borrowed. */
const char *buf_str(const Buf *buf);
/* Hand the memory over (free()); the buffer is empty afterwards. Never NULL. */
char *buf_take(Buf *buf);

/* Allocation that does not fail: aborts with one line instead. */
void *mem_alloc(size_t size); /* zeroed */
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text); /* NULL stays NULL */

#endif
