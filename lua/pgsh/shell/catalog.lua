-- catalog: what a database holds, for completion and the prompt: read in the background on a connection of its own, once the handle
-- has been used, and kept until the address changes. Nobody ever waits for it.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local catalog = {}

local TIMEOUT = "20s"
local MOST_COLUMNS = 100000

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

---@class pgsh.Catalog
---@field relations {schema: string, name: string}[]   # by name
---@field names string[]             # of tables and views that need no schema, sorted
---@field schemas table<string, string[]>
---@field functions string[]         # sorted
---@field columns table<string, string[]>  # table → columns
---@field role "primary"|"standby"

---Remember how a handle was made, so that a second connection can be.
---@param shell pgsh.Shell
---@param handle any
---@param conninfo any
function catalog.know(shell, handle, conninfo)
  shell.sources = shell.sources or {}
  if type(conninfo) == "table" and getmetatable(conninfo) == nil then conninfo = conninfo.conninfo end
  if type(conninfo) == "function" then return end -- it may have to ask a service first
  shell.sources[tostring(handle)] = { conninfo = conninfo }
end

local function read(source)
  local db <close> = require "pgsh.psql"(source.conninfo, { name = source.name, timeout = TIMEOUT, limit = "256M" })
  local found = { columns = {}, schemas = {}, names = {}, functions = {} }
  found.role = db:value "select pg_is_in_recovery()" and "standby" or "primary"
  local by_oid = {}
  found.relations = db:rows(RELATIONS)
  for _, relation in ipairs(found.relations) do
    local qualified = relation.schema .. "." .. relation.name
    by_oid[relation.oid] = relation.visible and { relation.name, qualified } or { qualified }
    if relation.visible then found.names[#found.names + 1] = relation.name end
    local schema = found.schemas[relation.schema] or {}
    found.schemas[relation.schema] = schema
    schema[#schema + 1] = relation.name
  end
  found.schema_names = {}
  for name, list in pairs(found.schemas) do
    table.sort(list)
    found.schema_names[#found.schema_names + 1] = name
  end
  -- By bytes, whatever the database's collation: completion searches by halves.
  table.sort(found.schema_names)
  table.sort(found.names)
  for _, row in ipairs(db:rows(FUNCTIONS)) do found.functions[#found.functions + 1] = row.name end
  table.sort(found.functions)
  for row in db:each(COLUMNS, MOST_COLUMNS) do
    for _, name in ipairs(by_oid[row.oid] or {}) do
      local list = found.columns[name] or {}
      found.columns[name] = list
      list[#list + 1] = row.name
    end
  end
  return found
end

---What is known of a target now; begins to find out when nothing is. Never waits.
---@param shell pgsh.Shell
---@param target string
---@return pgsh.Catalog?
function catalog.of(shell, target)
  local source = shell.sources and shell.sources[target]
  if not source then return nil end
  local known = source.found and not source.stale
  if known or source.reading or source.tried and host.mono() - source.tried < 30000 then return source.found end
  source.reading, source.tried, source.stale = true, host.mono(), nil
  source.name = target:match("^psql%s+(.*)$")
  -- Beside the run: it is nobody's change, and what completion reads is no part of what the operator did.
  host.spawn("catalog", host.within, { branch = "catalog", phase = "completion", changes = "refuse" }, function()
    local ok, found = errors.try(read, source)
    source.reading = nil
    if ok then source.found = found end
    if ok and shell.refresh then shell.refresh() end
  end):detach()
  return source.found
end

---@param shell pgsh.Shell
---@param target string
---@return string?
function catalog.role(shell, target)
  local source = shell.sources and shell.sources[target]
  return source and source.found and source.found.role or nil
end

---Read it anew the next time it is needed (a DDL statement was run).
---@param shell pgsh.Shell
---@param target string
function catalog.forget(shell, target)
  local source = shell.sources and shell.sources[target]
  if source then source.stale, source.tried = true, nil end
end

return catalog
