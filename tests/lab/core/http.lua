-- A small HTTP/1.1 server on cqueues: keep-alive, chunked bodies, and the ways a connection can go wrong
-- that the fault injection needs (reset, truncation, silence).
local cqueues = require "cqueues"
local socket = require "cqueues.socket"
local luasocket = require "socket"

local http = {}

local MAX_BODY = 8 * 1024 * 1024
local MAX_LINE = 65536
local MAX_HEADERS = 200

http.REASONS = {
  [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No Content", [206] = "Partial Content",
  [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden",
  [404] = "Not Found", [405] = "Method Not Allowed", [406] = "Not Acceptable", [409] = "Conflict", [410] = "Gone",
  [411] = "Length Required",
  [413] = "Content Too Large", [415] = "Unsupported Media Type", [416] = "Range Not Satisfiable",
  [422] = "Unprocessable Content", [429] = "Too Many Requests", [431] = "Request Header Fields Too Large",
  [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway", [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
}

-- A protocol error ends the connection after this answer; raised as a table and caught in serve_connection.
local function bad(status, why)
  error({ protocol = true, status = status, why = why }, 0)
end

local function read_line(con)
  local line = con:read("*L")
  if not line then return nil end
  if #line >= MAX_LINE then bad(431, "line too long") end
  local text = line:match("^(.*)\r\n$")
  if not text then bad(400, "a line must end in CRLF") end
  return text
end

local function read_headers(con)
  local headers = {}
  for count = 1, MAX_HEADERS + 1 do
    local line = read_line(con) or bad(400, "headers cut short")
    if line == "" then return headers end
    if count > MAX_HEADERS then break end
    local name, value = line:match("^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.-)[ \t]*$")
    if not name then bad(400, "malformed header") end
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  bad(431, "too many headers")
end

local function read_exactly(con, size)
  if size == 0 then return "" end
  local data = con:read(size)
  if not data or #data < size then bad(400, "body cut short") end
  return data
end

local function read_chunked(con)
  local parts, total = {}, 0
  while true do
    local line = read_line(con) or bad(400, "chunks cut short")
    local size = tonumber(line:match("^(%x+)[^%x]*") or bad(400, "bad chunk size"), 16)
    if size == 0 then break end
    total = total + size
    if total > MAX_BODY then bad(413, "body too large") end
    parts[#parts + 1] = read_exactly(con, size)
    if read_line(con) ~= "" then bad(400, "bad chunk end") end
  end
  repeat local trailer = read_line(con) until trailer == "" or not trailer
  return table.concat(parts)
end

local function read_body(con, headers)
  local coding, length = headers["transfer-encoding"], headers["content-length"]
  if coding and length then bad(400, "both Transfer-Encoding and Content-Length") end
  if coding and coding:lower() ~= "chunked" then bad(501, "unknown transfer coding") end
  if not coding and not length then return "" end
  if length and not length:match("^%d+$") then bad(400, "bad Content-Length") end
  if length and tonumber(length) > MAX_BODY then bad(413, "body too large") end
  if (headers.expect or ""):lower() == "100-continue" then
    con:write("HTTP/1.1 100 Continue\r\n\r\n")
    con:flush()
  end
  if coding then return read_chunked(con) end
  return read_exactly(con, tonumber(length))
end

-- The next request of a connection, or nil when the peer closed it.
local function read_request(con)
  local line = read_line(con)
  if not line then return nil end
  local method, target, minor = line:match("^(%u+) (/%S*) HTTP/1%.([01])$")
  if not method then bad(400, "malformed request line") end
  local headers = read_headers(con)
  if minor == "1" and not headers.host then bad(400, "no Host header") end
  local path, query = target:match("^([^?#]*)%??([^#]*)$")
  if not path then bad(400, "malformed target") end
  local connection = (headers.connection or ""):lower()
  return {
    method = method, path = path, query = query, headers = headers, body = read_body(con, headers),
    has_length = headers["content-length"] ~= nil or headers["transfer-encoding"] ~= nil,
    last = connection:find("close", 1, true) ~= nil or (minor == "0" and not connection:find("keep-alive", 1, true)),
  }
end

local function head_of(response, length, last)
  local lines = {
    ("HTTP/1.1 %d %s"):format(response.status, http.REASONS[response.status] or "Status"),
    os.date("!Date: %a, %d %b %Y %H:%M:%S GMT"),
  }
  for name, value in pairs(response.headers or {}) do lines[#lines + 1] = name .. ": " .. value end
  if response.status ~= 204 then lines[#lines + 1] = "Content-Length: " .. length end
  if last then lines[#lines + 1] = "Connection: close" end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

local function write_response(con, request, response)
  local body = response.body or ""
  if response.status == 204 then body = "" end
  local head = head_of(response, #body, request.last)
  if request.method == "HEAD" then body = "" end
  if response.truncate then
    -- Keep the announced length and send half: the client must notice.
    con:write(head .. body:sub(1, #body // 2))
    con:flush()
    return false
  end
  con:write(head .. body)
  con:flush()
  return not request.last
end

-- Options for which cqueues has no call (or which it takes back when it accepts); LuaSocket has them.
local function set_option(con, name, value)
  local handle = luasocket.tcp()
  handle:setfd(con:pollfd())
  handle:setoption(name, value)
  handle:setfd(-1)
end

local function wait_for_close(con)
  repeat local data = con:read(-4096) until not data
end

-- One request and its answer; false when the connection is over.
local function serve_one(con, handle)
  local request = read_request(con)
  if not request then return false end
  local response = handle(request)
  if response.reset then
    -- Closing with SO_LINGER 0 makes the kernel send RST.
    set_option(con, "linger", { on = true, timeout = 0 })
    return false
  elseif response.hang then
    wait_for_close(con)
    return false
  end
  return write_response(con, request, response)
end

local function serve_connection(con, handle)
  con:setmode("b", "bf")
  set_option(con, "tcp-nodelay", true)
  con:setmaxline(MAX_LINE)
  con:onerror(function(_, _, code) return code end)
  local ok, more
  repeat
    ok, more = pcall(serve_one, con, handle)
    if not ok and type(more) == "table" and more.protocol then
      local response = { status = more.status, headers = { ["Content-Type"] = "text/plain" }, body = more.why .. "\n" }
      write_response(con, { last = true }, response)
    elseif not ok then
      io.stderr:write("lab: ", tostring(more), "\n")
    end
  until not ok or not more
  con:close()
end

-- Listens on a free loopback port; handle(request) runs in a coroutine of its own for each connection.
function http.listen(queue, handle)
  local server = assert(socket.listen { host = "127.0.0.1", port = 0 })
  assert(server:listen())
  local _, _, port = server:localname()
  queue:wrap(function()
    for con in server:clients() do
      cqueues.running():wrap(serve_connection, con, handle)
    end
  end)
  return port
end

return http
