/* file: module pgsh.file (lua/meta/file.lua documents it). Local files; small ones: what is large goes through a pipe. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/file.h"
#include "api/part.h"
#include "base/file.h"
#include "loop/work.h"
#include "run/effect.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define FILE_LIMIT (16 << 20)

typedef struct FileArgs {
  char *path;
  Buf text;
  size_t limit;
  unsigned mode;
} FileArgs;

/* What the pool thread works on: its own, for a cancelled read must not leave it with freed memory. */
typedef struct FileJob {
  char *path;
  Buf text;
  size_t limit;
  unsigned mode;
} FileJob;

static int l_args_gc(lua_State *L) {
  FileArgs *args = lua_touserdata(L, 1);
  free(args->path);
  buf_fini(&args->text);
  args->path = NULL;
  return 0;
}

static FileArgs *file_new_args(lua_State *L, const char *path) {
  FileArgs *args = lua_newuserdatauv(L, sizeof *args, 0);
  memset(args, 0, sizeof *args);
  if (luaL_newmetatable(L, "pgsh.FileArgs")) {
    lua_pushcfunction(L, l_args_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  args->path = mem_strdup(path);
  args->limit = FILE_LIMIT;
  return args;
}

static void file_free_job(void *arg) {
  FileJob *job = arg;
  free(job->path);
  buf_fini(&job->text);
  free(job);
}

static void file_run_read(WorkOp *work) {
  FileJob *job = work->arg;
  file_read(job->path, job->limit, &job->text, &work->failure);
}

static void file_run_write(WorkOp *work) {
  FileJob *job = work->arg;
  file_write(job->path, buf_str(&job->text), job->text.len, job->mode, &work->failure);
}

static Op *file_start(lua_State *L, int index, void (*run)(WorkOp *)) {
  FileArgs *args = lua_touserdata(L, index);
  FileJob *job = mem_alloc(sizeof *job);
  job->path = mem_strdup(args->path);
  job->limit = args->limit;
  job->mode = args->mode;
  buf_add(&job->text, buf_str(&args->text), args->text.len);
  return &work_start(vm_loop(vm_of(L)), "file", run, job, file_free_job, 0)->op;
}

static Op *file_start_read(lua_State *L, int index) { return file_start(L, index, file_run_read); }
static Op *file_start_write(lua_State *L, int index) { return file_start(L, index, file_run_write); }

static int file_push_read(lua_State *L, Op *op, int index) {
  (void)index;
  const FileJob *job = ((WorkOp *)op)->arg;
  lua_pushlstring(L, buf_str(&job->text), job->text.len);
  return 1;
}

static int file_push_write(lua_State *L, Op *op, int index) {
  (void)op;
  const FileArgs *args = lua_touserdata(L, index);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, args->path);
  lua_setfield(L, -2, "path");
  lua_pushinteger(L, (lua_Integer)args->text.len);
  lua_setfield(L, -2, "bytes");
  return 1;
}

static Target *file_target(lua_State *L) { return guard_target(run_of(L)->guard, "file", "localhost", NULL); }

int l_file_read(lua_State *L) {
  static const char *const keys[] = {"limit", "what", NULL};
  lua_settop(L, 2);
  bool unknown = args_is_unknown(L, 1);
  const char *path = unknown ? luaL_tolstring(L, 1, NULL) : luaL_checkstring(L, 1);
  int options = args_options(L, 2, keys);
  FileArgs *args = file_new_args(L, path);
  args->limit = (size_t)args_size(L, options, "limit", FILE_LIMIT);
  EffectSpec spec = {.kind = EFFECT_READ,
                     .target = file_target(L),
                     .verb = "read",
                     .show = args->path,
                     .options = options,
                     .args = lua_gettop(L),
                     .unknown = unknown,
                     .start = file_start_read,
                     .push = file_push_read};
  return effect_call(L, &spec);
}

static int l_file_write(lua_State *L) {
  static const char *const keys[] = {"mode", "what", "resolve", NULL};
  lua_settop(L, 3);
  bool unknown = args_is_unknown(L, 1) || args_is_unknown(L, 2);
  size_t len = 0;
  const char *path = unknown ? luaL_tolstring(L, 1, NULL) : luaL_checkstring(L, 1);
  const char *text = unknown ? "" : args_check_text(L, 2, &len);
  int options = args_options(L, 3, keys);
  FileArgs *args = file_new_args(L, path);
  int index = lua_gettop(L);
  buf_add(&args->text, text, len);
  args->mode = (unsigned)args_integer(L, options, "mode", 0644);
  const char *show = lua_pushfstring(L, "write %s (%d bytes)", path, (int)len);
  EffectSpec spec = {.kind = EFFECT_CHANGE,
                     .target = file_target(L),
                     .verb = "write",
                     .show = show,
                     .options = options,
                     .args = index,
                     .unknown = unknown,
                     .repeatable = true,
                     .start = file_start_write,
                     .push = file_push_write};
  return effect_call(L, &spec);
}

int luaopen_pgsh_file(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"diff", l_file_diff},     {"edit", l_file_edit},   {"read", l_file_read},     {"reader", l_part_reader},
      {"revert", l_file_revert}, {"write", l_file_write}, {"writer", l_part_writer}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
