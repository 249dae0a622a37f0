-- Faults on demand, of two sorts.
--
-- Standing ones, which hold until taken back:   { name = "stuck-finalizer", on = "postgres-data" }
--   stuck-finalizer    a claim or volume stays Terminating      slow-binding   a claim stays Pending
--                      (and a volume is not reclaimed)
--   image              an image cannot be pulled                attach         a volume does not attach
--   stuck-terminating  a pod does not end
-- on: a Lua pattern of the object's name (of the image's); absent: all.
--
-- Those of requests, consumed in order by what matches: { verb = "patch", resource = "deployments", name = "^site$", skip, times, action =
-- …}
--   verb: get, list, create, patch, delete, exec, log ("scale", "apply" too: the words of the command line, in command)
--   contains: plain text that the words of an exec hold;   times: how often (default 1; 0: for ever);   skip: matches let pass first
--   action:
--     refused     nobody listens at the API server's port          timeout   no answer within the request's timeout
--     throttled   429, after kubectl's own tries                   forbidden, unauthorized, conflict, internal
--     lost        done, but the connection ends before the answer
--     and of exec: before  not started; the node cannot be dialled
--                  cut     the connection ends after bytes (default 0) of output (or of input: input = true), the process goes on (kill =
--                  true: it dies)
--                  after   the command ended, its status is lost: exit status 0 and no word, or status and text given here
--                  hang    the command ended, kubectl never does (as when more than 64 kB of input stay unread)
--     status, text: of a cut or after; what kubectl exits with (default 0) and prints on stderr (default nothing)
local check = require "core.check"
local json = require "core.json"
local refusal = require "core.refusal"

local faults = {}
local Faults = {}
Faults.__index = Faults

local STANDING = { "stuck-finalizer", "slow-binding", "image", "attach", "stuck-terminating" }
local ACTIONS = { "refused", "timeout", "throttled", "forbidden", "unauthorized", "conflict", "internal", "lost", "before", "cut", "after",
  "hang" }
local OF_EXEC = { before = true, cut = true, after = true, hang = true }

local RULE = check.record({
  verb = check.filled, resource = check.filled, name = check.filled, namespace = check.filled, contains = check.filled,
    command = check.filled,
  times = check.natural, skip = check.natural, action = check.one_of(ACTIONS), bytes = check.natural, input = check.boolean,
  kill = check.boolean, status = check.natural, text = check.string,
}, { "action" })

local HOLD = check.record({ name = check.one_of(STANDING), on = check.filled, clear = check.boolean }, { "name" })

function faults.new(audit) return setmetatable({ standing = {}, rules = {}, audit = audit }, Faults) end

function Faults:clear() self.standing, self.rules = {}, {} end

function Faults:add(rule)
  local why = RULE(rule, "fault")
  if why then refusal.raise(422, "invalid", why) end
  rule.times = rule.times or 1
  if rule.times == 0 then rule.times = math.huge end
  rule.skip = rule.skip or 0
  self.rules[#self.rules + 1] = rule
end

function Faults:hold(given)
  local why = HOLD(given, "fault")
  if why then refusal.raise(422, "invalid", why) end
  for i = #self.standing, 1, -1 do
    local one = self.standing[i]
    if one.name == given.name and (given.on == nil or one.on == given.on) then table.remove(self.standing, i) end
  end
  if not given.clear then self.standing[#self.standing + 1] = given end
end

function Faults:holds(name, of)
  for _, one in ipairs(self.standing) do
    if one.name == name and (not one.on or of:match(one.on)) then return true end
  end
  return false
end

local function matches(rule, request)
  return (not rule.verb or rule.verb == request.verb) and (not rule.resource or rule.resource == request.resource)
    and (not rule.name or request.name and request.name:match(rule.name)) and (not rule.namespace or rule.namespace == request.namespace)
    and (not rule.command or rule.command == request.command)
    and (not rule.contains or request.words and table.concat(request.words, " "):find(rule.contains, 1, true))
    and (not OF_EXEC[rule.action] or request.verb == "exec")
end

-- The fault of a request, which is consumed; or nil. request: { verb, resource, name, namespace, command, words }
function Faults:take(request)
  for i, rule in ipairs(self.rules) do
    if matches(rule, request) then
      if rule.skip > 0 then
        rule.skip = rule.skip - 1
      else
        rule.times = rule.times - 1
        if rule.times <= 0 then table.remove(self.rules, i) end
        return rule
      end
    end
  end
  return nil
end

-- Whether a verb is forbidden, without consuming: for auth can-i.
function Faults:forbids(request)
  for _, rule in ipairs(self.rules) do
    if rule.action == "forbidden" and matches(rule, request) then return true end
  end
  return false
end

function Faults:list()
  local out = json.array()
  for _, rule in ipairs(self.rules) do out[#out + 1] = rule end
  return out
end

return faults
