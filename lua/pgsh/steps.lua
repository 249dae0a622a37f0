-- steps: the declarations of a procedure's file: procedure, step, manual, preflight, fact, at, tripwire. They only register;
-- bodies run later, in order.

local host = require "pgsh.host"
local clocks = require "pgsh.clocks"
local errors = require "pgsh.errors"
local place = require "pgsh.place"
local schedule = require "pgsh.schedule"
local session = require "pgsh.session"

local steps = {}

local function set(text)
  local names = {}
  for name in text:gmatch("%S+") do names[name] = true end
  return names
end

local STEP = set "id keep run verify verify_within undo confirm at opens closes timeout when note on_unknown doc text tripwire tripwires"
local MANUAL = set "id text url keep verify verify_within undo confirm at opens closes timeout when note doc tripwire tripwires"
local PREFLIGHT = set "run when doc text timeout"
local PROCEDURE = set "name summary doc links"

local function check_keys(what, body, allowed)
  for key in next, body do
    if not allowed[key] then
      local names = {}
      for name in pairs(allowed) do names[#names + 1] = name end
      errors.usage("%s: unknown option %s%s", what, tostring(key), require("pgsh.nearest").hint(tostring(key), names))
    end
  end
end

local function check_type(what, body, key, ...)
  local value = body[key]
  if value == nil then return end
  for i = 1, select("#", ...) do
    if type(value) == select(i, ...) then return end
  end
  errors.usage("%s: %s must be a %s", what, key, table.concat({ ... }, " or a "))
end

---"Stop the worker" → "stop-the-worker".
---@param title string
---@return string
function steps.slug(title)
  return (title:lower():gsub("[^%w\128-\255]+", "-"):gsub("^%-+", ""):gsub("%-+$", ""))
end

-- Handles ------------------------------------------------------------------------------------------------------------------

local STEP_OF = {} -- key under which a handle holds its step
local handle_meta = { __name = "pgsh.Step", __metatable = false }

-- What a script gets from `step "…" {…}`: id, title, and, once it has run, what it kept and what its run returned, also in a
-- resumed run.
function handle_meta.__index(handle, key)
  local step = rawget(handle, STEP_OF)
  local state = session.current.state
  if key == "kept" then return state.kept[step.id] end
  if key == "result" then return state.results[step.id] end
  if key == "done" then return state.done[step.id] or false end
  if key == "id" or key == "title" then return step[key] end
  errors.usage("a step has id, title, kept, result and done, not %s", tostring(key))
end

function handle_meta.__newindex(_, key) errors.usage("%s of a step cannot be set", tostring(key)) end

local function handle_of(step)
  return setmetatable({ [STEP_OF] = step }, handle_meta)
end

---The step behind a handle; nil when the value is none.
---@param value any
---@return table?
function steps.of_handle(value)
  return type(value) == "table" and rawget(value, STEP_OF) or nil
end

-- Reading a declaration ----------------------------------------------------------------------------------------------------

-- `verify` and `undo` are a function, or { "what", function }, or only a text (for undo: done by hand).
local function worded(what, body, key)
  local value = body[key]
  if value == nil or type(value) == "function" then return value, nil end
  if type(value) == "string" then
    if key == "undo" then return nil, value end
    errors.usage("%s: %s = { \"what must hold\", function }", what, key)
  end
  if type(value) ~= "table" or type(value[1]) ~= "string" or type(value[2]) ~= "function" then
    errors.usage("%s: %s is a function, or { \"text\", function }", what, key)
  end
  return value[2], value[1]
end

local function milliseconds(what, body, key)
  if body[key] == nil then return nil end
  local ms = host.duration(body[key])
  if not ms then errors.usage("%s: %s is not a duration (30, \"5m\")", what, key) end
  return ms
end

local function read_when(what, step, when)
  if when == nil then return end
  if type(when) == "table" and not require("pgsh.unknown").is(when) then
    when, step.when_why = when[1] or false, when[2]
  end
  if type(when) ~= "function" then when = not not when end
  if step.when_why ~= nil and type(step.when_why) ~= "string" then
    errors.usage("%s: when = { condition, \"why it is left out\" }", what)
  end
  step.when = when
end

local function read_tripwires(what, body)
  local list = body.tripwires or (body.tripwire and { body.tripwire })
  for _, wire in ipairs(list or {}) do
    if type(wire) ~= "table" or type(wire.check) ~= "function" then errors.usage("%s: tripwire = tripwire { \"what\", function }", what) end
  end
  return list
end

local function read_clock(current, what, body, key)
  if body[key] ~= nil and not clocks.is(current, body[key]) then
    errors.usage("%s: %s = a clock, as clock { \"…\" } returns it", what, key)
  end
  return body[key]
end

-- In a checklist facts are not read: a text that is put together of one is an unknown, and its text is what is wanted.
local function plain(value)
  return require("pgsh.unknown").is(value) and tostring(value) or value
end

local function plain_body(body)
  if type(body) ~= "table" then return plain(body) end
  local copy = {}
  for key, value in pairs(body) do copy[key] = key ~= "when" and plain(value) or value end
  for _, key in ipairs { "verify", "undo" } do
    if type(copy[key]) == "table" then copy[key] = { plain(copy[key][1]), copy[key][2] } end
  end
  return copy
end

-- Fill `step` from what the script wrote between the braces.
local function read_body(current, step, body)
  local what = ("%s \"%s\""):format(step.kind, step.title)
  for _, key in ipairs { "run", "keep", "note", "on_unknown" } do check_type(what, body, key, "function") end
  check_type(what, body, "id", "string")
  check_type(what, body, "confirm", "string", "function")
  check_type(what, body, "text", "string", "function")
  check_type(what, body, "doc", "string")
  check_type(what, body, "url", "string", "function")
  step.run, step.keep, step.note, step.on_unknown = body.run, body.keep, body.note, body.on_unknown
  step.id, step.confirm, step.text, step.doc, step.url = body.id, body.confirm, body.text, body.doc, body.url
  step.verify, step.verify_text = worded(what, body, "verify")
  step.undo, step.undo_text = worded(what, body, "undo")
  step.verify_within_ms = milliseconds(what, body, "verify_within")
  step.timeout_ms = milliseconds(what, body, "timeout")
  step.opens, step.closes = read_clock(current, what, body, "opens"), read_clock(current, what, body, "closes")
  step.tripwires = read_tripwires(what, body)
  if body.at ~= nil then step.at, step.own_at = schedule.check(body.at), true end
  read_when(what, step, body.when)
  step.named = body.id ~= nil
end

---Add a step at the end; its id must be new.
---@param current pgsh.Session
---@param step table
function steps.add(current, step)
  local former = current.by_id[step.id]
  if step.id == "" or step.id == "preflight" or step.id:find("[/%s,=]") then
    errors.usage("%s \"%s\": id \"%s\" cannot be used: give another with id =", step.kind, step.title, step.id)
  end
  if former then
    errors.usage("%s \"%s\": the id %s is taken by line %d: give one of them another with id =", step.kind, step.title, step.id,
      former.line or 0)
  end
  current.by_id[step.id] = step
  current.steps[#current.steps + 1] = step
end

local function declare(kind, title, allowed)
  local current = session.declaring(kind)
  if not current.bodies then title = plain(title) end
  if type(title) ~= "string" or title == "" then errors.usage("%s \"Title\" { … }: a title is needed", kind) end
  local step = { kind = kind, title = title, at = current.at }
  step.file, step.line = place.find()
  current.pending[step] = true
  return current, step, function(body)
    current.pending[step] = nil
    if type(body) == "function" and kind ~= "manual" then body = { run = body } end
    if type(body) == "string" and kind == "manual" then body = { text = body } end
    if type(body) ~= "table" then errors.usage("%s \"%s\": a table or a function is expected behind the title", kind, title) end
    if not current.bodies then body = plain_body(body) end
    check_keys(("%s \"%s\""):format(kind, title), body, allowed)
    read_body(current, step, body)
    step.id = step.id or steps.slug(title)
    return body
  end
end

-- The words of a script ----------------------------------------------------------------------------------------------------

---@param body table
function steps.procedure(body)
  local current = session.declaring "procedure"
  if type(body) ~= "table" then errors.usage("procedure { name = \"…\", summary = \"…\" }") end
  check_keys("procedure", body, PROCEDURE)
  for _, key in ipairs { "name", "summary", "doc" } do check_type("procedure", body, key, "string") end
  -- The file that is run has the last word over the one it extends.
  for key, value in pairs(body) do
    if current.depth == 1 or current.procedure[key] == nil then current.procedure[key] = value end
  end
end

---@param title string
function steps.step(title)
  local current, step, read = declare("step", title, STEP)
  return function(body)
    read(body)
    if not step.run and not step.verify then errors.usage("step \"%s\": run is needed", title) end
    steps.add(current, step)
    return handle_of(step)
  end
end

---@param title string
function steps.manual(title)
  local current, step, read = declare("manual", title, MANUAL)
  return function(body)
    read(body)
    steps.add(current, step)
    return handle_of(step)
  end
end

---@param title string
function steps.preflight(title)
  local current, step, read = declare("preflight", title, PREFLIGHT)
  return function(body)
    read(body)
    if not step.run then errors.usage("preflight \"%s\": a function is needed", title) end
    current.preflights[#current.preflights + 1] = step
  end
end

---A value read while the script loads; journaled, so that a resumed run sees the same.
---@param name string
function steps.fact(name)
  local current = session.declaring "fact"
  if type(name) ~= "string" then errors.usage("fact \"name\" (function)") end
  return function(f)
    if type(f) ~= "function" then errors.usage("fact \"%s\": a function is expected behind the name", name) end
    if current.state.known_facts[name] then return current.state.facts[name] end
    if not current.bodies or current.params:in_doubt() then return require("pgsh.unknown").new(name) end
    local _, ok, value = current:within("fact/" .. name, nil, "fact", "refuse", f)
    if not ok then error(value, 0) end
    current.facts[#current.facts + 1] = { name = name, value = value }
    current.state.facts[name], current.state.known_facts[name] = value, true
    return value
  end
end

---The steps that follow are due at that time: "start - 5m".
---@param text string
function steps.at(text)
  session.declaring("at").at = schedule.check(text)
end

---Something that must hold while a step runs: `tripwire { "the follower streams", function, every = "5s" }`.
---@param body table
function steps.tripwire(body)
  session.declaring "tripwire"
  if type(body) ~= "table" or type(body[1]) ~= "string" or type(body[2]) ~= "function" then
    errors.usage("tripwire { \"what must hold\", function, every = \"5s\" }")
  end
  return { what = body[1], check = body[2], every_ms = milliseconds("tripwire", body, "every") or 5000 }
end

---Number the steps and check that every declaration was completed. The preflights together are number 1.
---@param current pgsh.Session
function steps.finish(current)
  local step = next(current.pending)
  if step then
    errors.raise("usage", "%s:%d: %s \"%s\" has no body", step.file or "?", step.line or 0, step.kind, step.title)
  end
  local offset = #current.preflights > 0 and 1 or 0
  for i, each in ipairs(current.steps) do each.number = i + offset end
end

return steps
