-- main: the entry from C: one invocation in, the exit status out. Whatever happens, the last event says how it ended.

local host = require "pgsh.host"

local main = {}

-- Command → module and function. Loaded when it is called: `pgsh -e ''` must not pay for the others.
local COMMANDS = {
  run = { "run", "start" }, resume = { "run", "resume" }, undo = { "run", "undo" },
  plan = { "plan", "start" }, checklist = { "checklist", "start" },
  runs = { "runs", "list" }, show = { "runs", "show" }, status = { "runs", "one" }, report = { "runs", "report" },
  help = { "help", "command" }, completion = { "completion", "command" },
  shell = { "shell", "command" },
  eval = { "eval", "code" }, stdin = { "eval", "stdin" },
}

-- Options that turn a command into a description of it, or of its procedure. A command whose help is wanted is never carried out.
local function command_of(invocation)
  local options = invocation.options or {}
  local command = invocation.command or "run"
  local loads = command == "run" or command == "plan" or command == "checklist"
  if options.help and command ~= "help" then return { "help", loads and invocation.file and "procedure" or "of_command" } end
  if options.list and loads then return { "help", "list" } end
  local known = COMMANDS[command]
  if not known then require("pgsh.errors").raise("usage", "unknown command %s (see pgsh help)", tostring(command)) end
  return known
end

local function dispatch(invocation)
  local command = command_of(invocation)
  return require("pgsh." .. command[1])[command[2]](invocation)
end

local function handler(e)
  if type(e) == "table" and e.kind then return e end
  return host.error("internal", { message = tostring(e), traceback = debug.traceback("", 2) })
end

-- An error that no command turned into an ending of its own.
local function ending_of_error(problem)
  local endings = require "pgsh.endings"
  host.interrupts()
  local ending = endings.of_error(problem)
  local current = require("pgsh.session").current
  if current and current.run then
    ending.run = current.run
    local changed = require("pgsh.fold").changes(current.state)
    if changed > 0 and ending.exit < 4 then ending.status, ending.exit = "stopped", 5 end
    if next(current.state.attempts) then ending.next = { "go on: " .. endings.command(current, "resume") } end
  end
  return ending
end

---@param invocation table
---@return integer status
function main.start(invocation)
  local ok, ending = xpcall(dispatch, handler, invocation)
  if not ok then ending = ending_of_error(ending) end
  if not ending then return 0 end
  -- The journal may be what is broken; the views come after it and must learn of the end all the same.
  local told, problem = xpcall(host.emit, handler, "run.ended", ending)
  if not told then
    ending.exit = ending.exit ~= 0 and ending.exit or 1
    host.emit("log", { level = "error", text = tostring(problem) })
    host.emit("log", { level = "error", text = ending.message })
  end
  return ending.exit
end

return main.start
