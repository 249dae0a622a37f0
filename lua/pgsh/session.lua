-- session: what one invocation works on: its options, the procedure being loaded, and how far the run has come.
-- One at a time; the modules that scripts call (wait, ask, param…) find it as session.current.

local host = require "pgsh.host"
local fold = require "pgsh.fold"

local session = { current = nil }

---@class pgsh.Session
---@field invocation table
---@field options table
---@field registering boolean       # the top level of a script is being executed
---@field bodies boolean            # false: nothing of the script but its top level is executed (help, checklist, --list)
---@field procedure table           # what `procedure {…}` said
---@field params table              # pgsh.params
---@field preflights table[]
---@field steps table[]             # in order
---@field by_id table<string, table>
---@field clocks table[]            # declared clocks, in order
---@field run? string               # id of the run, when there is one
---@field state table               # pgsh.fold: what the journal says; of a new run: empty
---@field scope? table              # the scope in which script code runs now
---@field left_out table[]          # {what, why}

---@param invocation table
---@param options? {bodies: boolean?}
---@return pgsh.Session
function session.new(invocation, options)
  local new = {
    invocation = invocation,
    options = invocation.options or {},
    registering = false,
    bodies = not (options and options.bodies == false),
    procedure = {},
    preflights = {}, steps = {}, by_id = {}, clocks = {}, facts = {}, left_out = {},
    defaults = {},
    state = fold.empty(),
    started = host.mono(),
  }
  session.current = setmetatable(new, { __index = session })
  return new
end

---The session whose script is loading; raises when there is none.
---@param what string               # "step"
---@return pgsh.Session
function session.declaring(what)
  local current = session.current
  if not current or not current.registering then
    require("pgsh.errors").usage("%s belongs at the top level of a procedure's file", what)
  end
  return current
end

---Call f(...) with the door set to a step's phase. `changes`: "allow", "refuse", "show".
---@param self pgsh.Session
---@param branch string
---@param step string?
---@param phase string
---@param changes string
---@param f function
---@return table scope               # with its counters
---@return boolean ok
---@return any ...                   # results, or the error object
function session.within(self, branch, step, phase, changes, f, ...)
  local errors = require "pgsh.errors"
  local former = self.scope
  local scope = { branch = branch, step = step, phase = phase, changes = changes }
  self.scope = scope
  local results = table.pack(errors.try(host.within, scope, f, ...))
  self.scope = former
  return scope, table.unpack(results, 1, results.n)
end

---Emit an event and bring the state up to date with it, exactly as a resume will from the journal.
---@param self pgsh.Session
---@param type string
---@param body table
function session.emit(self, type, body)
  host.emit(type, body)
  fold.apply(self.state, type, body)
end

---Are changes only shown where the script is now?
---@return boolean
function session.shows()
  local current = session.current
  if current and current.scope and current.scope.changes == "show" then return true end
  return host.mode() == "plan"
end

return session
