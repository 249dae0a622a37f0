-- Where Heroku is reached and with which credential: HEROKU_HOST, HEROKU_DATA_HOST, HEROKU_API_KEY and ~/.netrc, as the
-- Heroku CLI reads them. Nothing here talks to the network; the credential is looked up when the first request needs
-- it.
local host = require "pgsh.host"
local plain = require "pgsh.plain"
local secret = require "pgsh.secret"

local address = {}

-- The token goes nowhere else.
local DOMAINS = { "heroku.com", "herokai.com", "herokuspace.com", "herokudev.com" }
local LOOPBACK = { ["localhost"] = true, ["::1"] = true, ["[::1]"] = true }

function address.is_loopback(name)
  return LOOPBACK[name] or name:match("^127%.%d+%.%d+%.%d+$") ~= nil or name:match("%.localhost$") ~= nil
end

local function is_heroku(name)
  for _, domain in ipairs(DOMAINS) do
    if name == domain or name:sub(-#domain - 1) == "." .. domain then return true end
  end
  return false
end

local function refuse(variable, value, why, hint)
  error(host.error("refused", { message = ("%s=%s: %s"):format(variable, value, why), hint = hint }), 0)
end

-- "http://127.0.0.1:8080" → scheme, host, port or nil.
local function split(url)
  local scheme, authority = url:match("^(https?)://([^/?#]+)/?$")
  if not scheme then return nil end
  local name, port = authority:match("^(%[[%x:.]+%]):?(%d*)$")
  if not name then name, port = authority:match("^([%w.%-]+):?(%d*)$") end
  if not name then return nil end
  return scheme, name:lower(), port ~= "" and port or nil
end

local function check(variable, value, scheme, name)
  if not is_heroku(name) and not address.is_loopback(name) then
    refuse(variable, value, name .. " is neither a host of Heroku nor this machine",
      "the credential is only sent to heroku.com, herokai.com, herokuspace.com, herokudev.com and localhost")
  end
  if scheme == "http" and not address.is_loopback(name) then
    refuse(variable, value, "the credential would cross the network in the clear", "use https://")
  end
end

local function join(scheme, name, port)
  return ("%s://%s%s"):format(scheme, name, port and ":" .. port or "")
end

-- Platform API: HEROKU_HOST with a scheme is the address itself, without one the domain behind "api.".
local function platform()
  local given = plain.env "HEROKU_HOST"
  if not given then return "https", "api.heroku.com", nil end
  local scheme, name, port = split(given:match("^https?://") and given or "https://api." .. given)
  if not scheme or name:match("^api%.[%d.]+$") then
    refuse("HEROKU_HOST", given, "not an address", "for example http://127.0.0.1:8080, or a domain such as heroku.com")
  end
  check("HEROKU_HOST", given, scheme, name)
  return scheme, name, port
end

-- Data API: a bare name; scheme and port come from HEROKU_HOST.
local function data(scheme)
  local variable = plain.env "HEROKU_DATA_HOST" and "HEROKU_DATA_HOST" or "HEROKU_POSTGRESQL_HOST"
  local given = plain.env(variable)
  local name = given or "api.data.heroku.com"
  if not name:match("^[%w.%-]+$") and not name:match("^%[[%x:.]+%]$") then
    refuse(variable, name, "must be a bare host name: scheme and port come from HEROKU_HOST")
  end
  check(given and variable or "HEROKU_HOST", given or plain.env "HEROKU_HOST" or "", scheme, name:lower())
  return name
end

-- The two addresses as they are now: platform, data, netrc (the machine's name there), redirected (text for the list of
-- targets, or nil). Raises "refused" when the credential would go where it must not.
function address.find()
  local scheme, name, port = platform()
  local data_name = data(scheme)
  local authority = name .. (port and ":" .. port or "")
  local found = { platform = join(scheme, name, port), data = join(scheme, data_name, port), netrc = authority }
  if authority ~= "api.heroku.com" or data_name ~= "api.data.heroku.com" then
    found.redirected = found.platform
    if found.data ~= found.platform then found.redirected = found.platform .. ", data " .. found.data end
  end
  return found
end

-- What to show in the list of targets; an address that is not acceptable is reported at the first request, not here.
function address.redirected()
  local ok, found = pcall(address.find)
  if ok then return found.redirected end
  return plain.env "HEROKU_HOST" or plain.env "HEROKU_DATA_HOST" or plain.env "HEROKU_POSTGRESQL_HOST"
end

-- The password of a machine in a netrc file's text; entries may be spread over lines or stand on one.
function address.netrc_password(text, machine)
  local lines, macro = {}, false
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    -- A macro definition reaches to the next blank line, a comment to the end of its own.
    if macro and line:match("^%s*$") then macro = false end
    if line:match("^%s*macdef%s") then macro = true end
    if not macro and not line:match("^%s*#") then lines[#lines + 1] = line end
  end
  local current, key
  for token in table.concat(lines, " "):gmatch("%S+") do
    if key then
      if key == "machine" then current = token end
      if key == "password" and current == machine then return token end
      key = nil
    elseif token == "machine" or token == "login" or token == "password" or token == "account" then
      key = token
    elseif token == "default" then
      current = nil
    end
  end
end

local function missing(machine, looked)
  return host.error("usage", {
    message = ("no Heroku credential: HEROKU_API_KEY is not set and %s"):format(looked),
    hint = ("run `heroku login`, or: export HEROKU_API_KEY=$(heroku auth:token); the entry looked for is machine %s")
      :format(machine),
  })
end

-- The Authorization header (a secret) and where its token was found. Raises "usage" naming every place that was looked
-- at.
function address.authorization(machine)
  local key = plain.env "HEROKU_API_KEY"
  local from = "HEROKU_API_KEY"
  if not key then
    local home = plain.env "HOME"
    if not home then error(missing(machine, "HOME is not set, so there is no ~/.netrc"), 0) end
    local path = home .. "/.netrc"
    local text = host.read_file(path)
    if not text then
      local sealed = host.read_file(path .. ".gpg") and path .. ".gpg is encrypted, which pgsh does not read"
      error(missing(machine, sealed or path .. " cannot be read"), 0)
    end
    key, from = address.netrc_password(text, machine), path
    if not key then error(missing(machine, ("%s has no entry for machine %s"):format(path, machine)), 0) end
  end
  if key:match("[^%g]") then
    error(host.error("usage", { message = from .. " holds a character that no Heroku credential has" }), 0)
  end
  secret(key)
  return secret("Bearer " .. key), from
end

return address
