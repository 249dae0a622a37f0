-- fold: the state of a run as a pure function of its events. The runner feeds it every event it emits, a resume every event of
-- the journal: there is no second source of what was done.

local fold = {}

---@class pgsh.State
---@field params table<string, any>
---@field facts table<string, any>
---@field known_facts table<string, boolean> # also those whose value is nil
---@field kept table<string, any>          # step id → what its keep read
---@field results table<string, any>       # step id → what its run returned
---@field done table<string, boolean>
---@field skipped table<string, string>    # step id → why
---@field failed table<string, table>      # step id → the event of its last failure, until it is done or undone
---@field begun table<string, boolean>     # started, and neither done, skipped nor undone
---@field changes table<string, integer>   # step id → changes that are in effect
---@field undone table<string, integer>    # how often
---@field attempts table<string, integer>
---@field answers table<string, string>    # key of ask.lua → answer
---@field clocks table<string, table>      # name → {at_ms, budget_ms} of those that are open
---@field steps table[]                    # the last run.steps
---@field settings table<string, any>      # option → value
---@field ended? table                     # the last run.ended, when nothing came after it

---@return pgsh.State
function fold.empty()
  return {
    params = {}, facts = {}, known_facts = {}, kept = {}, results = {}, done = {}, skipped = {}, failed = {}, begun = {}, changes = {},
    effects = {}, undone = {}, attempts = {}, answers = {}, clocks = {}, steps = {}, settings = {}, targets = {},
  }
end

local on = {}

on["run.started"] = function(state, event)
  state.run, state.procedure, state.summary = event.run, event.procedure, event.summary
  state.file, state.sha256, state.params, state.start_at = event.file, event.sha256, event.params or {}, event.start_at
  state.user, state.host, state.started = event.user, event.host, event.at
end

on["run.resumed"] = function(state, event)
  state.file, state.sha256, state.ended = event.file or state.file, event.sha256, nil
  state.user, state.host = event.user, event.host
  state.start_at = event.start_at or state.start_at
end

on["run.targets"] = function(state, event) state.targets = event.targets end
on["run.steps"] = function(state, event) state.steps = event.steps end
on["run.ended"] = function(state, event) state.ended = event end
on["setting"] = function(state, event)
  if event.option then state.settings[event.option] = event.value end
end
on["fact"] = function(state, event)
  state.facts[event.name], state.known_facts[event.name] = event.value, true
end

on["step.started"] = function(state, event)
  local id = event.step
  state.current = id
  state.begun[id] = true
  state.attempts[id] = event.attempt
end

on["step.kept"] = function(state, event) state.kept[event.step] = event.value end

on["step.done"] = function(state, event)
  local id = event.step
  state.done[id], state.failed[id], state.begun[id], state.skipped[id] = true, nil, nil, nil
  state.changes[id] = event.changes
  if event.result ~= nil then state.results[id] = event.result end
end

on["step.failed"] = function(state, event)
  if event.phase == "undo" then return end
  state.failed[event.step] = event
  state.changes[event.step] = event.changes or state.changes[event.step]
end

on["step.skipped"] = function(state, event)
  local id = event.step
  state.skipped[id], state.failed[id], state.begun[id] = event.why or "skipped", nil, nil
end

on["step.undone"] = function(state, event)
  local id = event.step
  state.undone[id] = (state.undone[id] or 0) + 1
  state.done[id], state.failed[id], state.begun[id], state.changes[id] = nil, nil, nil, nil
  state.kept[id], state.results[id], state.skipped[id], state.effects[id] = nil, nil, nil, nil
  for key in pairs(state.answers) do
    if key:sub(1, #id + 1) == id .. "/" then state.answers[key] = nil end
  end
end

-- Changes are counted for the step that was cut off; others say their number themselves. An intent without an outcome counts:
-- it may have happened.
local function step_of_branch(branch)
  return branch and branch:match("^(.*)/run$")
end

on["effect.intent"] = function(state, event)
  local id = step_of_branch(event.branch)
  if not id then return end
  local orders = state.effects[id] or {}
  state.effects[id] = orders
  if orders[event.order] then return end
  orders[event.order] = true
  state.changes[id] = (state.changes[id] or 0) + 1
end

on["effect.outcome"] = function(state, event)
  local id = step_of_branch(event.branch)
  local orders = id and state.effects[id]
  if event.outcome ~= "failed" or not orders or not orders[event.order] then return end
  orders[event.order] = nil
  state.changes[id] = (state.changes[id] or 1) - 1
end

on["clock.opened"] = function(state, event)
  state.clocks[event.clock] = { at_ms = event.at_ms, budget_ms = event.budget_ms }
end
on["clock.closed"] = function(state, event) state.clocks[event.clock] = nil end

on["answered"] = function(state, event)
  if event.key then state.answers[event.key] = event.answer end
end

---Bring the state up to date with one event.
---@param state pgsh.State
---@param type string
---@param event table
function fold.apply(state, type, event)
  local f = on[type]
  if f then f(state, event) end
end

---@param events table[]           # decoded, each with its type
---@return pgsh.State
function fold.all(events)
  local state = fold.empty()
  for _, event in ipairs(events) do
    fold.apply(state, event.type, event)
    state.last_at = event.at or state.last_at
  end
  return state
end

---Changes in effect over all steps.
---@param state pgsh.State
---@return integer
function fold.changes(state)
  local sum = 0
  for _, n in pairs(state.changes) do sum = sum + n end
  return sum
end

return fold
