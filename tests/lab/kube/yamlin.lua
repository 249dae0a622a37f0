-- YAML to the tables that core.json knows: lists are marked, so that {} and [] stay apart, and quoted numbers stay strings.
local json = require "core.json"
local yaml = require "yaml"

local yamlin = {}

-- Plain scalars as YAML 1.1 reads them, which is what kubectl does.
local WORDS = {}
for _, word in ipairs { "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON" } do WORDS[word] = true end
for _, word in ipairs { "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF" } do WORDS[word] = false end
for _, word in ipairs { "", "~", "null", "Null", "NULL" } do WORDS[word] = json.null end

local function scalar(event)
  local text = event.value
  if event.tag == "tag:yaml.org,2002:str" or event.tag == "!!str" or event.style ~= "PLAIN" then return text end
  if WORDS[text] ~= nil then return WORDS[text] end
  if text:match "^[-+]?%d+$" then
    if text:match "^[-+]?0[0-7]+$" then return tonumber(text:gsub("^%+", ""), 8) end
    return math.tointeger(tonumber((text:gsub("^%+", ""))))
  end
  if text:match "^0x%x+$" or text:match "^[-+]?%d+%.%d*$" or text:match "^[-+]?%d+%.?%d*[eE][-+]?%d+$" then
    local number = tonumber((text:gsub("^%+", "")))
    return math.tointeger(number) or number
  end
  return text
end

local node

local function children(read, stop, anchors, add)
  while true do
    local event = read()
    if event.type == stop then return end
    add(node(event, read, anchors))
  end
end

function node(event, read, anchors)
  local value
  if event.type == "ALIAS" then
    return anchors[event.anchor]
  elseif event.type == "SCALAR" then
    value = scalar(event)
  elseif event.type == "SEQUENCE_START" then
    value = json.array()
    children(read, "SEQUENCE_END", anchors, function(item) value[#value + 1] = item end)
  else
    value = {}
    local key, have
    children(read, "MAPPING_END", anchors, function(item)
      if not have then
        key, have = type(item) == "string" and item or tostring(item), true
        if value[key] ~= nil then error(('line %d: key "%s" already set in map'):format((event.start_mark or {}).line or 0, key), 0) end
      else
        value[key], have = item, false
      end
    end)
  end
  if event.anchor then anchors[event.anchor] = value end
  return value
end

local function parse(text)
  local read, out, anchors = yaml.parser(text), {}, {}
  while true do
    local event = read()
    if not event or event.type == "STREAM_END" then return out end
    if event.type == "DOCUMENT_START" then
      out[#out + 1] = node(read(), read, anchors)
    end
  end
end

-- The documents of a text, empty ones as json.null; or nil and what is wrong, as kubectl says it.
function yamlin.documents(text)
  -- A document at a time: lines in messages count from the document's beginning.
  local out = {}
  local function add(part)
    local ok, found = pcall(parse, part)
    if not ok then
      local what, line = tostring(found):match "^(.-) at document: %d+, line: (%d+)"
      if what then return nil, ("yaml: line %d: %s"):format(tonumber(line) , what) end
      return nil, "yaml: " .. tostring(found)
    end
    for _, document in ipairs(found) do out[#out + 1] = document end
    return true
  end
  local part = {}
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    if line:match "^%-%-%-%s*$" or line:match "^%-%-%-%s+#" then
      local ok, why = add(table.concat(part, "\n"))
      if not ok then return nil, why end
      part = {}
    else
      part[#part + 1] = line
    end
  end
  local ok, why = add(table.concat(part, "\n"))
  if not ok then return nil, why end
  return out
end

return yamlin
