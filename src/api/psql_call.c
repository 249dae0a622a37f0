/* psql_call: the methods of a handle: arguments → door → Op → result. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/psql.h"
#include "net/pg_guard.h"
#include "run/effect.h"
#include "run/run.h"
#include "vm/args.h"
#include "vm/await.h"
#include "vm/luaerr.h"

#define TELLINGS_MOST 20 /* messages of servers that one entry at the prompt shows */

/* ---- before the door ---- */

/* As the door names it. */
static void call_set_target(Err *err, const Psql *db) {
  Buf target = {0};
  buf_printf(&target, "%s %s", db->target->kind, db->target->name);
  err_set_target(err, buf_str(&target));
  buf_fini(&target);
}

/* One handle, one task: a nested or second use is an error of the script, not a queue. */
static void call_check_free(lua_State *L, Psql *db) {
  if (!psql_spare_none(L, db)) return;
  if (psql_spare_streams(db)) {
    lua_gc(L, LUA_GCCOLLECT); /* an iterator that nobody holds any more closes now */
    if (!psql_spare_none(L, db)) return;
  }
  Err err = {0};
  bool each = psql_spare_streams(db);
  err_set(&err, ERR_BUSY, each ? "rows of :each are still being read from this handle" : "the handle is in use by another task");
  err_set_hint(&err, each ? "end that loop first, read with :rows, or make a second handle" : "make one handle for each task");
  call_set_target(&err, db);
  luaerr_raise(L, &err);
}

static void read_refuse(lua_State *L, const Psql *db, PgGuard verdict, const char *name) {
  Err err = {0};
  if (verdict == PG_GUARD_FUNCTION)
    err_set(&err, ERR_READ_ONLY, "%s(…) acts: a read may not call it", name);
  else if (verdict == PG_GUARD_MANY)
    err_set(&err, ERR_READ_ONLY, "a read is one statement");
  else if (verdict == PG_GUARD_EMPTY)
    err_set(&err, ERR_USAGE, "there is no statement");
  else if (verdict == PG_GUARD_BROKEN)
    err_set(&err, ERR_READ_ONLY, "a quote, a comment or a U& name in the statement does not end or cannot be read");
  else
    err_set(&err, ERR_READ_ONLY, "a statement that begins with '%s' is not a read", name);
  call_set_target(&err, db);
  if (err.code == ERR_READ_ONLY) err_set_hint(&err, "a change goes through :execute");
  luaerr_raise(L, &err);
}

void psql_check_read(lua_State *L, const Psql *db, const char *sql) {
  char name[PG_GUARD_NAME];
  PgGuard verdict = pg_guard_read(sql, strlen(sql), name);
  if (verdict != PG_GUARD_READ) read_refuse(L, db, verdict, name);
}

/* BEGIN and COMMIT are ours: a second pair inside would part the change from its outcome, and so would PREPARE TRANSACTION. */
static void change_check(lua_State *L, const PsqlCall *call) {
  static const char *const control[] = {"begin", "start", "commit", "end", "rollback", "abort", "prepare"};
  char name[PG_GUARD_NAME];
  for (int i = 0; i < call->job->nstatements && call->job->transaction; i++) {
    const char *sql = call->job->statements[i].sql;
    PgGuard verdict = pg_guard_read(sql, strlen(sql), name);
    if (verdict == PG_GUARD_EMPTY) luaerr_throw(L, ERR_USAGE, "there is no statement");
    if (verdict != PG_GUARD_STATEMENT) continue;
    for (size_t k = 0; k < sizeof control / sizeof control[0]; k++)
      if (strcmp(name, control[k]) == 0)
        luaerr_throw(L, ERR_USAGE,
                     "'%s' is not for :execute: each change is a transaction of its own; :transaction{…} takes several", name);
  }
}

/* ---- the door's callbacks ---- */

/* In front of a COMMIT. `self` is the Run, which outlives the handles; the call may be gone. */
static bool call_note(void *self, int number, const char *note, Err *err) { return effect_note(self, number, note, err); }

