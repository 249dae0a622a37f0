/* doc: json.edit and its like, and module pgsh.yaml (lua/meta/json.lua and yaml.lua document them). */
#include "api/doc.h"

#include <lauxlib.h>
#include <string.h>

#include "api/api.h"
#include "api/doc_push.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

#define DOC_LIMIT ((size_t)16 << 20)

/* All a call holds outside of Lua: its __gc frees it, also when an error unwinds. */
typedef struct DocCall {
  DocAt at;
  json_t *path, *value, *document;
  DocTree tree;
  Buf out;
  const char *text; /* on the Lua stack */
  size_t len;
  int options;
} DocCall;

static int l_call_gc(lua_State *L) {
  DocCall *call = lua_touserdata(L, 1);
  json_decref(call->path);
  json_decref(call->value);
  json_decref(call->document);
  doc_fini(&call->tree);
  buf_fini(&call->out);
  memset(call, 0, sizeof *call);
  return 0;
}

static DocCall *call_new(lua_State *L, bool json) {
  DocCall *call = lua_newuserdatauv(L, sizeof *call, 0);
  memset(call, 0, sizeof *call);
  if (luaL_newmetatable(L, "pgsh.DocCall")) {
    lua_pushcfunction(L, l_call_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  call->at.json = json;
  return call;
}

static json_t *call_json(lua_State *L, int index) {
  Err err = {0};
  json_t *value = luajson_from(L, index, true, &err);
  if (value == NULL) {
    err.code = ERR_USAGE;
    luaerr_raise(L, &err);
  }
  return value;
}

/* A list, also an empty one. */
static void call_path(lua_State *L, DocCall *call, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  call->path = call_json(L, index);
  if (json_is_object(call->path) && json_object_size(call->path) == 0) {
    json_decref(call->path);
    call->path = json_array();
  }
  if (!json_is_array(call->path))
    luaerr_throw(L, ERR_USAGE, "path: a list of keys and indexes expected: { \"spec\", \"containers\", 1 }");
  call->at.path = call->path;
}

static void call_options(lua_State *L, DocCall *call, int index, const char *const keys[]) {
  call->options = args_options(L, index, keys);
  if (args_push(L, call->options, "document") != LUA_TNIL) call->document = call_json(L, -1);
  lua_pop(L, 1);
  call->at.document = call->document;
}

static void call_text(lua_State *L, DocCall *call) {
  call->text = luaL_checklstring(L, 1, &call->len);
  if (call->len > DOC_LIMIT) luaerr_throw(L, ERR_LIMIT, "the text is larger than %zu bytes", DOC_LIMIT);
}

/* In a plan: what comes of a text that is not known is not known either. */
static bool call_unknown(lua_State *L) {
  if (!args_is_unknown(L, 1) && !(lua_istable(L, 2) && args_has_unknown(L, 2))) return false;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "pgsh.unknown");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  lua_pushliteral(L, "text");
  lua_call(L, 1, 1);
  return true;
}

static int call_done(lua_State *L, DocCall *call, bool ok, Err *err) {
  if (!ok) return luaerr_raise(L, err);
  lua_pushlstring(L, buf_str(&call->out), call->out.len);
  return 1;
}

/* ---- edit, remove, get: both languages ---- */

static const char *const json_keys[] = {"create", NULL}, *const yaml_keys[] = {"create", "document", NULL},
                         *const no_keys[] = {NULL}, *const document_keys[] = {"document", NULL};

static int call_edit(lua_State *L, bool json) {
  lua_settop(L, 4);
  if (call_unknown(L)) return 1;
  luaL_argcheck(L, !lua_isnil(L, 3), 3, "a value expected; json.null is null, remove removes");
  DocCall *call = call_new(L, json);
  call_text(L, call);
  call_path(L, call, 2);
  call->value = call_json(L, 3);
  call_options(L, call, 4, json ? json_keys : yaml_keys);
  bool create = args_bool(L, call->options, "create", false);
  Err err = {0};
  bool ok = doc_edit(call->text, call->len, &call->at, call->value, create, &call->out, &err);
  return call_done(L, call, ok, &err);
}

typedef bool DocChange(const char *text, size_t len, const DocAt *at, Buf *out, Err *err);

static int call_change(lua_State *L, bool json, DocChange *change) {
  lua_settop(L, 3);
  if (call_unknown(L)) return 1;
  DocCall *call = call_new(L, json);
  call_text(L, call);
  if (change != doc_uncomment || !lua_isnil(L, 2)) call_path(L, call, 2);
  call_options(L, call, 3, json ? no_keys : document_keys);
  Err err = {0};
  bool ok = change(call->text, call->len, &call->at, &call->out, &err);
  return call_done(L, call, ok, &err);
}

static int call_get(lua_State *L, bool json) {
  lua_settop(L, 3);
  if (call_unknown(L)) return 1;
  DocCall *call = call_new(L, json);
  call_text(L, call);
  call_path(L, call, 2);
  call_options(L, call, 3, json ? no_keys : document_keys);
  Err err = {0};
  bool absent = false;
  if (!doc_parse(&call->tree, call->text, call->len, json, &err)) luaerr_raise(L, &err);
  uint32_t node = doc_find(&call->tree, &call->at, &absent, &err);
  if (absent) {
    err_fini(&err);
    lua_pushnil(L);
    return 1;
  }
  if (node == DOC_NONE || !doc_push(L, &call->tree, node, &err)) luaerr_raise(L, &err);
  return 1;
}

int l_json_edit(lua_State *L) { return call_edit(L, true); }
int l_json_remove(lua_State *L) { return call_change(L, true, doc_remove); }
int l_json_get(lua_State *L) { return call_get(L, true); }

static int l_yaml_edit(lua_State *L) { return call_edit(L, false); }
static int l_yaml_remove(lua_State *L) { return call_change(L, false, doc_remove); }
static int l_yaml_get(lua_State *L) { return call_get(L, false); }
static int l_yaml_comment(lua_State *L) { return call_change(L, false, doc_comment); }
static int l_yaml_uncomment(lua_State *L) { return call_change(L, false, doc_uncomment); }

/* ---- decoding ---- */

static DocCall *call_parse(lua_State *L) {
  lua_settop(L, 1);
  DocCall *call = call_new(L, false);
  call_text(L, call);
  Err err = {0};
  if (!doc_parse(&call->tree, call->text, call->len, false, &err)) luaerr_raise(L, &err);
  return call;
}

static int l_yaml_decode(lua_State *L) {
  DocCall *call = call_parse(L);
  Err err = {0};
  uint32_t count = call->tree.documents_count;
  if (count > 1) luaerr_throw(L, ERR_YAML, "the text holds %u documents: use yaml.decode_all", (unsigned)count);
  if (count == 0)
    lua_pushnil(L);
  else if (!doc_push(L, &call->tree, call->tree.documents[0], &err))
    luaerr_raise(L, &err);
  return 1;
}

static int l_yaml_decode_all(lua_State *L) {
  DocCall *call = call_parse(L);
  Err err = {0};
  lua_createtable(L, (int)call->tree.documents_count, 0);
  for (uint32_t i = 0; i < call->tree.documents_count; i++) {
    if (!doc_push(L, &call->tree, call->tree.documents[i], &err)) luaerr_raise(L, &err);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

int luaopen_pgsh_yaml(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"comment", l_yaml_comment}, {"decode", l_yaml_decode}, {"decode_all", l_yaml_decode_all}, {"edit", l_yaml_edit},
      {"get", l_yaml_get},         {"remove", l_yaml_remove}, {"uncomment", l_yaml_uncomment},   {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
