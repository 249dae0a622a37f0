-- Checks the cluster's lab itself, through the real ssh: lua5.4 tests/lab/cluster/selftest.lua (in the root of the repository)
package.path = "./?.lua;tests/lab/?.lua;" .. package.path
local luasocket = require "socket"
local clusters = require "tests.spec.support.cluster"
local harness = require "selftest.harness"

local check, equal = harness.check, harness.equal

local function said(cluster, host, command)
  local status, output = cluster:ssh(host, command)
  return status, (output:gsub("%s+$", ""))
end

local function expect(cluster, host, command, status, pattern)
  local seen, output = said(cluster, host, command)
  equal(seen, status, ("%s: %s: status; it said %s"):format(host, command, output))
  if pattern then check(output:find(pattern) ~= nil, ("%s: %s says %s"):format(host, command, pattern), output) end
  return output
end

local function healthy(state, primary)
  local others = {}
  for name, node in pairs(state.nodes) do
    if not (node.up and node.repmgrd and node.writable == (name == primary)) then return false, name end
    if name ~= primary then
      others[#others + 1] = name
      if node.upstream ~= primary or #node.slots > 0 then return false, name end
    end
  end
  table.sort(others)
  return table.concat(state.nodes[primary].standbys, " ") == table.concat(others, " ")
end

local function first_day(cluster)
  local state = cluster:state()
  check(healthy(state, "db1"), "db1 is the primary and both others follow it")
  equal(#state.nodes.db1.slots, 2, "with a slot for each")
  for name, node in pairs(state.nodes) do check(node.chef, name .. ": chef runs") end
  equal(state.nodes.db2.settings.max_connections, "60", "the settings are the role's")
end

local function services(cluster)
  expect(cluster, "db2", "gitlab-ctl status", 0,
    "^run: postgresql: %(pid %d+%) %d+s; run: log: %(pid %d+%) %d+s\nrun: repmgrd: %(pid %d+%) %d+s")
  expect(cluster, "db2", "gitlab-ctl stop postgres", 0, "^$")
  check(cluster:state().nodes.db2.up, "a service that is not enabled: nothing happens")
  expect(cluster, "db2", "gitlab-ctl stop postgresql", 0, "^ok: down: postgresql: 0s, normally up$")
  expect(cluster, "db2", "gitlab-ctl stop postgresql", 0, "^ok: down: postgresql: %d+s, normally up$")
  expect(cluster, "db2", "gitlab-ctl status postgresql", 0, "^down: postgresql: %d+s, normally up; run: log:")
  check(not cluster:state().nodes.db2.up, "db2 is down")
  expect(cluster, "db2", "gitlab-ctl start postgresql", 0, "^ok: run: postgresql: %(pid %d+%) %d+s$")
  cluster:wait_until(function(state) return state.nodes.db2.upstream == "db1" end)
  expect(cluster, "db2", "gitlab-ctl restart repmgrd", 0, "^ok: run: repmgrd: %(pid %d+%) %ds$")
  expect(cluster, "db2", "gitlab-ctl frobnicate", 1, "I don't know that command%.")
  expect(cluster, "db2", "gitlab-ctl stop postgresql now", 2)
  expect(cluster, "db1", "gitlab-ctl repmgr-check-master", 0, "^$")
  expect(cluster, "db3", "gitlab-ctl repmgr-check-master", 2, "^$")
  expect(cluster, "db1", "service chef-client status", 0, "is running")
  expect(cluster, "db1", "service chef-client stop", 0, "Stopping chef%-client")
  expect(cluster, "db1", "service chef-client status", 3, "not running")
  expect(cluster, "db1", "service chef-client stop", 0, "apparently not running")
  expect(cluster, "db1", "service chef-client start", 0)
  check(cluster:state().nodes.db1.chef, "chef runs again")
end

local function shows(cluster)
  cluster:wait_until(function(state) return state.nodes.db1.registered[2].active end)
  local text = expect(cluster, "db3", "gitlab-ctl repmgr cluster show", 0,
    "^ ID | Name | Role    | Status    | Upstream | Location | Priority | Timeline")
  check(text:find "\n 1  | db1  | primary | %* running |", "the primary runs", text)
  cluster:fault("down", true, { node = "db2" })
  text = expect(cluster, "db3", "gitlab-ctl repmgr cluster show", 25)
  check(text:find "2  | db2  | standby | %? unreachable" or text:find "2  | db2  | standby | %- failed", "one is down", text)
  expect(cluster, "db2", "gitlab-ctl repmgr cluster show", 1, "Error running command")
  cluster:fault("down", false, { node = "db2" })
end

local function knife(cluster)
  local function at(command) return cluster:shell(("cd %s && %s"):format(cluster.repo, command)) end
  local status, output = at "knife role from file gprd-base-db-postgres.json"
  equal(status .. output, "0Updated Role gprd-base-db-postgres\n", "role from file, found below roles/")
  equal(at "knife role from file nothing.json", 1, "a file that is not there")
  equal(at "knife role show nothing -F json", 100, "a role that is not there")
  equal(at "knife frobnicate", 10, "an unknown sub-command")
  cluster:fault "not-json"
  status, output = at "knife role from file gprd-base-db-postgres.json"
  equal(status, 100, "not JSON")
  check(output:find "^ERROR: ", "says so", output)
  cluster:fault("not-json", false)
  local _
  _, output = at "knife role show gprd-base-db-postgres -F json"
  check(output:find '"work_mem": "8MB"', "the new role is there", output)
  cluster:fault "knife"
  equal(at "knife role from file gprd-base-db-postgres.json", 100, "the server fails")
  equal(at "git push -q", 0, "push")
  equal(at "git status --porcelain", 0, "clean")
end

-- The document's procedure by hand.
local function failover(cluster, bootstrap)
  cluster:reset { bootstrap = bootstrap }
  local watch = cluster:watcher()
  luasocket.sleep(0.5)
  for _, host in ipairs { "db1", "db2", "db3" } do expect(cluster, host, "service chef-client stop", 0) end
  local push = ("cd %s && git push -q && knife role from file roles/gprd-base-db-postgres.json"):format(cluster.repo)
  equal(cluster:shell(push), 0, "the role")
  for _, host in ipairs { "db2", "db3" } do
    expect(cluster, host, "gitlab-ctl stop postgresql", 0, "^ok: down: ")
    expect(cluster, host, "chef-client", 0, "Chef Client finished, 1/42 resources")
    expect(cluster, host, "gitlab-ctl reconfigure", 0, "gitlab Reconfigured!$")
    equal(cluster:state().nodes[host].up, bootstrap, "reconfigure starts it only with bootstrap")
    expect(cluster, host, "gitlab-ctl start postgresql", 0, "^ok: run: ")
    cluster:wait_until(function(state) return state.nodes[host].upstream == "db1" end)
    equal(cluster:state().nodes[host].settings.max_connections, "80", host .. " has the new settings")
    cluster:wait_until(function(state) return state.nodes.db1.registered[tonumber(host:sub(3))].active end)
  end
  local began = luasocket.gettime()
  expect(cluster, "db1", "gitlab-ctl stop postgresql", 0, "^ok: down: ")
  local after = cluster:wait_until(function(state) return state.primary ~= require("cjson").null end)
  local promoted = luasocket.gettime() - began
  local new, third = after.primary, after.primary == "db2" and "db3" or "db2"
  cluster:wait_until(function(state) return state.nodes[third].upstream == new end)
  print(("failover: %s promoted after %.1f s, %s follows after %.1f s"):format(new, promoted, third, luasocket.gettime() - began))
  local text = expect(cluster, third, "gitlab-ctl repmgr cluster show", 25)
  check(text:find("db1 +| primary | %- failed"), "the old primary failed", text)
  check(text:find(new .. " +| primary | %* running"), "the new one runs", text)
  expect(cluster, "db1", "chef-client", 0)
  -- With bootstrap, reconfigure would start the former primary read-write: it is told to be a standby first.
  if bootstrap then expect(cluster, "db1", ". $LAB_NODE/env && $as touch $data/standby.signal", 0) end
  expect(cluster, "db1", "gitlab-ctl reconfigure", 0)
  expect(cluster, "db1", "gitlab-ctl repmgr standby follow " .. new, 0)
  expect(cluster, "db1", "gitlab-ctl restart repmgrd", 0, "^ok: run: ")
  local state = cluster:wait_until(function(state) return state.nodes.db1.upstream == new end)
  equal(state.nodes.db1.settings.max_connections, "80", "the old primary has the new settings")
  for _, slot in ipairs(state.nodes.db1.slots) do
    check(not slot.active, "what is left of the slots is not in use")
    print("left over on db1: " .. slot.name)
    cluster:sql("db1", ("select pg_drop_replication_slot('%s')"):format(slot.name))
  end
  check(healthy(cluster:state(), new), "the cluster is healthy again")
  cluster:wait_until(function(seen) return seen.nodes[new].registered[1].active end)
  expect(cluster, "db1", "gitlab-ctl repmgr cluster show", 0)
  luasocket.sleep(0.5)
  local seen = watch:stop()
  equal(#seen.overlaps, 0, "never two writable nodes")
  check(#seen.rows > 50, "rows were written all along", #seen.rows)
  for name in pairs(state.nodes) do
    check(seen.samples[name] > 20, name .. " was looked at", seen.samples[name])
    equal(cluster:found(name, seen.rows), #seen.rows, "every acknowledged row is on " .. name)
  end
  print(("%d rows acknowledged, the longest pause %.1f s"):format(#seen.rows, seen.gap))
end

-- The hazard: with bootstrap, reconfigure on the stopped former primary makes a second writable node. The watcher sees it.
local function two_primaries(cluster)
  cluster:reset { bootstrap = true }
  local watch = cluster:watcher { writer = false }
  expect(cluster, "db1", "gitlab-ctl stop postgresql", 0)
  cluster:wait_until(function(state) return state.primary ~= require("cjson").null end)
  expect(cluster, "db1", "gitlab-ctl reconfigure", 0)
  cluster:wait_until(function(state) return state.nodes.db1.writable end)
  luasocket.sleep(0.5)
  check(#watch:stop().overlaps > 0, "the watcher sees two writable nodes")
end

local function faults(cluster)
  print(("reset: %.1f s"):format(cluster:reset()))
  cluster:fault("start-fails", true, { node = "db2" })
  expect(cluster, "db2", "gitlab-ctl stop postgresql", 0)
  expect(cluster, "db2", "gitlab-ctl start postgresql", 1, "^timeout: down: postgresql: %d+s, normally up, want up$")
  cluster:fault("start-fails", false, { node = "db2" })
  cluster:fault("start-dies", true, { node = "db2" })
  expect(cluster, "db2", "gitlab-ctl start postgresql", 0, "^ok: run: ")
  check(not cluster:state().nodes.db2.up, "it says ok and is not there")
  cluster:fault("start-dies", false, { node = "db2" })
  expect(cluster, "db2", "gitlab-ctl start postgresql", 0)
  for how, down in pairs { before = false, during = true, after = true } do
    cluster:fault("drop", true, { node = "db3", at = "gitlab-ctl stop*", how = how })
    expect(cluster, "db3", "gitlab-ctl stop postgresql", 255)
    if down then cluster:wait_until(function(state) return not state.nodes.db3.up end) end
    equal(cluster:state().nodes.db3.up, not down, "the link lost " .. how)
    expect(cluster, "db3", "gitlab-ctl start postgresql", 0)
    cluster:wait_until(function(state) return state.nodes.db3.up end)
  end
  cluster:fault("host-key", true, { node = "db1" })
  expect(cluster, "db1", "true", 255, "HOST IDENTIFICATION HAS CHANGED")
  cluster:fault("host-key", false, { node = "db1" })
  expect(cluster, "db1", "true", 0)
  cluster:fault("chef-fails", true, { node = "db1" })
  expect(cluster, "db1", "chef-client", 1, "Chef Client failed")
  cluster:fault("lag", true, { node = "db3" })
  check(cluster:state().nodes.db3.replay_paused, "a standby does not replay")
  cluster:fault("slot", true, { node = "db2" })
  equal(cluster:state().nodes.db2.slots[1].name, "repmgr_slot_9", "a slot that nobody uses")
  cluster:fault "dirty"
  check(select(2, cluster:shell(("git -C %s status --porcelain"):format(cluster.repo))):find "db%-postgres", "a dirty repository")
  cluster:fault "alert"
  luasocket.sleep(0.3)
  local _, alerts = cluster:shell "curl -s $ALERTMANAGER_URL/api/v2/alerts"
  check(alerts:find "PostgreSQL_ReplicationLag", "an alert fires", alerts)
  cluster:reset()
  check(healthy(cluster:state(), "db1"), "a reset takes everything back")
  _, alerts = cluster:shell "curl -s $ALERTMANAGER_URL/api/v2/alerts"
  equal(alerts, "[]\n", "no alert is left")
  cluster:fault "no-failover"
  expect(cluster, "db1", "gitlab-ctl stop postgresql", 0)
  luasocket.sleep(6)
  equal(cluster:state().primary, require("cjson").null, "the failover does not come")
end

local function slack(cluster)
  cluster:reset { slack_limit = 1, slack_window_s = 60 }
  local function post(auth, body, path)
    return harness.request("POST", cluster.env.PGSH_SLACK_URL .. (path or "/chat.postMessage"), { authorization = auth }, body)
  end
  local token = "Bearer " .. cluster.env.SLACK_TOKEN
  local message = { channel = "#production", text = "hello" }
  local status, reply = post(token, message)
  equal(status, 200, "a message")
  check(reply.ok == true and reply.ts:match "^%d+%.%d+$" and reply.channel == "C024BE91L", "is answered as the service does")
  local headers
  status, reply, headers = post(token, message)
  equal(status .. tostring(reply.error) .. tostring(headers["retry-after"] ~= nil), "429ratelimitedtrue", "the second one comes too early")
  for _, case in ipairs {
    { nil, message, "not_authed" }, { "Bearer x", message, "invalid_auth" },
    { token, { channel = "#nowhere", text = "x" }, "channel_not_found" },
    { token, { channel = "#database" }, "no_text" }, { token, { channel = "#archived", text = "x" }, "is_archived" },
  } do
    status, reply = post(case[1], case[2])
    equal(status .. reply.error, "200" .. case[3], case[3])
  end
  status, reply = harness.request("POST", cluster.env.SLACK_WEBHOOK_URL, nil, { text = "from a hook", channel = "#database" })
  equal(status .. reply, "200ok", "the webhook")
  status, reply = harness.request("POST", cluster.env.SLACK_WEBHOOK_URL .. "x", nil, { text = "from a hook" })
  equal(status .. reply, "404no_service", "a webhook that is not there")
  status, reply = harness.request("POST", cluster.env.SLACK_WEBHOOK_URL, nil, { nonsense = "from a hook" })
  equal(status .. reply, "400invalid_payload", "a body that is wrong")
  equal(#cluster:messages(), 2, "the messages are kept")
end

local function exists(path) return os.execute("test -e " .. path) == true end

local function main()
  local cluster = clusters.start()
  print(("start: %.1f s"):format(cluster.took))
  for _, part in ipairs { first_day, services, shows, knife, faults, slack } do
    local ok, why = xpcall(part, debug.traceback, cluster)
    check(ok, "a part ran to its end", why)
  end
  for _, bootstrap in ipairs { false, true } do
    local ok, why = xpcall(failover, debug.traceback, cluster, bootstrap)
    check(ok, "failover ran to its end", why)
  end
  local ok, why = xpcall(two_primaries, debug.traceback, cluster)
  check(ok, "two_primaries ran to its end", why)
  equal(cluster:errors(), "", "no complaints")
  cluster:stop()
  check(not exists(cluster.dir), "nothing is left")
  equal(harness.psql(cluster.nodes[1].repmgr_conninfo, "select 1"), nil, "no server is left")
  os.exit(harness.report())
end

main()
