-- Faults on demand: a list, consumed in order by the requests that match.
local check = require "core.check"
local json = require "core.json"
local refusal = require "core.refusal"

local faults = {}

-- Whether the request is processed before the fault shows, unless the fault says otherwise.
local PROCESSED = {
  status = false, reset_before = false, hang = false,
  reset_after = true, delay = true, garbage = true, truncate = true, expire_token = true,
}

local ACTIONS = {}
for action in pairs(PROCESSED) do ACTIONS[#ACTIONS + 1] = action end
table.sort(ACTIONS)

local SCHEMA = check.list(check.record({
  service = check.one_of { "heroku", "statuspage", "slack", "aws", "cloudflare", "linode" }, method = check.filled, path = check.string,
  times = check.natural, skip = check.natural, action = check.one_of(ACTIONS), process = check.boolean,
  code = check.natural, headers = check.map(check.string, check.string), body = check.any, ms = check.natural,
}, { "action" }))

local function validate(list)
  local why = SCHEMA(list, "faults")
  if why then refusal.raise(422, "invalid_params", why) end
  for _, fault in ipairs(list) do
    if fault.action == "status" and not fault.code then
      refusal.raise(422, "invalid_params", "a status fault needs code")
    elseif fault.path and not pcall(string.find, "", fault.path) then
      refusal.raise(422, "invalid_params", "path is not a Lua pattern: " .. fault.path)
    end
  end
end

-- expire_token: from this request on Heroku takes another token than before (lab.env and lab.spare_token name both).

-- Adds the faults of a decoded body to the world's list.
function faults.add(world, list)
  validate(list)
  for _, given in ipairs(list) do
    local fault = {}
    for key, value in pairs(given) do fault[key] = value end
    fault.times = given.times or 1
    fault.skip = given.skip or 0
    if fault.process == nil then fault.process = PROCESSED[given.action] end
    world.faults[#world.faults + 1] = fault
  end
end

local function matches(fault, service, request)
  return fault.times > 0 and (not fault.service or fault.service == service)
    and (not fault.method or fault.method == request.method)
    and (not fault.path or request.path:find(fault.path) ~= nil)
end

-- The fault for this request, if any; used up by being returned.
function faults.take(world, service, request)
  for i, fault in ipairs(world.faults) do
    if matches(fault, service, request) then
      if fault.skip > 0 then
        fault.skip = fault.skip - 1
      else
        fault.times = fault.times - 1
        if fault.times == 0 then table.remove(world.faults, i) end
        return fault
      end
    end
  end
end

-- The answer of a fault of action "status".
function faults.response(fault)
  local headers, body = { ["Content-Type"] = "application/json" }, fault.body
  for name, value in pairs(fault.headers or {}) do headers[name] = value end
  if type(body) ~= "string" then
    body = json.encode(body or { id = "lab_fault", message = "fault on demand" })
  end
  return { status = fault.code, headers = headers, body = body }
end

return faults
