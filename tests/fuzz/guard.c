/* The guard's tokenizer over any bytes. A text it takes for one read must stay one when blanks are put around it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/pg_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char name[PG_GUARD_NAME], again[PG_GUARD_NAME];
  char *text = malloc(size + 3);
  memcpy(text + 1, data, size);
  text[0] = ' ';
  text[size + 1] = '\n';
  PgGuard plain = pg_guard_read(text + 1, size, name);
  pg_guard_acts(text + 1, size, name);
  if (plain == PG_GUARD_READ && pg_guard_read(text, size + 2, again) != PG_GUARD_READ) abort();
  free(text);
  return 0;
}
