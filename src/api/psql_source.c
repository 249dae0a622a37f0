/* psql_source: the connection string of a late-bound handle: its Lua function is run as a task of its own, so that it may wait
 * (for an HTTP service that keeps the credentials, say) and so that it is only asked when the door has let the operation out. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/psql.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/task.h"

typedef struct SourceOp {
  PgConninfoOp base;
  Vm *vm;
  Task *task;
  bool password; /* is what it asks for; else a conninfo */
} SourceOp;

/* Handles by address, weak: an operation must find the Lua side of its handle without keeping it alive. */
static char psql_handles_key;

void psql_source_register(lua_State *L, int index, Psql *db) {
  index = lua_absindex(L, index);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &psql_handles_key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &psql_handles_key);
  }
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, db);
  lua_pop(L, 1);
}

static void source_cancel(Op *op) {
  SourceOp *source = (SourceOp *)op;
  if (source->task != NULL) task_cancel(source->task, op->reason);
}

static void source_destroy(Op *op) {
  SourceOp *source = (SourceOp *)op;
  if (source->base.conninfo != NULL) explicit_bzero(source->base.conninfo, strlen(source->base.conninfo));
  free(source->base.conninfo);
  free(source);
}

static const OpClass source_class = {"psql.conninfo", source_cancel, source_destroy};

static void source_take_result(SourceOp *source, lua_State *L, int n) {
  Op *op = &source->base.op;
  const char *text = n > 0 && lua_type(L, -n) != LUA_TNUMBER ? args_text(L, -n, NULL) : NULL;
  if (text != NULL) {
    if (source->password)
      redact_add(vm_redact(source->vm), text, strlen(text));
    else
      redact_add_credentials(vm_redact(source->vm), text);
    source->base.conninfo = mem_strdup(text);
    op_succeed(op);
  } else if (n > 0 && args_is_unknown(L, -n)) {
    op_fail_code(op, ERR_USAGE, "the connection string is only known after a run");
  } else {
    op_fail_code(op, ERR_USAGE, "the conninfo function returned %s: a connection string is expected",
                 n > 0 ? luaL_typename(L, -n) : "nothing");
  }
}

static void on_source_done(Task *task, void *arg) {
  SourceOp *source = arg;
  lua_State *L = vm_main(source->vm);
  int top = lua_gettop(L), n = 0;
  if (!lua_checkstack(L, 8)) {
    op_fail_code(&source->base.op, ERR_MEMORY, "conninfo");
  } else if (task_results(task, L, &n)) {
    source_take_result(source, L, n);
  } else {
    Err err = {0};
    task_push_error(task, L);
    luaerr_get(L, -1, &err);
    op_fail(&source->base.op, &err);
  }
  lua_settop(L, top);
  source->task = NULL;
  task_release(task);
  op_unref(&source->base.op);
}

static SourceOp *source_new(const Psql *db) {
  SourceOp *source = mem_alloc(sizeof *source);
  op_init(&source->base.op, vm_loop(db->vm), &source_class);
  op_arm(&source->base.op, 0, NULL);
  source->vm = db->vm;
  return source;
}

/* The function and its arguments are on top of L. */
static void source_start(SourceOp *source, lua_State *L, int nargs, const Psql *db) {
  op_ref(&source->base.op); /* the task's */
  source->task = task_spawn(L, nargs, source->password ? "psql.password" : "psql.conninfo");
  task_set_scope(source->task, db->scope);
  task_on_done(source->task, on_source_done, source);
}

PgConninfoOp *psql_source_provide(void *self) {
  Psql *db = self;
  lua_State *L = vm_main(db->vm);
  SourceOp *source = source_new(db);
  lua_checkstack(L, 8);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &psql_handles_key);
  lua_rawgetp(L, -1, db);
  lua_getiuservalue(L, -1, 1);
  source_start(source, L, 0, db);
  lua_pop(L, 2);
  return &source->base;
}

PgConninfoOp *psql_source_password(void *self, const char *user, bool again) {
  Psql *db = self;
  lua_State *L = vm_main(db->vm);
  const Run *run = run_of(L);
  if (run->passwords == 0) return NULL;
  SourceOp *source = source_new(db);
  source->password = true;
  lua_checkstack(L, 8);
  lua_rawgeti(L, LUA_REGISTRYINDEX, run->passwords);
  lua_pushfstring(L, "%s %s", db->target->kind, db->target->name);
  lua_pushstring(L, user);
  lua_pushboolean(L, again);
  source_start(source, L, 3, db);
  return &source->base;
}

/* ---- what a shell is told ---- */

void psql_source_on_anew(void *self, const char *what) {
  Psql *db = self;
  Run *run = run_of(vm_main(db->vm));
  Buf text = {0};
  Err err = {0};
  if (run->gate == 0) return;
  buf_printf(&text, "connected anew to %s %s (the former connection was lost; its session settings are gone)", db->target->kind,
             db->target->name);
  if (what[0] != '\0') buf_printf(&text, "; %s", what);
  stream_emit(run->stream, EVENT_LOG, json_pack("{s:s, s:s}", "level", "warn", "text", buf_str(&text)), &err);
  err_fini(&err); /* a journal that cannot be written stops the next effect, not this */
  buf_fini(&text);
}
