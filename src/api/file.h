/* file: what the files file*.c share of module pgsh.file. */
#ifndef PGSH_API_FILE_H
#define PGSH_API_FILE_H

#include <lua.h>

int l_file_read(lua_State *L);
/* file_edit.c */
int l_file_edit(lua_State *L);
int l_file_revert(lua_State *L);
int l_file_diff(lua_State *L);

#endif
