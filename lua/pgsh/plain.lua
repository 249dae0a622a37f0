-- plain: what comes from outside, as Lua wants it: texts without the space around them, nil for what is not there.
local host = require "pgsh.host"
local json = require "pgsh.json"

local plain = {}

---Without the white space around it.
---@param text string
---@return string
function plain.trim(text)
  return (text:gsub("^%s+", ""):gsub("%s+$", ""))
end

---An environment variable; nil also when there is nothing in it.
---@param name string
---@return string?
function plain.env(name)
  local value = host.getenv(name)
  if value and value:match "%S" then return plain.trim(value) end
end

---A decoded reply: null, which is true in Lua, becomes nil.
function plain.value(value)
  if value == json.null then return nil end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, item in pairs(value) do out[key] = plain.value(item) end
  return out
end

return plain
