-- catalog: what a database holds, for completion: read in the background on a connection of its own, once the handle
-- has been used, and kept until the address changes. Nobody ever waits for it.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local catalog = {}

local PATIENCE = { timeout = "20s", limit = "256M" }
local AGAIN_MS = 30000 -- after one that failed
local MOST_COLUMNS = 100000
local MOST_SORTED = 20000 -- sorting more would be noticed

local RELATIONS = [[
  select n.nspname as schema, c.relname as name, c.oid, c.relkind::text as kind, pg_table_is_visible(c.oid) as visible
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname !~ '^pg_(toast|temp)'
   order by c.relname]]
local COLUMNS = [[
  select a.attrelid as oid, a.attname as name
    from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
   where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f')
     and n.nspname !~ '^pg_(toast|temp)'
   order by n.nspname like 'pg\_%' or n.nspname = 'information_schema', a.attrelid, a.attnum
   limit $1]]
local FUNCTIONS = [[
  select distinct p.proname as name from pg_proc p
   where pg_function_is_visible(p.oid) and p.prokind <> 'a' or p.proname in ('count', 'sum', 'min', 'max', 'avg')
   order by 1]]

-- What an identifier may not be without quotes.
local RESERVED = "select word as name from pg_get_keywords() where catcode <> 'U'"
-- What \d describes too.
local OTHERS = [[
  select c.relname as name, c.relkind = 'S' as sequence from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.relkind in ('i', 'I', 'S') and pg_table_is_visible(c.oid) and n.nspname <> 'pg_catalog' and n.nspname !~ '^pg_(toast|temp)'
   limit $1]]
local DATABASES = "select datname as name from pg_database where datallowconn"

---Names are kept as keys, in small letters, as they are typed; quoted[key] is how one is written that needs quotes.
---@class pgsh.Catalog
---@field names string[]             # keys of tables and views that need no schema, sorted
---@field schema_names string[]      # keys, sorted
---@field schemas table<string, string[]>  # name → keys of its relations
---@field functions string[]         # keys, sorted
---@field columns table<string, string[]>  # name of a table, with its schema or without → keys of its columns
---@field column_names string[]      # keys of all columns, as many as are worth searching; sorted
---@field indexes string[]           # keys, sorted
---@field sequences string[]         # keys, sorted
---@field databases string[]         # names
---@field quoted table<string, string>

-- The key of a name. Of names that only differ in case each has its own.
local function keys_of(quoted, reserved)
  local known = {}
  return function(name)
    local key = known[name]
    if key then return key end
    key = name
    if reserved[name] or not name:find "^[a-z_\128-\255][a-z0-9_\128-\255]*$" then
      if name:lower() ~= name then key = name:lower() .. "\0" .. name end
      quoted[key] = '"' .. name:gsub('"', '""') .. '"'
    end
    known[name] = key
    return key
  end
end

local function read(db)
  local patience = require("pgsh.psql").options(PATIENCE)
  local found = { columns = {}, schemas = {}, names = {}, functions = {}, schema_names = {}, column_names = {},
    indexes = {}, sequences = {}, databases = {}, quoted = {} }
  local reserved, by_oid = {}, {}
  for _, row in ipairs(db:rows(RESERVED, patience)) do reserved[row.name] = true end
  local key_of = keys_of(found.quoted, reserved)
  for _, relation in ipairs(db:rows(RELATIONS, patience)) do
    local qualified, key = relation.schema .. "." .. relation.name, key_of(relation.name)
    by_oid[relation.oid] = relation.visible and { relation.name, qualified } or { qualified }
    if relation.visible then found.names[#found.names + 1] = key end
    local schema = found.schemas[relation.schema] or {}
    found.schemas[relation.schema] = schema
    schema[#schema + 1] = key
  end
  for name, list in pairs(found.schemas) do
    table.sort(list)
    found.schema_names[#found.schema_names + 1] = key_of(name)
  end
  -- By bytes, whatever the database's collation: completion searches by halves.
  table.sort(found.schema_names)
  table.sort(found.names)
  for _, row in ipairs(db:rows(FUNCTIONS, patience)) do found.functions[#found.functions + 1] = key_of(row.name) end
  table.sort(found.functions)
  for _, row in ipairs(db:rows(OTHERS, MOST_SORTED, patience)) do
    local list = row.sequence and found.sequences or found.indexes
    list[#list + 1] = key_of(row.name)
  end
  table.sort(found.indexes)
  table.sort(found.sequences)
  for _, row in ipairs(db:rows(DATABASES, patience)) do found.databases[#found.databases + 1] = row.name end
  local seen = {}
  for row in db:each(COLUMNS, MOST_COLUMNS, patience) do
    local key = key_of(row.name)
    if not seen[key] and #found.column_names < MOST_SORTED then
      seen[key] = true
      found.column_names[#found.column_names + 1] = key
    end
    for _, name in ipairs(by_oid[row.oid] or {}) do
      local list = found.columns[name] or {}
      found.columns[name] = list
      list[#list + 1] = key
    end
  end
  table.sort(found.column_names)
  return found
end

-- What is kept of a target.
local function source_of(shell, target)
  shell.sources = shell.sources or {}
  shell.sources[target] = shell.sources[target] or {}
  return shell.sources[target]
end

---What is known of a database now; begins to find out when nothing is. Never waits.
---@param shell pgsh.Shell
---@param handle any                # what psql(…) made
---@return pgsh.Catalog?
function catalog.of(shell, handle)
  local source = source_of(shell, tostring(handle))
  if source.found and not source.stale or source.reading or source.tried and host.mono() - source.tried < AGAIN_MS then
    return source.found
  end
  local ok, db = errors.try(host.psql_twin, handle)
  if not ok or not db then return source.found end -- closed, or nobody has asked yet where it is
  source.reading, source.tried, source.stale = true, host.mono(), nil
  -- Beside the run: it is nobody's change, and what completion reads is no part of what the operator did.
  host.spawn("catalog", host.within, { branch = "catalog", phase = "completion", changes = "refuse" }, function()
    local read_it, found = errors.try(read, db)
    db:close()
    source.reading = nil
    if read_it then source.found = found end
  end):detach()
  return source.found
end

---How the prompt speaks of a database: the target's name with what it leaves open filled in, and the role of the server as its last
---answer had it. From what is known; nobody is asked.
---@param handle any
---@return string name
---@return string? role
function catalog.label(handle)
  local name = tostring(handle):gsub("^psql%s+", "")
  local ok, known = errors.try(host.psql_known, handle)
  if not ok then return name end -- closed
  if name:find "^%S+:[%d,]*/" or name:find "^service " then -- an address, not a name that a script gave
    local open = name:match "^(.*)/$" or not name:find "/" and name
    if open and known.database then name = open .. "/" .. known.database end
    if known.user and known.user ~= host.user then name = known.user .. "@" .. name end
  end
  return (name:gsub("%c", "?")), known.role
end

---Read it anew the next time it is needed (a DDL statement was run).
---@param shell pgsh.Shell
---@param target string
function catalog.forget(shell, target)
  local source = source_of(shell, target)
  source.stale, source.tried = true, nil
end

return catalog
