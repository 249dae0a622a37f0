-- Requests to an AWS service with a Query interface: parameters of a form, answers in XML, signed by the http primitive. Reads are GET, so
-- that a plan makes them; changes are POST.
--
-- A session may end in the middle of a night's work. Then the credentials are looked for anew, and when there are others the request is
-- sent again: a request that is refused for its credentials did nothing.
local credentials = require "pgsh.aws.credentials"
local errors = require "pgsh.errors"
local host = require "pgsh.host"
local http = require "pgsh.http"
local env = require("pgsh.plain").env
local profile = require "pgsh.aws.profile"
local xml = require "pgsh.aws.xml"

local Client = {}
Client.__index = Client

-- Refusals that say "later": nothing was done.
local BUSY = {
  "<Code>Throttling</Code>", "<Code>ThrottlingException</Code>", "<Code>RequestLimitExceeded</Code>",
  "<Code>RequestThrottled</Code>", "<Code>TooManyRequestsException</Code>", "<Code>ResourceContention</Code>",
}
local TRIES, LIMIT = 8, "60s"

local EXPIRED = { ExpiredToken = true, ExpiredTokenException = true, RequestExpired = true }
local REFUSED = {
  InvalidClientTokenId = true, UnrecognizedClientException = true, AuthFailure = true, SignatureDoesNotMatch = true,
  MissingAuthenticationToken = true, IncompleteSignature = true, InvalidAccessKeyId = true,
}

-- Where the service is -----------------------------------------------------------------------------------------------------------

---The redirected address of a service ("autoscaling": AWS_ENDPOINT_URL_AUTO_SCALING); nil when there is none.
local function redirected(service)
  return env("AWS_ENDPOINT_URL_" .. service.variable) or env "AWS_ENDPOINT_URL"
end

local LOOPBACK = { localhost = true, ["127.0.0.1"] = true, ["[::1]"] = true }

-- A signature and a session token are for the service, and for nobody on the way.
local function endpoint(service, region)
  local given = redirected(service)
  if not given then
    local domain = region:match "^cn%-" and "amazonaws.com.cn" or "amazonaws.com"
    return ("https://%s.%s.%s"):format(service.name, region, domain)
  end
  local scheme, name = given:match "^(%a+)://([^/:]+)"
  if given:match "^http://%[" then name = given:match "^http://(%[[^%]]*%])" end
  if not scheme or (scheme ~= "https" and scheme ~= "http") then
    errors.raise("usage", "AWS_ENDPOINT_URL: %s is no address", given)
  end
  if scheme == "http" and not LOOPBACK[name] then
    errors.raise("refused", "AWS_ENDPOINT_URL: %s is not https: the session token would go there in the clear", given)
  end
  return given
end

local function region_of(self)
  if self.region then return self.region end
  local read = profile.read(self.profile)
  local region = env "AWS_REGION" or env "AWS_DEFAULT_REGION" or (read.config or {}).region
    or (read.credentials or {}).region
  if not region then
    errors.raise("usage", {
      message = ("no AWS region is given, and profile %s has none"):format(read.name), hint = "set AWS_REGION, or region in the profile",
    })
  end
  if not region:match "^[%w-]+$" then errors.raise("usage", "%q is no AWS region", region) end
  return region
end

-- Requests -----------------------------------------------------------------------------------------------------------------------

-- One account a profile: its credentials are looked for once, and forgotten for all when they have expired.
local accounts = {}

local function found_for(self)
  local account = self.account
  if account.found and credentials.ends_soon(account.found) then account.found = nil end
  account.found = account.found or credentials.find(self.profile)
  return account.found
end

-- The handle for the credentials as they are now, and these.
local function connect(self)
  local found = found_for(self)
  if self.handle and self.made_with == found then return self.handle, found end
  local region = region_of(self)
  self.handle = http(endpoint(self.service, region), {
    kind = self.service.name, name = self.name, detail = redirected(self.service), netrc = false, retry = TRIES, busy = BUSY,
    timeout = LIMIT,
    sigv4 = { region = region, service = self.service.name, key = found.key, secret = found.secret, token = found.token },
  })
  self.made_with = found
  return self.handle, found
