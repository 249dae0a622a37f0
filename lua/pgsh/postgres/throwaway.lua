-- A temporary server: for a rehearsal, for a spec. It listens on a socket in a directory of mode 0700 and nowhere else, and ends with
-- pgsh, however pgsh ends: a guardian looks whether it is still there.
--
-- Starting it is a change to this machine, and goes through the door; but it is made anew in a resumed run, since the server of the
-- former process is gone (anew.lua).
local anew = require "pgsh.postgres.anew"
local disk = require "pgsh.postgres.disk"
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local installations = require "pgsh.postgres.installations"
local locales = require "pgsh.postgres.locales"
local options = require "pgsh.options"
local psql = require "pgsh.psql"
local quote = require "pgsh.postgres.quote"
local script = require "pgsh.postgres.throwaway_script"
local session = require "pgsh.session"
local sh = require "pgsh.sh"
local unknown = require "pgsh.unknown"

local Throwaway = {}
Throwaway.__index = Throwaway
Throwaway.__name = "pgsh.Throwaway"

local PORT = 5432
local SOCKET_PATH_MAX = 107                 -- of sockaddr_un, on Linux
local ROOM_BYTES = 150 * 1024 * 1024        -- an empty cluster and its first WAL
local GONE_S = 10

local OPTIONS = {
  bin = "string", version = true, name = "string", user = "string", dir = "string", encoding = "string", locale = "string",
  lc_collate = "string", lc_ctype = "string", icu_locale = "string", initdb = "table", settings = "table", room = "number",
  timeout = true,
}

local SETTINGS = {
  listen_addresses = "", port = PORT, fsync = "off", synchronous_commit = "off", full_page_writes = "off", autovacuum = "off",
  shared_buffers = "64MB", max_connections = 40, unix_socket_permissions = "0700", max_wal_size = "4GB", jit = "off",
  wal_level = "logical", -- else every publication of a dump brings a warning
}

function Throwaway:__tostring()
  return ("throwaway PostgreSQL %s%s"):format(self.version or "server", self.closed and " (closed)" or "")
end

-- ---- starting it ----

-- Who runs the server, when we are root: it refuses to.
local function owner()
  local out = sh.read([[id -u; for name in postgres nobody; do
    if id -u "$name" >/dev/null 2>&1; then echo "$name $(id -u "$name") $(id -g "$name")"; break; fi; done]],
    { what = "who am I" }).out
  if out:match "^%d+" ~= "0" then return "", "", "" end
  local name, uid, gid = out:match "\n(%S+) (%d+) (%d+)\n"
  if not name then errors.raise("refused", "root may not run PostgreSQL, and there is neither a user postgres nor nobody here") end
  return name, uid, gid
end

