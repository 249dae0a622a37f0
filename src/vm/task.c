/* task: see task.h. */
#include "vm/task.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "vm/await.h"
#include "vm/internal.h"
#include "vm/luaerr.h"

typedef struct JoinOp {
  Op op;
  struct JoinOp *next;
} JoinOp;

struct Task {
  Vm *vm;
  lua_State *L; /* its coroutine, anchored in the registry under thread_ref */
  uint64_t id;
  int thread_ref;
  int arguments; /* values on L for the first resume, the function included */
  char *name;
  Task *parent;
  Task *next, **link; /* in one of the Vm's lists */
  Deferred start;
  Op *op; /* what it waits for; its box is on top of L's stack */
  void *scope;
  TaskDeadline deadline;
  ErrCode cancelled;
  int shield, refs;
  bool done, failed, aside;
  JoinOp *joiners;
  void (*on_done)(Task *task, void *arg);
  void *on_done_arg;
};

static void task_step(Task *task, int nargs);

/* ---- the bottom frame ------------------------------------------------------------------------------------------------ */

/* Leaves ok and the results (or the error object) as the coroutine's results. */
static int k_body(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  bool ok = status == LUA_OK || status == LUA_YIELD;
  if (!ok) { /* only the error object, which is on top */
    lua_copy(L, -1, 2);
    lua_settop(L, 2);
  }
  lua_pushboolean(L, ok);
  lua_replace(L, 1); /* where the message handler was */
  return lua_gettop(L);
}

static int l_body(lua_State *L) {
  int nargs = lua_gettop(L) - 1;
  lua_pushcfunction(L, luaerr_handler);
  lua_insert(L, 1);
  return k_body(L, lua_pcallk(L, nargs, LUA_MULTRET, 1, 0, k_body), 0);
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

static void task_enlist(Task *task, Task **list) {
  task->next = *list;
  task->link = list;
  if (*list != NULL) (*list)->link = &task->next;
  *list = task;
}

static void task_unlist(Task *task) {
  *task->link = task->next;
  if (task->next != NULL) task->next->link = task->link;
}

static void task_free(Task *task) {
  task_unlist(task);
  if (task->vm->L != NULL) luaL_unref(task->vm->L, LUA_REGISTRYINDEX, task->thread_ref);
  free(task->name);
  free(task);
}

void task_release(Task *task) {
  if (task != NULL && --task->refs == 0) task_free(task);
}

static void on_start(Deferred *d) {
  Task *task = (Task *)((char *)d - offsetof(Task, start));
  task_step(task, task->arguments);
}

Task *task_spawn(lua_State *L, int nargs, const char *name) {
  Vm *vm = vm_of(L);
  Task *parent = task_current(L);
  lua_checkstack(L, 2);
  lua_State *thread = lua_newthread(L);
  int ref = luaL_ref(L, LUA_REGISTRYINDEX);
  Task *task = mem_alloc(sizeof *task);
  *task = (Task){.vm = vm, .L = thread, .thread_ref = ref, .parent = parent, .refs = 2, .arguments = nargs + 1};
  task->id = ++vm->spawned;
  task->name = mem_strdup(name);
  task_enlist(task, &vm->tasks);
  if (parent != NULL) {
    task->scope = parent->scope;
    task->deadline = parent->deadline;
    task->cancelled = parent->shield > 0 ? ERR_NONE : parent->cancelled;
  }
  *(Task **)lua_getextraspace(thread) = task;
  lua_pushcfunction(thread, l_body);
  lua_xmove(L, thread, nargs + 1);
  task->start.fn = on_start;
  loop_defer(vm->loop, &task->start);
  return task;
}

Task *task_current(lua_State *L) { return *(Task **)lua_getextraspace(L); }
uint64_t task_id(const Task *task) { return task->id; }
const char *task_name(const Task *task) { return task->name; }
void *task_scope(const Task *task) { return task->scope; }
void task_set_scope(Task *task, void *scope) { task->scope = scope; }
bool task_done(const Task *task) { return task->done; }

static void task_finish(Task *task, int status, int nresults) {
  lua_State *L = task->L;
  task->done = true;
  task->parent = NULL;
  task_unlist(task);
  task_enlist(task, &task->vm->ended);
  if (status != LUA_OK) { /* the trampoline itself failed: out of memory */
    task->failed = true;
    lua_settop(L, 0);
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "out of memory");
  } else {
    lua_settop(L, nresults);
    task->failed = !lua_toboolean(L, 1);
  }
  for (Task *t = task->vm->tasks; t != NULL; t = t->next) {
    if (t->parent != task) continue;
    task_cancel(t, ERR_CANCELLED);
    t->parent = NULL;
  }
  JoinOp *join = task->joiners;
  task->joiners = NULL;
  while (join != NULL) {
    JoinOp *next = join->next;
    op_succeed(&join->op);
    op_unref(&join->op);
    join = next;
  }
  if (task->on_done != NULL) task->on_done(task, task->on_done_arg);
  task_release(task);
}

