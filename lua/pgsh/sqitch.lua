-- sqitch: the changes of a sqitch project, and which of them a database has. Over the sqitch program, and over the tables in which it
-- keeps what it did.
--
-- Where the database is, is given to sqitch in libpq's own variables: a target in its arguments could be read by every user of the
-- machine. sqitch writes down each change as it is made; so when a deployment was cut off, its tables say how far it came, once no
-- sqitch is at work any more.
local address = require "pgsh.postgres.address"
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local options = require "pgsh.options"
local pipe = require "pgsh.pipe"
local plain = require "pgsh.plain"
local psql = require "pgsh.psql"
local quote = require "pgsh.postgres.quote"
local secret = require "pgsh.secret"
local settle = require "pgsh.settle"
local sh = require "pgsh.sh"
local unknown = require "pgsh.unknown"

local Project = {}
Project.__index = Project
Project.__name = "sqitch.project"

-- Without a database in it: libpq's variables say which.
local TARGET = "db:pg:"

-- What sqitch locks a database by while it deploys (App::Sqitch::Engine::pg).
local LOCK = 75474063
local CALM_MS = 1000

local VARIABLES = {
  host = "PGHOST", hostaddr = "PGHOSTADDR", port = "PGPORT", dbname = "PGDATABASE", user = "PGUSER", password = "PGPASSWORD",
  passfile = "PGPASSFILE", service = "PGSERVICE", options = "PGOPTIONS", application_name = "PGAPPNAME", sslmode = "PGSSLMODE",
  sslcert = "PGSSLCERT", sslkey = "PGSSLKEY", sslrootcert = "PGSSLROOTCERT", sslcrl = "PGSSLCRL", sslsni = "PGSSLSNI",
  requirepeer = "PGREQUIREPEER", channel_binding = "PGCHANNELBINDING", connect_timeout = "PGCONNECT_TIMEOUT",
  target_session_attrs = "PGTARGETSESSIONATTRS", gssencmode = "PGGSSENCMODE", krbsrvname = "PGKRBSRVNAME",
  ssl_min_protocol_version = "PGSSLMINPROTOCOLVERSION", ssl_max_protocol_version = "PGSSLMAXPROTOCOLVERSION",
}

-- Of sqitch's own, which would go before ours; and its language, which is read here.
local PLAIN = {
  SQITCH_TARGET = false, SQITCH_USERNAME = false, SQITCH_PASSWORD = false, LC_ALL = "C.UTF-8", LANGUAGE = false, PAGER = "cat",
  SQITCH_PAGER = "cat", TZ = "UTC",
}

function Project:__tostring() return "sqitch " .. self.name end

-- Where it is ----------------------------------------------------------------------------------------------------------------------

local function conninfo_of(self)
  local given = self.database
  if type(given) == "table" and not unknown.is(given) and not secret.is(given) then
    if type(given.url) == "function" then return given:url() end
    if type(given.conninfo) == "function" then return given:conninfo() end
  end
  if type(given) == "function" then return given() end
  return given
end

-- The environment of a command: where the database is, and nothing that would say otherwise.
local function environment(self)
  local given, env = conninfo_of(self), {}
  for name, value in pairs(PLAIN) do env[name] = value end
  if unknown.is(given) then return env end
  local fields = address.fields(given, "sqitch")
  for name, variable in pairs(VARIABLES) do
    local value = fields[name]
    if value == "" then value = nil end
    if name == "password" and value then value = secret(value) end
    -- One of ours stays where the address says nothing: a password file, say.
    if value then env[variable] = value end
    fields[name] = nil
  end
  local left = next(fields)
  if left then errors.usage("sqitch: %s in the database's address cannot be handed to it; use a service file", left) end
  return env
end

-- A command that only reads; its error has what sqitch said in its one line.
local function read(self, words, given)
  local ok, result = pcall(self.tool.read, self.tool, words, given)
  if ok then return result end
  local said = result.kind == "process" and plain.trim(result.detail or ""):match "^[^\n]*" or ""
  if said == "" then error(result, 0) end
  error(host.error("process", {
    message = ("sqitch %s: %s"):format(words[1], said), target = tostring(self), exit = result.exit, detail = result.detail,
  }), 0)
end

-- The plan -------------------------------------------------------------------------------------------------------------------------

