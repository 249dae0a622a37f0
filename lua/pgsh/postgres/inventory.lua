-- inventory: what a server has, as a plain table that JSON can hold and that compare can compare.
local address = require "pgsh.postgres.address"
local catalog = require "pgsh.postgres.catalog"
local count = require "pgsh.postgres.count"
local errors = require "pgsh.errors"
local json = require "pgsh.json"
local options = require "pgsh.options"
local quote = require "pgsh.postgres.quote"
local unknown = require "pgsh.unknown"

local inventory = {}

local OPTIONS = {
  connect = true, databases = "table", templates = "boolean", exact = "boolean", sizes = "boolean", large_objects = "boolean",
  global = "boolean", timeout = true,
}

-- A row as a plain table: what pairs shows, NULLs absent.
local function plain(row)
  local out = {}
  for name, value in pairs(row) do
    if type(name) == "string" and value ~= json.null then out[name] = value end
  end
  return out
end

local function list(db, what, ...)
  local rows = db:rows(catalog[what], ...)
  if unknown.is(rows) then return rows end
  local out = {}
  for i, row in ipairs(rows) do out[i] = plain(row) end
  return options.list(out)
end

local function drop(entries, ...)
  for _, entry in ipairs(entries) do
    for _, name in ipairs { ... } do entry[name] = nil end
  end
end

local function countable(entries)
  local out = {}
  for _, entry in ipairs(entries) do
    if entry.countable then out[#out + 1] = entry end
  end
  return out
end

-- Rows: exact, or the planner's estimate; a partitioned table has none of its own, a foreign one's are elsewhere.
local function tables(db, given)
  local all = list(db, "tables", given.sizes ~= false)
  local snapshots
  if given.exact ~= false then
    snapshots = count.tables(db, countable(all))
  end
  for _, one in ipairs(all) do
    local counts = one.kind == "table" or one.kind == "materialized view"
    if given.exact == false and counts then one.rows = one.estimate end
    if given.exact ~= false and counts and one.populated and not one.countable then one.not_counted = "not permitted" end
  end
  drop(all, "estimate", "countable", "sql", "oid")
  return all, snapshots
end

local function sequences(db)
  local all = list(db, "sequences")
  count.sequences(db, countable(all))
  for _, one in ipairs(all) do
    if not one.countable then one.not_counted = "not permitted" end
  end
  drop(all, "countable", "sql", "oid")
  return all
end

local function large_objects(db, given)
  if given.large_objects ~= false and db:value(catalog.may_read_large_objects) then return plain(db:row(catalog.large_objects)) end
  return plain(db:row(catalog.large_object_count))
end

local function names(rows)
  local out = {}
  for i, row in ipairs(rows) do out[i] = row.name end
  return options.list(out)
end

---What the connected database holds.
local function content(db, given)
  if db.ahead then db:ahead(catalog.of_a_database(given.sizes ~= false)) end
  local found = { extensions = list(db, "extensions"), schemas = list(db, "schemas") }
  found.tables, found.snapshots = tables(db, given)
  found.sequences = sequences(db)
  found.large_objects = large_objects(db, given)
  found.counts = plain(db:row(catalog.counts))
  found.invalid_indexes = names(list(db, "invalid_indexes"))
  found.collations, found.column_collations = list(db, "collations"), list(db, "column_collations")
  found.publications, found.subscriptions = list(db, "publications"), list(db, "subscriptions")
  return found
end

-- Names that are asked for and are not there are an error: a typing mistake must not look like an empty server.
local function check_names(wanted, databases)
  local there, all = {}, {}
  for _, one in ipairs(databases) do
    there[one.name] = one
    all[#all + 1] = one.name
  end
  for _, name in ipairs(wanted) do
    if not there[name] then
      errors.usage("postgres.inventory: there is no database %s%s", quote.show(name), require("pgsh.nearest").hint(name, all))
    end
    if not there[name].allow_connections then
      errors.usage("postgres.inventory: the database %s allows no connections", quote.show(name))
    end
  end
end

local function chosen(databases, given, only)
  local wanted = given.databases and options.set(given.databases)
  local out = {}
  for _, one in ipairs(databases) do
    local take = one.allow_connections and (given.templates or not one.is_template)
    if wanted then take = wanted[one.name] end
    if only then take = one.name == only end
    if take then out[#out + 1] = one end
  end
  return out
end

-- How to reach a database: what the caller says, else by the address. nil: only the handle itself.
local function connector(from, given)
  if given.connect then
    if type(given.connect) ~= "function" then errors.usage("postgres.inventory: connect is a function that returns a psql handle") end
    return given.connect
  end
  if address.is_handle(from) and not address.is_remote(from) then return nil end
  return function(dbname) return (address.handle(from, "postgres.inventory", dbname, given)) end
end

local function one_database(connect, name, given)
  local db = connect(name)
  if not address.is_handle(db) then
    errors.usage("postgres.inventory: connect(%s) returned %s instead of a psql handle", quote.show(name), type(db))
  end
  return address.using(db, true, content, given)
end

local function global(db, given)
  if db.ahead then db:ahead(catalog.of_a_server(given.sizes ~= false)) end
  local server = plain(db:row(catalog.server))
  local found = { server = server, databases = list(db, "databases", given.sizes ~= false) }
  if given.global ~= false then
    found.roles, found.memberships, found.settings = list(db, "roles"), list(db, "memberships"), list(db, "settings")
    found.tablespaces = list(db, "tablespaces")
  end
  if server.version_num < 100000 then
    errors.raise("refused", "the server is version %s: 10 and newer are understood", server.version)
  end
  return found, db:value(catalog.current_database)
end

local function take(db, from, given)
  if not address.is_remote(db) and unknown.is(db:row(catalog.server)) then return unknown.new "inventory" end
  local found, current = global(db, given)
  if given.databases then check_names(given.databases, found.databases) end
  local connect = connector(from, given)
  if not connect and given.databases and not (#given.databases == 1 and given.databases[1] == current) then
    errors.usage("postgres.inventory: the handle reaches only %s; for others give a connection string, or connect = function(dbname)",
      quote.show(current))
  end
  for _, one in ipairs(chosen(found.databases, given, not connect and current or nil)) do
    one.content = connect and one_database(connect, one.name, given) or content(db, given)
  end
  drop(found.databases, "oid")
  found.exact = given.exact ~= false
  return found
end

---Take stock (only reads). `from`: a connection string (or a function, or a throwaway server): every database; a psql handle: the
---connected one, or all by options.connect.
function inventory.take(from, given)
  given = options.check("postgres.inventory", given, OPTIONS)
  if type(from) == "function" and not given.connect then
    local connect = from
    from = connect("postgres")
    if address.is_handle(from) then
      local more = { connect = connect }
      for key, value in pairs(given) do more[key] = value end
      return address.using(from, true, take, from, more)
    end
  end
  local db, made = address.handle(from, "postgres.inventory", nil, given)
  return address.using(db, made, take, from, given)
end

return inventory
