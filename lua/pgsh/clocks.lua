-- clocks: how long users are affected, against a budget. Opened by one step, closed by another; a resumed run goes on with the
-- original time.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local session = require "pgsh.session"

local clocks = {}

---Declare a clock: `clock { "read-only", budget = "5m" }`.
---@param declaration table
---@return table
function clocks.declare(declaration)
  local current = session.declaring "clock"
  if type(declaration) == "string" then declaration = { declaration } end
  local name = type(declaration) == "table" and declaration[1]
  if type(name) ~= "string" then errors.usage("clock { \"name\", budget = \"5m\" }: a name is needed") end
  for key in pairs(declaration) do
    if key ~= 1 and key ~= "budget" then errors.usage("clock %s: unknown option %s (budget)", name, tostring(key)) end
  end
  local budget_ms
  if declaration.budget ~= nil then
    budget_ms = host.duration(declaration.budget)
    if not budget_ms then errors.usage("clock %s: budget %s is not a duration", name, tostring(declaration.budget)) end
  end
  for _, other in ipairs(current.clocks) do
    if other.name == name then errors.usage("clock %s is declared twice", name) end
  end
  local clock = { name = name, budget_ms = budget_ms }
  current.clocks[#current.clocks + 1] = clock
  return clock
end

---Is the value a declared clock of this session?
---@param current pgsh.Session
---@param value any
---@return boolean
function clocks.is(current, value)
  for _, clock in ipairs(current.clocks) do
    if clock == value then return true end
  end
  return false
end

---@param current pgsh.Session
---@param clock table
function clocks.open(current, clock)
  if current.state.clocks[clock.name] then return end
  current:emit("clock.opened", { clock = clock.name, budget_ms = clock.budget_ms, at_ms = host.now() })
end

---@param current pgsh.Session
---@param clock table
function clocks.close(current, clock)
  local open = current.state.clocks[clock.name]
  if not open then return end
  local ms = math.max(0, host.now() - open.at_ms)
  local budget_ms = open.budget_ms or clock.budget_ms
  local over = budget_ms ~= nil and ms > budget_ms
  current:emit("clock.closed", { clock = clock.name, ms = ms, budget_ms = budget_ms, over = over })
end

---Letters in capitals, also the accented ones of Latin-1.
---@param text string
---@return string
function clocks.capitals(text)
  return (text:upper():gsub("\195[\160-\190]", function(c)
    return c == "\195\183" and c or "\195" .. string.char(c:byte(2) - 32)
  end))
end

---What to say in capitals when something goes wrong while users are affected; one line for each open clock.
---@param state pgsh.State
---@return string[]
function clocks.alarm(state)
  local lines = {}
  for name, open in pairs(state.clocks) do
    local budget = open.budget_ms and (" (budget %s)"):format(host.span(open.budget_ms)) or ""
    local ms = math.max(0, host.now() - open.at_ms)
    if open.budget_ms and ms > open.budget_ms then budget = (" (BUDGET %s IS EXCEEDED)"):format(host.span(open.budget_ms)) end
    lines[#lines + 1] = ("USERS ARE %s SINCE %s%s"):format(clocks.capitals(name), host.span(ms), budget)
  end
  table.sort(lines)
  return lines
end

return clocks
