/* psql_args: the arguments of psql's methods, from the Lua stack into a job and its rendering.
 *
 * Everything made on the way is owned by the call's userdata, since most of what is called here may raise. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/psql.h"
#include "net/pg_secret.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/luajson.h"

#define SHOW_SQL_CHARS 200
#define SHOW_PARAM_CHARS 60
#define SHOW_ALL_BYTES 600

static int l_call_gc(lua_State *L) {
  PsqlCall *call = lua_touserdata(L, 1);
  pg_job_unref(call->job);
  buf_fini(&call->show);
  memset(call, 0, sizeof *call);
  return 0;
}

PsqlCall *psql_call_new(lua_State *L, Psql *db, PsqlShape shape) {
  PsqlCall *call = lua_newuserdatauv(L, sizeof *call, 0);
  memset(call, 0, sizeof *call);
  if (luaL_newmetatable(L, PSQL_CALL_NAME)) {
    lua_pushcfunction(L, l_call_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  call->db = db;
  call->shape = shape;
  call->unknown = db->unknown;
  call->job = pg_job_new();
  call->job->read = shape != PSQL_EXECUTE && shape != PSQL_TRANSACTION;
  call->job->stream = shape == PSQL_EACH;
  return call;
}

/* ---- renderings ---- */

/* Text on one line, white space folded, at most so many characters; true when it was cut. */
static bool show_folded(Buf *show, const char *text, size_t limit) {
  size_t chars = 0;
  bool space = false, begun = false;
  for (const char *p = text; *p != '\0'; p++) {
    if (strchr(" \t\r\n\f\v", *p) != NULL) {
      space = begun;
      continue;
    }
    if (((unsigned char)*p & 0xC0) != 0x80 && (chars += space ? 2 : 1) > limit) return true;
    if (space) buf_add_char(show, ' ');
    space = false;
    begun = true;
    buf_add_char(show, *p);
  }
  return false;
}

/* The rendering is also the key by which a replay recognises a change: two that differ only behind the cut must not be one. */
static void show_hash(Buf *show, const char *text) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (const char *p = text; *p != '\0'; p++)
    hash = (hash ^ (unsigned char)*p) * 16777619u;
  buf_printf(show, "… #%08x", hash);
}

void psql_show_sql(lua_State *L, Buf *show, const char *sql) {
  Buf clean = {0};
  if (pg_secret_hide(sql, strlen(sql), vm_redact(vm_of(L)), &clean)) sql = buf_str(&clean);
  if (show_folded(show, sql, SHOW_SQL_CHARS)) show_hash(show, sql);
  buf_fini(&clean);
}

void psql_show_cut(PsqlCall *call) {
  if (call->show.len <= SHOW_ALL_BYTES) return;
  Buf cut = {0};
  size_t len = SHOW_ALL_BYTES;
  while (((unsigned char)call->show.data[len] & 0xC0) == 0x80)
    len--;
  buf_add(&cut, call->show.data, len);
  show_hash(&cut, call->show.data);
  buf_printf(&cut, " (%d statements)", call->job->nstatements);
  buf_fini(&call->show);
  call->show = cut;
}

static void show_param(PsqlCall *call, int i, const char *text, bool quoted) {
  buf_printf(&call->show, "%s$%d = ", i == 0 ? " (" : ", ", i + 1);
  if (quoted) buf_add_char(&call->show, '\'');
  if (show_folded(&call->show, text, SHOW_PARAM_CHARS)) buf_add_str(&call->show, "…");
  if (quoted) buf_add_char(&call->show, '\'');
}

/* ---- parameters ---- */

static void param_table(lua_State *L, PsqlCall *call, PgStatement *statement, int i, int index) {
  Err err = {0};
  for (int reveal = 0; reveal <= 1; reveal++) {
    json_t *value = luajson_from(L, index, reveal == 1, &err);
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    if (text == NULL) {
      err_prefix(&err, "parameter $%d: ", i + 1);
      luaerr_raise(L, &err);
    }
    if (reveal == 1)
      pg_statement_set(statement, i, text);
    else
      show_param(call, i, text, false);
    if (strstr(text, REDACT_MARK) != NULL) call->secret = true;
    free(text);
  }
}

static void param_text(lua_State *L, PsqlCall *call, PgStatement *statement, int i, int index) {
  size_t len = 0;
  const char *text = args_text(L, index, &len);
  if (text == NULL) luaerr_throw(L, ERR_USAGE, "parameter $%d: a %s cannot be sent", i + 1, luaL_typename(L, index));
  if (strlen(text) != len)
    luaerr_throw(L, ERR_USAGE, "parameter $%d holds a zero byte: send it encoded, and decode($%d, 'hex') it", i + 1, i + 1);
  pg_statement_set(statement, i, text);
  if (secret_get(L, index, NULL) != NULL) call->secret = true;
  if (secret_get(L, index, NULL) != NULL)
    show_param(call, i, REDACT_MARK, false);
  else
    show_param(call, i, text, true);
}

static void param_number(lua_State *L, PsqlCall *call, PgStatement *statement, int i, int index) {
  char text[40];
  lua_Number n = lua_tonumber(L, index);
  if (lua_isinteger(L, index))
    snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(L, index));
  else if (n != n)
    snprintf(text, sizeof text, "NaN");
  else if (n - n != 0)
    snprintf(text, sizeof text, n > 0 ? "Infinity" : "-Infinity");
  else
    snprintf(text, sizeof text, "%.17g", (double)n);
  pg_statement_set(statement, i, text);
  show_param(call, i, text, false);
}