/* The only place that resumes Lua. Called from the loop's queue, never from inside Lua. */
static void task_step(Task *task, int nargs) {
  Vm *vm = task->vm;
  int nresults = 0;
  if (task->arguments > 0) nargs = task->arguments;
  task->arguments = 0;
  lua_sethook(task->L, NULL, 0, 0);
  vm->slice = vm->slice + 1;
  vm->stops = 0;
  vm->spared = false;
  vm->running = task->L;
  int status = lua_resume(task->L, NULL, nargs, &nresults);
  vm->running = NULL;
  if (status != LUA_YIELD) {
    task_finish(task, status, nresults);
  } else if (task->op == NULL) {
    /* coroutine.yield at the level of the task: nobody could ever resume it. */
    lua_pop(task->L, nresults);
    lua_resetthread(task->L);
    lua_settop(task->L, 0);
    lua_pushboolean(task->L, 0);
    Err err = {0};
    err_set(&err, ERR_SCRIPT, "coroutine.yield outside a coroutine of the script's own");
    luaerr_push(task->L, &err);
    task_finish(task, LUA_OK, 2);
  }
}

bool task_results(Task *task, lua_State *L, int *nresults) {
  if (!task->done || task->failed) return false;
  int n = lua_gettop(task->L) - 1;
  luaL_checkstack(L, n + 1, "too many results");
  luaL_checkstack(task->L, n + 1, "too many results");
  for (int i = 0; i < n; i++)
    lua_pushvalue(task->L, i + 2);
  lua_xmove(task->L, L, n);
  *nresults = n;
  return true;
}

void task_push_error(Task *task, lua_State *L) {
  lua_pushvalue(task->L, 2);
  lua_xmove(task->L, L, 1);
}

void task_detach(Task *task) {
  task->parent = NULL;
  task->aside = true;
}

bool task_is_aside(lua_State *L) {
  const Task *task = task_current(L);
  return task != NULL && task->aside;
}

void task_on_done(Task *task, void (*fn)(Task *task, void *arg), void *arg) {
  task->on_done = fn;
  task->on_done_arg = arg;
}

static const OpClass join_class = {"join", NULL, NULL};

Op *task_join(Task *task) {
  JoinOp *join = mem_alloc(sizeof *join);
  op_init(&join->op, task->vm->loop, &join_class);
  op_arm(&join->op, 0, NULL);
  if (task->done) {
    op_succeed(&join->op);
  } else {
    op_ref(&join->op);
    join->next = task->joiners;
    task->joiners = join;
  }
  return &join->op;
}

/* ---- cancelling ------------------------------------------------------------------------------------------------------- */

void task_cancel(Task *task, ErrCode reason) {
  if (task->done) return;
  if (task->cancelled == ERR_NONE) task->cancelled = reason;
  for (Task *t = task->vm->tasks; t != NULL; t = t->next)
    if (t->parent == task) task_cancel(t, reason);
  if (task->shield == 0 && task->op != NULL) op_cancel(task->op, reason);
}

ErrCode task_cancelled(const Task *task) { return task->cancelled; }
void task_clear_cancel(Task *task) { task->cancelled = ERR_NONE; }

void task_shield(Task *task, bool on) { task->shield += on ? 1 : -1; }

TaskDeadline task_deadline(const Task *task) { return task->deadline; }
void task_set_deadline(Task *task, TaskDeadline deadline) { task->deadline = deadline; }

