-- remake: changes that went well as far as the journal knows, and yet did not do what they were made for: a service refused with a
-- status of success, a daemon was started and ended at once. When the step is tried again, also by a resumed run, such a change is
-- met in the journal; behind it, it is made anew.
local host = require "pgsh.host"
local unknown = require "pgsh.unknown"

---@param make fun(): any                               # makes the change, or meets it in the journal
---@param good fun(result: any, replayed: boolean): any # did it do what it was made for?
---@return any result
return function(make, good)
  while true do
    local before = host.replayed()
    local result = make()
    local replayed = host.replayed() > before
    if unknown.is(result) or good(result, replayed) or not replayed then return result end
  end
end
