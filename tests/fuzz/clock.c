/* Durations and times as people type them: no crash, and what is printed is read back as the same time. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  memcpy(text, data, size);
  text[size] = '\0';
  int64_t ms = 0, back = 0;
  if (clock_parse_duration(text, &ms) && ms < 0) abort();
  if (clock_parse_iso(text, &ms) && ms >= 0 && ms < 253402300799999) {
    char iso[CLOCK_ISO_SIZE];
    clock_iso(ms, iso);
    if (!clock_parse_iso(iso, &back) || back != ms) abort();
  }
  free(text);
  return 0;
}
