-- Data API: databases, wait status, and both generations of the maintenance interface.
local account = require "heroku.account"
local check = require "core.check"
local gate = require "heroku.gate"
local json = require "core.json"
local maintenance = require "heroku.maintenance"
local refusal = require "core.refusal"
local upgrade = require "heroku.upgrade"
local world_of = require "world"

local stamp = world_of.timestamp

local HOUR = 3600
local DAYS = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" }
local WINDOW = check.record({
  day_of_week = check.one_of(DAYS), time_of_day = check.pattern("^%d%d:[03]0$", "a time like 18:00 or 18:30"),
}, { "day_of_week", "time_of_day" })
local OLD_WINDOW = check.record({
  description = check.pattern("^%a+ %d%d?:[03]0$", "a day and a time like Sunday 06:00"),
}, { "description" })
local WEEKS = check.either(check.natural, check.pattern("^%d+$", "a number of weeks"))
local UPGRADE = check.record { version = check.pattern("^%d+$", "a major version") }
local NOTHING = check.record {}
local SCHEDULE = check.record { delay_weeks = WEEKS }

local function find_database(world, id)
  local addon = account.look_up_addon(world.heroku, id)
  if not addon or addon.id ~= id or addon.service ~= "heroku-postgresql" then
    refusal.raise(404, "not_found", "Couldn't find that database.", { resource = "database" })
  end
  return addon
end

local function refuse_small_plan(addon)
  for _, prefix in ipairs { "essential", "dev", "basic", "mini" } do
    if addon.plan:find(prefix, 1, true) == 1 then
      refusal.raise(422, "unprocessable_entity", "Maintenance isn't available for Essential-tier databases.")
    end
  end
end

local function window_text(addon)
  local hour, minute = addon.window.time_of_day:match("(%d+):(%d+)")
  return ("%ss %s to %02d:%s UTC"):format(addon.window.day_of_week, addon.window.time_of_day, (hour + 4) % 24, minute)
end

local function is_available(world, addon)
  local server = world.pg[addon.server_name]
  return not maintenance.is_running(addon) and not addon.unfollowing and server:is_up()
end

local function is_waiting(addon)
  return maintenance.is_running(addon) or upgrade.is_running(addon) or addon.unfollowing or false
end

