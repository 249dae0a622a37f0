-- Rolling reconfiguration of a repmgr cluster (GitLab Omnibus), minor upgrades included. Each replica in turn; then the primary is failed
-- on purpose, a replica takes its place, and the old primary follows it. Never two writable nodes.
procedure {
  name = "gitlab-rolling",
  summary = "Rolling reconfiguration of a repmgr cluster, which ends with a failover of the primary",
}

local names = param.list {
  "hosts", "database hosts as ssh knows them; HOST=NODE where repmgr calls one otherwise", required = true,
  placeholder = "<host>,<host>,<host>",
}
local environment = param.string { "environment", "environment: the roles' names begin with it", default = "gprd" }
local chef_repo = param.string { "chef-repo", "working copy of the chef repository", required = true, placeholder = "<chef-repo>" }
local alertmanager_url = param.string {
  "alertmanager", "address of the Alertmanager; without it nothing is silenced", env = "ALERTMANAGER_URL",
}
local channels = param.list { "channels", "chat channels to tell", default = { "#production", "#database" } }
local service = param.string { "service", "what gitlab-ctl calls the database", default = "postgresql" }

local ssh_config = param.string { "ssh-config", "another configuration file for ssh" }
local sudo = param.boolean { "sudo", "gitlab-ctl, chef-client and service need sudo", default = false }
local silenced = param.list {
  "silence", "alerts to silence, a silence each: alertname=~\"PostgreSQL.*\"", default = { "alertname=~\"PostgreSQL.*\"" },
}
local window = param.duration { "window", "how long the silences last", default = "2h" }
local deploy_check = param.string { "deploy-check", "command that exits 0 when no deploy is in progress or planned" }
local lag_limit = param.integer { "lag", "how many bytes a replica may be behind", default = 16 * 1024 * 1024, min = 0 }
local failover_limit = param.duration { "failover-timeout", "longest wait for the failover", default = "120s" }
local stream_limit = param.duration {
  "stream-timeout", "longest wait until a replica streams and the cluster is in order", default = "10m",
}
local command_limit = param.duration { "command-timeout", "longest run of chef-client and of reconfigure", default = "30m" }
local budget = param.duration { "budget", "how long there may be no primary", default = "60s" }
local follow_log = param.string { "follow-log", "log of the database to follow meanwhile", default = "/var/log/gitlab/postgresql/current" }
local settle = param.duration { "settle", "how long to look for a change whose answer was lost", default = "20s" }
local no_bootstrap = param.boolean {
  "bootstrap-is-off", "reconfigure starts no stopped database, although the role does not say so", default = false,
}
local alerts_anyway = param.boolean { "alerts-anyway", "remove the silences also while alerts fire", default = false }

local base_role, deploy_role = environment .. "-base-db-postgres", environment .. "-base-deploy-node"
local base_file, deploy_file = ("roles/%s.json"):format(base_role), ("roles/%s.json"):format(deploy_role)
local DB_HOST = { "override_attributes", "omnibus-gitlab", "gitlab_rb", "gitlab-rails", "db_host" }
local CONSOLE_HOST = { "default_attributes", "gitlab_users", "dbconsole_db_host" }

-- What is worked on -----------------------------------------------------------------------------------------------------------

local failover = clock { "failover", budget = budget }

local function as_root(...)
  return sudo and { "sudo", "-n", ... } or { ... }
end

local nodes = {}
for i, text in ipairs(names) do
  local name, repmgr_name = text:match "^([^=]+)=?(.*)$"
  local handle = ssh(name, { config = ssh_config })
  nodes[i] = {
    host = name, name = repmgr_name ~= "" and repmgr_name or name, ssh = handle,
    gitlab = gitlab.node(handle, { name = name, ctl = as_root "gitlab-ctl", settle = settle }),
    chef = chef.client(handle, { name = name, service = as_root "service", command = as_root "chef-client", settle = settle }),
  }
end

local chat = slack.to(channels, { again = true, settle = settle })
local alerts = alertmanager_url and alertmanager.at(alertmanager_url, { settle = settle })
local repo = git { dir = chef_repo, settle = settle }
local roles = chef.roles { dir = chef_repo, settle = settle }

-- As pcall, for what may fail and be told as a problem: whoever interrupts does not want to hear of problems.
local function try(f, ...)
  local results = table.pack(pcall(f, ...))
  local err = results[2]
  if not results[1] and (err.kind == "interrupted" or err.kind == "cancelled") then error(err, 0) end
  return table.unpack(results, 1, results.n)