static Op *call_start(lua_State *L, int args) {
  PsqlCall *call = lua_touserdata(L, args);
  const char *deadline = NULL;
  int64_t left = await_time_left(L, call->timeout_ms, &deadline);
  call->db->scope = task_scope(task_current(L));
  int number = effect_current(L);
  if (number > 0) call->job->noter = (PgNoter){call_note, run_of(L), number};
  return &pg_run(psql_spare_pick(L, call->db), call->job, left, deadline)->op;
}

/* The COMMIT was on its way when an earlier attempt ended. */
static Op *call_settle(lua_State *L, int args, const char *note) {
  PsqlCall *call = lua_touserdata(L, args);
  call->db->scope = task_scope(task_current(L));
  return &pg_settle_run(psql_spare_pick(L, call->db), call->job, note, PSQL_SETTLE_MS, PSQL_SETTLE_WHAT)->op;
}

static const char *call_how(const Op *op) { return ((const PgOp *)op)->settled_by != NULL ? "record" : NULL; }

static void call_emit_log(lua_State *L, const char *level, const char *text) {
  Err err = {0};
  json_t *body = json_pack("{s:s, s:s?}", "level", level, "text", text);
  if (!stream_emit(run_of(L)->stream, EVENT_LOG, body, &err)) luaerr_raise(L, &err);
}

/* Is it shown, not only journaled? At the shell's prompt everything is, once in an entry, and not without end. */
static bool call_tells(lua_State *L, Scope *scope, const char *text, bool warning) {
  if (scope == NULL || strcmp(scope->phase, "shell") != 0) return warning;
  while (scope->outer != NULL && strcmp(scope->outer->phase, "shell") == 0)
    scope = scope->outer;
  Buf line = {0};
  buf_printf(&line, "\n%s\n", text);
  bool again = strstr(buf_str(&scope->told), buf_str(&line)) != NULL;
  if (!again && (warning || scope->tellings < TELLINGS_MOST)) {
    buf_add_str(&scope->told, buf_str(&line));
    scope->tellings++;
    buf_fini(&line);
    return true;
  }
  buf_fini(&line);
  if (!again && scope->tellings++ == TELLINGS_MOST) call_emit_log(L, "info", "the server says more: the journal has it");
  return false;
}

/* One event a line. */
static void call_said(lua_State *L, const Op *op, int args) {
  const PsqlCall *call = lua_touserdata(L, args);
  const char *notices = ((const PgOp *)op)->notices;
  while (notices != NULL && *notices != '\0') {
    size_t len = strcspn(notices, "\n");
    bool warning = strncmp(notices, "WARNING", 7) == 0;
    lua_pushfstring(L, "psql %s: ", call->db->target->name);
    lua_pushlstring(L, notices, len);
    lua_concat(L, 2);
    const char *text = lua_tostring(L, -1);
    bool tells = call_tells(L, task_scope(task_current(L)), text, warning);
    call_emit_log(L, !tells ? "debug" : warning ? "warn" : "info", text);
    lua_pop(L, 1);
    notices += len + (notices[len] == '\n');
  }
}

static int push_one(lua_State *L, const PsqlCall *call, const PgRows *rows) {
  int top = lua_gettop(L);
  if (rows->nrows > 1)
    return luaerr_throw(L, ERR_USAGE, "psql %s: %llu rows where one was expected: %s", call->db->target->name,
                        (unsigned long long)rows->nrows, buf_str(&call->show));
  if (rows->nrows == 0) {
    lua_pushnil(L);
  } else if (call->shape == PSQL_ROW) {
    psql_push_columns(L, rows);
    psql_push_row_meta(L, rows);
    psql_push_row(L, rows, 0, top + 1, top + 2);
  } else {
    size_t len = 0;
    const char *text = rows->ncolumns > 0 ? pg_rows_cell(rows, 0, 0, &len) : NULL;
    if (text == NULL)
      lua_pushnil(L);
    else
      psql_push_value(L, rows->columns[0].type, text, len, false);
  }
  return 1;
}

