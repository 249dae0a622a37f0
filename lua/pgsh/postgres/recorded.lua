-- What the journal of this run says of a change that is about to be made. Checks that only make sense before it (is the target empty, is
-- there room) must not stop a resumed run in which it is answered from the journal.
local host = require "pgsh.host"
local secret = require "pgsh.secret"
local session = require "pgsh.session"

local recorded = {}

---The outcome of the change that is shown like this, in this branch: "ok", "failed", "unknown", "begun"; nil: it was not made, or undone.
---@param show string
---@return string?
function recorded.outcome(show)
  local current = session.current
  local branch = current and current.run and host.mode() == "real" and current.scope and current.scope.branch
  if not branch then return nil end
  show = secret.redact(show)
  local outcome
  for _, event in ipairs((host.run_read(current.run))) do
    if event.type == "step.undone" and branch:sub(1, #tostring(event.step) + 1) == tostring(event.step) .. "/" then outcome = nil end
    if event.branch == branch and event.show == show then
      if event.type == "effect.intent" then outcome = "begun" end
      if event.type == "effect.outcome" then outcome = event.outcome end
    end
  end
  return outcome
end

return recorded
