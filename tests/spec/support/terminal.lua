-- A real terminal for specs: tmux on a socket of its own, with a shell in it.
--
--   local screen = require("tests.spec.support.terminal").open(box, { width = 100, height = 30, env = { TERM = "dumb" } })
--   screen:pgsh "shell service=x"        types the command; screen:line "…", screen:keys("C-c"), screen:type "…" (no Enter)
--   screen:enter("1 + 1", "RO>")         types an entry on a cleared screen, waits for the prompt behind it
--   screen:see "pattern"                 waits until it is on the screen; screen:text() now; screen:gone "pattern"
--   screen:close()
local socket = require "socket"
local run = require "tests.spec.support.run"

local terminal = {}
local Terminal = {}
Terminal.__index = Terminal

terminal.binary = run.shell("realpath " .. (os.getenv "PGSH" or "./pgsh"))

function Terminal:tmux(...)
  local words = { "tmux", "-u", "-f", "/dev/null", "-S", run.quote(self.box.dir .. "/tmux") }
  for _, word in ipairs { ... } do words[#words + 1] = run.quote(word) end
  return run.shell("env -u TMUX LANG=C.UTF-8 " .. table.concat(words, " ") .. " 2>&1")
end

function terminal.open(box, options)
  options = options or {}
  local self = setmetatable({ box = box }, Terminal)
  local env = { PATH = os.getenv "PATH", LANG = "C.UTF-8", TERM = "screen", PS1 = "$ " }
  for name, value in pairs(box.env) do env[name] = value end
  for name, value in pairs(options.env or {}) do env[name] = value end
  local words = {}
  for name, value in pairs(env) do words[#words + 1] = run.quote(name .. "=" .. value) end
  local shell = "env -i " .. table.concat(words, " ") .. " bash --norc --noprofile"
  for _ = 1, 3 do -- on a busy machine tmux's server now and then ends before its first session has begun
    self:tmux("new-session", "-d", "-s", "t", "-x", tostring(options.width or 100), "-y", tostring(options.height or 30), shell)
    if self:tmux("has-session", "-t", "t") == "" then break end
  end
  self:see "%$"
  return self
end

-- Waits for the end of what ran in it: it may still be writing into the box.
function Terminal:close()
  local shell = self:tmux("display-message", "-p", "-t", "t", "#{pane_pid}"):match "^%d+$"
  local children = shell and run.shell("ps -o pid= --ppid " .. shell) or ""
  self:tmux("kill-server")
  local deadline = socket.gettime() + 8
  for pid in children:gmatch "%d+" do
    while run.read_file(("/proc/%s/stat"):format(pid)) ~= "" and socket.gettime() < deadline do socket.sleep(0.01) end
  end
end
-- A screen that has nothing but the prompt (a pattern), and nothing typed: else what stood there before is taken for the answer.
function Terminal:fresh(prompt)
  self:keys("C-u", "C-l")
  return self:see("^[^\n]*" .. prompt .. "$")
end
-- An entry on a fresh screen, up to the prompt behind it: the screen.
function Terminal:enter(text, prompt)
  self:fresh(prompt)
  self:line(text)
  return self:see("\n[^\n]*" .. prompt .. "$")
end
function Terminal:keys(...) self:tmux("send-keys", "-t", "t", ...) end
-- tmux takes a semicolon at the end for its own.
function Terminal:type(text) self:tmux("send-keys", "-l", "-t", "t", (text:gsub(";$", "\\;"))) end
function Terminal:line(text)
  self:type(text)
  self:keys "Enter"
end
-- As a terminal pastes: in brackets.
function Terminal:paste(text)
  run.write_file(self.box.dir .. "/paste", text)
  self:tmux("load-buffer", self.box.dir .. "/paste")
  self:tmux("paste-buffer", "-p", "-r", "-t", "t")
end
function Terminal:pgsh(arguments) self:line("clear; " .. terminal.binary .. " " .. (arguments or "") .. "; echo \"[exit $?]\"") end
function Terminal:resize(width, height) self:tmux("resize-window", "-t", "t", "-x", tostring(width), "-y", tostring(height or 30)) end

-- The screen; `raw` with its colours.
function Terminal:text(raw)
  local text = raw and self:tmux("capture-pane", "-p", "-e", "-t", "t") or self:tmux("capture-pane", "-p", "-t", "t")
  return (text:gsub("[ \n]+$", ""):gsub("[ ]+\n", "\n"))
end

-- Wait until the screen matches a pattern; returns it.
function Terminal:see(pattern, seconds)
  local deadline = socket.gettime() + (seconds or 15)
  repeat
    local screen = self:text()
    if screen:find(pattern) then return screen end
    socket.sleep(0.02)
  until socket.gettime() > deadline
  error(("%s is not to be seen in:\n%s"):format(pattern, self:text()), 2)
end

return terminal
