/* args: see args.h. */
#include "vm/args.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vm/luaerr.h"
#include "vm/vm.h"

/* ---- options ---------------------------------------------------------------------------------------------------------- */

/* A cheap likeness for suggestions: shared beginning plus shared letters. */
static int args_likeness(const char *a, const char *b) {
  int score = 0;
  while (a[score] != '\0' && a[score] == b[score])
    score++;
  score *= 2;
  for (const char *p = a; *p != '\0'; p++)
    if (strchr(b, *p) != NULL) score++;
  return score - abs((int)strlen(a) - (int)strlen(b));
}

static void args_refuse_key(lua_State *L, const char *key, const char *const allowed[]) {
  const char *best = NULL;
  int best_score = (int)strlen(key);
  for (size_t i = 0; allowed[i] != NULL; i++) {
    int score = args_likeness(key, allowed[i]);
    if (score > best_score) {
      best_score = score;
      best = allowed[i];
    }
  }
  luaerr_throw(L, ERR_USAGE, "unknown option '%s'%s%s%s", key, best != NULL ? " (did you mean '" : "", best != NULL ? best : "",
               best != NULL ? "'?)" : "");
}

int args_options(lua_State *L, int index, const char *const allowed[]) {
  if (lua_isnoneornil(L, index)) return 0;
  index = lua_absindex(L, index);
  if (!lua_istable(L, index))
    luaerr_throw(L, ERR_USAGE, "argument %d: a table of options expected, got %s", index, luaL_typename(L, index));
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    if (lua_type(L, -1) != LUA_TSTRING) luaerr_throw(L, ERR_USAGE, "argument %d: options have names", index);
    const char *key = lua_tostring(L, -1);
    size_t i = 0;
    while (allowed[i] != NULL && strcmp(allowed[i], key) != 0)
      i++;
    if (allowed[i] == NULL) args_refuse_key(L, key, allowed);
  }
  return index;
}

int args_push(lua_State *L, int options, const char *key) {
  if (options == 0) {
    lua_pushnil(L);
    return LUA_TNIL;
  }
  return lua_getfield(L, options, key);
}

static void args_expected(lua_State *L, const char *key, const char *what) {
  luaerr_throw(L, ERR_USAGE, "option '%s': %s expected, got %s", key, what, luaL_typename(L, -1));
}

bool args_bool(lua_State *L, int options, const char *key, bool fallback) {
  int type = args_push(L, options, key);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN) args_expected(L, key, "true or false");
  bool value = type == LUA_TNIL ? fallback : lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

int64_t args_integer(lua_State *L, int options, const char *key, int64_t fallback) {
  int type = args_push(L, options, key);
  int is_integer = 1;
  int64_t value = type == LUA_TNIL ? fallback : lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || type == LUA_TSTRING) args_expected(L, key, "an integer");
  lua_pop(L, 1);
  return value;
}

static bool args_to_duration(lua_State *L, int index, int64_t *ms) {
  if (lua_type(L, index) == LUA_TNUMBER) {
    lua_Number seconds = lua_tonumber(L, index);
    if (!(seconds >= 0 && seconds < 1e9)) return false;
    *ms = (int64_t)(seconds * 1000 + 0.5);
    return true;
  }
  return lua_type(L, index) == LUA_TSTRING && clock_parse_duration(lua_tostring(L, index), ms);
}

int64_t args_duration(lua_State *L, int options, const char *key, int64_t fallback_ms) {
  int64_t ms = fallback_ms;
  if (args_push(L, options, key) != LUA_TNIL && !args_to_duration(L, -1, &ms))
    args_expected(L, key, "a duration (seconds, or \"5m\")");
  lua_pop(L, 1);
  return ms;
}

int64_t args_check_duration(lua_State *L, int index) {
  int64_t ms = 0;
  if (!args_to_duration(L, index, &ms))
    luaerr_throw(L, ERR_USAGE, "argument %d: a duration (seconds, or \"5m\") expected, got %s", index, luaL_typename(L, index));
  return ms;
}

static bool args_to_size(lua_State *L, int64_t *bytes) {
  int is_integer;
  *bytes = lua_tointegerx(L, -1, &is_integer);
  if (is_integer) return *bytes >= 0;
  const char *text = lua_tostring(L, -1);
  if (text == NULL) return false;
  char *end;
  double value = strtod(text, &end);
  if (end == text || !(value >= 0 && value < 1e15)) return false;
  const char *units = "KMGT", *unit = *end != '\0' ? strchr(units, *end) : NULL;
  if (unit == NULL) return false;
  end++;
  if (*end == 'i') end++;
  if (*end == 'B') end++;
  if (*end != '\0') return false;
  for (long n = unit - units; n >= 0; n--)
    value *= 1024;
  *bytes = (int64_t)value;
  return value < 9e18;
}

