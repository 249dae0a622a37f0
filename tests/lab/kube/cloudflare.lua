-- Cloudflare's API v4 as far as the routes of Workers go, as strict as the service: its envelope, its numbers, one route a pattern.
local check = require "core.check"
local json = require "core.json"
local refusal = require "core.refusal"

local cloudflare = {}

cloudflare.ZONE = "pythondiscord.com"
cloudflare.WORKERS = { maintenance = true, redirects = true }

local BODY = check.record({ pattern = check.filled, script = check.nullable(check.string) }, { "pattern" })
local PREFIX = "/client/v4"

local function hex(length)
  local out = {}
  for i = 1, length do out[i] = ("%x"):format(math.random(0, 15)) end
  return table.concat(out)
end

-- world needs options (cloudflare_*, see kube/clouds.lua), now() and cloudflare_token.
function cloudflare.new(world)
  local zone = { id = hex(32), name = cloudflare.ZONE, status = "active", routes = {} }
  local other = { id = hex(32), name = "pydis.wtf", status = "active", routes = {} }
  zone.routes = {
    { id = hex(32), pattern = "pythondiscord.com/redirects/*", script = "redirects" },
    { id = hex(32), pattern = "pythondiscord.com/static/*" },
  }
  return { world = world, zones = { zone, other }, requests = {} }
end

local function refuse(status, code, message, headers)
  refusal.raise(status, code, message, { headers = headers })
end

local function envelope(result, info)
  return { success = true, errors = json.array(), messages = json.array(), result = result, result_info = info }
end

-- ---- who may, and how often ----

