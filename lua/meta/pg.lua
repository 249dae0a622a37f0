---@meta pgsh.pg
---What an operator asks a PostgreSQL server first. Each takes a handle of psql(…), reads the server's own views, and returns rows as
---db:rows does; the shell shows them as a grid. What the role may not see is NULL.
---@class pgsh.pg
local pg = {}

---Sessions that are not idle, the oldest transaction first: pid, user, database, application, client, state, wait, transaction (its
---age), since (the statement or state), blocked_by (pids), query.
---@param db pgsh.Psql
---@param options? {idle: boolean?, query: integer?}  # idle: those too; query: characters shown, default 200
---@return pgsh.PsqlRow[]
function pg.activity(db, options) end
---Who waits for whom, as a tree: a blocker, and below it those that wait for it. Empty when nobody waits. tree, user, state, since,
---blocks (how many wait for it directly), waits_for (mode and relation), query; also pid and depth.
---@param db pgsh.Psql
---@return table[]
function pg.locks(db) end
---On a primary: standbys and slots, with how far each is behind (to_send, to_flush, to_replay, lag, slot_keeps, behind_bytes) and slots that
---nobody reads (INACTIVE). On a standby: its receiver, and how far replay is behind.
---@param db pgsh.Psql
---@return pgsh.PsqlRow[]
function pg.replication(db) end
---Tables that waste most space, by an estimate from the statistics of the last ANALYZE: table, size, bloat_percent, bloat, live, dead,
---vacuumed, analyzed.
---@param db pgsh.Psql
---@param options? {limit: integer?}         # default 20
---@return pgsh.PsqlRow[]
function pg.bloat(db, options) end
---VACUUM, ANALYZE, CREATE INDEX, CLUSTER, COPY and base backups that run now: pid, command, database, relation, phase, done, total,
---percent, since.
---@param db pgsh.Psql
---@return pgsh.PsqlRow[]
function pg.progress(db) end
---The largest tables: table, total, heap, indexes, toast, rows (estimated).
---@param db pgsh.Psql
---@param options? {limit: integer?}         # default 20
---@return pgsh.PsqlRow[]
function pg.sizes(db, options) end
---Settings that differ from the built-in default, or those whose name matches a regular expression.
---@param db pgsh.Psql
---@param pattern? string
---@return pgsh.PsqlRow[]
function pg.settings(db, pattern) end
---Cancel the statement of a session (a change). Raises when there is no such session.
---@param db pgsh.Psql
---@param pid integer
---@return {rows: integer?, command: string?, returned: table[]?}
function pg.cancel(db, pid) end
---End a session (a change): its transaction is rolled back. It is shown with user, state and statement before it is asked about.
---@param db pgsh.Psql
---@param pid integer
---@return {rows: integer?, command: string?, returned: table[]?}
function pg.terminate(db, pid) end

return pg
