-- The lab's own interface for specs.
--   GET /_lab/state, POST /_lab/reset {bootstrap?, output?, nodes?, …options} GET, POST, DELETE /_lab/faults (requests: core/faults.lua)
--   POST /_lab/fault {name, on?, node?, …} (cluster/faults.lua)            POST /_lab/sql {node, sql, dbname?}
--   POST /_lab/command {node, words}                                       GET /_lab/log, /_lab/messages, /_lab/commands
--   POST /_lab/watch {writer?}, DELETE /_lab/watch → what was seen         POST /_lab/found {node, rows}
--   POST /_lab/options {slack_limit?, slack_window_s?, …}
local control_of = require "core.control"
local alertmanager = require "cluster.alertmanager"
local chef = require "cluster.chef"
local cluster_faults = require "cluster.faults"
local faults = require "core.faults"
local hosts = require "cluster.hosts"
local json = require "core.json"
local luasocket = require "socket"
local nodes = require "cluster.nodes"
local refusal = require "core.refusal"
local router = require "core.router"
local slack = require "cluster.slack"
local state = require "cluster.state"
local watch = require "cluster.watch"

local control = {}

local DEFAULTS = {
  service_time = 0,           -- ms, latency of Slack
  slack_limit = 20,           -- messages a channel takes in the window
  slack_window_s = 1,
  slack_missing_scope = false,-- the token may not write
  slack_no_history = false,   -- nor read
}

function control.world(queue, cluster, token, hook)
  local world = {
    queue = queue, cluster = cluster, slack_token = token, slack_hook = hook, now = luasocket.gettime,
  }
  control.reset_logs(world)
  return world
end

function control.reset_logs(world)
  world.log, world.log_count, world.faults, world.options = {}, 0, {}, {}
  for name, value in pairs(DEFAULTS) do world.options[name] = value end
  world.slack = slack.new(world)
  local file = io.open(world.cluster.lab .. "/run/commands.log", "w")
  if file then file:close() end
end

local function body_of(request)
  if request.body == "" then return {} end
  local decoded, why = json.decode(request.body)
  if decoded == nil then refusal.raise(400, "bad_request", "the body is not JSON: " .. why) end
  return decoded
end

local function node_of(world, name)
  for _, node in ipairs(world.cluster) do
    if node.name == name then return node end
  end
  refusal.raise(404, "not_found", "no node " .. tostring(name))
end

local function set_options(world, given)
  for name, value in pairs(given) do
    if DEFAULTS[name] == nil then refusal.raise(422, "invalid_params", "no option " .. name) end
    world.options[name] = value
  end
  return 200, world.options
end

-- As on the first day. bootstrap and output: as on the command line; nodes = false: the servers stay; the others are options.
local function reset(world, request)
  local given, cluster, began = body_of(request), world.cluster, luasocket.gettime()
  watch.stop(cluster)
  local asked = cluster.options_given
  local bootstrap = given.bootstrap == true
  local output = given.output or asked.output
  local with_nodes = given.nodes ~= false
  given.bootstrap, given.output, given.nodes = nil, nil, nil
  if bootstrap ~= cluster.bootstrap_now then
    os.execute(("rm -rf %s/pristine"):format(cluster.lab))
    chef.make(cluster, { bootstrap = bootstrap })
  end
  cluster.bootstrap_now = bootstrap
  local file = assert(io.open(cluster.lab .. "/run/repmgr_output", "w"))
  file:write(output, "\n")
  file:close()
  hosts.reset(cluster)
  nodes.together(
    function()
      if with_nodes then nodes.each(cluster, "wipe") end
      chef.reset(cluster)
      if with_nodes then cluster:up() end
    end,
    function() alertmanager.reset(cluster) end)
  control.reset_logs(world)
  set_options(world, given)
  return 200, { ok = true, took = luasocket.gettime() - began }
end

local function sql(world, request)
  local given = body_of(request)
  local ok, output = node_of(world, given.node):sql(given.sql, given.dbname)
  if not ok then refusal.raise(422, "sql", output) end
  return 200, { output = output }
end

local function command(world, request)
  local given = body_of(request)
  local status, output = node_of(world, given.node):command(table.unpack(given.words))
  return 200, { status = status, output = output }
end

local function commands(world)
  local out = json.array()
  for line in io.lines(world.cluster.lab .. "/run/commands.log") do
    local time, node, text = line:match "^(%S+) (%S+) (.*)$"
    out[#out + 1] = { time = tonumber(time), node = node, command = text }
  end
  return 200, out
end

local function fault(world, request)
  local given = body_of(request)
  cluster_faults.set(world.cluster, given.name, given.on ~= false, given)
  return 200, { ok = true }
end

local function watched(world)
  watch.stop(world.cluster)
  local seen = watch.result(world.cluster)
  for _, name in ipairs { "overlaps", "rows" } do json.array(seen[name]) end
  for _, spans in pairs(seen.writable) do json.array(spans) end
  return 200, seen
end

local function log_of(world, request)
  local params, out = router.query(request.query), json.array()
  for _, entry in ipairs(world.log) do
    if not params.effect or entry.effect then out[#out + 1] = entry end
  end
  return 200, out
end

local function routes(world)
  local function with(handler) return function(request) return handler(world, request) end end
  return {
    { "GET", "/_lab/state", function() return 200, state.of(world.cluster) end },
    { "POST", "/_lab/reset", with(reset) },
    { "POST", "/_lab/sql", with(sql) },
    { "POST", "/_lab/command", with(command) },
    { "POST", "/_lab/fault", with(fault) },
    { "GET", "/_lab/commands", with(commands) },
    { "DELETE", "/_lab/commands", function() control.reset_logs(world) return 200, { ok = true } end },
    { "GET", "/_lab/messages", function() return 200, world.slack.messages end },
    { "GET", "/_lab/log", with(log_of) },
    { "POST", "/_lab/options", function(request) return set_options(world, body_of(request)) end },
    { "POST", "/_lab/faults", function(request)
      faults.add(world, body_of(request))
      return 200, json.array(world.faults)
    end },
    { "DELETE", "/_lab/faults", function() world.faults = {} return 200, json.array() end },
    { "POST", "/_lab/watch", function(request) watch.start(world.cluster, body_of(request)) return 200, { ok = true } end },
    { "DELETE", "/_lab/watch", with(watched) },
    { "POST", "/_lab/found", function(request)
      local given = body_of(request)
      return 200, { found = watch.found(world.cluster, node_of(world, given.node), given.rows) }
    end },
  }
end

function control.handler(world)
  return control_of(routes(world))
end

return control
