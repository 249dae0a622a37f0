/* The guard's tokenizer over any bytes. A text it takes for one read must stay one when blanks are put around it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/pg_danger.h"
#include "net/pg_guard.h"
#include "net/pg_secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char name[PG_GUARD_NAME], again[PG_GUARD_NAME];
  char *text = malloc(size + 3);
  memcpy(text + 1, data, size);
  text[0] = ' ';
  text[size + 1] = '\n';
  PgGuard plain = pg_guard_read(text + 1, size, name);
  pg_guard_acts(text + 1, size, name);
  PgDanger danger, shifted; /* blanks around it change nothing */
  if (pg_danger(text + 1, size, &danger) != pg_danger(text, size + 2, &shifted)) abort();
  if (plain == PG_GUARD_READ && pg_guard_read(text, size + 2, again) != PG_GUARD_READ) abort();
  /* A query in parentheses stays one, and a table's name followed by words is not a name. */
  size_t end = 0;
  if (pg_guard_query(text + 1, size, &end)) {
    char *wrapped = malloc(end + 4);
    wrapped[0] = '(';
    memcpy(wrapped + 1, text + 1, end);
    memcpy(wrapped + 1 + end, "\n)", 2);
    if (end > size || pg_guard_read(wrapped, end + 3, again) != PG_GUARD_READ) abort();
    size_t whole = 0;
    if (!pg_guard_query(wrapped, end + 3, &whole) || whole != end + 3) abort();
    free(wrapped);
  }
  if (pg_guard_relation(text + 1, size)) {
    char *more = malloc(size + 12);
    memcpy(more, text + 1, size);
    memcpy(more + size, " from stdin", 11);
    if (pg_guard_relation(more, size + 11)) abort();
    free(more);
  }
  /* What stands in front of the first secret stays as it is. */
  Redact *redact = redact_new();
  Buf clean = {0};
  if (pg_secret_hide(text + 1, size, redact, &clean)) {
    const char *mark = memmem(clean.data, clean.len, REDACT_MARK, strlen(REDACT_MARK));
    if (mark == NULL || memcmp(clean.data, text + 1, (size_t)(mark - clean.data)) != 0) abort();
  }
  buf_fini(&clean);
  redact_free(redact);
  free(text);
  return 0;
}
