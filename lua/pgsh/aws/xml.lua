-- XML as AWS's Query interfaces answer it: elements and texts. Attributes, comments and processing instructions are passed over; there is
-- nothing in them that counts.
local xml = {}

local NAMED = { lt = "<", gt = ">", amp = "&", quot = '"', apos = "'" }

local function text_of(raw)
  return (raw:gsub("&(#?%w+);", function(name)
    if NAMED[name] then return NAMED[name] end
    local code = tonumber(name:match "^#(%d+)$") or tonumber(name:match "^#[xX](%x+)$" or "", 16)
    return code and code <= 0x10FFFF and utf8.char(code) or nil
  end))
end

-- The next tag at or after a place: begin, end, kind ("open", "close", "empty", "other"), name.
local function next_tag(text, from)
  local first = text:find("<", from, true)
  if not first then return nil end
  if text:sub(first, first + 3) == "<!--" then
    local _, last = text:find("-->", first + 4, true)
    return first, last, "other"
  end
  local last = text:find(">", first, true)
  if not last then return first, nil end
  local inside = text:sub(first + 1, last - 1)
  if inside:match "^[?!]" then return first, last, "other" end
  local closing = inside:match "^/([%w_:.-]+)%s*$"
  if closing then return first, last, "close", closing end
  local name = inside:match "^[%a_][%w_:.-]*"
  if not name then return first, nil end
  return first, last, inside:sub(-1) == "/" and "empty" or "open", name
end

---A document's root: { name, text, [1] … (its elements) }; nil and why when it is none.
---@param text string
---@return table?, string?
function xml.parse(text)
  local document = { name = "", text = "" }
  local open, at = { document }, 1
  while true do
    local first, last, kind, name = next_tag(text, at)
    if not first then break end
    if not last then return nil, "a tag that does not end" end
    local top = open[#open]
    top.text = top.text .. text_of(text:sub(at, first - 1))
    if kind == "open" or kind == "empty" then
      local element = { name = name, text = "" }
      top[#top + 1] = element
      if kind == "open" then open[#open + 1] = element end
    elseif kind == "close" then
      if top.name ~= name or #open == 1 then return nil, ("</%s> closes nothing"):format(name) end
      open[#open] = nil
    end
    at = last + 1
  end
  if #open > 1 then return nil, ("<%s> does not end"):format(open[#open].name) end
  if #document ~= 1 then return nil, "not one element" end
  return document[1]
end

---The element at a path of names below one ("Result/NextToken"); nil when there is none.
---@param element table
---@param path string
---@return table?
function xml.find(element, path)
  for name in path:gmatch "[^/]+" do
    local found
    for _, child in ipairs(element or {}) do
      if child.name == name then
        found = child
        break
      end
    end
    element = found
  end
  return element
end

---Its text; nil when there is none of that path.
---@param element table
---@param path string
---@return string?
function xml.text(element, path)
  local found = xml.find(element, path)
  return found and found.text or nil
end

---The members of a list: the elements <member> below the one at path.
---@param element table
---@param path string
---@return table[]
function xml.members(element, path)
  local out = {}
  for _, child in ipairs(xml.find(element, path) or {}) do
    if child.name == "member" then out[#out + 1] = child end
  end
  return out
end

return xml
