-- Maintenance of a database: its state, the run, and the wait for it.
--
-- A run has no identity of its own. What was there before it (kept by the step that runs it, so that it survives a
-- resume) is compared with what is there afterwards; that is how a lost answer is settled, and how the wait knows that
-- it looks at this run and not at the quiet before it: the service may take a moment until a run that it accepted shows
-- anywhere.
local client = require "pgsh.heroku.client"
local fail = require "pgsh.heroku.fail"
local host = require "pgsh.host"
local resolve = require "pgsh.heroku.resolve"
local settle = require "pgsh.settle"
local wait = require "pgsh.wait"

local maintenance = {}

local function is_gone(failure)
  return type(failure) == "table" and failure.kind == "http" and (failure.status == 404 or failure.status == 410)
end

-- GET that gives nil when the interface is not there.
local function try_get(requests, path)
  local ok, value = pcall(requests.get_data, requests, path)
  if ok then return value end
  if not is_gone(value) then error(value, 0) end
  return nil
end

local function last_in_history(requests, id)
  local reply = try_get(requests, client.path("/data/maintenances/v1/%s/history", id) .. "?limit=1")
  local item = reply and reply.maintenances and reply.maintenances[1]
  return item and { started_at = item.started_at, completed_at = item.completed_at } or nil
end

local function current_state(requests, id)
  local reply = try_get(requests, client.path("/data/maintenances/v1/%s", id))
  if not reply then return nil end
  return {
    interface = "current", status = reply.status, scheduled_for = reply.scheduled_for, required_by = reply.required_by,
    started_at = reply.started_at, completed_at = reply.completed_at, window = reply.window, reason = reply.reason,
  }
end

local function wait_status(requests, id)
  local reply = requests:get_data(client.path("/client/v11/databases/%s/wait_status", id))
  return { waiting = reply["waiting?"] == true, failed = reply["error?"] == true, message = reply.message }
end

-- The older interface answers in prose; only wait_status says there whether something runs.
local function older_state(requests, id)
  local reply = requests:get_data(client.path("/client/v11/databases/%s/maintenance", id))
  local status = wait_status(requests, id).waiting and "running" or nil
  return { interface = "older", status = status, message = reply.message }
end

-- The state: interface ("current" or "older"), status (none, pending, preparing, ready, running, completed; with the
-- older interface only running or nothing), message, scheduled_for, required_by, started_at, completed_at, window.
function maintenance.state(db)
  local requests, id = db.app.requests, db:addon().id
  if db.older_interface then return older_state(requests, id) end
  local state = current_state(requests, id)
  if state then return state end
  state = older_state(requests, id)
  db.older_interface = true
  return state
end

-- The state with what the history says of the last run; asked only when it is needed.
local function with_history(db, state)
  if state.interface == "current" and state.last == nil then
    state.last = last_in_history(db.app.requests, db:addon().id)
  end
  return state
end

-- The state to compare with afterwards.
function maintenance.before(db)
  return with_history(db, maintenance.state(db))
end

local function newer(now, before)
  return now ~= nil and now ~= before
end

-- Has a run begun since `before`?
local function has_begun(before, now)
  if now.status == "running" then return true end
  if now.interface == "older" then return before.message ~= nil and now.message ~= before.message end
  if newer(now.started_at, before.started_at) or newer(now.completed_at, before.completed_at) then return true end
  if before.status ~= "completed" and now.status == "completed" then return true end
  local a, b = before.last or {}, now.last or {}
  return newer(b.started_at, a.started_at) or newer(b.completed_at, a.completed_at)
end

local function seen_text(state)
  return state.message or state.status or "no state"
end

-- Did a run whose answer was lost begin? The older interface says in prose what it does: no change there is no proof.
local function has_happened(db, before)
  local happened = settle.look(db.app.settle, function() return has_begun(before, maintenance.before(db)) end)
  if happened == false and before.interface == "older" then return nil end
  return happened
end

local function check_plan(db)
  local why = resolve.no_maintenance(db:addon().plan)
  if why then fail.app(db.app.name, ("%s: %s"):format(db.name, why), { code = "refused" }) end
end

local function check_mode(db, force)
  if force or db.app:info().maintenance then return end
  fail.app(db.app.name, db.app.name .. " is not in maintenance mode",
    { code = "refused", hint = "run_maintenance { force = true } runs it all the same" })
