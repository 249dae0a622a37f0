/* psql_known: what the shell asks of a handle besides its methods, all without a word to the server: another handle beside it,
 * and what is known of its connection. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/psql.h"
#include "run/run.h"

/* A handle like it, without a connection. */
static Psql *known_push_copy(lua_State *L, const Psql *db) {
  Psql *copy = lua_newuserdatauv(L, sizeof *copy, 1);
  *copy = *db;
  copy->pg = NULL;
  copy->scope = NULL;
  memset(copy->spares, 0, sizeof copy->spares);
  luaL_setmetatable(L, PSQL_HANDLE_NAME);
  return copy;
}

/* nil instead of the one on top when it leads nowhere. */
static bool known_leads(lua_State *L, const Psql *copy) {
  if (copy->pg != NULL) return true;
  lua_pop(L, 1);
  lua_pushnil(L);
  return false;
}

void psql_push_twin(lua_State *L, int index) {
  const Psql *db = psql_check(L, index);
  Psql *twin = known_push_copy(L, db);
  twin->pg = pg_twin(db->pg);
  known_leads(L, twin);
}

void psql_push_beside(lua_State *L, int index, const char *dbname, const char *user) {
  const Psql *db = psql_check(L, index);
  Psql *beside = known_push_copy(L, db);
  char *name = NULL;
  beside->pg = pg_beside(db->pg, beside, dbname, user, &name);
  if (known_leads(L, beside) && dbname != NULL) beside->target = guard_target(run_of(L)->guard, "psql", name, NULL);
  free(name);
}

static void known_field(lua_State *L, const char *key, const char *value) {
  if (value == NULL || value[0] == '\0') return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

void psql_push_known(lua_State *L, int index) {
  const Psql *db = psql_check(L, index);
  const PgIdentity *id = pg_identity(db->pg);
  PgPeer peer;
  lua_newtable(L);
  if (id == NULL) return;
  known_field(L, "database", id->database);
  known_field(L, "user", id->user);
  if (!pg_peer(db->pg, &peer)) return;
  known_field(L, "host", peer.host);
  known_field(L, "address", peer.address);
  known_field(L, "port", peer.port);
  known_field(L, "tls", peer.tls);
  known_field(L, "cipher", peer.cipher);
  lua_pushinteger(L, peer.pid);
  lua_setfield(L, -2, "pid");
  if (peer.in_recovery < 0) return;
  lua_pushstring(L, peer.in_recovery != 0 ? "standby" : "primary");
  lua_setfield(L, -2, "role");
}
