-- help: `pgsh help`, `pgsh help TOPIC`, `--help` and `--list` of a procedure, `--help` of a command, and help(x) in scripts.

local host = require "pgsh.host"
local commands = require "pgsh.commands"
local errors = require "pgsh.errors"
local session = require "pgsh.session"

local help = {}

local OPTIONS = [[
  -n, --dry-run            the same as plan
  -y, --yes                yes to routine questions; typed confirmations and manual steps are not routine
      --confirm NAME       answers the typed confirmation NAME, or confirms the manual step NAME (NAME=EVIDENCE); repeatable
      --no-input           never ask: a needed answer is an error that names its flag
      --step               ask before each change
      --from, --until, --skip ID   begin at, end with, leave out a step (ids: --list)
      --on-failure ask|stop|undo   what to do when a step fails; default: ask
      --start-at TIME      when "start" is: 14:00 (UTC), +10m, 2026-11-21T14:00:00Z; steps wait for their time
      --params FILE        parameters from a JSON file; flags win; PGSH_NAME in the environment comes last
  -o, --output text|json|jsonl
      --state DIR          where runs are recorded (default $XDG_STATE_HOME/pgsh); postgresql://… shares them
      --color auto|always|never
  -c, --command ENTRIES    of the shell; repeatable       --no-rc   without its start-up file
  -q, --quiet   -v, --verbose   --version (with -v: of the libraries, too)
]]

local EXITS = [[
The exit status of pgsh

    0  done         everything that was asked for is done
    1  failed       it failed, and nothing it changed is left: nothing was changed, or all of it was undone
    2  usage        the call, the parameters or the script are wrong; nothing was done
    3  refused      a guard, a preflight or the operator refused before the first change
    4  answer       an answer is needed and there is nobody to give it; the message names the flag
    5  stopped      it failed or was stopped half way: changes are in effect and all of them are known
    6  unknown      a change was sent and nobody knows whether it happened
    7  locked       another run holds the target; the message says who
  124  timeout      a deadline passed
  130  interrupted  Ctrl-C

The more particular one is given: a run that stops half way because a wait took too long ends with 124, one that was
interrupted with 130, one that needs an answer with 4. The last line says in each case what is in effect, the run, and
the next command to type.
]]

