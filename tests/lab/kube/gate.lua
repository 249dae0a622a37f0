-- The door of the API server: one POST for each request of kubectl, with the faults, the log of calls, and errors in one shape.
--   request:  { op, verb, kind, namespace, name, …; call = { id, command, args, user } }
--   answer:   { result } or { error = { status, reason, message, extra } } or { fault = { action, … } }
local api = require "kube.api"
local json = require "core.json"
local kinds = require "kube.kinds"
local luasocket = require "socket"
local refusal = require "core.refusal"
local refuse = require "kube.refuse"
local streams = require "kube.streams"

local gate = {}

local OPS = {
  get = api.get, list = api.list, create = api.create, apply = api.apply, patch = api.patch, scale = api.scale, set_image = api.set_image,
  restart = api.restart, pause = api.pause, history = api.history, undo = api.undo, delete = api.delete, exec = streams.exec,
    log = streams.log,
}

local SUB = { scale = "scale", exec = "exec", log = "log" }

function OPS.version() return { major = "1", minor = "20", gitVersion = "v1.20.2", platform = "linux/amd64" } end

function OPS.can_i(cluster, request)
  return { allowed = not cluster.faults:forbids { verb = request.asked, resource = request.resource, name = request.name,
    namespace = request.namespace } }
end

local function plain(value) return value ~= json.null and value or nil end

local function note_call(cluster, call)
  if not call then return end
  local known = cluster.calls[call.id]
  if not known then
    known = { time = luasocket.gettime(), args = call.args, requests = 0 }
    cluster.calls[call.id] = known
    cluster.calls[#cluster.calls + 1] = known
  end
  known.requests = known.requests + 1
  return known
end

local function refusal_of(fault, cluster, request)
  local kind, name = request.kind, request.name
  if fault.action == "forbidden" then
    refuse.forbidden(cluster.user, request.verb, kind, SUB[request.op], request.namespace, name)
  elseif fault.action == "conflict" then
    refuse.conflict(kind, name or "")
  elseif fault.action == "unauthorized" then
    refuse.raise(401, "Unauthorized", "You must be logged in to the server (Unauthorized)")
  elseif fault.action == "internal" then
    refuse.raise(500, "InternalError",
      "an error on the server (\"etcdserver: request timed out\") has prevented the request from succeeding")
  elseif fault.action == "throttled" then
    refuse.raise(429, "TooManyRequests", "the server has received too many requests and has asked us to try again later")
  end
end

local function serve(cluster, request)
  local op = OPS[request.op] or refusal.raise(400, "BadRequest", "no such request: " .. tostring(request.op))
  local kind = request.kind and kinds.of(request.kind)
  local fault = request.op ~= "version" and request.op ~= "can_i" and cluster.faults:take {
    verb = request.verb, resource = kind and kind.plural, name = request.name or "", namespace = request.namespace,
    command = request.call and request.call.command, words = request.words,
  } or nil
  if fault then
    refusal_of(fault, cluster, request)
    if fault.action == "lost" then
      op(cluster, request)
      return { fault = { action = "lost" } }
    elseif fault.action == "refused" or fault.action == "timeout" or fault.action == "before" then
      return { fault = { action = fault.action } }
    end
  end
  local result = op(cluster, request)
  if fault then
    return { result = result, fault = { action = fault.action, bytes = fault.bytes, input = fault.input, kill = fault.kill,
      status = fault.status, text = fault.text } }
  end
  return { result = result }
end

-- A handler for core.http.
function gate.handler(cluster)
  return function(http_request)
    local request, why = json.decode(http_request.body)
    local answer
    if type(request) ~= "table" then
      answer = { error = { status = 400, reason = "BadRequest", message = why or "not an object" } }
    else
      for key, value in pairs(request) do request[key] = plain(value) end
      local call = note_call(cluster, request.call)
      if request.op == "done" then
        if call then call.status, call.ended = request.status, luasocket.gettime() end
        answer = { result = {} }
      else
        local ok, found = xpcall(serve, function(problem)
          if refusal.is(problem) then return problem end
          return debug.traceback(tostring(problem))
        end, cluster, request)
        if ok then
          answer = found
        elseif refusal.is(found) then
          answer = { error = { status = found.status, reason = found.id, message = found.message, extra = found.extra } }
        else
          io.stderr:write("lab: request ", http_request.body:sub(1, 300), ": ", found, "\n")
          answer = { error = { status = 500, reason = "InternalError", message = "lab: " .. found } }
        end
      end
    end
    return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = json.encode(answer) }
  end
end

return gate
