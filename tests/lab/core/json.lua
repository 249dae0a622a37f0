-- JSON, strictly: a body that a careful server would refuse is refused here too.
-- An own codec because the simulators must tell [] from {} and 1 from 1.5, in both directions.
local json = {}

json.null = setmetatable({}, { __tostring = function() return "null" end, __name = "json.null" })
local Array = { __name = "json.array" }

-- Marks a table as an array, so that an empty one is written as [].
function json.array(list)
  return setmetatable(list or {}, Array)
end

function json.is_array(value)
  return type(value) == "table" and getmetatable(value) == Array
end

function json.is_object(value)
  return type(value) == "table" and value ~= json.null and getmetatable(value) ~= Array
end

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function quote(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c)
    return ESCAPES[c] or ("\\u%04x"):format(c:byte())
  end) .. '"'
end

local encode_value

local function encode_array(list)
  local out = {}
  for i = 1, #list do out[i] = encode_value(list[i]) end
  return "[" .. table.concat(out, ",") .. "]"
end

local function encode_object(object)
  local keys = {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  local out = {}
  for i, key in ipairs(keys) do out[i] = quote(tostring(key)) .. ":" .. encode_value(object[key]) end
  return "{" .. table.concat(out, ",") .. "}"
end

function encode_value(value)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "boolean" then return tostring(value) end
  if kind == "number" then
    if math.type(value) == "integer" then return ("%d"):format(value) end
    return ("%.14g"):format(value)
  end
  if kind == "nil" or value == json.null then return "null" end
  if kind ~= "table" then error("no JSON for a " .. kind) end
  if getmetatable(value) == Array or #value > 0 then return encode_array(value) end
  return encode_object(value)
end

json.encode = encode_value

-- Decoding. Errors are raised as strings and caught by json.decode.
local UNESCAPE = { b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/" }
local MAX_DEPTH = 100
local parse_value

local function skip(text, at)
  return text:match("^[ \t\r\n]*()", at)
end

local function fail(at, what)
  error(("%s at byte %d"):format(what, at), 0)
end

local function parse_unicode(text, at)
  local hex = text:match("^%x%x%x%x", at)
  if not hex then fail(at, "bad \\u escape") end
  local code = tonumber(hex, 16)
  if code < 0xD800 or code > 0xDFFF then return code, at + 4 end
  local low = text:match("^\\u([dD][c-fC-F]%x%x)", at + 4)
  if code > 0xDBFF or not low then fail(at, "lone surrogate") end
  return 0x10000 + (code - 0xD800) * 0x400 + (tonumber(low, 16) - 0xDC00), at + 10
end

local function parse_string(text, at)
  local out, from = {}, at + 1
  while true do
    local stop, mark = text:match('^[^"\\%c]*()(["\\]?)', from)
    out[#out + 1] = text:sub(from, stop - 1)
    if mark == '"' then break end
    if mark == "" then fail(stop, "unterminated string") end
    local letter = text:sub(stop + 1, stop + 1)
    if letter == "u" then
      local code
      code, from = parse_unicode(text, stop + 2)
      out[#out + 1] = utf8.char(code)
    else
      out[#out + 1] = UNESCAPE[letter] or fail(stop, "bad escape")
      from = stop + 2
    end
    at = stop
  end
  local value = table.concat(out)
  if not utf8.len(value) then fail(at, "invalid UTF-8") end
  return value, text:match('^[^"]*()', from) + 1
end

local function parse_number(text, at)
  local whole, stop = text:match("^(%-?%d+)()", at)
  if not whole or whole:match("^%-?0%d") then fail(at, "bad number") end
  local fraction, after = text:match("^(%.%d+)()", stop)
  stop = after or stop
  local exponent
  exponent, after = text:match("^([eE][+-]?%d+)()", stop)
  stop = after or stop
  return tonumber(text:sub(at, stop - 1)), stop, fraction, exponent
end

local function parse_array(text, at, depth)
  local list = json.array()
  at = skip(text, at + 1)
  if text:sub(at, at) == "]" then return list, at + 1 end
  while true do
    list[#list + 1], at = parse_value(text, at, depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "]" then return list, at + 1 end
    if mark ~= "," then fail(at, "expected , or ]") end
    at = skip(text, at + 1)
  end
end

local function parse_object(text, at, depth)
  local object = {}
  at = skip(text, at + 1)
  if text:sub(at, at) == "}" then return object, at + 1 end
  while true do
    if text:sub(at, at) ~= '"' then fail(at, "expected a key") end
    local key
    key, at = parse_string(text, at)
    if object[key] ~= nil then fail(at, "duplicate key") end
    at = skip(text, at)
    if text:sub(at, at) ~= ":" then fail(at, "expected :") end
    object[key], at = parse_value(text, skip(text, at + 1), depth)
    at = skip(text, at)
    local mark = text:sub(at, at)
    if mark == "}" then return object, at + 1 end
    if mark ~= "," then fail(at, "expected , or }") end
    at = skip(text, at + 1)
  end
end

local WORDS = { ["true"] = true, ["false"] = false, ["null"] = json.null }

function parse_value(text, at, depth)
  if depth > MAX_DEPTH then fail(at, "nested too deeply") end
  local mark = text:sub(at, at)
  if mark == "{" then return parse_object(text, at, depth + 1) end
  if mark == "[" then return parse_array(text, at, depth + 1) end
  if mark == '"' then return parse_string(text, at) end
  if mark:match("[-%d]") then
    local number, stop = parse_number(text, at)
    return number, stop
  end
  local word = text:match("^%l+", at)
  if word and WORDS[word] ~= nil then return WORDS[word], at + #word end
  fail(at, "unexpected character")
end

-- Returns the value, or nil and what is wrong.
function json.decode(text)
  local ok, value, stop = pcall(parse_value, text, skip(text, 1), 0)
  if not ok then return nil, value end
  stop = skip(text, stop)
  if stop <= #text then return nil, ("trailing text at byte %d"):format(stop) end
  return value
end

return json
