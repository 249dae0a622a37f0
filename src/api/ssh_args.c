/* ssh_args: a far command's arguments: those of sh, and whom to become. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/ssh.h"
#include "vm/args.h"
#include "vm/luaerr.h"

void ssh_become_fini(SshBecome *become) {
  if (become->password != NULL) explicit_bzero(become->password, strlen(become->password));
  free(become->password);
  free(become->user);
  memset(become, 0, sizeof *become);
}

void ssh_args_become(lua_State *L, SshBecome *become, int options) {
  int top = lua_gettop(L), type = args_push(L, options, "become");
  if (type == LUA_TSTRING) {
    become->user = mem_strdup(lua_tostring(L, -1));
  } else if (type == LUA_TTABLE) {
    lua_geti(L, -1, 1);
    const char *user = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_getfield(L, top + 1, "password");
    const char *password = lua_isnil(L, -1) ? NULL : args_text(L, -1, NULL);
    if (user == NULL || (password == NULL && !lua_isnil(L, -1)))
      luaerr_throw(L, ERR_USAGE, "become: a user, or { \"user\", password = … }");
    if (password != NULL && strpbrk(password, "\r\n") != NULL) luaerr_throw(L, ERR_USAGE, "become: a password is one line");
    if (password != NULL && secret_get(L, -1, NULL) == NULL) redact_add(vm_redact(vm_of(L)), password, strlen(password));
    become->user = mem_strdup(user);
    become->password = mem_strdup(password);
  } else if (type != LUA_TNIL) {
    luaerr_throw(L, ERR_USAGE, "become: a user, or { \"user\", password = … }");
  }
  if (become->user != NULL && (become->user[0] == '\0' || become->user[0] == '-'))
    luaerr_throw(L, ERR_USAGE, "become: '%s' is no user", become->user);
  lua_settop(L, top);
}

void ssh_args_fini(void *self) {
  SshArgs *args = self;
  sh_args_fini(&args->sh);
  ssh_become_fini(&args->become);
}

static int l_args_gc(lua_State *L) {
  ssh_args_fini(lua_touserdata(L, 1));
  return 0;
}

SshArgs *ssh_args_new(lua_State *L, SshHandle *handle) {
  SshArgs *args = lua_newuserdatauv(L, sizeof *args, 0);
  memset(args, 0, sizeof *args);
  if (luaL_newmetatable(L, "pgsh.SshArgs")) {
    lua_pushcfunction(L, l_args_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  args->handle = handle;
  return args;
}

/* In the far shell a name of an environment variable is a word of its language. */
static void args_check_env(lua_State *L, char *const *env) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  for (; env != NULL && *env != NULL; env++) {
    size_t len = strcspn(*env, "=");
    if (strspn(*env, letters) < len || (**env >= '0' && **env <= '9')) {
      lua_pushlstring(L, *env, len);
      luaerr_throw(L, ERR_USAGE, "env: '%s' is no name that a shell can export", lua_tostring(L, -1));
    }
  }
}

void ssh_args_fill(lua_State *L, SshArgs *args, int options, bool change) {
  sh_args_command(L, &args->sh, 2);
  sh_args_options(L, &args->sh, options, change);
  args_check_env(L, args->sh.spec.env);
  if (args->sh.timeout_ms == 0) args->sh.timeout_ms = args->handle->timeout_ms;
  ssh_args_become(L, &args->become, options);
  if (args->become.user == NULL) {
    args->become.user = mem_strdup(args->handle->become.user);
    args->become.password = mem_strdup(args->handle->become.password);
  }
  args->read = !change;
  sh_finish_show(&args->sh.show, SH_SHOW_BYTES);
}

/* A list becomes words for the far shell, a text is for it as it is (sh has put /bin/sh -c in front). */
static char *args_command(const ProcSpec *from) {
  Buf command = {0};
  bool text = from->name != NULL;
  if (text) return mem_strdup(from->argv[2]);
  buf_add_str(&command, "exec");
  for (char **word = from->argv; *word != NULL; word++) {
    buf_add_char(&command, ' ');
    ssh_quote(&command, *word);
  }
  return buf_take(&command);
}

SshSpec ssh_args_spec(const SshArgs *args) {
  ProcSpec copy = proc_spec_copy(&args->sh.spec);
  SshSpec spec = {
      .command = args_command(&copy),
      .simple = copy.name == NULL,
      .name = copy.name != NULL ? copy.name : mem_strdup(basename(copy.argv[0])),
      .env = copy.env,
      .cwd = copy.cwd,
      .become = mem_strdup(args->become.user),
      .become_password = mem_strdup(args->become.password),
      .input = copy.input,
      .has_input = copy.has_input,
      .limit_bytes = copy.limit_bytes,
      .tail = copy.tail,
      .accept = copy.accept,
      .read = args->read,
  };
  copy.name = NULL;
  copy.env = NULL;
  copy.cwd = NULL;
  copy.accept = NULL;
  memset(&copy.input, 0, sizeof copy.input);
  proc_spec_fini(&copy);
  return spec;
}
