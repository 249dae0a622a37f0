/* The diff of any two texts, applied as patch(1) would: it gives the second. */
#include "base/diff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* Lines of `a` and `diff` put together; aborts where the diff does not fit. */
static void apply(const char *diff, const char *a, size_t a_len, Buf *out) {
  const char *end = a + a_len, *p = a;
  size_t line = 1;
  diff = strchr(strchr(diff, '\n') + 1, '\n') + 1; /* the names */
  while (*diff != '\0') {
    const char *next = strchr(diff, '\n') + 1;
    if (*diff == '@') {
      size_t first, count = 1;
      if (sscanf(diff, "@@ -%zu,%zu", &first, &count) < 1) abort();
      if (count == 0) first++;
      for (; line < first; line++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL) abort();
        buf_add(out, p, (size_t)(stop + 1 - p));
        p = stop + 1;
      }
    } else if (*diff == '\\') {
      abort(); /* was passed with its line */
    } else {
      size_t len = (size_t)(next - diff) - 1;
      if (*next == '\\') {
        len--;
        next = strchr(next, '\n') + 1;
      }
      if (*diff != '+') {
        if ((size_t)(end - p) < len || memcmp(p, diff + 1, len) != 0) abort();
        p += len;
        line++;
      }
      if (*diff != '-') buf_add(out, diff + 1, len);
    }
    diff = next;
  }
  buf_add(out, p, (size_t)(end - p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  for (size_t i = 0; i < size; i++) /* few different lines, many of them */
    text[i] = data[0] & 1 ? (data[i] % 3 == 0 ? '\n' : (char)('a' + data[i] % 2)) : data[i] == 0 ? 'x' : (char)data[i];
  char *cut = memchr(text, '|', size);
  size_t a_len = cut != NULL ? (size_t)(cut - text) : size / 2, b_len = size - a_len;
  Buf diff = {0}, out = {0};
  diff_unified(&diff, "/x y", text, a_len, text + a_len, b_len);
  bool equal = a_len == b_len && memcmp(text, text + a_len, a_len) == 0;
  if (equal != (diff.len == 0)) abort();
  if (!equal) {
    apply(diff.data, text, a_len, &out);
    if (out.len != b_len || memcmp(buf_str(&out), text + a_len, b_len) != 0) abort();
  }
  buf_fini(&diff);
  buf_fini(&out);
  free(text);
  return 0;
}
