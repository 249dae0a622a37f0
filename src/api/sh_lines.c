/* sh_lines: see sh_lines.h. */
#include "api/sh_lines.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "vm/luaerr.h"
#include "vm/task.h"

/* Lines that wait for the function; a child that says more than that faster than it is listened to is stopped. */
#define LINES_MOST_BYTES ((size_t)4 << 20)

struct ShLines {
  Vm *vm;
  const Part *part; /* to find the function by; may be gone */
  void *scope;
  Stage *stage; /* NULL: gone */
  Task *task;
  Buf waiting; /* each ended by a newline */
  bool failed, too_much;
};

static void lines_release(ShLines *lines) {
  buf_fini(&lines->waiting);
  free(lines);
}

/* Take the next line: pushed. False: there is none. */
static bool lines_next(lua_State *L, ShLines *lines) {
  const char *text = buf_str(&lines->waiting);
  const char *end = memchr(text, '\n', lines->waiting.len);
  if (end == NULL || lines->stage == NULL) return false;
  lua_pushlstring(L, text, (size_t)(end - text));
  buf_consume(&lines->waiting, (size_t)(end - text) + 1);
  return true;
}

/* The task: (function, lines). */
static int k_lines(lua_State *L, int status, lua_KContext ctx) {
  ShLines *lines = lua_touserdata(L, 2);
  (void)status;
  (void)ctx;
  for (;;) {
    lua_settop(L, 2);
    lua_pushvalue(L, 1);
    if (!lines_next(L, lines)) return 0;
    lua_callk(L, 1, 0, 0, k_lines);
  }
}

static int l_lines(lua_State *L) { return k_lines(L, LUA_OK, 0); }

static void lines_fail(ShLines *lines, Err *err) {
  lines->failed = true;
  buf_clear(&lines->waiting);
  stage_failed(lines->stage, err);
}

static void lines_start(ShLines *lines);

/* The function has had every line, or raised. */
static void on_lines_done(Task *task, void *arg) {
  ShLines *lines = arg;
  lua_State *L = vm_main(lines->vm);
  int top = lua_gettop(L), n = 0;
  Err err = {0};
  bool good = task_results(task, L, &n);
  if (!good) {
    task_push_error(task, L);
    luaerr_get(L, -1, &err);
  }
  lua_settop(L, top);
  lines->task = NULL;
  task_release(task);
  if (lines->stage == NULL) {
    err_fini(&err);
    lines_release(lines);
    return;
  }
  if (good && lines->too_much)
    good = err_set(&err, ERR_LIMIT, "it said more than %zu MiB, faster than it was listened to", LINES_MOST_BYTES >> 20);
  if (!good)
    lines_fail(lines, &err);
  else if (lines->waiting.len > 0)
    lines_start(lines);
  else
    end_lines_done(lines->stage);
}

static void lines_start(ShLines *lines) {
  lua_State *L = vm_main(lines->vm);
  int top = lua_gettop(L);
  if (!lua_checkstack(L, 10)) return;
  lua_pushcfunction(L, l_lines);
  if (part_push(L, lines->part) == LUA_TUSERDATA && lua_getiuservalue(L, -1, 1) == LUA_TFUNCTION) {
    lua_remove(L, -2);
    lua_pushlightuserdata(L, lines);
    lines->task = task_spawn(L, 2, "stderr");
    task_set_scope(lines->task, lines->scope);
    task_on_done(lines->task, on_lines_done, lines);
  }
  lua_settop(L, top);
}

static void on_line(void *arg, bool is_err, const char *text, size_t len) {
  ShLines *lines = arg;
  if (!is_err || lines->failed) return;
  if (lines->waiting.len + len > LINES_MOST_BYTES) {
    lines->too_much = true;
    return;
  }
  buf_add(&lines->waiting, text, len);
  buf_add_char(&lines->waiting, '\n');
  if (lines->task == NULL) lines_start(lines);
}

static bool lines_busy(void *arg) {
  const ShLines *lines = arg;
  return lines->task != NULL;
}

static void lines_free(void *arg) {
  ShLines *lines = arg;
  lines->stage = NULL;
  if (lines->task != NULL)
    task_cancel(lines->task, ERR_CANCELLED);
  else
    lines_release(lines);
}

ShLines *sh_lines_new(lua_State *L, const Part *part) {
  ShLines *lines = mem_alloc(sizeof *lines);
  lines->vm = vm_of(L);
  lines->part = part;
  lines->scope = task_current(L) != NULL ? task_scope(task_current(L)) : NULL;
  return lines;
}

EndLines sh_lines_reader(ShLines *lines) {
  return (EndLines){.line = on_line, .busy = lines_busy, .free = lines_free, .arg = lines};
}

void sh_lines_set_stage(ShLines *lines, Stage *stage) { lines->stage = stage; }
