-- A lab's own interface for specs, as a handler for core.http: nothing here is logged, timed or spoiled by faults.
local json = require "core.json"
local refusal = require "core.refusal"
local router = require "core.router"

-- routes: { method, path, handler(request, captures) → status, body }; what a handler refuses is answered so.
return function(routes)
  local compiled = router.new(routes)
  return function(request)
    local route, captures = router.find(compiled, request.method, request.path)
    local ok, status, body = pcall(function()
      if not route then refusal.raise(404, "not_found", "no such control call") end
      return route.handler(request, captures)
    end)
    if not ok then
      local failure = refusal.is(status) and status or { status = 500, id = "internal", message = tostring(status) }
      status, body = failure.status, { id = failure.id, message = failure.message }
    end
    return { status = status, headers = { ["Content-Type"] = "application/json" }, body = json.encode(body) }
  end
end
