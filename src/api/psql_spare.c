/* psql_spare: connections beside the one of a handle. In a script a second task at the same handle is an error; at a prompt it is
 * how people work: a job keeps the handle busy, and the next line is about the same database. */
#include "api/psql.h"
#include "run/run.h"
#include "vm/task.h"

static bool spare_is_wanted(lua_State *L) { return run_of(L)->gate != 0; }

void psql_spare_close(Psql *db) {
  for (int i = 0; i < PSQL_SPARES; i++) {
    Pg *pg = db->spares[i].pg;
    db->spares[i].pg = NULL;
    pg_close(pg);
  }
}

bool psql_spare_streams(const Psql *db) {
  bool streams = pg_streaming(db->pg);
  for (int i = 0; i < PSQL_SPARES && !streams; i++)
    streams = db->spares[i].pg != NULL && pg_streaming(db->spares[i].pg);
  return streams;
}

/* A nested use by one task stays an error: what is tried at the prompt must work in a script. */
static bool spare_is_nested(const Psql *db, uint64_t user) {
  if (pg_busy(db->pg) && db->user == user) return true;
  for (int i = 0; i < PSQL_SPARES; i++)
    if (db->spares[i].pg != NULL && pg_busy(db->spares[i].pg) && db->spares[i].user == user) return true;
  return false;
}

/* One that is idle, or a new one; NULL: there are too many, or nobody knows where the handle leads yet. One without a connection
 * is made anew: the handle may know a password by now that it did not, or other credentials. */
static PsqlSpare *spare_find(Psql *db) {
  PsqlSpare *free_slot = NULL;
  PgPeer peer;
  for (int i = 0; i < PSQL_SPARES; i++) {
    PsqlSpare *spare = &db->spares[i];
    bool idle = spare->pg != NULL && !pg_busy(spare->pg);
    if (idle && pg_peer(spare->pg, &peer)) return spare;
    if (idle) {
      pg_close(spare->pg);
      spare->pg = NULL;
    }
    if (spare->pg == NULL && free_slot == NULL) free_slot = spare;
  }
  if (free_slot != NULL) free_slot->pg = pg_twin(db->pg);
  return free_slot != NULL && free_slot->pg != NULL ? free_slot : NULL;
}

bool psql_spare_none(lua_State *L, Psql *db) {
  uint64_t user = task_current(L) != NULL ? task_id(task_current(L)) : 0;
  if (!spare_is_wanted(L)) return pg_busy(db->pg);
  return spare_is_nested(db, user) || (pg_busy(db->pg) && spare_find(db) == NULL);
}

Pg *psql_spare_pick(lua_State *L, Psql *db) {
  uint64_t user = task_id(task_current(L));
  PsqlSpare *spare = pg_busy(db->pg) && spare_is_wanted(L) ? spare_find(db) : NULL;
  if (spare != NULL) {
    spare->user = user;
    return spare->pg;
  }
  for (int i = 0; i < PSQL_SPARES && !pg_busy(db->pg); i++) { /* they are not needed any more */
    if (db->spares[i].pg == NULL || pg_busy(db->spares[i].pg)) continue;
    pg_close(db->spares[i].pg);
    db->spares[i].pg = NULL;
  }
  db->user = user;
  return db->pg;
}
