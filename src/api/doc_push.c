/* doc_push: see doc_push.h. */
#include "api/doc_push.h"

#include <lauxlib.h>
#include <string.h>

#include "vm/luajson.h"

/* Aliases of aliases grow without end: so many values, and no more. */
#define PUSH_LIMIT 1000000

typedef struct Push {
  lua_State *L;
  const DocTree *tree;
  int left, depth;
  Err *err;
} Push;

static bool push_node(Push *push, uint32_t id);

static bool fail(const Push *push, const char *text, const char *name) {
  return err_set(push->err, ERR_YAML, "%s%s", text, name);
}

/* What an alias means: the last anchor of its name before it, in its document. */
static uint32_t resolved(const Push *push, uint32_t id) {
  const DocTree *tree = push->tree;
  if (tree->nodes[id].kind != DOC_ALIAS) return id;
  const char *name = doc_text(tree, id);
  uint32_t root = 0;
  for (uint32_t i = 0; i < tree->documents_count; i++)
    if (tree->documents[i] <= id) root = tree->documents[i];
  for (uint32_t i = id; i-- > root;)
    if (tree->nodes[i].anchor != 0 && strcmp(buf_str(&tree->pool) + tree->nodes[i].anchor, name) == 0) return i;
  return DOC_NONE;
}

static void push_scalar(Push *push, uint32_t id) {
  DocValue value;
  doc_value(push->tree, id, &value);
  switch (value.type) {
  case DOC_NULL: luajson_push_null(push->L); break;
  case DOC_BOOL: lua_pushboolean(push->L, value.boolean); break;
  case DOC_INT: lua_pushinteger(push->L, value.integer); break;
  case DOC_REAL: lua_pushnumber(push->L, value.real); break;
  default: lua_pushlstring(push->L, value.text, value.len);
  }
}

static bool push_list(Push *push, uint32_t id) { /* NOLINT(misc-no-recursion) */
  const DocTree *tree = push->tree;
  lua_Integer n = 0;
  lua_createtable(push->L, (int)tree->nodes[id].children, 0);
  for (uint32_t i = id + 1; i < tree->nodes[id].next; i = tree->nodes[i].next) {
    if (!push_node(push, i)) return false;
    lua_rawseti(push->L, -2, ++n);
  }
  luaL_setmetatable(push->L, "pgsh.json.array");
  return true;
}

static bool is_merge(const DocTree *tree, uint32_t key) {
  return !tree->json && tree->nodes[key].style == DOC_PLAIN && strcmp(doc_text(tree, key), "<<") == 0;
}

/* Set what the map on top has not, from the map at `from`, or from a list of them. */
static bool merge(Push *push, uint32_t from) { /* NOLINT(misc-no-recursion) */
  lua_State *L = push->L;
  const DocTree *tree = push->tree;
  uint32_t source = resolved(push, from);
  if (source == DOC_NONE) return fail(push, "there is no anchor for the alias *", doc_text(tree, from));
  if (tree->nodes[source].kind == DOC_SEQ) {
    for (uint32_t i = source + 1; i < tree->nodes[source].next; i = tree->nodes[i].next)
      if (tree->nodes[resolved(push, i) == DOC_NONE ? i : resolved(push, i)].kind == DOC_SEQ)
        return fail(push, "what is merged (<<) is no mapping", "");
      else if (!merge(push, i))
        return false;
    return true;
  }
  if (tree->nodes[source].kind != DOC_MAP) return fail(push, "what is merged (<<) is no mapping", "");
  if (!push_node(push, source)) return false;
  for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -5) == LUA_TNIL) {
      lua_pushvalue(L, -3);
      lua_pushvalue(L, -3);
      lua_rawset(L, -7);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return true;
}

static bool push_map(Push *push, uint32_t id) { /* NOLINT(misc-no-recursion) */
  lua_State *L = push->L;
  const DocTree *tree = push->tree;
  uint32_t end = tree->nodes[id].next;
  lua_createtable(L, 0, (int)tree->nodes[id].children / 2);
  for (uint32_t key = id + 1; key < end; key = tree->nodes[tree->nodes[key].next].next) {
    uint32_t name = resolved(push, key);
    if (is_merge(tree, key)) continue;
    if (name == DOC_NONE || tree->nodes[name].kind != DOC_SCALAR) return fail(push, "a key is not a single value", "");
    lua_pushlstring(L, doc_text(tree, name), tree->nodes[name].len);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) != LUA_TNIL) return fail(push, "a key is there twice: ", doc_text(tree, name));
    lua_pop(L, 1);
    if (!push_node(push, tree->nodes[key].next)) return false;
    lua_rawset(L, -3);
  }
  for (uint32_t key = id + 1; key < end; key = tree->nodes[tree->nodes[key].next].next)
    if (is_merge(tree, key) && !merge(push, tree->nodes[key].next)) return false;
  return true;
}

static bool push_node(Push *push, uint32_t id) { /* NOLINT(misc-no-recursion) */
  const DocTree *tree = push->tree;
  uint32_t node = resolved(push, id);
  if (node == DOC_NONE) return fail(push, "there is no anchor for the alias *", doc_text(tree, id));
  if (--push->left < 0 || push->depth > DOC_DEPTH || !lua_checkstack(push->L, 10))
    return fail(push, "it is nested too deeply, or its aliases make it too large", "");
  push->depth++;
  bool ok = true;
  if (tree->nodes[node].kind == DOC_MAP)
    ok = push_map(push, node);
  else if (tree->nodes[node].kind == DOC_SEQ)
    ok = push_list(push, node);
  else
    push_scalar(push, node);
  push->depth--;
  return ok;
}

bool doc_push(lua_State *L, const DocTree *tree, uint32_t node, Err *err) {
  Push push = {.L = L, .tree = tree, .left = PUSH_LIMIT, .err = err};
  luaL_newmetatable(L, "pgsh.json.array");
  lua_pop(L, 1);
  int top = lua_gettop(L);
  if (push_node(&push, node)) return true;
  if (tree->json && err->code == ERR_YAML) err->code = ERR_JSON;
  lua_settop(L, top);
  return false;
}
