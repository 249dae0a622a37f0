/* buf: see buf.h. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *mem_alloc(size_t size) {
  void *p = calloc(1, size > 0 ? size : 1);
  if (p == NULL) abort();
  return p;
}

void *mem_realloc(void *old, size_t size) {
  void *p = realloc(old, size > 0 ? size : 1);
  if (p == NULL) abort();
  return p;
}

char *mem_strdup(const char *text) {
  if (text == NULL) return NULL;
  size_t len = strlen(text) + 1;
  return memcpy(mem_alloc(len), text, len);
}

void buf_fini(Buf *buf) {
  free(buf->data);
  memset(buf, 0, sizeof *buf);
}

void buf_clear(Buf *buf) {
  buf->len = 0;
  if (buf->data != NULL) buf->data[0] = '\0';
}

char *buf_reserve(Buf *buf, size_t more) {
  if (buf->len + more + 1 > buf->cap) {
    size_t cap = buf->cap > 0 ? buf->cap : 64;
    while (cap < buf->len + more + 1)
      cap *= 2;
    buf->data = mem_realloc(buf->data, cap);
    buf->cap = cap;
    buf->data[buf->len] = '\0';
  }
  return buf->data + buf->len;
}

void buf_add(Buf *buf, const void *bytes, size_t len) {
  char *to = buf_reserve(buf, len);
  if (len > 0) memcpy(to, bytes, len);
  buf->len += len;
  buf->data[buf->len] = '\0';
}

void buf_add_str(Buf *buf, const char *text) { buf_add(buf, text, strlen(text)); }
void buf_add_char(Buf *buf, char c) { buf_add(buf, &c, 1); }

void buf_vprintf(Buf *buf, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int len = vsnprintf(NULL, 0, format, args);
  if (len > 0) {
    char *to = buf_reserve(buf, (size_t)len);
    vsnprintf(to, (size_t)len + 1, format, again);
    buf->len += (size_t)len;
  }
  va_end(again);
}

void buf_printf(Buf *buf, const char *format, ...) {
  va_list args;
  va_start(args, format);
  buf_vprintf(buf, format, args);
  va_end(args);
}

void buf_consume(Buf *buf, size_t len) {
  if (len >= buf->len) {
    buf_clear(buf);
    return;
  }
  memmove(buf->data, buf->data + len, buf->len - len + 1);
  buf->len -= len;
}

const char *buf_str(const Buf *buf) { return buf->data != NULL ? buf->data : ""; }

char *buf_take(Buf *buf) {
  if (buf->data == NULL) buf_reserve(buf, 0);
  char *data = buf->data;
  memset(buf, 0, sizeof *buf);
  return data;
}
