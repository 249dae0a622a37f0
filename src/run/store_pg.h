/* store_pg: runs kept in a shared PostgreSQL database (--state postgresql://…), schema pgsh, made when it is missing.
 *
 * The same events as on disk, so that a colleague can watch a run and take it over from another machine. A lock is a session
 * advisory lock: it goes with the holder's connection. Only for store.c. */
#ifndef PGSH_RUN_STORE_PG_H
#define PGSH_RUN_STORE_PG_H

#include "run/store.h"

typedef struct StorePg StorePg;

StorePg *store_pg_new(const char *conninfo);
void store_pg_free(StorePg *store); /* releases the locks */
/* All as their namesakes in store.h; ids are exact. */
Journal *store_pg_begin(StorePg *store, const char *id, Err *err);
Journal *store_pg_resume(StorePg *store, const char *id, json_t **events, Err *err);
json_t *store_pg_read(StorePg *store, const char *id, Err *err);
StoreRun *store_pg_list(StorePg *store, size_t *count, Err *err);
/* `holder` is the text others read. */
bool store_pg_lock(StorePg *store, const char *key, const char *holder, Err *err);
void store_pg_unlock(StorePg *store, const char *key);

#endif
