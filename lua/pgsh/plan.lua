-- plan: what a run would do: reads are really made, changes shown. A wait is evaluated once; verify, undo and questions are shown.

local host = require "pgsh.host"
local describe = require "pgsh.describe"
local endings = require "pgsh.endings"
local errors = require "pgsh.errors"
local load = require "pgsh.load"
local preflight = require "pgsh.preflight"
local questions = require "pgsh.questions"
local schedule = require "pgsh.schedule"
local selection = require "pgsh.selection"
local session = require "pgsh.session"
local unknown = require "pgsh.unknown"

local plan = {}

local function note(step, kind, text)
  host.emit("plan.note", { step = step and step.id, kind = kind, text = text })
end

local function count(tally, scope)
  tally.reads = tally.reads + (scope.reads or 0)
  return scope
end

-- Call a body of a step; what it raises is the end of the plan.
local function body(current, tally, step, phase, changes, f, ...)
  local scope, ok, a, b = current:within(step.id .. "/" .. phase, step.id, phase, changes, f, ...)
  count(tally, scope)
  if phase == "run" then tally.changes = tally.changes + (scope.changed or 0) end
  if not ok then error(a, 0) end
  return a, b
end

local function clock_of(clock)
  return clock and { name = clock.name, budget_ms = clock.budget_ms } or nil
end

local function due(current, step)
  local start = step.at and schedule.start(current)
  if not start then return step.at end
  return ("%s, %s"):format(step.at, host.iso(start + schedule.parse_offset(step.at)):sub(1, 16) .. "Z")
end

-- What must hold afterwards, and what is seen of it now.
local function show_verify(current, tally, step, kept, result)
  local text = step.verify_text
  local scope, ok, holds, seen = current:within(step.id .. "/verify", step.id, "verify", "refuse", step.verify, kept, result)
  count(tally, scope)
  if not ok and holds.kind == "interrupted" then error(holds, 0) end
  if not text and seen == nil then return end
  local now = ok and seen ~= nil and not unknown.is(seen) and (" (now: %s)"):format(tostring(seen)) or ""
  note(step, "verify", (text or "checked afterwards") .. now)
end

local function show_undo(current, step, kept, result)
  if step.undo_text then return note(step, "undo", step.undo_text .. (step.undo and "" or " (by hand)")) end
  if not step.undo then return end
  unknown.record(false)
  local _, ok, problem = current:within(step.id .. "/undo", step.id, "undo", "show", step.undo, kept, result)
  unknown.record(true)
  if not ok then note(step, "undo", "cannot be shown: " .. errors.line(problem)) end
end

local function show_confirmation(current, tally, step, kept)
  local expect = step.confirm
  if type(expect) == "function" then expect = body(current, tally, step, "confirm", "refuse", expect, kept) end
  if expect then note(step, "ask", ("%s is to be typed, or %s"):format(tostring(expect), questions.flag(tostring(expect)))) end
end

local function show_manual(current, tally, step, kept)
  local text = body(current, tally, step, "run", "refuse", require("pgsh.manual").text, step, kept)
  if text ~= "" then note(step, "by hand", text) end
  note(step, "ask", ("to be confirmed, or --confirm %s"):format(step.id))
end

local function plan_step(current, tally, step)
  unknown.at_step(step.id)
  local why = selection.why_not(current, step)
  if why then
    tally.left_out[#tally.left_out + 1] = { step = step.title, why = why }
    return
  end
  tally.steps = tally.steps + 1
  host.emit("plan.step", {
    step = step.id, number = step.number, title = step.title, kind = step.kind, due = due(current, step),
    opens = clock_of(step.opens), closes = clock_of(step.closes),
  })
  local state, result = current.state, nil
  local kept = step.keep and body(current, tally, step, "keep", "refuse", step.keep) or nil
  state.kept[step.id] = kept
  if step.confirm then show_confirmation(current, tally, step, kept) end
  if step.kind == "manual" then
    show_manual(current, tally, step, kept)
  elseif step.run then
    result = body(current, tally, step, "run", "allow", step.run, kept)
    state.results[step.id] = result
  end
  if step.verify then show_verify(current, tally, step, kept, result) end
  show_undo(current, step, kept, result)
end

local function plan_preflight(current, tally)
  if #current.preflights == 0 then return end
  host.emit("plan.step", { step = "preflight", number = 1, title = preflight.title(current), kind = "preflight" })
  local problems, reads = preflight.look(current)
  tally.reads = tally.reads + reads
  for _, problem in ipairs(problems) do note({ id = "preflight" }, "error", problem) end
  if #problems == 0 then note({ id = "preflight" }, "note", endings.plural(reads, "read") .. ", nothing wrong") end
  tally.problems = problems
end

local function planned_steps(current, tally)
  local last = current.by_id[current.options["until"]]
  for _, step in ipairs(current.steps) do
    local ok, problem = errors.try(plan_step, current, tally, step)
    if not ok then
      local where = errors.place(problem)
      note(step, "error", errors.line(problem) .. (where and " (at " .. where .. ")" or ""))
      return problem, step
    end
    if step == last then return end
  end
end

local function ending_of(tally, problem, step)
  if problem then
    local where = errors.place(problem)
    local known = endings.of_error(problem)
    local exit = known.exit == 130 and 130 or 1
    return {
      status = exit == 130 and "interrupted" or "failed", exit = exit, error = errors.body(problem),
      message = ("the plan failed at step %d: %s%s"):format(step.number, errors.line(problem), where and " (at " .. where .. ")" or ""),
    }
  end
  if tally.problems and #tally.problems > 0 then
    return {
      status = "refused", exit = 3,
      message = "refused as it stands, the run would end at its preflight: " .. table.concat(tally.problems, "; "),
    }
  end
  return { status = "done", exit = 0, message = ("done, %s planned, nothing is changed"):format(endings.plural(tally.steps, "step")) }
end

---`pgsh plan FILE …`
---@param invocation table
---@return table ending
function plan.start(invocation)
  local current = session.new(invocation)
  host.set_mode "plan"
  unknown.reset()
  load.checked(current, invocation.file)
  schedule.start(current)
  selection.check(current)
  host.seal()
  local targets = host.targets()
  host.emit("run.targets", { targets = targets })
  host.emit("run.steps", { steps = describe.steps(current), clocks = describe.clocks(current) })
  local tally = { reads = 0, changes = 0, steps = 0, left_out = {} }
  plan_preflight(current, tally)
  local problem, step = planned_steps(current, tally)
  local ending = ending_of(tally, problem, step)
  host.emit("plan.ended", {
    changes = tally.changes, reads = tally.reads, targets = #targets, uncertain = require("pgsh.json").array(unknown.uncertain()),
    left_out = require("pgsh.json").array(tally.left_out), problems = tally.problems,
  })
  return ending
end

return plan
