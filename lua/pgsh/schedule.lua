-- schedule: `at "start - 5m"` and --start-at: when a step is due.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local schedule = {}

local DAY_MS = 24 * 3600 * 1000

---RFC 3339, "14:00" (today, UTC; tomorrow when that is more than an hour ago), "now" or "+10m" → ms since 1970; nil when it is none.
---@param text string
---@return integer?
function schedule.parse_time(text)
  if text == "now" then return host.now() end
  local later = text:match("^%+%s*(.+)$")
  if later then
    local ms = host.duration(later)
    return ms and host.now() + ms
  end
  local hours, minutes = text:match("^(%d%d?):(%d%d)$")
  if not hours then return host.parse_time(text) end
  hours, minutes = tonumber(hours), tonumber(minutes)
  if hours > 23 or minutes > 59 then return nil end
  local now = host.now()
  local time = now - now % DAY_MS + (hours * 60 + minutes) * 60000
  if time < now - 3600000 then time = time + DAY_MS end
  return time
end

---"start", "start - 5m", "start + 1h" → ms relative to the start; nil when it is none.
---@param text string
---@return integer?
function schedule.parse_offset(text)
  if text:find("^%s*start%s*$") then return 0 end
  local sign, span = text:match("^%s*start%s*([+-])%s*(.-)%s*$")
  if not sign then return nil end
  local ms = host.duration(span)
  return ms and (sign == "-" and -ms or ms)
end

---Check what a script wrote behind `at`; returns the text.
---@param text any
---@return string
function schedule.check(text)
  if type(text) ~= "string" or not schedule.parse_offset(text) then
    errors.usage("at %s: a time is \"start\", \"start - 5m\" or \"start + 1h\"", tostring(text))
  end
  return text
end

---The start of the run in ms since 1970, from --start-at or the journal; nil when none was given.
---@param session pgsh.Session
---@return integer?
function schedule.start(session)
  if session.start_at then return session.start_at end
  local text = session.options.start_at
  if not text then
    session.start_at = session.state.start_at
    return session.start_at
  end
  session.start_at = schedule.parse_time(text)
  if not session.start_at then
    errors.raise("usage", "--start-at %s: a time is 2026-11-21T14:00:00Z, 14:00 (UTC) or +10m", text)
  end
  return session.start_at
end

---Wait until the step is due. Without --start-at nothing is waited for.
---@param session pgsh.Session
---@param step table
function schedule.await(session, step)
  local start = step.at and schedule.start(session)
  if not start then return end
  local due = start + schedule.parse_offset(step.at)
  local late = host.now() - due
  if late > 60000 then
    require("pgsh.log").warn("%s was due at %s (%s): %s ago", step.title, host.iso(due):sub(1, 16) .. "Z", step.at, host.span(late))
  elseif late < 0 then
    require("pgsh.polling").until_ms(due, ("%s (%s)"):format(step.at, host.iso(due):sub(12, 19) .. " UTC"))
  end
end

return schedule
