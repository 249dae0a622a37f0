-- Releases, and the wait until every dyno runs one: what `heroku ps:wait` does, but with an end. It fails on a release
-- that failed, on dynos that stay crashed and on its time limit, and it is not satisfied by dynos that are not there
-- yet.
local client = require "pgsh.heroku.client"
local fail = require "pgsh.heroku.fail"
local host = require "pgsh.host"
local wait = require "pgsh.wait"

local releases = {}

-- How long a release may take to show after the change that made it.
local RELEASE_LIMIT_MS = 10000

-- The newest release: version, status, description. nil when there is none.
function releases.latest(app)
  local list = app.requests:get(client.path("/apps/%s/releases", app.name),
    { range = "version ..; max=1, order=desc", partial = true })
  return list[1]
end

-- The release that a change made: the first look at the list may come too early. Without a change of values Heroku need not make one
-- (`expected` false); then the newest counts. What app:wait_for_release waits for.
function releases.note(app, before, expected)
  local began = host.mono()
  while true do
    local latest = releases.latest(app)
    local version = latest and latest.version
    if version and version > before or not expected then
      app.expected_release = version
      return version
    end
    local waited = host.mono() - began
    if waited > RELEASE_LIMIT_MS then
      host.emit("log", { level = "warn", text = ("%s shows no release newer than v%d"):format(app.name, before) })
      app.expected_release = nil
      return nil
    end
    host.sleep(0.2)
  end
end

-- Dynos that a release does not restart are no process of the formation: one-off runs, the Scheduler's, the release
-- phase.
local function wanted(formation)
  local out = {}
  for name, process in pairs(formation) do
    if process.quantity > 0 and name ~= "release" and name ~= "run" then out[name] = process.quantity end
  end
  return out
end

local function is_ready(dyno, version)
  return (dyno.state == "up" or dyno.state == "idle") and dyno.release.version >= version
end

-- One look: the dynos that count, those that run the release, how many there should be, and those that crashed on it.
local function census(app, version)
  local types = wanted(app:formation())
  local seen = { total = 0, ready = 0, expected = 0, late = {}, crashed = {} }
  local present = {}
  for _, dyno in ipairs(app:dynos()) do
    if types[dyno.type] then
      present[dyno.type] = (present[dyno.type] or 0) + 1
      seen.total = seen.total + 1
      if is_ready(dyno, version) then
        seen.ready = seen.ready + 1
      else
        seen.late[#seen.late + 1] = dyno
        if dyno.state == "crashed" and dyno.release.version >= version then seen.crashed[dyno.name] = true end
      end
    end
  end
  for process, quantity in pairs(types) do
    seen.expected = seen.expected + math.max(quantity, present[process] or 0)
  end
  return seen
end

local function each_late(seen)
  local out = {}
  for i, dyno in ipairs(seen.late) do
    out[i] = ("%s %s v%d"):format(dyno.name, dyno.state, dyno.release.version)
  end
  local missing = seen.expected - seen.total
  if missing > 0 then out[#out + 1] = ("%d not listed yet"):format(missing) end
  return table.concat(out, ", ")
end

-- Dynos crashed for longer than patience: Heroku restarts a crashed dyno once at once, so the first crash says little.
local function check_crashes(app, seen, since, version, patience_ms)
  local now = host.mono()
  for name in pairs(since) do
    if not seen.crashed[name] then since[name] = nil end
  end
  local lost = {}
  for name in pairs(seen.crashed) do
    since[name] = since[name] or now
    if now - since[name] >= patience_ms then lost[#lost + 1] = name end
  end
  if #lost == 0 then return end
  table.sort(lost)
  fail.app(app.name, ("crashed on v%d and stays so: %s (%s)"):format(version, table.concat(lost, ", "), each_late(seen)),
    { hint = ("heroku logs -a %s --dyno %s"):format(app.name, lost[1]) })
end

-- "failed" ends the wait; while the release phase runs, no dyno changes.
local function release_status(app, version)
  local release = app.requests:get(client.path("/apps/%s/releases/%s", app.name, tostring(version)))
  if release.status == "failed" then
    fail.app(app.name, ("release v%d failed: the dynos stay on the one before"):format(version),
      { hint = ("heroku releases:output v%d -a %s"):format(version, app.name) })
  end
  return release.status
end

local function watcher(app, version, patience_ms, last)
  local since, settled = {}, false
  local function look()
    if not settled then
      local status = release_status(app, version)
      if status == "pending" then return false, ("release v%d: its release phase runs"):format(version) end
      settled = true
    end
    local seen = census(app, version)
    last.text = each_late(seen)
    if seen.ready == seen.expected and #seen.late == 0 then
      return true, seen.expected == 0 and "the formation is empty" or nil
    end
    check_crashes(app, seen, since, version, patience_ms)
    return false, ("%d of %d dynos run v%d"):format(seen.ready, seen.expected, version)
  end
  return function()
    local done, text = client.survive(look)
    return done or false, text
  end
end

-- Wait until every dyno of the formation runs the release that the last app:config{…} made, or the newest one.
-- options: timeout ("10m"), crashed ("30s": how long a dyno may stay crashed), version.
function releases.wait(app, options)
  options = options or {}
  local patience_ms = fail.unless_duration(options.crashed or "30s", "crashed")
  local version = options.version or app.expected_release
  if not version then
    local latest = releases.latest(app)
    if not latest then return nil end
    version = latest.version
  end
  local last = {}
  local ok, failure = pcall(wait.upto, options.timeout or "10m", ("every dyno runs v%d"):format(version),
    watcher(app, version, patience_ms, last))
  if not ok then
    local timed_out = type(failure) == "table" and failure.kind == "timeout"
    if not timed_out or (last.text or "") == "" then error(failure, 0) end
    fail.app(app.name, ("%s: %s"):format(failure.message, last.text), { code = "timeout" })
  end
  return version
end

return releases
