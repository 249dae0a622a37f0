-- pg: what an operator asks a PostgreSQL server first. Each is a read of the server's own views and returns rows (columns as in :rows),
-- except cancel and terminate, which are changes.

local errors = require "pgsh.errors"
local psql = require "pgsh.psql"
local strict = require "pgsh.strict"

local pg = {}

local function check(what, db)
  if type(db) ~= "userdata" or not tostring(db):find("^psql ") then errors.usage("pg.%s(db): a handle of psql(…) expected", what) end
end

local function check_options(what, options, known)
  if options ~= nil and type(options) ~= "table" then errors.usage("pg.%s: options are a table", what) end
  for key in pairs(options or {}) do
    if not known[key] then errors.usage("pg.%s: unknown option '%s'", what, tostring(key)) end
  end
  return options or {}
end

-- Rows made here, in the form that :rows gives them.
local function rows_of(list, columns)
  return setmetatable(list, { __index = { columns = columns } })
end

-- Sessions -------------------------------------------------------------------------------------------------------------------

local ACTIVITY = [[
select a.pid, a.usename as "user", a.datname as database, nullif(a.application_name, '') as application,
       coalesce(host(a.client_addr), case when a.backend_type = 'client backend' then 'local' end) as client,
       coalesce(a.state, a.backend_type) as state,
       nullif(concat_ws(':', a.wait_event_type, a.wait_event), '') as wait,
       date_trunc('second', clock_timestamp() - a.xact_start)::text as transaction,
       date_trunc('second', clock_timestamp() - case when a.state = 'active' then a.query_start else a.state_change end)::text as since,
       nullif(array_to_string(pg_blocking_pids(a.pid), ','), '') as blocked_by,
       left(regexp_replace(a.query, '\s+', ' ', 'g'), $2) as query
  from pg_stat_activity a
 where a.pid <> pg_backend_pid() and (a.backend_type = 'client backend' or a.state is not null)
   and ($1 or a.state <> 'idle')
 order by a.xact_start nulls last, a.query_start]]

function pg.activity(db, options)
  check("activity", db)
  options = check_options("activity", options, { idle = true, query = true })
  return db:rows(ACTIVITY, options.idle == true, options.query or 200)
end

local LOCKS = [[
with waiting as (
  select a.pid, unnest(pg_blocking_pids(a.pid)) as blocker from pg_stat_activity a where cardinality(pg_blocking_pids(a.pid)) > 0)
select a.pid, a.usename as "user", coalesce(a.state, a.backend_type) as state,
       date_trunc('second', clock_timestamp() - coalesce(a.xact_start, a.query_start, a.backend_start))::text as since,
       (select string_agg(distinct l.mode || ' on ' || coalesce(case when l.relation is not null then l.relation::regclass::text end,
                                                                 l.locktype), ', ')
          from pg_locks l where l.pid = a.pid and not l.granted) as waits_for,
       (select array_agg(distinct w.blocker) from waiting w where w.pid = a.pid) as blockers,
       left(regexp_replace(a.query, '\s+', ' ', 'g'), 200) as query
  from pg_stat_activity a
 where a.pid in (select pid from waiting union select blocker from waiting)
 order by a.xact_start nulls first, a.pid]]

-- A transaction that is prepared blocks without a process: pg_blocking_pids says 0.
local PREPARED = [[
select gid, owner as "user", date_trunc('second', clock_timestamp() - prepared)::text as since from pg_prepared_xacts order by prepared]]

