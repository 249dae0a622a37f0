/* host: module pgsh.host, what the Lua part of pgsh is built on (lua/meta/host.lua documents each function). */
#include "api/host.h"

#include <lauxlib.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "api/versions.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

static const char *const host_modes[] = {"direct", "plan", "real", NULL};

static int l_host_mode(lua_State *L) {
  lua_pushstring(L, host_modes[run_of(L)->mode]);
  return 1;
}

static int l_host_set_mode(lua_State *L) {
  static const char *const options[] = {"step_by_step", NULL};
  Run *run = run_of(L);
  run->mode = (RunMode)luaL_checkoption(L, 1, NULL, host_modes);
  run->step_by_step = args_bool(L, args_options(L, 2, options), "step_by_step", run->step_by_step);
  return 0;
}

/* Events that are only read by people: nothing in them may be too odd to be shown. Of the others a resumed run reads what was
 * said. */
static bool host_is_shown(EventType type) {
  static const EventType shown[] = {EVENT_LOG,         EVENT_OUTPUT,     EVENT_PROGRESS,    EVENT_SETTING,   EVENT_STEP_NOTE,
                                    EVENT_STEP_FAILED, EVENT_RUN_ENDED,  EVENT_ASKED,       EVENT_WAIT_SEEN, EVENT_WAIT_ENDED,
                                    EVENT_SHELL_LINE,  EVENT_SHELL_DONE, EVENT_SHELL_WINDOW};
  for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
    if (shown[i] == type) return true;
  return false;
}

static int l_host_emit(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  EventType type = event_by_name(name);
  if (type == EVENT_COUNT) return luaerr_throw(L, ERR_INTERNAL, "there is no event '%s'", name);
  Err err = {0};
  json_t *body = NULL;
  if (!lua_isnoneornil(L, 2)) {
    body = host_is_shown(type) ? luajson_shown(L, 2, &err) : luajson_from(L, 2, false, &err);
    if (body == NULL || !json_is_object(body)) {
      json_decref(body);
      err_prefix(&err, "event %s: ", name);
      return luaerr_raise(L, &err);
    }
  }
  if (!stream_emit(run_of(L)->stream, type, body, &err)) return luaerr_raise(L, &err);
  return 0;
}

static int l_host_targets(lua_State *L) {
  json_t *list = guard_list(run_of(L)->guard);
  luajson_push(L, list);
  json_decref(list);
  return 1;
}

static int l_host_target(lua_State *L) {
  guard_target(run_of(L)->guard, luaL_checkstring(L, 1), luaL_checkstring(L, 2), luaL_optstring(L, 3, NULL));
  return 0;
}

static int l_host_seal(lua_State *L) {
  guard_seal(run_of(L)->guard);
  return 0;
}

static int l_host_getenv(lua_State *L) {
  lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
  return 1;
}

static const struct {
  const char *key;
  size_t offset;
} host_error_texts[] = {
    {"target", offsetof(Err, target)},
    {"hint", offsetof(Err, hint)},
    {"detail", offsetof(Err, detail)},
};

/* host.error(code, fields): the object C would make, plus whatever further fields a service adds. */
static int l_host_error(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  ErrCode code = ERR_NONE;
  for (int c = 1; c < ERR_COUNT; c++)
    if (strcmp(err_code_name((ErrCode)c), name) == 0) code = (ErrCode)c;
  if (code == ERR_NONE) return luaerr_throw(L, ERR_INTERNAL, "there is no error '%s'", name);
  lua_settop(L, 2);
  Err err = {0};
  const char *message = lua_istable(L, 2) ? (lua_getfield(L, 2, "message"), lua_tostring(L, -1)) : lua_tostring(L, 2);
  err_set(&err, code, "%s", message != NULL ? message : err_text(code));
  for (size_t i = 0; lua_istable(L, 2) && i < sizeof host_error_texts / sizeof host_error_texts[0]; i++) {
    lua_getfield(L, 2, host_error_texts[i].key);
    const char *text = lua_tostring(L, -1);
    if (text != NULL) *(char **)((char *)&err + host_error_texts[i].offset) = strdup(text);
  }
  luaerr_push(L, &err);
  if (!lua_istable(L, 2)) return 1;
  lua_pushnil(L);
  while (lua_next(L, 2) != 0) {
    lua_pushvalue(L, -2);
    if (lua_rawget(L, -4) == LUA_TNIL) {
      lua_pop(L, 1);
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, -4);
    } else {
      lua_pop(L, 2);
    }
  }
  return 1;
}

static void host_push_errors(lua_State *L) {
  lua_createtable(L, 0, ERR_COUNT);
  for (int c = 1; c < ERR_COUNT; c++) {
    ErrCode code = (ErrCode)c;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, err_kind(code));
    lua_setfield(L, -2, "kind");
    lua_pushstring(L, err_text(code));
    lua_setfield(L, -2, "text");
    lua_pushinteger(L, err_exit(code));
    lua_setfield(L, -2, "exit");
    lua_pushboolean(L, err_retryable(code));
    lua_setfield(L, -2, "retryable");
    lua_setfield(L, -2, err_code_name(code));
  }
}

static void host_push_facts(lua_State *L) {
  char hostname[256] = "localhost";
  gethostname(hostname, sizeof hostname - 1);
  const struct passwd *user = getpwuid(geteuid());
  lua_pushliteral(L, PGSH_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushinteger(L, getpid());
  lua_setfield(L, -2, "pid");
  lua_pushstring(L, user != NULL ? user->pw_name : "?");
  lua_setfield(L, -2, "user");
  lua_pushstring(L, hostname);
  lua_setfield(L, -2, "hostname");
}

/* versions(): the libraries, a line each. */
static int l_host_versions(lua_State *L) {
  Buf text = {0};
  versions_add(&text);
  lua_pushlstring(L, buf_str(&text), text.len);
  buf_fini(&text);
  return 1;
}

int luaopen_pgsh_host(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"mode", l_host_mode},         {"set_mode", l_host_set_mode},
      {"emit", l_host_emit},         {"targets", l_host_targets},
      {"target", l_host_target},     {"seal", l_host_seal},
      {"getenv", l_host_getenv},     {"error", l_host_error},
      {"versions", l_host_versions}, {NULL, NULL},
  };
  luaL_newlib(L, functions);
  host_add_scope(L);
  host_add_task(L);
  host_add_store(L);
  host_add_text(L);
  host_add_console(L);
  host_add_psql(L);
  host_add_files(L);
  host_add_grid(L);
  host_push_facts(L);
  host_push_errors(L);
  lua_setfield(L, -2, "errors");
  return 1;
}
