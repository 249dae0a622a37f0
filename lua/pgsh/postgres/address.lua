-- Where a server is: what the postgres functions take as `from`, `into`, `connect`, and how a tool is told without its password being
-- in an argument.
local errors = require "pgsh.errors"
local psql = require "pgsh.psql"
local quote = require "pgsh.postgres.quote"
local remote = require "pgsh.postgres.remote"
local secret = require "pgsh.secret"
local unknown = require "pgsh.unknown"

local address = {}

-- What no environment variable carries, and what must not stand in an argument.
local HIDDEN = { "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret" }

---Is it a psql handle (or something that behaves like one)?
function address.is_handle(value)
  if secret.is(value) or unknown.is(value) then return false end
  if type(value) == "userdata" then return tostring(value):find "^psql " ~= nil end
  return type(value) == "table" and type(value.rows) == "function"
end

---A server without an address here.
address.is_remote = remote.is

---A server that knows its own address: a throwaway.
function address.is_server(value)
  return type(value) == "table" and not unknown.is(value) and type(value.conninfo) == "function"
end

---The fields of an address; an unknown in a plan.
---@param given string|pgsh.Secret|function|table
---@param what string                # "postgres.dump: from"
---@param dbname? string
---@return table
function address.fields(given, what, dbname)
  local value = given
  if address.is_server(value) then value = value:conninfo(dbname) end
  if type(value) == "function" then value = value(dbname) end
  if unknown.is(value) then return value end
  if remote.is(value) then errors.usage("%s: a remote server has no address here", what) end
  if type(value) ~= "string" and not secret.is(value) then
    errors.usage("%s: a connection string, a function that returns one, or a throwaway server expected, got %s", what, type(value))
  end
  local fields = quote.parse(value)
  if dbname then fields.dbname = dbname end
  return fields
end

---For a tool: the connection string without secrets, and the environment that has them.
---@param fields table
---@param changes? table
---@return string conninfo
---@return table env
function address.for_tool(fields, changes)
  if unknown.is(fields) then return fields, {} end
  local plain = {}
  for name, value in pairs(fields) do plain[name] = value end
  for name, value in pairs(changes or {}) do plain[name] = value end
  for _, name in ipairs(HIDDEN) do
    if plain[name] then
      errors.usage("%s cannot be handed to a program without being seen by others: put the address into a service file (service=…)", name)
    end
  end
  -- libpq's programs ask for a password when they have none: nobody would answer.
  local env = { PGPASSWORD = plain.password and plain.password ~= "" and secret(plain.password) or nil }
  plain.password = nil
  return quote.conninfo(plain), env
end

---A psql handle on a database of an address, and whether we made it (and have to close it).
---@param given any
---@param what string
---@param dbname? string
---@param more? table                # further options of psql
---@return pgsh.Psql
---@return boolean made
function address.handle(given, what, dbname, more)
  if remote.is(given) then return given:at(dbname), false end
  if address.is_handle(given) then return given, false end
  if address.is_server(given) then return given:psql(dbname), true end
  local fields = address.fields(given, what, dbname)
  local options = { connect_timeout = more and more.connect_timeout, timeout = more and more.timeout }
  if unknown.is(fields) then
    options.conninfo, options.name = fields, "server that is not there yet"
  else
    options.conninfo = quote.with(fields, {})
  end
  return psql(options), true
end

---Call f(handle, …) and close the handle afterwards, if it is ours.
function address.using(handle, made, f, ...)
  local results = table.pack(errors.try(f, handle, ...))
  if made then handle:close() end
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return address
