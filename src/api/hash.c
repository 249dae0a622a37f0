/* hash: module pgsh.hash (lua/meta/hash.lua documents it). Digests of strings and files. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "api/part.h"
#include "base/buf.h"
#include "loop/work.h"
#include "run/effect.h"
#include "run/run.h"
#include "stream/digest.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define HASH_POOL_BYTES ((size_t)64 << 10) /* a longer text is worth a thread */

/* Of a file (path) or of a text. Owned by the WorkOp that works on it. */
typedef struct HashJob {
  const char *name; /* from digest_names */
  char *path;
  Buf text;
  char hex[DIGEST_HEX_SIZE];
} HashJob;

typedef struct HashArgs {
  const char *name;
  char *path;
  Buf show;
} HashArgs;

static void hash_free_job(void *arg) {
  HashJob *job = arg;
  free(job->path);
  if (job->text.data != NULL) explicit_bzero(job->text.data, job->text.len);
  buf_fini(&job->text);
  free(job);
}

static void hash_run_text(WorkOp *work) {
  HashJob *job = work->arg;
  digest_bytes(job->name, buf_str(&job->text), job->text.len, job->hex, &work->failure);
}

static void hash_run_file(WorkOp *work) {
  HashJob *job = work->arg;
  digest_file(job->name, job->path, &work->stop, job->hex, &work->failure);
}

static const char *hash_find(lua_State *L, const char *name) {
  for (size_t i = 0; digest_names[i] != NULL; i++)
    if (strcmp(digest_names[i], name) == 0) return digest_names[i];
  luaerr_throw(L, ERR_USAGE, "hash: no digest \"%s\"; hash.names() lists them", name);
  return NULL;
}

/* ---- of a string ---- */

static int k_hash_text(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  Op *op = await_settled(L);
  await_check(L, op);
  lua_pushstring(L, ((HashJob *)((WorkOp *)op)->arg)->hex);
  return 1;
}

/* hash.NAME(text) → hexadecimal. The name is the function's upvalue. */
static int l_hash_text(lua_State *L) {
  size_t len;
  const char *name = hash_find(L, lua_tostring(L, lua_upvalueindex(1)));
  const char *text = args_check_text(L, 1, &len);
  bool can_wait = task_current(L) != NULL && lua_isyieldable(L);
  if (len > HASH_POOL_BYTES && can_wait) {
    await_begin(L, "hash");
    HashJob *job = mem_alloc(sizeof *job);
    job->name = name;
    buf_add(&job->text, text, len);
    return await_op(L, &work_start(vm_loop(vm_of(L)), "hash", hash_run_text, job, hash_free_job, 0)->op, 0, k_hash_text);
  }
  char hex[DIGEST_HEX_SIZE];
  Err err = {0};
  if (!digest_bytes(name, text, len, hex, &err)) luaerr_raise(L, &err);
  lua_pushstring(L, hex);
  return 1;
}

/* ---- of a file ---- */

static int l_args_gc(lua_State *L) {
  HashArgs *args = lua_touserdata(L, 1);
  free(args->path);
  buf_fini(&args->show);
  memset(args, 0, sizeof *args);
  return 0;
}

static HashArgs *hash_new_args(lua_State *L) {
  HashArgs *args = lua_newuserdatauv(L, sizeof *args, 0);
  memset(args, 0, sizeof *args);
  if (luaL_newmetatable(L, "pgsh.HashArgs")) {
    lua_pushcfunction(L, l_args_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return args;
}

static Op *hash_start_file(lua_State *L, int index) {
  const HashArgs *args = lua_touserdata(L, index);
  HashJob *job = mem_alloc(sizeof *job);
  job->name = args->name;
  job->path = mem_strdup(args->path);
  const char *deadline = NULL;
  int64_t left = await_time_left(L, 0, &deadline);
  return &work_start(vm_loop(vm_of(L)), deadline != NULL ? deadline : "hash", hash_run_file, job, hash_free_job, left)->op;
}

static int hash_push_file(lua_State *L, Op *op, int args) {
  (void)args;
  lua_pushstring(L, ((HashJob *)((WorkOp *)op)->arg)->hex);
  return 1;
}

/* hash.file(path [, name]) */
static int l_hash_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1), *name = luaL_optstring(L, 2, "sha256");
  lua_settop(L, 2);
  HashArgs *args = hash_new_args(L);
  args->name = hash_find(L, name);
  args->path = mem_strdup(path);
  buf_printf(&args->show, "%s %s", args->name, path);
  EffectSpec spec = {
      .kind = EFFECT_READ,
      .target = guard_target(run_of(L)->guard, "file", "localhost", NULL),
      .verb = "hash",
      .show = buf_str(&args->show),
      .args = 3,
      .start = hash_start_file,
      .push = hash_push_file,
  };
  return effect_call(L, &spec);
}

/* hash.names() */
static int l_hash_names(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; digest_names[i] != NULL; i++) {
    lua_pushstring(L, digest_names[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* hash(algorithm [, {as, expect}]): a filter of a pipe. */
static int l_module_call(lua_State *L) {
  lua_remove(L, 1);
  return l_part_hash(L);
}

int luaopen_pgsh_hash(lua_State *L) {
  static const luaL_Reg functions[] = {{"file", l_hash_file}, {"names", l_hash_names}, {NULL, NULL}};
  luaL_newlib(L, functions);
  for (int i = 0; digest_names[i] != NULL; i++) { /* hash.sha256, …; "sha3-256" is hash.sha3_256 */
    luaL_gsub(L, digest_names[i], "-", "_");
    lua_pushstring(L, digest_names[i]);
    lua_pushcclosure(L, l_hash_text, 1);
    lua_settable(L, -3);
  }
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, l_module_call);
  lua_setfield(L, -2, "__call");
  lua_setmetatable(L, -2);
  return 1;
}
