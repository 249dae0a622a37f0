-- What can go wrong in the cluster, on demand: faults.set(cluster, name, on, details).
local proc = require "core.proc"
local chef = require "cluster.chef"
local hosts = require "cluster.hosts"

local faults = {}

local function write_file(path, text, mode)
  local file = assert(io.open(path, mode or "w"))
  file:write(text)
  assert(file:close())
end

-- Those that a command of the node finds in its directory (node/gitlab-ctl, chef-client, service).
local FILES = {
  ["start-fails"] = true,       -- gitlab-ctl start postgresql: timeout, rc 1
  ["start-dies"] = true,        -- … says ok, and the server ends at once: a configuration that is wrong
  ["stop-hangs"] = true,        -- gitlab-ctl stop postgresql: timeout, rc 1
  ["chef-fails"] = true,        -- chef-client: rc 1
  ["chef-stays"] = true,        -- service chef-client stop: rc 1, it still runs
  ["reconfigure-fails"] = true, -- gitlab-ctl reconfigure: rc 1
}

local function node_of(cluster, given)
  for _, node in ipairs(cluster) do
    if node.name == given.node then return node end
  end
  error("no node " .. tostring(given.node), 0)
end

local function repo(cluster, command)
  return proc.must(("cd %s && HOME=%s %s"):format(cluster.repository, cluster.repository, command))
end

local role_file = ("roles/%s-base-db-postgres.json"):format(chef.ENVIRONMENT)

local acts = {}

-- The link goes at the first command that is like the glob `at`: how = before, during (it is carried out), after (it is carried
-- out, its answer is lost). Each time it is set there is one more such command.
function acts.drop(cluster, on, given)
  local path = node_of(cluster, given).dir .. "/faults/drop"
  if on then write_file(path, ("%s %s\n"):format(given.how or "after", given.at or "*"), "a") else os.remove(path) end
end

function acts.cut(cluster, _, given) hosts.cut(node_of(cluster, given)) end
function acts.unreachable(cluster, on, given) hosts.close(node_of(cluster, given), on) end
acts["host-key"] = function(cluster, on, given) hosts.change_key(node_of(cluster, given), on) end

-- repmgrd runs and does nothing.
acts["no-failover"] = function(cluster, on)
  cluster[1]:repmgr("service", on and "pause" or "unpause")
end

function acts.repmgrd(cluster, on, given)
  node_of(cluster, given):command("gitlab-ctl", on and "stop" or "start", "repmgrd")
end

-- A standby does not replay what it receives.
function acts.lag(cluster, on, given)
  node_of(cluster, given):must_sql(on and "select pg_wal_replay_pause()" or "select pg_wal_replay_resume()")
end

function acts.down(cluster, on, given)
  node_of(cluster, given):command("gitlab-ctl", on and "stop" or "start", "postgresql")
end

function acts.unregistered(cluster, on, given)
  node_of(cluster, given):repmgr("standby", on and "unregister" or "register", "--force")
end

-- A slot that nobody uses.
function acts.slot(cluster, on, given)
  local name = given.slot or "repmgr_slot_9"
  node_of(cluster, given):must_sql(on and ("select pg_create_physical_replication_slot('%s', true)"):format(name)
    or ("select pg_drop_replication_slot('%s')"):format(name))
end

function acts.dirty(cluster, on)
  local path = cluster.repository .. "/" .. role_file
  if on then write_file(path, "\n", "a") else repo(cluster, "git checkout -q -- .") end
end

acts["not-json"] = function(cluster, on, given)
  local file = ("roles/%s-%s.json"):format(chef.ENVIRONMENT, given.role or "base-db-postgres")
  if on then
    repo(cluster, ("sed -i 's/\"chef_type\": \"role\",/\"chef_type\": \"role\",,/' %s && git commit -q -a -m 'a comma'"):format(file))
  else
    repo(cluster, "git reset -q --hard HEAD~1")
  end
end

-- Somebody else has pushed meanwhile.
acts["not-up-to-date"] = function(cluster)
  local lab = cluster.lab
  proc.must(("cd %s && rm -rf other && git clone -q roles.git other && cd other && echo x >README && git add README && "
    .. "git -c user.name=o -c user.email=o@example.com commit -q -m other && git push -q && cd .. && rm -rf other"):format(lab))
end

-- The server refuses the push; or takes it, and the connection is lost.
local function hook(cluster, on, name, text)
  local path = ("%s/roles.git/hooks/%s"):format(cluster.lab, name)
  if not on then return os.remove(path) end
  write_file(path, text)
  proc.must("chmod +x " .. path)
end

acts["push-fails"] = function(cluster, on)
  hook(cluster, on, "pre-receive", "#!/bin/sh\necho 'the repository is read-only for maintenance' >&2\nexit 1\n")
end

acts["push-lost"] = function(cluster, on)
  hook(cluster, on, "post-receive", [[
#!/bin/sh
rm -f "$0"
pid=$PPID
read -r line <"/proc/$pid/stat"
line=${line##*) ? }
kill -KILL "${line%% *}" "$pid"
]])
end

-- knife: 500, nothing done; knife-lost: done, the answer lost; knife-read: the server cannot be reached for a role show. Once each.
for _, name in ipairs { "knife", "knife-lost", "knife-read" } do
  acts[name] = function(cluster, on)
    local path = ("%s/chef/faults/%s"):format(cluster.lab, name)
    if on then write_file(path, "") else os.remove(path) end
  end
end

function acts.alert(cluster, on, given)
  local labels = ('{"alertname":"%s","instance":"%s","severity":"%s"}'):format(given.alertname or "PostgreSQL_ReplicationLag",
    given.instance or "db3", given.severity or "critical")
  local ends = on and "" or (',"endsAt":"' .. os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() - 1) .. '"')
  proc.must(("curl -fsS -H 'Content-Type: application/json' -d %s http://127.0.0.1:%d/api/v2/alerts"):format(
    proc.quote(('[{"labels":%s,"annotations":{}%s}]'):format(labels, ends)), cluster.alertmanager_port))
end

function faults.set(cluster, name, on, given)
  if FILES[name] then
    local path = node_of(cluster, given).dir .. "/faults/" .. name
    if on then write_file(path, "") else os.remove(path) end
  elseif acts[name] then
    acts[name](cluster, on, given)
  else
    error("no fault " .. tostring(name), 0)
  end
end

return faults
