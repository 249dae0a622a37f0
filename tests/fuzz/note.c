/* The reader of a transaction's note over any bytes. What it accepts must be what writing makes of it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "net/pg_note.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  memcpy(text, data, size);
  text[size] = '\0';
  PgNote note;
  if (pg_note_read(text, &note)) {
    Buf again = {0};
    pg_note_write(&note, &again);
    if (strcmp(buf_str(&again), text) != 0) abort();
    buf_fini(&again);
  }
  free(text);
  return 0;
}
