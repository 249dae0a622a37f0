-- Runs ./pgsh for specs, in an environment of its own, without a terminal.
--
--   local run = require("tests.spec.support.run")
--   local box = run.box(lab.env)                       a home, a state directory, the environment; box:remove() at the end
--   local result = box:pgsh { "plan", FILE, "--app", "crates-io" }
--   result.exit, result.stdout, result.stderr
--   local process = box:start { … }                    in the background: process:signal "INT", process:wait(10)
local socket = require "socket"
local json = require "cjson"

local run = {}
local Box, Process = {}, {}
Box.__index, Process.__index = Box, Process

local BINARY = os.getenv "PGSH" or "./pgsh"
local LIMIT_S = 60

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

-- Returns the path.
local function write_file(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

run.quote, run.read_file, run.write_file = quote, read_file, write_file

-- The output of a shell command, without the last line break.
function run.shell(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  pipe:close()
  return (text:gsub("\n$", ""))
end

-- A shim for LD_PRELOAD from support/NAME.c, built once.
local shims = {}
local function shim(name)
  if not shims[name] then
    local so = run.shell "pwd" .. "/build/spec/" .. name .. ".so"
    assert(os.execute(("mkdir -p build/spec && cc -shared -fPIC -O1 -o %s.$$ tests/spec/support/%s.c -ldl && mv %s.$$ %s")
      :format(quote(so), name, quote(so), quote(so))))
    shims[name] = so
  end
  return shims[name]
end

-- Environment for a process that is killed at its N-th write to the journal (support/crash.c): "before", "torn", "after".
-- Without a number nothing is killed, and the writes are counted in the file `count`.
local SANITIZED = "verify_asan_link_order=0:detect_leaks=0" -- a sanitizer wants to be the first library
function run.crash(number, how, count)
  return { ASAN_OPTIONS = SANITIZED, LD_PRELOAD = shim "crash", CRASH_AT = number or 0, CRASH_HOW = how, CRASH_COUNT = count }
end

-- Environment for a process whose disk has room for so many bytes of a file in the making, or is slow, or hangs (support/full.c).
function run.disk(bytes, slow_ms, hold)
  return { ASAN_OPTIONS = SANITIZED, LD_PRELOAD = shim "full", FULL_AT = bytes, FULL_SLOW = slow_ms, FULL_HOLD = hold }
end

-- Ends what has the box's mark in its environment, and takes its directory away. What cleans up after a process that was killed (a
-- throwaway server's guardian) is given the time to.
local CLEAN = [[
clean() {
  round=0
  while [ "$round" -lt 200 ]; do
    marked=$(grep -lsxzF -- "SPEC_BOX=$1" /proc/[0-9]*/environ)
    [ -n "$marked" ] || break
    signal=TERM
    [ "$round" -lt 150 ] || signal=KILL
    for file in $marked; do
      file=${file%/environ}
      [ "$round" != 0 ] && [ "$round" -lt 150 ] || kill -$signal "${file#/proc/}" 2>/dev/null
    done
    round=$((round + 1))
    sleep 0.05
  done
  rm -rf -- "$1"
}
]]

-- Removes the boxes of a process that was killed: its standard input ends with that.
local GUARDIAN = "trap '' HUP INT TERM; cd /; set --; while read -r dir; do set -- \"$@\" \"$dir\"; done; "
  .. "for dir; do if [ -d \"$dir\" ]; then clean \"$dir\"; fi; done"

local guardian

-- A directory that goes with this process, however it ends. Returns it.
function run.guard(dir)
  guardian = guardian or assert(io.popen("exec setsid -w sh -c " .. quote(CLEAN .. GUARDIAN) .. " >/dev/null 2>&1", "w"))
  guardian:write(dir, "\n")
  guardian:flush()
  return dir
end

-- A directory with home and state, gone with box:remove(), and with it what still runs.
function run.box(env)
  local dir = run.guard(run.shell "mktemp -d")
  os.execute(("mkdir -p %s/home %s/state %s/out"):format(dir, dir, dir))
  local self = setmetatable({ dir = dir, count = 0, processes = {}, env = {
    PATH = os.getenv "PATH", HOME = dir .. "/home", XDG_STATE_HOME = dir .. "/state", LANG = "C.UTF-8", PWD = run.shell "pwd",
    SPEC_BOX = dir, PGSH_SPEC = os.getenv "PGSH_SPEC",
  } }, Box)
  for name, value in pairs(env or {}) do self.env[name] = value end
  return self
end

function Box:remove()
  for _, process in ipairs(self.processes) do
    if process.pipe and process:alive() then process:signal "KILL" end
  end
  os.execute(CLEAN .. "clean " .. quote(self.dir))
end

local function environment(self, more)
  local all, words = {}, {}
  for name, value in pairs(self.env) do all[name] = value end
  for name, value in pairs(more or {}) do all[name] = value end
  for name, value in pairs(all) do
    if value ~= false then words[#words + 1] = ("export %s=%s\n"):format(name, quote(value)) end
  end
  return table.concat(words)
end

-- The shell's words for one call, which become the process; options: env, stdin (text), binary.
-- setsid: there is no terminal to ask at.
local function command(self, arguments, options, out)
  local words = {}
  for i, word in ipairs(arguments) do words[i] = quote(word) end
  local input = "/dev/null"
  if options.stdin then input = write_file(out .. ".in", options.stdin) end
  -- The environment is in a file: in a command line it could be seen by everybody.
  local script = write_file(out .. ".sh", ("%sexec %s %s\n"):format(environment(self, options.env), quote(options.binary or BINARY),
    table.concat(words, " ")))
  return ("exec setsid env -i sh %s <%s >%s.out 2>%s.err"):format(script, input, out, out)
end

-- Start it and go on. A pipe is used because a shell's background job would ignore SIGINT.
function Box:start(arguments, options)
  self.count = self.count + 1
  local out = ("%s/out/%d"):format(self.dir, self.count)
  local pipe = assert(io.popen(("echo $$ >%s.pid; %s"):format(out, command(self, arguments, options or {}, out)), "r"))
  local process = setmetatable({ out = out, pipe = pipe }, Process)
  self.processes[#self.processes + 1] = process
  repeat
    process.pid = tonumber(read_file(out .. ".pid"))
    if not process.pid then socket.sleep(0.002) end
  until process.pid
  return process
end

-- Run it to its end. options.limit: seconds, then it is killed and an error raised.
function Box:pgsh(arguments, options)
  return self:start(arguments, options):wait(options and options.limit)
end

function Process:alive()
  local state = read_file(("/proc/%d/stat"):format(self.pid)):match "^%d+ %(.*%) (%a)"
  return state ~= nil and state ~= "Z"
end

function Process:signal(name)
  os.execute(("kill -%s %d"):format(name, self.pid))
end

function Process:stdout() return read_file(self.out .. ".out") end
function Process:stderr() return read_file(self.out .. ".err") end

-- Wait until its standard error matches a pattern.
function Process:expect(pattern, seconds)
  local deadline = socket.gettime() + (seconds or 20)
  while not self:stderr():find(pattern) do
    if socket.gettime() > deadline or not self:alive() then
      error(("%s is not to be seen in:\n%s"):format(pattern, self:stderr()), 2)
    end
    socket.sleep(0.005)
  end
end

-- Wait for its end: exit (128 + signal), stdout, stderr.
function Process:wait(seconds)
  local deadline = socket.gettime() + (seconds or LIMIT_S)
  while self:alive() do
    if socket.gettime() > deadline then
      self:signal "KILL"
      error("it did not end by itself:\n" .. self:stderr(), 2)
    end
    socket.sleep(0.003)
  end
  local _, how, code = self.pipe:close()
  self.pipe = nil
  return { exit = how == "signal" and 128 + code or code, stdout = self:stdout(), stderr = self:stderr() }
end

-- The events of the newest run, or of one.
function Box:journal(id)
  local path = id and ("%s/state/pgsh/runs/%s/journal.jsonl"):format(self.dir, id)
    or run.shell(("ls -td %s/state/pgsh/runs/*/ 2>/dev/null | head -n 1"):format(self.dir)) .. "journal.jsonl"
  local events = {}
  for line in read_file(path):gmatch "[^\n]+" do
    local ok, event = pcall(json.decode, line)
    if ok then events[#events + 1] = event end
  end
  return events, path
end

return run
