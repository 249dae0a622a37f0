-- run: the command `pgsh FILE`: load, name the targets, lock them, ask, and do the steps. And `pgsh resume`, which differs in where
-- the state comes from.

local host = require "pgsh.host"
local describe = require "pgsh.describe"
local endings = require "pgsh.endings"
local errors = require "pgsh.errors"
local fold = require "pgsh.fold"
local load = require "pgsh.load"
local preflight = require "pgsh.preflight"
local questions = require "pgsh.questions"
local runner = require "pgsh.runner"
local schedule = require "pgsh.schedule"
local selection = require "pgsh.selection"
local session = require "pgsh.session"

local run = {}

-- Targets that everybody shares: two unrelated runs on one machine do not exclude each other.
local SHARED = { sh = true, file = true, pipe = true }

local function targets_text(targets)
  local names = {}
  for i, target in ipairs(targets) do names[i] = target.kind .. " " .. target.name end
  return table.concat(names, ", ")
end

-- The path by which a resumed run finds the script again.
local function absolute(path)
  if path:sub(1, 1) == "/" or path:find("^pgsh:/") then return path end
  local directory = host.getenv "PWD"
  local full = directory and directory .. "/" .. path:gsub("^%./", "")
  return full and host.read_file(full) and full or path
end

local function emit_shape(current)
  current:emit("run.targets", { targets = host.targets() })
  local steps = describe.steps(current)
  current:emit("run.steps", { steps = steps, clocks = describe.clocks(current) })
  return steps
end

local function emit_facts(current)
  for _, fact in ipairs(current.facts) do current:emit("fact", { name = fact.name, value = fact.value }) end
end

---Targets of these kinds are nobody's alone: they are not locked.
run.SHARED = SHARED

local function lock(current)
  local keys = {}
  for _, target in ipairs(host.targets()) do
    if not SHARED[target.kind] then keys[#keys + 1] = target.kind .. " " .. target.name end
  end
  table.sort(keys) -- everybody in the same order
  host.lock(keys)
  host.seal()
  return current
end

-- Who cannot be asked is told now, not half way.
local function check_answers(current)
  if current.options.no_input or host.interactive and not host.interactive() then
    require("pgsh.manual").check_answers(current, selection.certain(current))
  end
end

local function confirm(current)
  local count = #selection.certain(current)
  local targets = host.targets()
  local text = "run " .. endings.plural(count, "step")
  if #targets > 0 then text = text .. " on " .. targets_text(targets) end
  return questions.routine(current, text .. "?")
end

local function settings(current)
  schedule.start(current) -- a wrong --start-at is told before anything begins
  selection.check(current)
  local policy = current.options.on_failure
  if policy and policy ~= "ask" and policy ~= "stop" and policy ~= "undo" then
    errors.raise("usage", "--on-failure %s: it is ask, stop or undo", policy)
  end
end

local function ending_of(current, ending)
  ending.run = current.run
  return ending
end

---`pgsh FILE …`
---@param invocation table
---@return table ending
function run.start(invocation)
  local current = session.new(invocation)
  host.set_mode("real", { step_by_step = current.options.step and true or false })
  load.checked(current, invocation.file)
  settings(current)
  current.run = host.run_begin()
  current:emit("run.started", {
    run = current.run, procedure = current.procedure.name, summary = current.procedure.summary, file = absolute(current.file),
    sha256 = current.sha256, params = current.params:values(), user = host.user, host = host.hostname, pid = host.pid,
    version = host.version, journal_version = 1, start_at = current.start_at,
  })
  emit_shape(current)
  emit_facts(current)
  selection.record(current)
  lock(current)
  check_answers(current)
  if not confirm(current) then return ending_of(current, endings.refused("refused by the operator, nothing is changed")) end
  return ending_of(current, preflight.run(current) or runner.run(current))
end

---Load the procedure of a recorded run again, take its lock, say what differs. Used by resume and undo.
---@param invocation table
---@return pgsh.Session current
function run.reopen(invocation)
  local id = invocation.words and invocation.words[1]
  if not id then errors.raise("usage", "which run? pgsh %s ID, or last (pgsh runs lists them)", invocation.command) end
  local current = session.new {
    options = invocation.options, rest = invocation.rest, known = invocation.known, words = { table.unpack(invocation.words, 3) },
  }
  host.set_mode("real", { step_by_step = current.options.step and true or false })
  -- Read first: a script that does not load must not disturb the run.
  local events, info = host.run_read(id)
  current.state, current.resumed = fold.all(events), true
  if current.state.procedure == "shell" then
    errors.raise("usage", "run %s is a session of the shell: there is nothing to %s (pgsh show %s)", info.id, invocation.command, info.id)
  end
  if not current.state.file then errors.raise("usage", "run %s ended before it began; start it anew", info.id) end
  load.checked(current, invocation.file or invocation.words[2] or current.state.file)
  settings(current)
  local facts = current.facts
  events, current.run = host.run_resume(info.id)
  current.state = fold.all(events)
  local former = current.state.steps
  current:emit("run.resumed", {
    run = current.run, procedure = current.procedure.name, file = absolute(current.file), sha256 = current.sha256, user = host.user,
    host = host.hostname, pid = host.pid, start_at = current.start_at,
  })
  current.facts = facts
  local present = emit_shape(current)
  emit_facts(current)
  current.changes_of_file = describe.differences(former, present, current.state.done)
  if #current.changes_of_file > 0 then current:emit("run.changed", { changes = current.changes_of_file }) end
  return lock(current)
end

local function say_done(current)
  local numbers = {}
  for _, step in ipairs(current.steps) do
    if current.state.done[step.id] then numbers[#numbers + 1] = step.number end
  end
  if #numbers > 0 then
    host.emit("log", { level = "info", text = ("%s done before: %s"):format(endings.plural(#numbers, "step"), table.concat(numbers, " ")) })
  end
end

---`pgsh resume ID [FILE]`
---@param invocation table
---@return table ending
function run.resume(invocation)
  local current = run.reopen(invocation)
  selection.record(current)
  if #selection.certain(current) == 0 then
    return ending_of(current, endings.done(current, 0))
  end
  check_answers(current)
  -- A run that was refused at its first question, or never got that far, is asked again.
  if not next(current.state.attempts) and not confirm(current) then
    return ending_of(current, endings.refused("refused by the operator, nothing is changed"))
  end
  say_done(current)
  if #current.changes_of_file > 0 and not questions.routine(current, "go on with the changed procedure?") then
    local ending = endings.refused("refused by the operator, nothing further is changed")
    ending.next = { "go on: " .. endings.command(current, "resume") }
    return ending_of(current, ending)
  end
  return ending_of(current, preflight.run(current) or runner.run(current))
end

---`pgsh undo ID [FILE]`
---@param invocation table
---@return table ending
function run.undo(invocation)
  local current = run.reopen(invocation)
  local ending = require("pgsh.undo").all(current, { ask = true, failed = false })
  if not ending then
    ending = endings.refused("refused by the operator, nothing is undone")
    ending.next = { "go on: " .. endings.command(current, "resume"), "go back: " .. endings.command(current, "undo") }
  end
  return ending_of(current, ending)
end

return run
