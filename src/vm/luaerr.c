/* luaerr: see luaerr.h. */
#include "vm/luaerr.h"

#include <lauxlib.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "vm/vm.h"

#define LUAERR_NAME "pgsh.Error"

/* Everything that leaves as an error is seen by people: secrets go here, once. */
static void luaerr_set(lua_State *L, const char *key, const char *value) {
  if (value == NULL || value[0] == '\0') return;
  Buf clean = {0};
  if (redact_text(vm_redact(vm_of(L)), value, strlen(value), &clean))
    lua_pushstring(L, buf_str(&clean));
  else
    lua_pushstring(L, value);
  buf_fini(&clean);
  lua_setfield(L, -2, key);
}

static void luaerr_set_number(lua_State *L, const char *key, int value, int none) {
  if (value == none) return;
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

void luaerr_push(lua_State *L, Err *err) {
  luaL_checkstack(L, 4, "error object");
  lua_createtable(L, 0, 8);
  luaerr_set(L, "kind", err_kind(err->code));
  luaerr_set(L, "code", err_code_name(err->code));
  luaerr_set(L, "message", err->message != NULL ? err->message : err_text(err->code));
  luaerr_set(L, "target", err->target);
  luaerr_set(L, "hint", err->hint);
  luaerr_set(L, "detail", err->detail);
  luaerr_set(L, "sqlstate", err->sqlstate);
  luaerr_set_number(L, "status", err->status, 0);
  luaerr_set_number(L, "exit", err->exit_code, -1);
  luaerr_set_number(L, "signal", err->signal, 0);
  luaerr_set_number(L, "errno", err->errnum, 0);
  luaerr_set_number(L, "position", err->position, 0);
  lua_pushboolean(L, err_retryable(err->code));
  lua_setfield(L, -2, "retryable");
  luaL_setmetatable(L, LUAERR_NAME);
  err_fini(err);
}

int luaerr_raise(lua_State *L, Err *err) {
  luaerr_push(L, err);
  lua_error(L);
  __builtin_unreachable(); /* lua.h of 5.4.4 does not declare that lua_error stays away */
}

int luaerr_throw(lua_State *L, ErrCode code, const char *format, ...) {
  Err err = {0};
  Buf text = {0};
  va_list args;
  va_start(args, format);
  buf_vprintf(&text, format, args);
  va_end(args);
  lua_Debug ar;
  const char *where = "";
  if (code == ERR_USAGE && lua_getstack(L, 1, &ar) && lua_getinfo(L, "Sl", &ar) && ar.currentline > 0)
    where = lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  err_set(&err, code, "%s%s", where, buf_str(&text));
  buf_fini(&text);
  luaerr_raise(L, &err);
}

static char *luaerr_field(lua_State *L, int index, const char *key) {
  lua_getfield(L, index, key);
  char *copy = lua_type(L, -1) == LUA_TSTRING ? mem_strdup(lua_tostring(L, -1)) : NULL;
  lua_pop(L, 1);
  return copy;
}

static int luaerr_number(lua_State *L, int index, const char *key, int none) {
  lua_getfield(L, index, key);
  int value = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : none;
  lua_pop(L, 1);
  return value;
}

static ErrCode luaerr_code(lua_State *L, int index) {
  lua_getfield(L, index, "code");
  const char *name = lua_tostring(L, -1);
  ErrCode code = ERR_SCRIPT;
  for (int c = 1; name != NULL && c < ERR_COUNT; c++)
    if (strcmp(err_code_name((ErrCode)c), name) == 0) code = (ErrCode)c;
  lua_pop(L, 1);
  return code;
}

static bool luaerr_test(lua_State *L, int index) { return luaL_testudata(L, index, LUAERR_NAME) != NULL; }

/* luaL_testudata only knows userdata: compare the metatable of a table by hand. */
static bool luaerr_is_object(lua_State *L, int index) {
  if (luaerr_test(L, index)) return true;
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  luaL_getmetatable(L, LUAERR_NAME);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

void luaerr_get(lua_State *L, int index, Err *err) {
  index = lua_absindex(L, index);
  if (!luaerr_is_object(L, index)) {
    const char *text = luaL_tolstring(L, index, NULL);
    err_set(err, ERR_SCRIPT, "%s", text);
    lua_pop(L, 1);
    return;
  }
  err_fini(err);
  err->code = luaerr_code(L, index);
  err->message = luaerr_field(L, index, "message");
  err->target = luaerr_field(L, index, "target");
  err->hint = luaerr_field(L, index, "hint");
  err->detail = luaerr_field(L, index, "detail");
  char *sqlstate = luaerr_field(L, index, "sqlstate");
  if (sqlstate != NULL && strlen(sqlstate) < sizeof err->sqlstate) memcpy(err->sqlstate, sqlstate, strlen(sqlstate) + 1);
  free(sqlstate);
  err->status = luaerr_number(L, index, "status", 0);
  err->exit_code = luaerr_number(L, index, "exit", -1);
  err->signal = luaerr_number(L, index, "signal", 0);
  err->errnum = luaerr_number(L, index, "errno", 0);
  err->position = luaerr_number(L, index, "position", 0);
}

bool luaerr_is(lua_State *L, int index, ErrCode code) {
  index = lua_absindex(L, index);
  return luaerr_is_object(L, index) && luaerr_code(L, index) == code;
}

int luaerr_handler(lua_State *L) {
  lua_checkstack(L, 20); /* luaL_traceback of 5.4.4 may need more than it asks for */
  if (!luaerr_is_object(L, 1)) {
    if (lua_istable(L, 1) && luaL_getmetafield(L, 1, "__name") != LUA_TNIL) return 1; /* somebody's own error type (busted's) */
    if (lua_istable(L, 1)) return 1;
    Err err = {0};
    err_set(&err, ERR_SCRIPT, "%s", luaL_tolstring(L, 1, NULL));
    luaerr_push(L, &err);
    lua_replace(L, 1);
    lua_settop(L, 1);
  }
  lua_getfield(L, 1, "traceback");
  if (lua_isnil(L, -1)) {
    luaL_traceback(L, L, NULL, 1);
    lua_setfield(L, 1, "traceback");
  }
  lua_settop(L, 1);
  return 1;
}

static int l_tostring(lua_State *L) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  static const struct {
    const char *key, *before, *after;
  } parts[] = {{"target", "", ": "}, {"message", "", ""}, {"sqlstate", " (SQLSTATE ", ")"}};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    lua_getfield(L, 1, parts[i].key);
    if (lua_isstring(L, -1)) {
      lua_pushfstring(L, "%s%s%s", parts[i].before, lua_tostring(L, -1), parts[i].after);
      lua_remove(L, -2);
      luaL_addvalue(&b);
    } else {
      lua_pop(L, 1);
    }
  }
  luaL_pushresult(&b);
  return 1;
}

void luaerr_open(lua_State *L) {
  luaL_newmetatable(L, LUAERR_NAME);
  lua_pushcfunction(L, l_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
}
