-- The lab of AWS: EC2 Auto Scaling on loopback. Prints one line of JSON when it is ready, serves until stdin ends or a signal comes.
--   lua5.4 tests/lab/aws/lab.lua
-- Its own interface:
--   GET /_lab/log[?effect=1], DELETE /_lab/log, GET /_lab/state, POST /_lab/reset, GET, POST /_lab/options (below), GET, POST, DELETE
--   /_lab/faults (core/faults.lua; path matches "/ACTION"), POST /_lab/group {name, action}, POST /_lab/credential {key, expired}
package.path = (arg[0]:match "^(.*)/[^/]*/[^/]*$" or "..") .. "/?.lua;" .. package.path

local autoscaling = require "aws.autoscaling"
local check = require "core.check"
local faults = require "core.faults"
local http = require "core.http"
local json = require "core.json"
local refusal = require "core.refusal"
local router = require "core.router"
local main = require "core.main"
local service = require "core.service"
local luasocket = require "socket"

local DEFAULTS = {
  service_time = 0,     -- latency of every request, ms
  page_size = 100,      -- groups on a page, however many are asked for
  rate_burst = 100,     -- the account's bucket of requests
  rate_per_s = 20,      -- and how it is filled again
  clock_ahead_s = 0,    -- how far the service's clock is ahead of ours (negative: behind)
}

local KINDS = {}
for name in pairs(DEFAULTS) do KINDS[name] = check.integer end
local OPTIONS = check.record(KINDS)
local GROUP = check.record({ name = check.filled, action = check.one_of { "add", "remove" } }, { "name", "action" })
local CREDENTIAL = check.record({ key = check.filled, expired = check.boolean }, { "key", "expired" })

local function random(alphabet, length)
  local out = {}
  for i = 1, length do
    local at = math.random(#alphabet)
    out[i] = alphabet:sub(at, at)
  end
  return table.concat(out)
end

local UPPER, ANY = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

-- A session: its token holds characters that must be encoded and signed as they are.
local function session()
  return { key = "ASIA" .. random(UPPER, 16), secret = random(ANY .. "+/", 40), token = random(ANY .. "+/", 200) .. "==" }
end

local world = {
  aws = session(), second = nil, generation = 0,
  now = luasocket.gettime,
  uuid = function() return random("0123456789abcdef", 32) end,
}
world.aws.second = session()
world.aws.static = { key = "AKIA" .. random(UPPER, 16), secret = random(ANY, 40) }

local function build()
  world.options, world.log, world.log_count, world.faults, world.served = {}, {}, 0, {}, 0
  for name, value in pairs(DEFAULTS) do world.options[name] = value end
  world.bucket = { tokens = DEFAULTS.rate_burst, at = world.now() }
  world.autoscaling = autoscaling.new(world)
end

local function body_of(request, schema)
  local decoded, why = json.decode(request.body)
  if decoded == nil then refusal.raise(400, "bad_request", "the body is not JSON: " .. why) end
  why = schema and schema(decoded, "body")
  if why then refusal.raise(422, "invalid_params", why) end
  return decoded
end

local OK = { ok = true }

local ROUTES = router.new {
  { "GET", "/_lab/log", function(request)
    local params, out = router.query(request.query), json.array()
    for _, entry in ipairs(world.log) do
      if not params.effect or entry.effect then out[#out + 1] = entry end
    end
    return out
  end },
  { "DELETE", "/_lab/log", function() world.log = {} return OK end },
  { "GET", "/_lab/state", function() return { groups = autoscaling.state(world.autoscaling), served = world.served } end },
  { "POST", "/_lab/reset", function() build() return OK end },
  { "GET", "/_lab/options", function() return world.options end },
  { "POST", "/_lab/options", function(request)
    for name, value in pairs(body_of(request, OPTIONS)) do world.options[name] = value end
    world.bucket.tokens = world.options.rate_burst
    return world.options
  end },
  { "GET", "/_lab/faults", function() return json.array(world.faults) end },
  { "POST", "/_lab/faults", function(request) faults.add(world, body_of(request)) return json.array(world.faults) end },
  { "DELETE", "/_lab/faults", function() world.faults = {} return json.array() end },
  { "POST", "/_lab/group", function(request)
    local given = body_of(request, GROUP)
    autoscaling[given.action](world.autoscaling, given.name)
    return OK
  end },
  { "POST", "/_lab/credential", function(request)
    local given = body_of(request, CREDENTIAL)
    local known = world.autoscaling.credentials[given.key]
    if not known then refusal.raise(404, "not_found", "no such key") end
    known.expired = given.expired
    return OK
  end },
}

local function control(request)
  local route, captures = router.find(ROUTES, request.method, request.path)
  local status = 200
  local ok, body = pcall(function()
    if not route then refusal.raise(404, "not_found", "no such control call") end
    return route.handler(request, captures)
  end)
  if not ok then
    local failure = refusal.is(body) and body or { status = 500, id = "internal", message = tostring(body) }
    status, body = failure.status, { id = failure.id, message = failure.message }
  end
  return { status = status, headers = { ["Content-Type"] = "application/json" }, body = json.encode(body) }
end

local function start(queue)
  build()
  local simulator = http.listen(queue, autoscaling.front(service.handler(autoscaling.definition(world))))
  local ours = http.listen(queue, control)
  local function url(port) return "http://127.0.0.1:" .. port end
  io.stdout:write(json.encode {
    control = url(ours), url = url(simulator), region = autoscaling.REGION, groups = json.array { table.unpack(autoscaling.GROUPS) },
    second = world.aws.second, static = world.aws.static,
    env = {
      AWS_ENDPOINT_URL = url(simulator), AWS_REGION = autoscaling.REGION, AWS_ACCESS_KEY_ID = world.aws.key,
      AWS_SECRET_ACCESS_KEY = world.aws.secret, AWS_SESSION_TOKEN = world.aws.token,
    },
  }, "\n")
  io.stdout:flush()
end

main { start = start }
