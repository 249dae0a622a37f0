-- is_empty: is there anything that a restore would be doubled by, or would collide with?
local address = require "pgsh.postgres.address"
local errors = require "pgsh.errors"
local options = require "pgsh.options"
local psql = require "pgsh.psql"
local quote = require "pgsh.postgres.quote"
local unknown = require "pgsh.unknown"
local width = require "pgsh.postgres.width"

local empty = {}

local OPTIONS = { database = "boolean", databases = "table", roles = "table", connect = "function", limit = "number", timeout = true }

local FIRST_USER_OID = 16384 -- FirstNormalObjectId: what initdb makes is below

-- What somebody made in a database. Parts of others (toast, a table's row type, what an extension brought) do not count for themselves.
local CONTENT = ([[
select what, name from (
  select case c.relkind when 'r' then 'table' when 'p' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
      when 'S' then 'sequence' when 'f' then 'foreign table' when 'c' then 'type' else 'relation' end as what,
    format('%%I.%%I', n.nspname, c.relname) as name, 'pg_class'::regclass as class, c.oid as oid
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.oid >= %d and c.relkind not in ('i', 'I', 't') and n.nspname !~ '^pg_(toast|temp)'
  union all
  select 'schema', quote_ident(nspname), 'pg_namespace'::regclass, oid from pg_namespace
  where oid >= %d and nspname <> 'public' and nspname !~ '^pg_(toast|temp)'
  union all
  select 'function', oid::regprocedure::text, 'pg_proc'::regclass, oid from pg_proc where oid >= %d
  union all
  select 'type', format_type(t.oid, null), 'pg_type'::regclass, t.oid from pg_type t
  where t.oid >= %d and t.typtype in ('e', 'd', 'r') and t.typelem = 0
  union all
  select 'extension', quote_ident(extname), 'pg_extension'::regclass, oid from pg_extension where oid >= %d
  union all
  select 'large object', loid::text, 'pg_largeobject'::regclass, 0 from (select oid as loid from pg_largeobject_metadata) l
  union all
  select 'publication', quote_ident(pubname), 'pg_publication'::regclass, oid from pg_publication
  union all
  select 'event trigger', quote_ident(evtname), 'pg_event_trigger'::regclass, oid from pg_event_trigger
  union all
  select 'foreign server', quote_ident(srvname), 'pg_foreign_server'::regclass, oid from pg_foreign_server
  union all
  select 'operator', oid::regoperator::text, 'pg_operator'::regclass, oid from pg_operator where oid >= %d
  union all
  select 'collation', format('%%I.%%I', n.nspname, c.collname), 'pg_collation'::regclass, c.oid
  from pg_collation c join pg_namespace n on n.oid = c.collnamespace where c.oid >= %d and n.nspname <> 'pg_catalog'
) found
where what = 'extension' or not exists (
  select from pg_depend d where d.classid = found.class and d.objid = found.oid and d.deptype in ('e', 'i'))
order by what, name collate "C" limit $1]]):gsub("%%d", tostring(FIRST_USER_OID)):gsub("%%%%I", "%%I")

local SERVER = ([[
select what, name from (
  select 'database' as what, datname::text as name from pg_database where datname not in ('postgres', 'template0', 'template1')
  union all
  select 'role', rolname from pg_roles where oid >= %d
  union all
  select 'tablespace', spcname from pg_tablespace where oid >= %d
  union all
  select 'subscription', subname from pg_subscription
) found order by what, name collate "C" limit $1]]):gsub("%%d", tostring(FIRST_USER_OID))

local function add(found, one) found[#found + 1] = one end

local function content(db, found, prefix, limit)
  for row in db:each(CONTENT, limit, psql.options { what = "is " .. prefix .. " empty?" }) do
    add(found, { what = row.what, name = row.name, database = prefix })
  end
end

-- Subscriptions can only be read by superusers.
local function server(db, found, given)
  local allowed = { database = options.set(given.databases), role = options.set(given.roles) }
  local text = SERVER
  if not db:value "select has_column_privilege('pg_subscription', 'subname', 'select')" then
    text = text:gsub("  union all\n  select 'subscription', subname from pg_subscription\n", "")
  end
  for row in db:each(text, given.limit or 1000, psql.options { what = "is the server empty?" }) do
    if not (allowed[row.what] and allowed[row.what][row.name]) then add(found, { what = row.what, name = quote.show(row.name) }) end
  end
end

-- The other databases of an empty server have to be empty too, so far as they can be reached.
local function others(db, given, connect, found, current)
  local names = { "postgres", "template1" }
  for _, name in ipairs(given.databases or {}) do names[#names + 1] = name end
  local rows = db:rows("select datname from pg_database where datname = any($1::text[]) and datname <> $2 and datallowconn order by 1",
    psql.array(names), current)
  for _, row in ipairs(rows) do
    address.using(connect(row.datname), true, content, found, quote.show(row.datname), given.limit or 1000)
  end
end

local function connector(from, given)
  if given.connect then return given.connect end
  if address.is_handle(from) and not address.is_remote(from) then return nil end
  return function(dbname) return (address.handle(from, "postgres.is_empty", dbname, given)) end
end

local function look(db, from, given)
  local current = db:value "select current_database()"
  if unknown.is(current) then return unknown.new "is it empty" end
  local found = {}
  if not given.database then server(db, found, given) end
  content(db, found, quote.show(current), given.limit or 1000)
  local connect = not given.database and connector(from, given)
  if connect then others(db, given, connect, found, current) end
  if #found == 0 then return true end
  return false, found
end

---"table public.a in app, role x and 3 more"
---@param found {what: string, name: string, database: string?}[]
function empty.text(found)
  local words = {}
  for i = 1, math.min(#found, 8) do
    local one = found[i]
    words[i] = ("%s %s%s"):format(one.what, width.cell(one.name), one.database and " in " .. one.database or "")
  end
  local text = table.concat(words, ", ")
  return #found > 8 and ("%s and %d more"):format(text, #found - 8) or text
end

---@param from any                   # a psql handle, an address, a throwaway
---@param given? table
---@return boolean
---@return {what: string, name: string, database: string?}[]?
function empty.check(from, given)
  given = options.check("postgres.is_empty", given, OPTIONS)
  if from == nil then errors.usage("postgres.is_empty(db): which server?") end
  local db, made = address.handle(from, "postgres.is_empty", nil, given)
  return address.using(db, made, look, from, given)
end

return empty
