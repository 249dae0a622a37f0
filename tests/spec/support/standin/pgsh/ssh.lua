-- Stands in for `ssh` in a pgsh that has none yet: a handle with read and run, by the ssh program. Found by PGSH_PATH.
local host = require "pgsh.host"
local sh = require "pgsh.sh"

local Handle = {}
Handle.__index = Handle
function Handle:__tostring() return self.name end

local function quoted(command)
  if type(command) == "string" then return command end
  local out = {}
  for i, word in ipairs(command) do out[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'" end
  return table.concat(out, " ")
end

local function call(self, f, command, options)
  local given = {}
  for key, value in pairs(options or {}) do given[key] = value end
  given.what = given.what or (type(command) == "table" and table.concat(command, " ") or command) .. " on " .. self.name
  return f({ "ssh", "-o", "BatchMode=yes", "--", self.name, quoted(command) }, given)
end

function Handle:read(command, options) return call(self, sh.read, command, options) end
function Handle:run(command, options) return call(self, sh.run, command, options) end

return setmetatable({}, { __call = function(_, name)
  host.target("ssh", name)
  return setmetatable({ name = name }, Handle)
end })
