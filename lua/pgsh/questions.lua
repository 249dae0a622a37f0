-- questions: what the engine asks the operator. They are answered by --yes, --confirm or the journal before anybody is asked; without
-- a terminal a needed answer is an error that names the flag.

local host = require "pgsh.host"
local errors = require "pgsh.errors"

local questions = {}

-- The event of an answer. `key` is what a resumed run finds it by.
local function answered(current, question, answer, by)
  local final = not question.secret and answer ~= question.forget
  local body = {
    question = question.text, answer = question.secret and "•••" or answer, by = by, user = host.user,
    branch = current.scope and current.scope.branch, key = final and question.key or nil,
  }
  current:emit("answered", body)
  return answer
end

---Ask, or answer from the journal or a flag.
---@param current pgsh.Session
---@param question table            # as host.ask takes it, and: `key` for the journal, `given`: the answer that a flag gives
---       beforehand, `forget`: the answer that a later attempt is not bound by, `default`
---@return string answer
---@return string by                # "operator", "flag", "journal"
function questions.put(current, question)
  local known = question.key and current.state.answers[question.key]
  if known ~= nil then return known, "journal" end
  if question.given ~= nil then return answered(current, question, question.given, "flag"), "flag" end
  host.emit("asked", { question = question.text, flag = question.flag, default = question.default, labels = question.labels })
  local begun = host.mono()
  local timed <close> = setmetatable({}, { __close = function() -- luacheck: ignore
    current.asked_ms = (current.asked_ms or 0) + host.mono() - begun
  end })
  local answer = host.ask {
    text = question.text, flag = question.flag, options = question.options, labels = question.labels,
    expect = question.expect, secret = question.secret,
  }
  return answered(current, question, answer, "operator"), "operator"
end

---A routine question: true or false. --yes says yes.
---@param current pgsh.Session
---@param text string
---@param key? string
---@return boolean
function questions.routine(current, text, key)
  local answer = questions.put(current, {
    text = text, flag = "--yes", options = "yn", labels = "[y]es   [n]o", key = key, forget = "n",
    given = current.options.yes and "y" or nil,
  })
  return answer == "y"
end

---The flag that confirms a name, as it is typed at a system shell.
---@param name string
---@return string
function questions.flag(name)
  local plain = name:find "^[%w@%%+=:,./_-]+$"
  return "--confirm " .. (plain and name or "'" .. name:gsub("'", "'\\''") .. "'")
end

---What --confirm says about a name: true, or the text behind "name="; nil when it does not name it.
---@param current pgsh.Session
---@param name string
---@return boolean|string|nil
function questions.confirmed(current, name)
  for _, given in ipairs(current.options.confirm or {}) do
    if given == name then return true end
    if given:sub(1, #name + 1) == name .. "=" then return given:sub(#name + 2) end
  end
end

---A typed confirmation: raises `refused` unless the text is typed exactly, or --confirm names it.
---@param current pgsh.Session
---@param expect string
---@param why string
---@param key? string
function questions.typed(current, expect, why, key)
  local answer = questions.put(current, {
    text = ("%s: type %s to confirm"):format(why, expect), flag = questions.flag(expect), expect = expect, key = key,
    given = questions.confirmed(current, expect) and expect or nil,
  })
  if answer ~= expect then errors.raise("refused", "%s: not confirmed", why) end
end

return questions
