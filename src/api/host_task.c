/* host, tasks: waiting, deadlines, children, the operator. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "api/host.h"
#include "base/clock.h"
#include "loop/timer.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define TASK_NAME "pgsh.Task"

static int k_sleep(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_check(L, await_settled(L));
  return 0;
}

static int l_host_sleep(lua_State *L) {
  int64_t ms = args_check_duration(L, 1);
  const char *deadline;
  await_begin(L, "wait");
  int64_t left = await_time_left(L, 0, &deadline);
  return await_op(L, timer_start(vm_loop(vm_of(L)), ms, left, deadline), 0, k_sleep);
}

/* ---- deadlines ---------------------------------------------------------------------------------------------------------- */

static Task *host_task(lua_State *L) {
  Task *task = task_current(L);
  if (task == NULL) luaerr_throw(L, ERR_NOT_A_TASK, "this needs a task");
  return task;
}

static int l_host_deadline(lua_State *L) {
  Task *task = host_task(L);
  TaskDeadline former = task_deadline(task), next = former;
  if (!lua_isnoneornil(L, 1)) {
    int64_t at = clock_mono_ms() + luaL_checkinteger(L, 1);
    /* An inner deadline cannot outlast the outer one. */
    if (former.at_ms == 0 || at < former.at_ms) {
      next.at_ms = at;
      snprintf(next.name, sizeof next.name, "%s", luaL_optstring(L, 2, "deadline"));
    }
  }
  task_set_deadline(task, next);
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, former.at_ms);
  lua_setfield(L, -2, "at_ms");
  lua_pushstring(L, former.name);
  lua_setfield(L, -2, "name");
  return 1;
}

static int l_host_restore_deadline(lua_State *L) {
  Task *task = host_task(L);
  TaskDeadline former = {0};
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "at_ms");
  former.at_ms = lua_tointeger(L, -1);
  lua_getfield(L, 1, "name");
  snprintf(former.name, sizeof former.name, "%s", luaL_optstring(L, -1, ""));
  task_set_deadline(task, former);
  return 0;
}

/* ---- children ------------------------------------------------------------------------------------------------------------ */

static Task **host_check_task(lua_State *L) {
  Task **box = luaL_checkudata(L, 1, TASK_NAME);
  if (*box == NULL) luaerr_throw(L, ERR_CLOSED, "the task is closed");
  return box;
}

static int l_host_spawn(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  Task **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, TASK_NAME);
  lua_insert(L, 2);
  *box = task_spawn(L, lua_gettop(L) - 3, name);
  lua_settop(L, 2);
  return 1;
}

static int k_join(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  Op *op = await_settled(L);
  await_check(L, op);
  Task *task = *host_check_task(L);
  int n = 0;
  if (task_results(task, L, &n)) return n;
  task_push_error(task, L);
  return lua_error(L);
}

static int l_task_join(lua_State *L) {
  Task *task = *host_check_task(L);
  if (task == task_current(L)) return luaerr_throw(L, ERR_USAGE, "a task cannot wait for itself");
  await_begin(L, "join");
  return await_op(L, task_join(task), 0, k_join);
}

static int l_task_cancel(lua_State *L) {
  task_cancel(*host_check_task(L), ERR_CANCELLED);
  return 0;
}

static int l_task_done(lua_State *L) {
  lua_pushboolean(L, task_done(*host_check_task(L)));
  return 1;
}

static int l_task_detach(lua_State *L) {
  task_detach(*host_check_task(L));
  lua_settop(L, 1);
  return 1;
}

static int l_task_gc(lua_State *L) {
  Task **box = luaL_checkudata(L, 1, TASK_NAME);
  Task *task = *box;
  *box = NULL;
  task_release(task);
  return 0;
}

static int k_shield(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  task_shield(task_current(L), false);
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 1;
}

static int l_host_shield(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  task_shield(host_task(L), true);
  lua_pushcfunction(L, luaerr_handler);
  lua_insert(L, 1);
  return k_shield(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, k_shield), 0);
}

static int l_host_interrupts(lua_State *L) {
  Vm *vm = vm_of(L);
  Task *task = task_current(L);
  bool look = lua_toboolean(L, 1);
  lua_pushinteger(L, vm_interrupts(vm));
  if (look) return 1;
  vm_interrupts_clear(vm);
  if (task != NULL) task_clear_cancel(task);
  return 1;
}

/* ---- the operator -------------------------------------------------------------------------------------------------------- */

static int k_ask(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  AnswerOp *answer = (AnswerOp *)await_settled(L);
  await_check(L, &answer->op);
  lua_pushstring(L, answer->answer != NULL ? answer->answer : "");
  return 1;
}

static int l_host_ask(lua_State *L) {
  static const char *const keys[] = {"text", "flag", "options", "labels", "expect", "secret", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  int options = args_options(L, 1, keys);
  Run *run = run_of(L);
  Question question = {
      .text = args_string(L, options, "text", ""),
      .flag = args_string(L, options, "flag", NULL),
      .options = args_string(L, options, "options", NULL),
      .labels = args_string(L, options, "labels", NULL),
      .expect = args_string(L, options, "expect", NULL),
      .secret = args_bool(L, options, "secret", false),
  };
  await_begin(L, "ask");
  if (run->asker == NULL) return luaerr_throw(L, ERR_ANSWER, "an answer is needed: %s", question.text);
  return await_op(L, &run->asker(run->asker_self, vm_loop(vm_of(L)), &question)->op, 0, k_ask);
}

static int l_host_interactive(lua_State *L) {
  lua_pushboolean(L, run_of(L)->interactive);
  return 1;
}

void host_add_task(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"sleep", l_host_sleep}, {"deadline", l_host_deadline},       {"restore_deadline", l_host_restore_deadline},
      {"spawn", l_host_spawn}, {"shield", l_host_shield},           {"interrupts", l_host_interrupts},
      {"ask", l_host_ask},     {"interactive", l_host_interactive}, {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
      {"join", l_task_join}, {"cancel", l_task_cancel}, {"done", l_task_done}, {"detach", l_task_detach}, {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
  luaL_newmetatable(L, TASK_NAME);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, l_task_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
