/* psql_each: the iterator of :each. Rows come in batches; between them the server waits. It ends by itself, by close, by the end
 * of the for loop or scope it belongs to, or when it is collected. */
#include <lauxlib.h>

#include "api/psql.h"
#include "vm/await.h"
#include "vm/luaerr.h"

typedef struct PsqlEach {
  PgStream *stream; /* NULL: closed */
} PsqlEach;

/* User values. */
enum { EACH_HANDLE = 1, EACH_COLUMNS, EACH_META };

static void each_close(PsqlEach *each) {
  PgStream *stream = each->stream;
  each->stream = NULL;
  pg_stream_close(stream);
}

static int l_each_close(lua_State *L) {
  each_close(luaL_checkudata(L, 1, PSQL_EACH_NAME));
  return 0;
}

/* The next row of the batch at hand; 0 when it is used up. */
static int each_push_row(lua_State *L, PsqlEach *each) {
  const PgRows *rows;
  size_t row;
  if (!pg_stream_row(each->stream, &rows, &row)) return 0;
  int top = lua_gettop(L);
  if (lua_getiuservalue(L, 1, EACH_COLUMNS) != LUA_TTABLE) {
    lua_pop(L, 1);
    psql_push_columns(L, rows);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, EACH_COLUMNS);
    psql_push_row_meta(L, rows);
    lua_setiuservalue(L, 1, EACH_META);
  }
  lua_getiuservalue(L, 1, EACH_META);
  psql_push_row(L, rows, row, top + 1, top + 2);
  return 1;
}

static int each_next(lua_State *L, PsqlEach *each);

static int k_each_next(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  PsqlEach *each = lua_touserdata(L, 1);
  Op *op = await_settled(L);
  if (op->err.code != ERR_NONE && op->err.code != ERR_BUSY) each_close(each);
  await_check(L, op);
  lua_settop(L, 1);
  return each_next(L, each);
}

static int each_next(lua_State *L, PsqlEach *each) {
  if (each->stream == NULL) return 0; /* closed while it waited */
  if (each_push_row(L, each) == 1) return 1;
  if (pg_stream_ended(each->stream)) {
    each_close(each);
    return 0;
  }
  await_begin(L, "psql.each");
  const char *deadline = NULL;
  int64_t left = await_time_left(L, 0, &deadline);
  return await_op(L, &pg_stream_next(each->stream, left, deadline)->op, 0, k_each_next);
}

/* Called for each row: the metatable is an upvalue, looking it up by name would cost more than the row's text. */
static int l_each_next(lua_State *L) {
  PsqlEach *each = lua_touserdata(L, 1);
  bool is = each != NULL && lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(1));
  if (!is) each = luaL_checkudata(L, 1, PSQL_EACH_NAME); /* raises */
  lua_settop(L, 1);
  return each_next(L, each);
}

int psql_push_each(lua_State *L, PgOp *op, int db) {
  PsqlEach *each = lua_newuserdatauv(L, sizeof *each, 3);
  each->stream = NULL;
  luaL_setmetatable(L, PSQL_EACH_NAME);
  each->stream = pg_op_take_stream(op);
  lua_pushvalue(L, db);
  lua_setiuservalue(L, -2, EACH_HANDLE);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3); /* what the for loop closes */
  return 4;
}

void psql_each_open(lua_State *L) {
  static const luaL_Reg meta[] = {{"__gc", l_each_close}, {"__close", l_each_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"close", l_each_close}, {NULL, NULL}};
  luaL_newmetatable(L, PSQL_EACH_NAME);
  luaL_setfuncs(L, meta, 0);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, l_each_next, 1);
  lua_setfield(L, -2, "__call");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
