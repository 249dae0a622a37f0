-- cloudflare: the routes of a zone by which Workers answer for it.
--
-- The service knows no idempotency key, but no two routes of a zone have the same pattern: when the answer to a creation is lost, the
-- zone's list says by the pattern whether the route is there.
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local http = require "pgsh.http"
local json = require "pgsh.json"
local settle = require "pgsh.settle"
local token_api = require "pgsh.token_api"
local unknown = require "pgsh.unknown"

local cloudflare = {}

local Zone = {}
Zone.__index = Zone
Zone.__name = "cloudflare.zone"

local SERVICE = {
  title = "Cloudflare", kind = "cloudflare", address = "https://api.cloudflare.com/client/v4", redirect = "PGSH_CLOUDFLARE_URL",
  variable = "CLOUDFLARE_API_TOKEN", scheme = "Bearer",
  hint = "a token with the permissions Zone Read and Workers Routes Write, made under API Tokens of the user's profile",
}

-- What the service's numbers mean to an operator; its own words are shown beside them.
local HINTS = {
  [7003] = "the zone's id is wrong", [9109] = "CLOUDFLARE_API_TOKEN is not valid",
  [10000] = "CLOUDFLARE_API_TOKEN is not valid here, or lacks the permission Workers Routes Write; or the id is no zone's",
  [10019] = "deploy the Worker first: a route leads to one that exists", [10020] = "another route has this pattern",
  [10022] = "a pattern holds the zone's name, * only at the beginning of the host or the end of the path, and no query",
  [10023] = "the token needs the permission Workers Routes Write",
}

function Zone:__tostring() return "cloudflare " .. self.name end

local function connect(self) return token_api.connect(self, SERVICE, self.name) end

-- Every answer is an envelope, those that refuse too: what it says is taken out of it.
local function explain(problem)
  if type(problem) ~= "table" or problem.kind ~= "http" or not problem.detail then return problem end
  local ok, envelope = pcall(json.decode, problem.detail)
  local first = ok and type(envelope) == "table" and type(envelope.errors) == "table" and envelope.errors[1]
  if type(first) ~= "table" then return problem end
  problem.hint = HINTS[first.code] or problem.hint
  return problem
end

local function call(self, method, ...)
  local handle = connect(self)
  local ok, result, more = pcall(handle[method], handle, ...)
  if not ok then error(explain(result), 0) end
  return result, more
end

-- The result of a read.
local function fetch(self, path, query)
  local envelope = call(self, "get_json", path, { query = query })
  if type(envelope) ~= "table" or envelope.success ~= true then
    error(host.error("http", { message = ("%s: GET %s: this is no answer of Cloudflare's"):format(tostring(self), path) }), 0)
  end
  return envelope.result
end

local function is_id(name) return #name == 32 and name:match "^%x+$" ~= nil end

---The zone's id: what was given, or looked up by the name, once.
function Zone:id()
  if self.zone_id then return self.zone_id end
  local found = {}
  for _, zone in ipairs(fetch(self, "/zones", { name = self.name })) do
    if zone.name == self.name then found[#found + 1] = zone end
  end
  if #found == 0 then
    error(host.error("refused", {
      message = ("Cloudflare knows no zone %s, or the token may not see it"):format(self.name),
      hint = "the token needs the permission Zone Read",
    }), 0)
  end
  if #found > 1 then
    error(host.error("refused", {
      message = ("%d accounts have a zone %s"):format(#found, self.name), hint = "give the zone's id instead of its name",
    }), 0)
  end
  self.zone_id = found[1].id
  return self.zone_id
end

local function routes_path(self, id)
  return ("/zones/%s/workers/routes%s"):format(self:id(), id and "/" .. http.encode(tostring(id)) or "")
end

local function plain(route)
  return { id = route.id, pattern = route.pattern, script = route.script ~= json.null and route.script or nil }
end

-- All routes: id, pattern, script (nil: no Worker answers there).
function Zone:routes()
  local out = {}
  for i, route in ipairs(fetch(self, routes_path(self))) do out[i] = plain(route) end
  return out
end

-- Raises what would make the first change fail: no credential, one that may not read the routes, no such zone.
function Zone:check() self:routes() end

-- The route with that pattern; nil when there is none.
function Zone:find(pattern)
  for _, route in ipairs(self:routes()) do
    if route.pattern == pattern then return route end
  end
  return nil
end

-- Change: a route. The result's json.id is its id.
function Zone:create(given)
  for key in pairs(given) do
    if key ~= "pattern" and key ~= "script" then errors.usage("cloudflare create: unknown option %s", tostring(key)) end
  end
  local pattern, script = given.pattern, given.script
  if type(pattern) ~= "string" or pattern == "" then errors.usage "cloudflare create: pattern is missing" end
  if script ~= nil and (type(script) ~= "string" or script == "") then errors.usage "cloudflare create: script is the name of a Worker" end
  return call(self, "post", routes_path(self), {
    json = { pattern = pattern, script = script }, pick = { "result.id" },
    what = ("route %s → %s"):format(pattern, script or "no Worker"),
    resolve = function()
      local happened, route = settle.look(self.settle, function()
        local there = self:find(pattern)
        return there and there.script == script and there or nil
      end)
      return happened, happened and { status = 200, json = { result = { id = route.id } } } or nil
    end,
  })
end

-- Change: remove a route by its id. One that is gone already is no error.
function Zone:delete(id)
  if not unknown.is(id) and (type(id) ~= "string" or id == "") then errors.usage "cloudflare delete: which route? its id" end
  return call(self, "delete", routes_path(self, id), {
    expect = { 200, 404 }, what = ("remove the route %s"):format(unknown.is(id) and unknown.text(id) or id),
  })
end

local OPTIONS = { settle = true }

-- A zone by its name or id. Named as a target at once; nothing is asked before the first use. options: settle ("20s": how long the zone
-- is asked for a change whose answer was lost).
function cloudflare.zone(name, options)
  if type(name) ~= "string" or not name:match "^[%w.-]+$" then
    errors.usage("cloudflare.zone: %s is no zone's name or id", tostring(name))
  end
  options = options or {}
  for key in pairs(options) do
    if not OPTIONS[key] then errors.usage("cloudflare.zone: unknown option %s", tostring(key)) end
  end
  name = name:lower()
  host.target("cloudflare", name, token_api.redirected(SERVICE))
  return setmetatable({ name = name, zone_id = is_id(name) and name or nil, settle = options.settle }, Zone)
end

return cloudflare
