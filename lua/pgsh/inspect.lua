-- inspect: values as text that Lua can read back, with sorted keys. A text on its own is shown as it is.

local inspect = {}

local MAX_DEPTH, MAX_ITEMS, WIDTH = 8, 200, 100

local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in local nil not or repeat return then true until while")
  :gmatch("%a+") do
  KEYWORDS[word] = true
end

local function escaped(c) return ("\\%03d"):format(c:byte()) end

---A text in quotes: what does not print, or is not UTF-8, escaped.
---@param text string
---@return string
function inspect.quoted(text)
  local quoted = text:gsub('[%c"\\\127]', function(c)
    if c == "\n" then return "\\n" end
    if c == "\t" then return "\\t" end
    if c == '"' or c == "\\" then return "\\" .. c end
    return escaped(c)
  end)
  return '"' .. (utf8.len(quoted) and quoted or quoted:gsub("[\128-\255]+", function(bytes)
    return utf8.len(bytes) and bytes or bytes:gsub(".", escaped)
  end)) .. '"'
end

---A number as Lua reads it back, integers and floats told apart.
---@param value number
---@return string
function inspect.number(value)
  if math.type(value) == "integer" then return tostring(value) end
  if value ~= value then return "0/0" end
  if value == math.huge or value == -math.huge then return value > 0 and "math.huge" or "-math.huge" end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text:find("[.en]") and text or text .. ".0" end
  end
end

---A key of a table constructor.
---@param key any
---@return string
function inspect.key(key)
  if type(key) == "string" and key:find("^[%a_][%w_]*$") and not KEYWORDS[key] then return key end
  return "[" .. (type(key) == "string" and inspect.quoted(key) or type(key) == "number" and inspect.number(key) or tostring(key)) .. "]"
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
    parts[#parts + 1] = inspect.key(key) .. " = " .. write(value[key], depth + 1, seen)
  end
  return parts
end

function write(value, depth, seen)
  if type(value) == "string" then return inspect.quoted(value) end
  if type(value) == "number" then return inspect.number(value) end
  if value == require("pgsh.json").null then return "json.null" end
  if type(value) ~= "table" then return tostring(value) end
  local meta = getmetatable(value)
  local array = type(meta) == "table" and meta.__name == "pgsh.json.array"
  if not array and type(meta) == "table" and (meta.__tostring or meta.__name) or meta == false then return tostring(value) end
  if seen[value] then return "--[[ cycle ]]nil" end
  if depth > MAX_DEPTH then return "{ --[[ … ]] }" end
  seen[value] = true
  local parts = parts_of(value, depth, seen)
  seen[value] = nil
  if #parts == 0 then return array and "json.array {}" or "{}" end
  local line = "{ " .. table.concat(parts, ", ") .. " }"
  if #line + depth * 2 <= WIDTH and not line:find("\n", 1, true) then return line end
  local indent = ("  "):rep(depth + 1)
  return "{\n" .. indent .. table.concat(parts, ",\n" .. indent) .. "\n" .. ("  "):rep(depth) .. "}"
end

---A value as it stands inside of another: a text in quotes.
---@param value any
---@return string
function inspect.inner(value) return write(value, 1, {}) end

---@param value any
---@return string
function inspect.text(value)
  if type(value) == "string" then return value end
  return write(value, 0, {})
end

return inspect
