-- The lab: simulated Heroku and Statuspage, a real PostgreSQL primary and follower, all on loopback.
-- Prints one line of JSON when everything is ready, serves until stdin ends or a signal comes, leaves nothing.
--   lua5.4 lab.lua [--dir PARENT] [--no-postgres]
package.path = (arg[0]:match("^(.*)/[^/]*$") or ".") .. "/?.lua;" .. package.path

local control = require "control"
local fake_postgres = require "core.fake_postgres"
local guardian = require "core.guardian"
local http = require "core.http"
local json = require "core.json"
local main = require "core.main"
local postgres = require "core.postgres"
local service = require "core.service"
local simulator = require "heroku.simulator"
local statuspage = require "statuspage"
local world_of = require "world"

local function parse_arguments()
  local options, i = { postgres = true }, 1
  while arg[i] do
    if arg[i] == "--no-postgres" then
      options.postgres = false
    elseif arg[i] == "--dir" and arg[i + 1] then
      i = i + 1
      options.parent = arg[i]
    else
      io.stderr:write("usage: lab.lua [--dir PARENT] [--no-postgres]\n")
      os.exit(2)
    end
    i = i + 1
  end
  return options
end

local function random_hex(length)
  local out = {}
  for i = 1, length do out[i] = ("%x"):format(math.random(0, 15)) end
  return table.concat(out)
end

local function start_simulators(queue, world)
  return {
    heroku = http.listen(queue, service.handler(simulator.definition(world))),
    statuspage = http.listen(queue, service.handler(statuspage.definition(world))),
    control = http.listen(queue, control.handler(world)),
  }
end

local function server_line(group, name)
  local given = group.credentials
  return { host = "127.0.0.1", port = group[name].port, dbname = given.dbname, user = given.user }
end

local function ready_line(dir, world, ports)
  local function url(port) return "http://127.0.0.1:" .. port end
  return {
    dir = dir, control = url(ports.control), app = world.heroku.app.name, spare_token = world.tokens[2], page = statuspage.PAGE,
    primary = server_line(world.pg, "primary"), follower = server_line(world.pg, "follower"),
    env = {
      HEROKU_HOST = url(ports.heroku), HEROKU_DATA_HOST = "127.0.0.1", HEROKU_API_KEY = world.api_key,
      PGSH_STATUSPAGE_URL = url(ports.statuspage) .. "/v1", STATUSPAGE_API_KEY = world.statuspage_key,
      PGSSLMODE = "disable",
    },
  }
end

local function start(queue, options, dir)
  local world = world_of.new {
    queue = queue, pg = options.postgres and postgres.start(dir) or fake_postgres.new(),
    api_key = "HRKU-" .. world_of.uuid(), spare_key = "HRKU-" .. world_of.uuid(), statuspage_key = random_hex(40),
  }
  control.build(world)
  local ports = start_simulators(queue, world)
  io.stdout:write(json.encode(ready_line(dir, world, ports)), "\n")
  io.stdout:flush()
end

local options = parse_arguments()
main { parent = options.parent, watch = guardian.watch, start = function(queue, dir) start(queue, options, dir) end }
