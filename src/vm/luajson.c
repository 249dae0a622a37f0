/* luajson: see luajson.h. */
#include "vm/luajson.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "base/redact.h"
#include "vm/args.h"
#include "vm/vm.h"

#define LUAJSON_DEPTH 200
#define LUAJSON_REVEAL 1u
#define LUAJSON_SHOWN 2u
#define LUAJSON_ARRAY "pgsh.json.array"

void luajson_push_null(lua_State *L) { lua_pushlightuserdata(L, NULL); }
bool luajson_is_null(lua_State *L, int index) { return lua_islightuserdata(L, index) && lua_touserdata(L, index) == NULL; }

static json_t *luajson_value(lua_State *L, int index, unsigned how, int depth, Err *err);

/* How many entries 1..n; -1 when there are other keys. An empty table counts as an array only when json.array made it. */
static lua_Integer luajson_sequence(lua_State *L, int index) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, index), seen = 0;
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    lua_Integer key = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    if (key < 1 || key > n) {
      lua_pop(L, 1);
      return -1;
    }
    seen++;
  }
  if (seen > 0) return n;
  bool marked = false;
  if (lua_getmetatable(L, index)) {
    luaL_getmetatable(L, LUAJSON_ARRAY);
    marked = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  return marked ? 0 : -1;
}

static json_t *luajson_array(lua_State *L, int index, lua_Integer n, unsigned how, int depth, Err *err) {
  json_t *array = json_array();
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, index, i);
    json_t *item = luajson_value(L, -1, how, depth, err);
    lua_pop(L, 1);
    if (item == NULL) {
      json_decref(array);
      return NULL;
    }
    json_array_append_new(array, item);
  }
  return array;
}

static json_t *luajson_object(lua_State *L, int index, unsigned how, int depth, Err *err) {
  json_t *object = json_object();
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    json_t *item = NULL;
    const char *key = NULL;
    char number[32];
    if (lua_type(L, -2) == LUA_TSTRING) {
      key = lua_tostring(L, -2);
    } else if (lua_isinteger(L, -2)) { /* a copy: lua_tostring would change the key under lua_next */
      snprintf(number, sizeof number, "%lld", (long long)lua_tointeger(L, -2));
      key = number;
    } else {
      err_set(err, ERR_JSON, "a table with a %s as key has no JSON form", luaL_typename(L, -2));
    }
    if (key != NULL) item = luajson_value(L, -1, how, depth, err);
    if (item == NULL || json_object_set_new(object, key, item) != 0) {
      if (item != NULL) err_set(err, ERR_JSON, "a key is not valid UTF-8");
      lua_pop(L, 2);
      json_decref(object);
      return NULL;
    }
    lua_pop(L, 1);
  }
  return object;
}

/* How many bytes of a text are one character of UTF-8; 0: none are. */
static size_t luajson_character(const char *text, size_t len) {
  for (size_t n = 1; n <= 4 && n <= len; n++) {
    json_t *one = json_stringn(text, n);
    json_decref(one);
    if (one != NULL) return n;
  }
  return 0;
}

/* What is not UTF-8 as \xHH. A secret must go first: what is escaped would not be found any more. */
static json_t *luajson_escaped(lua_State *L, const char *text, size_t len) {
  Buf out = {0}, redacted = {0};
  if (redact_text(vm_redact(vm_of(L)), text, len, &redacted)) {
    text = buf_str(&redacted);
    len = redacted.len;
  }
  for (size_t i = 0; i < len;) {
    size_t n = (unsigned char)text[i] < 0x80 ? 1 : luajson_character(text + i, len - i);
    if (n > 0)
      buf_add(&out, text + i, n);
    else
      buf_printf(&out, "\\x%02x", (unsigned char)text[i]);
    i += n > 0 ? n : 1;
  }
  json_t *string = json_stringn(buf_str(&out), out.len);
  buf_fini(&out);
  buf_fini(&redacted);
  return string;
}

static json_t *luajson_string(lua_State *L, const char *text, size_t len, unsigned how, Err *err) {
  json_t *string = json_stringn(text, len);
  if (string == NULL && (how & LUAJSON_SHOWN) != 0) string = luajson_escaped(L, text, len);
  if (string == NULL) err_set(err, ERR_JSON, "a string is not valid UTF-8");
  return string;
}

