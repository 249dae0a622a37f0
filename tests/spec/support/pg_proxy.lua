-- A TCP proxy in front of PostgreSQL that cuts the line at COMMIT. A program of its own (lua5.4), and the module that starts it.
--
--   local proxy = require("tests.spec.support.pg_proxy").start(server.port)
--   proxy:mode "cut_after"    the next COMMIT reaches the server, its answer does not come back
--   proxy:mode "cut_before"   the next COMMIT does not reach the server
--   proxy:mode "mute"         from the next COMMIT on nothing comes back, the line stays up
--   proxy:mode "hold"         the next COMMIT does not reach the server, the line stays up as long as the client does
--   proxy:mode "strand"       as hold, and the server never learns that the client has gone
--   proxy:mode "refuse_after" as cut_after, and no connection is accepted afterwards
--   proxy:fired()             has that COMMIT come?
--   proxy:stop()
local socket = require "socket"

local function serve(port, upstream, control)
  local listener = assert(socket.bind("127.0.0.1", port))
  local peers, muted, stranded, refusing = {}, {}, {}, false

  local function mode()
    local file = io.open(control)
    local text = file and file:read "a" or "pass"
    if file then file:close() end
    return text:match "%S+" or "pass"
  end
  local function reset()
    local file = assert(io.open(control, "w"))
    file:write "pass"
    file:close()
  end
  local function close(one)
    local other = peers[one]
    peers[one] = nil
    one:close()
    if stranded[one] then
      peers[other] = nil
    elseif other then
      peers[other] = nil
      other:close()
    end
  end
  local clients = {}

  local function forward(from)
    from:settimeout(0)
    local data, why, part = from:receive(65536)
    data = data or part
    local to = peers[from]
    if clients[from] and data:lower():find "commit[;\0]" then
      local now = mode()
      if now ~= "pass" then reset() end
      if now == "cut_before" then return close(from) end
      if now == "hold" then return end
      if now == "strand" then
        stranded[from] = to -- which keeps it open
        return
      end
      if now == "mute" then muted[to] = true end
      if now == "cut_after" or now == "refuse_after" then
        to:settimeout(5)
        to:send(data)
        socket.sleep(0.2) -- the server has committed and answered
        if now == "refuse_after" then
          refusing = true
          listener:close()
        end
        return close(from)
      end
    end
    if #data > 0 and not muted[from] then
      to:settimeout(5)
      to:send(data)
    end
    if why == "closed" then close(from) end
  end

  while true do
    local read = refusing and {} or { listener }
    for one in pairs(peers) do read[#read + 1] = one end
    local ready = socket.select(read, nil, 1)
    for _, one in ipairs(ready) do
      if one == listener then
        local client = listener:accept()
        local server = client and socket.connect("127.0.0.1", upstream)
        if client and server then
          client:setoption("tcp-nodelay", true)
          server:setoption("tcp-nodelay", true)
          peers[client], peers[server], clients[client] = server, client, true
        elseif client then
          client:close()
        end
      elseif peers[one] then
        forward(one)
      end
    end
  end
end

if arg and arg[0] and arg[0]:match "pg_proxy%.lua$" then
  serve(math.tointeger(tonumber(arg[1])), math.tointeger(tonumber(arg[2])), arg[3])
end

local postgres = require "tests.spec.support.postgres"
local proxy = {}
local Proxy = {}
Proxy.__index = Proxy

function Proxy:mode(name)
  local file = assert(io.open(self.control, "w"))
  file:write(name)
  file:close()
end

-- Has a COMMIT come since the mode was set?
function Proxy:fired()
  local file = assert(io.open(self.control))
  local text = file:read "a"
  file:close()
  return text == "pass"
end

function Proxy:stop()
  if not self.pipe then return end
  self.pipe:close()
  self.pipe = nil
  os.remove(self.control)
end

function proxy.start(upstream)
  local self = setmetatable({ port = postgres.free_port(), control = os.tmpname() }, Proxy)
  self:mode "pass"
  -- It ends with this process: the shell waits for the end of its input.
  self.pipe = assert(io.popen(("lua5.4 tests/spec/support/pg_proxy.lua %d %d %s & cat >/dev/null; kill $!")
    :format(self.port, upstream, self.control), "w"))
  for _ = 1, 200 do
    local probe = socket.connect("127.0.0.1", self.port)
    if probe then
      probe:close()
      return self
    end
    socket.sleep(0.02)
  end
  error "the proxy did not start"
end

return proxy
