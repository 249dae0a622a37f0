-- A real PostgreSQL primary and its streaming follower, as an unprivileged user, inside the lab's directory.
local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local proc = require "core.proc"

local postgres = {}

local Server = {}
Server.__index = Server

local POLL_S = 0.005
local START_LIMIT_S = 30

-- Polls until test() is true; an error that names what was waited for after limit seconds.
local function wait_until(what, test, limit)
  local deadline = cqueues.monotime() + (limit or START_LIMIT_S)
  while true do
    local seen = test()
    if seen then return seen end
    if cqueues.monotime() > deadline then error("timed out waiting until " .. what, 0) end
    cqueues.sleep(POLL_S)
  end
end

local function read_file(path)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read("a")
  file:close()
  return text
end

local function write_file(path, mode, text)
  local file = assert(io.open(path, mode))
  file:write(text)
  assert(file:close())
end

local function random_name(prefix, length, alphabet)
  local out = {}
  for i = 1, length do
    local at = math.random(#alphabet)
    out[i] = alphabet:sub(at, at)
  end
  return prefix .. table.concat(out)
end

local LETTERS, HEX = "abcdefghijklmnopqrstuvwxyz0123456789", "0123456789abcdef"

-- Names as Heroku makes them.
function postgres.random_credentials()
  return {
    user = random_name("u", 13, LETTERS), password = random_name("p", 64, HEX), dbname = random_name("d", 13, LETTERS),
  }
end

function postgres.random_password()
  return random_name("p", 64, HEX)
end

-- One operation at a time on a server; the others wait their turn.
function Server:exclusive(operation, ...)
  while self.busy do self.turn:wait() end
  self.busy = true
  local result = table.pack(pcall(operation, self, ...))
  self.busy = false
  self.turn:signal(1)
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

-- The last line of postmaster.pid: "ready" (a hot standby too), "starting", "stopping"; nil without a server.
function Server:status()
  local text = read_file(self.data .. "/postmaster.pid")
  if not text then return nil end
  local lines = {}
  for line in text:gmatch("[^\n]*") do lines[#lines + 1] = line end
  return (lines[8] or "starting"):match("%S+") or "starting"
end

function Server:is_up()
  return self:status() == "ready"
end

function Server:start()
  if self:is_up() then return end
  self.group.touched = true
  -- The pipe of proc.run must not be inherited by the postmaster: pg_ctl -l redirects it.
  self.group:must({ "pg_ctl", "-D", self.data, "-W", "-s", "-l", self.log, "start" })
  local up, problem = pcall(wait_until, self.name .. " accepts connections", function() return self:is_up() end)
  if not up then error(("%s; its log ends:\n%s"):format(problem, (read_file(self.log) or ""):sub(-1000)), 0) end
end

function Server:stop(mode)
  if not self:status() then return end
  self.group.touched = true
  self.group:must({ "pg_ctl", "-D", self.data, "-W", "-s", "-m", mode or "fast", "stop" })
  wait_until(self.name .. " has stopped", function() return not self:status() end)
end

-- Runs SQL as the superuser; returns the exit status and the output, rows by line and columns by tab.
function Server:sql(text, dbname)
  return proc.run(proc.command {
    self.group.bin .. "/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-h", self.group.sockets,
    "-p", self.port, "-U", "postgres", "-d", dbname or self.group.credentials.dbname, "-c", text,
  })
end

function Server:must_sql(text, dbname)
  local status, output = self:sql(text, dbname)
  if status ~= 0 then error("SQL on " .. self.name .. " failed: " .. output, 0) end
  return output
end

-- Starts as a standby that follows nobody: readable, in recovery, until promote.
function Server:start_in_recovery()
  write_file(self.data .. "/standby.signal", "w", "")
  self:start()
end

function Server:promote()
  self.group.touched = true
  self:must_sql("select pg_promote(true, 30)", "postgres")
end

local Group = {}
Group.__index = Group

function Group:must(argv, what)
  local name = argv[1]
  argv[1] = self.bin .. "/" .. name
  return proc.must(("cd %s && %s%s"):format(proc.quote(self.dir), self.as_user, proc.command(argv)), what or name)
end

-- Below the range from which the kernel takes the ports of outgoing connections: one of those must not sit on a server's port while
-- the server is down.
local function free_port()
  local luasocket = require "socket"
  for _ = 1, 200 do
    local port = math.random(10240, 32000)
    local probe = luasocket.bind("127.0.0.1", port)
    if probe then
      probe:close()
      return port
    end
  end
  error("no free port between 10240 and 32000", 0)
end

local function find_binaries()
  local given = os.getenv("PGSH_LAB_BIN")
  if given and given ~= "" then return given end
  local _, found = proc.run("ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1")
  found = found:match("%S+")
  if found then return found end
  local status, path = proc.run("dirname \"$(command -v pg_ctl)\"")
  if status ~= 0 or not path:match("^/") then
    error("no PostgreSQL server programs: set PGSH_LAB_BIN or install postgresql", 0)
  end
  return (path:gsub("%s+$", ""))
end

-- PostgreSQL refuses to run as root, so root lends itself an ordinary user.
local function unprivileged_prefix(dir)
  local _, uid = proc.run("id -u")
  if uid:match("%d+") ~= "0" then return "", nil end
  for _, name in ipairs { "postgres", "nobody" } do
    local status, group = proc.run("id -g " .. name)
    if status == 0 then
      local prefix = ("setpriv --reuid=%s --regid=%s --clear-groups -- "):format(name, group:match("%d+"))
      if proc.run(prefix .. "test -x " .. proc.quote(dir)) ~= 0 then
        error(("user %s cannot enter %s: set TMPDIR to a directory that is open to all"):format(name, dir), 0)
      end
      return prefix, name
    end
  end
  error("running as root, and there is neither a user postgres nor a user nobody", 0)
end

local SETTINGS = [[
listen_addresses = '127.0.0.1'
unix_socket_permissions = 0700
fsync = off
full_page_writes = off
synchronous_commit = local
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
max_connections = 60
max_wal_senders = 6
wal_keep_size = 64MB
hot_standby = on
hot_standby_feedback = on
wal_retrieve_retry_interval = 100ms
password_encryption = scram-sha-256
log_connections = off
autovacuum_naptime = 10min
track_commit_timestamp = on
max_prepared_transactions = 10
max_standby_streaming_delay = 1s
]]

local ACCESS = [[
local all all trust
local replication all trust
host all all 127.0.0.1/32 scram-sha-256
]]

local function configure(server)
  write_file(server.data .. "/postgresql.auto.conf", "a",
    ("port = %d\nunix_socket_directories = '%s'\n"):format(server.port, server.group.sockets))
end

local function new_server(group, name)
  return setmetatable({
    group = group, name = name, port = free_port(), data = group.dir .. "/" .. name,
    log = group.dir .. "/" .. name .. ".log", turn = condition.new(),
  }, Server)
end

local function create_roles(group)
  local given, other = group.credentials, group.second
  group.primary:must_sql(([[
    create role %s login password '%s';
    create role %s login password '%s' in role %s;
  ]]):format(given.user, given.password, other.user, other.password, given.user), "postgres")
  group.primary:must_sql(("create database %s owner %s"):format(given.dbname, given.user), "postgres")
  group.primary:must_sql(("grant pg_monitor, pg_signal_backend to %s; alter schema public owner to %s")
    :format(given.user, given.user))
end

local function copy_follower(group)
  group:must({ "pg_basebackup", "-D", group.follower.data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
    "--no-manifest", "-d", ("host=%s port=%d user=postgres application_name=follower")
      :format(group.sockets, group.primary.port) })
  configure(group.follower)
end

function Group.wait_until(_, what, test) return wait_until(what, test) end

-- Whether the follower streams from the primary right now.
function Group:streams()
  local query = "select count(*) from pg_stat_replication where state = 'streaming'"
  local status, output = self.primary:sql(query, "postgres")
  return status == 0 and tonumber(output) == 1
end

-- Makes both servers and starts them. group.dir must be enterable by everybody.
function postgres.start(dir)
  local group = setmetatable({ dir = dir .. "/pg", sockets = dir .. "/pg/s", bin = find_binaries() }, Group)
  if #group.sockets > 85 then error("the path of the lab's directory is too long for a Unix socket: " .. dir, 0) end
  local owner
  group.as_user, owner = unprivileged_prefix(dir)
  group.primary, group.follower = new_server(group, "primary"), new_server(group, "follower")
  group.credentials, group.second = postgres.random_credentials(), postgres.random_credentials()
  proc.must(("mkdir -p %s && chmod 755 %s"):format(proc.quote(group.sockets), proc.quote(group.dir)))
  if owner then proc.must(("chown -R %s %s"):format(owner, proc.quote(group.dir))) end
  group:must { "initdb", "-D", group.primary.data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8",
    "--locale=C", "--no-instructions" }
  write_file(group.primary.data .. "/postgresql.conf", "a", SETTINGS)
  write_file(group.primary.data .. "/pg_hba.conf", "w", ACCESS)
  configure(group.primary)
  group.primary:start()
  create_roles(group)
  copy_follower(group)
  group.follower:start()
  wait_until("the follower streams", function() return group:streams() end)
  group.touched = false
  return group
end

-- standby.signal may only be removed while the server is down: the promotion itself removes it, and fails
-- when it is gone.
local function heal_primary(server)
  if not server:is_up() then os.remove(server.data .. "/standby.signal") end
  server:start()
  if server:must_sql("select pg_is_in_recovery()", "postgres"):match("t") then server:promote() end
end

local function rebuild_follower(group)
  local server = group.follower
  server:stop("immediate")
  proc.must("rm -rf " .. proc.quote(server.data))
  copy_follower(group)
  server:start()
  wait_until("the rebuilt follower streams", function() return group:streams() end)
end

-- What SQL from a spec or a fixture may have left behind in the databases.
local CLEAN = [[
  alter database %s reset all;
  alter role %s reset all;
  alter role %s nosuperuser;
  do $$
  declare name text;
  begin
    for name in select nspname from pg_namespace where nspname not like 'pg\_%%' and nspname <> 'information_schema' loop
      execute format('drop schema %%I cascade', name);
    end loop;
  end $$;
  create schema public authorization %s;
]]

local FOLLOWS = "select case when pg_is_in_recovery() then not pg_is_wal_replay_paused() else false end"

-- Both servers up, the primary writable, the follower streaming: what a fresh lab has. Costs nothing when
-- no operation and no SQL has touched them since the last time.
function Group:heal()
  if not self.touched then return end
  self.primary:exclusive(heal_primary)
  if self.sql_used then
    local given = self.credentials
    self.primary:must_sql(CLEAN:format(given.dbname, given.user, given.user, given.user))
    self.sql_used = false
  end
  self.follower:exclusive(function(server) server:start() end)
  local follows = self.follower:must_sql(FOLLOWS, "postgres"):match("t")
  if not follows or not pcall(wait_until, "the follower streams", function() return self:streams() end, 3) then
    self.follower:exclusive(function() rebuild_follower(self) end)
  end
  self.touched = false
end

return postgres
