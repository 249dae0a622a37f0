-- settle: what services ask themselves when the answer to a change was lost: did it happen?
--
-- "Not to be seen" is no answer at once: the request may still be under way, and be carried out after we looked. So the service
-- is asked until it shows the change, or until a request would have arrived by now.
local errors = require "pgsh.errors"
local host = require "pgsh.host"

local settle = {}

settle.DEFAULT = "20s"

local FIRST_S, LONGEST_S = 0.1, 4

-- Errors of a look that say nothing about the change: the service could not be asked.
local PASSING = { http = true, ssh = true, process = true }

---For the option `resolve` of a change. look() returns something true when the change is to be seen.
---@param within? number|string     # how long to look; default "20s"
---@param look fun(): any
---@return boolean? happened         # nil: the service could not be asked
---@return any found                # what look returned
function settle.look(within, look)
  local limit = host.duration(within or settle.DEFAULT)
  if not limit then errors.usage("settle: %s is not a duration", tostring(within)) end
  local began, pause = host.mono(), FIRST_S
  while true do
    local ok, found = pcall(look)
    if not ok and not PASSING[found.kind] then error(found, 0) end
    if ok and found then return true, found end
    if host.mono() - began >= limit then
      if ok then return false end
      return nil
    end
    host.sleep(pause)
    pause = math.min(pause * 2, LONGEST_S)
  end
end

return settle
