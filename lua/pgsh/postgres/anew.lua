-- Changes that a resumed run makes anew instead of taking them from the journal: those to something that ends with the process.
--
-- They are journaled as all changes are, in a branch that no later process looks up. Nor do they count as changes of the step that
-- stay in effect: nothing of them does.
local host = require "pgsh.host"
local session = require "pgsh.session"

local anew = {}

local count = 0

---A text no other process and no other call has had.
function anew.unique()
  count = count + 1
  return ("%d.%x.%d"):format(host.pid, host.now(), count)
end

---Call f(...) in a branch of its own; what may be done there is what may be done here.
---@param what string
---@param f function
function anew.call(what, f, ...)
  if session.shows() then return f(...) end -- a plan only counts
  local current = session.current
  local outer = current and current.scope
  local scope = {
    branch = ("%s %s"):format(what, anew.unique()), step = outer and outer.step, phase = outer and outer.phase or "direct",
    changes = outer and outer.changes or "allow",
  }
  return host.within(scope, f, ...)
end

return anew
