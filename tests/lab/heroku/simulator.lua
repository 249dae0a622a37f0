-- Platform API and Data API behind one port, as HEROKU_HOST and HEROKU_DATA_HOST want it.
local addons = require "heroku.addons"
local data = require "heroku.data"
local gate = require "heroku.gate"
local platform = require "heroku.platform"

-- The definition for core.service.
local function definition(world)
  local routes = {}
  for _, part in ipairs { platform, addons, data } do
    for _, route in ipairs(part.routes(world)) do routes[#routes + 1] = route end
  end
  return {
    name = "heroku", world = world, routes = routes,
    admit = function(request) gate.admit(world, request) end,
    error_body = gate.error_body, refuse_body = gate.refuse_body,
    decorate = function(response) gate.decorate(world, response) end,
  }
end

return { definition = definition }
