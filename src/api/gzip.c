/* gzip: module pgsh.gzip (lua/meta/gzip.lua documents it). Strings; files and streams go through a pipe. */
#include "stream/gzip.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/part.h"
#include "loop/work.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define GZIP_POOL_BYTES ((size_t)64 << 10)  /* a longer text is worth a thread */
#define GUNZIP_POOL_BYTES ((size_t)4 << 10) /* it may grow a thousandfold */
#define GZIP_LIMIT_BYTES (256 << 20)

/* What the pool thread works on: its own copy, for the script may be stopped while it works. */
typedef struct GzipJob {
  Buf in, out;
  int level;    /* 0: decompress */
  size_t limit; /* of the decompressed text */
} GzipJob;

static void gzip_free_job(void *arg) {
  GzipJob *job = arg;
  buf_fini(&job->in);
  buf_fini(&job->out);
  free(job);
}

static bool gzip_do(GzipJob *job, const char *text, size_t len, const atomic_bool *stop, Err *err) {
  if (job->level > 0) return gzip_compress(text, len, job->level, stop, &job->out, err);
  return gzip_decompress(text, len, job->limit, stop, &job->out, err);
}

static void gzip_run(WorkOp *work) {
  GzipJob *job = work->arg;
  gzip_do(job, buf_str(&job->in), job->in.len, &work->stop, &work->failure);
}

/* ---- on a thread ---- */

static int k_gzip(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  Op *op = await_settled(L);
  await_check(L, op);
  GzipJob *job = ((WorkOp *)op)->arg;
  lua_pushlstring(L, buf_str(&job->out), job->out.len);
  return 1;
}

static int gzip_wait(lua_State *L, const GzipJob *from, const char *text, size_t len) {
  GzipJob *job = mem_alloc(sizeof *job);
  *job = *from;
  buf_add(&job->in, text, len);
  const char *deadline = NULL;
  int64_t left = await_time_left(L, 0, &deadline);
  WorkOp *work = work_start(vm_loop(vm_of(L)), deadline != NULL ? deadline : "gzip", gzip_run, job, gzip_free_job, left);
  return await_op(L, &work->op, 0, k_gzip);
}

/* ---- at once ---- */

static int l_job_gc(lua_State *L) {
  GzipJob *job = lua_touserdata(L, 1);
  buf_fini(&job->out);
  return 0;
}

/* The output is owned by a userdata: making a Lua string of it may raise. */
static int gzip_now(lua_State *L, const GzipJob *from, const char *text, size_t len) {
  GzipJob *job = lua_newuserdatauv(L, sizeof *job, 0);
  *job = *from;
  if (luaL_newmetatable(L, "pgsh.GzipJob")) {
    lua_pushcfunction(L, l_job_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  Err err = {0};
  if (!gzip_do(job, text, len, NULL, &err)) luaerr_raise(L, &err);
  lua_pushlstring(L, buf_str(&job->out), job->out.len);
  buf_fini(&job->out);
  return 1;
}

/* Small pieces at once, anywhere; large ones on the thread pool where the caller can wait. */
static int gzip_call(lua_State *L, const GzipJob *job, const char *text, size_t len) {
  size_t small = job->level > 0 ? GZIP_POOL_BYTES : GUNZIP_POOL_BYTES;
  if (len <= small || task_current(L) == NULL || !lua_isyieldable(L)) return gzip_now(L, job, text, len);
  await_begin(L, "gzip");
  return gzip_wait(L, job, text, len);
}

/* gzip.compress(text [, {level}]) */
static int l_gzip_compress(lua_State *L) {
  static const char *const keys[] = {"level", NULL};
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  int64_t level = args_integer(L, args_options(L, 2, keys), "level", GZIP_LEVEL_DEFAULT);
  if (level < 1 || level > 9) luaerr_throw(L, ERR_USAGE, "level: 1 (fast) to 9 (small) expected, got %lld", (long long)level);
  return gzip_call(L, &(GzipJob){.level = (int)level}, text, len);
}

/* gzip.decompress(data [, {limit}]) */
static int l_gzip_decompress(lua_State *L) {
  static const char *const keys[] = {"limit", NULL};
  size_t len;
  const char *data = luaL_checklstring(L, 1, &len);
  int64_t limit = args_size(L, args_options(L, 2, keys), "limit", GZIP_LIMIT_BYTES);
  return gzip_call(L, &(GzipJob){.limit = (size_t)limit}, data, len);
}

/* gzip([{level, single}]): a filter of a pipe. */
static int l_module_call(lua_State *L) {
  lua_remove(L, 1);
  return l_part_gzip(L);
}

int luaopen_pgsh_gzip(lua_State *L) {
  static const luaL_Reg functions[] = {{"compress", l_gzip_compress}, {"decompress", l_gzip_decompress}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_module_call);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  return 1;
}