static int push_notification(lua_State *L, const PgOp *op) {
  if (op->channel == NULL) {
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, 0, 3);
  lua_pushstring(L, op->channel);
  lua_setfield(L, -2, "channel");
  lua_pushstring(L, op->payload);
  lua_setfield(L, -2, "payload");
  lua_pushinteger(L, op->notify_pid);
  lua_setfield(L, -2, "pid");
  return 1;
}

static void push_field(lua_State *L, const char *key, const char *value) {
  if (value[0] == '\0') return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, key);
}

static int push_identity(lua_State *L, const PgIdentity *id) {
  lua_newtable(L);
  if (id == NULL) return 1;
  push_field(L, "system_identifier", id->system_identifier);
  push_field(L, "timeline", id->timeline);
  if (id->in_recovery >= 0) {
    lua_pushboolean(L, id->in_recovery);
    lua_setfield(L, -2, "in_recovery");
  }
  lua_pushinteger(L, id->server_version);
  lua_setfield(L, -2, "server_version");
  return 1;
}

static int call_push_read(lua_State *L, Op *op, int args) {
  const PsqlCall *call = lua_touserdata(L, args);
  PgOp *done = (PgOp *)op;
  switch (call->shape) {
  case PSQL_EACH: return psql_push_each(L, done, 1);
  case PSQL_LISTEN: return push_notification(L, done);
  case PSQL_IDENTITY: return push_identity(L, done->who);
  case PSQL_ROWS: psql_rows_push(L, call, &done->results[0].rows); break;
  default: push_one(L, call, &done->results[0].rows);
  }
  pg_rows_fini(&done->results[0].rows); /* the Op lives until it is collected; its rows need not */
  return 1;
}

static void push_result(lua_State *L, const PgResult *result) {
  luaL_checkstack(L, 16, "result");
  lua_createtable(L, 0, 3);
  int table = lua_gettop(L);
  lua_pushinteger(L, result->affected > 0 ? result->affected : 0);
  lua_setfield(L, table, "rows");
  lua_pushstring(L, result->command != NULL ? result->command : "");
  lua_setfield(L, table, "command");
  if (result->rows.ncolumns == 0) return;
  psql_push_columns(L, &result->rows);
  lua_newtable(L);
  for (size_t r = 0; r < result->rows.nrows; r++) {
    psql_push_row(L, &result->rows, r, table + 1, 0);
    lua_rawseti(L, table + 2, (lua_Integer)r + 1);
  }
  psql_push_rows_meta(L, &result->rows, true);
  lua_setmetatable(L, table + 2);
  lua_setfield(L, table, "returned");
  lua_settop(L, table);
}

static int call_push_change(lua_State *L, Op *op, int args) {
  const PsqlCall *call = lua_touserdata(L, args);
  PgOp *done = (PgOp *)op;
  if (done->results == NULL) {
    lua_createtable(L, 0, 1); /* settled long after: what it brought was lost with the process that made it */
  } else if (call->shape == PSQL_EXECUTE) {
    push_result(L, &done->results[0]);
  } else {
    lua_Integer rows = 0;
    lua_createtable(L, 0, 2);
    lua_createtable(L, call->job->nstatements, 0);
    for (int i = 0; i < call->job->nstatements; i++) {
      push_result(L, &done->results[i]);
      lua_rawseti(L, -2, i + 1);
      if (done->results[i].affected > 0) rows += done->results[i].affected;
    }
    lua_setfield(L, -2, "results");
    lua_pushinteger(L, rows);
    lua_setfield(L, -2, "rows");
  }
  for (int i = 0; done->results != NULL && i < call->job->nstatements; i++)
    pg_rows_fini(&done->results[i].rows); /* as for a read */
  if (done->settled_by != NULL) push_field(L, "settled_by", done->settled_by);
  return 1;
}

/* at_most(rows): a single statement that affects more is rolled back; false: it is in no transaction. */
static int l_call_at_most(lua_State *L) {
  PsqlCall *call = lua_touserdata(L, lua_upvalueindex(1));
  bool can = call->job->transaction && call->job->nstatements == 1;
  if (can) call->job->statements[0].most = luaL_checkinteger(L, 1);
  lua_pushboolean(L, can);
  return 1;
}

