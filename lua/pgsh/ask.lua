-- ask: what scripts ask the operator. Answers are journaled: a resumed or repeated step gets the same ones. In a plan nothing is
-- asked, only shown.

local host = require "pgsh.host"
local errors = require "pgsh.errors"
local questions = require "pgsh.questions"
local session = require "pgsh.session"
local strict = require "pgsh.strict"

local ask = {}

-- The questions of a branch are told apart by their text and how often it was asked: a resumed or repeated step must get the
-- same answers in the same order, or its effects would no longer match the journal.
local function key_of(current, text)
  local scope = current.scope
  if not scope then return nil end
  scope.asked = scope.asked or {}
  scope.asked[text] = (scope.asked[text] or 0) + 1
  return scope.branch .. "/" .. text .. "/" .. scope.asked[text]
end

local function check(what, text, options, allowed)
  if type(text) ~= "string" then errors.usage("%s: the question is a text", what) end
  for key in pairs(options or {}) do
    if not allowed[key] then errors.usage("%s: unknown option %s", what, tostring(key)) end
  end
  local current = session.current
  if session.shows() then
    local step = current and current.scope and current.scope.step
    host.emit("plan.note", { step = step, kind = "ask", text = text })
  end
  return current
end

---Yes or no. --yes answers yes; in a plan yes is assumed.
---@param text string
---@return boolean
local function yes_or_no(text)
  local current = check("ask", text)
  if session.shows() then return true end
  return questions.routine(current, text, key_of(current, text))
end

---A line of text. `default` is taken on an empty line and by --yes.
---@param text string
---@param options? {default: string?}
---@return string
function ask.text(text, options)
  local default = options and options.default
  local current = check("ask.text", text, options, { default = true })
  if session.shows() then return default or require("pgsh.unknown").new("answer to \"" .. text .. "\"") end
  local answer = questions.put(current, {
    text = text, flag = default and "--yes" or nil, key = key_of(current, text), default = default,
    given = current.options.yes and default or nil,
  })
  return answer == "" and default or answer
end

---One of several: choices are { letter = "label" }, given as a list of { "r", "restart" }.
---@param text string
---@param choices string[][]
---@return string letter
function ask.choice(text, choices)
  local current = check("ask.choice", text)
  local letters, labels = {}, {}
  for i, choice in ipairs(choices) do
    letters[i], labels[i] = choice[1], ("[%s] %s"):format(choice[1], choice[2])
  end
  if session.shows() then return require("pgsh.unknown").new("answer to \"" .. text .. "\"") end
  return (questions.put(current, {
    text = text, options = table.concat(letters), labels = table.concat(labels, "   "), key = key_of(current, text),
  }))
end

---A secret, not echoed and never journaled.
---@param text string
---@return any secret
function ask.secret(text)
  local current = check("ask.secret", text)
  if session.shows() then return require("pgsh.unknown").new("answer to \"" .. text .. "\"") end
  return require("pgsh.secret")((questions.put(current, { text = text, secret = true })))
end

---A confirmation by typing a name; --confirm NAME answers it.
---@param name string
---@param why string
function ask.confirm(name, why)
  local current = check("ask.confirm", why)
  if session.shows() then return end
  questions.typed(current, name, why, key_of(current, why .. name))
end

return strict.module("ask", ask, yes_or_no)
