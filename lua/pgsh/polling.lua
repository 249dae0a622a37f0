-- polling: how the engine waits: until a time, or until a function holds. Every wait says what it waits for, how long it may
-- take and what was last seen. In a plan it is evaluated once and shown.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local session = require "pgsh.session"

local polling = {}

local FIRST_MS, GROWTH, LONGEST_MS = 100, 1.5, 5000

---A line of the plan about a wait.
---@param text string
function polling.note(text)
  local current = session.current
  local step = current and current.scope and current.scope.step
  host.emit("plan.note", { step = step, kind = "wait", text = text })
end

local function sleep(ms)
  host.sleep(math.max(0, ms) / 1000)
end

---Wait until a point in time, in ms since 1970.
---@param due integer
---@param what string
function polling.until_ms(due, what)
  if session.shows() then return polling.note(what) end
  local begun = host.mono()
  host.emit("wait.started", { what = what, limit_ms = math.max(0, due - host.now()) })
  -- In pieces: the wall clock may be set, a laptop may sleep.
  while host.now() < due do sleep(math.min(due - host.now(), 30000)) end
  host.emit("wait.ended", { what = what, ms = host.mono() - begun, ok = true })
end

-- One look. True and what f returned, or false, what was seen instead, and whether that is an error; raises what is not passing.
local function look(f, shows)
  local ok, value, seen = errors.try(f)
  if not ok then
    if not errors.passing(value) then error(value, 0) end
    return false, errors.line(value), true
  end
  if value then return true, value, seen end
  if seen == nil and shows then seen = shows() end
  return false, seen ~= nil and tostring(seen) or nil
end

---In a plan: one look, whatever comes of it is shown.
---@return any                      # what f returned, or an unknown
function polling.once(what, limit_ms, f, shows)
  local ok, held, value, seen = errors.try(look, f, shows)
  local unknown = require "pgsh.unknown"
  local now
  if not ok then
    if held.kind == "interrupted" or held.kind == "cancelled" then error(held, 0) end
    now = errors.line(held)
  elseif unknown.is(value) then
    now = nil
  elseif held then
    now = seen and tostring(seen) or "holds already"
  else
    now = value
  end
  polling.note(("%s (limit %s)%s"):format(what, host.span(limit_ms), now and ", now: " .. now or ""))
  if ok and held then return value end
  return unknown.new(what)
end

-- Poll until it holds. `state` carries the last thing seen out, also when a deadline cuts the look short.
local function poll(state, f, options)
  local interval = options.every_ms or FIRST_MS
  while true do
    local held, value, failed = look(f, options.shows)
    if held then return value end
    -- A look that was cut short by the limit itself says nothing; what was seen before does.
    local cut = failed and state.seen and host.mono() - state.begun >= state.limit_ms
    if value and value ~= state.seen and not cut then
      state.seen = value
      if state.announced then host.emit("wait.seen", { what = state.what, text = value }) end
    end
    local left = state.limit_ms - (host.mono() - state.begun)
    if left <= 0 then return nil end
    if not state.announced then state.announce() end
    sleep(math.min(interval, left))
    if not options.every_ms then interval = math.min(interval * GROWTH, LONGEST_MS) end
  end
end

local function too_late(state, failing)
  local elapsed = host.mono() - state.begun
  if failing then
    return host.error("script", { message = ("%s: %s%s"):format(failing, state.what, state.seen and " (" .. state.seen .. ")" or "") })
  end
  return host.error("timeout", {
    message = ("%s: not within %s%s"):format(state.what, host.span(math.max(elapsed, state.limit_ms)),
      state.seen and ", last seen: " .. state.seen or ""),
  })
end

---Poll f until it returns something true. `quiet` says nothing unless the first look fails.
---@param limit_ms integer
---@param what string
---@param f function
---@param options {every_ms: integer?, shows: function?, quiet: boolean?, failing: string?} # failing: not a matter of time
---       but of truth, when it does not hold: the word for it
---@return any
function polling.poll(limit_ms, what, f, options)
  local state = { what = what, limit_ms = limit_ms, begun = host.mono() }
  function state.announce()
    state.announced = true
    host.emit("wait.started", { what = what, limit_ms = limit_ms })
    if state.seen then host.emit("wait.seen", { what = what, text = state.seen }) end
  end
  if not options.quiet then state.announce() end
  -- A verify may itself wait for longer.
  local former = not options.failing and host.deadline(limit_ms, "limit of: " .. what)
  local ok, value = errors.try(poll, state, f, options)
  if former then host.restore_deadline(former) end
  local elapsed = host.mono() - state.begun
  local held = ok and value ~= nil
  if state.announced then
    host.emit("wait.ended", { what = what, ms = elapsed, ok = held, seen = state.seen })
  end
  if held then return value end
  if not ok and not (value.kind == "timeout" and elapsed >= limit_ms) then error(value, 0) end
  error(too_late(state, options.failing), 0)
end

return polling
