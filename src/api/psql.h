/* psql: what the files of api/psql share: the handle, a call in the making, and values. */
#ifndef PGSH_API_PSQL_H
#define PGSH_API_PSQL_H

#include <lua.h>

#include "net/pg.h"
#include "run/guard.h"
#include "vm/vm.h"

#define PSQL_HANDLE_NAME "pgsh.Psql"
#define PSQL_CALL_NAME "pgsh.PsqlCall"
#define PSQL_EACH_NAME "pgsh.PsqlRows"
#define PSQL_OPTIONS_NAME "pgsh.PsqlOptions"
/* Asking for an earlier transaction: a little longer than it is asked for again and again. */
#define PSQL_SETTLE_MS 40000
#define PSQL_SETTLE_WHAT "asking what became of it"
#define PSQL_LIMIT_BYTES ((int64_t)64 << 20)

/* In a shell a handle may be used by several tasks at once: each further one gets a connection of its own. */
#define PSQL_SPARES 8
typedef struct PsqlSpare {
  Pg *pg; /* NULL: none */
  uint64_t user;
} PsqlSpare;

/* What psql(…) returns. Its first user value is the conninfo function of a late-bound handle. */
typedef struct Psql {
  Pg *pg; /* NULL: closed */
  Vm *vm;
  Target *target; /* borrowed from the guard */
  void *scope;    /* of the task that runs an operation: the conninfo function runs in it */
  bool unknown;   /* its connection string is only known after a run */
  int64_t timeout_ms, lock_timeout_ms, statement_timeout_ms, limit_bytes;
  uint64_t user; /* the task that used pg last */
  PsqlSpare spares[PSQL_SPARES];
} Psql;

/* What a call gives back. */
typedef enum PsqlShape {
  PSQL_ROWS,
  PSQL_ROW,
  PSQL_VALUE,
  PSQL_EACH,
  PSQL_EXECUTE,
  PSQL_TRANSACTION,
  PSQL_LISTEN,
  PSQL_IDENTITY
} PsqlShape;

/* One call: the door's argument userdata (PSQL_CALL_NAME). Its __gc frees what it holds. */
typedef struct PsqlCall {
  Psql *db; /* anchored: the handle is on the stack below */
  PgJob *job;
  PsqlShape shape;
  int64_t timeout_ms;
  Buf show;
  bool unknown; /* an argument is not known in a plan */
  bool secret;  /* one is a Secret */
} PsqlCall;

/* psql.c: the handle at index, open and free. Raises. */
Psql *psql_check(lua_State *L, int index);

/* psql_known.c: push another handle on the same target, with a connection of its own; nil when where it is has not been found out
 * yet. Raises.
 */
void psql_push_twin(lua_State *L, int index);
/* Push a handle on another database of the same server, or for another user (NULL: the same); nil as above. Raises. */
void psql_push_beside(lua_State *L, int index, const char *dbname, const char *user);
/* Push a table of what is known of the handle's connection (host.psql_known). Raises. */
void psql_push_known(lua_State *L, int index);

/* psql_spare.c */
/* The connection for a call of the current task: the handle's own; in a shell another one when a task is using that. */
Pg *psql_spare_pick(lua_State *L, Psql *db);
/* Is every connection that this task could use busy? */
bool psql_spare_none(lua_State *L, Psql *db);
/* Are rows of :each still being read from one of its connections? */
bool psql_spare_streams(const Psql *db);
void psql_spare_close(Psql *db);

/* psql_source.c: a source that asks the Lua function of the handle; `self` is the Psql. */
PgConninfoOp *psql_source_provide(void *self);
/* A source's password and on_anew: in a shell the operator is asked, and told. */
PgConninfoOp *psql_source_password(void *self, const char *user, bool again);
void psql_source_on_anew(void *self, const char *what);
/* Make the handle at index findable for it. */
void psql_source_register(lua_State *L, int index, Psql *db);

/* psql_args.c: from the Lua stack into a call; all may raise, what they make is owned by the call. */
PsqlCall *psql_call_new(lua_State *L, Psql *db, PsqlShape shape);
/* The options table at the end of the arguments (psql.options{…}): its index, or 0. */
int psql_args_options(lua_State *L);
void psql_args_settings(lua_State *L, PsqlCall *call, int options);
/* Add the statement at `sql` with the parameters that follow it up to `last`. */
PgStatement *psql_args_statement(lua_State *L, PsqlCall *call, int sql, int last);
/* A statement on one line, its passwords hidden and known as secrets from now on; cut, its hash behind it. */
void psql_show_sql(lua_State *L, Buf *show, const char *sql);
/* Cut a rendering of many statements. */
void psql_show_cut(PsqlCall *call);
int l_psql_options(lua_State *L);
int l_psql_array(lua_State *L);

/* psql_value.c */
/* An array of the columns' names. */
void psql_push_columns(lua_State *L, const PgRows *rows);
/* A metatable that gives a row its columns by number. */
void psql_push_row_meta(lua_State *L, const PgRows *rows);
/* A metatable of an array of rows: rows.columns, without a key that would keep it from being a plain array. What a value does not
 * tell by itself is beside it, as in that of a row, for whoever shows it to people: kinds[i] is "bytea", "array", or false.
 * plain: as in psql_push_row, where a bytea is a text already. */
void psql_push_rows_meta(lua_State *L, const PgRows *rows, bool plain);
/* A row; the names are at `columns`; meta 0: plain values that JSON can hold, by name only. */
void psql_push_row(lua_State *L, const PgRows *rows, size_t row, int columns, int meta);
void psql_push_value(lua_State *L, unsigned type, const char *text, size_t len, bool plain);

/* Is it a read? Raises. */
void psql_check_read(lua_State *L, const Psql *db, const char *sql);

/* psql_copy.c: the methods that make parts of a pipe. */
int l_psql_copy_out(lua_State *L);
int l_psql_copy_in(lua_State *L);

/* psql_rows.c: the array that :rows returns, filled while its rows come. */
void psql_rows_begin(lua_State *L, PsqlCall *call);
/* Push it; `rows` has the columns. */
void psql_rows_push(lua_State *L, const PsqlCall *call, const PgRows *rows);

/* psql_call.c: the methods. */
extern const luaL_Reg psql_methods[];

/* psql_each.c: the iterator of an Op that opened a stream; anchors the handle at index db. */
int psql_push_each(lua_State *L, PgOp *op, int db);
void psql_each_open(lua_State *L);

#endif
