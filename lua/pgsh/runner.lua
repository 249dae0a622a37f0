-- runner: the steps of a real run, in order.

local host = require "pgsh.host"
local attempt = require "pgsh.attempt"
local endings = require "pgsh.endings"
local errors = require "pgsh.errors"
local failure = require "pgsh.failure"
local schedule = require "pgsh.schedule"
local selection = require "pgsh.selection"

local runner = {}

-- One step until it is done, left out, or the run ends there. Returns an ending, or nil.
local function go(current, step)
  while true do
    local tally = { begun = host.mono(), reads = 0 }
    local ok, why = errors.try(function()
      local reason = selection.why_not(current, step)
      if not reason and step.at then schedule.await(current, step) end
      return reason
    end)
    local problem
    if not ok then
      problem = why
    elseif why then
      current:emit("step.skipped", { step = step.id, number = step.number, why = why })
      return nil
    else
      ok, problem, tally = attempt.make(current, step)
      if ok then return nil end
    end
    local verdict = failure.handle(current, step, problem, tally)
    if verdict == "next" then return nil end
    if verdict ~= "retry" then return verdict end
  end
end

local function warn_of_open_clocks(current)
  for name in pairs(current.state.clocks) do
    require("pgsh.log").warn("the clock %s was never closed: USERS MAY STILL BE AFFECTED", name)
  end
end

---Do what is not done yet.
---@param current pgsh.Session
---@return table ending
function runner.run(current)
  local state = current.state
  local last = current.by_id[current.options["until"]]
  local count = 0
  for i, step in ipairs(current.steps) do
    if not state.done[step.id] and not state.skipped[step.id] then
      local ending = go(current, step)
      if ending then return ending end
      if state.done[step.id] then count = count + 1 end
    end
    if step == last and i < #current.steps then return endings.done(current, count, #current.steps - i) end
  end
  warn_of_open_clocks(current)
  return endings.done(current, count)
end

return runner
