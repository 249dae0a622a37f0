-- Credentials, looked for where AWS's own tools look: the environment, a profile's keys, its credential_process; whatever else there is
-- (sso, roles, a container's or machine's own) `aws configure export-credentials` knows how to get.
local host = require "pgsh.host"
local json = require "pgsh.json"
local env = require("pgsh.plain").env
local profile = require "pgsh.aws.profile"
local secret = require "pgsh.secret"
local sh = require "pgsh.sh"

local credentials = {}

-- A session that ends within this time is renewed before it is used.
local SOON_MS = 60000

local PROGRAM_LIMIT = "60s"

local function missing(message, hint)
  return host.error("usage", { message = "no AWS credentials: " .. message, hint = hint })
end

-- One kind of object, whoever it comes from. No character that a header or a signature could not hold.
local function made(from, key, hidden, token, expiration)
  for what, value in pairs { ["access key id"] = key, ["secret access key"] = hidden, ["session token"] = token } do
    if type(value) ~= "string" or value:match "[^%g]" then
      error(missing(("the %s from %s holds a character that none has"):format(what, from)), 0)
    end
  end
  return {
    key = key, secret = secret(hidden), token = token and secret(token), from = from,
    expires = expiration and host.parse_time(expiration) or nil,
  }
end

-- Words of a command line, as credential_process is written: quotes group, and nothing else has a meaning.
local function words_of(line)
  local words, word, quote = {}, nil, nil
  for c in line:gmatch "." do
    if quote then
      if c == quote then quote = nil else word = word .. c end
    elseif c == '"' or c == "'" then
      quote, word = c, word or ""
    elseif c:match "%s" then
      if word then words[#words + 1] = word end
      word = nil
    else
      word = (word or "") .. c
    end
  end
  if word then words[#words + 1] = word end
  return words
end

-- What a program prints in the form that credential_process asks for.
local function printed(from, out)
  -- Before anything else can show it: an error of the decoder quotes the text.
  for value in out:gmatch '"%w+"%s*:%s*"([^"]*)"' do
    if #value >= 16 then secret(value) end
  end
  local ok, body = pcall(json.decode, out)
  if not ok or type(body) ~= "table" then error(missing(from .. " printed no JSON"), 0) end
  if body.Version ~= 1 then error(missing(("%s: Version is %s, not 1"):format(from, tostring(body.Version))), 0) end
  for _, name in ipairs { "AccessKeyId", "SecretAccessKey" } do
    if type(body[name]) ~= "string" then error(missing(("%s: %s is missing"):format(from, name)), 0) end
  end
  local function text(name) return type(body[name]) == "string" and body[name] ~= "" and body[name] or nil end
  return made(from, body.AccessKeyId, body.SecretAccessKey, text "SessionToken", text "Expiration")
end

local function from_environment()
  local key, hidden = env "AWS_ACCESS_KEY_ID", env "AWS_SECRET_ACCESS_KEY"
  if not key and not hidden then return nil end
  if not key or not hidden then
    error(missing(("AWS_%s is set and AWS_%s is not"):format(key and "ACCESS_KEY_ID" or "SECRET_ACCESS_KEY",
      key and "SECRET_ACCESS_KEY" or "ACCESS_KEY_ID")), 0)
  end
  return made("the environment", key, hidden, env "AWS_SESSION_TOKEN" or env "AWS_SECURITY_TOKEN")
end

local function from_section(section, name, file)
  if not section or not section.aws_access_key_id then return nil end
  local from = ("profile %s of the %s file"):format(name, file)
  if not section.aws_secret_access_key then error(missing(from .. " has no aws_secret_access_key"), 0) end
  return made(from, section.aws_access_key_id, section.aws_secret_access_key, section.aws_session_token)
end

-- Is it for a profile of its own ways, in which keys are only what a role is taken with?
local function needs_tool(found)
  local config = found.config or {}
  return config.role_arn or config.sso_session or config.sso_start_url or config.web_identity_token_file
    or (found.credentials or {}).role_arn
end

local function from_process(found)
  local line = (found.credentials or {}).credential_process or (found.config or {}).credential_process
  if not line then return nil end
  local from = ("the credential_process of profile %s"):format(found.name)
  local ok, result = pcall(sh.read, words_of(line), { what = from, timeout = PROGRAM_LIMIT })
  if ok then return printed(from, result.out) end
  if result.kind == "interrupted" or result.kind == "cancelled" then error(result, 0) end
  error(missing(("%s failed: %s"):format(from, tostring(result.message))), 0)
end

local function from_tool(found)
  local argv = { "aws", "configure", "export-credentials", "--format", "process" }
  if found.name ~= "default" then table.move({ "--profile", found.name }, 1, 2, #argv + 1, argv) end
  local ok, result = pcall(sh.read, argv, { timeout = PROGRAM_LIMIT, env = { AWS_PAGER = "" } })
  if ok then return printed("aws configure export-credentials", result.out) end
  if result.kind == "interrupted" or result.kind == "cancelled" then error(result, 0) end
  local words = (result.detail or ""):match "[^\n]*$"
  error(missing(
    ("none in AWS_ACCESS_KEY_ID, nor for profile %s in %s; aws configure export-credentials: %s%s"):format(found.name, found.places,
      tostring(result.message), words ~= "" and " (" .. words .. ")" or ""),
    "run `aws sso login` or `aws configure`, or set AWS_PROFILE"), 0)
end

---Look for them now: { key, secret, token?, expires?, from }. Raises "usage", naming every place that was looked at.
---@param name? string              # profile; given, it goes before the environment
---@return table
function credentials.find(name)
  local found = not name and from_environment()
  if found then return found end
  local read = profile.read(name)
  if not needs_tool(read) then
    found = from_section(read.credentials, read.name, "credentials") or from_process(read)
      or from_section(read.config, read.name, "config")
    if found then return found end
  end
  return from_tool(read)
end

---Do they end so soon that they must be looked for anew?
---@param found table
---@return boolean
function credentials.ends_soon(found)
  return found.expires ~= nil and found.expires - host.now() < SOON_MS
end

---Are they the same?
---@return boolean
function credentials.same(a, b)
  local function text(value) return value and secret.reveal(value) or "" end
  return a.key == b.key and text(a.secret) == text(b.secret) and text(a.token) == text(b.token)
end

return credentials
