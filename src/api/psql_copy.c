/* psql_copy: COPY as the source and the sink of a pipe (lua/meta/psql.lua documents them). */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "api/part.h"
#include "api/psql.h"
#include "net/pg_guard.h"
#include "run/effect.h"
#include "run/run.h"
#include "stream/end.h"
#include "vm/args.h"
#include "vm/luaerr.h"
#include "vm/task.h"

#define COPY_FRONT "copy ("

/* The part's user value is the handle. */
typedef struct CopyPart {
  Psql *db;
  PgCopy copy;
  Buf sql;
  int64_t lock_timeout_ms, statement_timeout_ms;
} CopyPart;

static void copy_fini(void *self) { buf_fini(&((CopyPart *)self)->sql); }

static bool copy_note(void *self, int number, const char *note, Err *err) { return effect_note(self, number, note, err); }

/* A part may be used by several pipes, and each one has a note of its own. */
static PgJob *copy_job(lua_State *L, const CopyPart *own) {
  PgJob *job = pg_job_new();
  int number = effect_current(L);
  job->copy = own->copy;
  job->read = own->copy == PG_COPY_OUT;
  job->front = job->read ? (int)sizeof COPY_FRONT - 1 : 0;
  job->lock_timeout_ms = own->lock_timeout_ms;
  job->statement_timeout_ms = own->statement_timeout_ms;
  pg_job_add(job, buf_str(&own->sql), 0);
  if (number > 0 && !job->read) job->noter = (PgNoter){copy_note, run_of(L), number};
  return job;
}

/* NULL: the handle is closed. A busy one says so when it is used. */
static Pg *copy_pick(lua_State *L, Psql *db) {
  if (db->pg == NULL) return NULL;
  if (psql_spare_none(L, db) && psql_spare_streams(db))
    lua_gc(L, LUA_GCCOLLECT); /* iterators that nobody holds any more close now */
  db->scope = task_scope(task_current(L));
  return psql_spare_none(L, db) ? db->pg : psql_spare_pick(L, db);
}

static Stage *copy_open(lua_State *L, Part *part) {
  const CopyPart *own = part->own;
  PgJob *job = copy_job(L, own);
  Stage *stage = end_copy(copy_pick(L, own->db), job);
  pg_job_unref(job);
  return stage;
}

static PgOp *copy_settle(lua_State *L, Part *part, const char *note) {
  const CopyPart *own = part->own;
  PgJob *job = copy_job(L, own);
  Pg *pg = copy_pick(L, own->db);
  PgOp *op = pg != NULL ? pg_settle_run(pg, job, note, PSQL_SETTLE_MS, PSQL_SETTLE_WHAT) : pg_closed(vm_loop(own->db->vm), job);
  pg_job_unref(job);
  return op;
}

static const PartClass out_class = {
    .role = PART_SOURCE, .kind = "db:copy_out", .size = sizeof(CopyPart), .fini = copy_fini, .open = copy_open};
static const PartClass in_class = {.role = PART_SINK,
                                   .kind = "db:copy_in",
                                   .changes = true,
                                   .notes = true,
                                   .size = sizeof(CopyPart),
                                   .fini = copy_fini,
                                   .open = copy_open,
                                   .settle = copy_settle};

/* ---- arguments ---- */

/* standard_conforming_strings is on: pg_conn sees to that. */
static void add_literal(Buf *sql, const char *text) {
  buf_add_char(sql, '\'');
  for (const char *p = text; *p != '\0'; p++) {
    if (*p == '\'') buf_add_char(sql, '\'');
    buf_add_char(sql, *p);
  }
  buf_add_char(sql, '\'');
}

static void add_option(Buf *sql, bool *any, const char *name) {
  buf_add_str(sql, *any ? ", " : " with (");
  buf_add_str(sql, name);
  *any = true;
}

static const char *option_text(lua_State *L, int options, const char *name) {
  if (args_push(L, options, name) == LUA_TNIL) {
    lua_pop(L, 1);
    return NULL;
  }
  size_t len = 0;
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
  if (text == NULL || strlen(text) != len) luaerr_throw(L, ERR_USAGE, "option '%s': a text expected", name);
  return text; /* the table keeps it */
}

