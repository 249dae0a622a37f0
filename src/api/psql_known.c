/* psql_known: what the shell asks of a handle besides its methods, all without a word to the server: another handle beside it,
 * and what is known of its connection. */
#include <lauxlib.h>
#include <string.h>

#include <stdlib.h>

#include "api/psql.h"
#include "run/run.h"

void psql_push_twin(lua_State *L, int index) {
  const Psql *db = psql_check(L, index);
  Psql *twin = lua_newuserdatauv(L, sizeof *twin, 1);
  *twin = *db;
  twin->pg = NULL;
  twin->scope = NULL;
  memset(twin->spares, 0, sizeof twin->spares);
  luaL_setmetatable(L, PSQL_HANDLE_NAME);
  twin->pg = pg_twin(db->pg);
  if (twin->pg != NULL) return;
  lua_pop(L, 1);
  lua_pushnil(L);
}

void psql_push_beside(lua_State *L, int index, const char *dbname, const char *user) {
  const Psql *db = psql_check(L, index);
  Psql *beside = lua_newuserdatauv(L, sizeof *beside, 1);
  *beside = *db;
  beside->pg = NULL;
  beside->scope = NULL;
  memset(beside->spares, 0, sizeof beside->spares);
  luaL_setmetatable(L, PSQL_HANDLE_NAME);
  char *name = NULL;
  beside->pg = pg_beside(db->pg, beside, dbname, user, &name);
  if (beside->pg == NULL) {
    lua_pop(L, 1);
    lua_pushnil(L);
  } else if (dbname != NULL) {
    beside->target = guard_target(run_of(L)->guard, "psql", name, NULL);
  }
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
