/* host, scopes: what a piece of a run may do, and what is recorded of it. */
#include <lauxlib.h>
#include <string.h>

#include "api/host.h"
#include "run/door.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

/* within(scope, f, ...): stack 1 = scope table, 2 = handler, 3.. = f and arguments, then results. */
static int k_within(lua_State *L, int status, lua_KContext ctx) {
  Scope *scope = (Scope *)ctx;
  task_set_scope(task_current(L), scope->outer);
  const struct {
    const char *key;
    int value;
  } counters[] = {{"reads", scope->reads}, {"changed", scope->changed}, {"replayed", scope->replayed}};
  for (size_t i = 0; i < 3; i++) {
    lua_pushinteger(L, counters[i].value);
    lua_setfield(L, 1, counters[i].key);
  }
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 2;
}

static const char *host_field(lua_State *L, const char *key) {
  lua_getfield(L, 1, key);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1); /* the table holds it */
  return text;
}

static int l_host_within(lua_State *L) {
  static const char *const keys[] = {"branch", "step", "phase", "changes", "reads", "changed", "replayed", NULL};
  static const char *const changes[] = {"allow", "refuse", "show", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  args_options(L, 1, keys);
  Task *task = task_current(L);
  if (task == NULL) return luaerr_throw(L, ERR_NOT_A_TASK, "within needs a task");
  const char *branch = host_field(L, "branch"), *phase = host_field(L, "phase"), *how = host_field(L, "changes");
  int which = 0;
  while (how != NULL && changes[which] != NULL && strcmp(changes[which], how) != 0)
    which++;
  if (branch == NULL || phase == NULL || how == NULL || changes[which] == NULL)
    return luaerr_throw(L, ERR_INTERNAL, "within: branch, phase and changes are needed");
  Scope *scope = door_scope(run_of(L)->door, task_scope(task), branch, host_field(L, "step"), phase, (ScopeChanges)which);
  int nargs = lua_gettop(L) - 2;
  lua_pushcfunction(L, luaerr_handler);
  lua_insert(L, 2);
  task_set_scope(task, scope);
  return k_within(L, lua_pcallk(L, nargs, LUA_MULTRET, 2, (lua_KContext)scope, k_within), (lua_KContext)scope);
}

/* branch(name, f, ...): stack 1 = name, 2 = handler, 3.. as within. What happens inside counts outside too. */
static int k_branch(lua_State *L, int status, lua_KContext ctx) {
  const Scope *scope = (const Scope *)ctx;
  Scope *outer = scope->outer;
  task_set_scope(task_current(L), outer);
  outer->reads += scope->reads;
  outer->changed += scope->changed;
  outer->replayed += scope->replayed;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 2;
}

static Scope *host_scope(lua_State *L) {
  Task *task = task_current(L);
  Scope *scope = task != NULL ? task_scope(task) : NULL;
  return scope != NULL ? scope : door_default_scope(run_of(L)->door);
}

/* Changes of several tasks come in an order that differs from time to time; a replay finds them by branch and order. So each task
 * has a branch of its own. */
static int l_host_branch(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  Task *task = task_current(L);
  if (task == NULL) return luaerr_throw(L, ERR_NOT_A_TASK, "branch needs a task");
  Scope *outer = host_scope(L);
  const char *branch = lua_pushfstring(L, "%s/%s", outer->branch, name);
  lua_replace(L, 1);
  Scope *scope = door_scope(run_of(L)->door, outer, branch, outer->step, outer->phase, outer->changes);
  int nargs = lua_gettop(L) - 2;
  lua_pushcfunction(L, luaerr_handler);
  lua_insert(L, 2);
  task_set_scope(task, scope);
  return k_branch(L, lua_pcallk(L, nargs, LUA_MULTRET, 2, (lua_KContext)scope, k_branch), (lua_KContext)scope);
}

/* ordinal(): 1, 2, … for each call inside one scope, to tell its parts apart: the same when the scope is entered again. */
static int l_host_ordinal(lua_State *L) {
  lua_pushinteger(L, ++host_scope(L)->children);
  return 1;
}

/* replayed(): how many changes of this scope were answered from the journal so far. */
static int l_host_replayed(lua_State *L) {
  lua_pushinteger(L, host_scope(L)->replayed);
  return 1;
}

/* recorded(): what the journal has of the change that this scope will ask for next: its outcome, or nil. */
static int l_host_recorded(lua_State *L) {
  const Scope *scope = host_scope(L);
  const Run *run = run_of(L);
  const Record *record = run->mode == RUN_REAL ? door_find(run->door, scope->branch, scope->order + 1) : NULL;
  if (record == NULL) return 0;
  lua_pushstring(L, outcome_name(record->outcome));
  return 1;
}

/* again(): the change that this scope asked for last has failed for certain, and what it failed for is mended: the next one takes
 * its place. Were it numbered by itself, a resumed run would find the failed one first, let it out, and do the work twice. */
static int l_host_again(lua_State *L) {
  Scope *scope = host_scope(L);
  const Record *record = scope->order > 0 ? door_find(run_of(L)->door, scope->branch, scope->order) : NULL;
  if (record == NULL || record->outcome != OUTCOME_FAILED)
    return luaerr_throw(L, ERR_USAGE, "again: the last change of %s has not failed", scope->branch);
  scope->order--;
  return 0;
}

static int l_host_forget(lua_State *L) {
  door_forget(run_of(L)->door, luaL_checkstring(L, 1));
  return 0;
}

static void on_unknown(const Record *record, void *arg) {
  lua_State *L = arg;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, record->branch);
  lua_setfield(L, -2, "branch");
  lua_pushstring(L, record->show);
  lua_setfield(L, -2, "show");
  lua_pushstring(L, record->target);
  lua_setfield(L, -2, "target");
  lua_pushinteger(L, record->order);
  lua_setfield(L, -2, "order");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int l_host_unknowns(lua_State *L) {
  const char *prefix = luaL_checkstring(L, 1);
  lua_newtable(L);
  door_unknowns(run_of(L)->door, prefix, on_unknown, L);
  return 1;
}

static int l_host_settle(lua_State *L) {
  static const char *const outcomes[] = {"ok", "failed", NULL};
  const char *branch = luaL_checkstring(L, 1), *how = luaL_checkstring(L, 4);
  int order = (int)luaL_checkinteger(L, 2);
  bool ok = luaL_checkoption(L, 3, NULL, outcomes) == 0;
  Run *run = run_of(L);
  Record *record = door_find(run->door, branch, order);
  if (record == NULL) return luaerr_throw(L, ERR_USAGE, "%s has no change %d", branch, order);
  record->outcome = ok ? OUTCOME_OK : OUTCOME_FAILED;
  Err err = {0};
  json_t *body = json_pack("{s:i, s:s, s:i, s:s, s:s}", "effect", record->effect, "branch", branch, "order", order, "outcome",
                           outcome_name(record->outcome), "how", how);
  if (!stream_emit(run->stream, EVENT_EFFECT_OUTCOME, body, &err)) return luaerr_raise(L, &err);
  return 0;
}

void host_add_scope(lua_State *L) {
  static const luaL_Reg functions[] = {{"within", l_host_within},   {"branch", l_host_branch},
                                       {"ordinal", l_host_ordinal}, {"replayed", l_host_replayed},
                                       {"forget", l_host_forget},   {"unknowns", l_host_unknowns},
                                       {"settle", l_host_settle},   {"recorded", l_host_recorded},
                                       {"again", l_host_again},     {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
