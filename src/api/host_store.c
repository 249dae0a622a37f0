/* host, store: runs on disk and their locks. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/host.h"
#include "run/door.h"
#include "run/journal.h"
#include "run/run.h"
#include "run/store.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

static Store *host_store(lua_State *L) {
  Run *run = run_of(L);
  if (run->store == NULL) run->store = store_new(NULL);
  return run->store;
}

static void host_attach(Run *run, Journal *journal, const char *id) {
  run->journal = journal;
  snprintf(run->id, sizeof run->id, "%s", id);
  stream_add_first(run->stream, journal_view, journal);
}

static int l_host_run_begin(lua_State *L) {
  Run *run = run_of(L);
  Err err = {0};
  char id[STORE_ID_SIZE];
  if (run->journal != NULL) return luaerr_throw(L, ERR_INTERNAL, "a run has begun already");
  Journal *journal = store_begin(host_store(L), id, &err);
  if (journal == NULL) return luaerr_raise(L, &err);
  host_attach(run, journal, id);
  lua_pushstring(L, id);
  return 1;
}

static int l_host_run_resume(lua_State *L) {
  Run *run = run_of(L);
  Err err = {0};
  char id[STORE_ID_SIZE];
  json_t *events = NULL;
  if (run->journal != NULL) return luaerr_throw(L, ERR_INTERNAL, "a run has begun already");
  Journal *journal = store_resume(host_store(L), luaL_checkstring(L, 1), id, &events, &err);
  if (journal == NULL) return luaerr_raise(L, &err);
  host_attach(run, journal, id);
  json_t *last = json_array_get(events, json_array_size(events) - 1);
  stream_set_seq(run->stream, json_integer_value(json_object_get(last, "seq")));
  door_load(run->door, events);
  luajson_push(L, events);
  json_decref(events);
  lua_pushstring(L, id);
  return 2;
}

static void host_push_run(lua_State *L, const char *dir, const StoreRun *run) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, run->id);
  lua_setfield(L, -2, "id");
  lua_pushfstring(L, "%s/runs/%s", dir, run->id);
  lua_setfield(L, -2, "dir");
  lua_pushboolean(L, run->live);
  lua_setfield(L, -2, "live");
  lua_pushstring(L, run->holder);
  lua_setfield(L, -2, "holder");
  lua_pushstring(L, run->started);
  lua_setfield(L, -2, "started");
}

static int l_host_run_read(lua_State *L) {
  Store *store = host_store(L);
  StoreRun run;
  Err err = {0};
  json_t *events = store_read(store, luaL_checkstring(L, 1), &run, &err);
  if (events == NULL) return luaerr_raise(L, &err);
  luajson_push(L, events);
  json_decref(events);
  host_push_run(L, store_dir(store), &run);
  free(run.holder);
  free(run.started);
  return 2;
}

static int l_host_runs(lua_State *L) {
  Store *store = host_store(L);
  size_t count;
  Err err = {0};
  StoreRun *runs = store_list(store, &count, &err);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    host_push_run(L, store_dir(store), &runs[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  store_free_list(runs, count);
  if (err.code != ERR_NONE) return luaerr_raise(L, &err);
  return 1;
}

static int l_host_lock(lua_State *L) {
  Run *run = run_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 1);
  Err err = {0};
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    if (!store_lock(host_store(L), luaL_checkstring(L, -1), run->id, &err)) return luaerr_raise(L, &err);
    lua_pop(L, 1);
  }
  return 0;
}

static int l_host_unlock(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, 1); i <= n; i++) {
    lua_rawgeti(L, 1, i);
    store_unlock(host_store(L), luaL_checkstring(L, -1));
    lua_pop(L, 1);
  }
  return 0;
}

/* state(): where runs are kept. */
static int l_host_state(lua_State *L) {
  lua_pushstring(L, store_dir(host_store(L)));
  return 1;
}

void host_add_store(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"run_begin", l_host_run_begin}, {"run_resume", l_host_run_resume}, {"run_read", l_host_run_read}, {"runs", l_host_runs},
      {"lock", l_host_lock},           {"unlock", l_host_unlock},         {"state", l_host_state},       {NULL, NULL}};
  luaL_setfuncs(L, functions, 0);
}
