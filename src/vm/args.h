/* args: checked arguments of Lua-facing functions: positional ones by luaL_check*, the rest in one trailing options table
 * that refuses unknown keys. Errors are of kind usage and name the nearest key. */
#ifndef PGSH_VM_ARGS_H
#define PGSH_VM_ARGS_H

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Check the options table at `index` (nil or none: fine). Returns its absolute index, or 0. `allowed` is NULL-ended. */
int args_options(lua_State *L, int index, const char *const allowed[]);
/* Values from it; `options` 0 gives the default. Wrong types raise. */
bool args_bool(lua_State *L, int options, const char *key, bool fallback);
int64_t args_integer(lua_State *L, int options, const char *key, int64_t fallback);
/* A duration: a number of seconds or a string as in clock_parse_duration; in milliseconds. */
int64_t args_duration(lua_State *L, int options, const char *key, int64_t fallback_ms);
int64_t args_check_duration(lua_State *L, int index);
/* A size: bytes, or "16M", "1G" (KiB, MiB, GiB). */
int64_t args_size(lua_State *L, int options, const char *key, int64_t fallback);
/* A string or a Secret; borrowed: valid while the options table is on the stack. */
const char *args_string(lua_State *L, int options, const char *key, const char *fallback);
/* Leave the option's value on the stack (nil when absent); returns its type. */
int args_push(lua_State *L, int options, const char *key);
/* The real text at index: a string, a number or a Secret (revealed). NULL when it is neither. Borrowed. */
const char *args_text(lua_State *L, int index, size_t *len);
/* As luaL_check*: raise of kind usage with position and expectation. */
const char *args_check_text(lua_State *L, int index, size_t *len);

/* Secrets: userdata "pgsh.Secret" that prints as •••. Creating one registers its value with the Vm's Redact. */
void secret_push(lua_State *L, const char *value, size_t len);
const char *secret_get(lua_State *L, int index, size_t *len); /* NULL when it is none; borrowed */
void secret_open(lua_State *L);

/* Values not known in a plan (pgsh.unknown, a Lua module): is the value at index one? */
bool args_is_unknown(lua_State *L, int index);
/* Does it hold one, at any depth of a table? */
bool args_has_unknown(lua_State *L, int index);

#endif
