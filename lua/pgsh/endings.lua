-- endings: how a run ends: status, exit status, the last line and the next command to type.
--
--   exit 0    done                 everything that was asked for is done
--   exit 1    failed               it failed, and nothing it changed is left: nothing was changed, or all of it was undone
--   exit 2    usage                the call or the script is wrong; nothing was done
--   exit 3    refused              a guard, a preflight or the operator refused before the first change
--   exit 4    answer               an answer is needed and there is nobody to give it
--   exit 5    stopped              it failed or was stopped half way: changes are in effect, and all of them are known
--   exit 6    unknown              a change was sent and nobody knows whether it happened
--   exit 7    locked               another run holds a target
--   exit 124  timeout              a deadline passed; the message says what is in effect
--   exit 130  interrupted          Ctrl-C; the message says what is in effect

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local fold = require "pgsh.fold"

local endings = {}

local BY_KIND = {
  unknown = { "unknown", 6 }, answer = { "answer", 4 }, interrupted = { "interrupted", 130 }, cancelled = { "interrupted", 130 },
  locked = { "locked", 7 }, timeout = { "timeout", 124 },
}

---How a command for this run is typed.
---@param current pgsh.Session
---@param command string
---@return string
function endings.command(current, command)
  local where = current.options.state
  return ("pgsh %s %s%s"):format(command, current.run, where and " --state " .. where or "")
end

local function plural(n, word)
  return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
end
endings.plural = plural

-- What is in effect now, in a few words.
local function effects(current, problem)
  if problem.code == "unknown" then return "OUTCOME OF A CHANGE UNKNOWN" end
  local changed = fold.changes(current.state)
  if changed == 0 then return "nothing is changed" end
  return "effects known, " .. plural(changed, "change") .. " in effect"
end

local function next_commands(current)
  if not current.run then return nil end
  local list = { "go on: " .. endings.command(current, "resume") }
  if #require("pgsh.undo").items(current) > 0 then list[2] = "go back: " .. endings.command(current, "undo") end
  return list
end

---A run that stops at a step.
---@param current pgsh.Session
---@param step table
---@param problem table             # error object
---@return table ending
function endings.stopped(current, step, problem)
  local changed = fold.changes(current.state)
  local status, exit
  if BY_KIND[problem.kind] then
    status, exit = table.unpack(BY_KIND[problem.kind])
  elseif changed > 0 then
    status, exit = "stopped", 5
  elseif problem.kind == "refused" then
    status, exit = "refused", 3
  else
    status, exit = "failed", 1
  end
  local what = exit == 124 and "timed out" or status == "answer" and "an answer is needed" or status
  local message = ("%s at step %d, %s"):format(what, step.number, effects(current, problem))
  if status == "answer" then message = message .. ": " .. errors.line(problem) end
  return { status = status, exit = exit, message = message, next = next_commands(current), error = errors.body(problem) }
end

---Everything is done. `left`: steps that --until left for later.
---@param current pgsh.Session
---@param count integer             # steps done by this run
---@param left? integer
---@return table ending
function endings.done(current, count, left)
  local span = host.span(host.mono() - current.started)
  if left and left > 0 then
    return {
      status = "done", exit = 0, message = ("done as far as was asked, %s in %s, %d left"):format(plural(count, "step"), span, left),
      next = { "go on: " .. endings.command(current, "resume") },
    }
  end
  return { status = "done", exit = 0, message = ("done, %s in %s"):format(plural(count, "step"), span) }
end

---Refused before the first change.
---@param message string
---@return table ending
function endings.refused(message)
  return { status = "refused", exit = 3, message = message }
end

---The steps were taken back. `rest`: the items that could not be.
---@param undone integer
---@param rest table[]
---@param failed boolean            # by a run that failed, not by `pgsh undo`
---@return table ending
function endings.undone(current, undone, rest, failed)
  if #rest > 0 then
    local names = {}
    for i, item in ipairs(rest) do names[i] = item.step.id end
    return {
      status = "stopped", exit = 5, next = next_commands(current),
      message = ("stopped half way: %s undone; without undo and still in effect: %s"):format(plural(undone, "step"),
        table.concat(names, ", ")),
    }
  end
  local message = undone == 0 and "nothing had to be undone" or plural(undone, "step") .. " undone, nothing is left in effect"
  if failed then return { status = "failed", exit = 1, message = "failed, " .. message, undone = true, next = next_commands(current) } end
  return { status = "done", exit = 0, message = "done, " .. message, undone = true }
end

---An error outside every step: wrong call, script that does not load, lock, store.
---@param problem table
---@return table ending
function endings.of_error(problem)
  local known = BY_KIND[problem.kind]
  local exit = host.errors[problem.code] and host.errors[problem.code].exit or 1
  local status = known and known[1] or exit == 2 and "usage" or exit == 3 and "refused" or exit == 5 and "stopped" or "failed"
  local message = tostring(problem)
  local body = errors.body(problem)
  if body.place then message = message .. " (at " .. body.place .. ")" end
  if problem.detail then message = message .. "\n" .. problem.detail end
  if problem.hint then message = message .. "\n" .. problem.hint end
  return { status = status, exit = exit, message = message, error = body }
end

return endings
