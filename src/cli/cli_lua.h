/* cli_lua: `pgsh lua FILE ARGS…`: an ordinary Lua program, with the whole standard library and pgsh's modules, in a task, so
 * that it may wait. Tests and the lab are such programs. */
#ifndef PGSH_CLI_CLI_LUA_H
#define PGSH_CLI_CLI_LUA_H

#include <lua.h>
#include <stdbool.h>

#include "base/err.h"
#include "cli/options.h"

/* What os.exit asked for. */
typedef struct CliExit {
  bool asked;
  int status;
} CliExit;

/* Push the program's function and its arguments; their count in *nargs. `arg` and os.exit are set; `leave` is borrowed until the
 * Vm is closed. False and err when the file cannot be read or does not parse. */
bool cli_lua_push(lua_State *L, const Invocation *invocation, CliExit *leave, int *nargs, Err *err);

#endif
