/* luaerr: Err to and from the Lua error object (metatable "pgsh.Error"): kind, code, message, target, hint, detail, sqlstate,
 * status, exit, signal, errno, position, retryable, traceback; tostring is one line. */
#ifndef PGSH_VM_LUAERR_H
#define PGSH_VM_LUAERR_H

#include <lua.h>

#include "base/err.h"

/* Push an error object; err is emptied. */
void luaerr_push(lua_State *L, Err *err);
/* Raise it; err is emptied first (no C memory is live while Lua unwinds). Never returns. */
int luaerr_raise(lua_State *L, Err *err) __attribute__((noreturn));
/* Raise a new one; the position of the calling script line is put in front of a usage message. */
int luaerr_throw(lua_State *L, ErrCode code, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
/* Fill err from any Lua value at index (error object, string, other). */
void luaerr_get(lua_State *L, int index, Err *err);
/* Is the value an error object with this code? */
bool luaerr_is(lua_State *L, int index, ErrCode code);
/* Message handler for pcall: wraps anything into an error object and attaches a traceback once. */
int luaerr_handler(lua_State *L);
/* Create the metatable. */
void luaerr_open(lua_State *L);

#endif
