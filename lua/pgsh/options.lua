-- options: what is given in a table of options: unknown ones are refused, the nearest name is suggested.
local errors = require "pgsh.errors"
local nearest = require "pgsh.nearest"
local unknown = require "pgsh.unknown"

local options = {}

local function names_of(allowed)
  local names = {}
  for name in pairs(allowed) do names[#names + 1] = name end
  table.sort(names)
  return names
end

---The options as given, {} for nil. `allowed`: name → true, or the type it must have; what is not known yet has any.
---@param call string                # "postgres.dump"
---@param given table?
---@param allowed table<string, boolean|string>
---@return table
function options.check(call, given, allowed)
  if given == nil then return {} end
  if type(given) ~= "table" then errors.usage("%s: a table of options expected, got %s", call, type(given)) end
  for key, value in pairs(given) do
    local wanted = allowed[key]
    if not wanted then
      local names = names_of(allowed)
      errors.usage("%s: unknown option %s%s (there are %s)", call, tostring(key), nearest.hint(tostring(key), names),
        table.concat(names, ", "))
    end
    if type(wanted) == "string" and type(value) ~= wanted and not unknown.is(value) then
      errors.usage("%s: %s is to be a %s, not a %s", call, key, wanted, type(value))
    end
  end
  return given
end

---A set of the texts of a list.
---@param list string[]?
---@return table<string, boolean>
function options.set(list)
  local set = {}
  for _, item in ipairs(list or {}) do set[item] = true end
  return set
end

---A list that is a list in JSON also when it is empty.
function options.list(list)
  return #list > 0 and list or require("pgsh.json").array(list)
end

return options
