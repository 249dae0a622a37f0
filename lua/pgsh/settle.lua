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
local PASSING = { http = true, ssh = true, process = true, kubectl = true }

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

---Call change(…), which runs a command. When the command fails although it has done its work, that is success: what look() finds
---decides, asked once. Only a command that ended and failed is looked into; what interrupts the look is not taken for an answer.
---@param what string               # for the warning: "git push failed, but origin/master has the commit"
---@param look fun(): any
---@param change function
---@return table result             # of change, or of a command that ended well and said nothing
function settle.despite(what, look, change, ...)
  local ok, result = errors.try(change, ...)
  if ok then return result end
  if result.code ~= "process" then error(result, 0) end
  local asked, there = errors.try(look)
  if not asked and not PASSING[there.kind] then error(there, 0) end
  if not (asked and there) then error(result, 0) end
  require("pgsh.log").warn("%s", what)
  return { exit = 0, out = "", err = "" }
end

return settle
