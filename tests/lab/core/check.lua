-- Validation of JSON bodies. A schema is a table: key -> checker, and every checker is a function
-- (value, path) that returns nothing when the value is right and a sentence when it is not.
local json = require "core.json"

local check = {}

local function typed(name, test)
  return function(value, path)
    if not test(value) then return ("%s must be %s"):format(path, name) end
  end
end

check.string = typed("a string", function(v) return type(v) == "string" end)
check.filled = typed("a string that is not empty", function(v) return type(v) == "string" and v ~= "" end)
check.boolean = typed("true or false", function(v) return type(v) == "boolean" end)
check.integer = typed("an integer", function(v) return math.type(v) == "integer" end)
check.natural = typed("an integer that is not negative", function(v) return math.type(v) == "integer" and v >= 0 end)
check.object = typed("an object", json.is_object)
check.any = function() end

function check.nullable(inner)
  return function(value, path)
    if value ~= json.null then return inner(value, path) end
  end
end

function check.one_of(values)
  local known = {}
  for _, value in ipairs(values) do known[value] = true end
  return typed("one of " .. table.concat(values, ", "), function(v) return type(v) == "string" and known[v] == true end)
end

function check.pattern(pattern, name)
  return typed(name, function(v) return type(v) == "string" and v:match(pattern) ~= nil end)
end

function check.at_most(limit)
  return typed(("a string of at most %d characters"):format(limit), function(v)
    return type(v) == "string" and (utf8.len(v) or limit + 1) <= limit
  end)
end

function check.either(...)
  local choices = { ... }
  return function(value, path)
    local why
    for _, choice in ipairs(choices) do
      why = choice(value, path)
      if not why then return nil end
    end
    return why
  end
end

function check.list(inner)
  return function(value, path)
    if not json.is_array(value) then return path .. " must be an array" end
    for i, item in ipairs(value) do
      local why = inner(item, ("%s[%d]"):format(path, i - 1))
      if why then return why end
    end
  end
end

-- Every key and every value of an object.
function check.map(key_check, value_check)
  return function(value, path)
    if not json.is_object(value) then return path .. " must be an object" end
    for key, item in pairs(value) do
      local why = key_check(key, "key " .. key) or value_check(item, path .. "." .. key)
      if why then return why end
    end
  end
end

-- An object with the given keys and no others.
function check.record(fields, required)
  return function(value, path)
    if not json.is_object(value) then return path .. " must be an object" end
    for key, item in pairs(value) do
      local inner = fields[key]
      if not inner then return ("%s has an unknown key %s"):format(path, key) end
      local why = inner(item, path .. "." .. key)
      if why then return why end
    end
    for _, key in ipairs(required or {}) do
      if value[key] == nil then return ("%s needs %s"):format(path, key) end
    end
  end
end

return check
