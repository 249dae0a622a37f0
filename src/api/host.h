/* host: the parts of module pgsh.host, each adding its functions to the table on top of the stack. */
#ifndef PGSH_API_HOST_H
#define PGSH_API_HOST_H

#include <lua.h>

void host_add_scope(lua_State *L);   /* within, forget, unknowns, settle */
void host_add_task(lua_State *L);    /* sleep, deadline, spawn, shield, interrupts, ask */
void host_add_store(lua_State *L);   /* run_begin, run_resume, run_read, runs, lock */
void host_add_console(lua_State *L); /* line, completer, program, gate, foreground: the interactive shell */
void host_add_psql(lua_State *L);    /* sql_guard, psql_twin: what a statement is, what a handle knows */
void host_add_files(lua_State *L);   /* files, keep, tail: the operator's own */
void host_add_grid(lua_State *L);    /* grid, width */
void host_add_text(lua_State *L);    /* compile, read_file, embedded, time and digests */

#endif
