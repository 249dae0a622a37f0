-- Signature Version 4, as the service verifies it: everything is computed from the request as it came and from the secret that is on file.
-- Facts: docs "Signature Version 4 signing process"; errors are those of the Query services.
local digest = require "openssl.digest"
local hmac = require "openssl.hmac"
local refusal = require "core.refusal"

local signature = {}

local SKEW_S = 300

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function sha256(text) return hex(digest.new("sha256"):final(text)) end
local function sign(key, text) return hmac.new(key, "sha256"):final(text) end

local function refuse(status, code, text) refusal.raise(status, code, text) end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(two) return string.char(tonumber(two, 16)) end))
end

local function escape(text)
  return (text:gsub("[^%w%-_.~]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- The query in canonical form: decoded, encoded anew, sorted by name and value.
local function canonical_query(query)
  local pairs_of = {}
  for pair in query:gmatch "[^&]+" do
    local name, value = pair:match "^([^=]*)=?(.*)$"
    pairs_of[#pairs_of + 1] = { escape(unescape(name)), escape(unescape(value)) }
  end
  table.sort(pairs_of, function(a, b)
    if a[1] ~= b[1] then return a[1] < b[1] end
    return a[2] < b[2]
  end)
  for i, pair in ipairs(pairs_of) do pairs_of[i] = pair[1] .. "=" .. pair[2] end
  return table.concat(pairs_of, "&")
end

local function canonical_headers(request, signed)
  local lines, last = {}, ""
  for name in signed:gmatch "[^;]+" do
    local value = request.headers[name]
    if name <= last or name ~= name:lower() then
      refuse(400, "IncompleteSignature", "SignedHeaders must be in lower case and sorted: " .. signed)
    end
    if not value then refuse(403, "SignatureDoesNotMatch", "a signed header is not in the request: " .. name) end
    lines[#lines + 1] = name .. ":" .. value:gsub("%s+", " ") .. "\n"
    last = name
  end
  return table.concat(lines)
end

local MUST = { "host", "x-amz-date" }

-- Whatever decides what is done must be signed: the host, the date, the type of the body, every x-amz- header.
local function check_signed(request, signed)
  local set = {}
  for name in signed:gmatch "[^;]+" do set[name] = true end
  for _, name in ipairs(MUST) do
    if not set[name] then refuse(403, "SignatureDoesNotMatch", ("'%s' must be a signed header"):format(name)) end
  end
  for name in pairs(request.headers) do
    if name:match "^x%-amz%-" and not set[name] then
      refuse(403, "SignatureDoesNotMatch", ("'%s' must be a signed header"):format(name))
    end
  end
end

local function seconds_of(stamp)
  local year, month, day, hour, minute, second = stamp:match "^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)Z$"
  if not year then return nil end
  local as_local = os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false }
  local utc = os.time(os.date("!*t", as_local))
  return as_local + (as_local - utc)
end

local function stamp_of(seconds) return os.date("!%Y%m%dT%H%M%SZ", math.floor(seconds)) end

local function check_date(stamp, day, now)
  local seconds = seconds_of(stamp or "")
  if not seconds then refuse(400, "IncompleteSignature", "Date must be in ISO-8601 'basic format'. Got '" .. tostring(stamp) .. "'.") end
  if stamp:sub(1, 8) ~= day then
    refuse(403, "SignatureDoesNotMatch", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
      .. ("'%s' != '%s', from '%s'."):format(day, stamp:sub(1, 8), stamp))
  end
  if seconds < now - SKEW_S then
    refuse(403, "SignatureDoesNotMatch", ("Signature expired: %s is now earlier than %s (%s - 5 min.)")
      :format(stamp, stamp_of(now - SKEW_S), stamp_of(now)))
  elseif seconds > now + SKEW_S then
    refuse(403, "SignatureDoesNotMatch", ("Signature not yet current: %s is still later than %s (%s + 5 min.)")
      :format(stamp, stamp_of(now + SKEW_S), stamp_of(now)))
  end
end

-- Credential=…, SignedHeaders=…, Signature=…, with or without spaces between.
local function parse(header)
  local fields = header:match "^AWS4%-HMAC%-SHA256%s+(.*)$"
  if not fields then refuse(400, "IncompleteSignature", "Authorization header requires 'AWS4-HMAC-SHA256'.") end
  local out = {}
  for name, value in fields:gmatch "(%a+)=([^,%s]*)" do out[name] = value end
  for _, name in ipairs { "Credential", "Signature", "SignedHeaders" } do
    if not out[name] or out[name] == "" then
      refuse(400, "IncompleteSignature", ("Authorization header requires '%s' parameter."):format(name))
    end
  end
  return out
end

---Who asks? Raises the service's refusal. given: find(key) → { secret, token?, expired? }, region, service, now.
---@return string key
function signature.verify(request, given)
  local header = request.headers.authorization
  if not header then refuse(403, "MissingAuthenticationToken", "Request is missing Authentication Token") end
  local fields = parse(header)
  local key, day, region, service, ending = fields.Credential:match "^([^/]+)/(%d+)/([^/]+)/([^/]+)/([^/]+)$"
  if not key or ending ~= "aws4_request" then
    refuse(400, "IncompleteSignature", "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"
      .. fields.Credential .. "'")
  end
  local stamp = request.headers["x-amz-date"]
  check_date(stamp, day, given.now)
  if region ~= given.region then
    refuse(403, "SignatureDoesNotMatch", ("Credential should be scoped to a valid region, not '%s'. "):format(region))
  elseif service ~= given.service then
    refuse(403, "SignatureDoesNotMatch", ("Credential should be scoped to correct service: '%s'. "):format(given.service))
  end
  local known = given.find(key)
  if not known or request.headers["x-amz-security-token"] ~= known.token then
    refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
  end
  check_signed(request, fields.SignedHeaders)
  local canonical = table.concat({
    request.method, request.target, canonical_query(request.query), canonical_headers(request, fields.SignedHeaders),
    fields.SignedHeaders, sha256(request.body),
  }, "\n")
  local scope = table.concat({ day, region, service, ending }, "/")
  local to_sign = table.concat({ "AWS4-HMAC-SHA256", stamp, scope, sha256(canonical) }, "\n")
  local derived = "AWS4" .. known.secret
  for _, part in ipairs { day, region, service, ending } do derived = sign(derived, part) end
  if hex(sign(derived, to_sign)) ~= fields.Signature then
    refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your AWS "
      .. "Secret Access Key and signing method. Consult the service documentation for details.")
  end
  if known.expired then refuse(403, "ExpiredToken", "The security token included in the request is expired") end
  return key
end

return signature