-- The changes of sqitch.plan in order: { id, name, word }; word is what sqitch calls it by: the id, when several have the name (it was
-- reworked). Read anew when the file was edited.
function Project:plan()
  local text = (host.read_file(self.dir .. "/sqitch.plan") or "") .. (host.read_file(self.dir .. "/sqitch.conf") or "")
  if text ~= "" and text == self.planned_from then return self.planned end
  local result = read(self, { "plan", "--no-headers", "--format", "format:%H %n" }, { cwd = self.dir, env = PLAIN })
  local changes, times = {}, {}
  for id, name in result.out:gmatch "(%x+) ([^\n]+)" do
    changes[#changes + 1] = { id = id, name = name }
    times[name] = (times[name] or 0) + 1
  end
  for _, change in ipairs(changes) do change.word = times[change.name] == 1 and change.name or change.id end
  if #changes == 0 then errors.usage("sqitch: %s has no changes", self.dir .. "/sqitch.plan") end
  self.planned, self.planned_from = changes, text
  return changes
end

-- The changes up to one (its last, when it was reworked), or all of them.
local function plan_to(self, name)
  local changes = self:plan()
  if not name then return changes end
  for i = #changes, 1, -1 do
    if changes[i].name == name then return { table.unpack(changes, 1, i) } end
  end
  local names = {}
  for i, change in ipairs(changes) do names[i] = change.name end
  errors.usage("sqitch: there is no change %s in %s/sqitch.plan; it has %s", name, self.dir, table.concat(names, ", "))
end

-- What the database has ------------------------------------------------------------------------------------------------------------

local function registry(self, name)
  return ("%s.%s"):format(quote.identifier(self.registry), quote.identifier(name))
end

local DEPLOYED = [[
select change_id as id, change as name, to_char(committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
  committer_name as by from %s order by committed_at]]

-- The changes that the database has, by sqitch's own tables, in the order of deployment: { id, name, at, by }. None, when sqitch has
-- never been there.
function Project:deployed()
  if not self.sql:value("select to_regclass($1) is not null", registry(self, "changes")) then return {} end
  return self.sql:rows(DEPLOYED:format(registry(self, "changes")))
end

local function missing_of(wanted, deployed)
  local has, out = {}, {}
  for _, change in ipairs(deployed) do has[change.id] = true end
  for _, change in ipairs(wanted) do
    if not has[change.id] then out[#out + 1] = change.word end
  end
  return out
end

-- The names of the changes that the database has not: of all, or up to one.
function Project:undeployed(to)
  return missing_of(plan_to(self, to), self:deployed())
end

-- Has the database every change (up to one)? For verify: false and those that it has not.
function Project:is_deployed(to)
  local missing = self:undeployed(to)
  return #missing == 0, #missing > 0 and "not deployed: " .. table.concat(missing, ", ") or nil
end

-- Is a sqitch at work on the database?
function Project:is_busy()
  return self.sql:value("select count(*) from pg_locks where locktype = 'advisory' and objid = $1 and granted", LOCK) > 0
end

-- What `sqitch status` says: { project, change, name, deployed_at, by, undeployed }; name is nil when nothing was deployed.
function Project:status()
  local result = read(self, { "status", TARGET }, { cwd = self.dir, env = environment(self), ok = { 0, 1 } })
  local said = { undeployed = {} }
  for key, value in result.out:gmatch "# (%a+):%s*([^\n]*)" do said[key:lower()] = value end
  local list = result.out:match "Undeployed changes?:\n(.*)$" or ""
  for name in list:gmatch "  %* ([^\n]+)" do said.undeployed[#said.undeployed + 1] = name:match "^%S+" end
  if result.exit == 1 then
    -- The words of the two cases in which nothing is wrong.
    local text = result.out .. result.err
    if not text:find "No changes deployed" and not text:find "has not been initialized" then
      error(host.error("process", { message = "sqitch status ended with 1", target = tostring(self), detail = text }), 0)
    end
    said.undeployed = {}
    for i, change in ipairs(self:plan()) do said.undeployed[i] = change.name end
  end
  return {
    project = said.project, change = said.change, name = said.name, deployed_at = said.deployed, by = said.by, undeployed = said.undeployed,
  }
end

local EVENTS = [[
select event, change_id as id, change as name, note, to_char(committed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at,
  committer_name as by from %s order by committed_at desc limit $1]]

-- What sqitch did to the database, newest first: { event ("deploy", "revert", "fail"), id, name, note, at, by }. options: limit (100).
function Project:log(given)
  if not self.sql:value("select to_regclass($1) is not null", registry(self, "events")) then return {} end
  return self.sql:rows(EVENTS:format(registry(self, "events")), (given or {}).limit or 100)
end

-- Deploying ------------------------------------------------------------------------------------------------------------------------

-- sqitch's lines as they come: each is shown at once, and kept for an error.
local function reader()
  local self = { lines = {} }
  function self.line(text)
    -- What a script prints stands between the change and its outcome.
    self.current = text:match "^  %+ (%S+) %.+" or self.current
    if self.current and text:match "not ok%s*$" then self.failed = self.failed or self.current end
    self.lines[#self.lines + 1] = text
    if text:match "%S" then host.emit("log", { level = "info", text = "sqitch: " .. text:gsub("^%s+", "") }) end
  end
  return self
end

-- Which change was it, and what did the server say?
local function explained(self, failure, seen, done)
  if failure.kind ~= "process" then return failure end
  local text = table.concat(seen.lines, "\n")
  local why = text:match "ERROR:%s+([^\n]+)" or text:match "FATAL:%s+([^\n]+)" or text:match "(%S[^\n]*)%s*$" or failure.message
  return host.error("process", {
    message = (seen.failed and ("the change %s failed: "):format(seen.failed) or "sqitch deploy failed: ") .. why,
    target = tostring(self), exit = failure.exit, detail = text:sub(-2000),
    hint = #done > 0 and "deployed before it, and kept: " .. table.concat(done, ", ") or nil,
  })
end

-- A deployment that was cut off: once no sqitch is at work any more, it can be let out anew, which goes on where it stopped. nil when one
-- still is.
local function is_over(self)
  local calm
  local over = settle.look(self.settle, function()
    -- One that has just begun has no lock yet.
    calm = not self:is_busy() and (calm or host.mono()) or nil
    return calm and host.mono() - calm >= CALM_MS
  end)
  if over then return false end
  return nil
end

local function deploy_one(self, given, change, what, done)
  local words, seen = { "deploy", "--to-change", change }, reader()
  if given.log_only then words[#words + 1] = "--log-only" end
  if given.verify then words[#words + 1] = "--verify" end
  words[#words + 1] = TARGET
  local sink = self.speaking:input(words, { cwd = self.dir, env = environment(self), stderr = seen.line })
  local ok, result = pcall(pipe, {
    "", sink, what = what, timeout = given.timeout, resolve = function() return is_over(self) end,
  })
  if not ok then error(explained(self, result, seen, done), 0) end
end

local FLAGS = { to = "string", log_only = "boolean", verify = "boolean", timeout = true }

-- One change after the other, each an effect of its own: when one fails, those before it are done, and sqitch is not asked to revert them
-- as it would if it had been given all at once. The effects look alike, so that a resumed run, in which fewer are left, finds them.
local function deploy_each(self, given, wanted)
  local what = ("deploy the next change%s%s"):format(given.to and " up to " .. given.to or "", given.log_only and " --log-only" or "")
  local done, left = {}, missing_of(wanted, self:deployed())
  while #left > 0 or host.recorded() do
    local recorded = host.recorded()
    deploy_one(self, given, left[1] or wanted[#wanted].word, what, done)
    local still = missing_of(wanted, self:deployed())
    if recorded ~= "ok" then
      if left[1] and still[1] == left[1] then errors.usage("sqitch says that it deployed %s, but its tables do not have it", left[1]) end
      done[#done + 1] = left[1]
    end
    left = still
  end
  return { deployed = done }
end

-- Deploy the changes that the database has not: all of them, or those up to one. options: to (a change), log_only (write down that they are
-- deployed, and run nothing), verify (run each one's test), timeout (of each). Nothing to deploy is no error.
function Project:deploy(given)
  given = options.check("sqitch deploy", given, FLAGS)
  local wanted = plan_to(self, given.to)
  if host.mode() == "plan" then
    for _, name in ipairs(missing_of(wanted, self:deployed())) do
      deploy_one(self, given, name, ("deploy --to-change %s%s"):format(name, given.log_only and " --log-only" or ""), {})
    end
    return {}
  end
  return host.branch(("sqitch %d"):format(host.ordinal()), deploy_each, self, given, wanted)
end

-- The module -----------------------------------------------------------------------------------------------------------------------

local OPTIONS = { dir = "string", database = true, name = "string", registry = "string", settle = true }

-- The project in a directory (where sqitch.plan is), and a database. dir; database: a connection string, a function that returns one, or
-- anything that has :url() or :conninfo() (app:database "LOGS_DATABASE", a throwaway server); name: of the target; registry ("sqitch");
-- settle ("20s").
local function open(given)
  given = options.check("sqitch", given, OPTIONS)
  if not given.dir or given.dir == "" then errors.usage "sqitch: dir, the directory of sqitch.plan, is missing" end
  if given.database == nil then errors.usage "sqitch: database is missing" end
  local name = given.name
  if not name then
    if type(given.database) == "function" then errors.usage "sqitch: a database that is only known later needs a name" end
    name = tostring(given.database)
    if type(given.database) == "string" or secret.is(given.database) then
      local fields = address.fields(given.database, "sqitch")
      name = ("%s%s/%s"):format(fields.host or fields.service or "local", fields.port and ":" .. fields.port or "", fields.dbname or "")
    end
  end
  local self = setmetatable({
    dir = given.dir, database = given.database, name = name, registry = given.registry or "sqitch", settle = given.settle,
    tool = sh.tool { kind = "sqitch", name = name, argv = { "sqitch" }, shown = "sqitch" },
    -- Its progress goes to standard output, of which a pipe's sink shows nothing before the end.
    speaking = sh.tool { kind = "sqitch", name = name, argv = { "sh", "-c", 'exec sqitch "$@" >&2', "sqitch" }, shown = "sqitch" },
  }, Project)
  local database = given.database
  if type(database) == "table" and type(database.rows) == "function" then
    self.sql = database
  else
    self.sql = psql { name = name, conninfo = function() return (conninfo_of(self)) end }
  end
  return self
end

return setmetatable({}, { __call = function(_, given) return open(given) end })