static void copy_options(lua_State *L, Buf *sql, int options) {
  static const char *const formats[] = {"text", "csv", "binary", NULL};
  bool any = false;
  int top = lua_gettop(L);
  const char *format = option_text(L, options, "format");
  if (format != NULL) {
    int i = 0;
    while (formats[i] != NULL && strcmp(formats[i], format) != 0)
      i++;
    if (formats[i] == NULL) luaerr_throw(L, ERR_USAGE, "option 'format': text, csv or binary expected, got '%s'", format);
    add_option(sql, &any, "format ");
    buf_add_str(sql, format);
  }
  if (args_bool(L, options, "header", false)) add_option(sql, &any, "header");
  const char *delimiter = option_text(L, options, "delimiter"), *null = option_text(L, options, "null");
  if (delimiter != NULL) {
    add_option(sql, &any, "delimiter ");
    add_literal(sql, delimiter);
  }
  if (null != NULL) {
    add_option(sql, &any, "null ");
    add_literal(sql, null);
  }
  if (any) buf_add_char(sql, ')');
  lua_settop(L, top);
}

/* The part is on top; what it copies is at 2. */
static void copy_add_subject(lua_State *L, const CopyPart *own, Buf *sql, bool unknown) {
  size_t len = 0, end = 0;
  const char *text = unknown ? luaL_tolstring(L, 2, &len) : args_check_text(L, 2, &len);
  if (strlen(text) != len) luaerr_throw(L, ERR_USAGE, "it holds a zero byte");
  end = len;
  if (own->copy == PG_COPY_IN) {
    if (!unknown && !pg_guard_relation(text, len))
      luaerr_throw(L, ERR_USAGE, "copy_in: a table expected, perhaps with its columns: \"schema.table (a, b)\"");
    buf_printf(sql, "copy %s from stdin", text);
  } else {
    if (!unknown) psql_check_read(L, own->db, text);
    if (!unknown && !pg_guard_query(text, len, &end))
      luaerr_throw(L, ERR_USAGE, "copy_out: a query expected (SELECT, WITH, VALUES, TABLE)");
    buf_add_str(sql, COPY_FRONT);
    buf_add(sql, text, end);
    buf_add_str(sql, "\n) to stdout"); /* the query may end in a comment */
  }
  if (unknown) lua_pop(L, 1);
}

static int copy_part(lua_State *L, const PartClass *cls, PgCopy copy) {
  static const char *const keys[] = {"format", "header", "delimiter", "null", "lock_timeout", "statement_timeout", NULL};
  Psql *db = psql_check(L, 1);
  if (lua_gettop(L) > 3) luaerr_throw(L, ERR_USAGE, "COPY takes no parameters: write the values into the query");
  lua_settop(L, 3);
  luaL_checkstack(L, 20, "copy");
  int options = args_options(L, 3, keys);
  bool unknown = args_is_unknown(L, 2);
  Part *part = part_new(L, cls);
  CopyPart *own = part->own;
  own->db = db;
  own->copy = copy;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  part->unknown = unknown || db->unknown;
  part->target = db->target;
  copy_add_subject(L, own, &own->sql, unknown);
  copy_options(L, &own->sql, options);
  own->lock_timeout_ms = args_duration(L, options, "lock_timeout", db->lock_timeout_ms);
  own->statement_timeout_ms = args_duration(L, options, "statement_timeout", db->statement_timeout_ms);
  buf_printf(&part->show, "psql %s: ", db->target->name);
  if (secret_get(L, 2, NULL) != NULL)
    buf_add_str(&part->show, REDACT_MARK);
  else
    psql_show_sql(L, &part->show, buf_str(&own->sql));
  return 1;
}

/* db:copy_out(query [, options]) */
int l_psql_copy_out(lua_State *L) { return copy_part(L, &out_class, PG_COPY_OUT); }

/* db:copy_in(table [, options]) */
int l_psql_copy_in(lua_State *L) { return copy_part(L, &in_class, PG_COPY_IN); }