end

-- The cluster as the first host that answers shows it: who is who in the beginning, and how each database is reached.
local cluster = fact "cluster" (function()
  local why = {}
  for _, node in ipairs(nodes) do
    local ok, rows = try(node.gitlab.cluster, node.gitlab)
    if ok then
      local found = { nodes = {} }
      for _, row in ipairs(rows) do
        found.nodes[row.name] = { conninfo = row.conninfo, address = row.host, role = row.is or row.role }
        if row.is == "primary" then found.primary = found.primary and "several" or row.name end
      end
      return found
    end
    why[#why + 1] = tostring(rows)
  end
  return { nodes = {}, why = table.concat(why, "; ") }
end)

for _, node in ipairs(nodes) do
  node.db = psql {
    name = node.host, connect_timeout = "5s", timeout = "20s",
    conninfo = function()
      local known = cluster.nodes[node.name]
      if not known or not known.conninfo then fail("repmgr does not say how the database on %s is reached", node.host) end
      return known.conninfo
    end,
  }
end

local function by_name(name)
  for _, node in ipairs(nodes) do
    if node.name == name then return node end
  end
end

local function is_primary(node) return cluster.primary == node.name end

-- Looking -----------------------------------------------------------------------------------------------------------------------

-- "primary", "standby", or "down" and why.
local function state_of(node)
  local ok, recovering = pcall(node.db.value, node.db, "select pg_is_in_recovery()")
  if ok then return recovering and "standby" or "primary" end
  if recovering.kind ~= "psql" then error(recovering, 0) end
  return "down", recovering.message
end

local FOLLOWERS = [[select application_name as name, state, %s(%s(), replay_%s)::int8 as lag from pg_stat_replication]]

-- Who streams from this primary, by name: the lag in bytes, or false for one that does not stream (yet).
local function followers_of(node)
  local old = node.db:identity().server_version < 100000
  local sql = old and FOLLOWERS:format("pg_xlog_location_diff", "pg_current_xlog_location", "location")
    or FOLLOWERS:format("pg_wal_lsn_diff", "pg_current_wal_lsn", "lsn")
  local found = {}
  for _, row in ipairs(node.db:rows(sql)) do found[row.name] = row.state == "streaming" and (row.lag or 0) end
  return found
end

-- One of these nodes is the primary, all the others stream from it and are not far behind. With what is seen instead.
local function streams(members)
  local primary
  for _, node in ipairs(members) do
    local state, why = state_of(node)
    if state == "down" then return nil, ("%s does not answer: %s"):format(node.host, why) end
    if state == "primary" and primary then return nil, ("%s and %s are both writable"):format(primary.host, node.host) end
    if state == "primary" then primary = node end
  end
  if not primary then return nil, "there is no primary" end
  local followers = followers_of(primary)
  for _, node in ipairs(members) do
    local lag = followers[node.name]
    if node ~= primary and not lag then return nil, ("%s does not stream from %s"):format(node.host, primary.host) end
    if node ~= primary and lag > lag_limit then return nil, ("%s is %d bytes behind"):format(node.host, lag) end
  end
  return primary
end

-- Every node's repmgr says that all is well: a standby that was restarted counts as inactive for a while, and repmgrd does not look
-- at how far such a one is when it chooses a primary.
local function in_order(members)
  local primary, why = streams(members)
  if not primary then return nil, why end
  for _, node in ipairs(members) do
    local good, seen = node.gitlab:cluster_ok()
    if not good then return nil, ("%s: %s"):format(node.host, seen) end
  end
  return primary
end

local function others(than)
  local list = {}
  for _, node in ipairs(nodes) do
    if node ~= than then list[#list + 1] = node end
  end
  return list
end

-- Call f while the host's database log is followed: what it complains about is shown.
local function watching(node, f)
  local task = spawn("log of " .. node.host, function()
    node.ssh:follow({ "/bin/sh", "-c", "[ -r \"$1\" ] || exit 0; exec tail -n 0 -F -- \"$1\" 2>/dev/null", "follow", follow_log },
      function(line)
        local level = line:find "FATAL" or line:find "PANIC" or line:find "ERROR" or line:find "WARNING"
        log[level and "info" or "debug"]("%s: %s", node.host, line)
      end)
  end)
  local stop <close> = setmetatable({}, { __close = function() task:cancel() end }) -- luacheck: ignore 211
  return f()
end

-- Before anything changes -------------------------------------------------------------------------------------------------------

preflight "The hosts answer, and are the nodes that repmgr knows" (function()
  for _, node in ipairs(nodes) do
    local ok, seen = try(node.gitlab.status, node.gitlab, service)
    if not ok then
      problem("%s: %s", node.host, tostring(seen))
    elseif not seen then
      problem("gitlab-ctl on %s knows no service %s (--service)", node.host, service)
    end
  end
  if cluster.why then return problem("the cluster cannot be read: %s", cluster.why) end
  for _, node in ipairs(nodes) do
    if not cluster.nodes[node.name] then problem("repmgr knows no node %s (--hosts %s=NODE)", node.name, node.host) end
  end
  for name in pairs(cluster.nodes) do
    if not by_name(name) then problem("the cluster has a node %s that --hosts leaves out", name) end
  end
end)

preflight "The cluster is in order" (function()
  if cluster.why then return end
  if not cluster.primary or cluster.primary == "several" then
    return problem("the cluster has %s primary", cluster.primary and "more than one" or "no")
  end
  for _, node in ipairs(nodes) do
    local ok, good, seen = try(node.gitlab.cluster_ok, node.gitlab)
    if not ok then good, seen = false, tostring(good) end
    if not good then problem("%s: %s", node.host, seen) end
  end
  local ok, primary, why = try(streams, nodes)
  if not ok then problem("%s", tostring(primary)) elseif not primary then problem("%s", why) end
end)

-- Of repmgr 4.2 and later; nil where it cannot tell.
local function is_paused(node)
  if node.db:value "select to_regprocedure('repmgr.repmgrd_is_paused()') is null" then return nil end
  return node.db:value "select repmgr.repmgrd_is_paused()"
end

preflight "repmgrd is at work: nobody else replaces a primary" (function()
  for _, node in ipairs(nodes) do
    local ok, seen = try(node.gitlab.status, node.gitlab, "repmgrd")
    if not ok or not seen or seen.state ~= "run" then
      problem("repmgrd does not run on %s%s", node.host, seen and ": " .. (seen.text or tostring(seen)) or "")
    else
      local asked, paused = try(is_paused, node)
      if asked and paused then problem("repmgrd is paused on %s: nobody would take the place of the primary", node.host) end
    end
  end
end)

-- Whether reconfigure starts a database that is down, as far as the role says.
local function bootstraps(role)
  local at = role.override_attributes
  for _, key in ipairs { "omnibus-gitlab", "gitlab_rb", "bootstrap", "enable" } do
    if type(at) ~= "table" then return true end
    at = at[key]
  end
  return at ~= false
end

preflight "The chef repository" (function()
  local clean, what = repo:is_clean()
  if not clean then problem("%s is not clean: %s", chef_repo, what) end
  local late = repo:push_problem()
  if late then problem("%s", late) end
  for path, name in pairs { [base_file] = base_role, [deploy_file] = deploy_role } do
    local ok, role = try(roles.file, roles, path)
    if not ok then
      problem("%s", tostring(role))
    elseif role.name ~= name then
      problem("%s holds the role %s", path, role.name)
    elseif path == base_file and not no_bootstrap and bootstraps(role) then
      problem("%s does not set bootstrap.enable to false: reconfigure would start the old primary, read-write, beside the new one "
        .. "(--bootstrap-is-off, when another role does)", path)
    end
  end
  local ok, text = try(file.read, chef_repo .. "/" .. deploy_file)
  if ok then
    for _, path in ipairs { DB_HOST, CONSOLE_HOST } do
      local found, value = pcall(json.get, text, path)
      if found and type(value) ~= "string" then problem("%s has no %s", deploy_file, table.concat(path, ".")) end
    end
  end
end)

preflight "No alert is firing" {
  when = { alerts ~= nil, "no Alertmanager is given (--alertmanager)" },
  run = function()
    local quiet, firing = alerts:is_quiet { silenced = false }
    if not quiet then problem("alerts are firing: %s", firing) end
  end,
}

preflight "The chat" (function() chat:check() end)

-- What the command says is what an operator wants to read.
preflight "No deploy is in progress or planned" {
  when = { deploy_check ~= nil, "no command looks (--deploy-check)" },
  run = function()
    local ok, seen = try(sh.read, deploy_check)
    if not ok then problem("%s%s", seen.message, seen.detail and ": " .. seen.detail or "") end
  end,
}

-- Ahead of time -----------------------------------------------------------------------------------------------------------------

local WHAT = ("rolling reconfiguration of the %s databases (%s)"):format(environment, table.concat(names, ", "))

manual "No deploy is in progress or planned" {
  id = "no-deploy",
  when = { deploy_check == nil, "--deploy-check looks" },
  text = "Verify that no deploy is in progress or planned: deploys fail until the roles of the deploy node point at the new primary.",
}

at "start - 1h"
step "Announce it" {
  id = "announce-ahead",
  run = function()
    chat:say(("In about an hour: %s. Expect alerts. The primary is failed on purpose: do NOT start a failed database, above all not "
      .. "read-write."):format(WHAT))
  end,
  undo = { "say that it is called off", function() chat:say(("Called off: %s."):format(WHAT)) end },
}

at "start - 5m"
step "Announce it again" {
  id = "announce-again",
  run = function() chat:say(("Starting in a few minutes: %s. Do not touch the database hosts."):format(WHAT)) end,
  undo = { "nothing: it is called off where it was first announced", function() end },
}

-- The reconfiguration -------------------------------------------------------------------------------------------------------------

at "start"
step "Still no deploy is in progress or planned" {
  id = "deploy-check",
  when = { deploy_check ~= nil, "by hand" },
  run = function() sh.read(deploy_check) end,
}

local silences = step "Silence the alerts" {
  id = "silence",
  when = { alerts ~= nil, "no Alertmanager is given (--alertmanager)" },
  run = function()
    local ids = {}
    for i, matcher in ipairs(silenced) do
      ids[i] = alerts:silence { matchers = { matcher }, lasts = window, comment = WHAT }.json.silenceID
    end
    return { ids = ids }
  end,
  note = function(_, result) return #result.ids == 1 and "1 silence" or ("%d silences"):format(#result.ids) end,
  undo = { "expire the silences", function()
    for _, silence in ipairs(alerts:silences { mine = true }) do alerts:expire(silence.id) end
  end },
}

step "Stop chef on all database hosts" {
  id = "stop-chef",
  keep = function()
    local was = {}
    for _, node in ipairs(nodes) do was[node.host] = node.chef:runs() end
    return { was = was }
  end,
  run = function()
    local tasks = {}
    for i, node in ipairs(nodes) do tasks[i] = spawn("chef on " .. node.host, function() node.chef:stop() end) end
    for _, task in ipairs(tasks) do task:join() end
  end,
  verify = { "chef runs on no host", function()
    for _, node in ipairs(nodes) do
      if node.chef:runs() then return false, "it runs on " .. node.host end
    end
    return true
  end },
  undo = { "start chef where it ran", function(kept)
    for _, node in ipairs(nodes) do
      if kept.was[node.host] then node.chef:start() end
    end
  end },
}

step "Push the change of the role" {
  id = "push-role",
  keep = function()
    return { before = roles:show(base_role), diff = repo:diff { path = base_file }, pushed = repo:is_pushed() }
  end,
  run = function(kept)
    if kept.diff ~= "" then log.info("%s", kept.diff) end
    if not kept.pushed then repo:push() end
    roles:from_file(base_file)
  end,
  verify = { "the server has the role as the file says it", function() return roles:matches(base_file) end },
  undo = { "put the role on the server back (the push stays)", function(kept) roles:put_back(base_role, kept.before) end },
  doc = "knife replaces the whole role. What the server held is kept, and put back by undo.",
}

local function slug(text) return (text:lower():gsub("[^%w]+", "-")) end

for _, node in ipairs(nodes) do
  local only = { not is_primary(node), "it is the primary" }
  local back = { "start it, if it does not run", function() if state_of(node) == "down" then node.gitlab:start(service) end end }

  step(("Stop the replica %s"):format(node.host)) {
    id = "stop-replica-" .. slug(node.host),
    when = only,
    run = function()
      -- A step that is tried again meets the node as it was left: down, or it did not stop.
      if not in_order(nodes) and state_of(node) ~= "down" then
        wait.upto(stream_limit, "the cluster is in order", function() return in_order(nodes) end)
      end
      node.gitlab:stop(service)
    end,
    verify = { "it no longer answers", function()
      local state = state_of(node)
      return state == "down", state
    end },
    verify_within = "60s",
    undo = back,
  }

  step(("Reconfigure the replica %s"):format(node.host)) {
    id = "replica-" .. slug(node.host),
    when = only,
    run = function()
      watching(node, function()
        node.chef:run { timeout = command_limit }
        node.gitlab:reconfigure { timeout = command_limit }
        node.gitlab:start(service, { anew = true })
        wait.upto(stream_limit, node.host .. " streams, and every node's repmgr finds all in order", function() return in_order(nodes) end)
      end)
    end,
    undo = back,
  }
end

local old = by_name(cluster.primary) or nodes[1]

-- The failover ----------------------------------------------------------------------------------------------------------------------

-- One that does not answer is no primary only where its host says that the database does not run.
local function must_not_be_primary(node)
  local state, why = state_of(node)
  if state == "primary" then fail("%s is the primary now: %s must follow it, not start", node.host, old.host) end
  local seen = state == "down" and node.gitlab:status(service)
  if seen and seen.state ~= "down" then fail("whether %s is the primary now cannot be told: %s", node.host, why) end
end

step "Fail the primary" {
  id = "fail-primary",
  opens = failover,
  confirm = function() return old.host, "its database is stopped on purpose; a replica takes its place" end,
  run = function()
    if state_of(old) == "primary" then
      local primary, why = in_order(nodes)
      if primary ~= old then fail("the cluster is not in order: %s", why or "another node is the primary") end
    end
    old.gitlab:stop(service)
  end,
  verify = { "it no longer answers", function()
    local state = state_of(old)
    return state == "down", state
  end },
  verify_within = "60s",
  undo = { "start it again, unless there is a new primary", function()
    for _, node in ipairs(others(old)) do must_not_be_primary(node) end
    if state_of(old) == "down" then old.gitlab:start(service) end
    -- A promotion that had begun before is not to be seen until now.
    for _, node in ipairs(others(old)) do
      if state_of(node) == "primary" and state_of(old) == "primary" then
        old.gitlab:stop(service)
        fail("%s was promoted meanwhile: %s is stopped again, and must follow it", node.host, old.host)
      end
    end
  end },
}

-- Exactly one of those that are left is the primary, and all the others follow it: by their own word and by repmgr's.
local function failed_over()
  local survivors = others(old)
  local primary, why = streams(survivors)
  if not primary then return nil, why end
  for _, row in ipairs((primary.gitlab:cluster())) do
    local node = by_name(row.name)
    local wanted = node == primary and "primary" or "standby"
    -- It is the primary before repmgr has registered it as such: until then nobody can be made to follow it.
    if node and node ~= old and (row.is ~= wanted or row.role ~= wanted or row.problem) then
      return nil, ("repmgr shows %s as %s"):format(row.name, row.problem or row.status)
    end
  end
  return primary.name, ("%s is the primary"):format(primary.host)
end

local taken = step "Wait for the failover" {
  id = "failover",
  closes = failover,
  run = function()
    return { primary = wait.upto(failover_limit, "a replica is the primary, the others follow it", failed_over) }
  end,
  note = function(_, result) return tostring(result.primary) end,
  doc = "When it does not come: undo \"Fail the primary\" starts the old one again, but only while there is no new one.",
}

local function new() return by_name(taken.result.primary) end

step "The old primary follows the new one" {
  id = "rejoin",
  run = function()
    watching(old, function()
      -- In a plan it still is the primary.
      if taken.done and state_of(old) == "primary" then fail("%s is writable: two primaries. Stop one of them at once", old.host) end
      old.chef:run { timeout = command_limit }
      old.gitlab:reconfigure { timeout = command_limit }
      if taken.done and state_of(old) == "primary" then fail("reconfigure has started %s read-write: stop it at once", old.host) end
      old.gitlab:follow(taken.result.primary, {
        timeout = command_limit, done = function() return followers_of(new())[old.name] ~= nil end,
      })
      old.gitlab:restart "repmgrd"
      wait.upto(stream_limit, old.host .. " streams from the new primary", function() return streams(nodes) end)
    end)
  end,
  verify = { "it is a standby", function() return state_of(old) == "standby" end },
  undo = "by hand: which node is the primary is now another; run this procedure again to change it back",
}

local LEFT = "select slot_name as name from pg_replication_slots where not active and slot_type = 'physical' order by 1"

-- Never an active one, never on a primary, and one that is gone already is no error.
local DROP = [[select pg_drop_replication_slot(slot_name) from pg_replication_slots
  where slot_name = $1 and not active and pg_is_in_recovery()]]

step "Drop the leftover slots of the old primary" {
  id = "slots",
  -- What is dropped is decided once: a resumed run must want the same.
  keep = function()
    local left = {}
    for _, node in ipairs(nodes) do
      for _, row in ipairs(state_of(node) == "standby" and node.db:rows(LEFT) or {}) do
        if node == old then
          left[#left + 1] = row.name
        else
          log.warn("%s holds the inactive slot %s", node.host, row.name)
        end
      end
    end
    return { left = left }
  end,
  run = function(kept)
    for _, name in ipairs(kept.left) do
      old.db:execute(DROP, name, psql.options {
        resolve = function() return old.db:value("select count(*) from pg_replication_slots where slot_name = $1", name) == 0 end,
      })
    end
    return { dropped = kept.left }
  end,
  note = function(_, result) return #result.dropped == 0 and "none" or table.concat(result.dropped, ", ") end,
  undo = { "nothing: nobody used them", function() end },
}

-- The roles that name the primary ------------------------------------------------------------------------------------------------------

-- In a plan nobody knows the name yet.
local function address_of(name)
  local known = cluster.nodes[name]
  return known and known.address or tostring(name)
end

-- The console's database has to be a replica: it stays where it is, unless that is the new primary now.
local function console_address(current)
  if current ~= address_of(taken.result.primary) then return current end
  for _, node in ipairs(nodes) do
    if node.name ~= taken.result.primary then return address_of(node.name) end
  end
end

step "Point the roles at the new primary" {
  id = "roles",
  keep = function() return { text = file.read(chef_repo .. "/" .. deploy_file), before = roles:show(deploy_role) } end,
  run = function()
    file.edit(chef_repo .. "/" .. deploy_file, function(text)
      local console = json.get(text, CONSOLE_HOST)
      text = json.edit(text, DB_HOST, address_of(taken.result.primary))
      local wanted = console_address(console)
      if wanted ~= console then text = json.edit(text, CONSOLE_HOST, wanted) end
      return text
    end, { what = ("point %s at %s"):format(deploy_file, taken.result.primary) })
    repo:commit(("%s: the primary is %s"):format(deploy_role, taken.result.primary), { deploy_file })
    repo:push()
    roles:from_file(deploy_file)
  end,
  verify = { "the server has the role as the file says it", function() return roles:matches(deploy_file) end },
  undo = "by hand: the roles say which node is the primary, and that cannot be taken back",
}

-- The end ------------------------------------------------------------------------------------------------------------------------------

step "Start chef on all database hosts" {
  id = "start-chef",
  run = function()
    local tasks = {}
    for i, node in ipairs(nodes) do tasks[i] = spawn("chef on " .. node.host, function() node.chef:start() end) end
    for _, task in ipairs(tasks) do task:join() end
  end,
  verify = { "chef runs on every host", function()
    for _, node in ipairs(nodes) do
      if not node.chef:runs() then return false, "it does not run on " .. node.host end
    end
    return true
  end },
  undo = { "nothing: it leads back to where the run began", function() end },
}

step "The cluster is in order" {
  id = "in-order",
  run = function()
    wait.upto(stream_limit, "all nodes stream, and every node's repmgr finds all in order", function() return in_order(nodes) end)
  end,
}

step "Announce the end" {
  id = "announce-end",
  run = function() chat:say(("Finished: %s. The primary is %s."):format(WHAT, tostring(taken.result.primary))) end,
  undo = { "nothing: it was said", function() end },
}

step "Remove the silences" {
  id = "unsilence",
  when = { alerts ~= nil, "no Alertmanager is given (--alertmanager)" },
  confirm = function()
    local quiet, firing = alerts:is_quiet()
    if quiet or alerts_anyway then return nil end
    return "alerts-anyway", ("alerts are firing: %s. Look at them; the silences are removed all the same"):format(firing)
  end,
  run = function()
    for _, id in ipairs(silences.result.ids) do alerts:expire(id) end
  end,
  undo = { "nothing: they were made by this run", function() end },
}