-- The followers of an add-on.
local function followers_of(world, addon)
  local out = {}
  for _, other in ipairs(world.heroku.addons) do
    if other.leader == addon then out[#out + 1] = other.name end
  end
  return out
end

local function maintenance_line(addon)
  local seen = maintenance.visible(addon)
  if seen == "none" or seen == "completed" then return "not required" end
  if seen == "running" then return "in progress" end
  return "required, " .. seen
end

local function info_lines(world, addon)
  local out = json.array()
  local function line(name, ...)
    out[#out + 1] = { name = name, values = json.array { ... } }
  end
  line("Plan", addon.plan:sub(1, 1):upper() .. addon.plan:sub(2):gsub("%-", " "))
  line("Status", is_available(world, addon) and "Available" or "Unavailable")
  line("Data Size", "10.4 MB / 64 GB")
  line("Tables", "0")
  line("PG Version", addon.version)
  line("Connections", "2/120")
  line("Connection Pooling", "Available")
  line("Credentials", "1")
  line("Fork/Follow", "Available")
  if addon.leader then
    out[#out + 1] = { name = "Following", values = json.array { addon.leader.url() }, resolve_db_name = true }
    line("Behind By", ("%d commits"):format(world.options.behind_commits))
  end
  local followers = followers_of(world, addon)
  if #followers > 0 then line("Followers", table.unpack(followers)) end
  line("Rollback", "earliest from 2026-01-01 00:00 UTC")
  line("Created", stamp(addon.created_at))
  line("Region", "us")
  line("Data Encryption", "In Use")
  line("Continuous Protection", "On")
  line("Maintenance", maintenance_line(addon))
  line("Maintenance window", window_text(addon))
  return out
end

-- The address of a database without its credentials.
local function bare_url(addon)
  return (addon.url():gsub("//[^@]*@", "//"))
end

local function database_view(world, addon)
  local available = is_available(world, addon)
  return {
    addon_id = addon.id, name = addon.name, plan = { name = addon.plan }, postgres_version = addon.version,
    resource_url = addon.url(), info = info_lines(world, addon),
    following = addon.leader and bare_url(addon.leader) or json.null,
    leader = addon.leader and addon.leader.name or json.null,
    forked_from = json.null, ["waiting?"] = is_waiting(addon), ["hot_standby?"] = false,
    ["standalone?"] = addon.leader == nil, is_in_recovery = addon.leader ~= nil, num_bytes = 10905190, num_tables = 0,
    num_connections = available and 2 or 0, num_connections_waiting = 0, port = world.pg[addon.server_name].port,
    current_transaction = "1000", target_transaction = json.null, status_updated_at = stamp(world_of.now()),
    created_at = stamp(addon.created_at), credentials = 1, formation = { id = addon.id, primary = json.null },
  }
end

local function wait_status(addon)
  local record = addon.maintenance
  if addon.unfollowing then return { message = "unfollowing", ["waiting?"] = true } end
  if upgrade.is_running(addon) then return { message = "upgrading", ["waiting?"] = true } end
  if maintenance.is_running(addon) then return { message = "maintenance in progress", ["waiting?"] = true } end
  if record.failure and maintenance.visible(addon) == "completed" then
    return { message = record.failure, ["waiting?"] = false, ["error?"] = true }
  end
  return { message = "available", ["waiting?"] = false }
end

-- The older interface says everything in one sentence.
local function prose(addon)
  local record, seen = addon.maintenance, maintenance.visible(addon)
  if seen == "none" or seen == "completed" then return "No maintenance is scheduled or required at this time." end
  if seen == "running" then return "Maintenance is in progress." end
  local preparing = seen == "preparing" and "The replacement is currently being prepared. " or ""
  return ("Maintenance required by %s. %sCurrently scheduled for %s in the window %s."):format(
    stamp(record.required_by), preparing, stamp(record.scheduled_for), window_text(addon))
end

local function attachments_view(world, addon)
  local out = json.array()
  for _, attachment in ipairs(world.heroku.attachments) do
    if attachment.addon == addon then out[#out + 1] = attachment.name end
  end
  return out
end

local function schedule_times(addon)
  local record = addon.maintenance
  if not record.scheduled_for then
    record.created_at = world_of.now()
    record.scheduled_for = record.created_at + 26 * HOUR
    record.required_by = record.created_at + 14 * 24 * HOUR
  end
  return record
end

local function maintenance_view(world, addon)
  local record, seen = schedule_times(addon), maintenance.visible(addon)
  local started = seen == "running" or seen == "completed"
  local pending = seen ~= "none"
  local duration = seen == "completed" and record.completed_at and math.ceil(record.completed_at - record.started_at)
  return {
    addon = {
      attachments = attachments_view(world, addon), kind = "heroku-postgresql", name = addon.name, plan = addon.plan,
      window = window_text(addon), uuid = addon.id,
    },
    app = { name = addon.app.name, uuid = addon.app.id }, status = seen,
    method = pending and "changeover" or json.null,
    reason = pending and "routine_maintenance" or json.null, scheduled_for = stamp(pending and record.scheduled_for),
    required_by = stamp(pending and record.required_by), previously_scheduled_for = stamp(record.previously),
    started_at = stamp(started and record.started_at),
    completed_at = stamp(seen == "completed" and record.completed_at),
    duration_seconds = duration or json.null, server_created_at = stamp(addon.created_at), window = window_text(addon),
  }
end

local function history_view(world, addon, limit)
  local out = json.array()
  for i, past in ipairs(addon.maintenance.history) do
    if i > limit then break end
    local item = maintenance_view(world, addon)
    item.status, item.started_at, item.completed_at = "completed", stamp(past.started_at), stamp(past.completed_at)
    item.duration_seconds = math.ceil(past.completed_at - past.started_at)
    out[i] = item
  end
  return { maintenances = out }
end

local function schedule_reply(addon)
  local record = schedule_times(addon)
  return {
    previously_scheduled_for = stamp(record.previously), required_by = stamp(record.required_by),
    scheduled_for = stamp(record.scheduled_for), window = window_text(addon),
  }
end

local function reschedule(addon, body)
  local record = schedule_times(addon)
  record.previously = record.scheduled_for
  record.scheduled_for = record.scheduled_for + (math.tointeger(tonumber(body.delay_weeks or 1))) * 7 * 24 * HOUR
  return schedule_reply(addon)
end

-- Wraps a handler of one generation, which the options may have taken away; `option` names the one that says so.
local function generation(world, name, handler, option)
  return function(request, captures)
    local present = world.options[option or "maintenance_interface"]
    if present ~= "both" and present ~= name then
      local status = world.options.missing_status
      refusal.raise(status, status == 410 and "gone" or "not_found", "This interface is not available.")
    end
    return handler(request, captures)
  end
end

local function on_database(world, handler)
  return function(request, captures)
    return 200, handler(find_database(world, captures.id), request)
  end
end

local function older_routes(world)
  local function route(method, path, handler)
    return { method, "/client/v11/databases/:id/" .. path, generation(world, "older", on_database(world, handler)) }
  end
  return {
    route("GET", "maintenance", function(addon)
      refuse_small_plan(addon)
      schedule_times(addon)
      return { message = prose(addon) }
    end),
    route("POST", "maintenance", function(addon, request)
      gate.body(request, nil)
      refuse_small_plan(addon)
      maintenance.start(world, addon)
      return { message = "Maintenance has been started." }
    end),
    route("PUT", "maintenance_window", function(addon, request)
      local body = gate.body(request, OLD_WINDOW)
      local day, time = body.description:match("^(%a+) (%S+)$")
      addon.window = { day_of_week = day, time_of_day = time }
      return { window = window_text(addon) }
    end),
  }
end

local function current_routes(world)
  local function route(method, path, handler)
    return { method, "/data/maintenances/v1/:id" .. path, generation(world, "current", on_database(world, handler)) }
  end
  return {
    { "GET", "/data/maintenances/v1/apps/:app", generation(world, "current", function(_, captures)
      local app, out = account.find_app(world.heroku, captures.app), json.array()
      for _, addon in ipairs(account.addons_of(world.heroku, app)) do
        if addon.maintenance and maintenance.visible(addon) ~= "none" then
          out[#out + 1] = maintenance_view(world, addon)
        end
      end
      return 200, { maintenances = out }
    end) },
    route("GET", "", function(addon) return maintenance_view(world, addon) end),
    route("POST", "/run", function(addon, request)
      gate.body(request, nil)
      refuse_small_plan(addon)
      maintenance.start(world, addon)
      return schedule_reply(addon)
    end),
    route("GET", "/history", function(addon, request)
      local limit = math.tointeger(tonumber(request.params.limit or 5)) or 0
      if limit < 1 or limit > 20 then refusal.raise(422, "invalid_params", "limit must be between 1 and 20") end
      return history_view(world, addon, limit)
    end),
    route("GET", "/window", function(addon)
      local window = addon.window
      return { window = window_text(addon), day_of_week = window.day_of_week, time_of_day = window.time_of_day }
    end),
    route("POST", "/window", function(addon, request)
      addon.window = gate.body(request, WINDOW)
      return schedule_reply(addon)
    end),
    route("POST", "/schedule", function(addon, request)
      return reschedule(addon, gate.body(request, SCHEDULE))
    end),
  }
end

local function database_routes(world)
  return {
    { "GET", "/client/v11/databases/:id", on_database(world, function(addon) return database_view(world, addon) end) },
    { "GET", "/client/v11/databases/:id/wait_status", on_database(world, wait_status) },
    { "PUT", "/client/v11/databases/:id/unfollow", on_database(world, function(addon, request)
      gate.body(request, nil)
      if not addon.leader or addon.unfollowing then
        refusal.raise(422, "unprocessable_entity", "This database is not following another.")
      end
      upgrade.unfollow(world, addon)
      return { message = addon.name .. " no longer follows" }
    end) },
  }
end

local function upgrade_routes(world)
  local function route(method, path, interface, handler)
    local full = "/client/v11/databases/:id/upgrade" .. path
    return { method, full, generation(world, interface, on_database(world, handler), "upgrade_interface") }
  end
  local function change(path, interface, act, schema)
    return route("POST", path, interface, function(addon, request) return act(world, addon, gate.body(request, schema or UPGRADE)) end)
  end
  return {
    change("", "older", upgrade.run_older),
    change("/run", "current", upgrade.run),
    change("/prepare", "current", upgrade.prepare),
    change("/dry_run", "current", upgrade.dry_run),
    change("/cancel", "current", upgrade.cancel, NOTHING),
    route("GET", "/wait_status", "current", upgrade.wait_status),
  }
end

local function routes(world)
  local out = {}
  for _, list in ipairs { database_routes(world), older_routes(world), current_routes(world), upgrade_routes(world) } do
    for _, route in ipairs(list) do out[#out + 1] = route end
  end
  return out
end

return { routes = routes }
