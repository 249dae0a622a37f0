-- Paging by the Range header: "version ..; order=desc,max=1", "id ]abc..; max=200".
local json = require "core.json"
local refusal = require "core.refusal"

local range = {}

local function refuse(why)
  refusal.raise(416, "requested_range_not_satisfiable", why)
end

local function parse(header, fields, default, page_size)
  local wanted = { field = default, from = "", to = "", order = "asc", max = page_size }
  if not header then return wanted end
  local field, bounds, rest = header:match("^%s*([%w_]+)%s+([^;%s]*)%s*;?%s*(.-)%s*$")
  if not field then refuse("The Range header is malformed.") end
  if not fields[field] then refuse("This list has no range over " .. field .. ".") end
  wanted.field = field
  wanted.from, wanted.to = bounds:match("^(%]?.-)%.%.(.*)$")
  if not wanted.from then refuse("The Range header needs '..'.") end
  for option in rest:gmatch("[^,;%s]+") do
    local name, value = option:match("^(%l+)=(%w+)$")
    if name == "order" and (value == "asc" or value == "desc") then
      wanted.order = value
    elseif name == "max" and value:match("^%d+$") and tonumber(value) > 0 then
      wanted.max = math.min(math.tointeger(tonumber(value)), 1000)
    else
      refuse("Unknown option in the Range header: " .. option)
    end
  end
  return wanted
end

local function bound(text, sample)
  if text == "" then return nil end
  local value = type(sample) == "number" and tonumber(text) or text
  if type(value) ~= type(sample) then refuse("A bound of the Range header has the wrong type.") end
  return value
end

local function made(items, count, make)
  local out = json.array()
  for i = 1, count do out[i] = make(items[i]) end
  return out
end

local function select_items(items, wanted)
  local field, out = wanted.field, {}
  local exclusive = wanted.from:sub(1, 1) == "]"
  local from = wanted.from:gsub("^%]", "")
  for _, item in ipairs(items) do
    local value = item[field]
    local low, high = bound(from, value), bound(wanted.to, value)
    local after, before = true, true
    if wanted.order == "desc" then
      if low then after = exclusive and value < low or not exclusive and value <= low end
      if high then before = value >= high end
    else
      if low then after = exclusive and value > low or not exclusive and value >= low end
      if high then before = value <= high end
    end
    if after and before then out[#out + 1] = item end
  end
  table.sort(out, function(a, b)
    if wanted.order == "desc" then return a[field] > b[field] end
    return a[field] < b[field]
  end)
  return out
end

-- items: the whole list; fields: the set of range fields, which every item has; make turns an item into its JSON
-- object (only those of the page are made). Returns status, page, headers.
function range.page(request, items, fields, default, page_size, make)
  make = make or function(item) return item end
  if not request.headers.range and #items <= page_size then return 200, made(items, #items, make), {} end
  local wanted = parse(request.headers.range, fields, default, page_size)
  local found = select_items(items, wanted)
  local page = made(found, math.min(#found, wanted.max), make)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  local headers = { ["Accept-Ranges"] = table.concat(names, ", ") }
  if #page > 0 then
    headers["Content-Range"] = ("%s %s..%s"):format(wanted.field, found[1][wanted.field], found[#page][wanted.field])
  end
  if #found <= #page then return 200, page, headers end
  local order = wanted.order == "desc" and "order=desc,max=" or "max="
  local last = found[#page][wanted.field]
  headers["Next-Range"] = ("%s ]%s..%s; %s%d"):format(wanted.field, last, wanted.to, order, wanted.max)
  return 206, page, headers
end

return range
