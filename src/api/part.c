/* part: see part.h. */
#include "api/part.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Parts by address, weak: a stage must find the Lua side of its part without keeping it alive. */
static char parts_key;

static int l_part_gc(lua_State *L) {
  Part *part = lua_touserdata(L, 1);
  if (part->cls != NULL && part->cls->fini != NULL) part->cls->fini(part->own);
  buf_fini(&part->show);
  free(part->label);
  memset(part, 0, sizeof *part);
  return 0;
}

static int l_part_tostring(lua_State *L) {
  const Part *part = luaL_checkudata(L, 1, PART_NAME);
  lua_pushstring(L, buf_str(&part->show));
  return 1;
}

static void part_push_table(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &parts_key) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &parts_key);
}

static void part_set_meta(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", l_part_gc}, {"__tostring", l_part_tostring}, {NULL, NULL}};
  if (luaL_newmetatable(L, PART_NAME)) {
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_setmetatable(L, -2);
}

Part *part_new(lua_State *L, const PartClass *cls) {
  size_t own = (sizeof(Part) + 15) & ~(size_t)15;
  Part *part = lua_newuserdatauv(L, own + cls->size, 2);
  memset(part, 0, own + cls->size);
  part->cls = cls;
  part->own = (char *)part + own;
  part_set_meta(L);
  part_push_table(L);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, part);
  lua_pop(L, 1);
  return part;
}

Part *part_get(lua_State *L, int index) { return luaL_testudata(L, index, PART_NAME); }

int part_push(lua_State *L, const Part *part) {
  part_push_table(L);
  int type = lua_rawgetp(L, -1, part);
  lua_remove(L, -2);
  return type;
}
