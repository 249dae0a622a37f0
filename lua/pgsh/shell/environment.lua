-- environment: the names an entry at the prompt sees: what was assigned at the prompt, then the shell's own words, then what every
-- script sees. Assigning makes a name of the session; pgsh's own names stay what they are.

local errors = require "pgsh.errors"
local globals = require "pgsh.globals"
local load = require "pgsh.load"

local environment = {}

-- Names that look like pgsh's and that every operator calls his own.
local FREE = { db = true, _ = true, _err = true, _rs = true }

---@param words table<string, any>   # the shell's own words
---@return table env                 # the _ENV of entries
---@return table vars                # what was assigned
---@return table outer               # what scripts see
function environment.new(words)
  local vars, outer = {}, load.environment "."
  local env = setmetatable({}, {
    __name = "pgsh.Shell",
    __metatable = false,
    __index = function(_, name)
      local value = vars[name]
      if value ~= nil then return value end
      value = words[name]
      if value ~= nil then return value end
      if type(name) == "string" and (FREE[name] or name:find("^_%d$")) then return nil end
      return outer[name]
    end,
    __newindex = function(_, name, value)
      if words[name] ~= nil or not FREE[name] and vars[name] == nil and type(name) == "string" and globals.find(name) ~= nil then
        errors.usage("%s is pgsh's own name: choose another", name)
      end
      vars[name] = value
    end,
  })
  return env, vars, outer
end

return environment
