-- preflight: everything that can be read beforehand. All are run and all problems collected: the operator learns at once what is
-- wrong, and nothing has been changed.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local fold = require "pgsh.fold"

local preflight = {}

---@param current pgsh.Session
---@return string
function preflight.title(current)
  return #current.preflights == 1 and current.preflights[1].title or "Preflight"
end

-- Run one; problems are added to the list. `problem` may be called any number of times; a text or texts may be returned.
local function run_one(current, check, problems)
  if check.when ~= nil then
    local when = check.when
    if type(when) == "function" then when = when() end
    if not when then return end
  end
  local found = {}
  current.problems = found
  local ok, value, text = errors.try(check.run, function(format, ...)
    found[#found + 1] = select("#", ...) > 0 and format:format(...) or tostring(format)
  end)
  current.problems = nil
  if not ok then
    if value.kind == "interrupted" or value.kind == "cancelled" then error(value, 0) end
    found[#found + 1] = errors.line(value)
  elseif value == false then
    found[#found + 1] = text and tostring(text) or "does not hold"
  elseif type(value) == "string" then
    found[#found + 1] = value
  elseif type(value) == "table" and not require("pgsh.unknown").is(value) then
    for _, each in ipairs(value) do found[#found + 1] = tostring(each) end
  end
  for _, each in ipairs(found) do
    problems[#problems + 1] = #current.preflights > 1 and check.title .. ": " .. each or each
  end
end

---Run all. Problems found, and the reads made.
---@param current pgsh.Session
---@return string[] problems
---@return integer reads
function preflight.look(current)
  local problems = {}
  local scope, ok, problem = current:within("preflight", "preflight", "preflight", "refuse", function()
    for _, check in ipairs(current.preflights) do
      local former = check.timeout_ms and host.deadline(check.timeout_ms, "timeout of preflight " .. check.title)
      local fine, raised = errors.try(run_one, current, check, problems)
      if former then host.restore_deadline(former) end
      if not fine then error(raised, 0) end
    end
  end)
  if not ok then error(problem, 0) end
  return problems, scope.reads or 0
end

---The preflight phase of a real run. An ending when it refuses. A resumed run that has changed something already does not repeat
---it: the conditions are its own doing.
---@param current pgsh.Session
---@return table? ending
function preflight.run(current)
  if #current.preflights == 0 or current.state.done.preflight or fold.changes(current.state) > 0 then return nil end
  local begun = host.mono()
  local title = preflight.title(current)
  local attempt = (current.state.attempts.preflight or 0) + 1
  current:emit("step.started", { step = "preflight", number = 1, title = title, kind = "preflight", attempt = attempt })
  local ok, problems, reads = errors.try(preflight.look, current)
  if not ok then
    host.interrupts()
    current:emit("step.failed", {
      step = "preflight", number = 1, ms = host.mono() - begun, error = errors.body(problems), outcome = "failed", reads = 0, changes = 0,
    })
    local ending = require("pgsh.endings").stopped(current, { number = 1 }, problems)
    return ending
  end
  local counted = ("%d read%s"):format(reads, reads == 1 and "" or "s")
  if #problems == 0 then
    current:emit("step.done", {
      step = "preflight", number = 1, ms = host.mono() - begun, reads = reads, changes = 0, note = counted .. ", nothing wrong",
    })
    return nil
  end
  local summary = #problems == 1 and problems[1] or ("%d problems"):format(#problems)
  current:emit("step.failed", {
    step = "preflight", number = 1, ms = host.mono() - begun, reads = reads, changes = 0, outcome = "failed", problems = problems,
    error = { kind = "refused", code = "refused", message = summary, detail = #problems > 1 and table.concat(problems, "\n") or nil },
  })
  return require("pgsh.endings").refused(("refused before the first step, nothing is changed: %s"):format(table.concat(problems, "; ")))
end

return preflight
