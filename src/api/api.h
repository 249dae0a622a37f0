/* api: the Lua modules in C, one file each. */
#ifndef PGSH_API_API_H
#define PGSH_API_API_H

#include "vm/vm.h"

/* Add all of them to the Vm: require "pgsh.NAME". */
void api_open(Vm *vm);

int luaopen_pgsh_file(lua_State *L);
int luaopen_pgsh_gzip(lua_State *L);
int luaopen_pgsh_hash(lua_State *L);
int luaopen_pgsh_host(lua_State *L);
int luaopen_pgsh_http(lua_State *L);
int luaopen_pgsh_json(lua_State *L);
int luaopen_pgsh_pipe(lua_State *L);
int luaopen_pgsh_psql(lua_State *L);
int luaopen_pgsh_secret(lua_State *L);
int luaopen_pgsh_sh(lua_State *L);
int luaopen_pgsh_ssh_core(lua_State *L);
int luaopen_pgsh_yaml(lua_State *L);

#endif
