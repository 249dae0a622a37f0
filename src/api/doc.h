/* doc: what the modules json and yaml have in common: texts changed in place (net/doc.h). */
#ifndef PGSH_API_DOC_H
#define PGSH_API_DOC_H

#include <lua.h>

int l_json_edit(lua_State *L);
int l_json_remove(lua_State *L);
int l_json_get(lua_State *L);

#endif
