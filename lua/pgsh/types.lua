-- types: the types of parameters: from the text of a flag, an environment variable or a parameter file to a value.
-- Each converter returns the value, or nil and what is wrong with the text.

local host = require "pgsh.host"

local types = {}

local function bounded(value, spec)
  if spec.min and value < spec.min then return nil, ("is less than %s"):format(spec.min) end
  if spec.max and value > spec.max then return nil, ("is more than %s"):format(spec.max) end
  return value
end

local function quoted(text)
  return '"' .. tostring(text) .. '"'
end

function types.string(text, spec)
  if type(text) ~= "string" then text = tostring(text) end
  if spec.pattern and not text:find("^" .. spec.pattern .. "$") then
    return nil, ("%s does not look like %s"):format(quoted(text), spec.looks_like or "the pattern " .. spec.pattern)
  end
  if text == "" and not spec.empty then return nil, "is empty" end
  return text
end

---A longer text; "@file" takes it from a file.
function types.text(text, spec)
  text = tostring(text)
  if text:sub(1, 1) == "@" then
    local content, problem = host.read_file(text:sub(2))
    if not content then return nil, ": " .. tostring(problem) end
    text = content:gsub("\n+$", "")
  end
  return types.string(text, spec)
end

function types.integer(text, spec)
  local value = math.tointeger(tonumber(text))
  if not value then return nil, quoted(text) .. " is not a whole number" end
  return bounded(value, spec)
end

function types.number(text, spec)
  local value = tonumber(text)
  if not value or value ~= value then return nil, quoted(text) .. " is not a number" end
  return bounded(value, spec)
end

local TRUTH = { ["true"] = true, yes = true, on = true, ["1"] = true, ["false"] = false, no = false, off = false, ["0"] = false }

function types.boolean(text)
  local value = TRUTH[tostring(text):lower()]
  if value == nil then return nil, quoted(text) .. " is not true or false" end
  return value
end

---A duration: the value is in seconds.
function types.duration(text, spec)
  local ms = host.duration(tonumber(text) or text)
  if not ms then return nil, quoted(text) .. " is not a duration (30s, 5m, 1h30m)" end
  local seconds = ms / 1000
  return bounded(math.tointeger(seconds) or seconds, spec)
end

---A point in time, as a text in RFC 3339, UTC.
function types.time(text)
  local ms = require("pgsh.schedule").parse_time(tostring(text))
  if not ms then return nil, quoted(text) .. " is not a time (2026-11-21T14:00:00Z, or 14:00 for today, UTC)" end
  return (host.iso(ms):gsub("%.%d+Z$", "Z"))
end

function types.choice(text, spec)
  for _, choice in ipairs(spec.choices) do
    if choice == text then return text end
  end
  local hint = require("pgsh.nearest").hint(tostring(text), spec.choices)
  return nil, ("%s is not one of %s%s"):format(quoted(text), table.concat(spec.choices, ", "), hint)
end

---Texts separated by commas; a flag may also be given several times, a parameter file may hold an array.
function types.list(text, spec)
  local value = {}
  local function add(item)
    item = tostring(item):match("^%s*(.-)%s*$")
    if item == "" then return true end
    local converted, problem = types[spec.of or "string"](item, spec)
    if converted == nil then return nil, problem end
    value[#value + 1] = converted
    return true
  end
  local texts = type(text) == "table" and text or { text }
  for _, part in ipairs(texts) do
    for item in (tostring(part) .. ","):gmatch("(.-),") do
      local ok, problem = add(item)
      if not ok then return nil, problem end
    end
  end
  if #value == 0 and not spec.empty then return nil, "is empty" end
  return value
end

---The path of a file that can be read; `must_exist = false` for one that is to be written.
function types.file(text, spec)
  if text == "" then return nil, "is empty" end
  if spec.must_exist ~= false then
    local content, problem = host.read_file(text, spec.limit)
    if not content and not (type(problem) == "table" and problem.code == "limit") then return nil, ": " .. tostring(problem) end
  end
  return text
end

---What stands in for a required parameter that is missing, while a script is loaded for its help or its checklist.
---@param spec table
---@return any
function types.placeholder(spec)
  local kind = spec.type
  if kind == "integer" or kind == "number" or kind == "duration" then return spec.min or 1 end
  if kind == "boolean" then return false end
  if kind == "choice" then return spec.choices[1] end
  if kind == "list" then return { "<" .. spec.name .. ">" } end
  return "<" .. spec.name .. ">"
end

return types
