-- The application as state: config vars, releases, formation and dynos, and the rules by which one moves the
-- others. Nothing here knows HTTP.
local json = require "core.json"
local world_of = require "world"

local application = {}

local COMMANDS = {
  web = "./script/start-web.sh", background_worker = "./target/release/background-worker", release = "./script/release",
}
local DEFAULT_CONFIG = { RUST_LOG = "info", WEB_CONCURRENCY = "2", HEROKU_APP_STAGE = "production" }
local EMAIL = "operator@example.com"

local function process_type(name, quantity, size)
  local now = world_of.now()
  return {
    id = world_of.uuid(), type = name, quantity = quantity, size = size, command = COMMANDS[name] or ("./bin/" .. name),
    created_at = now, updated_at = now,
  }
end

-- formation: process type → { quantity, size }.
function application.new(world, name, formation)
  local app = {
    world = world, id = world_of.uuid(), name = name, maintenance = false, created_at = world_of.now(), config = {},
    formation = {}, dynos = {}, releases = {},
  }
  for key, value in pairs(DEFAULT_CONFIG) do app.config[key] = value end
  for version = 1, 40 do
    app.releases[version] = application.make_release(version, version == 1 and "Initial release" or "Deploy 1a2b3c4d")
  end
  for process, given in pairs(formation) do
    app.formation[process] = process_type(process, given.quantity, given.size)
    application.settle_dynos(app, process)
  end
  return app
end

function application.make_release(version, description)
  local now = world_of.now()
  return {
    id = world_of.uuid(), version = version, description = description, status = "succeeded", current = true,
    created_at = now, updated_at = now, user = { id = world_of.uuid(), email = EMAIL },
  }
end

function application.latest(app)
  return app.releases[#app.releases]
end

-- What a dyno looks like now. It remembers what it was before its latest change, so that changes can be slow
-- without timers: before `shows_at` the old face, then starting, from `up_at` on the final state.
function application.dyno_face(dyno, now, held)
  if dyno.before and now < dyno.shows_at then return application.dyno_face(dyno.before, now, held) end
  if now >= dyno.up_at and not (held and dyno.up_at > 0) then return dyno.final, dyno.release end
  return "starting", dyno.release
end

local function final_state(app, name)
  local options = app.world.options
  return options.dyno_crash == name and "crashed" or "up"
end

local function restarted(app, before, name, number)
  local options, now = app.world.options, world_of.now()
  local shows_at = now + options.dyno_delay_ms / 1000
  local never = options.redeploy_never_ends and math.huge or 0
  return {
    id = world_of.uuid(), type = name, number = number, before = before, release = application.latest(app),
    shows_at = shows_at, up_at = shows_at + options.dyno_restart_ms / 1000 + never, final = final_state(app, name),
    created_at = now,
  }
end

-- Every dyno of the type starts again on the latest release (all types without a name).
function application.restart(app, name)
  for i, dyno in ipairs(app.dynos) do
    if not dyno.gone_at and (not name or dyno.type == name) then
      -- Only the last face matters, or chains of releases would grow without end.
      if dyno.before and world_of.now() >= dyno.shows_at then dyno.before = nil end
      app.dynos[i] = restarted(app, dyno, dyno.type, dyno.number)
    end
  end
end

local function live_dynos(app, name)
  local out = {}
  for _, dyno in ipairs(app.dynos) do
    if dyno.type == name and not dyno.gone_at then out[#out + 1] = dyno end
  end
  table.sort(out, function(a, b) return a.number < b.number end)
  return out
end

local function adjust_dynos(app, name)
  local live, wanted = live_dynos(app, name), app.formation[name].quantity
  for i = #live, wanted + 1, -1 do
    local options = app.world.options
    live[i].gone_at = world_of.now() + (options.dyno_delay_ms + options.dyno_stop_ms) / 1000
  end
  for number = #live + 1, wanted do
    local dyno = restarted(app, nil, name, number)
    -- A dyno that did not exist has no earlier face: it is listed from shows_at on.
    dyno.listed_at = dyno.shows_at
    app.dynos[#app.dynos + 1] = dyno
  end
end

-- Dynos of a type as they would be had nothing happened for long.
function application.settle_dynos(app, name)
  local kept = {}
  for _, dyno in ipairs(app.dynos) do
    if dyno.type ~= name then kept[#kept + 1] = dyno end
  end
  app.dynos = kept
  for number = 1, app.formation[name].quantity do
    app.dynos[#app.dynos + 1] = {
      id = world_of.uuid(), type = name, number = number, release = application.latest(app), shows_at = 0, up_at = 0,
      final = "up", created_at = world_of.now(),
    }
  end
end

-- The dynos a reader sees now, in a stable order.
function application.list_dynos(app)
  local now, out = world_of.now(), {}
  for i = #app.dynos, 1, -1 do
    local dyno = app.dynos[i]
    if dyno.gone_at and now >= dyno.gone_at then
      table.remove(app.dynos, i)
    elseif now >= (dyno.listed_at or 0) then
      local state, release = application.dyno_face(dyno, now, app.world.options.dynos_held)
      out[#out + 1] = { dyno = dyno, state = state, release = release }
    end
  end
  table.sort(out, function(a, b)
    if a.dyno.type ~= b.dyno.type then return a.dyno.type < b.dyno.type end
    return a.dyno.number < b.dyno.number
  end)
  return out
end

-- A new release: every dyno restarts.
function application.release(app, description)
  local release = application.make_release(#app.releases + 1, description)
  application.latest(app).current = false
  app.releases[release.version] = release
  application.restart(app)
  return release
end

-- quantity and size may each be nil (unchanged).
function application.scale(app, name, quantity, size)
  local process = app.formation[name]
  local resized = size and size ~= process.size
  process.quantity, process.size = quantity or process.quantity, size or process.size
  process.updated_at = world_of.now()
  adjust_dynos(app, name)
  if resized then application.restart(app, name) end
end

-- Sets a part of the formation as a fact, for the options: no dyno moves.
function application.preset_formation(app, formation)
  for name, given in pairs(formation) do
    if type(given) == "number" then given = { quantity = given } end
    local process = app.formation[name] or process_type(name, 0, "Standard-1X")
    process.quantity, process.size = given.quantity, given.size or process.size
    app.formation[name] = process
    application.settle_dynos(app, name)
  end
end

function application.preset_config(app, config)
  for name, value in pairs(config) do
    if value == json.null then app.config[name] = nil else app.config[name] = value end
  end
end

return application
