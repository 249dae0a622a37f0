-- failure: what happens when a step fails: it is said, and the operator chooses: retry, inspect, undo, stop. Without anybody to
-- ask the policy of --on-failure decides. An unknown outcome is never repeated blindly.

local host = require "pgsh.host"
local endings = require "pgsh.endings"
local errors = require "pgsh.errors"
local attempt = require "pgsh.attempt"
local place = require "pgsh.place"
local questions = require "pgsh.questions"
local undo = require "pgsh.undo"

local failure = {}

local function tell(text)
  host.emit("log", { level = "info", text = text })
end

local function encoded(value)
  local ok, text = errors.try(require("pgsh.json").encode, value)
  return ok and text or tostring(value)
end

-- Everything known about the failure: the error, the script's lines, what the step kept, its last effects.
local function inspect(current, step, problem)
  tell(tostring(problem))
  for _, key in ipairs { "detail", "hint" } do
    if problem[key] then tell(tostring(problem[key])) end
  end
  for _, line in ipairs(place.script_lines(problem.traceback)) do tell("at " .. line) end
  local kept = current.state.kept[step.id]
  if kept ~= nil then tell("kept: " .. encoded(kept)) end
  local ok, events = errors.try(host.run_read, current.run)
  if not ok then return end
  local lines = {}
  for _, event in ipairs(events) do
    if event.type == "effect.intent" and event.step == step.id then
      lines[#lines + 1] = ("change %d  %s  %s"):format(event.effect or 0, event.target or "", event.show or "")
    elseif event.type == "effect.outcome" and event.step == step.id then
      lines[#lines + 1] = ("change %d  %s"):format(event.effect or 0, event.outcome)
    elseif event.type == "effect.read" and event.step == step.id then
      lines[#lines + 1] = ("read  %s  %s%s"):format(event.target or "", event.show or "", event.error and "  failed" or "")
    end
  end
  for i = math.max(1, #lines - 9), #lines do tell(lines[i]) end
end

-- Ctrl-C at the question: that is what ended it then. When the terminal is gone (its end of input and SIGHUP come in any order) nobody
-- has chosen anything: the failure ended it.
local function stopped(current, step, problem, unanswered)
  if unanswered and unanswered.kind == "interrupted" then
    host.interrupts()
    if host.interactive() then problem = unanswered end
  end
  return endings.stopped(current, step, problem)
end

local function emit_failed(current, step, problem, tally)
  return errors.try(current.emit, current, "step.failed", {
    step = step.id, number = step.number, ms = host.mono() - tally.begun, error = errors.body(problem), reads = tally.reads,
    changes = tally.changes, outcome = problem.code == "unknown" and "unknown" or "failed",
  })
end

-- The shell in the failed step: its handles, parameters and kept values are names there. Returns "retry", "skip", "undo", "abort", or nil:
-- back to the question.
local function look_around(current, step, problem, decided)
  inspect(current, step, problem)
  if not host.interactive() then return nil end
  return require("pgsh.shell").inside(current, { step = step, problem = problem, kept = current.state.kept[step.id], decided = decided })
end

-- Unknown outcomes ---------------------------------------------------------------------------------------------------------

local function settle(step, outcome, how)
  for _, change in ipairs(host.unknowns(step.id)) do host.settle(change.branch, change.order, outcome, how) end
end

-- What the step itself can tell: true, false, or nil.
local function decided_by_step(current, step, tally)
  local kept = current.state.kept[step.id]
  if step.on_unknown then
    local _, ok, happened = current:within(step.id .. "/unknown", step.id, "verify", "refuse", step.on_unknown, kept)
    if ok and happened ~= nil then return happened, "on_unknown" end
  end
  if step.verify then
    local ok, problem = errors.try(attempt.verify, current, step, kept, current.state.results[step.id], tally)
    if ok then return true, "verify" end
    if problem.kind == "interrupted" then error(problem, 0) end
  end
end

local function ask_unknown(current, step, problem)
  while true do
    local ok, answer = errors.try(questions.put, current, {
      text = "nobody knows whether the change happened: look yourself", flag = "--on-failure stop", options = "rdis",
      labels = "[r]etry: it did NOT happen   [d]one: it DID happen   [i]nspect   [s]top here",
    })
    if not ok or answer == "s" then return stopped(current, step, problem, not ok and answer) end
    if answer == "i" then
      if look_around(current, step, problem, false) == "abort" then return stopped(current, step, problem) end
    else
      settle(step, answer == "d" and "ok" or "failed", "operator")
      return "retry"
    end
  end
end

local function unknown(current, step, problem, tally)
  local happened, how = decided_by_step(current, step, tally)
  if how == "verify" then
    settle(step, "ok", how)
    attempt.done(current, step, tally, nil, how)
    return "next"
  end
  if happened ~= nil then
    settle(step, happened and "ok" or "failed", how)
    return "retry"
  end
  if current.options.on_failure == "stop" or current.options.on_failure == "undo" then return endings.stopped(current, step, problem) end
  return ask_unknown(current, step, problem)
end

-- The operator's choice ----------------------------------------------------------------------------------------------------

-- The recorded effects stay in the world, but the step is made from its beginning: for one whose text was changed in between.
local function make_anew(current, step)
  local kept = current.state.kept[step.id]
  host.forget(step.id)
  current:emit("step.undone", { step = step.id, number = step.number, why = "made anew, its effects stay" })
  if kept ~= nil then current:emit("step.kept", { step = step.id, value = kept }) end
end

local function question(current, problem)
  local items = undo.items(current)
  local options, labels = "ri", "[r]etry   [i]nspect"
  if #items > 0 then
    options, labels = options .. "u", labels .. "   [u]ndo " .. endings.plural(undo.count(items), "change")
  end
  if problem.code == "diverged" then options, labels = options .. "a", labels .. "   make it [a]new" end
  labels = labels .. "   [s]top here"
  if #items > 0 then labels = labels .. "      u shows first what it would do" end
  return { text = "what now?", flag = "--on-failure stop|undo", options = options .. "sk", labels = labels }
end

-- What the words of the shell in a failed step choose.
local ANSWER_OF = { retry = "r", skip = "k", undo = "u", abort = "s" }

local function choose(current, step, problem)
  while true do
    local ok, answer = errors.try(questions.put, current, question(current, problem))
    if not ok or answer == "s" then return stopped(current, step, problem, not ok and answer) end
    if answer == "i" then answer = ANSWER_OF[look_around(current, step, problem, true) or ""] end
    if answer == "s" then return stopped(current, step, problem) end
    if answer == "r" then return "retry" end
    if answer == "u" then
      local undone, ending = errors.try(undo.all, current, { ask = true, failed = true })
      if not undone then return endings.stopped(current, step, ending) end
      if ending then return ending end
    end
    if answer == "a" then
      make_anew(current, step)
      return "retry"
    end
    if answer == "k" then
      current:emit("step.skipped", { step = step.id, number = step.number, why = "after its failure, by the operator" })
      return "next"
    end
  end
end

---A step failed. "next", "retry", or the ending of the run.
---@param current pgsh.Session
---@param step table
---@param problem table
---@param tally table
---@return string|table
function failure.handle(current, step, problem, tally)
  host.interrupts() -- the operator can be asked now
  local journaled, broken = emit_failed(current, step, problem, tally)
  -- Why the journal broke is in the first error; that it is broken, in every later one.
  if not journaled then return endings.stopped(current, step, problem.code == "journal" and problem or broken) end
  if problem.code == "unknown" then return unknown(current, step, problem, tally) end
  if problem.stop or problem.kind == "answer" or problem.code == "journal" then return endings.stopped(current, step, problem) end
  local policy = current.options.on_failure or "ask"
  if policy == "undo" and problem.kind ~= "interrupted" then return undo.all(current, { ask = false, failed = true }) end
  if policy ~= "ask" then return endings.stopped(current, step, problem) end
  return choose(current, step, problem)
end

return failure
