-- What the engine's specs share: a box, that is a directory of its own with procedures and recorded runs, in which ./pgsh is run
-- as an operator would run it.
local host, json, sh = require "pgsh.host", require "pgsh.json", require "pgsh.sh"
local guard = require("tests.spec.support.run").guard

local support = {}

local Box = {}
Box.__index = Box

local ANY = {}
for status = 0, 255 do ANY[#ANY + 1] = status end

-- The binary that runs the specs.
local function binary()
  return (sh.read { "readlink", ("/proc/%d/exe"):format(host.pid) }.out:gsub("%s+$", ""):gsub(" %(deleted%)$", "")) -- rebuilt meanwhile
end

---A new box. `close` it in after_each.
function support.box()
  local dir = guard(sh.run({ "mktemp", "-d", "/tmp/pgsh-spec-XXXXXX" }).out:match "%S+")
  return setmetatable({ dir = dir, exe = binary(), env = { XDG_STATE_HOME = dir .. "/state", PGSH_PATH = "", NO_COLOR = "1" } }, Box)
end

function Box:close()
  if self.socket then
    pcall(sh.run, { "tmux", "-L", self.socket, "kill-server" }, { ok = ANY })
    pcall(sh.run, ('rm -f "${TMUX_TMPDIR:-/tmp}/tmux-$(id -u)/%s"'):format(self.socket)) -- which tmux leaves
  end
  sh.run { "rm", "-rf", self.dir }
end

Box.__close = Box.close

---Write a file; returns its name.
function Box:write(name, text)
  local handle = assert(io.open(self.dir .. "/" .. name, "w"))
  handle:write(text)
  handle:close()
  return name
end

---A procedure with the usual head.
function Box:procedure(text, name)
  return self:write(name or "proc.lua", 'procedure { name = "proc", summary = "A procedure" }\n' .. text)
end

---The text of a file in the box; nil when there is none.
function Box:read(name)
  local handle = io.open(self.dir .. "/" .. name)
  if not handle then return nil end
  local text = handle:read "a"
  handle:close()
  return text
end

---Run pgsh: {exit, out, err}, all = both outputs. Without a terminal and without input.
function Box:pgsh(...)
  local options, command = { ok = ANY, cwd = self.dir, env = self.env, timeout = 60 }, { "sh", "-c", '"$@"; exit $?', "sh", self.exe }
  for i = 1, select("#", ...) do
    local argument = select(i, ...)
    if type(argument) == "table" then
      for key, value in pairs(argument) do options[key] = value end
    else
      command[#command + 1] = argument
    end
  end
  local result = sh.read(command, options)
  result.all = result.out .. result.err
  return result
end

---Run a procedure's text with --yes.
function Box:run(text, ...)
  return self:pgsh(self:procedure(text), "-y", ...)
end

---The journal's events of a run.
function Box:events(id)
  local list = {}
  for line in self:pgsh("show", id or "last", "-o", "jsonl").out:gmatch "[^\n]+" do list[#list + 1] = json.decode(line) end
  return list
end

---The events of one type.
function Box:events_of(kind, id)
  local list = {}
  for _, event in ipairs(self:events(id)) do
    if event.type == kind then list[#list + 1] = event end
  end
  return list
end

---The last event: how the run ended.
function Box:ended(id)
  local list = self:events_of("run.ended", id)
  return list[#list]
end

-- A terminal ---------------------------------------------------------------------------------------------------------------

---Start pgsh in a terminal.
function Box:terminal(...)
  self.socket = "pgsh-" .. self.dir:match "[^/]*$"
  local words = {}
  for i = 1, select("#", ...) do words[i] = ("'%s'"):format((select(i, ...))) end
  self:write("start.sh", table.concat({
    "trap : INT", "cd " .. self.dir, "export XDG_STATE_HOME=" .. self.env.XDG_STATE_HOME .. " PGSH_PATH= LC_ALL=C.UTF-8",
    self.exe .. " " .. table.concat(words, " "), 'echo "exit status $?"', "exec cat", "",
  }, "\n"))
  sh.run { "tmux", "-L", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "50", "sh", self.dir .. "/start.sh" }
end

function Box:screen()
  return sh.read({ "tmux", "-L", self.socket, "capture-pane", "-p", "-S", "-200" }, { ok = ANY }).out
end

---Wait until the terminal shows a text (a Lua pattern); returns the screen.
function Box:shows(pattern)
  local screen
  for _ = 1, 200 do
    screen = self:screen()
    if screen:find(pattern) then return screen end
    host.sleep(0.05)
  end
  error(("the terminal never showed %s:\n%s"):format(pattern, screen), 2)
end

---Wait for a question, and answer it in a line; returns the screen that asked.
function Box:answers(question, text)
  local screen = self:shows(question)
  self:types(text, "Enter")
  return screen
end

---Type keys, as tmux names them.
function Box:types(...)
  sh.run { "tmux", "-L", self.socket, "send-keys", ... }
end

return support
