-- Files that a plan would have written: what comes later in the plan cannot read them.
local session = require "pgsh.session"

local planned = {}

local paths = {}

function planned.add(path) paths[path] = true end

---Would it be there by now, if the plan were a run?
function planned.has(path)
  return session.shows() and paths[path] or false
end

return planned
