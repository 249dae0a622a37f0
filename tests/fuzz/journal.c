/* A journal of any bytes: refused with an error or opened with its torn tail cut off; opening again finds the same events. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fuzz.h"
#include "run/door.h"
#include "run/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/tmp/pgsh-fuzz-journal.%d", (int)getpid());
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
  close(fd);
  Err err = {0};
  json_t *events = NULL, *again = NULL;
  Journal *journal = journal_open(path, &events, &err);
  if (journal == NULL) {
    if (err.code == ERR_NONE) abort();
  } else {
    Door *door = door_new();
    door_load(door, events);
    door_free(door);
    journal_close(journal);
    again = journal_read(path, &err);
    if (again == NULL || json_array_size(again) != json_array_size(events)) abort();
  }
  json_decref(again);
  json_decref(events);
  err_fini(&err);
  unlink(path);
  return 0;
}
