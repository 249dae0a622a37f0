-- A scripted HTTP server for specs: a child process that does to its clients what a spec says.
--
--   local server = httpd.start [[
--     return {
--       accept = function(conn) … end,        -- optional: before anything is read; conn.n counts connections
--       request = function(req, conn) conn:reply(200, { ["X-A"] = "b" }, "body") end,
--     }
--   ]]
--   server.url                -- "http://127.0.0.1:PORT"
--   server:requests()         -- { {method, path, headers, body, conn, n}, … } as they came
--   server:stop()
--
-- conn: send(bytes) reply(status, headers, body) chunked(status, headers, chunks) sleep(seconds) reset() close() n
-- The script's globals live as long as the server does. With `lua5.4 httpd.lua serve DIR PARENT` it is the server itself.

local httpd = {}

-- ---- the server ---------------------------------------------------------------------------------------------------------

local function serve(dir, parent)
  local socket, cjson = require "socket", require "cjson"
  local handlers = assert(loadfile(dir .. "/script.lua"))()
  local log = assert(io.open(dir .. "/log", "a"))
  log:setvbuf "line"
  local listener = assert(socket.bind("127.0.0.1", 0, 64))
  listener:settimeout(0)
  local waiting = {} -- coroutine → { socket, "r"|"w"|"t", until }
  local count, requests = 0, 0

  local Conn = {}
  Conn.__index = Conn

  local function pause(what, sock, till) coroutine.yield(what, sock, till) end

  function Conn:send(bytes)
    local at = 1
    while at <= #bytes do
      local sent, why, part = self.sock:send(bytes, at)
      at = (sent or part or at - 1) + 1
      if not sent and why ~= "timeout" then error "gone" end
      if at <= #bytes then pause("w", self.sock) end
    end
  end

  local function head(status, headers)
    local lines = { ("HTTP/1.1 %d Scripted"):format(status) }
    for name, value in pairs(headers or {}) do lines[#lines + 1] = name .. ": " .. value end
    return lines
  end

  function Conn:reply(status, headers, body)
    local lines = head(status, headers)
    body = body or ""
    if not (headers and headers["Content-Length"]) then lines[#lines + 1] = "Content-Length: " .. #body end
    if self.method == "HEAD" then body = "" end
    self:send(table.concat(lines, "\r\n") .. "\r\n\r\n" .. body)
  end

  function Conn:chunked(status, headers, chunks)
    local lines = head(status, headers)
    lines[#lines + 1] = "Transfer-Encoding: chunked"
    self:send(table.concat(lines, "\r\n") .. "\r\n\r\n")
    for _, chunk in ipairs(chunks) do self:send(("%x\r\n%s\r\n"):format(#chunk, chunk)) end
    self:send "0\r\n\r\n"
  end

  function Conn.sleep(_, seconds) pause("t", nil, socket.gettime() + seconds) end

  function Conn:reset()
    self.sock:setoption("linger", { on = true, timeout = 0 })
    self:close()
  end

  function Conn:close()
    if not self.closed then self.sock:close() end
    self.closed = true
  end

  function Conn:receive(pattern)
    local got = ""
    while true do
      local want = pattern
      if type(pattern) == "number" then
        want = pattern - #got
        if want == 0 then return got end
      end
      local data, why, part = self.sock:receive(want)
      if data then return got .. data end
      got = got .. (part or "")
      if why ~= "timeout" then return nil end
      pause("r", self.sock)
    end
  end

  local function read_request(conn)
    local line = conn:receive "*l"
    if not (line or ""):find " HTTP/" then return nil end -- the end, or somebody who speaks TLS
    local req = { headers = {}, conn = conn.n }
    req.method, req.path = line:match "^(%S+) (%S+)"
    for field in function() return conn:receive "*l" end do
      if field == "" then break end
      local name, value = field:match "^([^:]+):%s*(.-)%s*$"
      req.headers[name:lower()] = value
    end
    req.body = conn:receive(tonumber(req.headers["content-length"]) or 0)
    requests = requests + 1
    req.n = requests
    conn.method = req.method
    return req
  end

  local function talk(conn)
    if handlers.accept then handlers.accept(conn) end
    while not conn.closed do
      local req = read_request(conn)
      if not req then break end
      log:write(cjson.encode(req), "\n")
      handlers.request(req, conn)
      if req.headers.connection == "close" then break end
    end
    conn:close()
  end

  local function step(co, ...)
    local ok, what, sock, till = coroutine.resume(co, ...)
    if not ok and not tostring(what):find "gone" then io.stderr:write(debug.traceback(co, tostring(what)), "\n") end
    waiting[co] = ok and what and { sock, what, till } or nil
  end

  local function accept()
    local sock = listener:accept()
    if not sock then return end
    sock:settimeout(0)
    sock:setoption("tcp-nodelay", true)
    count = count + 1
    step(coroutine.create(talk), setmetatable({ sock = sock, n = count }, Conn))
  end

  local port = select(2, listener:getsockname())
  local file = assert(io.open(dir .. "/port.new", "w"))
  file:write(port)
  file:close()
  os.rename(dir .. "/port.new", dir .. "/port")

  local function alive()
    local stat = io.open("/proc/" .. parent .. "/stat")
    if stat then stat:close() end
    return stat ~= nil
  end

  while alive() do
    local readers, writers, now, first = { listener }, {}, socket.gettime(), 1
    for _, w in pairs(waiting) do
      if w[2] == "r" then readers[#readers + 1] = w[1] end
      if w[2] == "w" then writers[#writers + 1] = w[1] end
      if w[2] == "t" then first = math.max(0, math.min(first, w[3] - now)) end
    end
    local can_read, can_write = socket.select(readers, writers, first)
    if can_read[listener] then accept() end
    now = socket.gettime()
    local ready = {}
    for co, w in pairs(waiting) do
      if (w[2] == "r" and can_read[w[1]]) or (w[2] == "w" and can_write[w[1]]) or (w[2] == "t" and w[3] <= now) then
        ready[#ready + 1] = co
      end
    end
    for _, co in ipairs(ready) do step(co) end
  end
  for _, name in ipairs { "/script.lua", "/log", "/err", "/port", "" } do os.remove(dir .. name) end -- a spec that died
end

-- ---- the spec's side ------------------------------------------------------------------------------------------------------

local Server = {}
Server.__index = Server

local function read(path)
  local file = io.open(path)
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end

function Server:requests()
  local cjson, list = require "cjson", {}
  for line in (read(self.dir .. "/log") or ""):gmatch "[^\n]+" do list[#list + 1] = cjson.decode(line) end
  return list
end

-- What the server itself complained of: a mistake in the script.
function Server:errors() return read(self.dir .. "/err") end

function Server:stop()
  local sh = require "pgsh.sh"
  sh.run { "kill", "-9", self.pid }
  sh.run { "rm", "-rf", self.dir }
end

function httpd.start(script)
  local sh, host = require "pgsh.sh", require "pgsh.host"
  local dir = sh.run("mktemp -d").out:gsub("%s+$", "")
  local file = assert(io.open(dir .. "/script.lua", "w"))
  file:write(script)
  file:close()
  local here = debug.getinfo(1, "S").source:match "^@(.*)$"
  local pid = sh.run(([[lua5.4 '%s' serve '%s' %d >/dev/null 2>'%s/err' </dev/null & echo $!]]):format(here, dir, host.pid, dir)).out
  for _ = 1, 250 do
    local port = read(dir .. "/port")
    if port then
      return setmetatable({ dir = dir, pid = pid:gsub("%s+$", ""), port = tonumber(port), url = "http://127.0.0.1:" .. port }, Server)
    end
    host.sleep(0.02)
  end
  error("the server did not start: " .. (read(dir .. "/err") or ""))
end

if arg and arg[1] == "serve" and arg[0] and arg[0]:find "httpd.lua$" then serve(arg[2], arg[3]) end

return httpd
