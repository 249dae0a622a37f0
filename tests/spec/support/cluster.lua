-- The lab of a repmgr cluster for specs: one process for a spec file, put back to its first day before each test (about two seconds).
--
--   local cluster = require("tests.spec.support.cluster").start()       about six seconds; options: defaults, bootstrap, output ("3")
--   cluster.nodes[1]            { name = "db1", address, port, ssh_port, conninfo, repmgr_conninfo, dir, log }; db1 is the primary at first
--   cluster.env                 SLACK_WEBHOOK_URL, SLACK_TOKEN, PGSH_SLACK_URL, ALERTMANAGER_URL, PATH with knife and an ssh that knows db1
--   cluster.ssh_config          for ssh -F; cluster.repo: the clone of the chef repository; cluster.environment: "gprd"
--   cluster:reset { bootstrap = true, output = "3", slack_limit = 1 }
--   cluster:fault("start-fails", true, { node = "db2" })                tests/lab/cluster/faults.lua names them all
--   cluster:state()             .primary, .nodes.db1 = { up, writable, upstream, standbys, slots, registered, settings, repmgrd, chef }
--   local watch = cluster:watcher()     polls every node ten times a second, and a client writes rows all along
--   local seen = watch:stop()   .overlaps (moments with more than one writable node), .rows (acknowledged), .gap (longest, s), .samples
--   cluster:found("db2", seen.rows)     how many of them are on a node
--   cluster:commands()          what was called on the nodes: { { node, command, time } }; cluster:messages(): of Slack
--   cluster:ssh("db1", "gitlab-ctl status")                              status and output, through the real ssh
--   cluster:stop()
local labs = require "tests.spec.support.lab"

local cluster = {}
local Cluster, Watch = labs.derive { patience_s = 20, poll_s = 0.05 }, {}
Watch.__index = Watch

function cluster.start(options)
  options = options or {}
  local words = { "tests/lab/cluster/lab.lua" }
  if options.defaults then words[#words + 1] = "--defaults" end
  if options.bootstrap then words[#words + 1] = "--bootstrap" end
  if options.output then words[#words + 1] = "--repmgr-output " .. options.output end
  local self = labs.launch(table.concat(words, " "), Cluster)
  for _, node in ipairs(self.nodes) do self.nodes[node.name] = node end
  return self
end

-- As on the first day, then with these options.
function Cluster:reset(options)
  return self:call("POST", "/reset", next(options or {}) and options or nil).took
end

function Cluster:options(options) return self:call("POST", "/options", options) end

-- A fault of the cluster. on = false takes it back.
function Cluster:fault(name, on, details)
  local body = { name = name, on = on ~= false }
  for key, value in pairs(details or {}) do body[key] = value end
  self:call("POST", "/fault", body)
end

-- Faults of requests to Slack, as tests/lab/core/faults.lua lists them.
function Cluster:faults(list) return self:call("POST", "/faults", list) end

function Cluster:state() return self:call("GET", "/state") end
function Cluster:messages() return self:call("GET", "/messages") end
function Cluster:log() return self:call("GET", "/log?effect=1") end

-- What was called on the nodes, in order; with a node's name: there, as texts.
function Cluster:commands(node)
  local all = self:call("GET", "/commands")
  if not node then return all end
  local out = {}
  for _, entry in ipairs(all) do
    if entry.node == node then out[#out + 1] = entry.command end
  end
  return out
end

function Cluster:sql(node, text, dbname)
  return self:call("POST", "/sql", { node = node, sql = text, dbname = dbname }).output
end

function Cluster:ssh(alias, command)
  return self:shell(("ssh -o BatchMode=yes %s %s"):format(alias, labs.quote(command)))
end

-- A conninfo of all nodes: libpq goes to whichever takes writes.
function Cluster:writer()
  local addresses, ports = {}, {}
  for i, node in ipairs(self.nodes) do addresses[i], ports[i] = node.address, node.port end
  return ("host=%s port=%s dbname=gitlabhq_production user=gitlab target_session_attrs=read-write connect_timeout=2"):format(
    table.concat(addresses, ","), table.concat(ports, ","))
end

-- options: writer = false leaves the writing client out.
function Cluster:watcher(options)
  self:call("POST", "/watch", options or { writer = true })
  return setmetatable({ cluster = self }, Watch)
end

function Watch:stop()
  return self.cluster:call("DELETE", "/watch")
end

function Cluster:found(node, rows)
  return self:call("POST", "/found", { node = node, rows = rows }).found
end

return cluster
