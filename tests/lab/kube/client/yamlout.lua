-- YAML as kubectl writes it: keys sorted, lists not indented below their key, strings quoted where they would be read as something else.
local json = require "core.json"
local objects = require "kube.objects"

local yamlout = {}

local WORDS = { ["true"] = true, ["false"] = true, yes = true, no = true, on = true, off = true, null = true, y = true, n = true,
  ["~"] = true }

local function plain(text)
  if text == "" or WORDS[text:lower()] or text:match "^[-+]?[%d.]" and (tonumber(text) or text:match "^%d%d%d%d%-%d%d%-%d%d"
    or text:match "^[%d_:]+$") then
    return false
  end
  if text:match "^[%s%-?:,%[%]{}#&*!|>'\"%%@`]" and not text:match "^[-?:][^%s]" then return false end
  if text:match "^[-][-]" or text:match "%s$" or text:find(": ", 1, true) or text:find(" #", 1, true) or text:match ":$"
    or text:match "%c" then
    return false
  end
  return true
end

local function scalar(text, indent)
  if text:find "\n" and not text:find "[%z\1-\8\11-\31]" then
    local chomp = text:sub(-1) == "\n" and (text:sub(-2) == "\n\n" and "+" or "") or "-"
    local lines = {}
    for line in (text:gsub("\n$", "") .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line == "" and "" or indent .. line end
    return "|" .. chomp .. "\n" .. table.concat(lines, "\n")
  end
  if plain(text) then return text end
  if text:find "%c" or text:match "^[-+]?[%d.]" or text == "" or WORDS[text:lower()] then return json.encode(text) end
  return "'" .. text:gsub("'", "''") .. "'"
end

local write

local function leaf(value, indent)
  if value == json.null then return "null" end
  if type(value) == "string" then return scalar(value, indent) end
  if type(value) == "table" then return json.is_array(value) and "[]" or "{}" end
  if math.type(value) == "float" then return ("%.14g"):format(value) end
  return tostring(value)
end

local function is_leaf(value) return type(value) ~= "table" or value == json.null or next(value) == nil end

function write(out, value, indent, first)
  if json.is_array(value) then
    for i, item in ipairs(value) do
      local lead = (i == 1 and first or indent) .. "- "
      if is_leaf(item) then
        out[#out + 1] = lead .. leaf(item, indent .. "  ")
      else
        write(out, item, indent .. "  ", lead)
      end
    end
    return
  end
  for i, key in ipairs(objects.sorted_keys(value)) do
    local item = value[key]
    local lead = (i == 1 and first or indent) .. scalar(tostring(key), indent) .. ":"
    if is_leaf(item) then
      out[#out + 1] = lead .. " " .. leaf(item, indent .. "  ")
    else
      out[#out + 1] = lead
      write(out, item, json.is_array(item) and indent or indent .. "  ", json.is_array(item) and indent or indent .. "  ")
    end
  end
end

function yamlout.text(value)
  local out = {}
  write(out, value, "", "")
  return table.concat(out, "\n") .. "\n"
end

return yamlout
