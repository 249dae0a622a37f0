-- What the supports of the procedures have in common: how one is called, with all answers given, and called again; what it said.
--
--   local Rolling = procedure.derive { limit_s = 150 }     a class; the longest that one call may take
--   Rolling needs .box (support/run.lua), :words(more, options) (a whole call) and :answers() (those that a resume gets, too)
--   rolling:go({ "--lag", "0" }, { env = … })              the procedure; :start(…) the same in the background
--   rolling:again("resume", more, { env = … })             pgsh resume last
--   rolling:forget()                                       no runs
--   rolling:says(result, text, …)                          each text is in what it said
local check = require "tests.spec.support.check"

local procedure = {}
local Procedure = {}
Procedure.__index = Procedure

function procedure.derive(fields)
  local class = setmetatable(fields, Procedure)
  class.__index = class
  return class
end

-- Several lists as one.
function procedure.joined(...)
  local out = {}
  for _, list in ipairs { ... } do table.move(list, 1, #list, #out + 1, out) end
  return out
end

local function limited(self, options)
  options = options or {}
  options.limit = options.limit or self.limit_s
  return options
end

function Procedure:go(more, options)
  options = limited(self, options)
  return self.box:pgsh(self:words(more, options), options)
end

function Procedure:start(more, options) return self.box:start(self:words(more, options), options) end

function Procedure:again(command, more, options)
  return self.box:pgsh(procedure.joined({ command, "last" }, self:answers(), more or {}), limited(self, options))
end

function Procedure:forget() os.execute(("rm -rf %s/state/pgsh"):format(self.box.dir)) end

function Procedure.says(_, result, ...) check.has(result.stdout .. result.stderr, ...) end

return procedure
