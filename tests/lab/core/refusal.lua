-- An answer that is not a success, raised from anywhere inside a handler.
local Refusal = { __tostring = function(self) return ("%d %s: %s"):format(self.status, self.id, self.message) end }

local refusal = {}

function refusal.raise(status, id, message, extra)
  local object = setmetatable({ status = status, id = id, message = message, extra = extra or {} }, Refusal)
  error(object, 0)
end

function refusal.is(value)
  return getmetatable(value) == Refusal
end

return refusal
