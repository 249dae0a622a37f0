-- The lab's own interface for specs: what was asked, what there is, options, faults, SQL and the servers.
--   GET /_lab/log[?effect=1][&service=heroku], DELETE /_lab/log, GET /_lab/state, POST /_lab/reset
--   GET, POST /_lab/options (names and defaults: world.lua)       GET, POST, DELETE /_lab/faults (core/faults.lua)
--   POST /_lab/sql {server, sql, dbname?}        POST /_lab/postgres {server, action}
local control_of = require "core.control"
local account = require "heroku.account"
local application = require "heroku.application"
local check = require "core.check"
local faults = require "core.faults"
local json = require "core.json"
local log_parts = require "partman.log_parts"
local refusal = require "core.refusal"
local router = require "core.router"
local statuspage = require "statuspage"
local view = require "heroku.view"
local world_of = require "world"

local control = {}

local SERVER = check.one_of { "primary", "follower" }
local SQL = check.record({ server = SERVER, sql = check.filled, dbname = check.filled }, { "server", "sql" })
local ACTION = check.record({
  server = SERVER, action = check.one_of { "stop", "start", "restart", "immediate", "recovery", "promote", "pause", "resume" },
}, { "server", "action" })

-- Options that shape add-ons and attachments.
local SHAPING = { "plan", "followers", "hand_copied_replica_url", "scheduler", "maintenance_status", "pg_version", "api_attached" }

local function body_of(request, schema)
  local decoded, why = json.decode(request.body)
  if decoded == nil then refusal.raise(400, "bad_request", "the body is not JSON: " .. why) end
  why = schema and schema(decoded, "body")
  if why then refusal.raise(422, "invalid_params", why) end
  return decoded
end

-- Every simulator's part of the world, new.
function control.build(world)
  world.heroku = account.new(world)
  world.statuspage = statuspage.new(world)
end

local function reset(world)
  world_of.clear(world)
  control.build(world)
  world.pg:heal()
  return 200, { ok = true }
end

local function set_options(world, request)
  local given = body_of(request, check.object)
  local shape = world_of.set_options(world, given)
  if given.fixture then world.heroku = account.new(world) end
  local rows = given.fixture or given.log_parts or given.log_parts_left
  if rows and world.options.fixture == "partman" then log_parts.fill(world) end
  for _, name in ipairs(SHAPING) do
    if given[name] ~= nil then
      account.build_addons(world.heroku)
      break
    end
  end
  if given.rate_limit then world.heroku.tokens = given.rate_limit end
  if shape.config then application.preset_config(world.heroku.app, shape.config) end
  if shape.formation then application.preset_formation(world.heroku.app, shape.formation) end
  return 200, world.options
end

local function mapped(list, make)
  local out = json.array()
  for i, item in ipairs(list) do out[i] = make(item) end
  return out
end

local function maintenance_state(self)
  local out = {}
  for _, addon in ipairs(self.addons) do
    local record = addon.maintenance
    if record then
      out[addon.name] = { status = record.status, starts = record.starts, refused = record.refused, id = addon.id }
    end
  end
  return out
end

local function database_state(self)
  local out = {}
  for _, addon in ipairs(self.addons) do
    if addon.upgrade then
      out[addon.name] = {
        id = addon.id, version = addon.version, upgrade = addon.upgrade.status, starts = addon.upgrade.starts,
        refused = addon.upgrade.refused, leader = addon.leader and addon.leader.name, server = addon.server_name,
      }
    end
  end
  return out
end

