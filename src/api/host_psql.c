/* host, psql: what the shell asks of a statement's text, and of a handle besides its methods. */
#include <lauxlib.h>

#include "api/host.h"
#include "api/psql.h"
#include "net/pg_danger.h"
#include "net/pg_guard.h"
#include "net/pg_secret.h"
#include "run/run.h"

/* sql_guard(text): "read", "empty", "statement", "function", "many", "broken"; and the word or function that made it so. */
static int l_host_sql_guard(lua_State *L) {
  static const char *const verdicts[] = {"read", "empty", "statement", "function", "many", "broken"};
  size_t len;
  const char *sql = luaL_checklstring(L, 1, &len);
  char name[PG_GUARD_NAME];
  lua_pushstring(L, verdicts[pg_guard_read(sql, len, name)]);
  lua_pushstring(L, name);
  return 2;
}

/* sql_danger(text): why it may not be possible to take it back, or nil; is that sure; is it an UPDATE or DELETE; how it
 * locks, or nil. */
static int l_host_sql_danger(lua_State *L) {
  size_t len;
  const char *sql = luaL_checklstring(L, 1, &len);
  PgDanger danger;
  if (pg_danger(sql, len, &danger))
    lua_pushstring(L, danger.what);
  else
    lua_pushnil(L);
  lua_pushboolean(L, danger.told);
  lua_pushboolean(L, danger.rows);
  lua_pushstring(L, danger.locks);
  return 4;
}

/* sql_hide(text): the text without the passwords in it, which are known as secrets from now on; nil: it holds none. */
static int l_host_sql_hide(lua_State *L) {
  size_t len;
  const char *sql = luaL_checklstring(L, 1, &len);
  Buf clean = {0};
  if (pg_secret_hide(sql, len, vm_redact(vm_of(L)), &clean))
    lua_pushlstring(L, buf_str(&clean), clean.len);
  else
    lua_pushnil(L);
  buf_fini(&clean);
  return 1;
}

/* psql_twin(db): another connection to the same database, or nil while nobody knows where it is. */
static int l_host_psql_twin(lua_State *L) {
  psql_push_twin(L, 1);
  return 1;
}

/* psql_beside(db, dbname?, user?): another database of that server, or another user there; nil as above. */
static int l_host_psql_beside(lua_State *L) {
  psql_push_beside(L, 1, luaL_optstring(L, 2, NULL), luaL_optstring(L, 3, NULL));
  return 1;
}

/* psql_known(db): a table of what is known of its connection; empty before the first. Asks nobody. */
static int l_host_psql_known(lua_State *L) {
  psql_push_known(L, 1);
  return 1;
}

void host_add_psql(lua_State *L) {
  static const luaL_Reg functions[] = {{"sql_guard", l_host_sql_guard},
                                       {"sql_danger", l_host_sql_danger},
                                       {"sql_hide", l_host_sql_hide},
                                       {"psql_twin", l_host_psql_twin},
                                       {"psql_beside", l_host_psql_beside},
                                       {"psql_known", l_host_psql_known},
                                       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
