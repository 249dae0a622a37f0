-- wait: how procedures wait: wait(60), wait.upto("2m", "what", f), wait.at("14:00").

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local polling = require "pgsh.polling"
local session = require "pgsh.session"
local strict = require "pgsh.strict"

local wait = {}

local function duration(value, what)
  local ms = host.duration(value)
  if not ms then errors.usage("%s: %s is not a duration (30, \"30s\", \"5m\")", what, tostring(value)) end
  return ms
end

---Sleep.
---@param time number|string       # seconds, or "1m"
local function pause(time)
  local ms = duration(time, "wait")
  local what = "pause of " .. host.span(ms)
  if session.shows() then return polling.note(what) end
  local begun = host.mono()
  host.emit("wait.started", { what = what, limit_ms = ms })
  host.sleep(ms / 1000)
  host.emit("wait.ended", { what = what, ms = host.mono() - begun, ok = true })
end

---Wait until a time: "14:00" (UTC), RFC 3339, or ms since 1970.
---@param time string|integer
---@param what? string
function wait.at(time, what)
  local due = type(time) == "number" and time or require("pgsh.schedule").parse_time(tostring(time))
  if not due then errors.usage("wait.at: %s is not a time (14:00, 2026-11-21T14:00:00Z)", tostring(time)) end
  return polling.until_ms(math.tointeger(due) or due // 1, what or "until " .. host.iso(math.tointeger(due) or due // 1):sub(1, 19) .. "Z")
end

---Wait until f returns something true, at most `limit`. f may return false and a text: what it saw. Errors that may pass (no
---connection, a timeout) are seen and waited out; others end the wait.
---@param limit number|string
---@param what string
---@param f function
---@param options? {every: number|string?, shows: function?}
---@return any                      # what f returned
function wait.upto(limit, what, f, options)
  local limit_ms = duration(limit, "wait.upto")
  if type(what) ~= "string" then errors.usage("wait.upto(limit, what, f): what is awaited, as a text") end
  if type(f) ~= "function" then errors.usage("wait.upto(limit, what, f): f is a function") end
  local every_ms, shows
  for key, value in pairs(options or {}) do
    if key == "every" then
      every_ms = math.max(1, duration(value, "every"))
    elseif key == "shows" then
      shows = value
    else
      errors.usage("wait.upto: unknown option %s (every, shows)", tostring(key))
    end
  end
  if session.shows() then return polling.once(what, limit_ms, f, shows) end
  return polling.poll(limit_ms, what, f, { every_ms = every_ms, shows = shows })
end

return strict.module("wait", wait, pause)
