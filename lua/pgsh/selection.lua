-- selection: which steps are to be done: --from, --until, --skip, and the `when` of the steps themselves.

local errors = require "pgsh.errors"

local selection = {}

local function check_id(current, option, id)
  if current.by_id[id] then return end
  local ids = {}
  for i, step in ipairs(current.steps) do ids[i] = step.id end
  errors.raise("usage", "%s %s: there is no such step%s (see --list)", option, id, require("pgsh.nearest").hint(id, ids))
end

---Check the ids that were given; raises usage.
---@param current pgsh.Session
function selection.check(current)
  local options = current.options
  if options.from then check_id(current, "--from", options.from) end
  if options["until"] then check_id(current, "--until", options["until"]) end
  for _, id in ipairs(options.skip or {}) do check_id(current, "--skip", id) end
  local from, upto = options.from and current.by_id[options.from], options["until"] and current.by_id[options["until"]]
  if from and upto and from.number > upto.number then
    errors.raise("usage", "--from %s comes after --until %s", from.id, upto.id)
  end
end

---Journal the choices: a resumed run keeps --from and --skip.
---@param current pgsh.Session
function selection.record(current)
  local options = current.options
  if options.from then
    current:emit("setting", { text = "from step " .. options.from, option = "from", value = options.from })
  end
  for _, id in ipairs(options.skip or {}) do
    current:emit("setting", { text = "skip step " .. id, option = "skip " .. id, value = id })
  end
  if options["until"] then
    current:emit("setting", { text = "until step " .. options["until"] })
  end
end

local function skipped_by_option(current, step)
  local options, settings = current.options, current.state.settings
  for _, id in ipairs(options.skip or {}) do
    if id == step.id then return "--skip" end
  end
  if settings["skip " .. step.id] then return "--skip" end
  local from = current.by_id[options.from or settings.from]
  if from and step.number < from.number then return "--from " .. from.id end
end

---Why a step is left out; nil when it is to be done. `when` may read; in the checklist (no bodies) only booleans count.
---@param current pgsh.Session
---@param step table
---@return string?
function selection.why_not(current, step)
  local why = skipped_by_option(current, step)
  if why then return why end
  local when, reason = step.when, nil
  if type(when) == "function" then
    if not current.bodies then return nil end
    local _, ok
    _, ok, when, reason = current:within(step.id .. "/when", step.id, "keep", "refuse", when)
    if not ok then error(when, 0) end
    if require("pgsh.unknown").is(when) then return nil end
    when = not not when
  end
  if when == false then return reason or step.when_why or "not asked for" end
end

---Steps of the selection that are left out for sure, without reading anything.
---@param current pgsh.Session
---@return table[]
function selection.certain(current)
  local list = {}
  local upto = current.by_id[current.options["until"]]
  for _, step in ipairs(current.steps) do
    local out = current.state.done[step.id] or current.state.skipped[step.id] or step.when == false or skipped_by_option(current, step)
      or upto and step.number > upto.number
    if not out then list[#list + 1] = step end
  end
  return list
end

return selection
