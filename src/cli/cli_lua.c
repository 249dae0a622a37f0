/* cli_lua: see cli_lua.h. */
#include "cli/cli_lua.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "vm/task.h"

/* Near and far in turn. Near, because the error may be caught by a pcall in a loop: the next instruction, behind that pcall, gets
 * another. Far, because closers need some instructions to work. */
static void on_exit_hook(lua_State *L, lua_Debug *ar) {
  static bool near;
  (void)ar;
  near = !near;
  lua_sethook(L, on_exit_hook, LUA_MASKCOUNT, near ? 1 : 1000);
  luaL_error(L, "os.exit");
}

/* The process ends as it always does, by the end of the task: closers run, children are stopped, nothing is leaked. The error
 * that gets there may be swallowed by a pcall; the hook raises it again then, a little later, so that closers get their turn. */
static int l_os_exit(lua_State *L) {
  CliExit *leave = lua_touserdata(L, lua_upvalueindex(1));
  if (lua_isboolean(L, 1))
    leave->status = lua_toboolean(L, 1) ? 0 : 1;
  else
    leave->status = (int)luaL_optinteger(L, 1, 0) & 0xff;
  fflush(NULL);
  /* Set anew each time, it would never come to count. */
  if (!leave->asked) lua_sethook(L, on_exit_hook, LUA_MASKCOUNT, 1000);
  leave->asked = true;
  return luaL_error(L, "os.exit");
}

static void cli_lua_set_exit(lua_State *L, CliExit *leave) {
  lua_getglobal(L, "os");
  lua_pushlightuserdata(L, leave);
  lua_pushcclosure(L, l_os_exit, 1);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}

static void cli_lua_set_arg(lua_State *L, const Invocation *invocation) {
  lua_createtable(L, (int)invocation->words.count, 1);
  lua_pushstring(L, invocation->file);
  lua_rawseti(L, -2, 0);
  for (size_t i = 0; i < invocation->words.count; i++) {
    lua_pushstring(L, invocation->words.items[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setglobal(L, "arg");
}

bool cli_lua_push(lua_State *L, const Invocation *invocation, CliExit *leave, int *nargs, Err *err) {
  if (invocation->file == NULL) return err_set(err, ERR_USAGE, "pgsh lua FILE [ARGUMENTS]: which file?");
  int rc = luaL_loadfile(L, invocation->file);
  if (rc != LUA_OK) {
    err_set(err, rc == LUA_ERRSYNTAX ? ERR_SYNTAX : ERR_IO, "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return false;
  }
  cli_lua_set_exit(L, leave);
  cli_lua_set_arg(L, invocation);
  *nargs = (int)invocation->words.count;
  luaL_checkstack(L, *nargs + 1, "too many arguments");
  for (int i = 0; i < *nargs; i++)
    lua_pushstring(L, invocation->words.items[i]);
  return true;
}
