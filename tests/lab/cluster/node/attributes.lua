-- attributes.lua ROLE.json: the role's default attributes with its override attributes laid over them.
package.path = arg[0]:match("^(.*)/[^/]*/[^/]*$") .. "/../?.lua;" .. package.path
local json = require "core.json"

local function merged(under, over)
  if not json.is_object(under) or not json.is_object(over) then return over end
  local out = {}
  for key, value in pairs(under) do out[key] = value end
  for key, value in pairs(over) do out[key] = out[key] == nil and value or merged(out[key], value) end
  return out
end

local file = assert(io.open(arg[1]))
local role = assert(json.decode(file:read "a"))
io.write(json.encode(merged(role.default_attributes or {}, role.override_attributes or {})), "\n")
