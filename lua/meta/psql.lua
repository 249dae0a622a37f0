---@meta pgsh.psql
---A PostgreSQL database. psql(conninfo) makes a handle; it connects on first need, never blocks the process, and reads what libpq
---reads: PG* variables, service file, .pgpass, URLs and key=value strings.
---
---    local db = psql "postgresql://app@db.example/app"
---    for row in db:each "select id, name from users" do … end
---    db:execute("update users set name = $1 where id = $2", "Ada", 7)
---
---Reads run in a READ ONLY transaction. What such a transaction does not stop is refused before it is sent: statements that do not
---begin with SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN, and functions that act all the same (pg_terminate_backend, pg_promote,
---pg_switch_wal, replication slots, dblink, large objects, pg_notify, …). A function of your own that calls one is not seen.
---
---Each change is a transaction of its own. When the line drops
---  before the COMMIT was sent     error psql_connect, "nothing was changed"
---  after it was sent              the server is asked for the transaction (pg_xact_status): committed is a success, with
---                                 settled_by in the result; rolled back is error psql_connect; when nobody can tell (other timeline,
---                                 no answer for 30 s, a crash that may have given the number out again) kind "unknown"
---  outside a transaction, or in a statement that calls a function that acts at once: kind "unknown"; option resolve decides
---When pgsh itself is killed (kill -9, power), `pgsh resume` decides in the same way, by a note of the transaction (its number, the
---place in the WAL, timeline, cluster) that is on disk before the COMMIT is sent:
---  no note                        it did not happen: it is made anew
---  a note                         the server is asked, for 30 s: committed is a success whose result holds settled_by and nothing
---                                 else (rows, command and returned are nil); rolled back: it is made anew; when nobody can tell
---                                 (another cluster, other timeline, a crash in between, no number since nothing was written, a
---                                 function that acts at once) resolve, else kind "unknown"
---A connection that died while idle is replaced unseen. Ctrl-C and timeouts cancel on the server; the connection stays usable.
---
---Values: bool → boolean; int2, int4, int8, oid → integer; float4, float8 → float; numeric → integer when it is one of at most 18
---digits, else the exact text; json, jsonb → decoded (null is json.null); bytea → binary string; arrays of simple types → arrays
---(NULL elements are json.null); everything else → text. SQL NULL is an absent key.
---Parameters ($1, $2, …): string, number, boolean, Secret (shown as •••), nil or json.null for NULL, a table as JSON text; for
---an array parameter psql.array. The server infers their types: write $1::jsonb where it cannot.
---
---A handle serves one task at a time: a second use raises code "busy". Make one handle for each task.
---@class pgsh.psql
---@overload fun(conninfo?: string|pgsh.Secret, options?: pgsh.PsqlNew): pgsh.Psql
---@overload fun(options: pgsh.PsqlNew): pgsh.Psql
local psql = {}

---@class pgsh.PsqlNew
---@field name? string                       # name of the target; default "host:port/dbname"; needed with a function
---@field detail? string                     # shown behind the name in the list of targets
---A function is asked on first need, after :rebind(), and once more when the server refuses what it gave earlier. It may wait.
---@field conninfo? string|pgsh.Secret|fun(): string|pgsh.Secret
---@field connect_timeout? number|string     # all hosts together; default connect_timeout of the conninfo, else 10 s
---@field timeout? number|string             # default of every call; durations are seconds or "5m"
---@field lock_timeout? number|string
---@field statement_timeout? number|string
---@field limit? integer|string              # memory for the rows of one call; default "64M", above it kind "limit"

---@class pgsh.PsqlOptions
---@field timeout? number|string             # the whole call, connecting included; then the statement is cancelled on the server
---@field lock_timeout? number|string        # SET LOCAL; the error's detail names who is in the way
---@field statement_timeout? number|string   # SET LOCAL; enforced by the server
---@field limit? integer|string
---@field what? string                       # shown instead of the statement
---Only of a change:
---@field resolve? fun(): boolean?, table?   # outcome unknown: true and the result table, false: it did not happen, nil: cannot tell
---@field transaction? boolean               # false: sent without BEGIN (VACUUM, CREATE INDEX CONCURRENTLY, ALTER SYSTEM, …)
---@field retry? {times?: integer, every?: number|string}  # again when lock_timeout ends a wait, and only then; default 3, 1 s
---@field expect? integer                    # number of rows it must affect, else it is rolled back