int64_t args_size(lua_State *L, int options, const char *key, int64_t fallback) {
  int64_t bytes = fallback;
  if (args_push(L, options, key) != LUA_TNIL && !args_to_size(L, &bytes)) args_expected(L, key, "a size (bytes, or \"16M\")");
  lua_pop(L, 1);
  return bytes;
}

const char *args_string(lua_State *L, int options, const char *key, const char *fallback) {
  int type = args_push(L, options, key);
  const char *text = type == LUA_TNIL ? fallback : args_text(L, -1, NULL);
  if (type == LUA_TNUMBER || (type != LUA_TNIL && text == NULL)) args_expected(L, key, "a string");
  lua_pop(L, 1); /* the options table still holds it */
  return text;
}

const char *args_text(lua_State *L, int index, size_t *len) {
  const char *text = secret_get(L, index, len);
  return text != NULL ? text : lua_tolstring(L, index, len);
}

const char *args_check_text(lua_State *L, int index, size_t *len) {
  const char *text = args_text(L, index, len);
  if (text == NULL) luaerr_throw(L, ERR_USAGE, "argument %d: a string expected, got %s", index, luaL_typename(L, index));
  return text;
}

/* ---- secrets ---------------------------------------------------------------------------------------------------------- */

#define SECRET_NAME "pgsh.Secret"

typedef struct Secret {
  size_t len;
  char bytes[];
} Secret;

void secret_push(lua_State *L, const char *value, size_t len) {
  redact_add(vm_redact(vm_of(L)), value, len);
  Secret *secret = lua_newuserdatauv(L, sizeof *secret + len + 1, 0);
  secret->len = len;
  memcpy(secret->bytes, value, len);
  secret->bytes[len] = '\0';
  luaL_setmetatable(L, SECRET_NAME);
}

const char *secret_get(lua_State *L, int index, size_t *len) {
  Secret *secret = luaL_testudata(L, index, SECRET_NAME);
  if (secret == NULL) return NULL;
  if (len != NULL) *len = secret->len;
  return secret->bytes;
}

static int l_secret_tostring(lua_State *L) {
  lua_pushliteral(L, REDACT_MARK);
  return 1;
}

static int l_secret_eq(lua_State *L) {
  size_t a_len, b_len;
  const char *a = secret_get(L, 1, &a_len), *b = secret_get(L, 2, &b_len);
  lua_pushboolean(L, a != NULL && b != NULL && a_len == b_len && memcmp(a, b, a_len) == 0);
  return 1;
}

/* Joined to other text it stays secret as a whole: "Bearer " .. token. */
static int l_secret_concat(lua_State *L) {
  size_t a_len, b_len;
  const char *a = args_check_text(L, 1, &a_len), *b = args_check_text(L, 2, &b_len);
  luaL_Buffer joined;
  luaL_buffinit(L, &joined);
  luaL_addlstring(&joined, a, a_len);
  luaL_addlstring(&joined, b, b_len);
  luaL_pushresult(&joined);
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  secret_push(L, text, len);
  return 1;
}

void secret_open(lua_State *L) {
  static const luaL_Reg meta[] = {
      {"__tostring", l_secret_tostring}, {"__eq", l_secret_eq}, {"__concat", l_secret_concat}, {NULL, NULL}};
  luaL_newmetatable(L, SECRET_NAME);
  luaL_setfuncs(L, meta, 0);
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}

/* ---- unknowns ---------------------------------------------------------------------------------------------------------- */

bool args_is_unknown(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, "__name") == LUA_TNIL) return false;
  const char *name = lua_tostring(L, -1);
  bool is = name != NULL && strcmp(name, "pgsh.Unknown") == 0;
  lua_pop(L, 1);
  return is;
}

static bool args_search_unknown(lua_State *L, int index, int depth) {
  if (args_is_unknown(L, index)) return true;
  if (!lua_istable(L, index) || depth == 0 || !lua_checkstack(L, 4)) return false;
  index = lua_absindex(L, index);
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    if (args_search_unknown(L, -1, depth - 1)) {
      lua_pop(L, 2);
      return true;
    }
    lua_pop(L, 1);
  }
  return false;
}

bool args_has_unknown(lua_State *L, int index) { return !lua_isnone(L, index) && args_search_unknown(L, index, 16); }
