-- checklist: the procedure as a Markdown issue: one item a step, parameters filled in. No body is run and nothing is read, so it
-- works without credentials.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local load = require "pgsh.load"
local schedule = require "pgsh.schedule"
local selection = require "pgsh.selection"
local session = require "pgsh.session"

local checklist = {}

local MAX_VALUE = 100 -- letters of a parameter's value; the whole text of messages is in the steps

local function indented(text)
  return "      " .. text:gsub("\n", "\n      ")
end

-- The text of a manual step. It may be a function that puts a text together of parameters and what was kept; nothing is kept yet.
local function text_of(current, value)
  if type(value) ~= "function" then return value end
  local scope, ok, text = current:within("checklist", nil, "direct", "refuse", value, {})
  if ok and text ~= nil and (scope.reads or 0) == 0 then return tostring(text) end
  return "(what exactly is shown when the procedure runs)"
end

local function add_hints(current, lines, step)
  local function add(text) lines[#lines + 1] = indented(text) end
  local text, url = text_of(current, step.text), text_of(current, step.url)
  if text then add(text) end
  if url then add(url) end
  if step.doc then add(step.doc) end
  if type(step.confirm) == "string" then add(("Needs a confirmation: %s is to be typed."):format(step.confirm)) end
  if type(step.confirm) == "function" then add("Needs a confirmation by typing a name.") end
  if step.opens then
    local budget = step.opens.budget_ms and (" (at most %s)"):format(host.span(step.opens.budget_ms)) or ""
    add(("From here users are affected: **%s**%s."):format(step.opens.name, budget))
  end
  if step.closes then add(("Users are no longer affected: end of **%s**."):format(step.closes.name)) end
  if step.verify_text then add("Check: " .. step.verify_text) end
  if step.undo_text then
    add("To go back: " .. step.undo_text)
  elseif step.undo then
    add("Can be undone.")
  end
end

local function item(current, step)
  local kind = step.kind == "manual" and " *(by hand)*" or ""
  local why = selection.why_not(current, step)
  local lines = { ("- [ ] %d. **%s**%s%s"):format(step.number, step.title, kind, why and (" *(left out: %s)*"):format(why) or "") }
  add_hints(current, lines, step)
  return table.concat(lines, "\n")
end

local function heading(current, at)
  local start = schedule.start(current)
  if not start then return at end
  local due = host.iso(start + schedule.parse_offset(at))
  return ("%s: %s %s UTC"):format(at, due:sub(1, 10), due:sub(12, 16))
end

local function shortened(text)
  text = text:gsub("%s*\n%s*", " ")
  if (utf8.len(text) or 0) <= MAX_VALUE then return text end
  return text:sub(1, utf8.offset(text, MAX_VALUE) - 1) .. " …"
end

local function head(current)
  local lines = { "# " .. (current.procedure.summary ~= "" and current.procedure.summary or current.procedure.name), "" }
  local function add(text) lines[#lines + 1] = text end
  if current.procedure.doc then add(current.procedure.doc) add "" end
  add(("Procedure `%s`, made with `pgsh checklist %s`."):format(current.procedure.name, current.file))
  if #current.params.list > 0 then add "" end
  for _, spec in ipairs(current.params.list) do
    local text = require("pgsh.params").shown(spec)
    if text then add(("- %s: `%s`%s"):format(spec.name, shortened(text), spec.help ~= "" and " (" .. spec.help .. ")" or "")) end
  end
  local names = {}
  for i, target in ipairs(host.targets()) do names[i] = target.kind .. " " .. target.name end
  if #names > 0 then add "" add("Touches: " .. table.concat(names, ", ") .. ".") end
  return lines
end

---`pgsh checklist FILE …`
---@param invocation table
function checklist.start(invocation)
  local current = session.new(invocation, { bodies = false })
  host.set_mode "plan"
  local problem = load.procedure(current, invocation.file, true)
  -- A required parameter may be missing: its name stands in the text. Anything else that is wrong is an error.
  if problem then
    current.params:check(current.procedure.name)
    error(problem, 0)
  end
  current.params:check(current.procedure.name, true)
  if #current.steps == 0 then errors.raise("usage", "%s: no step is declared", current.file) end
  local lines = head(current)
  local section
  local function add(text) lines[#lines + 1] = text end
  if #current.preflights > 0 then
    add ""
    add(("- [ ] 1. **%s**"):format(require("pgsh.preflight").title(current)))
    for _, check in ipairs(current.preflights) do
      if #current.preflights > 1 then add(indented("- [ ] " .. check.title)) end
      if check.doc then add(indented("  " .. check.doc)) end
    end
  end
  for _, step in ipairs(current.steps) do
    if step.at ~= section then
      section = step.at
      add ""
      if section then add("## " .. heading(current, section)) add "" end
    end
    add(item(current, step))
  end
  host.emit("output", { text = table.concat(lines, "\n") .. "\n" })
end

return checklist
