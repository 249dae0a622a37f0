-- Three PostgreSQL servers with repmgr: a primary, two standbys that stream through replication slots, repmgrd on each.
-- Each has a loopback address and a port of its own, and a directory DIR/run/dbN.
local cqueues = require "cqueues"
local luasocket = require "socket"
local proc = require "core.proc"

local nodes = {}

local Cluster, Node = {}, {}
Cluster.__index, Node.__index = Cluster, Node

nodes.COUNT = 3

local POLL_S = 0.02
local LIMIT_S = 30

local function write_file(path, text, mode)
  local file = assert(io.open(path, mode or "w"))
  file:write(text)
  assert(file:close())
end

local function read_file(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

function nodes.wait_until(what, test, limit)
  local deadline = cqueues.monotime() + (limit or LIMIT_S)
  while true do
    local seen = test()
    if seen then return seen end
    if cqueues.monotime() > deadline then error("timed out waiting until " .. what, 0) end
    cqueues.sleep(POLL_S)
  end
end

-- Runs functions beside each other, waits for all; the first error is raised.
function nodes.together(...)
  local queue, problem = cqueues.new(), nil
  for _, work in ipairs { ... } do
    queue:wrap(function()
      local ok, why = pcall(work)
      if not ok then problem = problem or why end
    end)
  end
  assert(queue:loop())
  if problem then error(problem, 0) end
end

function nodes.each(list, method, ...)
  local work, given = {}, table.pack(...)
  for i, item in ipairs(list) do
    work[i] = function() return item[method](item, table.unpack(given, 1, given.n)) end
  end
  nodes.together(table.unpack(work))
end

local function port_is_free(address, port)
  local probe = luasocket.bind(address, port)
  if probe then probe:close() end
  return probe ~= nil
end

-- Below the range from which the kernel takes the ports of outgoing connections.
function nodes.free_port(address)
  for _ = 1, 200 do
    local port = math.random(10240, 32000)
    if port_is_free(address, port) then return port end
  end
  error("no free port between 10240 and 32000", 0)
end

local function find_binaries()
  local _, found = proc.run("ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1")
  found = found:match "%S+"
  if not found or proc.run("test -x " .. found .. "/repmgrd") ~= 0 then
    error("no PostgreSQL with repmgr: install postgresql-15 and postgresql-15-repmgr", 0)
  end
  return found
end

-- PostgreSQL and repmgr refuse to run as root, so root lends itself the user postgres.
local function unprivileged()
  local _, uid = proc.run("id -u")
  if uid:match "%d+" ~= "0" then return "" end
  return "setpriv --reuid=postgres --regid=postgres --clear-groups -- "
end

local SETTINGS = [[
fsync = off
full_page_writes = off
unix_socket_directories = ''
wal_level = replica
dynamic_shared_memory_type = mmap
wal_log_hints = on
max_wal_senders = 10
max_replication_slots = 10
min_wal_size = 4MB
max_wal_size = 64MB
wal_keep_size = 16MB
hot_standby = on
shared_preload_libraries = 'repmgr'
wal_retrieve_retry_interval = 200ms
wal_receiver_status_interval = 1s
log_line_prefix = '%m [%p] %q%a '
logging_collector = off
autovacuum_naptime = 10min
include_if_exists = '../postgresql.gitlab.conf'
include_if_exists = '../runtime.conf'
]]

local ACCESS = [[
host all all 127.0.0.0/8 trust
host replication all 127.0.0.0/8 trust
]]

local ENV = [[
name=%s
address=%s
port=%d
bin=%s
as='%s'
data=%s
role=%s
lab=%s
commands=%s
lua=lua5.4
]]

local REPMGR = [[
node_id=%d
node_name='%s'
conninfo='%s'
data_directory='%s'
pg_bindir='%s'
use_replication_slots=1
failover=automatic
monitor_interval_secs=%d
reconnect_attempts=%d
reconnect_interval=%d
promote_command='%s/repmgr standby promote -f %s/repmgr.conf --log-to-file'
follow_command='%s/repmgr standby follow -f %s/repmgr.conf --log-to-file --upstream-node-id=%%n'
service_start_command='env LAB_NODE=%s %s/gitlab-ctl lab-service start'
service_stop_command='env LAB_NODE=%s %s/gitlab-ctl lab-service stop'
repmgrd_pid_file='%s/repmgrd.pid'
log_file='%s/log/repmgrd/current'
log_level=INFO
]]

function Node:conninfo(dbname, user)
  return ("host=%s port=%d user=%s dbname=%s connect_timeout=2"):format(self.address, self.port, user or "gitlab_repmgr",
    dbname or "gitlab_repmgr")
end

-- Runs a program of PostgreSQL as its user.
function Node:pg(...)
  local argv = { ... }
  argv[1] = self.cluster.bin .. "/" .. argv[1]
  return proc.must(("cd %s && %s%s"):format(proc.quote(self.dir), self.cluster.as, proc.command(argv)), select(1, ...))
end

function Node:repmgr(...)
  return self:pg("repmgr", "-f", self.dir .. "/repmgr.conf", ...)
end

function Node:sql(text, dbname)
  local status, output = proc.run(proc.command {
    self.cluster.bin .. "/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-d", self:conninfo(dbname), "-c", text,
  })
  return status == 0, (output:gsub("\n$", ""))
end

function Node:must_sql(text, dbname)
  local ok, output = self:sql(text, dbname)
  if not ok then error(("SQL on %s failed: %s"):format(self.name, output), 0) end
  return output
end

-- One of the node's own commands, as in an ssh session.
function Node:command(...)
  return proc.run(("cd / && LAB_NODE=%s %s/%s"):format(proc.quote(self.dir), proc.quote(self.cluster.commands), proc.command { ... }))
end

function Node:is_up()
  return proc.run(("%s/pg_isready -q -t 1 -h %s -p %d"):format(self.cluster.bin, self.address, self.port)) == 0
end

function Node:start()
  self:command("gitlab-ctl", "lab-service", "start")
  if not self:is_up() then error(("%s does not start; its log ends:\n%s"):format(self.name, self:log():sub(-1500)), 0) end
end

function Node:stop(mode)
  self:command("gitlab-ctl", "lab-service", "stop", mode or "fast")
end

function Node:log()
  return read_file(self.dir .. "/log/postgresql/current") or ""
end

function Node:pid(service)
  local path = service == "postgresql" and "/data/postmaster.pid" or "/" .. service .. ".pid"
  local pid = (read_file(self.dir .. path) or ""):match "^%d+"
  -- One that has ended and was not yet reaped does not count.
  local state = pid and (read_file(("/proc/%s/stat"):format(pid)) or ""):match "^%d+ %(.*%) (%a)"
  return state and state ~= "Z" and pid or nil
end

function Node:start_repmgrd()
  proc.must(("cd %s && %s%s/repmgrd -f %s/repmgr.conf --daemonize"):format(self.dir, self.cluster.as, self.cluster.bin, self.dir),
    "repmgrd of " .. self.name)
end

function Node:start_chef()
  self:command("service", "chef-client", "start")
end

local function configure(self)
  local cluster, options = self.cluster, self.cluster.options
  write_file(self.dir .. "/env", ENV:format(self.name, self.address, self.port, cluster.bin, cluster.as, self.data, cluster.role,
    cluster.lab, cluster.commands))
  local settings = cluster.commands
  write_file(self.dir .. "/repmgr.conf", REPMGR:format(self.id, self.name, self:conninfo(), self.data, cluster.bin,
    options.monitor_interval_secs, options.reconnect_attempts, options.reconnect_interval, cluster.bin, self.dir, cluster.bin, self.dir,
    self.dir, settings, self.dir, settings, self.dir, self.dir))
end

local function new_node(cluster, id)
  local self = setmetatable({ cluster = cluster, id = id, name = "db" .. id }, Node)
  self.dir = cluster.dir .. "/" .. self.name
  self.data = self.dir .. "/data"
  self.address = ("127.%d.1.%d"):format(cluster.net, 100 + id)
  self.port = nodes.free_port(self.address)
  proc.must(("mkdir -p %s/faults %s/service %s/log/postgresql %s/log/repmgrd && chmod -R 755 %s"):format(self.dir, self.dir, self.dir,
    self.dir, self.dir))
  configure(self)
  if cluster.as ~= "" then proc.must("chown -R postgres " .. self.dir) end
  return self
end

local function make_primary(node)
  node:pg("initdb", "-D", node.data, "-U", "postgres", "-A", "trust", "-N", "-E", "UTF8", "--locale=C", "--no-instructions",
    "--wal-segsize=1")
  write_file(node.data .. "/postgresql.conf", SETTINGS, "a")
  write_file(node.data .. "/pg_hba.conf", ACCESS)
  node:start()
  local psql = { node.cluster.bin .. "/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", node:conninfo("postgres", "postgres") }
  for _, text in ipairs {
    "create role gitlab_repmgr superuser login", "create database gitlab_repmgr owner gitlab_repmgr", "create role gitlab login",
    "grant pg_monitor to gitlab", "create database gitlabhq_production owner gitlab",
  } do
    local argv = table.pack(table.unpack(psql))
    argv[#argv + 1], argv[#argv + 2] = "-c", text
    proc.must(proc.command(argv), text)
  end
  node:must_sql("create table ledger (id uuid primary key, written timestamptz not null default clock_timestamp()); "
    .. "alter table ledger owner to gitlab", "gitlabhq_production")
  node:repmgr("primary", "register")
end

local function make_standby(node, primary)
  node:pg("repmgr", "-d", primary:conninfo(), "-f", node.dir .. "/repmgr.conf", "standby", "clone", "--fast-checkpoint")
  node:start()
  node:repmgr("standby", "register", "--wait-sync=10")
end

local function keep_copies(cluster)
  for i = nodes.COUNT, 1, -1 do cluster[i]:stop() end
  for _, node in ipairs(cluster) do proc.must(("cp -a %s %s/pristine && touch %s/copied"):format(node.data, node.dir, node.dir)) end
end

-- Everything up: the primary first, so that the standbys find it.
function Cluster:up()
  self[1]:start()
  nodes.together(function() self[2]:start() end, function() self[3]:start() end)
  nodes.wait_until("both standbys stream", function() return self:streaming() == nodes.COUNT - 1 end)
  nodes.each(self, "start_repmgrd")
  nodes.each(self, "start_chef")
end

function Cluster:streaming()
  local ok, count = self[1]:sql("select count(*) from pg_stat_replication where state = 'streaming'")
  return ok and tonumber(count) or 0
end

-- Stops and kills, puts the first day's data directories back, and starts.
function Cluster:restore()
  nodes.each(self, "wipe")
  self:up()
end

function Node:wipe()
  self:command("service", "chef-client", "stop")
  local pid = self:pid "repmgrd"
  if pid then proc.run("kill -KILL " .. pid) end
  os.remove(self.dir .. "/repmgrd.pid")
  self:stop "immediate"
  -- Only what was written since the copies were made is taken from them: a whole copy takes a second.
  proc.must(("cd %s && rm -rf faults/* service/* data/pg_wal data/pg_replslot data/pg_stat data/pg_logical && "
    .. "find data -type f -newer copied -delete && cp -an pristine/. data/ && for f in log/*/current; do : >$f; done"):format(self.dir))
  configure(self)
end

-- dir: DIR/run. options: monitor_interval_secs, reconnect_attempts, reconnect_interval; role: of the chef role.
function nodes.new(lab, commands, role, options)
  local cluster = setmetatable({
    lab = lab, dir = lab .. "/run", commands = commands, role = role, options = options, bin = find_binaries(), as = unprivileged(),
    net = math.random(16, 250),
  }, Cluster)
  for id = 1, nodes.COUNT do cluster[id] = new_node(cluster, id) end
  return cluster
end

function Cluster:make()
  make_primary(self[1])
  nodes.together(function() make_standby(self[2], self[1]) end, function() make_standby(self[3], self[1]) end)
  keep_copies(self)
  self:up()
end

return nodes
