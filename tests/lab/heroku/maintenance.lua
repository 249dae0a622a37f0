-- A maintenance of a database: what readers see of it, and the run, which really takes the server down.
local cqueues = require "cqueues"
local application = require "heroku.application"
local postgres = require "core.postgres"
local refusal = require "core.refusal"
local world_of = require "world"

local maintenance = {}

local RUNNABLE = { pending = true, preparing = true, ready = true }

-- What a reader sees: a run that has just begun may not be visible yet.
function maintenance.visible(addon)
  local record = addon.maintenance
  if record.visible_at and world_of.now() < record.visible_at then return record.shown_before end
  return record.status
end

function maintenance.is_running(addon)
  return maintenance.visible(addon) == "running"
end

-- A new password for the application, and with it a new value of its config vars.
local function rotate(world, addon)
  local group = world.pg
  local password = postgres.random_password()
  local credentials = group.credentials
  if not group.fake then
    group.primary:must_sql(("alter role %s password '%s'"):format(credentials.user, password), "postgres")
  end
  credentials.password = password
  application.release(addon.app, "Update DATABASE by heroku-postgresql")
end

local function take_down(world, addon)
  local server, options = world.pg[addon.server_name], world.options
  local generation = world.generation
  local recovery = options.recovery_ms / 1000
  server:exclusive(server.stop)
  cqueues.sleep(options.maintenance_ms / 1000)
  while options.maintenance_held and generation == world.generation do cqueues.sleep(0.01) end
  if generation ~= world.generation then return end
  if recovery > 0 and addon.server_name == "primary" then
    server:exclusive(server.start_in_recovery)
    cqueues.sleep(recovery)
    if generation ~= world.generation then return end
    server:exclusive(server.promote)
  else
    server:exclusive(server.start)
  end
end

local function finish(addon, failure)
  local record, now = addon.maintenance, world_of.now()
  record.status, record.completed_at, record.failure = "completed", now, failure
  table.insert(record.history, 1, { started_at = record.started_at, completed_at = now })
end

local function run(world, addon)
  local generation, options = world.generation, world.options
  local function current() return generation == world.generation end
  cqueues.sleep(options.visible_delay / 1000)
  if not current() then return end
  local ok, why = pcall(take_down, world, addon)
  if not ok then io.stderr:write("lab: maintenance of ", addon.name, ": ", tostring(why), "\n") end
  if not current() then return end
  if ok and options.rotate_credentials and addon.server_name == "primary" then
    ok, why = pcall(rotate, world, addon)
    if not ok then io.stderr:write("lab: rotation of ", addon.name, ": ", tostring(why), "\n") end
    if not current() then return end
  end
  finish(addon, options.maintenance_error ~= "" and options.maintenance_error or nil)
end

local function refuse(addon, message)
  addon.maintenance.refused = addon.maintenance.refused + 1
  refusal.raise(422, "unprocessable_entity", message)
end

-- Starts a run, or refuses it; returns at once.
function maintenance.start(world, addon)
  local record = addon.maintenance
  if record.status == "running" then refuse(addon, "Maintenance is already in progress.") end
  if addon.upgrade.status == "running" then refuse(addon, "An upgrade of this database is in progress.") end
  if not RUNNABLE[record.status] then refuse(addon, "There is no pending maintenance for this database.") end
  record.shown_before, record.status = record.status, "running"
  record.starts = record.starts + 1
  record.started_at, record.completed_at, record.failure = world_of.now(), nil, nil
  record.visible_at = record.started_at + world.options.visible_delay / 1000
  world.queue:wrap(run, world, addon)
end

return maintenance
