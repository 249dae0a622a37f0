-- extend: a small file that takes a procedure and changes it: before, after, replace, skip steps by id; defaults of parameters.

local errors = require "pgsh.errors"
local place = require "pgsh.place"
local session = require "pgsh.session"
local steps = require "pgsh.steps"

local extend = {}

---Load another procedure into this one: `extend "heroku-primary"`.
---@param name string
function extend.extend(name)
  local current = session.declaring "extend"
  if type(name) ~= "string" then errors.usage("extend \"name\": the name or the path of a procedure") end
  local load = require "pgsh.load"
  local file = place.find()
  local text, path = load.find(name, file and file:match("^(.*)/[^/]*$") or ".")
  if not text then errors.usage("extend \"%s\": there is no such procedure", name) end
  if current.loading[path] then errors.usage("extend \"%s\": %s extends itself", name, path) end
  load.chunk(current, text, path)
  current.at = nil
  current.extends = path
end

---Other defaults for parameters of the extended procedure; stands before `extend`.
---@param values table<string, any>
function extend.defaults(values)
  local current = session.declaring "defaults"
  if type(values) ~= "table" then errors.usage("defaults { name = value }") end
  for name, value in pairs(values) do
    name = tostring(name):gsub("_", "-")
    if current.params.by_name[name] then errors.usage("defaults must stand before extend: %s has its value already", name) end
    if current.defaults[name] == nil then current.defaults[name] = value end
  end
end

local function index_of(current, id, what)
  local step = current.by_id[id]
  if not step then
    local ids = {}
    for i, each in ipairs(current.steps) do ids[i] = each.id end
    errors.usage("%s \"%s\": there is no such step%s", what, tostring(id), require("pgsh.nearest").hint(tostring(id), ids))
  end
  for i, each in ipairs(current.steps) do
    if each == step then return i, step end
  end
end

-- The steps that a table of handles names, or that a function registers, taken out of the list.
local function take(current, body, what)
  local taken = {}
  if type(body) == "function" then
    local first = #current.steps + 1
    body()
    while #current.steps >= first do table.insert(taken, 1, table.remove(current.steps)) end
  elseif type(body) == "table" then
    if steps.of_handle(body) then body = { body } end
    for i, handle in ipairs(body) do
      local step = steps.of_handle(handle)
      if not step then errors.usage("%s: steps are expected between the braces", what) end
      taken[i] = step
      table.remove(current.steps, (index_of(current, step.id, what)))
    end
  end
  if #taken == 0 then errors.usage("%s: steps are expected between the braces", what) end
  return taken
end

local function put(current, taken, index, anchor)
  for i, step in ipairs(taken) do
    if not step.own_at then step.at = anchor.at end
    table.insert(current.steps, index + i - 1, step)
  end
end

---@param id string
function extend.before(id)
  local current = session.declaring "before"
  index_of(current, id, "before")
  return function(body)
    local taken = take(current, body, "before")
    local index, anchor = index_of(current, id, "before")
    put(current, taken, index, anchor)
  end
end

---@param id string
function extend.after(id)
  local current = session.declaring "after"
  index_of(current, id, "after")
  return function(body)
    local taken = take(current, body, "after")
    local index, anchor = index_of(current, id, "after")
    put(current, taken, index + 1, anchor)
  end
end

---Other steps in the place of one. A single step without an id of its own takes over the id, so that others still find it.
---@param id string
function extend.replace(id)
  local current = session.declaring "replace"
  index_of(current, id, "replace")
  return function(body)
    local taken = take(current, body, "replace")
    local index, anchor = index_of(current, id, "replace")
    table.remove(current.steps, index)
    current.by_id[anchor.id] = nil
    if #taken == 1 and not taken[1].named then
      current.by_id[taken[1].id] = nil
      taken[1].id = anchor.id
      current.by_id[anchor.id] = taken[1]
    end
    put(current, taken, index, anchor)
  end
end

---Leave a step out.
---@param id string
---@param why? string
function extend.skip(id, why)
  local current = session.declaring "skip"
  local _, step = index_of(current, id, "skip")
  step.when, step.when_why = false, why or "left out by " .. (place.text() or "the extending file")
end

return extend
