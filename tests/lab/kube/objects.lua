-- Plain functions on Kubernetes objects: copies, comparisons, labels, times, names.
local json = require "core.json"

local objects = {}

function objects.copy(value)
  if type(value) ~= "table" or value == json.null then return value end
  local out = json.is_array(value) and json.array() or {}
  for key, item in pairs(value) do out[key] = objects.copy(item) end
  return out
end

function objects.equal(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" or a == json.null or b == json.null then return false end
  for key, item in pairs(a) do
    if not objects.equal(item, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- The value at a path of keys, or nil where the path ends early.
function objects.at(value, ...)
  for _, key in ipairs { ... } do
    if type(value) ~= "table" or value == json.null then return nil end
    value = value[key]
  end
  if value == json.null then return nil end
  return value
end

function objects.sorted_keys(map)
  local keys = {}
  for key in pairs(map or {}) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

function objects.now() return os.date "!%Y-%m-%dT%H:%M:%SZ" end

function objects.parse_time(text)
  local y, mo, d, h, mi, s = tostring(text):match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)"
  if not y then return nil end
  -- Howard Hinnant's days from civil: no time zone of the machine enters.
  y, mo, d = tonumber(y), tonumber(mo), tonumber(d)
  if mo <= 2 then y = y - 1 end
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (mo + (mo > 2 and -3 or 9)) + 2) // 5 + d - 1
  local days = era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
  return days * 86400 + h * 3600 + mi * 60 + s
end

-- The alphabet of generated names: no vowels, nothing that looks like another.
local ALPHABET = "bcdfghjklmnpqrstvwxz2456789"

function objects.suffix(length)
  local out = {}
  for i = 1, length do
    local at = math.random(#ALPHABET)
    out[i] = ALPHABET:sub(at, at)
  end
  return table.concat(out)
end

function objects.uid()
  local function hex(n)
    local out = {}
    for i = 1, n do out[i] = ("%x"):format(math.random(0, 15)) end
    return table.concat(out)
  end
  return ("%s-%s-4%s-%x%s-%s"):format(hex(8), hex(4), hex(3), math.random(8, 11), hex(3), hex(12))
end

-- The hash of a pod template, in the alphabet of names, as in site-64f749b6d4.
function objects.template_hash(template)
  local text, h = json.encode(template), 2166136261
  for i = 1, #text do h = ((h ~ text:byte(i)) * 16777619) & 0xffffffff end
  local digits = tostring(h)
  return (digits:gsub("%d", function(d)
    local at = (tonumber(d) * 7 + 3) % #ALPHABET + 1
    return ALPHABET:sub(at, at)
  end))
end

-- matchLabels and matchExpressions of a selector object.
function objects.selected(selector, labels)
  labels = labels or {}
  for key, value in pairs(objects.at(selector, "matchLabels") or {}) do
    if labels[key] ~= value then return false end
  end
  for _, rule in ipairs(objects.at(selector, "matchExpressions") or {}) do
    local has, among = labels[rule.key] ~= nil, false
    for _, value in ipairs(rule.values or {}) do among = among or labels[rule.key] == value end
    if rule.operator == "In" and not among or rule.operator == "NotIn" and among then return false end
    if rule.operator == "Exists" and not has or rule.operator == "DoesNotExist" and has then return false end
  end
  return true
end

local function parse_term(term)
  local key, list = term:match "^%s*([%w%-_./]+)%s+in%s*%(([^)]*)%)%s*$"
  local out = key and function(labels)
    for value in list:gmatch "[^,%s]+" do if labels[key] == value then return true end end
    return false
  end
  if out then return out end
  key, list = term:match "^%s*([%w%-_./]+)%s+notin%s*%(([^)]*)%)%s*$"
  if key then
    return function(labels)
      for value in list:gmatch "[^,%s]+" do if labels[key] == value then return false end end
      return true
    end
  end
  local name, op, value = term:match "^%s*([%w%-_./]+)%s*([=!]=?)%s*([%w%-_.]*)%s*$"
  if name and op ~= "!" then
    return function(labels) return (labels[name] == value) == (op ~= "!=") end
  end
  name = term:match "^%s*!%s*([%w%-_./]+)%s*$"
  if name then return function(labels) return labels[name] == nil end end
  name = term:match "^%s*([%w%-_./]+)%s*$"
  if name then return function(labels) return labels[name] ~= nil end end
  return nil
end

-- A test of labels from "app=site,tier!=x,y in (a,b)"; nil when the text is not a selector.
function objects.parse_selector(text)
  local tests, depth, term = {}, 0, {}
  for c in (text .. ","):gmatch "." do
    if c == "(" then depth = depth + 1 elseif c == ")" then depth = depth - 1 end
    if c == "," and depth == 0 then
      local test = parse_term(table.concat(term))
      if not test then return nil end
      tests[#tests + 1], term = test, {}
    else
      term[#term + 1] = c
    end
  end
  if depth ~= 0 then return nil end
  return function(labels)
    for _, test in ipairs(tests) do if not test(labels or {}) then return false end end
    return true
  end
end

local UNITS = { [""] = 1, k = 1000, M = 1e6, G = 1e9, T = 1e12, Ki = 1024, Mi = 1 << 20, Gi = 1 << 30, Ti = 1 << 40, m = 0.001 }

-- Bytes (or units) of a quantity such as 10Gi; nil when it is none.
function objects.quantity(text)
  local number, unit = tostring(text):match "^(%d+%.?%d*)(%a*)$"
  if not number or not UNITS[unit] then return nil end
  return tonumber(number) * UNITS[unit]
end

-- A condition of a status by its type, made when absent. Returns it and whether it is new.
function objects.condition(status, kind)
  status.conditions = status.conditions or json.array()
  for _, condition in ipairs(status.conditions) do
    if condition.type == kind then return condition, false end
  end
  local condition = { type = kind }
  status.conditions[#status.conditions + 1] = condition
  return condition, true
end

return objects
