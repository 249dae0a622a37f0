-- inspect: values as text that Lua can read back, with sorted keys. A text on its own is shown as it is.

local inspect = {}

local MAX_DEPTH, MAX_ITEMS, WIDTH = 8, 200, 100

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c)
    if c == "\n" then return "\\n" end
    if c == '"' or c == "\\" then return "\\" .. c end
    return ("\\%03d"):format(c:byte())
  end) .. '"'
end

local function sorted_keys(value)
  local keys = {}
  for key in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > #value then keys[#keys + 1] = key end
  end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) < type(b)
  end)
  return keys
end

local write

local function parts_of(value, depth, seen)
  local parts = {}
  for i = 1, math.min(#value, MAX_ITEMS) do parts[i] = write(value[i], depth + 1, seen) end
  if #value > MAX_ITEMS then parts[#parts + 1] = ("--[[ %d more ]]"):format(#value - MAX_ITEMS) end
  for i, key in ipairs(sorted_keys(value)) do
    if i > MAX_ITEMS then
      parts[#parts + 1] = "--[[ more ]]"
      break
    end
    local name = type(key) == "string" and key:find("^[%a_][%w_]*$") and key or "[" .. write(key, depth + 1, seen) .. "]"
    parts[#parts + 1] = name .. " = " .. write(value[key], depth + 1, seen)
  end
  return parts
end

function write(value, depth, seen)
  if type(value) == "string" then return quoted(value) end
  if type(value) ~= "table" then return tostring(value) end
  local meta = getmetatable(value)
  if type(meta) == "table" and (meta.__tostring or meta.__name) or meta == false then return tostring(value) end
  if seen[value] then return "--[[ cycle ]]nil" end
  if depth > MAX_DEPTH then return "{ --[[ … ]] }" end
  seen[value] = true
  local parts = parts_of(value, depth, seen)
  seen[value] = nil
  if #parts == 0 then return "{}" end
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line + depth * 2 <= WIDTH and not line:find("\n", 1, true) then return line end
  local indent = ("  "):rep(depth + 1)
  return "{\n" .. indent .. table.concat(parts, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

---@param value any
---@return string
function inspect.text(value)
  if type(value) == "string" then return value end
  return write(value, 0, {})
end

return inspect
