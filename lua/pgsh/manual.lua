-- manual: what has no interface and is done by hand: the operator is told exactly what to do, confirms, and may attach a line of
-- evidence. `--yes` does not confirm it; `--confirm ID` or `--confirm ID=EVIDENCE` does.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local questions = require "pgsh.questions"

local manual = {}

local function text_of(value, kept, result)
  if type(value) == "function" then return value(kept, result) end
  return value
end

---What is to be done, line by line.
---@param step table
---@param kept any
---@return string
function manual.text(step, kept)
  local lines = {}
  for _, part in ipairs { "text", "url" } do
    local text = text_of(step[part], kept)
    if text then lines[#lines + 1] = tostring(text) end
  end
  return table.concat(lines, "\n")
end

-- The question "is it done?"; returns the evidence, or nil. Raises `refused` (with stop set) when it is not.
local function confirm(current, step, text, key)
  local given = questions.confirmed(current, step.id)
  local answer, by = questions.put(current, {
    text = text, flag = questions.flag(step.id), options = "des", forget = "s",
    labels = "[d]one   done, with a line of [e]vidence   [s]top here", key = key, given = given and (given == true and "d" or "e"),
  })
  if answer == "s" then
    error(host.error("refused", { message = step.title .. ": not done", stop = true }), 0)
  end
  if answer == "e" then
    return (questions.put(current, { text = "evidence", key = key .. "/evidence", given = type(given) == "string" and given or nil })), by
  end
  return nil, by
end

---Have a manual step done. Returns its result.
---@param current pgsh.Session
---@param step table
---@param kept any
---@return table {evidence?, user, by}
function manual.perform(current, step, kept)
  local text = manual.text(step, kept)
  local evidence, by = confirm(current, step, text == "" and step.title or step.title .. "\n" .. text, step.id .. "/run/manual")
  return { evidence = evidence, user = host.user, by = by }
end

---The note behind its line: "done in the dashboard" — ana
---@param result table
---@return string
function manual.note(result)
  if result.evidence then return ('"%s" — %s'):format(result.evidence, result.user) end
  return (result.by == "flag" and "--confirm" or "confirmed") .. " — " .. result.user
end

---Have the undo of a step done by hand.
---@param current pgsh.Session
---@param step table
function manual.undo(current, step)
  confirm(current, step, ("Undo: %s\n%s"):format(step.title, step.undo_text), step.id .. "/undo/manual")
end

---Manual steps and typed confirmations that will need an answer which no flag gives: told before the first change when there is
---nobody to ask.
---@param current pgsh.Session
---@param steps table[]             # those that will run
function manual.check_answers(current, steps)
  local flags = {}
  for _, step in ipairs(steps) do
    local name = step.kind == "manual" and step.id or type(step.confirm) == "string" and step.confirm or nil
    local known = current.state.answers[step.id .. "/run/manual"] or current.state.answers[step.id .. "/confirm"]
    if name and not known and not questions.confirmed(current, name) then flags[#flags + 1] = questions.flag(name) end
  end
  if #flags > 0 then
    errors.raise("answer", "there is no terminal to ask at, and steps need a confirmation: add %s", table.concat(flags, " "))
  end
end

return manual
