-- complete: what can stand at the cursor. It looks at values without running any of their code (no metamethods), and at what is
-- known already: nothing here waits.

local host = require "pgsh.host"

local complete = {}

function complete.install(shell)
  host.completer(function(line, point) return complete.choices(shell, line, point) end)
end

function complete.choices()
  return nil
end

return complete
