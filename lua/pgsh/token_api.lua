-- token_api: an HTTP service whose only credential is a token in an environment variable. The handle is made at the first request: a
-- checklist needs no credential.
local errors = require "pgsh.errors"
local http = require "pgsh.http"
local plain = require "pgsh.plain"
local secret = require "pgsh.secret"

local token_api = {}

-- Both what is typed into the variable and what is sent are secrets.
local function authorization(service)
  local token = plain.env(service.variable)
  if not token then
    errors.raise("usage", { message = ("no %s credential: %s is not set"):format(service.title, service.variable), hint = service.hint })
  end
  if token:match "[^%g]" then errors.raise("usage", "%s holds a character that no token has", service.variable) end
  secret(token)
  return secret(service.scheme .. " " .. token)
end

---Where requests go in place of the service's own address, or nil.
function token_api.redirected(service) return plain.env(service.redirect) end

---The handle of an object, made once and kept in its field `handle`.
---@param self table
---@param service {title: string, kind: string, address: string, redirect: string, variable: string, scheme: string, hint: string}
---       redirect, variable: names of environment variables; scheme: "Bearer"; hint: where a token is made
---@param name string                # of the target
function token_api.connect(self, service, name)
  if not self.handle then
    local elsewhere = token_api.redirected(service)
    self.handle = http(elsewhere or service.address, {
      kind = service.kind, name = name, detail = elsewhere, auth = authorization(service), netrc = false,
    })
  end
  return self.handle
end

return token_api