---A plain table, or psql.options{…}.
---@class pgsh.PsqlCopyOptions
---@field format? string                     # "text" (default), "csv", "binary"
---@field header? boolean                    # a first line with the columns' names
---@field delimiter? string
---@field null? string                       # how NULL is written
---@field lock_timeout? number|string        # SET LOCAL
---@field statement_timeout? number|string   # SET LOCAL

---Options of one call, as its last argument: db:execute("…", 1, psql.options{lock_timeout="2s"}). They are marked, since a plain table
---would be a JSON parameter. Unknown keys raise.
---@param options pgsh.PsqlOptions
---@return pgsh.PsqlOptions
function psql.options(options) end

---An array as a parameter: db:rows("… where id = any($1::int[])", psql.array{1, 2, 3}). json.null is NULL.
---@param list (string|number|boolean)[]
---@return string
function psql.array(list) end

---A row: values by column name, and by number (row[1]; of columns with the same name the name has the last). pairs sees names.
---@class pgsh.PsqlRow: {[string]: any, [integer]: any}

---@class pgsh.Psql
local db = {}

---All rows (a read). rows.columns holds the names in order.
---@param sql string
---@param ... any                            # parameters, then perhaps psql.options{…}
---@return pgsh.PsqlRow[]
function db:rows(sql, ...) end
---The only row, or nil; more than one raises (a read).
---@param sql string
---@return pgsh.PsqlRow?
function db:row(sql, ...) end
---The first column of the only row; nil when there is no row or it is NULL (a read).
---@param sql string
---@return any
function db:value(sql, ...) end
---Row by row in constant memory (a read): for row in db:each "…" do … end. The transaction stays open and the handle busy until the
---last row, the end of the loop, or close(): `local rows <close> = db:each "…"`.
---@param sql string
---@return pgsh.PsqlRows
function db:each(sql, ...) end
---Wait for one notification (a read); nil when none came in time.
---@param channel string
---@param timeout? number|string
---@return {channel: string, payload: string, pid: integer}?
function db:listen(channel, timeout) end
---Who answers (a read): at each connect; in_recovery as of the last answer (from PostgreSQL 14). What may not be read is absent.
---@return {system_identifier: string?, timeline: string?, in_recovery: boolean?, server_version: integer}
function db:identity() end

---One statement (a change). `returned` with RETURNING: plain rows by name, bytea as text (they are journaled).
---@param sql string
---@param ... any                            # parameters, then perhaps psql.options{…}
---@return {rows: integer?, command: string?, returned: table[]?, settled_by: string?}  # rows, command: nil only when a resume settled it
function db:execute(sql, ...) end
---Several statements in one transaction, all or none: one change. A list, not a function, so that a plan can show it, a replay match it
---and its outcome be one. Each is "sql" or {"sql", parameters…, expect = rows}; NULL is json.null here.
---@param statements (string|table)[]
---@param options? pgsh.PsqlOptions
---@return {rows: integer?, results: table[]?, settled_by: string?}  # rows, results: nil only when a resume settled it
function db:transaction(statements, options) end

---COPY (query) TO STDOUT as the source of a pipe (a read, checked as the others are; COPY takes no parameters):
---    pipe { db:copy_out("select * from orders", { format = "csv", header = true }), gzip(), file.writer "orders.csv.gz" }
---As long as nobody reads, the server waits. The handle is busy until the pipe has ended.
---@param query string                       # SELECT, WITH, VALUES or TABLE
---@param options? pgsh.PsqlCopyOptions
---@return pgsh.PipePart
function db:copy_out(query, options) end
---COPY table FROM STDIN as the sink of a pipe: one change, one transaction, committed only when the stream has ended well; else nothing
---is left of it. A lost answer to the COMMIT is settled as that of any other change. result.rows is the number of rows. An error in the
---data ends the pipe as soon as the server reports it (through TLS: when the data has ended), the line is in the error's detail.
---@param target string                      # "table", "schema.table (a, b)": names, quoted where SQL needs it
---@param options? pgsh.PsqlCopyOptions
---@return pgsh.PipePart
function db:copy_in(target, options) end

---Forget address, connection and identity: the next call asks the conninfo function again, and may reach another cluster, which
---otherwise is refused (kind "refused", by system_identifier).
function db:rebind() end
---Close it; a running call fails. Idempotent; also by <close> and the collector.
function db:close() end

---@class pgsh.PsqlRows
---@overload fun(): pgsh.PsqlRow?
local rows = {}
function rows:close() end

return psql