end

local NOT_READY = {
  none = "no maintenance is pending", completed = "its maintenance is completed already",
  pending = "its maintenance is not prepared yet (pending)", preparing = "its maintenance is still being prepared",
}

-- What speaks against a run, as sentences.
function maintenance.problems(db, options)
  local found = {}
  local function add(text) found[#found + 1] = ("%s: %s"):format(db.name, text) end
  local ok, addon = pcall(db.addon, db)
  if not ok then
    if addon.kind ~= "usage" then error(addon, 0) end
    return { addon.message }
  end
  local plan = resolve.no_maintenance(addon.plan)
  if plan then
    add(plan)
    return found
  end
  local state = maintenance.state(db)
  local status = wait_status(db.app.requests, addon.id)
  if state.status == "running" or status.waiting then
    add(("a maintenance or another operation runs already (%s)"):format(status.message or "running"))
  elseif NOT_READY[state.status] and not (options and options.any_state) then
    add(NOT_READY[state.status])
  end
  return found
end

local PATHS = {
  current = "/data/maintenances/v1/%s/run",
  older = "/client/v11/databases/%s/maintenance",
}

-- Start the maintenance. options: force; before (what db:maintenance_before() gave, kept by the step: a resume needs it).
function maintenance.run(db, options)
  options = options or {}
  check_plan(db)
  check_mode(db, options.force)
  local before = options.before or maintenance.before(db)
  local addon = db:addon()
  local path = client.path(PATHS[before.interface], addon.id)
  return db.app.requests:change("post", path, {
    data = true, what = ("POST %s (%s, %s%s)"):format(path, db.name, addon.name, options.force and ", forced" or ""),
    resolve = function() return has_happened(db, before) end,
  })
end

local function failed(db, message)
  fail.app(db.app.name, ("the maintenance of %s failed: %s"):format(db.name, message or "no message"))
end

-- One look at a run: "unseen", "running" or "over", what to show, and the state.
local function watch(db, watched)
  local now = maintenance.state(db)
  if now.status == "running" then return "running", seen_text(now), now end
  local status = wait_status(db.app.requests, db:addon().id)
  if status.failed and watched.however then return "over", status.message, now end
  if status.failed then failed(db, status.message) end
  if status.waiting then return "running", status.message or seen_text(now), now end
  local over = watched.begun or has_begun(watched.before, now) or has_begun(watched.before, with_history(db, now))
  if over then return "over", seen_text(now), now end
  return "unseen", "nothing to be seen of it yet: " .. seen_text(now), now
end

-- It runs no more: with the current interface only "completed", or times newer than before, mean success.
local function check_completed(db, before, now)
  if now.interface == "older" or now.status == "completed" or now.status == "none" then return end
  local last, first = with_history(db, now).last or {}, before.last or {}
  if newer(now.completed_at, before.completed_at) or newer(last.completed_at, first.completed_at) then return end
  fail.app(db.app.name, ("the maintenance of %s ended without being completed: it is %s again")
    :format(db.name, tostring(now.status)))
end

local function never_seen(db, text)
  fail.app(db.app.name, ("the maintenance of %s was accepted, but nothing of it shows: %s"):format(db.name, text),
    { hint = ("heroku data:maintenances:info %s -a %s"):format(db.name, db.app.name) })
end

-- Wait until the run that began after `before` is over; returns how it ended. options: timeout ("30m"), before, settle ("2m":
-- how long it may stay invisible), however (also when it failed or was never to be seen: nothing runs any more).
function maintenance.wait(db, options)
  options = options or {}
  local settle_ms = fail.unless_duration(options.settle or "2m", "settle")
  local watched = { before = options.before or {}, begun = not options.before, however = options.however }
  local since = host.mono()
  local function look()
    local state, text, now = watch(db, watched)
    if state == "running" then watched.begun = true end
    if state == "over" then
      if options.before and not options.however then check_completed(db, options.before, now) end
      return text
    end
    if state == "unseen" and host.mono() - since > settle_ms then
      if options.however then return text end
      never_seen(db, text)
    end
    return false, text
  end
  return wait.upto(options.timeout or "30m", ("the maintenance of %s is over"):format(db.name), function()
    local done, text = client.survive(look)
    return done or false, text
  end)
end

return maintenance
