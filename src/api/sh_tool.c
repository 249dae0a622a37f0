/* sh_tool: sh.tool (lua/meta/sh.lua documents it): a command-line tool and what it acts upon, as a target of its own. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/sh.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"

#define TOOL_NAME "pgsh.Tool"

static void tool_list_free(char **list) {
  for (char **item = list; item != NULL && *item != NULL; item++) {
    explicit_bzero(*item, strlen(*item)); /* an environment may hold secrets */
    free(*item);
  }
  free(list);
}

static int l_tool_gc(lua_State *L) {
  ShTool *tool = lua_touserdata(L, 1);
  tool_list_free(tool->argv);
  tool_list_free(tool->env);
  free(tool->shown);
  memset(tool, 0, sizeof *tool);
  return 0;
}

static ShTool *tool_check(lua_State *L) {
  ShTool *tool = luaL_checkudata(L, 1, TOOL_NAME);
  if (tool->target == NULL) luaerr_throw(L, ERR_CLOSED, "sh.tool: the handle is closed");
  return tool;
}

static int l_tool_tostring(lua_State *L) {
  const ShTool *tool = tool_check(L);
  lua_pushfstring(L, "%s %s", tool->target->kind, tool->target->name);
  return 1;
}

static int l_tool_read(lua_State *L) { return sh_call(L, tool_check(L), 2, EFFECT_READ); }
static int l_tool_run(lua_State *L) { return sh_call(L, tool_check(L), 2, EFFECT_CHANGE); }
static int l_tool_output(lua_State *L) { return sh_output_part(L, tool_check(L), 2); }
static int l_tool_input(lua_State *L) { return sh_input_part(L, tool_check(L), 2); }

static void tool_argv(lua_State *L, ShTool *tool, int options) {
  ShArgs none = {0}; /* nothing of it is used: a word is only looked at */
  bool is_list = args_push(L, options, "argv") == LUA_TTABLE;
  int list = lua_gettop(L);
  lua_Integer count = is_list ? luaL_len(L, list) : 0;
  if (count < 1) luaerr_throw(L, ERR_USAGE, "sh.tool: argv: a list of words expected, the tool first");
  for (lua_Integer i = 1; i <= count; i++) {
    lua_geti(L, list, i);
    proc_list_add(&tool->argv, sh_check_word(L, &none, lua_gettop(L), "argv"));
    if (none.unknown) luaerr_throw(L, ERR_USAGE, "sh.tool: argv: a target has to be known before the run");
    lua_settop(L, list);
  }
  lua_settop(L, list - 1);
}

/* A text on one line that is needed. */
static const char *tool_need(lua_State *L, int options, const char *key, const char *fallback) {
  const char *text = args_string(L, options, key, fallback);
  if (text == NULL || text[0] == '\0') luaerr_throw(L, ERR_USAGE, "sh.tool: %s is missing", key);
  for (const char *c = text; *c != '\0'; c++)
    if ((unsigned char)*c < 0x20 || *c == 0x7f) luaerr_throw(L, ERR_USAGE, "sh.tool: %s: a control character in it", key);
  return text;
}

/* sh.tool{ kind=, name=, argv=, shown=, env=, detail= } */
int l_sh_tool(lua_State *L) {
  static const char *const keys[] = {"kind", "name", "argv", "shown", "env", "detail", NULL};
  static const luaL_Reg meta[] = {{"__gc", l_tool_gc}, {"__tostring", l_tool_tostring}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"read", l_tool_read}, {"run", l_tool_run}, {"output", l_tool_output}, {"input", l_tool_input}, {NULL, NULL}};
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  int options = args_options(L, 1, keys);
  const char *kind = tool_need(L, options, "kind", NULL), *name = tool_need(L, options, "name", NULL);
  const char *shown = tool_need(L, options, "shown", kind);
  if (strcmp(kind, "sh") == 0 || strcmp(kind, "file") == 0)
    return luaerr_throw(L, ERR_USAGE, "sh.tool: kind: '%s' is this machine's own", kind);
  ShTool *tool = lua_newuserdatauv(L, sizeof *tool, 0);
  memset(tool, 0, sizeof *tool);
  if (luaL_newmetatable(L, TOOL_NAME)) {
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
  }
  lua_setmetatable(L, -2);
  tool->shown = mem_strdup(shown);
  tool_argv(L, tool, options);
  if (sh_args_env(L, &tool->env, options))
    return luaerr_throw(L, ERR_USAGE, "sh.tool: env: a target has to be known before the run");
  tool->target = guard_target(run_of(L)->guard, kind, name, args_string(L, options, "detail", NULL));
  return 1;
}
