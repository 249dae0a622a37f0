/* psql: module pgsh.psql (lua/meta/psql.lua documents it): handles on PostgreSQL databases. */
#include "api/psql.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"

static const char *const psql_new_options[] = {
    "name", "detail", "conninfo", "timeout", "connect_timeout", "lock_timeout", "statement_timeout", "limit", NULL};

Psql *psql_check(lua_State *L, int index) {
  Psql *db = luaL_checkudata(L, index, PSQL_HANDLE_NAME);
  if (db->pg == NULL) luaerr_throw(L, ERR_CLOSED, "psql %s: the handle is closed", db->target != NULL ? db->target->name : "");
  return db;
}

/* :close(), <close> and the collector; what still runs on it fails. */
static int l_psql_close(lua_State *L) {
  Psql *db = luaL_checkudata(L, 1, PSQL_HANDLE_NAME);
  Pg *pg = db->pg;
  db->pg = NULL;
  psql_spare_close(db);
  pg_close(pg);
  return 0;
}

static int l_psql_rebind(lua_State *L) {
  Psql *db = psql_check(L, 1);
  if (pg_busy(db->pg)) luaerr_throw(L, ERR_BUSY, "psql %s: rebind while it is in use", db->target->name);
  psql_spare_close(db);
  pg_rebind(db->pg);
  return 0;
}

static int l_psql_tostring(lua_State *L) {
  const Psql *db = luaL_checkudata(L, 1, PSQL_HANDLE_NAME);
  lua_pushfstring(L, "psql %s%s", db->target != NULL ? db->target->name : "?", db->pg == NULL ? " (closed)" : "");
  return 1;
}

/* ---- making one ---- */

/* The fixed connection string on top of the stack; NULL when it is a function or unknown. */
static const char *new_conninfo(lua_State *L, Psql *db) {
  if (lua_isfunction(L, -1)) return NULL;
  if (args_is_unknown(L, -1)) {
    db->unknown = true;
    return NULL;
  }
  if (lua_isnil(L, -1)) return "";
  const char *conninfo = args_text(L, -1, NULL);
  if (conninfo == NULL || lua_isnumber(L, -1))
    luaerr_throw(L, ERR_USAGE, "psql: a connection string or a function expected, got %s", luaL_typename(L, -1));
  Err err = {0};
  redact_add_credentials(vm_redact(vm_of(L)), conninfo);
  if (!pg_conninfo_check(conninfo, &err)) luaerr_raise(L, &err);
  return conninfo;
}

static void new_target(lua_State *L, Psql *db, int options, const char *conninfo) {
  const char *name = args_string(L, options, "name", NULL), *detail = args_string(L, options, "detail", NULL);
  if (conninfo != NULL) { /* a copy that Lua owns: guard_target may not raise, but what is below it does */
    char *where = pg_conninfo_name(conninfo);
    lua_pushstring(L, where);
    free(where);
    if (name == NULL)
      name = lua_tostring(L, -1);
    else if (detail == NULL)
      detail = lua_tostring(L, -1);
  }
  if (name == NULL) luaerr_throw(L, ERR_USAGE, "psql: a handle whose address is found out later needs a name");
  db->target = guard_target(run_of(L)->guard, "psql", name, detail);
}

static void new_settings(lua_State *L, Psql *db, int options) {
  db->timeout_ms = args_duration(L, options, "timeout", 0);
  db->lock_timeout_ms = args_duration(L, options, "lock_timeout", 0);
  db->statement_timeout_ms = args_duration(L, options, "statement_timeout", 0);
  db->limit_bytes = args_size(L, options, "limit", PSQL_LIMIT_BYTES);
}

/* psql([conninfo [, options]]) or psql{ name=, conninfo=, … } */
static int l_psql_new(lua_State *L) {
  lua_settop(L, 3); /* the module, conninfo, options */
  bool one_table = lua_istable(L, 2) && !args_is_unknown(L, 2);
  int options = args_options(L, one_table ? 2 : 3, psql_new_options);
  if (one_table || lua_isnil(L, 2)) {
    args_push(L, options, "conninfo");
    lua_replace(L, one_table ? 3 : 2);
  }
  int source = one_table ? 3 : 2;
  Psql *db = lua_newuserdatauv(L, sizeof *db, 1);
  memset(db, 0, sizeof *db);
  luaL_setmetatable(L, PSQL_HANDLE_NAME);
  db->vm = vm_of(L);
  new_settings(L, db, options);
  lua_pushvalue(L, source);
  const char *conninfo = new_conninfo(L, db);
  new_target(L, db, options, conninfo);
  bool late = lua_isfunction(L, source);
  if (late) {
    lua_pushvalue(L, source);
    lua_setiuservalue(L, 4, 1);
    psql_source_register(L, 4, db);
  }
  PgSource from = {.conninfo = late               ? NULL
                               : conninfo != NULL ? conninfo
                                                  : "",
                   .provide = late ? psql_source_provide : NULL,
                   .password = psql_source_password,
                   .on_anew = psql_source_on_anew,
                   .self = db,
                   .connect_timeout_ms = args_duration(L, options, "connect_timeout", 0)};
  db->pg = pg_open(vm_loop(db->vm), &from);
  lua_settop(L, 4);
  return 1;
}

int luaopen_pgsh_psql(lua_State *L) {
  static const luaL_Reg functions[] = {{"options", l_psql_options}, {"array", l_psql_array}, {NULL, NULL}};
  static const luaL_Reg own[] = {{"close", l_psql_close}, {"rebind", l_psql_rebind}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", l_psql_close}, {"__close", l_psql_close}, {"__tostring", l_psql_tostring}, {NULL, NULL}};
  luaL_newmetatable(L, PSQL_HANDLE_NAME);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, own);
  luaL_setfuncs(L, psql_methods, 0);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  psql_each_open(L);
  luaL_newlib(L, functions);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_psql_new);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  return 1;
}
