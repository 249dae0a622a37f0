-- unknown: the value a change returns in a plan. It can be passed on, indexed and shown; reading one of its fields is recorded
-- with file and line, because from there on the plan may differ from the run.

local place = require "pgsh.place"

local unknown = {}

local name_of = setmetatable({}, { __mode = "k" }) -- unknown → "incident.id"
local whole = setmetatable({}, { __mode = "k" })   -- unknown → its text, when it was put together of several
local root_of = setmetatable({}, { __mode = "k" }) -- unknown → the name of the one it is a part of
local found = {}                                   -- places, in the order they were met
local seen = {}                                    -- "file:line:text" → true
local step                                         -- the step being planned
local recording = true

local meta = { __name = "pgsh.Unknown" }

local function make(name, text, root)
  local value = setmetatable({}, meta)
  name_of[value] = name
  whole[value] = text
  root_of[value] = root or name
  return value
end

-- Once a line for what is read of one unknown: `made.path.x` is one place, not two.
local function record(name, root)
  local file, line = place.find()
  if not file or not recording then return end
  local key = file .. ":" .. line .. ":" .. root
  if seen[key] then return end
  seen[key] = true
  found[#found + 1] = { step = step, file = file, line = line, text = name .. ", known after the run" }
end

-- The text of anything, in which an unknown shows as ‹name›.
local function show(value)
  if not unknown.is(value) then return tostring(value) end
  return whole[value] or "‹" .. name_of[value] .. "›"
end

---A value that will be known after the run. The door makes them from the rendering of the change.
---@param name string
---@return table
function unknown.new(name)
  return make(tostring(name))
end

---@param value any
---@return boolean
function unknown.is(value)
  return getmetatable(value) == meta
end

---Does it hold one, at any depth?
---@param value any
---@param depth? integer
---@return boolean
function unknown.within(value, depth)
  if unknown.is(value) then return true end
  if type(value) ~= "table" or (depth or 0) > 20 then return false end
  for k, v in next, value do
    if unknown.within(k, (depth or 0) + 1) or unknown.within(v, (depth or 0) + 1) then return true end
  end
  return false
end

---What to show for it: "‹incident.id, known after the run›".
---@param value any
---@return string
function unknown.text(value)
  if not unknown.is(value) then return tostring(value) end
  return whole[value] or "‹" .. name_of[value] .. ", known after the run›"
end

---The rendering of the change whose whole result it is, or nil.
---@param value any
---@return string?
function unknown.change(value)
  if not unknown.is(value) or whole[value] or root_of[value] ~= name_of[value] then return nil end
  return name_of[value]
end

---The places from which the plan may diverge.
---@return {step:string?, file:string, line:integer, text:string}[]
function unknown.uncertain()
  return found
end

---Begin a new list; the places found from now on belong to that step.
---@param id? string
function unknown.at_step(id)
  step = id
end

function unknown.reset()
  found, seen, step = {}, {}, nil
end

---What is only shown (an undo) does not make the plan uncertain.
---@param on boolean
function unknown.record(on)
  recording = on
end

function meta:__index(key)
  -- As if a list had one element: `ipairs` over an unknown must end.
  if math.type(key) == "integer" then
    record(name_of[self] .. "[" .. key .. "]", root_of[self])
    if key == 1 then return make(name_of[self] .. "[1]", nil, root_of[self]) end
    return nil
  end
  local name = name_of[self] .. "." .. tostring(key)
  record(name, root_of[self])
  return make(name, nil, root_of[self])
end

function meta.__newindex()
  require("pgsh.errors").usage("a value that is known only after the run cannot be changed")
end

function meta:__call() return make(name_of[self] .. "()", nil, root_of[self]) end
function meta:__tostring() return unknown.text(self) end
function meta.__concat(a, b) return make("text", show(a) .. show(b)) end

function meta:__len()
  record("#" .. name_of[self], root_of[self])
  return 1
end

local function compared(a, b)
  record(name_of[a] or name_of[b], root_of[a] or root_of[b])
  return false
end
meta.__eq, meta.__lt, meta.__le = compared, compared, compared

function meta:__pairs()
  record(name_of[self], root_of[self])
  return next, {}, nil
end

for event, sign in pairs { add = "+", sub = "-", mul = "*", div = "/", mod = "%", idiv = "//", pow = "^" } do
  meta["__" .. event] = function(a, b) return make("number", show(a) .. " " .. sign .. " " .. show(b)) end
end
function meta:__unm() return make("number", "-" .. show(self)) end

-- string.format and table.concat would turn an unknown into an ordinary text, and a read that is given that text would really
-- be made. They are taught about unknowns as soon as there can be any, that is when this module is loaded.
local format, concat = string.format, table.concat

local function format_unknown(text, arguments)
  local index = 0
  local result = text:gsub("%%[-+ #0]*%d*%.?%d*[%a%%]", function(directive)
    if directive == "%%" then return "%" end
    index = index + 1
    local argument = arguments[index]
    if unknown.is(argument) then return show(argument) end
    return format(directive, argument)
  end)
  return make("text", result)
end

rawset(string, "format", function(text, ...)
  for i = 1, select("#", ...) do
    if unknown.is((select(i, ...))) then return format_unknown(text, { ... }) end
  end
  return format(text, ...)
end)

rawset(table, "concat", function(list, separator, first, last)
  if type(list) == "table" and not unknown.is(list) then
    for i = first or 1, last or #list do
      if unknown.is(list[i]) then
        local texts = {}
        for k = first or 1, last or #list do texts[#texts + 1] = show(list[k]) end
        return make("text", concat(texts, separator))
      end
    end
  end
  return concat(list, separator, first, last)
end)

return unknown
