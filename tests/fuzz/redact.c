/* The first half names a secret, the second is a text: afterwards the text does not hold the secret. */
#include <stdlib.h>
#include <string.h>

#include "base/redact.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  size_t len = data[0] % (size - 1);
  const char *secret = (const char *)data + 1, *text = secret + len;
  size_t text_len = size - 1 - len;
  Redact *redact = redact_new();
  redact_add(redact, secret, len);
  char *copy = malloc(text_len + 1);
  memcpy(copy, text, text_len);
  copy[text_len] = '\0';
  redact_add_credentials(redact, copy);
  Buf clean = {0};
  if (redact_text(redact, text, text_len, &clean) && len >= REDACT_MIN_BYTES &&
      memmem(REDACT_MARK, strlen(REDACT_MARK), secret, 1) == NULL && memmem(clean.data, clean.len, secret, len) != NULL &&
      memmem(secret, len, "\xe2", 1) == NULL)
    abort();
  buf_fini(&clean);
  free(copy);
  redact_free(redact);
  return 0;
}
