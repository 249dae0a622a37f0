/* ssh: module pgsh.ssh.core, below lua/pgsh/ssh.lua (lua/meta/ssh.lua documents it): handles on other hosts. */
#include "api/ssh.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"

static const char *const ssh_new_options[] = {"host",   "name",    "config", "transport", "connect_timeout",
                                              "become", "timeout", NULL};

SshHandle *ssh_check(lua_State *L, int index) {
  SshHandle *handle = luaL_checkudata(L, index, SSH_HANDLE_NAME);
  if (handle->ssh == NULL)
    luaerr_throw(L, ERR_CLOSED, "ssh %s: the handle is closed", handle->target != NULL ? handle->target->name : "");
  return handle;
}

/* :close(), <close> and the collector; what still runs fails. */
static int l_ssh_close(lua_State *L) {
  SshHandle *handle = luaL_checkudata(L, 1, SSH_HANDLE_NAME);
  Ssh *ssh = handle->ssh;
  handle->ssh = NULL;
  ssh_close(ssh);
  ssh_become_fini(&handle->become);
  return 0;
}

static int l_ssh_tostring(lua_State *L) {
  const SshHandle *handle = luaL_checkudata(L, 1, SSH_HANDLE_NAME);
  lua_pushfstring(L, "ssh %s%s", handle->target != NULL ? handle->target->name : "?", handle->ssh == NULL ? " (closed)" : "");
  return 1;
}

/* handle:where(): how it is connected, for the log. */
static int l_ssh_where(lua_State *L) {
  lua_pushstring(L, ssh_where(ssh_check(L, 1)->ssh));
  return 1;
}

/* ---- what the transport wants of us ---- */

static SshAnswerOp *on_ask(void *self, const char *question) {
  Vm *vm = self;
  const Run *run = vm_user(vm);
  Question asked = {.text = question, .flag = "ssh-add", .secret = true};
  _Static_assert(offsetof(AnswerOp, answer) == offsetof(SshAnswerOp, answer), "of one shape");
  if (run->asker == NULL) return NULL;
  AnswerOp *answer = run->asker(run->asker_self, vm_loop(vm), &asked);
  return (SshAnswerOp *)answer; // cppcheck-suppress returnDanglingLifetime ; the call only reads the question
}

static void on_secret(void *self, const char *text) { redact_add(vm_redact(self), text, strlen(text)); }

static void on_notice(void *self, const char *text) {
  const Run *run = vm_user(self);
  Err err = {0};
  stream_emit(run->stream, EVENT_LOG, json_pack("{s:s, s:s}", "level", "info", "text", text), &err);
  err_fini(&err); /* a notice that cannot be kept is no reason to stop */
}

/* ---- making one ---- */

static SshTransport new_transport(lua_State *L, int options) {
  const char *name = args_string(L, options, "transport", "auto");
  if (strcmp(name, "auto") == 0) return SSH_AUTO;
  if (strcmp(name, "lib") == 0) return SSH_LIB;
  if (strcmp(name, "openssh") != 0) luaerr_throw(L, ERR_USAGE, "transport: \"auto\", \"lib\" or \"openssh\", not '%s'", name);
  return SSH_OPENSSH;
}

static void new_check_host(lua_State *L, const char *host) {
  if (host == NULL || host[0] == '\0' || host[0] == '-' || strpbrk(host, " \t\r\n") != NULL)
    luaerr_throw(L, ERR_USAGE, "ssh: a host expected, as ssh takes it: an alias, user@host, ssh://user@host:port");
}

/* core.open(host [, options]) or core.open{ host=, … } */
static int l_ssh_open(lua_State *L) {
  lua_settop(L, 2);
  bool one_table = lua_istable(L, 1) && !args_is_unknown(L, 1);
  int options = args_options(L, one_table ? 1 : 2, ssh_new_options);
  if (!one_table && lua_type(L, 1) != LUA_TSTRING)
    return luaerr_throw(L, ERR_USAGE, "ssh: a host expected, got %s", luaL_typename(L, 1));
  const char *host = one_table ? args_string(L, options, "host", NULL) : lua_tostring(L, 1);
  new_check_host(L, host);
  SshHandle *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  memset(handle, 0, sizeof *handle);
  luaL_setmetatable(L, SSH_HANDLE_NAME);
  handle->vm = vm_of(L);
  handle->timeout_ms = args_duration(L, options, "timeout", 0);
  ssh_args_become(L, &handle->become, options);
  const char *name = args_string(L, options, "name", NULL);
  handle->target = guard_target(run_of(L)->guard, "ssh", name != NULL ? name : host, name != NULL ? host : NULL);
  SshOptions how = {.host = host,
                    .config = args_string(L, options, "config", NULL),
                    .transport = new_transport(L, options),
                    .connect_timeout_ms = args_duration(L, options, "connect_timeout", 0),
                    .ask = on_ask,
                    .secret = on_secret,
                    .notice = on_notice,
                    .self = handle->vm};
  handle->ssh = ssh_open(vm_loop(handle->vm), &how);
  return 1;
}

int luaopen_pgsh_ssh_core(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", l_ssh_open}, {"lines", l_ssh_lines}, {"sink", l_ssh_sink}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"read", l_ssh_read},   {"run", l_ssh_run}, {"output", l_ssh_output}, {"input", l_ssh_input}, {"close", l_ssh_close},
      {"where", l_ssh_where}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_ssh_close}, {"__close", l_ssh_close}, {"__tostring", l_ssh_tostring}, {NULL, NULL}};
  ssh_lines_open(L);
  luaL_newlib(L, functions);
  luaL_newmetatable(L, SSH_HANDLE_NAME);
  luaL_setfuncs(L, meta, 0);
  luaL_newlib(L, methods);
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "methods"); /* lua/pgsh/ssh.lua adds to them */
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  return 1;
}