static json_t *luajson_table(lua_State *L, int index, unsigned how, int depth, Err *err) {
  if (depth == 0 || !lua_checkstack(L, 8)) {
    err_set(err, ERR_JSON, "a table is nested too deeply (or contains itself)");
    return NULL;
  }
  index = lua_absindex(L, index);
  lua_Integer n = luajson_sequence(L, index);
  return n >= 0 ? luajson_array(L, index, n, how, depth - 1, err) : luajson_object(L, index, how, depth - 1, err);
}

static json_t *luajson_value(lua_State *L, int index, unsigned how, int depth, Err *err) {
  size_t len;
  const char *secret = secret_get(L, index, &len);
  if (secret != NULL) return (how & LUAJSON_REVEAL) != 0 ? luajson_string(L, secret, len, how, err) : json_string(REDACT_MARK);
  if (luajson_is_null(L, index)) return json_null();
  if (args_is_unknown(L, index)) {
    const char *text = luaL_tolstring(L, index, &len);
    json_t *string = luajson_string(L, text, len, how, err);
    lua_pop(L, 1);
    return string;
  }
  switch (lua_type(L, index)) {
  case LUA_TNIL: return json_null();
  case LUA_TBOOLEAN: return json_boolean(lua_toboolean(L, index));
  case LUA_TNUMBER:
    if (lua_isinteger(L, index)) return json_integer(lua_tointeger(L, index));
    if (!isfinite(lua_tonumber(L, index)) && (how & LUAJSON_SHOWN) != 0) {
      const char *text = luaL_tolstring(L, index, &len);
      json_t *string = json_stringn(text, len);
      lua_pop(L, 1);
      return string;
    }
    if (!isfinite(lua_tonumber(L, index))) {
      err_set(err, ERR_JSON, "NaN and infinities have no JSON form");
      return NULL;
    }
    return json_real(lua_tonumber(L, index));
  case LUA_TSTRING: {
    const char *text = lua_tolstring(L, index, &len);
    return luajson_string(L, text, len, how, err);
  }
  case LUA_TTABLE: return luajson_table(L, index, how, depth, err);
  default: err_set(err, ERR_JSON, "a %s has no JSON form", luaL_typename(L, index)); return NULL;
  }
}

static json_t *luajson_make(lua_State *L, int index, unsigned how, Err *err) {
  int top = lua_gettop(L);
  json_t *value = luajson_value(L, lua_absindex(L, index), how, LUAJSON_DEPTH, err);
  lua_settop(L, top);
  return value;
}

json_t *luajson_from(lua_State *L, int index, bool reveal, Err *err) {
  return luajson_make(L, index, reveal ? LUAJSON_REVEAL : 0, err);
}

json_t *luajson_shown(lua_State *L, int index, Err *err) { return luajson_make(L, index, LUAJSON_SHOWN, err); }

static void luajson_push_at(lua_State *L, const json_t *value, int depth) {
  luaL_checkstack(L, 4, "JSON is nested too deeply");
  switch (json_typeof(value)) {
  case JSON_OBJECT: {
    const char *key;
    json_t *item;
    json_t *object = (json_t *)value; /* jansson's iterators take it without const */
    lua_createtable(L, 0, (int)json_object_size(value));
    json_object_foreach(object, key, item) {
      lua_pushstring(L, key);
      luajson_push_at(L, item, depth + 1);
      lua_rawset(L, -3);
    }
    break;
  }
  case JSON_ARRAY: {
    size_t n = json_array_size(value);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
      luajson_push_at(L, json_array_get(value, i), depth + 1);
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    luaL_setmetatable(L, LUAJSON_ARRAY);
    break;
  }
  case JSON_STRING: lua_pushlstring(L, json_string_value(value), json_string_length(value)); break;
  case JSON_INTEGER: lua_pushinteger(L, json_integer_value(value)); break;
  case JSON_REAL: lua_pushnumber(L, json_real_value(value)); break;
  case JSON_TRUE: lua_pushboolean(L, 1); break;
  case JSON_FALSE: lua_pushboolean(L, 0); break;
  default: luajson_push_null(L); break;
  }
}

void luajson_push(lua_State *L, const json_t *value) {
  luaL_newmetatable(L, LUAJSON_ARRAY);
  lua_pop(L, 1);
  luajson_push_at(L, value, 0);
}

json_t *luajson_decode(const char *text, size_t len, Err *err) {
  json_error_t where;
  json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &where);
  if (value == NULL) err_set(err, ERR_JSON, "invalid JSON: %s (line %d, column %d)", where.text, where.line, where.column);
  return value;
}
