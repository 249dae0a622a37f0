-- Requests to Heroku's two interfaces: the Platform API and the Data API. Headers, paging, warnings and the errors
-- every call may meet are handled here; the other modules only know paths.
local address = require "pgsh.heroku.address"
local credential = require "pgsh.heroku.credential"
local host = require "pgsh.host"
local http = require "pgsh.http"
local plain = require "pgsh.plain"

local Client = {}
Client.__index = Client

local V3 = "application/vnd.heroku+json; version=3"
local SDK = "application/vnd.heroku+json; version=3.sdk"

-- Lists end long before; a server that always names a next page must not keep us.
local PAGES = 100

-- A fresh UUID: Heroku support finds a request by it.
local function request_id()
  return (("xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"):gsub("[xy]", function(kind)
    return ("%x"):format(kind == "x" and math.random(0, 15) or math.random(8, 11))
  end))
end

-- Path segments come from parameters and from replies: nothing in them may become another path.
local function escape(segment)
  return (segment:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- "/apps/%s/dynos" with its segments escaped.
local function path_of(template, ...)
  local segments = { ... }
  for i, segment in ipairs(segments) do segments[i] = escape(segment) end
  return template:format(table.unpack(segments))
end

local function new_client(name)
  local self = setmetatable({ name = name, warned = {} }, Client)
  host.target("heroku", name, address.redirected())
  return self
end

-- The two handles, made at the first request (a checklist needs no credential) and again with a new credential.
local function connect(self)
  self.found = self.found or address.find()
  local credit = credential.get(self.found.netrc)
  if self.handles and self.handles.credit == credit then return self.handles end
  local function open(base)
    return http(base, {
      kind = "heroku", name = self.name, detail = self.found.redirected, auth = credit.header, netrc = false,
      headers = { Accept = V3, ["User-Agent"] = "pgsh/" .. host.version },
    })
  end
  self.handles = { platform = open(self.found.platform), data = open(self.found.data), credit = credit }
  return self.handles
end

-- Raises what makes any request impossible (address, credential), before the first one is needed.
function Client:check()
  return connect(self).credit.from
end

-- A second look at an error of the service: what it means and what helps.
local function explain(self, failure, credit)
  if type(failure) ~= "table" or failure.kind ~= "http" then return failure end
  local text = tostring(failure.message or "") .. "\n" .. tostring(failure.detail or "")
  if failure.status == 401 then
    return host.error("http", {
      message = ("Heroku does not accept the credential from %s"):format(credit.from), status = 401,
      target = "heroku " .. self.name, hint = "run `heroku login` or renew HEROKU_API_KEY, then retry",
    })
  elseif failure.status == 403 and text:find("two_factor", 1, true) then
    return host.error("http", {
      message = "Heroku asks for a second factor for this app, which an interactive login must give", status = 403,
      target = "heroku " .. self.name,
      hint = "use an authorization's token: heroku authorizations:create, then HEROKU_API_KEY",
    })
  end
  return failure
end

local function is_refused(failure)
  return type(failure) == "table" and failure.kind == "http" and failure.status == 401
end

-- call(handles); errors pass through explain. A credential that Heroku no longer takes is renewed, and the call made again: what was
-- refused for it was not done. A change takes the place of the refused one then.
local function guarded(self, is_change, call)
  while true do
    local handles = connect(self)
    local result = table.pack(pcall(call, handles))
    if result[1] then
      credential.accepted(handles.credit)
      return table.unpack(result, 2, result.n)
    end
    if not is_refused(result[2]) or not credential.renew(self.found.netrc, handles.credit) then
      error(explain(self, result[2], handles.credit), 0)
    end
    if is_change then host.again() end
  end
end

local function warn(self, headers)
  local text = headers["x-heroku-warning"] or headers["warning-message"]
  if not text or self.warned[text] then return end
  self.warned[text] = true
  host.emit("log", { level = "warn", text = ("Heroku warns about %s: %s"):format(self.name, text) })
end

local function headers_of(options)
  local headers = { ["Request-Id"] = request_id() }
  if options.sdk then headers.Accept = SDK end
  if options.inclusion then headers["Accept-Inclusion"] = options.inclusion end
  if options.expansion then headers["Accept-Expansion"] = options.expansion end
  if options.range then headers.Range = options.range end
  return headers
end

local function fetch(self, path, options)
  local value, response = guarded(self, false, function(handles)
    return handles[options.data and "data" or "platform"]:get_json(path, { headers = headers_of(options) })
  end)
  warn(self, response.headers)
  return plain.value(value), response.headers["next-range"]
end

-- options: sdk, inclusion, expansion, range, partial (one page is enough), data (the Data API).
function Client:get(path, options)
  options = options or {}
  local value, following = fetch(self, path, options)
  local pages = 1
  while following and not options.partial and type(value) == "table" do
    pages = pages + 1
    if pages > PAGES then
      error(host.error("limit", { message = ("GET %s does not end after %d pages"):format(path, PAGES) }), 0)
    end
    local more = setmetatable({ range = following }, { __index = options })
    local items
    items, following = fetch(self, path, more)
    table.move(items, 1, #items, #value + 1, value)
  end
  return value
end

function Client:get_data(path, options)
  options = options or {}
  options.data = true
  return self:get(path, options)
end

-- A change. options: what, json, resolve, idempotent, expect, data. Its result is journaled, and nothing of the reply is in it:
-- the replies of Heroku hold config vars.
function Client:change(method, path, options)
  return guarded(self, true, function(handles)
    local handle = handles[options.data and "data" or "platform"]
    return handle[method](handle, path, {
      json = options.json, what = options.what, resolve = options.resolve, idempotent = options.idempotent, expect = options.expect,
      headers = headers_of(options),
    })
  end)
end

-- Did the call fail in a way that says nothing about what was asked: the service is busy, restarts, or cannot be
-- reached?
local function passing(failure)
  if type(failure) ~= "table" or failure.kind ~= "http" then return false end
  local status = failure.status
  return not status or status == 0 or status == 429 or status >= 500
end

-- f(...), but a failure that will pass gives nil and its text instead: polls go on through a restart of the service.
local function survive(f, ...)
  local result = table.pack(pcall(f, ...))
  if result[1] then return table.unpack(result, 2, result.n) end
  if not passing(result[2]) then error(result[2], 0) end
  return nil, tostring(result[2].message or result[2])
end

return { new = new_client, path = path_of, survive = survive }
