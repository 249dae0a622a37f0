/* json: module pgsh.json (lua/meta/json.lua documents it). */
#include <lauxlib.h>
#include <stdlib.h>

#include "api/api.h"
#include "api/doc.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

static int l_json_decode(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  Err err = {0};
  json_t *value = luajson_decode(text, len, &err);
  if (value == NULL) return luaerr_raise(L, &err);
  luajson_push(L, value);
  json_decref(value);
  return 1;
}

static int l_json_encode(lua_State *L) {
  static const char *const keys[] = {"indent", "sorted", NULL};
  luaL_checkany(L, 1);
  int options = args_options(L, 2, keys);
  int64_t indent = args_integer(L, options, "indent", 0);
  size_t flags = JSON_ENCODE_ANY | (indent > 0 ? JSON_INDENT((size_t)indent & 31) : JSON_COMPACT);
  if (args_bool(L, options, "sorted", false)) flags |= JSON_SORT_KEYS;
  Err err = {0};
  json_t *value = luajson_from(L, 1, false, &err);
  if (value == NULL) return luaerr_raise(L, &err);
  char *text = json_dumps(value, flags);
  json_decref(value);
  lua_pushstring(L, text);
  free(text);
  return 1;
}

/* json.array(t): an array also when it is empty. */
static int l_json_array(lua_State *L) {
  if (lua_isnoneornil(L, 1)) lua_newtable(L);
  luaL_checktype(L, -1, LUA_TTABLE);
  luaL_newmetatable(L, "pgsh.json.array");
  lua_setmetatable(L, -2);
  return 1;
}

int luaopen_pgsh_json(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", l_json_decode},
                                       {"encode", l_json_encode},
                                       {"array", l_json_array},
                                       {"edit", l_json_edit},
                                       {"get", l_json_get},
                                       {"remove", l_json_remove},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  luajson_push_null(L);
  lua_setfield(L, -2, "null");
  return 1;
}
