-- Requests to the lab's API server, and how kubectl ends when one fails.
local fail = require "kube.client.fail"
local flags = require "kube.client.flags"
local json = require "core.json"
local kinds = require "kube.kinds"
local luasocket = require "socket"

local rpc = {}
local Client = {}
Client.__index = Client

local DIAL_TIMEOUT_S = 30

-- A plain integer is seconds.
local function timeout_of(text)
  if not text or text == "0" then return nil end
  local seconds = tonumber(text:match "^%d+$") or flags.duration(text)
  if not seconds then
    fail.raise("Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a corresponding time unit "
      .. "(e.g. 1s | 2m | 3h)")
  end
  return seconds > 0 and seconds or nil
end

function rpc.new(values, context, command, args)
  local host, port = context.server:match "^https?://([^:/]+):?(%d*)"
  return setmetatable({
    server = context.server, host = host or "localhost", port = tonumber(port ~= "" and port or 8080),
      timeout = timeout_of(values["request-timeout"]),
    call = { id = ("%d-%x"):format(math.floor(luasocket.gettime() * 1e6), math.random(0, 0xffffff)), command = command,
      args = json.array(args) },
  }, Client)
end

function Client:address() return ("%s:%d"):format(self.host, self.port) end

local function refused(self)
  fail.exit(1, ("The connection to the server %s was refused - did you specify the right host or port?"):format(self:address()))
end

local function exchange(self, text)
  local con = luasocket.tcp()
  con:settimeout(DIAL_TIMEOUT_S)
  local ok = con:connect(self.host, self.port)
  if not ok then refused(self) end
  con:setoption("tcp-nodelay", true)
  con:send(("POST /api HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"):format(#text, text))
  local answer = con:receive "*a"
  con:close()
  local body = answer and answer:match "\r\n\r\n(.*)$"
  if not body or body == "" then fail.exit(1, "Unable to connect to the server: EOF") end
  return body
end

-- The answer, { result = … , fault = … } or { error = … }; faults of the connection end the command here.
function Client:raw(request)
  request.call = self.call
  self.used = true
  local text = json.encode(request)
  for try = 1, 4 do
    local answer = assert(json.decode(exchange(self, text)))
    local fault = answer.fault and answer.fault.action
    if fault == "refused" then
      refused(self)
    elseif fault == "timeout" then
      luasocket.sleep(self.timeout or DIAL_TIMEOUT_S)
      if not self.timeout then fail.exit(1, ("Unable to connect to the server: dial tcp %s: i/o timeout"):format(self:address())) end
      fail.exit(1, fail.old and "Unable to connect to the server: net/http: request canceled (Client.Timeout exceeded while awaiting "
        .. "headers)"
        or "Unable to connect to the server: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
    elseif fault == "lost" then
      fail.exit(1, "Unable to connect to the server: EOF")
    end
    -- A 429 is tried again, as the client library does.
    if not (answer.error and answer.error.status == 429) or try == 4 then return answer end
    luasocket.sleep(0.05)
  end
end

-- How an error of the server is shown.
function rpc.text(problem)
  if problem.reason == "Invalid" then return "The " .. problem.message end
  if problem.reason == "Container" then return "error: " .. problem.message end
  if problem.reason == "Unauthorized" then return "error: " .. problem.message end
  if problem.reason == "Unsupported" then return "error: " .. problem.message end
  return ("Error from server (%s): %s"):format(problem.reason, problem.message)
end

-- The result, or nil and the error.
function Client:try(request)
  local answer = self:raw(request)
  if answer.error then return nil, answer.error end
  return answer.result, nil, answer.fault
end

-- The result; an error ends the command.
function Client:must(request)
  local result, problem, fault = self:try(request)
  if problem then fail.exit(1, rpc.text(problem)) end
  return result, fault
end

function Client:done(status)
  if not self.used then return end
  pcall(exchange, self, json.encode { op = "done", call = self.call, status = status })
end

local VERBS = { apply = "patch", scale = "patch", set_image = "patch", restart = "patch", undo = "patch", pause = "patch",
  history = "list", log = "get" }

-- A request of one object or a kind.
function rpc.request(op, kind, namespace, name, more)
  local request = { op = op, verb = VERBS[op] or op, kind = kind, name = name }
  if kind and kinds.of(kind).namespaced then request.namespace = namespace end
  for key, value in pairs(more or {}) do request[key] = value end
  return request
end

return rpc