local function app_state(self, app)
  local formation = {}
  for name, process in pairs(app.formation) do
    formation[name] = { quantity = process.quantity, size = process.size }
  end
  return {
    formation = formation, config = account.config_of(self, app), maintenance_mode = app.maintenance,
    dynos = mapped(application.list_dynos(app), function(item)
      local dyno = item.dyno
      return { name = ("%s.%d"):format(dyno.type, dyno.number), type = dyno.type, state = item.state,
        version = item.release.version }
    end),
    releases = mapped(app.releases, function(release)
      return { version = release.version, description = release.description }
    end),
    attachments = mapped(account.attachments_of(self, app), function(attachment)
      return { id = attachment.id, name = attachment.name, addon = attachment.addon.name }
    end),
    addons = mapped(account.addons_of(self, app), function(addon)
      return { id = addon.id, name = addon.name, plan = view.plan_name(addon), state = account.state_of(addon), web_url = addon.web_url }
    end),
  }
end

local function state(world)
  local out = app_state(world.heroku, world.heroku.app)
  local page = statuspage.state(world.statuspage)
  out.incidents, out.components = page.incidents, page.components
  out.apps, out.databases = {}, database_state(world.heroku)
  for _, app in ipairs(world.heroku.apps) do out.apps[app.name] = app_state(world.heroku, app) end
  out.maintenance, out.options = maintenance_state(world.heroku), world.options
  out.faults = json.array(world.faults)
  out.servers = { primary = world.pg.primary:status() or "down", follower = world.pg.follower:status() or "down" }
  return 200, out
end

local function rows_of(output)
  local rows = json.array()
  for line in (output:gsub("\n$", "") .. "\n"):gmatch("([^\n]*)\n") do
    if not (line == "" and output == "") then
      local row = json.array()
      for cell in (line .. "\t"):gmatch("([^\t]*)\t") do row[#row + 1] = cell end
      rows[#rows + 1] = row
    end
  end
  return rows
end

local function run_sql(world, request)
  local given = body_of(request, SQL)
  local status, output = world.pg[given.server]:sql(given.sql, given.dbname)
  world.pg.touched, world.pg.sql_used = true, true
  if status ~= 0 then refusal.raise(422, "sql", output) end
  return 200, { rows = rows_of(output), output = output }
end

local function act_on_server(world, request)
  local given = body_of(request, ACTION)
  local server = world.pg[given.server]
  local actions = {
    stop = function() server:stop("fast") end,
    immediate = function() server:stop("immediate") end,
    start = function() server:start() end,
    restart = function() server:stop("fast") server:start() end,
    recovery = function() server:stop("fast") server:start_in_recovery() end,
    promote = function() server:promote() end,
    -- A follower that lags: it takes in nothing more.
    pause = function() server:must_sql("select pg_wal_replay_pause()", "postgres") end,
    resume = function() server:must_sql("select pg_wal_replay_resume()", "postgres") end,
  }
  world.pg.touched = true
  server:exclusive(actions[given.action])
  return 200, { status = server:status() or "down" }
end

local function log_of(world, request)
  local params, out = router.query(request.query), json.array()
  for _, entry in ipairs(world.log) do
    local wanted = (not params.service or entry.service == params.service) and (not params.effect or entry.effect)
    if wanted then out[#out + 1] = entry end
  end
  return 200, out
end

local function routes(world)
  local function with(handler) return function(request) return handler(world, request) end end
  return {
    { "GET", "/_lab/log", with(log_of) },
    { "DELETE", "/_lab/log", function() world.log = {} return 200, { ok = true } end },
    { "GET", "/_lab/state", with(state) },
    { "POST", "/_lab/reset", with(reset) },
    { "GET", "/_lab/options", function() return 200, world.options end },
    { "POST", "/_lab/options", with(set_options) },
    { "GET", "/_lab/faults", function() return 200, json.array(world.faults) end },
    { "POST", "/_lab/faults", function(request)
      faults.add(world, body_of(request))
      return 200, json.array(world.faults)
    end },
    { "DELETE", "/_lab/faults", function() world.faults = {} return 200, json.array() end },
    { "POST", "/_lab/sql", with(run_sql) },
    { "POST", "/_lab/postgres", with(act_on_server) },
  }
end

function control.handler(world)
  return control_of(routes(world))
end

return control
