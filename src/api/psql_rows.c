/* psql_rows: the array that :rows returns. Its rows are made while others are still on their way, so that server and client work
 * at the same time and a result is held once. That happens in the loop, not in a task: in protected mode. */
#include <lauxlib.h>
#include <stdlib.h>

#include "api/psql.h"
#include "vm/luaerr.h"

/* What the reference is to: a table of these. */
enum { ROWS_ARRAY = 1, ROWS_COLUMNS, ROWS_META };

/* Owned by the job. */
typedef struct PsqlRowsTaker {
  Vm *vm;
  int ref;
  lua_Integer n;
} PsqlRowsTaker;

static void rows_free(void *self) {
  PsqlRowsTaker *taker = self;
  lua_State *L = vm_main(taker->vm);
  if (L != NULL) luaL_unref(L, LUA_REGISTRYINDEX, taker->ref); /* NULL: the process ends, and an operation outlived the state */
  free(taker);
}

/* (taker, rows) */
static int l_rows_take(lua_State *L) {
  PsqlRowsTaker *taker = lua_touserdata(L, 1);
  const PgRows *rows = lua_touserdata(L, 2);
  luaL_checkstack(L, 16, "rows");
  lua_rawgeti(L, LUA_REGISTRYINDEX, taker->ref);
  if (taker->n == 0) {
    psql_push_columns(L, rows);
    lua_rawseti(L, 3, ROWS_COLUMNS);
    psql_push_row_meta(L, rows);
    lua_rawseti(L, 3, ROWS_META);
  }
  lua_rawgeti(L, 3, ROWS_ARRAY);
  lua_rawgeti(L, 3, ROWS_COLUMNS);
  lua_rawgeti(L, 3, ROWS_META);
  for (size_t r = 0; r < rows->nrows; r++) {
    psql_push_row(L, rows, r, 5, 6);
    lua_rawseti(L, 4, ++taker->n);
  }
  return 0;
}

static bool rows_take(void *self, const PgRows *rows, Err *err) {
  PsqlRowsTaker *taker = self;
  lua_State *L = vm_main(taker->vm);
  if (L == NULL || !lua_checkstack(L, 8)) return err_set(err, ERR_MEMORY, "rows");
  int top = lua_gettop(L);
  lua_pushcfunction(L, l_rows_take);
  lua_pushlightuserdata(L, taker);
  lua_pushlightuserdata(L, (void *)(uintptr_t)rows);
  int status = lua_pcall(L, 2, 0, 0);
  if (status != LUA_OK) luaerr_get(L, -1, err);
  if (status == LUA_ERRMEM) err_set(err, ERR_MEMORY, "the rows of a result");
  lua_settop(L, top);
  return status == LUA_OK;
}

void psql_rows_begin(lua_State *L, PsqlCall *call) {
  PsqlRowsTaker *taker = mem_alloc(sizeof *taker);
  taker->vm = call->db->vm;
  taker->ref = LUA_NOREF;
  call->job->taker = (PgTaker){rows_take, rows_free, taker};
  lua_createtable(L, 3, 0);
  lua_newtable(L);
  lua_rawseti(L, -2, ROWS_ARRAY);
  taker->ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void psql_rows_push(lua_State *L, const PsqlCall *call, const PgRows *rows) {
  PsqlRowsTaker *taker = call->job->taker.self;
  lua_rawgeti(L, LUA_REGISTRYINDEX, taker->ref);
  luaL_unref(L, LUA_REGISTRYINDEX, taker->ref); /* the job lives until it is collected; the rows are the script's */
  taker->ref = LUA_NOREF;
  lua_rawgeti(L, -1, ROWS_ARRAY);
  lua_remove(L, -2);
  psql_push_rows_meta(L, rows, false);
  lua_setmetatable(L, -2);
}
