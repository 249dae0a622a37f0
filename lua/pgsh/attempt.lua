-- attempt: one attempt at one step: keep, confirm, run, verify, done. Whatever is raised on the way is returned with what the
-- attempt had done by then.

local host = require "pgsh.host"
local clocks = require "pgsh.clocks"
local errors = require "pgsh.errors"

local attempt = {}

local VERIFY_MS = 10000

-- What is true before the step is read and journaled once: a later attempt must not read what the first one has changed.
local function keep(current, step, tally)
  local kept = current.state.kept[step.id]
  if kept ~= nil or not step.keep then return kept end
  local scope, ok, value = current:within(step.id .. "/keep", step.id, "keep", "refuse", step.keep)
  tally.reads = tally.reads + (scope.reads or 0)
  if not ok then error(value, 0) end
  if value ~= nil then current:emit("step.kept", { step = step.id, value = value }) end
  return value
end

local function confirm(current, step, kept)
  local expect, why = step.confirm, nil
  if type(expect) == "function" then
    local _, ok
    _, ok, expect, why = current:within(step.id .. "/confirm", step.id, "keep", "refuse", step.confirm, kept)
    if not ok then error(expect, 0) end
    if not expect then return end
  end
  require("pgsh.questions").typed(current, tostring(expect), why or step.title, step.id .. "/confirm")
end

-- A body that is watched: it runs as a task of its own, and is cancelled when an invariant no longer holds.
local function watched(step, body)
  local broken
  local main = host.spawn("step " .. step.id, body)
  local watchers = {}
  for i, wire in ipairs(step.tripwires) do
    watchers[i] = host.spawn("tripwire " .. wire.what, function()
      while true do
        local scope = { branch = step.id .. "/tripwire", step = step.id, phase = "verify", changes = "refuse" }
        local ok, holds, seen = errors.try(host.within, scope, wire.check)
        if not ok and not errors.passing(holds) or ok and holds == false then
          local text = ok and seen and tostring(seen) or not ok and errors.line(holds) or nil
          broken = broken or ("tripwire: %s no longer holds%s"):format(wire.what, text and ": " .. text or "")
          return main:cancel()
        end
        host.sleep(wire.every_ms / 1000)
      end
    end)
  end
  local results = table.pack(errors.try(main.join, main))
  for _, watcher in ipairs(watchers) do watcher:cancel() end
  if not results[1] then
    -- Whatever ended the wait for it: the body is over before anybody tries again. That it leaves a change behind whose outcome
    -- is not known matters more than what stopped it.
    main:cancel()
    local _, last = host.shield(function() return errors.try(main.join, main) end)
    if errors.is(last) and last.code == "unknown" then error(last, 0) end
    error(broken and host.error("script", { message = broken }) or results[2], 0)
  end
  return table.unpack(results, 2, results.n)
end

local function body_of(current, step, kept)
  if step.kind == "manual" then return require("pgsh.manual").perform(current, step, kept) end
  if not step.run then return nil end
  if not step.tripwires then return step.run(kept) end
  return watched(step, function() return step.run(kept) end)
end

local function run(current, step, kept, tally)
  local scope, ok, result = current:within(step.id .. "/run", step.id, "run", "allow", body_of, current, step, kept)
  tally.reads = tally.reads + (scope.reads or 0)
  tally.changes = (scope.changed or 0) + (scope.replayed or 0)
  if not ok then
    -- What an earlier attempt did is in effect also when this one did not get there.
    tally.changes = math.max(tally.changes + #host.unknowns(step.id .. "/run"), current.state.changes[step.id] or 0)
    error(result, 0)
  end
  return result
end

-- One look: returning nothing means that what did not hold would have been raised.
local function look(verify, kept, result)
  local values = table.pack(verify(kept, result))
  if values.n == 0 then return true end
  return values[1], values[2]
end

---Does the step's verify hold? Raises when it does not, after a short time in which services may still become consistent.
---@param current pgsh.Session
---@param step table
---@param kept any
---@param result any
---@param tally table
function attempt.verify(current, step, kept, result, tally)
  local what = step.verify_text or "verify of " .. step.title
  local scope, ok, problem = current:within(step.id .. "/verify", step.id, "verify", "refuse", function()
    return require("pgsh.polling").poll(step.verify_within_ms or VERIFY_MS, what, function()
      return look(step.verify, kept, result)
    end, { quiet = true, failing = "does not hold" })
  end)
  tally.reads = tally.reads + (scope.reads or 0)
  if not ok then error(problem, 0) end
end

local function note_of(current, step, kept, result)
  if step.note then
    local _, ok, text = current:within(step.id .. "/note", step.id, "verify", "refuse", step.note, kept, result)
    if ok then return text ~= nil and tostring(text) or nil end
    require("pgsh.log").warn("%s: its note failed: %s", step.title, errors.line(text))
  end
  if step.kind == "manual" and type(result) == "table" then return require("pgsh.manual").note(result) end
  if type(result) == "string" then return result end
end

local JOURNALED = { table = true, string = true, number = true, boolean = true }

---The step is done: journal it, with what its run returned when that can be written down.
---@param current pgsh.Session
---@param step table
---@param tally table
---@param result any
---@param how? string               # "verify" when its outcome was unknown and verify decided
function attempt.done(current, step, tally, result, how)
  local kept = current.state.kept[step.id]
  if step.closes then clocks.close(current, step.closes) end
  local body = {
    step = step.id, number = step.number, ms = host.mono() - tally.begun, reads = tally.reads, changes = tally.changes, how = how,
    note = note_of(current, step, kept, result),
    result = JOURNALED[type(result)] and result or nil,
  }
  if body.result == nil then return current:emit("step.done", body) end
  local ok, problem = errors.try(current.emit, current, "step.done", body)
  if ok then return end
  if problem.code ~= "json" then error(problem, 0) end
  body.result = nil -- a value that JSON cannot hold: later steps of this process still have it
  current:emit("step.done", body)
  current.state.results[step.id] = result
end

local function perform(current, step, tally)
  local state = current.state
  local number = (state.attempts[step.id] or 0) + 1
  current:emit("step.started", { step = step.id, number = step.number, title = step.title, kind = step.kind, attempt = number })
  local kept = keep(current, step, tally)
  if step.confirm then confirm(current, step, kept) end
  if step.timeout_ms then tally.deadline = host.deadline(step.timeout_ms, "timeout of step " .. step.id) end
  if step.opens then clocks.open(current, step.opens) end
  local result = run(current, step, kept, tally)
  if step.verify then attempt.verify(current, step, kept, result, tally) end
  attempt.done(current, step, tally, result)
end

---Attempt a step. True, or false and the error; tally says what the attempt did. Its timeout does not run while the operator is
---asked to confirm it.
---@param current pgsh.Session
---@param step table
---@return boolean ok
---@return table? problem
---@return table tally
function attempt.make(current, step)
  local tally = { begun = host.mono(), reads = 0, changes = nil }
  local ok, problem = errors.try(perform, current, step, tally)
  if tally.deadline then host.restore_deadline(tally.deadline) end
  return ok, problem, tally
end

return attempt