function pg.locks(db)
  check("locks", db)
  local list, below, tree = db:rows(LOCKS), {}, {}
  for _, row in ipairs(list) do
    for _, blocker in ipairs(row.blockers or {}) do
      below[blocker] = below[blocker] or {}
      table.insert(below[blocker], row)
    end
  end
  local seen = {}
  local function add(row, depth)
    local again = seen[row.pid] -- below several blockers, or a deadlock in the making
    seen[row.pid] = true
    tree[#tree + 1] = {
      pid = row.pid, tree = (depth > 0 and ("  "):rep(depth - 1) .. "└ " or "") .. row.pid, user = row.user, state = row.state,
      since = row.since, waits_for = row.waits_for, query = row.query, depth = depth, blocks = below[row.pid] and #below[row.pid] or 0,
    }
    if again then return end
    for _, waiter in ipairs(below[row.pid] or {}) do add(waiter, depth + 1) end
  end
  if below[0] then
    for _, row in ipairs(db:rows(PREPARED)) do
      tree[#tree + 1] = { tree = "prepared " .. row.gid, user = row.user, state = "prepared transaction", since = row.since, depth = 0,
        blocks = #below[0] }
    end
    for _, waiter in ipairs(below[0]) do add(waiter, 1) end
  end
  for _, row in ipairs(list) do
    if not row.blockers then add(row, 0) end
  end
  for _, row in ipairs(list) do
    if not seen[row.pid] then add(row, 0) end -- a circle: everybody waits for somebody
  end
  return rows_of(tree, { "tree", "user", "state", "since", "blocks", "waits_for", "query" })
end

-- Replication ----------------------------------------------------------------------------------------------------------------

local SENDERS = [[
select coalesce(r.application_name, s.slot_name) as name, s.slot_name as slot, host(r.client_addr) as client,
       coalesce(r.state, case when s.active then 'active' else 'INACTIVE' end) as state, r.sync_state as sync,
       pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), r.sent_lsn)) as to_send,
       pg_size_pretty(pg_wal_lsn_diff(r.sent_lsn, r.flush_lsn)) as to_flush,
       pg_size_pretty(pg_wal_lsn_diff(r.flush_lsn, r.replay_lsn)) as to_replay,
       date_trunc('milliseconds', r.replay_lag)::text as lag,
       pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)) as slot_keeps,
       pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(r.replay_lsn, s.restart_lsn))::bigint as behind_bytes
  from pg_stat_replication r full join pg_replication_slots s on s.active_pid = r.pid
 order by 1]]
local RECEIVER = [[
select w.status as state, w.sender_host || ':' || w.sender_port as upstream, w.slot_name as slot,
       pg_last_wal_receive_lsn()::text as received, pg_last_wal_replay_lsn()::text as replayed,
       pg_size_pretty(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())) as to_replay,
       case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then '0s'
            else date_trunc('second', clock_timestamp() - pg_last_xact_replay_timestamp())::text end as lag,
       pg_is_wal_replay_paused() as paused,
       pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::bigint as behind_bytes
  from (select 1) one left join pg_stat_wal_receiver w on true]]

function pg.replication(db)
  check("replication", db)
  return db:rows(db:value "select pg_is_in_recovery()" and RECEIVER or SENDERS)
end

-- Work in progress -----------------------------------------------------------------------------------------------------------

-- View → what has been done, of how much, as expressions.
local PROGRESS = {
  { "vacuum", "heap_blks_scanned", "heap_blks_total", "'vacuum'" },
  { "analyze", "sample_blks_scanned", "sample_blks_total", "'analyze'" },
  { "create_index", "greatest(blocks_done, tuples_done)", "greatest(blocks_total, tuples_total)", "lower(command)" },
  { "cluster", "heap_blks_scanned", "heap_blks_total", "lower(command)" },
  { "copy", "bytes_processed", "nullif(bytes_total, 0)", "lower(command)" },
}
local PROGRESS_ROW = [[
select p.pid, %s as command, p.datname as database, p.relid::regclass::text as relation, %s as phase,
       %s::bigint as done, %s::bigint as total
  from pg_stat_progress_%s p]]
local BASEBACKUP = [[
select p.pid, 'base backup', null, null, p.phase, p.backup_streamed, p.backup_total from pg_stat_progress_basebackup p]]

