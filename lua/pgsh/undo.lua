-- undo: taking back what the steps did, in reverse order, with what they kept. First shown, then asked, then done; each step that
-- was undone is journaled as such, so that an interrupted undo goes on where it was.

local host = require "pgsh.host"
local clocks = require "pgsh.clocks"
local endings = require "pgsh.endings"
local errors = require "pgsh.errors"
local questions = require "pgsh.questions"

local undo = {}

local function can(step)
  return step.undo ~= nil or step.undo_text ~= nil
end

---What there is to take back, last step first: {step, changes}. `rest`: what has no undo and stays in effect.
---@param current pgsh.Session
---@return table[] items
---@return table[] rest
function undo.items(current)
  local state, items, rest = current.state, {}, {}
  for i = #current.steps, 1, -1 do
    local step = current.steps[i]
    local id = step.id
    local changes = state.changes[id] or 0
    local by_hand = step.kind == "manual" and state.done[id]
    if changes > 0 or by_hand then
      local list = can(step) and items or not by_hand and rest or nil
      if list then list[#list + 1] = { step = step, changes = changes } end
    end
  end
  return items, rest
end

---Changes that would be taken back.
---@param items table[]
---@return integer
function undo.count(items)
  local sum = 0
  for _, item in ipairs(items) do sum = sum + math.max(1, item.changes) end
  return sum
end

-- Every undo of a step has a branch of its own: what an earlier one did must not answer for a later one.
local function branch(current, step)
  local times = current.state.undone[step.id]
  return step.id .. "/undo" .. (times and "-" .. times + 1 or "")
end

local function note(step, kind, text)
  host.emit("plan.note", { step = step.id, kind = kind, text = text })
end

---Show what undoing would do: the bodies run, their reads are made, their changes only shown.
---@param current pgsh.Session
---@param items table[]
---@param rest table[]
function undo.show(current, items, rest)
  for _, item in ipairs(items) do
    local step = item.step
    host.emit("plan.step", {
      step = step.id, number = step.number, title = "Undo: " .. step.title, kind = step.kind, undo = step.undo_text,
    })
    if step.undo then
      local _, ok, problem = current:within(branch(current, step), step.id, "undo", "show", step.undo,
        current.state.kept[step.id], current.state.results[step.id])
      if not ok then note(step, "error", errors.line(problem)) end
    end
  end
  for _, item in ipairs(rest) do
    local step = item.step
    host.emit("plan.step", { step = step.id, number = step.number, title = step.title, kind = step.kind })
    note(step, "note", ("has no undo: %s in effect"):format(endings.plural(item.changes, "change")))
  end
end

local function undo_step(current, step)
  local state = current.state
  local begun = host.mono()
  if step.undo then
    local _, ok, problem = current:within(branch(current, step), step.id, "undo", "allow", step.undo, state.kept[step.id],
      state.results[step.id])
    if not ok then error(problem, 0) end
  else
    require("pgsh.manual").undo(current, step)
  end
  if step.opens then clocks.close(current, step.opens) end
  if step.closes then clocks.open(current, step.closes) end
  host.forget(step.id)
  current:emit("step.undone", { step = step.id, number = step.number, ms = host.mono() - begun })
end

---Undo the items. Nil, or the error, the step it happened in, and how many were undone.
---@param current pgsh.Session
---@param items table[]
---@return table? problem
---@return table? step
---@return integer undone
function undo.perform(current, items)
  for i, item in ipairs(items) do
    local ok, problem = errors.try(undo_step, current, item.step)
    if not ok then
      errors.try(current.emit, current, "step.failed", {
        step = item.step.id, number = item.step.number, phase = "undo", error = errors.body(problem),
        outcome = problem.code == "unknown" and "unknown" or "failed",
      })
      return problem, item.step, i - 1
    end
  end
  return nil, nil, #items
end

-- An undo that fails: the operator may try again or stop. Returns true to try again.
local function try_again(current, problem)
  if problem.kind == "answer" or current.options.on_failure == "stop" then return false end
  host.interrupts()
  local ok, answer = errors.try(questions.put, current, {
    text = "the undo failed", flag = "--on-failure stop", options = "rs", labels = "[r]etry the undo   [s]top here",
  })
  return ok and answer == "r"
end

---Undo all that can be: shown first and, unless `asked` is false, confirmed. Nil when the operator does not want it.
---@param current pgsh.Session
---@param options {ask: boolean, failed: boolean}
---@return table? ending
function undo.all(current, options)
  local items, rest = undo.items(current)
  if options.ask and #items > 0 then
    undo.show(current, items, rest)
    local changes, count = endings.plural(undo.count(items), "change"), endings.plural(#items, "step")
    if not questions.routine(current, ("undo %s of %s?"):format(changes, count)) then return nil end
  end
  local undone = 0
  while true do
    local problem, step, count = undo.perform(current, items)
    undone = undone + count
    if not problem then break end
    if not try_again(current, problem) then return endings.stopped(current, step, problem) end
    items, rest = undo.items(current)
  end
  return endings.undone(current, undone, rest, options.failed)
end

return undo
