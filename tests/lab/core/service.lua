-- What every simulator does with a request: log it, take its time, apply a fault, find the handler, answer.
local cqueues = require "cqueues"
local luasocket = require "socket"
local faults = require "core.faults"
local json = require "core.json"
local refusal = require "core.refusal"
local router = require "core.router"

local service = {}

local SECRET_HEADERS = { authorization = true, cookie = true }

local function log_request(world, name, request, changes)
  local headers = {}
  for key, value in pairs(request.headers) do headers[key] = SECRET_HEADERS[key] and "(hidden)" or value end
  local body = json.null
  if request.body ~= "" then
    local decoded = json.decode(request.body)
    body = decoded == nil and request.body or decoded
  end
  world.log_count = world.log_count + 1
  local entry = {
    n = world.log_count, time = luasocket.gettime(), service = name, method = request.method, path = request.path,
    query = request.query, headers = headers, body = body, effect = changes, status = json.null, processed = false,
  }
  world.log[#world.log + 1] = entry
  return entry
end

local function decode_body(definition, request)
  if request.body == "" then
    if request.headers["content-type"] and request.method ~= "GET" then
      definition.refuse_body(400, "a Content-Type without a body")
    end
    return nil
  end
  if request.method == "GET" or request.method == "HEAD" then
    definition.refuse_body(400, "a " .. request.method .. " with a body")
  end
  local kind = (request.headers["content-type"] or ""):lower()
  if not kind:match("^application/json%s*$") and not kind:match("^application/json%s*;%s*charset=\"?utf%-8\"?%s*$") then
    definition.refuse_body(415, "the body must be application/json")
  end
  local decoded, why = json.decode(request.body)
  if decoded == nil then definition.refuse_body(400, "the body is not JSON: " .. why) end
  return decoded
end

local function encode(definition, body, response)
  local kind
  if definition.encode then
    response.body, kind = definition.encode(body)
  else
    response.body = json.encode(body)
  end
  response.headers["Content-Type"] = response.headers["Content-Type"] or kind
end

-- Runs in one go, without yielding: that is what makes a request atomic.
local function dispatch(definition, request, route, captures)
  definition.admit(request)
  if not route then
    if captures then
      refusal.raise(405, "method_not_allowed", "The method is not allowed here.", { headers = { Allow = captures } })
    end
    refusal.raise(404, "not_found", "The requested API endpoint was not found.")
  end
  if request.method == "POST" and not request.has_length then
    definition.refuse_body(411, "a POST needs Content-Length")
  end
  if not definition.raw then request.json = decode_body(definition, request) end
  request.params = router.query(request.query)
  local status, body, headers = route.handler(request, captures)
  local response = { status = status, headers = headers or {}, body = "" }
  if body ~= nil then encode(definition, body, response) end
  return response
end

local function run(definition, request, route, captures)
  local ok, response = pcall(dispatch, definition, request, route, captures)
  if not ok then
    local failure = response
    if not refusal.is(failure) then
      io.stderr:write("lab: ", tostring(failure), "\n")
      failure = { status = 500, id = "internal", message = tostring(failure), extra = {} }
    end
    response = { status = failure.status, headers = failure.extra.headers or {} }
    encode(definition, definition.error_body(failure), response)
  end
  if response.body ~= "" then
    response.headers["Content-Type"] = response.headers["Content-Type"] or "application/json"
  end
  if definition.decorate then definition.decorate(response) end
  return response
end

local function apply_fault(fault, response)
  if not fault or fault.action == "delay" or fault.action == "expire_token" then return response end
  if fault.action == "reset_before" or fault.action == "reset_after" then return { reset = true } end
  if fault.action == "hang" then return { hang = true } end
  if fault.action == "status" then return faults.response(fault) end
  if fault.action == "truncate" then
    response = response or { status = 200, headers = {}, body = "" }
    if #(response.body or "") < 2 then response.body = '{"message":"cut"}' end
    response.truncate = true
    return response
  end
  local text = type(fault.body) == "string" and fault.body or '{"id": "half'
  return { status = 200, headers = { ["Content-Type"] = "application/json" }, body = text }
end

-- definition: name, world, routes, admit(request), error_body(failure), refuse_body(status, why),
-- and where needed path(path), decorate(response), raw (bodies are left to the handlers), encode(body) → text, content type.
function service.handler(definition)
  local world, routes = definition.world, router.new(definition.routes)
  return function(request)
    local path = definition.path and definition.path(request.path) or request.path
    local route, captures = router.find(routes, request.method, path)
    local entry = log_request(world, definition.name, request, router.changes(route, request.method))
    local fault = faults.take(world, definition.name, request)
    entry.fault = fault and fault.action
    local pause = (world.options.service_time + (fault and fault.action == "delay" and fault.ms or 0)) / 1000
    if pause > 0 then cqueues.sleep(pause) end
    if fault and fault.action == "expire_token" then world.api_key = world.tokens[2] end
    local response
    if not fault or fault.process then
      response = run(definition, request, route, captures)
      entry.processed = response.status < 400
    end
    response = apply_fault(fault, response)
    entry.status = response.status or json.null
    return response
  end
end

return service
