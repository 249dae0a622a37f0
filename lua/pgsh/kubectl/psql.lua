-- A database in a pod, by the psql there: for where no connection leads from here to it. It has the methods of a psql handle that
-- whole-server
-- functions need (postgres.inventory, is_empty); rows travel as JSON.
local client = require "pgsh.kubectl.client"
local errors = require "pgsh.errors"
local exec = require "pgsh.kubectl.exec"
local host = require "pgsh.host"
local json = require "pgsh.json"
local quote = require "pgsh.postgres.quote"
local unknown = require "pgsh.unknown"

local psql = {}

local Db = {}
Db.__index = Db
Db.__name = "kubectl.psql"

function Db:__tostring() return ("psql %s in %s"):format(self.options.database or "", self.name) end

local function literal(value)
  if value == nil or value == json.null then return "null" end
  if type(value) == "boolean" then return value and "true" or "false" end
  if type(value) == "number" then return tostring(value) end
  return quote.literal(value)
end

-- A psql.options{…} behind the parameters.
local OPTIONS = getmetatable(require("pgsh.psql").options {})

local function split(...)
  local all, options = table.pack(...), {}
  local last = all[all.n]
  if all.n > 0 and type(last) == "table" and getmetatable(last) == OPTIONS then
    options, all.n = last, all.n - 1
  end
  return all, options
end

-- PREPARE gives the parameters the types that their places have.
local function statement(sql, parameters, as_rows)
  sql = sql:gsub("[%s;]+$", "")
  local body = as_rows and ("select coalesce(json_agg(pgsh_row), '[]') from (%s\n) pgsh_row"):format(sql) or sql
  if parameters.n == 0 then return body .. ";\n" end
  local values = {}
  for i = 1, parameters.n do values[i] = literal(parameters[i]) end
  return ("prepare pgsh_query as %s;\nexecute pgsh_query(%s);\n"):format(body, table.concat(values, ", "))
end

local function argv_of(self)
  local words = { "psql", "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose" }
  for flag, key in pairs { ["-U"] = "user", ["-d"] = "database", ["-h"] = "host", ["-p"] = "port" } do
    if self.options[key] then table.move({ flag, tostring(self.options[key]) }, 1, 2, #words + 1, words) end
  end
  return words
end

-- psql's words as the error a psql handle raises.
local function failure(self, e)
  local said = type(e) == "table" and (e.detail or e.message) or ""
  local severity, sqlstate, text = said:match "(%u+):  (%w%w%w%w%w): ([^\n]+)"
  if not sqlstate then return e end
  return host.error("psql", { message = text, sqlstate = sqlstate, target = tostring(self), detail = said, severity = severity })
end

local function env_of(self, read_only)
  local env = { PGOPTIONS = read_only and "-c default_transaction_read_only=on" or "", PGAPPNAME = "pgsh" }
  for name, value in pairs(self.options.env or {}) do env[name] = value end
  return env
end

local function call(self, how, text, what, options)
  options = options or {}
  local given = {
    container = self.options.container, env = env_of(self, how == exec.read), input = text, what = what, timeout = options.timeout,
    limit = how == exec.read and "256M" or nil, resolve = options.resolve,
  }
  local ok, result = pcall(how, self.kubectl, self.pod, argv_of(self), given)
  if not ok then error(failure(self, result), 0) end
  return result
end

local function shown(self, sql)
  local line = sql:gsub("%s+", " "):gsub("^ ", "")
  if #line > 100 then line = line:sub(1, 97):gsub("[\x80-\xff]*$", "") .. "..." end
  return ("psql in %s: %s"):format(self.name, line)
end

function Db:rows(sql, ...)
  if unknown.is(sql) then return unknown.new "rows" end
  local parameters, options = split(...)
  local what = options.what and ("psql in %s: %s"):format(self.name, options.what) or shown(self, sql)
  local result = call(self, exec.read, statement(sql, parameters, true), what, { timeout = options.timeout })
  if unknown.is(result) then return result end
  local rows = json.decode(result.out)
  for _, row in ipairs(rows) do
    for key, value in pairs(row) do
      if value == json.null then row[key] = nil end
    end
  end
  return rows
end

function Db:row(sql, ...)
  local rows = self:rows(sql, ...)
  return unknown.is(rows) and rows or rows[1]
end

-- Of a row with one column.
function Db:value(sql, ...)
  local row = self:row(sql, ...)
  if row == nil or unknown.is(row) then return row end
  local _, value = next(row)
  return value
end

function Db:each(sql, ...)
  local rows, i = self:rows(sql, ...), 0
  return function()
    i = i + 1
    return rows[i]
  end
end

-- A change: SQL as psql takes it, statement by statement.
function Db:execute(sql, options)
  options = client.check_options("execute", options, { resolve = true, timeout = true, what = true })
  return call(self, exec.exec, sql:gsub("[%s;]+$", "") .. ";\n", options.what or shown(self, sql), options)
end

function Db:close() end -- luacheck: ignore 212

---@param kubectl table
---@param pod string
---@param options? table
function psql.new(kubectl, pod, options)
  options = client.check_options("k:psql", options, { user = true, database = true, host = true, port = true, container = true,
    env = true })
  if pod == nil then errors.usage "k:psql: a pod expected" end
  return setmetatable({ kubectl = kubectl, pod = pod, name = type(pod) == "table" and pod.metadata.name or tostring(pod),
    options = options }, Db)
end

return psql