local function check_token(world, request)
  local header = request.headers.authorization
  if not header then refuse(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers") end
  if not header:match "^Bearer [%w_-]+$" then refuse(400, 6003, "Invalid request headers") end
  if header ~= "Bearer " .. world.cloudflare_token then refuse(403, 9109, "Invalid access token") end
end

local function take_slot(self)
  local options, now = self.world.options, self.world.now()
  local limit, window = options.cloudflare_limit, options.cloudflare_window_s
  while self.requests[1] and self.requests[1] <= now - window do table.remove(self.requests, 1) end
  if #self.requests >= limit then
    local seconds = self.requests[1] and math.max(1, math.ceil(self.requests[1] + window - now)) or window
    refuse(429, 971, "Please wait and consider throttling your request speed", {
      ["retry-after"] = tostring(seconds), Ratelimit = ('"default";r=0;t=%d'):format(seconds),
      ["Ratelimit-Policy"] = ('"default";q=%d;w=%d'):format(limit, window),
    })
  end
  self.requests[#self.requests + 1] = now
end

-- ---- zones and routes ----

local function zone_of(self, captures, path)
  if not captures.zone:match "^%x+$" or #captures.zone ~= 32 then
    refuse(400, 7003, ("Could not route to %s, perhaps your object identifier is invalid?"):format(path))
  end
  for _, zone in ipairs(self.zones) do
    if zone.id == captures.zone then return zone end
  end
  refuse(403, 10000, "Authentication error")
end

local function may_write(self)
  if self.world.options.cloudflare_read_only then refuse(403, 10000, "Authentication error") end
end

local function route_view(route)
  return { id = route.id, pattern = route.pattern, script = route.script }
end

local function find(zone, id)
  for i, route in ipairs(zone.routes) do
    if route.id == id then return route, i end
  end
  refuse(404, 10005, "workers.api.error.not_found")
end

-- A pattern: [http[s]://]HOST/PATH, * only at the beginning of the host and at the end of the path.
local function check_pattern(zone, pattern)
  if pattern:find("?", 1, true) then refuse(400, 10022, "Route pattern cannot contain a query string") end
  local host, path = pattern:gsub("^https?://", ""):match "^([^/]*)(.*)$"
  local plain = host:gsub("^%*%.?", "")
  if plain:find("*", 1, true) or path:gsub("%*$", ""):find("*", 1, true) then
    refuse(400, 10022, "Route pattern may only contain wildcards at the beginning of the hostname and the end of the path")
  end
  if plain ~= zone.name and plain:sub(-#zone.name - 1) ~= "." .. zone.name then
    refuse(400, 10022, "Route pattern must include zone name: " .. zone.name)
  end
end

local function body_of(request)
  if request.json == nil or BODY(request.json, "body") then refuse(400, 10026, "workers.api.error.unable_to_parse_body") end
  local given = request.json
  if given.script == json.null or given.script == "" then given.script = nil end
  return given
end

local function check_route(zone, given, except)
  check_pattern(zone, given.pattern)
  if given.script and not cloudflare.WORKERS[given.script] then
    refuse(400, 10019, "workers.api.error.script_not_found")
  end
  for _, route in ipairs(zone.routes) do
    if route.pattern == given.pattern and route ~= except then refuse(409, 10020, "workers.api.error.duplicate_route") end
  end
end

local function create(self, zone, request)
  may_write(self)
  local given = body_of(request)
  check_route(zone, given)
  local route = { id = hex(32), pattern = given.pattern, script = given.script }
  table.insert(zone.routes, route)
  return 200, envelope(route_view(route))
end

local function update(self, zone, request, captures)
  may_write(self)
  local route = find(zone, captures.id)
  local given = body_of(request)
  check_route(zone, given, route)
  route.pattern, route.script = given.pattern, given.script
  return 200, envelope(route_view(route))
end

local function remove(self, zone, _, captures)
  may_write(self)
  local route, at = find(zone, captures.id)
  table.remove(zone.routes, at)
  return 200, envelope { id = route.id }
end

local function list_zones(self, request)
  local out, params = json.array(), request.params
  local page, size = math.tointeger(tonumber(params.page or 1)), math.tointeger(tonumber(params.per_page or 20))
  if not page or page < 1 or not size or size < 5 or size > 50 then refuse(400, 1068, "Invalid paging parameters") end
  for _, zone in ipairs(self.zones) do
    if not params.name or zone.name == params.name then out[#out + 1] = { id = zone.id, name = zone.name, status = zone.status } end
  end
  local total = #out
  local shown = table.move(out, (page - 1) * size + 1, math.min(page * size, total), 1, json.array())
  return 200, envelope(shown, {
    page = page, per_page = size, count = #shown, total_count = total, total_pages = math.max(1, math.ceil(total / size)),
  })
end

local function list_routes(_, zone)
  local out = json.array()
  for i, route in ipairs(zone.routes) do out[i] = route_view(route) end
  return 200, envelope(out)
end

-- The definition for core.service.
function cloudflare.definition(world)
  local function self() return world.cloudflare end
  local function on(handler)
    return function(request, captures) return handler(self(), zone_of(self(), captures, request.path), request, captures) end
  end
  local routes = PREFIX .. "/zones/:zone/workers/routes"
  return {
    name = "cloudflare", world = world,
    routes = {
      { "GET", PREFIX .. "/zones", function(request) return list_zones(self(), request) end },
      { "GET", routes, on(list_routes) },
      { "POST", routes, on(create) },
      { "GET", routes .. "/:id", on(function(_, zone, _, captures) return 200, envelope(route_view((find(zone, captures.id)))) end) },
      { "PUT", routes .. "/:id", on(update) },
      { "DELETE", routes .. "/:id", on(remove) },
    },
    admit = function(request)
      check_token(world, request)
      take_slot(self())
    end,
    error_body = function(failure)
      local code = math.type(failure.id) == "integer" and failure.id or 7000
      local message = failure.id == "not_found" and "No route for that URI" or failure.message
      return {
        success = false, errors = json.array { { code = code, message = message } }, messages = json.array(), result = json.null,
      }
    end,
    refuse_body = function(_, why) refuse(400, 10026, "workers.api.error.unable_to_parse_body: " .. why) end,
  }
end

-- For specs: the zone's routes, pattern → script ("" for none).
function cloudflare.state(world)
  local out = {}
  for _, zone in ipairs(world.cloudflare.zones) do
    local routes = json.array()
    for i, route in ipairs(zone.routes) do routes[i] = route_view(route) end
    out[zone.name] = { id = zone.id, routes = routes }
  end
  return out
end

return cloudflare
