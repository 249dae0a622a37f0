-- remote: a server that has no address here: in a pod, on a host whose PostgreSQL listens on its socket only. It is asked by the psql
-- beside it, which is started there by something that can run commands: an ssh handle, a pod of kubectl, or anything with the same
-- read, run, output and input.
--
-- A read is one psql: every statement in one READ ONLY transaction, every answer one line of JSON. What runs commands elsewhere may
-- lose the end of what is sent or said without an error. So a statement that is cut is no statement any more (its end closes a
-- bracket), and an answer counts only with the mark behind it.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local json = require "pgsh.json"
local options = require "pgsh.options"
local quote = require "pgsh.postgres.quote"
local unknown = require "pgsh.unknown"

local Remote = {}
Remote.__index = Remote
Remote.__name = "pgsh.Remote"

local remote = {}

local OPTIONS = {
  pod = "string", container = "string", user = "string", database = "string", name = "string", env = "table", psql = "string",
  timeout = true, application = "string",
}

local MARK = "pgsh: that is all"

function Remote:__tostring() return ("psql %s/%s"):format(self.name, self.database) end

---Is it one?
function remote.is(value) return getmetatable(value) == Remote end

-- The words in front of a program there: its environment.
local function environment(self, more)
  local all, names, words = { PGAPPNAME = self.given.application or "pgsh", PGCLIENTENCODING = "UTF8", LC_ALL = "C" }, {}, { "env" }
  for _, list in ipairs { self.given.env or {}, more or {} } do
    for name, value in pairs(list) do all[name] = value end
  end
  for name in pairs(all) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do words[#words + 1] = ("%s=%s"):format(name, all[name]) end
  return words
end

---The words of a program there, with its environment and how it connects.
---@param name string                # "pg_dumpall"
---@param words string[]
---@param env? table
---@return string[]
function Remote:command(name, words, env)
  local all = environment(self, env)
  all[#all + 1] = name
  if self.given.user then table.move({ "-U", self.given.user }, 1, 2, #all + 1, all) end
  return table.move(words, 1, #words, #all + 1, all)
end

---The same server, another database.
---@param database? string
function Remote:at(database)
  if not database or database == self.database then return self end
  return setmetatable({ where = self.where, given = self.given, name = self.name, database = database }, Remote)
end

-- ---- asking ----

-- A literal for $1, $2 …; the last value may be options of psql.
local function literal(value)
  if value == nil or value == json.null then return "null" end
  if type(value) == "number" or type(value) == "boolean" then return tostring(value) end
  if type(value) == "string" then return quote.literal(value) end
  errors.usage("a parameter is a text, a number or a boolean here, not a %s", type(value))
end

-- A query with its parameters, and what it is called. PREPARE puts them in their places: a $1 in a text or a comment is none.
local function bound(sql, ...)
  local values, what = table.pack(...), nil
  if type(values[values.n]) == "table" and values[values.n] ~= json.null then
    what = values[values.n].what
    values.n = values.n - 1
  end
  local why, length = host.not_a_query(sql)
  if why then error(host.error("refused", { message = "this is not to be asked as a read: " .. why, detail = sql }), 0) end
  local types, words = {}, {}
  for i = 1, values.n do
    types[i] = type(values[i]) == "boolean" and "boolean" or "unknown"
    words[i] = literal(values[i])
  end
  return { sql = sql:sub(1, length), types = table.concat(types, ", "), values = table.concat(words, ", ") }, what
end

local function key_of(query) return query.sql .. "\0" .. query.values end

local function text_of(list)
  local lines = {
    "set default_transaction_read_only = on;", "begin read only;",
  }
  for i, query in ipairs(list) do
    local text = ("select coalesce(jsonb_agg(to_jsonb(pgsh_row)), '[]') from (\n%s\n) pgsh_row;"):format(query.sql)
    if query.values ~= "" then
      text = ("prepare pgsh_%d (%s) as %s\nexecute pgsh_%d (%s);"):format(i, query.types, text, i, query.values)
    end
    lines[#lines + 1] = text
  end
  lines[#lines + 1] = "commit;"
  lines[#lines + 1] = "\\echo " .. quote.literal(MARK):gsub("^ E", "")
  return table.concat(lines, "\n") .. "\n"
end

-- What psql said of the server, as an error of the kind that psql handles raise; else what was raised.
local function explain(self, problem)
  if problem.code == "unknown" then return problem end
  local said = problem.detail or ""
  local sqlstate, text = said:match "ERROR:%s+([%u%d][%u%d][%u%d][%u%d][%u%d]): ([^\n]*)"
  if sqlstate then return host.error("psql", { message = text, sqlstate = sqlstate, detail = said, target = tostring(self) }) end
  local why = said:match "psql: error: ([^\n]*)" or said:match "FATAL:%s+([^\n]*)"
  if why or problem.exit == 2 and problem.kind ~= "interrupted" then
    return host.error("psql_connect", { message = why or problem.message, detail = said, target = tostring(self) })
  end
  return problem
end

-- Ask several things at once, at one moment. Returns the rows of each.
local function ask(self, list, what)
  local command = self:command(self.given.psql or "psql", {
    "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", self.database, "-f", "-",
  }, { PGOPTIONS = "-c client_min_messages=error" })
  local shown = ("%s: %s"):format(tostring(self), what or list[1].sql:gsub("%s+", " "):sub(1, 60))
  local ok, done = errors.try(self.where.read, self.where, command, {
    input = text_of(list), what = shown, limit = "256M", timeout = self.given.timeout,
  })
  if not ok then error(explain(self, done), 0) end
  if unknown.is(done) then return done end
  local out = {}
  for line in done.out:gmatch "[^\n]+" do
    if line == MARK then
      if #out ~= #list then break end
      return out
    end
    local decoded, rows = pcall(json.decode, line)
    if not decoded then break end
    out[#out + 1] = rows
  end
  error(host.error("psql_connect", {
    message = ("%s: the answer was cut short"):format(shown), target = tostring(self), hint = "the connection was lost while it was read",
  }), 0)
end

local function plain(row)
  local out = {}
  for name, value in pairs(row) do
    if value ~= json.null then out[name] = value end
  end
  return out
end

---Read ahead: what these statements ask is answered without asking again, once each. { sql, parameters… } each.
---@param list table[]
function Remote:ahead(list)
  local queries = {}
  for i, one in ipairs(list) do queries[i] = (bound(table.unpack(one, 1, one.n or #one))) end
  local answers = ask(self, queries, "what there is")
  if unknown.is(answers) then return end
  self.known = {}
  for i, query in ipairs(queries) do self.known[key_of(query)] = answers[i] end
end

---All rows, as plain tables; NULL is an absent key.
function Remote:rows(sql, ...)
  local query, what = bound(sql, ...)
  local rows = self.known and self.known[key_of(query)]
  if rows then
    self.known[key_of(query)] = nil
  else
    rows = ask(self, { query }, what)
    if unknown.is(rows) then return rows end
    rows = rows[1]
  end
  local out = {}
  for i, row in ipairs(rows) do out[i] = plain(row) end
  return out
end

---The only row, or nil.
function Remote:row(sql, ...)
  local rows = self:rows(sql, ...)
  if unknown.is(rows) then return rows end
  if #rows > 1 then errors.raise("psql", "%s: one row expected, got %d", tostring(self), #rows) end
  return rows[1]
end

---The only column of the only row; nil when there is no row or it is NULL.
function Remote:value(sql, ...)
  local row = self:row(sql, ...)
  if unknown.is(row) or row == nil then return row end
  local name, value = next(row)
  if name ~= nil and next(row, name) ~= nil then errors.raise("psql", "%s: one column expected", tostring(self)) end
  return value
end

---Row by row.
function Remote:each(sql, ...)
  local rows, i = self:rows(sql, ...), 0
  if unknown.is(rows) then rows = {} end
  return function()
    i = i + 1
    return rows[i]
  end
end

-- ---- changing ----

local EXECUTE = { what = "string", timeout = true, resolve = "function" }

---Change: one statement, outside of a transaction of ours.
---@param sql string
---@param given? {what: string?, timeout: number|string?, resolve: function?}
function Remote:execute(sql, given)
  given = options.check("remote:execute", given, EXECUTE)
  local command = self:command(self.given.psql or "psql", {
    "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", self.database, "-c", sql,
  })
  local ok, done = errors.try(self.where.run, self.where, command, {
    what = given.what or ("%s: %s"):format(tostring(self), sql:gsub("%s+", " "):sub(1, 80)), timeout = given.timeout,
    resolve = given.resolve,
  })
  if not ok then error(explain(self, done), 0) end
  return done
end

---There is nothing to close: every question is a psql of its own.
function Remote.close() end

-- A pod of a cluster, by the four words.
local function pod_of(k, given)
  local function method(name)
    return function(_, command, more)
      more = more or {}
      more.container = more.container or given.container
      return k[name](k, given.pod, command, more)
    end
  end
  return { read = method "read", run = method "exec", output = method "output", input = method "input" }
end

---@param where table                # read, run, output, input: an ssh handle, a pod
---@param given? table
function remote.new(where, given)
  given = options.check("postgres.remote", given, OPTIONS)
  local name_of = tostring(where)
  if given.pod then where, name_of = pod_of(where, given), ("%s %s"):format(name_of, given.pod) end
  for _, name in ipairs { "read", "run", "output", "input" } do
    local ok, method = pcall(function() return where[name] end)
    if not ok or type(method) ~= "function" then
      errors.usage("postgres.remote: what can run commands is needed (an ssh handle, a pod): it has no %s", name)
    end
  end
  for name, value in pairs(given.env or {}) do
    if type(name) ~= "string" or type(value) ~= "string" then errors.usage("postgres.remote: env has texts only: %s", tostring(name)) end
  end
  return setmetatable({
    where = where, given = given, database = given.database or "postgres", name = given.name or name_of,
  }, Remote)
end

return remote
