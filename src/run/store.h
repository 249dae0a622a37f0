/* store: where runs are kept: DIR/runs/ID/{journal.jsonl,lock} and DIR/locks/. Directories 0700, files 0600.
 *
 * A lock is an open-file-description lock on a file that names its holder: it goes with the process, however that ends. */
#ifndef PGSH_RUN_STORE_H
#define PGSH_RUN_STORE_H

#include <stdbool.h>

#include "base/err.h"
#include "run/journal.h"

typedef struct Store Store;

/* `where`: a directory, or postgresql://… for a shared database (run/store_pg.h). NULL: $XDG_STATE_HOME/pgsh, else
 * ~/.local/state/pgsh. Nothing is made or connected yet. */
Store *store_new(const char *where);
void store_free(Store *store);             /* releases the locks */
const char *store_dir(const Store *store); /* for people; borrowed */

#define STORE_ID_SIZE 16
typedef struct StoreRun {
  char id[STORE_ID_SIZE];
  bool live;     /* a process holds it */
  char *holder;  /* who, or NULL; free() */
  char *started; /* "at" of the first event, or NULL; free() */
} StoreRun;

/* Make a run's directory, take its lock, create its journal. */
Journal *store_begin(Store *store, char id[STORE_ID_SIZE], Err *err);
/* Open one to go on with it. `name` is an id, an unambiguous beginning, or "last". */
Journal *store_resume(Store *store, const char *name, char id[STORE_ID_SIZE], json_t **events, Err *err);
/* Read one. */
json_t *store_read(Store *store, const char *name, StoreRun *run, Err *err);
/* All, newest first; *count entries, free with store_free_list. */
StoreRun *store_list(Store *store, size_t *count, Err *err);
void store_free_list(StoreRun *runs, size_t count);
/* Lock a target for a run, until store_free. ERR_LOCKED names the holder. */
bool store_lock(Store *store, const char *key, const char *run, Err *err);
/* Give it back before that. */
void store_unlock(Store *store, const char *key);

#endif
