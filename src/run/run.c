/* run: see run.h. */
#include "run/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "run/door.h"
#include "run/journal.h"
#include "run/store.h"

Run *run_new(Vm *vm, Loop *loop, Redact *redact) {
  (void)loop;
  Run *run = mem_alloc(sizeof *run);
  run->mode = RUN_DIRECT;
  run->redact = redact;
  run->stream = stream_new(redact);
  run->guard = guard_new();
  run->door = door_new();
  vm_set_user(vm, run);
  return run;
}

void run_free(Run *run) {
  if (run == NULL) return;
  journal_close(run->journal);
  store_free(run->store);
  door_free(run->door);
  guard_free(run->guard);
  stream_free(run->stream);
  free(run);
}

bool run_set_state(Run *run, const char *where, Err *err) {
  if (where != NULL && strstr(where, "://") != NULL) {
    if (strncmp(where, "postgresql://", 13) != 0 && strncmp(where, "postgres://", 11) != 0)
      return err_set(err, ERR_USAGE, "--state: a directory or postgresql://… is expected");
    redact_add_credentials(run->redact, where);
  }
  store_free(run->store);
  run->store = store_new(where);
  return true;
}
