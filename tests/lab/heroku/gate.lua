-- What stands before every Heroku handler: Accept, token, rate limit; and how an error is written.
local refusal = require "core.refusal"
local world_of = require "world"

local gate = {}

local V3, SDK = "application/vnd.heroku+json;version=3", "application/vnd.heroku+json;version=3.sdk"

local function check_accept(request)
  local accept = (request.headers.accept or ""):lower():gsub("%s", "")
  if accept == "" then
    refusal.raise(400, "bad_request", "An Accept header with the API version is required.")
  end
  if accept ~= V3 and accept ~= SDK then
    refusal.raise(406, "not_acceptable", "The Accept header must be application/vnd.heroku+json; version=3.")
  end
end

local function check_token(world, request)
  if request.headers.authorization ~= "Bearer " .. world.api_key then
    refusal.raise(401, "unauthorized", "Invalid credentials provided.")
  end
end

-- Refills the pool for the time that has passed.
local function refill(self)
  local options, now = self.world.options, world_of.now()
  self.tokens = math.min(options.rate_limit, self.tokens + (now - self.filled_at) * options.rate_refill_per_min / 60)
  self.filled_at = now
end

function gate.remaining(self)
  refill(self)
  return math.floor(self.tokens)
end

local function take_token(self, request)
  if request.path == "/account/rate-limits" then return end
  if gate.remaining(self) < 1 then
    local text = "Your account reached the API rate limit. Please wait a few minutes before making new requests."
    refusal.raise(429, "rate_limit", text, {
      url = "https://devcenter.heroku.com/articles/platform-api-reference#rate-limits",
    })
  end
  self.tokens = self.tokens - 1
end

function gate.admit(world, request)
  check_accept(request)
  check_token(world, request)
  take_token(world.heroku, request)
end

function gate.error_body(failure)
  local extra = failure.extra
  return {
    id = failure.id, message = failure.message, url = extra.url, resource = extra.resource,
    app = extra.app and { name = extra.app.name } or nil,
  }
end

function gate.refuse_body(status, why)
  refusal.raise(status, "bad_request", why)
end

function gate.decorate(world, response)
  response.headers["Request-Id"] = world_of.uuid()
  response.headers["RateLimit-Remaining"] = tostring(gate.remaining(world.heroku))
  response.headers["Cache-Control"] = "no-cache"
end

-- Checks a body against a schema; no schema means that there must be no body.
function gate.body(request, schema)
  if not schema then
    if request.body ~= "" then refusal.raise(400, "bad_request", "This call takes no body.") end
    return nil
  end
  if request.json == nil then refusal.raise(400, "bad_request", "A JSON body is required.") end
  local why = schema(request.json, "body")
  if why then refusal.raise(422, "invalid_params", why) end
  return request.json
end

-- Honoured with both variants of the Accept header: pg:info of CLI 10 sends it with the plain one.
function gate.inclusion(request)
  local wanted = request.headers["accept-inclusion"] or ""
  return { plan = wanted:find("addon:plan", 1, true) ~= nil, config_vars = wanted:find("config_vars", 1, true) ~= nil }
end

return gate
