-- Runs the command of an exec and carries its three streams. The command runs in a session of its own behind named pipes: what happens to
-- kubectl does not happen to it, as with a real pod.
local cqueues = require "cqueues"
local lfs = require "lfs"
local proc = require "core.proc"
local socket = require "cqueues.socket"

local relay = {}

local CHUNK = 65536

local function open(path, mode)
  local file = assert(io.open(path, mode))
  local con = assert(socket.dup(file))
  file:close()
  con:setmode("b", "bf")
  con:setvbuf("full", CHUNK)
  con:onerror(function(_, _, code) return code end)
  return con
end

local Relay = {}
Relay.__index = Relay

-- The connection is lost: nothing more goes either way. The process goes on (kill: it does not).
function Relay:cut()
  if self.is_cut then return end
  self.is_cut = true
  if self.fault.kill then
    proc.run(("kill -KILL -%s 2>/dev/null; :"):format(self.session or "0"))
  else
    -- Somebody must read on, or the next write would end the process. The shell opens both ends before it lets go of the one that
    -- writes: the open never blocks, it has happened when the shell has ended, and readers of a process that has gone end at once.
    proc.must(("cd %s && exec 3<>out 4<out 3<>err 5<err 3>&- && for end in 4 5; do setsid cat <&$end 4<&- 5<&- >/dev/null 2>&1 & done")
      :format(proc.quote(self.dir)))
  end
  self.over = true
end

-- How much of data may still pass.
function Relay:allowed(which, data)
  local fault = self.fault
  if fault.action ~= "cut" or (fault.input and "in" or "out") ~= which then return data, false end
  local left = (fault.bytes or 0) - self.passed
  self.passed = self.passed + #data
  if #data < left then return data, false end
  return data:sub(1, math.max(0, left)), true
end

-- A filter that puts the pod's own paths back into a stream: what may be the beginning of one waits for the next piece.
local function unmapper(list)
  if #list == 0 then return function(data) return data or "" end end
  local held = ""
  return function(data)
    local text = held .. (data or "")
    held = ""
    for _, pair in ipairs(list) do
      local at = 1
      while true do
        local first, last = text:find(pair[1], at, true)
        if not first then break end
        text, at = text:sub(1, first - 1) .. pair[2] .. text:sub(last + 1), first + #pair[2]
      end
    end
    if not data then return text end
    local longest = 0
    for _, pair in ipairs(list) do
      for k = math.min(#pair[1] - 1, #text), longest + 1, -1 do
        if text:sub(-k) == pair[1]:sub(1, k) then longest = k break end
      end
    end
    held = text:sub(#text - longest + 1)
    return text:sub(1, #text - longest)
  end
end

function Relay:carry(name, file)
  local con, unmap = self[name], unmapper(self.shown_paths)
  while not self.over do
    local data = con:read(-CHUNK)
    if not data or data == "" then break end
    local ends
    data, ends = self:allowed(name == "out" and "out" or "none", unmap(data))
    file:write(data)
    file:flush()
    if ends then return self:cut() end
  end
  if not self.is_cut then
    file:write(unmap(nil))
    file:flush()
  end
  self[name .. "_ended"] = true
end

function Relay:feed()
  local con, source = self.input, nil
  local mode = lfs.attributes("/proc/self/fd/0", "mode")
  local pipe
  if mode ~= "file" then
    -- Another process waits for what may never come; it ends with this one, however that ends.
    pipe = io.popen("exec setpriv --pdeathsig KILL cat 2>/dev/null", "r")
    source = assert(socket.dup(pipe))
    source:setmode("b", "b")
  end
  while not self.over do
    local data
    if source then data = source:read(-CHUNK) else data = io.stdin:read(CHUNK) end
    if not data or data == "" then break end
    local ends
    data, ends = self:allowed("in", data)
    if data ~= "" and not con:write(data) or not con:flush() then break end
    if ends then
      con:close()
      return self:cut()
    end
    cqueues.sleep(0)
  end
  con:close()
end

-- plan: of the API server; returns the exit status (nil: cut off), and "missing" or "denied" where nothing could be started.
function relay.run(plan, with_input, fault)
  local dir = ("%s/%d-%x"):format(plan.dir, math.floor(cqueues.monotime() * 1e6), math.random(0, 0xffffff))
  proc.must(("mkdir %s && cd %s && mkfifo out err in"):format(proc.quote(dir), proc.quote(dir)))
  local self = setmetatable({ dir = dir, fault = fault or {}, passed = 0, shown_paths = plan.shown_paths }, Relay)
  -- In the background, or the shell would report a signal among the command's own errors.
  local script = ("exec 2>/dev/null; cd %s; echo $$ >session; %s %s >out 2>err 3>start & wait $!; printf '%%d\\n' "
    .. "$?"):format(proc.quote(dir), plan.shell,
    with_input and "<in" or "</dev/null")
  local pipe = io.popen("exec setsid sh -c " .. proc.quote(script), "r")
  local status_pipe = assert(socket.dup(pipe))
  if with_input then self.input = open(dir .. "/in", "w") end
  self.out, self.err = open(dir .. "/out", "r"), open(dir .. "/err", "r")
  local queue, status = cqueues.new(), nil
  local session = io.open(dir .. "/session")
  self.session = session and session:read "l"
  if session then session:close() end
  queue:wrap(function() self:carry("out", io.stdout) end)
  queue:wrap(function() self:carry("err", io.stderr) end)
  if with_input then queue:wrap(function() self:feed() end) end
  queue:wrap(function() status = tonumber(status_pipe:read "*l") end)
  if self.fault.action == "cut" and (self.fault.bytes or 0) == 0 and not self.fault.input then
    queue:wrap(function() self:cut() end)
  end
  while not self.over and not (status and self.out_ended and self.err_ended) do assert(queue:step()) end
  local start = io.open(dir .. "/start")
  local word = start and start:read "l"
  if start then start:close() end
  if not self.is_cut then proc.run("rm -rf " .. proc.quote(dir)) end
  if self.is_cut then return nil end
  return status, word ~= "started" and word or nil
end

return relay