end

local function code_of(failure)
  if type(failure) ~= "table" or failure.kind ~= "http" then return nil end
  return tostring(failure.message):match "^(%u%w+)"
end

-- The same error with what helps.
local function explained(self, failure)
  local code, from = code_of(failure), self.account.found and self.account.found.from or "?"
  local hint
  if EXPIRED[code] then
    hint = ("the credentials come from %s, and there are no newer ones: renew them (aws sso login), then retry"):format(from)
    if from == "the environment" then
      hint = "the credentials are in the environment: stop, set newer ones there, then pgsh resume"
    end
    self.account.found = nil
  elseif code == "SignatureDoesNotMatch" and (failure.message:find "Signature expired" or failure.message:find "Signature not yet") then
    hint = "is the clock of this machine right?"
  elseif REFUSED[code] then
    hint = ("the credentials come from %s"):format(from)
    self.account.found = nil
  end
  if not code then return failure end
  -- Code and message are in the text already; of the XML only what AWS's support asks for is left.
  local request = tostring(failure.detail or ""):match "<RequestI[dD]>([%w-]+)</RequestI[dD]>"
  return host.error("http", {
    message = failure.message, status = failure.status, target = failure.target, detail = request and "request " .. request,
    hint = hint or failure.hint,
  })
end

-- f(handle); once more with other credentials when these have expired. A change then takes the place of the one that was refused.
local function guarded(self, f, changes)
  local handle, used = connect(self)
  local ok, result = pcall(f, handle)
  if ok then return result end
  if EXPIRED[code_of(result)] then
    -- Somebody else of this account may have found newer ones meanwhile: the look for a change whose answer was lost, say.
    if self.account.found and credentials.same(used, self.account.found) then self.account.found = nil end
    local newer = found_for(self)
    if not credentials.same(used, newer) then
      local text = ("the AWS session has expired; going on with other credentials from %s"):format(newer.from)
      host.emit("log", { level = "warn", text = text })
      if changes and host.mode() == "real" then host.again() end
      ok, result = pcall(f, (connect(self)))
      if ok then return result end
    end
  end
  error(explained(self, result), 0)
end

local function parameters(self, action, values)
  local all = { Action = action, Version = self.service.version }
  for name, value in pairs(values) do
    if type(value) == "table" then
      for i, item in ipairs(value) do all[("%s.member.%d"):format(name, i)] = item end
    else
      all[name] = value
    end
  end
  return all
end

---A read: the element ACTIONResult of the answer.
---@param action string
---@param values table              # a list becomes NAME.member.1 …
---@return table
function Client:read(action, values)
  local query = parameters(self, action, values)
  local reply = guarded(self, function(handle) return handle:get("/", { query = query, decode = "text" }) end)
  local root, why = xml.parse(reply.body)
  local result = root and xml.find(root, action .. "Result")
  if not result then
    errors.raise("http", {
      message = ("%s: an answer that is none of %s: %s"):format(action, self.service.name, why or "no " .. action .. "Result"),
      target = ("%s %s"):format(self.service.name, self.name), status = reply.status,
    })
  end
  return result
end

---A change that may be made twice. options: what, resolve.
---@param action string
---@param values table
---@param options table
---@return pgsh.HttpResult
function Client:change(action, values, options)
  local body = http.encode(parameters(self, action, values))
  return guarded(self, function(handle)
    return handle:post("/", {
      body = body, headers = { ["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8" }, idempotent = true,
      what = options.what, resolve = options.resolve,
    })
  end, true)
end

---Raises what makes any request impossible: no credentials, no region. Where the credentials come from, and the region.
---@return string, string
function Client:check()
  connect(self)
  return self.account.found.from, region_of(self)
end

---@param service {name: string, version: string, variable: string}
---@param name string               # of the target
---@param options {region: string?, profile: string?}
local function new(service, name, options)
  local key = options.profile or ""
  accounts[key] = accounts[key] or {}
  host.target(service.name, name, redirected(service))
  return setmetatable({
    service = service, name = name, region = options.region, profile = options.profile, account = accounts[key],
  }, Client)
end

return { new = new, code_of = code_of }