/* The handle, and each statement: its text and its parameters, { sql, "a", nil, n = 2 }. Where one is a Secret they are not for
 * anything but judging: `secret`. */
static void call_tell(lua_State *L, int args) {
  const PsqlCall *call = lua_touserdata(L, args);
  luaL_checkstack(L, 4, "psql");
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "handle");
  lua_pushboolean(L, call->secret);
  lua_setfield(L, -2, "secret");
  lua_pushvalue(L, args);
  lua_pushcclosure(L, l_call_at_most, 1);
  lua_setfield(L, -2, "at_most");
  lua_createtable(L, call->job->nstatements, 0);
  for (int i = 0; i < call->job->nstatements; i++) {
    const PgStatement *statement = &call->job->statements[i];
    lua_createtable(L, statement->nparams + 1, 1);
    lua_pushstring(L, statement->sql);
    lua_rawseti(L, -2, 1);
    for (int k = 0; k < statement->nparams; k++) {
      lua_pushstring(L, statement->params[k]);
      lua_rawseti(L, -2, k + 2);
    }
    lua_pushinteger(L, statement->nparams);
    lua_setfield(L, -2, "n");
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "statements");
}

/* The call's userdata is on top. */
static int call_effect(lua_State *L, PsqlCall *call, const char *verb, int options) {
  call_check_free(L, call->db);
  EffectSpec spec = {
      .kind = call->job->read || call->job->listen ? EFFECT_READ : EFFECT_CHANGE,
      .target = call->db->target,
      .verb = verb,
      .show = buf_str(&call->show),
      .args = lua_gettop(L),
      .options = options,
      .unknown = call->unknown,
      .start = call_start,
  };
  spec.said = call_said;
  spec.push = spec.kind == EFFECT_READ ? call_push_read : call_push_change;
  if (spec.kind == EFFECT_CHANGE) {
    spec.how = call_how;
    spec.tell = call_tell;
    spec.notes = call->job->transaction && !pg_job_acts(call->job);
    spec.settle = call->job->transaction ? call_settle : NULL;
  }
  return effect_call(L, &spec);
}

/* ---- the methods ---- */

static int call_query(lua_State *L, PsqlShape shape) {
  Psql *db = psql_check(L, 1);
  if (lua_gettop(L) < 2) lua_settop(L, 2);
  int options = psql_args_options(L);
  int last = options != 0 ? options - 1 : lua_gettop(L);
  PsqlCall *call = psql_call_new(L, db, shape);
  psql_args_statement(L, call, 2, last);
  psql_args_settings(L, call, options);
  if (shape == PSQL_ROWS) psql_rows_begin(L, call);
  if (!call->unknown && call->job->read)
    psql_check_read(L, db, call->job->statements[0].sql);
  else if (!call->unknown)
    change_check(L, call);
  return call_effect(L, call, call->job->read ? "query" : "execute", options);
}

static int l_psql_rows(lua_State *L) { return call_query(L, PSQL_ROWS); }
static int l_psql_row(lua_State *L) { return call_query(L, PSQL_ROW); }
static int l_psql_value(lua_State *L) { return call_query(L, PSQL_VALUE); }
static int l_psql_each(lua_State *L) { return call_query(L, PSQL_EACH); }
static int l_psql_execute(lua_State *L) { return call_query(L, PSQL_EXECUTE); }