int64_t task_time_left(const Task *task, int64_t timeout_ms, const char **name) {
  *name = NULL;
  if (task->deadline.at_ms == 0 || task->shield > 0) return timeout_ms;
  int64_t left = task->deadline.at_ms - clock_mono_ms();
  if (left < 1) left = 1;
  if (timeout_ms > 0 && timeout_ms <= left) return timeout_ms;
  *name = task->deadline.name;
  return left;
}

/* ---- waiting ---------------------------------------------------------------------------------------------------------- */

typedef struct OpBox {
  Op *op;
} OpBox;

static int l_box_gc(lua_State *L) {
  OpBox *box = lua_touserdata(L, 1);
  Op *op = box->op;
  box->op = NULL;
  if (op == NULL) return 0;
  op_on_settled(op, NULL, NULL);
  op_cancel(op, ERR_CANCELLED);
  op_unref(op);
  return 0;
}

void task_open(lua_State *L) {
  luaL_newmetatable(L, "pgsh.OpBox");
  lua_pushcfunction(L, l_box_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}

static void on_op_settled(Op *op, void *arg) {
  Task *task = arg;
  (void)op;
  task->op = NULL;
  task_step(task, 0);
}

void await_begin(lua_State *L, const char *primitive) {
  Task *task = task_current(L);
  Err err = {0};
  if (task == NULL) {
    err_set(&err, ERR_NOT_A_TASK, "%s cannot wait here: it is called in a coroutine of your own or while a module loads",
            primitive);
  } else if (!lua_isyieldable(L)) {
    err_set(&err, ERR_NOT_A_TASK, "%s cannot wait here: it is called from table.sort, string.gsub, require or a metamethod",
            primitive);
  } else if (task->cancelled != ERR_NONE && task->shield == 0) {
    err_set(&err, task->cancelled, "%s", err_text(task->cancelled));
  } else {
    return;
  }
  luaerr_raise(L, &err);
}

int await_op(lua_State *L, Op *op, lua_KContext ctx, lua_KFunction k) {
  Task *task = task_current(L);
  OpBox *box = lua_newuserdatauv(L, sizeof *box, 0); /* on no memory the Op leaks: then so does everything */
  box->op = op;
  luaL_setmetatable(L, "pgsh.OpBox");
  task->op = op;
  op_on_settled(op, on_op_settled, task);
  if (task->cancelled != ERR_NONE && task->shield == 0) op_cancel(op, task->cancelled);
  return lua_yieldk(L, 0, ctx, k);
}

Op *await_settled(lua_State *L) {
  OpBox *box = luaL_checkudata(L, -1, "pgsh.OpBox");
  return box->op;
}

void await_check(lua_State *L, Op *op) {
  if (op->err.code != ERR_NONE) luaerr_raise(L, &op->err);
}

int64_t await_time_left(lua_State *L, int64_t timeout_ms, const char **deadline_name) {
  return task_time_left(task_current(L), timeout_ms, deadline_name);
}

/* Ends everything: called once, before the state is closed. */
void task_shutdown(Vm *vm) {
  int64_t end = clock_mono_ms() + OP_CANCEL_GRACE_MS + 2000;
  for (;;) {
    bool live = false;
    for (Task *t = vm->tasks; t != NULL; t = t->next) {
      if (t->done) continue;
      live = true;
      t->shield = 0;
      task_cancel(t, ERR_CANCELLED);
    }
    if (!live || clock_mono_ms() > end) break;
    loop_turn(vm->loop, false);
    uv_sleep(1);
  }
  for (Task *t = vm->tasks, *next; t != NULL; t = next) {
    next = t->next;
    if (t->done) continue;
    /* It ignored the cancel: abandoned. Handles that Lua still holds keep its memory until they are collected. */
    if (t->op != NULL) op_on_settled(t->op, NULL, NULL);
    t->done = t->failed = true;
    task_release(t);
  }
}

static void task_free_list(Task *first) {
  for (Task *t = first, *next; t != NULL; t = next) {
    next = t->next;
    task_free(t);
  }
}

void task_free_rest(Vm *vm) {
  task_free_list(vm->tasks);
  task_free_list(vm->ended);
}