static void args_param(lua_State *L, PsqlCall *call, PgStatement *statement, int i, int index) {
  int type = lua_type(L, index);
  if (args_has_unknown(L, index)) {
    call->unknown = true;
    show_param(call, i, luaL_tolstring(L, index, NULL), false);
    lua_pop(L, 1);
  } else if (type == LUA_TNIL || luajson_is_null(L, index)) {
    show_param(call, i, "null", false);
  } else if (type == LUA_TBOOLEAN) {
    const char *text = lua_toboolean(L, index) ? "true" : "false";
    pg_statement_set(statement, i, text);
    show_param(call, i, text, false);
  } else if (type == LUA_TNUMBER) {
    param_number(L, call, statement, i, index);
  } else if (type == LUA_TTABLE) {
    param_table(L, call, statement, i, index);
  } else {
    param_text(L, call, statement, i, index);
  }
}

PgStatement *psql_args_statement(lua_State *L, PsqlCall *call, int sql, int last) {
  size_t len = 0;
  luaL_checkstack(L, 10, "psql");
  bool unknown = args_is_unknown(L, sql);
  const char *text = unknown ? luaL_tolstring(L, sql, &len) : args_check_text(L, sql, &len);
  if (strlen(text) != len) luaerr_throw(L, ERR_USAGE, "the statement holds a zero byte");
  if (unknown) call->unknown = true;
  int nparams = last - sql;
  PgStatement *statement = pg_job_add(call->job, text, nparams);
  if (secret_get(L, sql, NULL) != NULL) call->secret = true;
  if (secret_get(L, sql, NULL) != NULL)
    buf_add_str(&call->show, REDACT_MARK);
  else
    psql_show_sql(L, &call->show, text);
  if (unknown) lua_pop(L, 1);
  for (int i = 0; i < nparams; i++)
    args_param(L, call, statement, i, sql + 1 + i);
  if (nparams > 0) buf_add_char(&call->show, ')');
  return statement;
}

/* ---- options ---- */

static const char *const read_options[] = {"timeout", "lock_timeout", "statement_timeout", "limit", "what", NULL};
static const char *const change_options[] = {
    "timeout", "lock_timeout", "statement_timeout", "limit", "what", "resolve", "transaction", "retry", "expect", NULL};

int l_psql_options(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  args_options(L, 1, change_options);
  luaL_newmetatable(L, PSQL_OPTIONS_NAME);
  lua_setmetatable(L, 1);
  return 1;
}

int psql_args_options(lua_State *L) {
  int last = lua_gettop(L);
  if (!lua_istable(L, last) || !lua_getmetatable(L, last)) return 0;
  luaL_getmetatable(L, PSQL_OPTIONS_NAME);
  bool is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is ? last : 0;
}

static void args_retry(lua_State *L, PgJob *job, int options) {
  static const char *const keys[] = {"times", "every", NULL};
  if (args_push(L, options, "retry") != LUA_TNIL) {
    int retry = args_options(L, lua_gettop(L), keys);
    int64_t times = args_integer(L, retry, "times", 3);
    if (times < 0 || times > 1000000) luaerr_throw(L, ERR_USAGE, "retry: times: how often to try again");
    job->retry_times = (int)times;
    job->retry_every_ms = args_duration(L, retry, "every", 1000);
    if (job->lock_timeout_ms <= 0)
      luaerr_throw(L, ERR_USAGE, "retry tries again when lock_timeout ends a wait: it needs the option lock_timeout");
  }
  lua_pop(L, 1);
}

void psql_args_settings(lua_State *L, PsqlCall *call, int options) {
  const Psql *db = call->db;
  PgJob *job = call->job;
  if (options != 0) args_options(L, options, job->read ? read_options : change_options);
  call->timeout_ms = args_duration(L, options, "timeout", db->timeout_ms);
  job->lock_timeout_ms = args_duration(L, options, "lock_timeout", db->lock_timeout_ms);
  job->statement_timeout_ms = args_duration(L, options, "statement_timeout", db->statement_timeout_ms);
  job->limit_bytes = args_size(L, options, "limit", db->limit_bytes);
  if (job->read) return;
  job->transaction = args_bool(L, options, "transaction", true);
  args_retry(L, job, options);
  int64_t expect = args_integer(L, options, "expect", -1);
  if (expect >= 0 && (!job->transaction || call->shape == PSQL_TRANSACTION))
    luaerr_throw(L, ERR_USAGE, "expect: only of a single statement in a transaction, or of each statement: {\"…\", expect=1}");
  if (expect >= 0) job->statements[0].expect = expect;
  if (!job->transaction && job->nstatements != 1) luaerr_throw(L, ERR_USAGE, "transaction=false: only for :execute");
}

/* ---- psql.array{…} → '{"a","b"}' ---- */

int l_psql_array(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  luaL_Buffer out;
  lua_Integer n = luaL_len(L, 1);
  luaL_buffinit(L, &out);
  luaL_addchar(&out, '{');
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) luaL_addchar(&out, ',');
    lua_geti(L, 1, i);
    if (luajson_is_null(L, -1)) {
      lua_pop(L, 1);
      luaL_addstring(&out, "NULL");
      continue;
    }
    if (lua_isboolean(L, -1)) {
      lua_pushstring(L, lua_toboolean(L, -1) ? "t" : "f");
      lua_remove(L, -2);
    }
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
      return luaerr_throw(L, ERR_USAGE, "psql.array: element %lld is a %s", (long long)i, luaL_typename(L, -1));
    luaL_gsub(L, lua_tostring(L, -1), "\\", "\\\\");
    luaL_gsub(L, lua_tostring(L, -1), "\"", "\\\"");
    const char *quoted = lua_pushfstring(L, "\"%s\"", lua_tostring(L, -1));
    (void)quoted;
    lua_replace(L, -4);
    lua_pop(L, 2);
    luaL_addvalue(&out);
  }
  luaL_addchar(&out, '}');
  luaL_pushresult(&out);
  return 1;
}