/* The statement on top: "sql" or {"sql", parameters…, expect = n}. `call` is below it. */
static void transaction_add(lua_State *L, PsqlCall *call, lua_Integer number) {
  int at = lua_gettop(L);
  if (number > 1) buf_add_str(&call->show, "; ");
  if (!lua_istable(L, at) || args_is_unknown(L, at)) {
    psql_args_statement(L, call, at, at);
    return;
  }
  lua_Integer n = luaL_len(L, at), most = n;
  /* A nil between parameters shortens the length Lua sees; the highest number counts. */
  for (lua_pushnil(L); lua_next(L, at) != 0; lua_pop(L, 1)) {
    if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > most) most = lua_tointeger(L, -2);
    if (lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "expect") != 0)
      luaerr_throw(L, ERR_USAGE, "transaction: statement %lld: unknown option '%s'", (long long)number, lua_tostring(L, -2));
  }
  if (most < 1 || most > 10000)
    luaerr_throw(L, ERR_USAGE, "transaction: statement %lld: {\"sql\", parameters…} expected", (long long)number);
  luaL_checkstack(L, (int)most + 10, "too many parameters");
  for (lua_Integer i = 1; i <= most; i++)
    lua_geti(L, at, i);
  PgStatement *statement = psql_args_statement(L, call, at + 1, at + (int)most);
  statement->expect = args_integer(L, at, "expect", -1);
}

/* db:transaction({ statement, … } [, options]) */
static int l_psql_transaction(lua_State *L) {
  Psql *db = psql_check(L, 1);
  lua_settop(L, 3);
  if (!lua_istable(L, 2))
    return luaerr_throw(L, ERR_USAGE, "transaction: a list of statements expected, {\"sql\", {\"sql\", parameters…}, …}, got %s",
                        luaL_typename(L, 2));
  PsqlCall *call = psql_call_new(L, db, PSQL_TRANSACTION);
  lua_Integer n = luaL_len(L, 2);
  if (n < 1 || n > 10000) return luaerr_throw(L, ERR_USAGE, "transaction: an empty list of statements");
  buf_add_str(&call->show, "transaction: ");
  for (lua_Integer i = 1; i <= n; i++) {
    lua_geti(L, 2, i);
    transaction_add(L, call, i);
    lua_settop(L, 4);
  }
  psql_show_cut(call);
  int options = lua_isnil(L, 3) ? 0 : 3;
  psql_args_settings(L, call, options);
  if (!call->unknown) change_check(L, call);
  return call_effect(L, call, "transaction", options);
}

static void listen_add(PgJob *job, const char *verb, const char *channel) {
  Buf sql = {0};
  buf_printf(&sql, "%s \"", verb);
  for (const char *p = channel; *p != '\0'; p++) {
    if (*p == '"') buf_add_char(&sql, '"');
    buf_add_char(&sql, *p);
  }
  buf_add_char(&sql, '"');
  pg_job_add(job, buf_str(&sql), 0);
  buf_fini(&sql);
}

/* db:listen(channel [, timeout]) */
static int l_psql_listen(lua_State *L) {
  Psql *db = psql_check(L, 1);
  const char *channel = luaL_checkstring(L, 2);
  int64_t timeout_ms = lua_isnoneornil(L, 3) ? 0 : args_check_duration(L, 3);
  lua_settop(L, 3);
  PsqlCall *call = psql_call_new(L, db, PSQL_LISTEN);
  call->job->listen = true;
  call->timeout_ms = timeout_ms;
  listen_add(call->job, "listen", channel);
  listen_add(call->job, "unlisten", channel);
  buf_add_str(&call->show, call->job->statements[0].sql);
  return call_effect(L, call, "listen", 0);
}

/* db:identity() */
static int l_psql_identity(lua_State *L) {
  Psql *db = psql_check(L, 1);
  lua_settop(L, 1);
  PsqlCall *call = psql_call_new(L, db, PSQL_IDENTITY);
  call->timeout_ms = db->timeout_ms;
  buf_add_str(&call->show, "who answers");
  return call_effect(L, call, "identify", 0);
}

const luaL_Reg psql_methods[] = {
    {"rows", l_psql_rows},
    {"row", l_psql_row},
    {"value", l_psql_value},
    {"each", l_psql_each},
    {"execute", l_psql_execute},
    {"transaction", l_psql_transaction},
    {"listen", l_psql_listen},
    {"identity", l_psql_identity},
    {"copy_out", l_psql_copy_out},
    {"copy_in", l_psql_copy_in},
    {NULL, NULL},
};