local function initdb_words(self)
  local given = self.given
  local words = { "-U", self.user, "-E", given.encoding or "UTF8", "--locale=" .. (given.locale or "C") }
  if given.lc_collate then words[#words + 1] = "--lc-collate=" .. given.lc_collate end
  if given.lc_ctype then words[#words + 1] = "--lc-ctype=" .. given.lc_ctype end
  if given.icu_locale then
    if self.major < 15 then errors.usage("postgres.throwaway: icu_locale needs version 15 or newer, %s has %s", self.bin, self.version) end
    words[#words + 1] = "--locale-provider=icu"
    words[#words + 1] = "--icu-locale=" .. given.icu_locale
  end
  for _, word in ipairs(given.initdb or {}) do words[#words + 1] = tostring(word) end
  return words
end

local function setting_text(value)
  if value == true or value == false then return value and "on" or "off" end
  return (tostring(value):gsub("'", "''"):gsub("\\", "\\\\"))
end

local function settings_text(self)
  local all, names, lines = {}, {}, {}
  for name, value in pairs(SETTINGS) do all[name] = value end
  if self.major < 11 then all.jit = nil end
  -- In the data directory it goes with it, however the server ends.
  if self.major > 9 then all.dynamic_shared_memory_type = "mmap" end
  for name, value in pairs(self.given.settings or {}) do all[name] = value end
  all.unix_socket_directories = '"' .. self.dir:gsub('"', '""') .. '/run"'
  for name in pairs(all) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    if not name:find "^[%w_.]+$" then errors.usage("postgres.throwaway: %s is no name of a setting", name) end
    if setting_text(all[name]):find "[\n\0]" then errors.usage("postgres.throwaway: the value of %s holds a line break", name) end
    lines[i] = ("%s = '%s'\n"):format(name, setting_text(all[name]))
  end
  return "\n" .. table.concat(lines)
end

local function check(self, parent)
  local given, wanted = self.given, {}
  for _, key in ipairs { "locale", "lc_collate", "lc_ctype" } do
    if given[key] then wanted[#wanted + 1] = given[key] end
  end
  if #wanted > 0 then locales.must_have(wanted) end
  disk.must_have(parent, given.room or ROOM_BYTES, "a throwaway server")
end

-- Tell the guardian to end it. Never through the door: it must work while an error or a Ctrl-C unwinds, and from the collector.
local function stop(self)
  local handle = self.dir and io.open(self.dir .. "/stop", "w")
  if handle then handle:close() end
end

-- Nor is looking whether it has: a directory can be opened, too.
local function exists(path)
  local handle <close> = io.open(path)
  return handle ~= nil
end

local function await_end(self)
  for _ = 1, GONE_S * 20 do
    if not exists(self.dir) then return end
    host.sleep(0.05)
  end
end

-- Nobody can have put something there before.
local function random_name()
  local source <close> = assert(io.open("/dev/urandom", "rb"))
  return (source:read(6):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function run_start(self, parent)
  local name, uid, gid = owner()
  local command = { "/bin/sh", "-c", script.START, "throwaway", self.dir, host.pid, self.bin, name, uid, gid, script.GUARDIAN }
  for _, word in ipairs(initdb_words(self)) do command[#command + 1] = word end
  return sh.run(command, {
    input = settings_text(self), timeout = self.given.timeout or "5m",
    what = ("start a throwaway PostgreSQL %s below %s"):format(self.version, parent),
    resolve = function() return false end,
  })
end

-- "sh exited with 1" tells nobody anything: what the programs said comes first.
local function explain(self, problem)
  if problem.kind ~= "process" or not problem.detail then return problem end
  local last
  for line in problem.detail:gmatch "[^\n]+" do
    if line:find "error:" or line:find "FATAL" or line:find "LOG:  unrec" then
      last = line:gsub("^.-(%u+:  )", "%1")
      break
    end
    last = last or line
  end
  return host.error("process", {
    message = ("a throwaway PostgreSQL %s did not start: %s"):format(self.version, last), detail = problem.detail, exit = problem.exit,
  })
end

local function start(self)
  local parent = (self.given.dir or host.getenv "TMPDIR" or "/tmp"):gsub("(.)/+$", "%1")
  parent = parent ~= "" and parent or "/tmp"
  if parent:sub(1, 1) ~= "/" then parent = sh.read({ "realpath", "--", parent }).out:gsub("\n$", "") end
  self.dir = ("%s/pgsh-throwaway.%d.%s"):format(parent, host.pid, random_name())
  local socket = ("%s/run/.s.PGSQL.%d"):format(self.dir, PORT)
  if #socket > SOCKET_PATH_MAX then
    errors.usage("postgres.throwaway: the socket's path would have %d bytes, more than %d: give a shorter dir", #socket, SOCKET_PATH_MAX)
  end
  check(self, parent)
  local ok, result = errors.try(anew.call, "throwaway", run_start, self, parent)
  if not ok then
    stop(self)
    host.shield(await_end, self)
    error(explain(self, result), 0)
  end
  self.started = true
  if unknown.is(result) then
    self.planned, self.dir = result, nil
    self.env = {}
  else
    self.env = {
      PGHOST = self.dir .. "/run", PGPORT = tostring(PORT), PGUSER = self.user, PGDATABASE = "postgres", PGHOSTADDR = false,
      PGSERVICE = false, PGTARGETSESSIONATTRS = false,
    }
  end
end

---Start it, if it does not run yet: a server that was declared at the top level starts when it is first needed.
function Throwaway:start()
  if self.closed then errors.raise("closed", "%s", tostring(self)) end
  if self.started then return self end
  -- Which binaries there are is asked when it starts: a checklist needs none.
  local found = installations.choose(self.given.bin, self.given.version)
  self.bin, self.version, self.major = found.bin, found.version, found.major
  start(self)
  return self
end

-- ---- using it ----

function Throwaway:conninfo(dbname)
  self:start()
  if self.planned then return self.planned.conninfo end
  -- hostaddr is said, and empty: one in the environment would go before host, to quite another server.
  return quote.conninfo {
    host = self.dir .. "/run", hostaddr = "", port = PORT, user = self.user, dbname = dbname or "postgres", target_session_attrs = "any",
  }
end

function Throwaway:psql(dbname, more)
  if self.planned or (not self.started and session.shows()) then
    return psql { name = self.name, conninfo = self:conninfo(dbname) }
  end
  local given = { name = self.name, conninfo = function() return self:conninfo(dbname) end }
  for key, value in pairs(more or {}) do given[key] = value end
  return psql(given)
end

-- Changes inside are made anew in a resumed run: the server they were made in is gone.
function Throwaway:anew(f, ...)
  if type(f) ~= "function" then errors.usage("throwaway:anew(f, …): a function expected") end
  self:start()
  return anew.call("throwaway", f, ...)
end

function Throwaway:log()
  self:start()
  return sh.read({ "cat", self.dir .. "/run/data/log" }, { what = "the log of the throwaway server" }).out
end

-- One that was killed leaves its file behind.
local ALIVE = [[
{ read -r pid <"$1" && IFS= read -r stat <"/proc/$pid/stat"; } 2>/dev/null || exit 1
case $stat in *"(postgres) Z"*) exit 1 ;; *"(postgres) "*) exit 0 ;; *) exit 1 ;; esac]]

-- Is the server there? A read.
function Throwaway:alive()
  if not self.started or self.planned or self.closed then return false end
  return sh.read({ "/bin/sh", "-c", ALIVE, "alive", self.dir .. "/run/data/postmaster.pid" }, {
    ok = { 0, 1 }, what = ("is the throwaway server %s there?"):format(self.name),
  }).exit == 0
end

function Throwaway:close()
  if self.closed then return end
  self.closed = true
  if not self.started or self.planned then return end
  stop(self)
  host.shield(await_end, self)
end

Throwaway.__close = Throwaway.close

function Throwaway:__gc()
  if self.started and not self.closed and not self.planned then stop(self) end
end

local throwaway = {}

---At the top level of a procedure it is declared (its psql handles are targets) and starts when it is needed; elsewhere it starts.
function throwaway.new(given)
  given = options.check("postgres.throwaway", given, OPTIONS)
  -- initdb makes the superuser the owner of an extension, and there these are refused.
  if given.user and given.user:find "[\"$'\\%c]" then errors.usage("postgres.throwaway: user may not have quotes, $ or \\ in it") end
  local self = setmetatable({ given = given, user = given.user or "postgres", name = given.name or "throwaway" }, Throwaway)
  local current = session.current
  if current and current.registering then
    host.target("psql", self.name)
    return self
  end
  return self:start()
end

function throwaway.is(value)
  return getmetatable(value) == Throwaway
end

return throwaway
