-- describe: the steps of a procedure as data: for run.steps, for --list, and to tell an edited file from the one a run began with.

local host = require "pgsh.host"
local preflight = require "pgsh.preflight"

local describe = {}

local function lines_of(current, source)
  local path = source:sub(2)
  local lines = current.lines[path]
  if lines then return lines end
  lines = {}
  for line in ((current.sources[path] or "") .. "\n"):gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
  current.lines[path] = lines
  return lines
end

-- The text of a function, by where it stands: steps made in a loop share it.
local function text_of(current, f)
  local info = debug.getinfo(f, "S")
  local key = info.source .. ":" .. info.linedefined .. ":" .. info.lastlinedefined
  local text = current.texts[key]
  if not text then
    local lines = lines_of(current, info.source)
    text = table.concat(lines, "\n", info.linedefined, math.min(info.lastlinedefined, #lines))
    current.texts[key] = text
  end
  return text
end

local PARTS = { "run", "keep", "verify", "undo", "confirm", "text", "url", "when", "undo_text", "verify_text" }

local function digest(current, step)
  local parts = { step.kind, step.title, step.at or "" }
  for _, name in ipairs(PARTS) do
    local value = step[name]
    if type(value) == "function" then
      parts[#parts + 1] = name .. ":" .. text_of(current, value)
    elseif value ~= nil then
      parts[#parts + 1] = name .. "=" .. tostring(value)
    end
  end
  local all = table.concat(parts, "\0")
  local known = current.digests[all]
  if not known then
    known = host.sha256(all):sub(1, 16)
    current.digests[all] = known
  end
  return known
end

---The steps as run.steps carries them.
---@param current pgsh.Session
---@return table[]
function describe.steps(current)
  current.lines, current.texts, current.digests = {}, {}, {}
  local list = {}
  if #current.preflights > 0 then
    list[1] = { id = "preflight", title = preflight.title(current), kind = "preflight", number = 1 }
  end
  for _, step in ipairs(current.steps) do
    list[#list + 1] = {
      id = step.id, title = step.title, kind = step.kind, number = step.number, at = step.at, line = step.line,
      digest = digest(current, step), left_out = step.when == false or nil,
    }
  end
  return list
end

---@param current pgsh.Session
---@return table[]
function describe.clocks(current)
  local list = {}
  for i, clock in ipairs(current.clocks) do
    local open = current.state.clocks[clock.name] -- by an earlier attempt: users have been affected all the time
    list[i] = { name = clock.name, budget_ms = clock.budget_ms, at_ms = open and open.at_ms }
  end
  return list
end

local function by_id(steps)
  local map = {}
  for _, step in ipairs(steps) do map[step.id] = step end
  return map
end

local function order(steps, other)
  local ids = {}
  for _, step in ipairs(steps) do
    if other[step.id] then ids[#ids + 1] = step.id end
  end
  return table.concat(ids, ",")
end

---How the steps differ from the recorded ones, a line each.
---@param former table[]
---@param present table[]
---@param done table<string, boolean>
---@return string[]
function describe.differences(former, present, done)
  local before, now, lines = by_id(former), by_id(present), {}
  for _, step in ipairs(present) do
    local old = before[step.id]
    if not old then
      lines[#lines + 1] = ("step %s is new: %s"):format(step.id, step.title)
    elseif old.digest ~= step.digest then
      lines[#lines + 1] = ("step %s was edited%s"):format(step.id, done[step.id] and "; it is done and stays as it was done" or "")
    end
  end
  for _, step in ipairs(former) do
    if not now[step.id] then
      lines[#lines + 1] = ("step %s is gone%s"):format(step.id, done[step.id] and "; it was done" or "")
    end
  end
  if order(former, now) ~= order(present, before) then lines[#lines + 1] = "the order of the steps has changed" end
  return lines
end

return describe
