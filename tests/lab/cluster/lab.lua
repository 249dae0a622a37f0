-- The lab of the rolling reconfiguration: three PostgreSQL servers with repmgr, each behind an sshd of its own with gitlab-ctl,
-- chef-client and service; knife, a chef server and a repository of roles; the real Alertmanager; a simulated Slack.
-- Prints one line of JSON when everything is ready, serves until stdin ends or a signal comes, leaves nothing.
--   lua5.4 lab.lua [--dir PARENT] [--defaults] [--bootstrap] [--repmgr-output 3|5]
-- --defaults: repmgr's documented intervals (a failover takes 51 s) in place of short ones. --bootstrap: reconfigure starts a
-- PostgreSQL that is down. --repmgr-output 3: `cluster show` looks as repmgr 3.3, which Omnibus brought.
local here = arg[0]:match "^(.*)/[^/]*$" or "."
package.path = ("%s/../?.lua;%s"):format(here, package.path)

local luasocket = require "socket"
local main = require "core.main"
local alertmanager = require "cluster.alertmanager"
local chef = require "cluster.chef"
local control = require "cluster.control"
local guardian = require "cluster.guardian"
local hosts = require "cluster.hosts"
local http = require "core.http"
local json = require "core.json"
local nodes = require "cluster.nodes"
local proc = require "core.proc"
local service = require "core.service"
local slack = require "cluster.slack"

local USAGE = "usage: lab.lua [--dir PARENT] [--defaults] [--bootstrap] [--repmgr-output 3|5]\n"
local QUICK = { monitor_interval_secs = 1, reconnect_attempts = 2, reconnect_interval = 1 }
local DOCUMENTED = { monitor_interval_secs = 2, reconnect_attempts = 6, reconnect_interval = 10 }

local function parse_arguments()
  local options, i = { intervals = QUICK, bootstrap = false, output = "5" }, 1
  while arg[i] do
    local word, value = arg[i], arg[i + 1]
    if word == "--defaults" then
      options.intervals = DOCUMENTED
    elseif word == "--bootstrap" then
      options.bootstrap = true
    elseif word == "--dir" and value then
      options.parent, i = value, i + 1
    elseif word == "--repmgr-output" and (value == "3" or value == "5") then
      options.output, i = value, i + 1
    else
      io.stderr:write(USAGE)
      os.exit(2)
    end
    i = i + 1
  end
  return options
end

local function random_word(length)
  local out = {}
  for k = 1, length do out[k] = ("%x"):format(math.random(0, 15)) end
  return table.concat(out)
end

local function ready_line(cluster, world, ports, began)
  local list = json.array()
  for i, node in ipairs(cluster) do
    list[i] = {
      name = node.name, address = node.address, port = node.port, ssh_port = node.ssh_port, dir = node.dir, log = node.dir .. "/log",
      conninfo = node:conninfo("gitlabhq_production", "gitlab"), repmgr_conninfo = node:conninfo(),
    }
  end
  local function url(port) return "http://127.0.0.1:" .. port end
  return {
    dir = cluster.lab, control = url(ports.control), nodes = list, ssh_config = cluster.ssh_config, repo = cluster.repository,
    environment = chef.ENVIRONMENT, chef = cluster.chef, took = luasocket.gettime() - began, service = "postgresql",
    known_hosts = cluster.lab .. "/ssh/known_hosts",
    env = {
      ALERTMANAGER_URL = url(cluster.alertmanager_port), PGSH_SLACK_URL = url(ports.slack) .. "/api", SLACK_TOKEN = world.slack_token,
      SLACK_WEBHOOK_URL = url(ports.slack) .. world.slack_hook, LAB_CHEF = cluster.chef, LAB_SSH_CONFIG = cluster.ssh_config,
      PATH = cluster.commands .. "/../operator:" .. os.getenv "PATH", GIT_CONFIG_NOSYSTEM = "1", PGUSER = "gitlab", PGSSLMODE = "disable",
    },
  }
end

local function start(queue, options, dir, began)
  -- The server's user may not be able to read this directory: a checkout below /root.
  local commands = dir .. "/commands"
  proc.must(("mkdir %s && cp -R %s %s/../core %s && chmod -R a+rX %s")
    :format(commands, proc.quote(here), proc.quote(here), commands, commands))
  local cluster = nodes.new(dir, commands .. "/cluster/node", chef.ENVIRONMENT .. "-base-db-postgres", options.intervals)
  cluster.options_given = options
  proc.must(("cd %s/run && echo %s >repmgr_output && touch commands.log && chmod 666 commands.log"):format(dir, options.output))
  local world = control.world(queue, cluster, "xoxb-" .. random_word(24), "/services/T00000000/B00000000/" .. random_word(24))
  nodes.together(
    function() cluster:make() end,
    function() hosts.start(cluster) end,
    function() alertmanager.start(cluster) end,
    function() chef.make(cluster, options) end)
  control.reset_logs(world)
  local ports = {
    slack = http.listen(queue, service.handler(slack.definition(world))), control = http.listen(queue, control.handler(world)),
  }
  io.stdout:write(json.encode(ready_line(cluster, world, ports, began)), "\n")
  io.stdout:flush()
end

local began, options = luasocket.gettime(), parse_arguments()
main { parent = options.parent, watch = guardian.watch, start = function(queue, dir) start(queue, options, dir, began) end }
