/* secret: module pgsh.secret (lua/meta/secret.lua documents it). */
#include <lauxlib.h>

#include "api/api.h"
#include "vm/args.h"

static int l_secret_call(lua_State *L) {
  size_t len;
  const char *value = args_check_text(L, 2, &len);
  secret_push(L, value, len);
  return 1;
}

static int l_secret_credentials(lua_State *L) {
  redact_add_credentials(vm_redact(vm_of(L)), args_check_text(L, 1, NULL));
  return 0;
}

static int l_secret_is(lua_State *L) {
  lua_pushboolean(L, secret_get(L, 1, NULL) != NULL);
  return 1;
}

static int l_secret_redact(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  Buf clean = {0};
  if (redact_text(vm_redact(vm_of(L)), text, len, &clean))
    lua_pushlstring(L, buf_str(&clean), clean.len);
  else
    lua_pushvalue(L, 1);
  buf_fini(&clean);
  return 1;
}

/* For services that must hand a value to something that is not a primitive (the password of a URL they take apart). */
static int l_secret_reveal(lua_State *L) {
  size_t len;
  const char *value = args_check_text(L, 1, &len);
  lua_pushlstring(L, value, len);
  return 1;
}

int luaopen_pgsh_secret(lua_State *L) {
  static const luaL_Reg functions[] = {{"credentials", l_secret_credentials},
                                       {"is", l_secret_is},
                                       {"redact", l_secret_redact},
                                       {"reveal", l_secret_reveal},
                                       {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__call", l_secret_call}, {NULL, NULL}};
  luaL_newlib(L, functions);
  luaL_newlib(L, meta);
  lua_setmetatable(L, -2);
  return 1;
}