function pg.progress(db)
  check("progress", db)
  local there, parts = {}, {}
  local views = db:rows "select relname from pg_class where relname like 'pg\\_stat\\_progress\\_%'"
  for _, row in ipairs(views) do there[row.relname] = true end
  for _, view in ipairs(PROGRESS) do
    if there["pg_stat_progress_" .. view[1]] then
      local phase = view[1] == "copy" and "p.type" or "p.phase"
      parts[#parts + 1] = PROGRESS_ROW:format(view[4]:gsub("command", "p.command"), phase, view[2], view[3], view[1])
    end
  end
  if there.pg_stat_progress_basebackup then parts[#parts + 1] = BASEBACKUP end
  if #parts == 0 then return rows_of({}, { "pid", "command", "phase", "done", "total" }) end
  return db:rows(([[
    select p.pid, p.command, p.database, p.relation, p.phase, p.done, p.total,
           case when p.total > 0 then round(100.0 * p.done / p.total, 1) end as percent,
           date_trunc('second', clock_timestamp() - coalesce(a.query_start, a.backend_start))::text as since
      from (%s) p left join pg_stat_activity a using (pid)
     where p.pid <> pg_backend_pid() order by since desc]]):format(table.concat(parts, " union all ")))
end

-- Tables ---------------------------------------------------------------------------------------------------------------------

-- What the rows need by their average width, against the pages there are: an estimate by the statistics of the last ANALYZE. Nothing here
-- takes a lock on a table, as pg_relation_size does: who looks for trouble must not wait for it.
local BLOAT = [[
with width as (
  select c.oid, 4 + 8 * ceil((24 + sum((1 - coalesce(s.null_frac, 0)) * coalesce(s.avg_width, 8))) / 8) as bytes
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_stats s on s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname and not s.inherited
   where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
   group by c.oid),
estimate as (
  select c.oid, c.relpages::numeric as pages, greatest(1, ceil(greatest(c.reltuples, 0) * w.bytes
           / ((current_setting('block_size')::numeric - 24) * 0.01
              * coalesce((select substring(o from '^fillfactor=(\d+)')::int from unnest(c.reloptions) o
                           where o like 'fillfactor=%' limit 1), 100))))::numeric as needed
    from pg_class c join width w using (oid))
select c.oid::regclass::text as "table", pg_size_pretty(e.pages::bigint * current_setting('block_size')::bigint) as size,
       case when e.pages > 0 then greatest(0, round((100 * (e.pages - e.needed) / e.pages)::numeric)) end as bloat_percent,
       pg_size_pretty(greatest(0, e.pages - e.needed)::bigint * current_setting('block_size')::bigint) as bloat,
       t.n_live_tup as live, t.n_dead_tup as dead,
       to_char(greatest(t.last_vacuum, t.last_autovacuum), 'YYYY-MM-DD HH24:MI') as vacuumed,
       to_char(greatest(t.last_analyze, t.last_autoanalyze), 'YYYY-MM-DD HH24:MI') as analyzed
  from estimate e join pg_class c using (oid) left join pg_stat_all_tables t on t.relid = c.oid
 order by greatest(0, e.pages - e.needed) desc, c.relpages desc limit $1]]

function pg.bloat(db, options)
  check("bloat", db)
  options = check_options("bloat", options, { limit = true })
  return db:rows(BLOAT, options.limit or 20)
end

local SIZES = [[
select c.oid::regclass::text as "table", pg_size_pretty(pg_total_relation_size(c.oid)) as total,
       pg_size_pretty(pg_relation_size(c.oid)) as heap,
       pg_size_pretty(pg_indexes_size(c.oid)) as indexes,
       pg_size_pretty(case when c.reltoastrelid <> 0 then pg_total_relation_size(c.reltoastrelid) end) as toast,
       greatest(c.reltuples, 0)::bigint as rows
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
 where c.relkind in ('r', 'm') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
 order by pg_total_relation_size(c.oid) desc limit $1]]

function pg.sizes(db, options)
  check("sizes", db)
  options = check_options("sizes", options, { limit = true })
  return db:rows(SIZES, options.limit or 20, psql.options { lock_timeout = "2s" })
end

local SETTINGS = [[
select name, setting || coalesce(' ' || unit, '') as value, source, case when pending_restart then 'restart pending' end as note
  from pg_settings where case when $1::text is null then source not in ('default', 'override')
       and name not in ('application_name', 'transaction_read_only') else name ~ $1 end order by name]]

function pg.settings(db, pattern)
  check("settings", db)
  return db:rows(SETTINGS, pattern)
end

-- Changes --------------------------------------------------------------------------------------------------------------------

local ONE = [[
select a.usename as "user", coalesce(a.state, a.backend_type) as state, nullif(a.application_name, '') as application,
       date_trunc('second', clock_timestamp() - coalesce(a.xact_start, a.state_change, a.backend_start))::text as since,
       left(regexp_replace(a.query, '\s+', ' ', 'g'), 80) as query
  from pg_stat_activity a where a.pid = $1]]

local function signal(what, call, db, pid)
  check(what, db)
  if math.type(pid) ~= "integer" then errors.usage("pg.%s(db, pid): pid is an integer", what) end
  local session = db:row(ONE, pid)
  if not session then errors.raise("usage", "there is no session %d on %s", pid, tostring(db)) end
  local application = session.application and " " .. session.application or ""
  local shown = ("%s(%d): %s%s, %s for %s: %s"):format(call, pid, session.user or "-", application, session.state,
    session.since or "?", session.query or "")
  local result = db:execute(("select %s($1) as sent"):format(call), pid, psql.options {
    what = shown,
    -- The answer was lost: the session that is gone says that it was sent.
    resolve = function() return what == "terminate" and db:row(ONE, pid) == nil or nil end,
  })
  if result.returned and result.returned[1] and result.returned[1].sent == false then
    errors.raise("script", "%s(%d): the server did not send it", call, pid)
  end
  return result
end

function pg.cancel(db, pid) return signal("cancel", "pg_cancel_backend", db, pid) end
function pg.terminate(db, pid) return signal("terminate", "pg_terminate_backend", db, pid) end

return strict.module("pg", pg)
