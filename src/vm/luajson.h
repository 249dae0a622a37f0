/* luajson: JSON values to and from Lua values.
 *
 * Lua → JSON: a table with a sequence 1..n and no other keys is an array; an empty table is an object unless made by
 * json.array{}; json.null is null; integers stay integers; NaN and infinities are refused; a Secret becomes "•••" unless
 * revealed; an unknown becomes its text. JSON → Lua: null becomes json.null inside arrays and objects. */
#ifndef PGSH_VM_LUAJSON_H
#define PGSH_VM_LUAJSON_H

#include <jansson.h>
#include <lua.h>
#include <stdbool.h>

#include "base/err.h"

/* New reference, or NULL and err (code ERR_JSON). Raises nothing. */
json_t *luajson_from(lua_State *L, int index, bool reveal, Err *err);
/* For people and the journal: the same, but what has no JSON form is shown all the same: bytes that are not UTF-8 as \xHH, NaN
 * and infinities as texts. */
json_t *luajson_shown(lua_State *L, int index, Err *err);
/* Push the value. May raise out of memory only. */
void luajson_push(lua_State *L, const json_t *value);
/* Decode text; NULL and err with line and column when it is not JSON. */
json_t *luajson_decode(const char *text, size_t len, Err *err);
/* json.null */
void luajson_push_null(lua_State *L);
bool luajson_is_null(lua_State *L, int index);

#endif
