/* ssh_call: handle:read and handle:run. */
#include <lauxlib.h>

#include "api/ssh.h"
#include "run/effect.h"
#include "vm/args.h"
#include "vm/await.h"

static Op *call_start(lua_State *L, int index) {
  const SshArgs *args = lua_touserdata(L, index);
  SshSpec spec = ssh_args_spec(args);
  const char *deadline = NULL;
  int64_t left = await_time_left(L, args->sh.timeout_ms, &deadline);
  return &ssh_exec(args->handle->ssh, &spec, left, deadline)->op;
}

static int call_push_read(lua_State *L, Op *op, int index) {
  const ProcResult *result = &((const SshOp *)op)->result;
  (void)index;
  sh_push_result(L, result, false);
  return 1;
}

static int call_push_change(lua_State *L, Op *op, int index) {
  const ProcResult *result = &((const SshOp *)op)->result;
  (void)index;
  sh_push_result(L, result, true);
  return 1;
}

static int ssh_call(lua_State *L, EffectKind kind) {
  static const char *const read_keys[] = {"input", "env", "cwd", "timeout", "limit", "ok", "what", "become", NULL};
  static const char *const run_keys[] = {"input", "env", "cwd", "timeout", "limit", "ok", "what", "become", "resolve", NULL};
  lua_settop(L, 3);
  bool change = kind == EFFECT_CHANGE;
  SshHandle *handle = ssh_check(L, 1);
  int options = args_options(L, 3, change ? run_keys : read_keys);
  luaL_checkstack(L, 20, "ssh");
  SshArgs *args = ssh_args_new(L, handle);
  ssh_args_fill(L, args, options, change);
  EffectSpec spec = {
      .kind = kind,
      .target = handle->target,
      .verb = change ? "run" : "read",
      .show = buf_str(&args->sh.show),
      .args = 4,
      .options = options,
      .unknown = args->sh.unknown,
      .start = call_start,
      .push = change ? call_push_change : call_push_read,
  };
  return effect_call(L, &spec);
}

/* handle:read(command [, options]) */
int l_ssh_read(lua_State *L) { return ssh_call(L, EFFECT_READ); }
/* handle:run(command [, options]) */
int l_ssh_run(lua_State *L) { return ssh_call(L, EFFECT_CHANGE); }