local function environment()
  local lines = { "Environment variables of pgsh's own; parameters are read from PGSH_NAME, services say theirs themselves", "" }
  for _, own in ipairs(require "pgsh.variables") do lines[#lines + 1] = ("  %-20s  %s"):format(own.name, own.text) end
  return table.concat(lines, "\n") .. "\n"
end

local function output(text)
  host.emit("output", { text = text })
end

local function procedure_names()
  local names = {}
  for _, name in ipairs(host.embedded_names()) do names[#names + 1] = name:match("^procedures/(.*)%.lua$") end
  return names
end

-- Lines of at most 78 columns.
local function wrapped(list, indent)
  local lines, line = {}, indent
  for _, word in ipairs(list) do
    if #line + #word > 78 then
      lines[#lines + 1] = line
      line = indent
    end
    line = line .. (line == indent and "" or " ") .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n") .. "\n"
end

local function overview()
  local text = "pgsh: a shell for the people who keep Postgres running\n\n" .. commands.overview()
    .. "\n  --help behind any of them says more; behind a FILE it lists the parameters, and --list the steps\n\n" .. OPTIONS
  local procedures = procedure_names()
  if #procedures > 0 then text = text .. "\nProcedures that come with it\n" .. wrapped(procedures, "  ") end
  return text .. "\nNames scripts use (pgsh help NAME)\n" .. wrapped(require("pgsh.meta").topics(), "  ")
end

local function shown_default(spec)
  local value = spec.default
  if value == nil then return spec.required and "required" or "optional" end
  if spec.secret then return "default •••" end
  if type(value) == "table" then value = table.concat(value, ",") end
  if spec.type == "duration" and type(value) == "number" then value = require("pgsh.params").duration(value) end
  local text = tostring(value):gsub("%s*\n.*", " …")
  if utf8.len(text) and utf8.len(text) > 60 then text = text:sub(1, utf8.offset(text, 58) - 1) .. " …" end
  return "default " .. text
end

local function parameter_lines(current)
  local lines = {}
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  for _, spec in ipairs(current.params.list) do
    local kind = spec.type == "choice" and table.concat(spec.choices, "|") or spec.type == "boolean" and "" or spec.type
    add("  --%s %s", spec.name, kind)
    add("        %s%s%s", spec.help, spec.help ~= "" and "; " or "", shown_default(spec))
  end
  return lines
end

local function loaded(invocation)
  local current = session.new(invocation, { bodies = false })
  host.set_mode "plan"
  local problem = require("pgsh.load").procedure(current, invocation.file, true)
  return current, problem
end

---`pgsh FILE --help`
---@param invocation table
function help.procedure(invocation)
  local current, problem = loaded(invocation)
  -- A script that does not even get to its parameters has no help to give.
  if problem and #current.params.list == 0 then error(problem, 0) end
  local name = current.procedure.name
  local lines = { name .. (current.procedure.summary ~= "" and ": " .. current.procedure.summary or ""), "" }
  local function add(text) lines[#lines + 1] = text end
  if current.procedure.doc then add(current.procedure.doc) add "" end
  add(("  pgsh %s%s"):format(current.file, #current.params.list > 0 and " [--PARAMETER VALUE …]" or ""))
  add ""
  if #current.params.list > 0 then
    add "Parameters"
    local parameters = parameter_lines(current)
    table.move(parameters, 1, #parameters, #lines + 1, lines)
    add ""
  end
  if problem then
    add("(the script needs its parameters to say more: " .. errors.line(problem) .. ")")
  else
    add(require("pgsh.endings").plural(#current.steps, "step") .. "; --list shows them, pgsh help shows the options of every procedure")
  end
  output(table.concat(lines, "\n") .. "\n")
end

---`pgsh FILE --list`
---@param invocation table
function help.list(invocation)
  local current, problem = loaded(invocation)
  if problem then
    current.params:check(current.procedure.name)
    error(problem, 0)
  end
  local steps = require("pgsh.describe").steps(current)
  local format = current.options.output
  if format == "json" or format == "jsonl" then
    output(require("pgsh.json").encode(require("pgsh.json").array(steps)) .. "\n")
    return
  end
  local width, lines = 0, {}
  for _, step in ipairs(steps) do width = math.max(width, utf8.len(step.id) or #step.id) end
  for _, step in ipairs(steps) do
    lines[#lines + 1] = ("%3d  %s%s  %s%s%s%s"):format(step.number, step.id, (" "):rep(width - (utf8.len(step.id) or #step.id)), step.title,
      step.kind == "manual" and "  (by hand)" or "", step.at and "  at " .. step.at or "", step.left_out and "  (left out)" or "")
  end
  output(table.concat(lines, "\n") .. "\n")
end

local TEXTS = {
  exit = function() return EXITS end,
  statuses = function() return EXITS end,
  options = function() return OPTIONS end,
  environment = environment,
}

-- A command may be called like a name scripts use (undo): then it is both.
local function topic_text(topic)
  if TEXTS[topic] then return TEXTS[topic]() end
  local command, name = commands.text(topic), require("pgsh.meta").text(topic)
  return command and name and command .. "\n" .. name or command or name
end

help.text = topic_text

---What `pgsh help` knows besides procedures.
---@return string[]
function help.topics()
  local names, seen = {}, {}
  for _, list in ipairs { commands.names(), { "exit", "options", "environment" }, require("pgsh.meta").topics() } do
    for _, name in ipairs(list) do
      if not seen[name] then names[#names + 1] = name end
      seen[name] = true
    end
  end
  table.sort(names)
  return names
end

---`pgsh help [TOPIC]`
---@param invocation table
function help.command(invocation)
  local topic = invocation.words and invocation.words[1]
  if not topic then return output(overview()) end
  local text = topic_text(topic)
  if text then return output(text) end
  if require("pgsh.load").find(topic) then return help.procedure { file = topic, options = { help = true }, known = invocation.known } end
  local names = help.topics()
  for _, name in ipairs(procedure_names()) do names[#names + 1] = name end
  errors.raise("usage", "there is no help on %s%s", topic, require("pgsh.nearest").hint(topic, names))
end

---`pgsh COMMAND --help`
---@param invocation table
function help.of_command(invocation)
  output(commands.text(invocation.command))
end

---The global name whose value it is.
---@param value any
---@return string?
function help.name_of(value)
  local globals = require "pgsh.globals"
  for _, name in ipairs(globals.names()) do
    if globals.find(name) == value then return name end
  end
end

---help(x) in scripts: text about a name or a value.
---@param subject any
function help.of(subject)
  local name = type(subject) == "string" and subject or subject ~= nil and help.name_of(subject) or nil
  if subject == nil then return output(overview()) end
  local text = name and topic_text(name)
  output(text or ("nothing is written about %s\n"):format(tostring(subject)))
end

return help
